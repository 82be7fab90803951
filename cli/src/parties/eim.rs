//! Set-up of the eIM.

use std::sync::Arc;

use certs::{EimCredentials, Pki, Role, ServerName};
use crypto::Curve;
use eim::{Config, Credentials, Eim, records::Protocol};
use net::{ClientTls, Identity, ServerDtls, ServerTls};
use rsp::ids::SmdpAddress;
use rsp_server::AllowedAddresses;
use tokio::net::UdpSocket;
use world::{Clock, Events, Fault, Records, World};

use super::{Running, TlsListener, identity, serve_with_tls, server_check, tls_roots};
use crate::{
    faults::ActiveFaults,
    peers::{Delivery, TlsPeers},
    settings::Settings,
};

/// Parameters of an eIM.
pub struct EimSetup<'a> {
    /// Its identifier, from which its keys are derived.
    pub id: &'a str,
    /// Listeners for IPAs over HTTPS.
    pub listeners: Vec<TlsListener>,
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
    /// Its certificate and key as a client, and as a server on the preferred curve of the PKI.
    pub identity: Identity,
    /// The delivery of its notifications, which ends when this is dropped.
    pub delivery: Delivery,
}

/// A running eIM.
pub struct RunningEim {
    /// The server.
    pub server: Eim,
    /// Listeners for IPAs over HTTPS.
    pub https: Vec<Running>,
    /// Socket for IPAs over CoAP.
    pub coap: Option<Running>,
    _delivery: Delivery,
}

