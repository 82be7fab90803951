//! An always-on device whose card has an IPA (IPAe), and the first eIM as a TLS server in memory.

use std::net::SocketAddr;
use std::sync::Arc;

use ::ipae::{IpaeCard, ServerTls as TrustedServers};
use certs::Role;
use device::{AlwaysOnSettings, EventSource, Modem, Online};
use euicc_sim::Card;
use net::{ClientAuth, ClientTls, Identity, ServerTls};
use tokio::task::JoinSet;
use world::{CardInterface, Clock, Dial, Fault, MemoryHosts};

use super::{FIRST_EIM, Iot, description, testbed};
use crate::assembly::bad_pki;
use crate::swap::{self, unexpected};

/// The address of the first eIM for channels.
pub const EIM_SOCKET: &str = "192.0.2.1:443";

/// The first eIM as a server. It stops when it is dropped.
pub struct ServedEim {
    /// The hosts that contain the eIM.
    pub hosts: MemoryHosts,
    _tasks: JoinSet<()>,
}

impl Iot {
    /// Powers the card with an IPA inside. The settings of its IPA are those of the card in
    /// [`IotSetup`](super::IotSetup). The card is the one of [`Iot::ipa`], which must not be used until
    /// the next [`Iot::power_cycle`].
    ///
    /// # Errors
    /// The card has no IPA, or its memory cannot be read.
    pub fn ipae_card(&self) -> Result<IpaeCard, Fault> {
        let testbed = testbed(&self.simulation, &self.setup, &self.events);
        let mut iot = self.setup.card.clone();
        let settings = iot.ipae.as_mut().ok_or_else(|| unexpected("the card has no IPA"))?;
        settings.servers.insert(FIRST_EIM.to_owned(), eim_socket()?);
        let description = description(&testbed, &iot)?;
        let world = self.simulation.world(&format!("IPAe card {}", self.simulation.clock().now()));
        let clock = Arc::clone(&world.clock);
        let ci = testbed.pki().credential(Role::Ci, testbed.pki().tls_curve()).map_err(bad_pki)?;
        let trusted = ClientTls::new(&[ci.certificate.der().to_vec()], None, Arc::clone(&clock))?;
        let tls = TrustedServers { eims: trusted.clone(), rsp_servers: trusted, clock };
        let card = Card::open(description, self.card_memory.clone(), world)?;
        Ok(IpaeCard::new(card, tls, Arc::new(self.events.clone())))
    }

    /// A device without an IPA that serves this card, and opens its channels with `dial`.
    ///
    /// # Errors
    /// A network has an invalid name, which is a bug.
    pub fn ipae_device<D: CardInterface>(
        &self,
        card: D,
        dial: impl Dial + 'static,
    ) -> Result<Online<D>, Fault> {
        let source = EventSource::new("device", self.simulation.clock(), self.events.clone());
        let mut modem = Modem::new(card, Arc::clone(&self.networks), source.named("modem"));
        modem.set_visible(swap::visible()?);
        Ok(Online::new(modem, dial, AlwaysOnSettings::default(), source))
    }

    /// Starts the first eIM as a server at [`EIM_SOCKET`].
    ///
    /// # Errors
    /// The PKI lacks the keys of the eIM.
    pub fn serve_first_eim(&self) -> Result<ServedEim, Fault> {
        let name = FIRST_EIM.parse().map_err(|_| unexpected(FIRST_EIM))?;
        let keys = self.setup.pki.eim(FIRST_EIM, &[name]).map_err(bad_pki)?;
        let chain = vec![keys.tls.certificate.der().to_vec()];
        let identity = Identity { chain, key: keys.tls.key_pkcs8().into() };
        let tls = ServerTls::new(&identity, &ClientAuth::None, Arc::new(self.simulation.clock()))?;
        let eim = self.first_eim().link();
        let hosts = MemoryHosts::default();
        let mut listener = hosts.listen(EIM_SOCKET);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Some(stream) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let (tls, eim) = (tls.clone(), eim.clone());
                connections.spawn(async move {
                    if let Err(error) = net::http::serve_connected(stream, Some(tls), eim).await {
                        tracing::debug!(error, "a connection to the eIM ended");
                    }
                });
            }
        });
        Ok(ServedEim { hosts, _tasks: tasks })
    }
}

fn eim_socket() -> Result<SocketAddr, Fault> {
    EIM_SOCKET.parse().map_err(|_| unexpected(EIM_SOCKET))
}
