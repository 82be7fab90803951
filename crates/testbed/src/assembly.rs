//! Parties of SGP.22 that are assembled from one seed and connected by links in memory.

use std::sync::Arc;

use certs::{Pki, PkiOptions};
use crypto::Curve;
use euicc_sim::{Card, CardDescription};
use rsp::ids::{Eid, SmdpAddress};
use rsp_server::AllowedAddresses;
use sm_dp::SmDpPlus;
use sm_ds::SmDs;
use world::{
    Clock, Events, Fault, Link, ManualClock, Memory, MemoryRecords, NullEvents, Records, SeededRandom, World,
};

use crate::operator::Operator;

/// Name of the operator in the PKI.
pub const OPERATOR: &str = "Landfall Test Operator";

/// The PKI, the clock, the random numbers and the events of all parties.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use sm_dp::ProfileOptions;
/// use testbed::Testbed;
///
/// let testbed = Testbed::new("7")?;
/// let sm_dp_plus = testbed.sm_dp_plus("smdpp.example.com")?;
/// let package = testbed::subscription::own_package("724-99", 1, "Local")?;
/// let iccid = sm_dp_plus.add_profile(&package, &ProfileOptions::default()).await?;
/// let operator = testbed.operator(sm_dp_plus.link())?;
/// let code = operator.order(iccid, Some(testbed.eid()?), "smdpp.example.com".parse().unwrap()).await?;
/// assert!(code.to_string().starts_with("1$smdpp.example.com$"));
/// # Ok::<_, world::Fault>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Testbed {
    pki: Arc<Pki>,
    clock: Arc<dyn Clock>,
    random: SeededRandom,
    events: Arc<dyn Events>,
}

impl Testbed {
    /// Creates a testbed with a PKI of its own. The clock is stopped and no events are recorded.
    ///
    /// # Errors
    /// The PKI cannot be created.
    pub fn new(seed: &str) -> Result<Self, Fault> {
        let pki = Pki::from_seed(seed.as_bytes(), &PkiOptions::default()).map_err(bad_pki)?;
        Ok(Self::with_pki(Arc::new(pki), seed))
    }

    /// Creates a testbed with this PKI.
    pub fn with_pki(pki: Arc<Pki>, seed: &str) -> Self {
        // 2026-11-21T08:00:00Z
        let clock = ManualClock::at(rsp::time::Timestamp(1_795_248_000_000));
        Self {
            pki,
            clock: Arc::new(clock),
            random: SeededRandom::from_text(seed),
            events: Arc::new(NullEvents),
        }
    }

    /// Sets the clock of all parties.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Sets the recipient of all events.
    #[must_use]
    pub fn with_events(self, events: impl Events + 'static) -> Self {
        Self { events: Arc::new(events), ..self }
    }

    /// Certificates and keys of all parties.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The clock, and the random numbers of the party with this name.
    pub fn world(&self, party: &str) -> World {
        World::new(Arc::clone(&self.clock), self.random.branch(party))
    }

    /// Creates an SM-DP+ with this address and with records in memory.
    ///
    /// # Errors
    /// The address or the PKI is invalid.
    pub fn sm_dp_plus(&self, address: &str) -> Result<SmDpPlus, Fault> {
        self.sm_dp_plus_with(address, Arc::new(MemoryRecords::default()))
    }

    /// Creates an SM-DP+ with this address and these records.
    ///
    /// # Errors
    /// The address or the PKI is invalid.
    pub fn sm_dp_plus_with(&self, address: &str, records: Arc<dyn Records>) -> Result<SmDpPlus, Fault> {
        sm_dp_plus(&self.pki, address, records, self.world(address), Arc::clone(&self.events))
    }

    /// Creates an SM-DS with this address and with records in memory.
    ///
    /// # Errors
    /// The address or the PKI is invalid.
    pub fn sm_ds(&self, address: &str) -> Result<SmDs, Fault> {
        let config = sm_ds::Config::new(parsed(address)?);
        let credentials = sm_ds::Credentials::from_pki(&self.pki).map_err(bad_pki)?;
        let records = Arc::new(MemoryRecords::default());
        Ok(SmDs::new(config, credentials, records, self.world(address), Arc::clone(&self.events)))
    }

    /// Creates an operator, which presents its certificate to the SM-DP+ behind this link.
    ///
    /// # Errors
    /// The PKI has no operator.
    pub fn operator(&self, sm_dp_plus: Link) -> Result<Operator, Fault> {
        let certificate = self.pki.operator(OPERATOR).map_err(bad_pki)?.certificate;
        let oid = certificate.registered_ids().first().map(ToString::to_string).unwrap_or_default();
        let link = world::with_peer_certificate(sm_dp_plus, certificate.der().to_vec());
        Ok(Operator::new(link, oid, self.world(OPERATOR), Arc::clone(&self.events)))
    }

    /// The EID of the first card of the PKI.
    ///
    /// # Errors
    /// The PKI has no card.
    pub fn eid(&self) -> Result<Eid, Fault> {
        first_eid(&self.pki)
    }

    /// Describes an empty card with credentials on NIST P-256.
    ///
    /// # Errors
    /// The PKI has no EUM that can certify the EID.
    pub fn card_description(&self, eid: Eid) -> Result<CardDescription, Fault> {
        let credentials = [self.pki.euicc(Curve::P256, eid).map_err(bad_pki)?];
        Ok(CardDescription::default_for(eid, &credentials))
    }

    /// Powers up a card with this memory.
    ///
    /// # Errors
    /// The PKI has no EUM that can certify the EID, or the memory cannot be read.
    pub fn card(&self, eid: Eid, memory: impl Memory + 'static) -> Result<Card, Fault> {
        Card::open(self.card_description(eid)?, memory, self.world(&format!("card {eid}")))
    }
}

/// The EID of the first card of this PKI.
pub(crate) fn first_eid(pki: &Pki) -> Result<Eid, Fault> {
    let eid = pki.eids(Curve::P256).first().copied();
    eid.ok_or_else(|| Fault::new("there is no card", "the PKI has no eUICC", "give a PKI with an eUICC"))
}

/// Creates an SM-DP+ with this address.
pub(crate) fn sm_dp_plus(
    pki: &Pki,
    address: &str,
    records: Arc<dyn Records>,
    world: World,
    events: Arc<dyn Events>,
) -> Result<SmDpPlus, Fault> {
    let mut config = sm_dp::Config::new(parsed(address)?);
    // All parties are in the same process, so no address leads out of it.
    config.sm_ds_addresses = AllowedAddresses::Any;
    let credentials = sm_dp::Credentials::from_pki(pki).map_err(bad_pki)?;
    Ok(SmDpPlus::new(config, credentials, records, world, events))
}

/// The fault of a PKI that lacks a party.
pub fn bad_pki(why: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::caused_by(
        why,
        "cannot create the parties",
        "give a PKI with a CI, an SM-DP+, an EUM and an operator",
    )
}

fn parsed(address: &str) -> Result<SmdpAddress, Fault> {
    address.parse().map_err(|why| {
        Fault::caused_by(why, format!("cannot use the address {address:?}"), "give a host name or host:port")
    })
}
