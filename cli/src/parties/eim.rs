//! Set-up of the eIM.

use std::sync::Arc;

use certs::{EimCredentials, Pki, Role, ServerName};
use eim::{Config, Credentials, Eim};
use net::{ClientTls, ServerTls};
use rsp::ids::SmdpAddress;
use rsp_server::AllowedAddresses;
use tokio::net::TcpListener;
use world::{Clock, Events, Fault, Records, World};

use super::{Running, client_auth, identity, server_check, tls_roots};
use crate::{
    peers::{Delivery, TlsPeers},
    settings::Settings,
};

/// Parameters of an eIM.
pub struct EimSetup<'a> {
    /// Its identifier, from which its keys are derived.
    pub id: &'a str,
    /// Listener for IPAs.
    pub listener: TcpListener,
    /// Address announced to IPAs, `host:port`.
    pub address: SmdpAddress,
    /// Host names in its certificate.
    pub names: &'a [ServerName],
    /// SM-DP+s and SM-DSs that an IPA may name.
    pub rsp_servers: AllowedAddresses,
    /// Records.
    pub records: Arc<dyn Records>,
}

/// A running eIM.
pub struct RunningEim {
    /// The server.
    pub server: Eim,
    esipa: Running,
    _delivery: Delivery,
}

impl RunningEim {
    /// Waits for open requests, then stops.
    pub async fn stop(self) {
        self.server.end_waits();
        self.esipa.stop().await;
    }
}

/// Starts an eIM on its records. It presents one certificate as server of IPAs and as client of
/// SM-DP+s and SM-DSs.
///
/// # Errors
/// A certificate is missing, or the socket fails.
pub fn start_eim(
    setup: EimSetup<'_>,
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
) -> Result<RunningEim, Fault> {
    let missing = |error| crate::pki::missing_certificate(error, "the eIM has no keys");
    let keys: EimCredentials = pki.eim(setup.id, setup.names).map_err(missing)?;
    let own = identity(&keys.tls);
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock);
    let check = server_check::of(pki, &[Role::DpTls, Role::DsTls])?;
    let client_tls = ClientTls::checking(&tls_roots(pki), Some(&own), Arc::clone(&clock), check)?;
    let server_tls = ServerTls::new(&own, &client_auth(pki)?, Arc::clone(&clock))?;

    let mut config = Config::new(setup.id, setup.address);
    config.rsp_servers = setup.rsp_servers;
    let credentials = Credentials::new(keys, pki.anchors().map_err(missing)?);
    let peers = TlsPeers::new(super::device_client(settings), client_tls);
    let woken = peers.woken();
    let server =
        Eim::new(config, credentials, setup.records, world.clone(), events).with_peers(Arc::new(peers));
    let running = server.clone();
    let delivery = Delivery::drive("SM-DP+s", woken, clock, move || {
        let server = running.clone();
        Box::pin(async move { server.due().await })
    });
    let esipa = Running::serve(setup.listener, Some(server_tls), server.link())?;
    Ok(RunningEim { server, esipa, _delivery: delivery })
}
