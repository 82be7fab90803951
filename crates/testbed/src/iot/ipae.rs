//! An always-on device whose card has an IPA (IPAe), and the servers of the card with TLS in
//! memory.

use std::net::SocketAddr;
use std::sync::Arc;

use ::ipae::{IpaeCard, ServerTls as TrustedServers};
use certs::{Role, ServerName};
use device::{AlwaysOnSettings, EventSource, Modem, Online};
use euicc_sim::Card;
use net::{ClientAuth, ClientTls, Identity, ServerTls, ServerTrust};
use tokio::task::JoinSet;
use world::{CardInterface, Clock, Dial, Fault, Link, MemoryHosts};

use super::{FIRST_EIM, Iot, SM_DP, description, testbed};
use crate::assembly::bad_pki;
use crate::swap::{self, unexpected};

/// The address of the first eIM for channels.
pub const EIM_SOCKET: &str = "192.0.2.1:443";

/// The address of the SM-DP+ for channels.
const SM_DP_SOCKET: &str = "192.0.2.2:443";

/// The servers that a card reaches over channels. They stop when this is dropped.
pub struct ChannelServers {
    /// The hosts that contain the servers.
    pub hosts: MemoryHosts,
    tasks: JoinSet<()>,
}

impl Iot {
    /// Powers the card with an IPA inside. The settings of its IPA are those of the card in
    /// [`IotSetup`](super::IotSetup). The card is the one of [`Iot::ipa`], which must not be used
    /// until the next [`Iot::power_cycle`].
    ///
    /// # Errors
    /// The card has no IPA, or its memory cannot be read.
    pub fn ipae_card(&self) -> Result<IpaeCard, Fault> {
        let testbed = testbed(&self.simulation, &self.setup, &self.events);
        let mut iot = self.setup.card.clone();
        let settings = iot.ipae.as_mut().ok_or_else(|| unexpected("the card has no IPA"))?;
        settings.servers.insert(FIRST_EIM.to_owned(), socket(EIM_SOCKET)?);
        settings.servers.insert(SM_DP.to_owned(), socket(SM_DP_SOCKET)?);
        let description = description(&testbed, &iot)?;
        let world = self.simulation.world(&format!("IPAe card {}", self.simulation.clock().now()));
        let clock = Arc::clone(&world.clock);
        let ci = testbed.pki().credential(Role::Ci, testbed.pki().tls_curve()).map_err(bad_pki)?;
        let anchors = vec![ci.certificate.der().to_vec()];
        let eims = ServerTrust::Certificates { anchors, check: Arc::new(|_| Ok(())) };
        let rsp_servers = ClientTls::trusting(eims.clone(), Arc::clone(&clock))?;
        let tls = TrustedServers { eims, rsp_servers, clock };
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

    /// Starts the first eIM at [`EIM_SOCKET`], and the SM-DP+ at another address, with TLS.
    ///
    /// # Errors
    /// The PKI lacks the keys of a server.
    pub fn serve_channels(&self) -> Result<ChannelServers, Fault> {
        let pki = &self.setup.pki;
        let eim = pki.eim(FIRST_EIM, &[server_name(FIRST_EIM)?]).map_err(bad_pki)?.tls;
        let ci = pki.credential(Role::Ci, pki.tls_curve()).map_err(bad_pki)?;
        let sm_dp = pki.issue_dp_tls(&[server_name(SM_DP)?], ci.certificate.validity()).map_err(bad_pki)?;
        let mut servers = ChannelServers { hosts: MemoryHosts::default(), tasks: JoinSet::new() };
        let (to_eim, to_sm_dp) = (self.first_eim()?.link(), self.sm_dp.link());
        for (socket, credential, link) in [(EIM_SOCKET, eim, to_eim), (SM_DP_SOCKET, sm_dp, to_sm_dp)] {
            let chain = vec![credential.certificate.der().to_vec()];
            let identity = Identity { chain, key: credential.key_pkcs8().into() };
            let tls = ServerTls::new(&identity, &ClientAuth::None, Arc::new(self.simulation.clock()))?;
            servers.serve(socket, tls, link);
        }
        Ok(servers)
    }
}

impl ChannelServers {
    fn serve(&mut self, socket: &str, tls: ServerTls, link: Link) {
        let mut listener = self.hosts.listen(socket);
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Some(stream) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let (tls, link) = (tls.clone(), link.clone());
                connections.spawn(async move {
                    if let Err(error) = net::http::serve_connected(stream, Some(tls), link).await {
                        tracing::debug!(error, "a connection over a channel ended");
                    }
                });
            }
        });
    }
}

fn server_name(name: &str) -> Result<ServerName, Fault> {
    name.parse().map_err(|_| unexpected(name))
}

fn socket(address: &str) -> Result<SocketAddr, Fault> {
    address.parse().map_err(|_| unexpected(address))
}
