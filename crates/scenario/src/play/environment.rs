//! The environment of a run: the transport between parties, and third-party parties.

use std::collections::BTreeMap;
use std::sync::Arc;

use certs::{Pki, PkiOptions};
use device::Slot;
use rsp::ids::SmdpAddress;
use rsp::time::Timestamp;
use world::{BoxCardInterface, Fault};

use crate::report::Live;
use testbed::bad_pki;
use testbed::transport::{InProcess, Transport, Transports};

/// The environment of a run.
#[derive(Clone)]
pub struct Environment {
    /// Certificates and keys of all parties.
    pub pki: Arc<Pki>,
    /// True if the scenario's cards are strict ([`euicc_sim::CardDescription::strict`]).
    pub strict: bool,
    /// The transport to servers.
    pub transports: Arc<dyn Transports>,
    /// Third-party SM-DP+s by the name that operators of the scenario use.
    pub sm_dps: BTreeMap<String, ThirdPartySmDp>,
    /// Third-party cards.
    pub cards: Vec<ThirdPartyCard>,
    /// The description of the environment in the report.
    pub live: Option<Live>,
    /// Called during the run with the current virtual time.
    pub progress: Progress,
}

/// A function that displays how far a run is.
pub type Progress = Arc<dyn Fn(Timestamp) + Send + Sync>;

/// A third-party SM-DP+.
#[derive(Clone)]
pub struct ThirdPartySmDp {
    /// The address that devices use.
    pub address: SmdpAddress,
    /// The transport to this SM-DP+. The whole run waits for each request.
    pub transport: Arc<dyn Transport>,
    /// The profiles in its stock.
    pub stock: Vec<StockedProfile>,
}

/// A profile at a third-party SM-DP+.
#[derive(Clone)]
pub struct StockedProfile {
    /// The profile package, from which the home network gets the subscriber.
    pub package: Vec<u8>,
    /// The MatchingID for the download, if the SM-DP+ takes no orders.
    pub code: Option<String>,
}

/// A third-party card.
#[derive(Clone)]
pub struct ThirdPartyCard {
    /// The group of its device.
    pub group: String,
    /// The number of its device in the group.
    pub number: u32,
    /// The card. The whole run waits for each command.
    pub card_interface: Slot<BoxCardInterface>,
    /// The packages of the profiles on the card.
    pub packages: Vec<Vec<u8>>,
}

impl Environment {
    /// An environment without third-party parties, in one process.
    ///
    /// # Errors
    /// The certificates cannot be issued.
    pub fn none() -> Result<Self, Fault> {
        let pki = Pki::from_seed(b"scenario", &PkiOptions::default()).map_err(bad_pki)?;
        Ok(Self {
            pki: Arc::new(pki),
            strict: false,
            transports: Arc::new(InProcess),
            sm_dps: BTreeMap::new(),
            cards: Vec::new(),
            live: None,
            progress: Arc::new(|_| ()),
        })
    }
}
