//! The environment of a run: the transport between parties, and third-party parties.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use certs::{Credential, Pki, PkiOptions};
use device::Slot;
use euicc_sim::Quirk;
use http::Request;
use rsp::ids::SmdpAddress;
use world::{BoxCardDoor, Fault, Link, PeerCertificate, TokioClock, link_from};

use crate::consumer::bad_pki;
use crate::host::Host;
use crate::report::Live;

/// The environment of a run.
#[derive(Clone)]
pub struct Outside {
    /// Certificates and keys of all parties.
    pub pki: Arc<Pki>,
    /// Deviations from the standard of the scenario's cards.
    pub quirks: Vec<Quirk>,
    /// The transport to servers.
    pub ways: Arc<dyn Ways>,
    /// Third-party SM-DP+s by the name that operators of the scenario use.
    pub sm_dps: BTreeMap<String, TheirSmDp>,
    /// Third-party cards.
    pub cards: Vec<TheirCard>,
    /// The description of the environment in the report.
    pub live: Option<Live>,
}

/// A third-party SM-DP+.
#[derive(Clone)]
pub struct TheirSmDp {
    /// The address that devices use.
    pub address: SmdpAddress,
    /// The transport to it. A request blocks the whole run.
    pub way: Arc<dyn Way>,
    /// The profiles in its stock.
    pub stock: Vec<InStock>,
}

/// A profile at a third-party SM-DP+.
#[derive(Clone)]
pub struct InStock {
    /// The profile package, from which the home network gets the subscriber.
    pub package: Vec<u8>,
    /// The MatchingID for the download, if the SM-DP+ takes no orders.
    pub code: Option<String>,
}

/// A third-party card.
#[derive(Clone)]
pub struct TheirCard {
    /// The group of its device.
    pub group: String,
    /// The number of its device in the group.
    pub number: u32,
    /// The card. A command blocks the whole run.
    pub door: Slot<BoxCardDoor>,
    /// The packages of the profiles on the card.
    pub packages: Vec<Vec<u8>>,
}

/// The transport between parties.
pub trait Ways: Send + Sync {
    /// Makes a server reachable.
    ///
    /// # Errors
    /// There is no certificate for its name, or no address to listen on.
    fn open(&self, server: Server) -> Result<Arc<dyn Way>, Fault>;

    /// Opens a connection between a card and its server.
    ///
    /// # Errors
    /// The connection cannot be opened.
    fn wire(&self) -> Result<Box<dyn Wire>, Fault>;
}

/// A connection between a card and its server.
pub trait Wire: Send + Sync {
    /// Transmits octets to the other end, and returns them as they arrive there. The call blocks
    /// the whole run.
    ///
    /// # Errors
    /// The connection is broken.
    fn carry(&self, octets: &[u8], is_to_device: bool) -> io::Result<Vec<u8>>;
}

/// The transport to one server.
pub trait Way: Send + Sync {
    /// Opens a connection: for an operator with this certificate, or for a device without one.
    ///
    /// # Errors
    /// The certificate cannot be used.
    fn link(&self, operator: Option<&Credential>) -> Result<Link, Fault>;
}

/// A server of the scenario.
#[derive(Clone)]
pub struct Server {
    /// The host name under which it is reachable.
    pub host: String,
    /// The link to the server, which is valid across restarts.
    pub link: Link,
    /// The number of the running process, or `None` if the process is down.
    pub process: Arc<dyn Fn() -> Option<u32> + Send + Sync>,
    /// Its TLS certificate. By default, a certificate for its host is issued.
    pub shows: Option<Credential>,
    /// The clock of the run. It can only be used in the thread of the run.
    pub clock: TokioClock,
}

impl Outside {
    /// An environment without third-party parties, in one process.
    ///
    /// # Errors
    /// The certificates cannot be issued.
    pub fn none() -> Result<Self, Fault> {
        let pki = Pki::from_seed(b"scenario", &PkiOptions::default()).map_err(bad_pki)?;
        Ok(Self {
            pki: Arc::new(pki),
            quirks: Vec::new(),
            ways: Arc::new(InProcess),
            sm_dps: BTreeMap::new(),
            cards: Vec::new(),
            live: None,
        })
    }
}

impl Server {
    /// A party with one interface.
    pub(crate) fn of<P: Clone + Send + 'static>(host: String, party: &Host<P>, clock: TokioClock) -> Self {
        let (link, party) = (party.link(), party.clone());
        let process = Arc::new(move || party.party().map(|_| party.starts()));
        Self { host, link, process, shows: None, clock }
    }

    /// Sets the TLS certificate.
    pub(crate) fn showing(self, credential: Credential) -> Self {
        Self { shows: Some(credential), ..self }
    }
}

/// A transport within one process: requests go directly to the server.
pub(crate) struct InProcess;

impl Ways for InProcess {
    fn open(&self, server: Server) -> Result<Arc<dyn Way>, Fault> {
        Ok(Arc::new(server))
    }

    fn wire(&self) -> Result<Box<dyn Wire>, Fault> {
        Ok(Box::new(Self))
    }
}

impl Wire for InProcess {
    fn carry(&self, octets: &[u8], _: bool) -> io::Result<Vec<u8>> {
        Ok(octets.to_vec())
    }
}

impl Way for Server {
    fn link(&self, operator: Option<&Credential>) -> Result<Link, Fault> {
        let link = self.link.clone();
        let Some(operator) = operator else { return Ok(link) };
        let shown = PeerCertificate(operator.certificate.der().to_vec());
        Ok(link_from(tower::service_fn(move |mut request: Request<Bytes>| {
            request.extensions_mut().insert(shown.clone());
            let link = link.clone();
            async move { world::send(&link, request).await }
        })))
    }
}
