//! Connections of the SGP.23 tester to an SM-DP+, and an SM-DP+ of this program to test.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use certs::{Pki, PkiOptions};
use net::{Client, ClientTls, Identity};
use rsp::{
    ids::Version,
    sgp22::{Function, es2plus::ReleaseProfile},
};
use sgp23::{Operator, Server};
use sm_dp::SmDpPlus;
use tokio::sync::Notify;
use world::{Events, Fault, Link, LinkFault, MemoryRecords, World};

use crate::{
    faults::ActiveFaults,
    output::remark,
    parties::{self, Running},
    peers::{self, Delivery, Operators},
    settings::Settings,
};

/// SGP.22 version that the tester's LPA and operators announce.
const VERSION: Version = Version([2, 5, 0]);

/// Facts about a server that the settings do not contain.
#[derive(Clone, Debug, Default)]
pub struct ServerFacts {
    /// Root certificates (DER) of the server's TLS certificate that are not in the PKI.
    pub roots: Vec<Vec<u8>>,
    /// Profile type that can be ordered on ES2+ without limit.
    pub profile_type: Option<String>,
    /// MatchingIDs of released orders.
    pub codes: Vec<String>,
    /// SM-DS where the server can register events.
    pub smds_address: Option<String>,
}

/// Connects the tester to the server of the settings. Interfaces that do not respond are left out.
///
/// # Errors
/// The PKI cannot be used, or no server responds at the address.
pub async fn server(
    settings: &Settings,
    pki: Pki,
    world: World,
    known: ServerFacts,
) -> Result<Server, Fault> {
    let client = parties::client(&settings.sm_dp_names, &settings.sm_dp);
    // The spelling of the user is kept: a server that listens on a port other than 443 may use an
    // address without this port.
    let address = settings.sm_dp_names.first().unwrap_or(&settings.sm_dp).clone();
    let reachable = parties::reachable(settings);
    let mut roots = parties::tls_roots(&pki);
    roots.extend(known.roots);
    let link = |identity: Option<&Identity>| {
        client.link(&reachable, Some(ClientTls::new(&roots, identity, Arc::clone(&world.clock))?))
    };
    let lpa = link(None)?;
    world::send(&lpa, get("/gsma/rsp2/es9plus")).await?;

    let run = format!("sgp23-{:016x}", u64::from_be_bytes(world.random::<8>()));
    let operator = |name: &str| -> Result<Operator, Fault> {
        let credential = pki.operator(name).map_err(|e| {
            Fault::usage_caused_by(
                e,
                "the tester's operators have no client certificates",
                "choose a PKI with the key of the CI",
            )
        })?;
        let identifier = credential.certificate.registered_ids().first();
        let identifier = identifier.map(ToString::to_string).unwrap_or_default();
        Ok(Operator::new(link(Some(&parties::identity(&credential)))?, identifier, VERSION, run.clone()))
    };
    let (operator, second_operator) =
        match (operator(parties::OPERATOR), operator("Landfall Second Operator")) {
            (Ok(first), Ok(second)) if has_es2plus(&first).await => (Some(first), Some(second)),
            (Err(fault), _) | (_, Err(fault)) => {
                remark(&format!("ES2+ cases are not run: {fault}"));
                (None, None)
            }
            _ => {
                remark(&format!("ES2+ cases are not run: {address} does not serve ES2+"));
                (None, None)
            }
        };
    let unknown_operator = Pki::from_seed(b"an unknown CI", &PkiOptions::default())
        .and_then(|pki| pki.operator("Unknown operator"))
        .map_err(|e| Fault::caused_by(e, "cannot create a certificate of an unknown CI", "report this"))?;
    let unknown_operator = link(Some(&parties::identity(&unknown_operator)))?;
    let admin = match &settings.admin {
        Some(address) => admin(address).await?,
        None => None,
    };
    Ok(Server {
        address,
        lpa,
        operator,
        second_operator,
        stranger: Some(unknown_operator),
        admin,
        profile_type: known.profile_type,
        codes: known.codes.into(),
        inbox: inbox(&settings.sm_dp, &pki, &world).await,
        smds_address: known.smds_address,
        version: VERSION,
        world,
        pki,
    })
}

/// Returns the connection to the admin API, if it responds.
async fn admin(address: &str) -> Result<Option<Link>, Fault> {
    let link = Client::default().link(address, None)?;
    match world::send(&link, get("/openapi.json")).await {
        Ok(answer) if answer.status().is_success() => Ok(Some(link)),
        _ => {
            remark(&format!("cases that need the admin API are not run: no admin API at {address}"));
            Ok(None)
        }
    }
}

/// Starts a server of the tester that the server under test can call, if that is on the loopback of
/// this host: ES2+ of the operator for an SM-DP+, ES9+ for an eIM.
pub(crate) async fn inbox(server: &str, pki: &Pki, world: &World) -> Option<Arc<dyn sgp23::Inbox>> {
    let host = parties::host_of(server);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    if !is_here {
        remark(
            "cases in which the server calls the tester are not run: the server is not on the loopback of this host",
        );
        return None;
    }
    match ReportServer::start(pki, world).await {
        Ok(listening) => Some(Arc::new(listening)),
        Err(fault) => {
            remark(&format!("cases in which the server calls the tester are not run: {fault}"));
            None
        }
    }
}

/// True if the server has ES2+. A server without it responds with 404.
async fn has_es2plus(operator: &Operator) -> bool {
    let call = operator.post(&ReleaseProfile::path(), &serde_json::json!({})).await;
    call.result.is_ok_and(|answer| answer.status() != http::StatusCode::NOT_FOUND)
}

