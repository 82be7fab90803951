//! Set-up of the eIM.

use std::net::SocketAddr;
use std::sync::Arc;

use certs::{EimCredentials, Pki, Role, ServerName};
use eim::{Config, Credentials, Eim, records::Protocol};
use net::{ClientTls, Identity, ServerDtls, ServerTls, serve_coap};
use rsp::ids::SmdpAddress;
use rsp_server::AllowedAddresses;
use tokio::net::{TcpListener, UdpSocket};
use world::{Clock, Events, Fault, Records, World};

use super::listening::local_udp_address;
use super::{Running, client_auth, identity, server_check, tls_roots};
use crate::{
    faults::ActiveFaults,
    peers::{Delivery, TlsPeers},
    settings::Settings,
};

/// Parameters of an eIM.
pub struct EimSetup<'a> {
    /// Its identifier, from which its keys are derived.
    pub id: &'a str,
    /// Listener for IPAs over HTTPS.
    pub listener: Option<TcpListener>,
    /// Socket for IPAs over CoAP and DTLS.
    pub coap: Option<UdpSocket>,
    /// Address announced to IPAs, `host:port`.
    pub address: SmdpAddress,
    /// Host names in its certificate.
    pub names: &'a [ServerName],
    /// SM-DP+s and SM-DSs that an IPA may name.
    pub rsp_servers: AllowedAddresses,
    /// Records.
    pub records: Arc<dyn Records>,
}

/// An eIM that does not listen yet.
pub struct EimServer {
    /// The server.
    pub server: Eim,
    /// Its TLS configuration.
    pub tls: ServerTls,
    /// The certificate and key of `tls`.
    pub identity: Identity,
    /// The delivery of its notifications, which ends when this is dropped.
    pub delivery: Delivery,
}

/// A running eIM.
pub struct RunningEim {
    /// The server.
    pub server: Eim,
    /// Address for IPAs over CoAP.
    pub coap: Option<SocketAddr>,
    esipa: Vec<Running>,
    _delivery: Delivery,
}

impl RunningEim {
    /// Waits for open requests, then stops.
    pub async fn stop(self) {
        self.server.end_waits();
        for running in self.esipa {
            running.stop().await;
        }
    }
}

/// Creates an eIM on its records. It presents one certificate as server of IPAs and as client of
/// SM-DP+s and SM-DSs.
///
/// # Errors
/// A certificate is missing.
pub fn eim_server(
    (id, names): (&str, &[ServerName]),
    config: Config,
    records: Arc<dyn Records>,
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
) -> Result<EimServer, Fault> {
    let missing = |error| crate::pki::missing_certificate(error, "the eIM has no keys");
    let keys: EimCredentials = pki.eim(id, names).map_err(missing)?;
    let identity = identity(&keys.tls);
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock);
    let check = server_check::of(pki, &[Role::DpTls, Role::DsTls])?;
    let client_tls = ClientTls::checking(&tls_roots(pki), Some(&identity), Arc::clone(&clock), check)?;
    let tls = ServerTls::new(&identity, &client_auth(pki)?, Arc::clone(&clock))?;
    let credentials = Credentials::new(keys, pki.anchors().map_err(missing)?);
    let peers = TlsPeers::new(super::device_client(settings), client_tls);
    let woken = peers.woken();
    let server = Eim::new(config, credentials, records, world.clone(), events).with_peers(Arc::new(peers));
    let running = server.clone();
    let delivery = Delivery::drive("SM-DP+s", woken, clock, move || {
        let server = running.clone();
        Box::pin(async move { server.due().await })
    });
    Ok(EimServer { server, tls, identity, delivery })
}

/// Starts an eIM on its records.
///
/// # Errors
/// A certificate is missing, or the socket fails.
pub fn start_eim(
    setup: EimSetup<'_>,
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
    active_faults: &ActiveFaults,
) -> Result<RunningEim, Fault> {
    let mut config = Config::new(setup.id, setup.address);
    config.rsp_servers = setup.rsp_servers;
    let https = setup.listener.as_ref().map(|_| Protocol::RetrieveHttps);
    config.protocols =
        https.into_iter().chain(setup.coap.as_ref().map(|_| Protocol::RetrieveCoaps)).collect();
    let names = (setup.id, setup.names);
    let EimServer { server, tls, identity, delivery } =
        eim_server(names, config, setup.records, settings, pki, world, events)?;
    let link = active_faults.incoming(server.link());
    let mut esipa = Vec::new();
    if let Some(listener) = setup.listener {
        esipa.push(Running::serve(listener, Some(tls), link.clone())?);
    }
    let mut coap = None;
    if let Some(socket) = setup.coap {
        let dtls = active_faults.coap_server(ServerDtls::new(&identity, world)?);
        let address = local_udp_address(&socket)?;
        coap = Some(address);
        let world = world.clone();
        esipa.push(Running::start(address, |stopped| Ok(serve_coap(socket, dtls, link, world, stopped)))?);
    }
    Ok(RunningEim { server, coap, esipa, _delivery: delivery })
}