impl RunningEim {
    /// Waits for open requests, then stops.
    pub async fn stop(self) {
        self.server.end_waits();
        for running in self.https.into_iter().chain(self.coap) {
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
    let credentials = Credentials::new(keys, pki.anchors().map_err(missing)?);
    let peers = TlsPeers::new(super::device_client(settings), client_tls);
    let woken = peers.woken();
    let server = Eim::new(config, credentials, records, world.clone(), events).with_peers(Arc::new(peers));
    let running = server.clone();
    let delivery = Delivery::drive("SM-DP+s", woken, clock, move || {
        let server = running.clone();
        Box::pin(async move {
            let mut due = server.due().await?;
            due.later(rsp_server::delete_expired_sessions(&server).await?);
            Ok(due)
        })
    });
    Ok(EimServer { server, identity, delivery })
}

/// Returns the TLS configuration of a listener of an eIM.
///
/// # Errors
/// A certificate is missing.
pub fn eim_tls(
    curve: Option<Curve>,
    (id, names): (&str, &[ServerName]),
    pki: &Pki,
    clock: &Arc<dyn Clock>,
) -> Result<ServerTls, Fault> {
    super::issued_tls(curve, pki, clock, |curve| {
        pki.eim_tls_on(curve, id, names)
            .map_err(|e| crate::pki::missing_certificate(e, "the eIM has no TLS certificate"))
    })
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
    let https = setup.listeners.first().map(|_| Protocol::RetrieveHttps);
    config.protocols =
        https.into_iter().chain(setup.coap.as_ref().map(|_| Protocol::RetrieveCoaps)).collect();
    let names = (setup.id, setup.names);
    let EimServer { server, identity, delivery } =
        eim_server(names, config, setup.records, settings, pki, world, events)?;
    let link = active_faults.incoming(server.link());
    let https =
        serve_with_tls(setup.listeners, &link, |listens| eim_tls(listens.curve, names, pki, &world.clock))?;
    let serve_coap = |socket| {
        let dtls = active_faults.coap_server(ServerDtls::new(&identity, world)?);
        Running::serve_coap(socket, dtls, link, world.clone())
    };
    let coap = setup.coap.map(serve_coap).transpose()?;
    Ok(RunningEim { server, https, coap, _delivery: delivery })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eim::records::{Octets, SESSIONS, ServerKind, Session, SessionState};
    use rsp::sgp22::{Function, es9plus, es11, json};
    use sgp23::euicc::Euicc;
    use world::{Committed, Link, MemoryEvents, MemoryRecords, SeededRandom, TokioClock, Tx};

    use super::*;
    use crate::peers::{Operators, connect};

    const MARGIN: Duration = Duration::from_secs(1);

    /// Opens a session of a card at a server.
    async fn initiate<F: Function>(link: &Link, request: &F::Request)
    where
        F::Request: serde::Serialize,
    {
        let request = json::request(&F::path(), rsp::ids::Version([2, 5, 0]), request);
        let response = world::send(link, request).await.unwrap();
        assert!(String::from_utf8_lossy(response.body()).contains("transactionId"), "{response:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn expired_sessions_are_deleted_without_further_requests() {
        let clock = TokioClock::starting("2026-11-25T08:00:00Z".parse().unwrap());
        let world = World::new(clock, SeededRandom::from_text("expired sessions"));
        let pki = Pki::from_seed(b"expired sessions", &certs::PkiOptions::default()).unwrap();
        let settings = Settings::with_data_dir("unused".into());
        let events: Arc<dyn Events> = Arc::new(MemoryEvents::default());
        let records = || Arc::new(MemoryRecords::default());
        let euicc = Euicc::random(&pki, Curve::P256, SeededRandom::from_text("card")).unwrap();

        let sm_dp = super::super::sm_dp_on(&settings, &pki, &world, Arc::clone(&events), records()).unwrap();
        let none = ActiveFaults::none();
        let operators = Operators::default();
        let (sm_dp, _sm_dp) = connect(sm_dp, &operators, &pki, &settings, &world.clock, &none).await.unwrap();
        let sm_ds = super::super::sm_ds_on(&settings, &pki, &world, Arc::clone(&events), records()).unwrap();
        let _sm_ds = super::super::drive_sm_ds(&sm_ds, &world.clock);

        // The eIM has a session of an earlier run.
        let stored = records();
        let lifetime = Config::new("eim", settings.sm_dp.parse().unwrap()).server.session_lifetime;
        let session = Session {
            server: settings.sm_dp.parse().unwrap(),
            kind: ServerKind::SmDp,
            order: None,
            eid: None,
            server_signed1: Octets::default(),
            server_oid: None,
            ctx_params1: None,
            cancel_reason: None,
            state: SessionState::AuthenticateClient,
            expires: world.now().plus(lifetime),
        };
        let mut tx = Tx::begin(&*stored);
        tx.put(&SESSIONS, "00", &session).unwrap();
        assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
        let name = ["eim.example".parse().unwrap()];
        let config = Config::new("eim", settings.sm_dp.parse().unwrap());
        let eim = Arc::clone(&stored) as Arc<dyn Records>;
        let eim = eim_server(("eim", &name), config, eim, &settings, &pki, &world, events).unwrap();
        let of_eim = async || Tx::begin(&*stored).peek_list(&SESSIONS, "").await.unwrap().len();

        // The background tasks have begun before the sessions are opened.
        tokio::time::sleep(MARGIN).await;
        let request = euicc.initiation(&settings.sm_dp);
        initiate::<es9plus::InitiateAuthentication>(&sm_dp.link(), &request).await;
        let request = es11::InitiateAuthenticationRequest {
            euicc_challenge: request.euicc_challenge,
            smds_address: settings.sm_ds.clone(),
            euicc_info1: request.euicc_info1,
        };
        initiate::<es11::InitiateAuthentication>(&sm_ds.link(), &request).await;
        let open = async || {
            (sm_dp.sessions().await.unwrap().len(), sm_ds.sessions().await.unwrap().len(), of_eim().await)
        };
        assert_eq!(open().await, (1, 1, 1));
        // The eIM and the SM-DP+ have the longest lifetime.
        tokio::time::sleep(lifetime + MARGIN).await;
        assert_eq!(open().await, (0, 0, 0));
        drop(eim);
    }
}