fn get(path: &'static str) -> http::Request<bytes::Bytes> {
    let mut request = http::Request::new(bytes::Bytes::new());
    *request.uri_mut() = http::Uri::from_static(path);
    request
}

/// Server of the tester, which records the calls.
struct ReportServer {
    address: String,
    calls: Arc<Mutex<Vec<http::Request<bytes::Bytes>>>>,
    arrived: Arc<Notify>,
    /// The server stops when this is dropped.
    _running: Running,
}

/// Maximum time to wait for a call. It arrives within milliseconds, or after the retry that follows
/// a first failure.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

impl ReportServer {
    async fn start(pki: &Pki, world: &World) -> Result<Self, Fault> {
        let listener = net::listen("127.0.0.1:0").await?;
        let address = parties::local_address(&listener)?.to_string();
        let names = crate::pki::names_of(&address, &[])?;
        let tls = parties::operator_server_tls(pki, &names, Arc::clone(&world.clock))?;
        let calls: Arc<Mutex<Vec<_>>> = Arc::default();
        let arrived = Arc::new(Notify::new());
        let (kept, notify) = (Arc::clone(&calls), Arc::clone(&arrived));
        let take = world::link_from(tower::service_fn(move |request: http::Request<bytes::Bytes>| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            notify.notify_waiters();
            let mut taken = http::Response::new(bytes::Bytes::new());
            *taken.status_mut() = http::StatusCode::NO_CONTENT;
            std::future::ready(Ok::<_, LinkFault>(taken))
        }));
        Ok(Self { address, calls, arrived, _running: Running::serve(listener, Some(tls), take)? })
    }

    fn received(&self, text: &str) -> Vec<http::Request<bytes::Bytes>> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let is_about =
            |call: &&http::Request<bytes::Bytes>| String::from_utf8_lossy(call.body()).contains(text);
        calls.iter().filter(is_about).cloned().collect()
    }
}

impl sgp23::Inbox for ReportServer {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn about<'a>(
        &'a self,
        text: &'a str,
        count: usize,
    ) -> world::BoxFuture<'a, Vec<http::Request<bytes::Bytes>>> {
        Box::pin(async move {
            let enough = async {
                loop {
                    // The wait is registered before the check, so that no call that arrives between
                    // the two is missed.
                    let arrived = self.arrived.notified();
                    if self.received(text).len() >= count {
                        return;
                    }
                    arrived.await;
                }
            };
            // After a timeout, the calls received so far are returned, even if they are
            // too few.
            let _ = tokio::time::timeout(CALL_TIMEOUT, enough).await;
            self.received(text)
        })
    }
}

/// SM-DP+ and SM-DS of this program, on free ports and with records in memory.
pub struct OwnServer {
    /// Settings with their addresses.
    pub settings: Settings,
    /// PKI with the certificates of all parties.
    pub pki: Pki,
    /// The SM-DP+.
    pub sm_dp: SmDpPlus,
    running: [Running; 3],
    _delivery: Delivery,
}

impl OwnServer {
    /// Starts both servers on free ports of the loopback.
    ///
    /// # Errors
    /// There is no free port, or a certificate cannot be created.
    pub async fn start(settings: &Settings, world: &World, events: Arc<dyn Events>) -> Result<Self, Fault> {
        let mut settings = Settings {
            sm_dp: "127.0.0.1:0".to_owned(),
            sm_ds: "127.0.0.1:0".to_owned(),
            admin: Some("127.0.0.1:0".to_owned()),
            ..settings.clone()
        };
        if settings.sm_dp_names.is_empty() {
            // The server gets a host name, so that the cases about upper and lower case apply.
            settings.sm_dp_names.push("smdpp.landfall.example".to_owned());
        }
        let listener = parties::listen_at(&mut settings.sm_dp, "--sm-dp").await?;
        let sm_ds_listener = parties::listen_at(&mut settings.sm_ds, "--sm-ds").await?;
        let admin_listener = net::listen("127.0.0.1:0").await?;
        settings.admin = Some(parties::local_address(&admin_listener)?.to_string());

        let names = crate::pki::server_names(&settings)?;
        let options = PkiOptions { smdp_names: names.clone(), ..PkiOptions::default() };
        let pki = Pki::from_seed(settings.seed.as_bytes(), &options)
            .map_err(|e| Fault::caused_by(e, "cannot create a PKI for the server", "report this"))?;
        let records = || Arc::new(MemoryRecords::default());
        let sm_dp = parties::sm_dp_on(&settings, &pki, world, Arc::clone(&events), records())?;
        let sm_ds = parties::sm_ds_on(&settings, &pki, world, events, records())?;
        let clock = Arc::clone(&world.clock);
        let (sm_dp, delivery) =
            peers::connect(sm_dp, &Operators::default(), &pki, &settings, &clock, &ActiveFaults::none())
                .await?;
        let sm_ds_tls = parties::sm_ds_tls(&settings, &pki, Arc::clone(&clock))?;
        let tls = parties::sm_dp_tls(&pki, &names, Arc::clone(&world.clock))?;
        let running = [
            Running::serve(listener, Some(tls), sm_dp.link())?,
            Running::serve(sm_ds_listener, Some(sm_ds_tls), sm_ds.link())?,
            Running::serve(admin_listener, None, sm_dp.admin())?,
        ];
        Ok(Self { settings, pki, sm_dp, running, _delivery: delivery })
    }

    /// Facts about the server for the tester.
    pub fn known(&self) -> ServerFacts {
        ServerFacts { smds_address: Some(self.settings.sm_ds.clone()), ..ServerFacts::default() }
    }

    /// Stops the servers.
    pub async fn stop(self) {
        for running in self.running {
            running.stop().await;
        }
    }
}
