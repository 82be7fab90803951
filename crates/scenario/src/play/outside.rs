//! What a scenario is played in: how its parties reach each other, and who is somebody else's.

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

/// What a scenario is played in.
#[derive(Clone)]
pub struct Outside {
    /// Certificates and keys of everybody.
    pub pki: Arc<Pki>,
    /// What the scenario's cards do that the standard refuses.
    pub quirks: Vec<Quirk>,
    /// How servers are reached.
    pub ways: Arc<dyn Ways>,
    /// SM-DP+s of others, by what operators of the scenario call them.
    pub sm_dps: BTreeMap<String, TheirSmDp>,
    /// Cards of others.
    pub cards: Vec<TheirCard>,
    /// What the report says of it.
    pub live: Option<Live>,
}

/// An SM-DP+ of somebody else.
#[derive(Clone)]
pub struct TheirSmDp {
    /// Where devices find it.
    pub address: SmdpAddress,
    /// The way there. Whoever goes it waits, and nobody else in the scenario does anything meanwhile.
    pub way: Arc<dyn Way>,
    /// What it has in stock.
    pub stock: Vec<InStock>,
}

/// A profile that an SM-DP+ of somebody else has.
#[derive(Clone)]
pub struct InStock {
    /// Its package, from which its home network knows the subscriber.
    pub package: Vec<u8>,
    /// The MatchingID with which it is downloaded, where none can be ordered.
    pub code: Option<String>,
}

/// A card of somebody else.
#[derive(Clone)]
pub struct TheirCard {
    /// In which device: its group.
    pub group: String,
    /// And its number there.
    pub number: u32,
    /// The card. Whoever uses it waits, and nobody else in the scenario does anything meanwhile.
    pub door: Slot<BoxCardDoor>,
    /// The packages of the profiles on it.
    pub packages: Vec<Vec<u8>>,
}

/// How servers are reached.
pub trait Ways: Send + Sync {
    /// Opens the door of a server.
    ///
    /// # Errors
    /// It has no certificate for its name, or there is no place to listen at.
    fn open(&self, server: Server) -> Result<Arc<dyn Way>, Fault>;

    /// Opens a connection between a card and its server.
    ///
    /// # Errors
    /// There is none to be had.
    fn wire(&self) -> Result<Box<dyn Wire>, Fault>;
}

/// A connection between a card and its server.
pub trait Wire: Send + Sync {
    /// Carries octets to the other end, and gives them as they come out there. Nobody in the scenario does anything meanwhile.
    ///
    /// # Errors
    /// The connection is broken.
    fn carry(&self, octets: &[u8], is_to_device: bool) -> io::Result<Vec<u8>>;
}

/// The way to one server.
pub trait Way: Send + Sync {
    /// A connection of its own: of an operator, who shows this certificate, or of a device, which shows none.
    ///
    /// # Errors
    /// The certificate cannot be used.
    fn link(&self, operator: Option<&Credential>) -> Result<Link, Fault>;
}

/// A server that plays in the scenario.
#[derive(Clone)]
pub struct Server {
    /// The host that it is asked for as.
    pub host: String,
    /// Itself, across all its processes.
    pub link: Link,
    /// The number of its process, if one runs; the next one has another.
    pub process: Arc<dyn Fn() -> Option<u32> + Send + Sync>,
    /// What it shows in TLS; a certificate for its host is made if that is not said.
    pub shows: Option<Credential>,
    /// The time of the scenario. It can be asked only where that is played.
    pub clock: TokioClock,
}

impl Outside {
    /// Nobody else, and everybody in one process.
    ///
    /// # Errors
    /// The certificates cannot be made.
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
    /// A party that has one door.
    pub(crate) fn of<P: Clone + Send + 'static>(host: String, party: &Host<P>, clock: TokioClock) -> Self {
        let (link, party) = (party.link(), party.clone());
        let process = Arc::new(move || party.party().map(|_| party.starts()));
        Self { host, link, process, shows: None, clock }
    }

    /// The same with this certificate in TLS.
    pub(crate) fn showing(self, credential: Credential) -> Self {
        Self { shows: Some(credential), ..self }
    }
}

/// Everybody in one process: a server is asked directly.
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
