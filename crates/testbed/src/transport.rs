//! The transport between the parties of a run.

use std::io;
use std::sync::Arc;

use certs::Credential;
use world::{Fault, Link, TokioClock};

use crate::host::Host;

/// The transport between parties.
pub trait Transports: Send + Sync {
    /// Makes a server reachable.
    ///
    /// # Errors
    /// There is no certificate for its name, or no address to listen on.
    fn open(&self, server: Server) -> Result<Arc<dyn Transport>, Fault>;

    /// Opens a connection between a card and its server.
    ///
    /// # Errors
    /// The connection cannot be opened.
    fn connect_card(&self) -> Result<Box<dyn CardConnection>, Fault>;
}

/// A connection between a card and its server.
pub trait CardConnection: Send + Sync {
    /// Transmits octets to the other end, and returns them as they arrive there. The call blocks
    /// the whole run.
    ///
    /// # Errors
    /// The connection is broken.
    fn carry(&self, octets: &[u8], is_to_device: bool) -> io::Result<Vec<u8>>;
}

/// The transport to one server.
pub trait Transport: Send + Sync {
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

impl Server {
    /// A party with one interface.
    pub fn of<P: Clone + Send + 'static>(host: String, party: &Host<P>, clock: TokioClock) -> Self {
        let (link, party) = (party.link(), party.clone());
        let process = Arc::new(move || party.party().map(|_| party.starts()));
        Self { host, link, process, shows: None, clock }
    }

    /// Sets the TLS certificate.
    pub fn showing(self, credential: Credential) -> Self {
        Self { shows: Some(credential), ..self }
    }
}

/// A transport within one process: requests go directly to the server.
pub struct InProcess;

impl Transports for InProcess {
    fn open(&self, server: Server) -> Result<Arc<dyn Transport>, Fault> {
        Ok(Arc::new(server))
    }

    fn connect_card(&self) -> Result<Box<dyn CardConnection>, Fault> {
        Ok(Box::new(Self))
    }
}

impl CardConnection for InProcess {
    fn carry(&self, octets: &[u8], _: bool) -> io::Result<Vec<u8>> {
        Ok(octets.to_vec())
    }
}

impl Transport for Server {
    fn link(&self, operator: Option<&Credential>) -> Result<Link, Fault> {
        let link = self.link.clone();
        Ok(match operator {
            Some(operator) => world::with_peer_certificate(link, operator.certificate.der().to_vec()),
            None => link,
        })
    }
}
