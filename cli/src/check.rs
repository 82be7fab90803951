//! A tester's ways to an SM-DP+, and an SM-DP+ of our own to try them on.

use std::sync::Arc;

use certs::{Pki, PkiOptions};
use net::{Client, ClientTls, Identity};
use rsp::ids::Version;
use sgp23::{Operator, Server};
use sm_dp::{Config, Credentials, SmDpPlus};
use world::{Events, Fault, Link, MemoryRecords, World};

use crate::{
    output::remark,
    parties::{self, Running},
    settings::Settings,
};

/// The version of SGP.22 that the tester's LPA and operators say they speak.
const VERSION: Version = Version([2, 5, 0]);

/// What a tester is told of a server beside the settings.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Roots (DER) of the server's TLS certificate that are not in the PKI.
    pub roots: Vec<Vec<u8>>,
    /// A profile type that may be ordered on ES2+ without end.
    pub profile_type: Option<String>,
    /// MatchingIDs that wait already.
    pub codes: Vec<String>,
}

/// The server of the settings as a tester meets it: what does not answer there is not used.
///
/// # Errors
/// The PKI cannot be used, or nothing answers at the address.
pub async fn server(settings: &Settings, pki: Pki, world: World, known: Known) -> Result<Server, Fault> {
    let client = parties::client(&settings.sm_dp_names, &settings.sm_dp);
    // As the user spelled it: a server on another port than 443 need not know that it is.
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
            Fault::caused_by(
                e,
                "the tester's operators have no client certificates",
                "give a PKI that has the CI's key",
            )
        })?;
        let identifier = credential.certificate.registered_ids().first();
        let identifier = identifier.map(ToString::to_string).unwrap_or_default();
        Ok(Operator::new(link(Some(&parties::identity(&credential)))?, identifier, VERSION, run.clone()))
    };
    let (operator, second_operator) =
        match (operator("Landfall Test Operator"), operator("Landfall Second Operator")) {
            (Ok(first), Ok(second)) if has_es2plus(&first).await => (Some(first), Some(second)),
            (Err(fault), _) | (_, Err(fault)) => {
                remark(&format!("cases of ES2+ are not run: {fault}"));
                (None, None)
            }
            _ => {
                remark(&format!("cases of ES2+ are not run: {address} has no such function"));
                (None, None)
            }
        };
    let stranger = Pki::from_seed(b"a stranger's CI", &PkiOptions::default())
        .and_then(|pki| pki.operator("Stranger"))
        .map_err(|e| Fault::caused_by(e, "cannot make a stranger's certificate", "report this"))?;
    let stranger = link(Some(&parties::identity(&stranger)))?;
    let admin = match &settings.admin {
        Some(address) => admin(address).await?,
        None => None,
    };
    Ok(Server {
        address,
        lpa,
        operator,
        second_operator,
        stranger: Some(stranger),
        admin,
        profile_type: known.profile_type,
        codes: known.codes,
        inbox: None,
        smds_address: None,
        version: VERSION,
        world,
        pki,
    })
}

/// The admin API, if it answers.
async fn admin(address: &str) -> Result<Option<Link>, Fault> {
    let link = Client::default().link(address, None)?;
    match world::send(&link, get("/openapi.json")).await {
        Ok(answer) if answer.status().is_success() => Ok(Some(link)),
        _ => {
            remark(&format!("cases that need the admin API are not run: there is none at {address}"));
            Ok(None)
        }
    }
}

/// Whether ES2+ is there at all: a server without it does not know the path.
async fn has_es2plus(operator: &Operator) -> bool {
    let answer = operator.post("releaseProfile", &serde_json::json!({})).await;
    answer.is_ok_and(|answer| answer.status() != http::StatusCode::NOT_FOUND)
}

fn get(path: &'static str) -> http::Request<bytes::Bytes> {
    let mut request = http::Request::new(bytes::Bytes::new());
    *request.uri_mut() = http::Uri::from_static(path);
    request
}

/// An SM-DP+ of our own on sockets of its own, its records in memory.
pub struct Own {
    /// Where it is.
    pub settings: Settings,
    /// Its certificates, and everybody else's.
    pub pki: Pki,
    running: [Running; 2],
}

impl Own {
    /// Starts it on free ports of the loopback.
    ///
    /// # Errors
    /// There is no free port, or no certificate can be made.
    pub async fn start(settings: &Settings, world: &World, events: Arc<dyn Events>) -> Result<Self, Fault> {
        let mut settings = Settings {
            sm_dp: "127.0.0.1:0".to_owned(),
            admin: Some("127.0.0.1:0".to_owned()),
            ..settings.clone()
        };
        if settings.sm_dp_names.is_empty() {
            // A name, so that upper and lower case make a difference.
            settings.sm_dp_names.push("smdpp.landfall.example".to_owned());
        }
        let listener = parties::listen_at(&mut settings.sm_dp).await?;
        let mut admin = "127.0.0.1:0".to_owned();
        let admin_listener = parties::listen_at(&mut admin).await?;
        settings.admin = Some(admin);

        let cannot = |e| Fault::caused_by(e, "cannot make a PKI for the server", "report this");
        let names = crate::pki::server_names(&settings)?;
        let options = PkiOptions { smdp_names: names.clone(), ..PkiOptions::default() };
        let pki = Pki::from_seed(settings.seed.as_bytes(), &options).map_err(cannot)?;
        let (first, others) = parties::parsed(&parties::addresses(&settings.sm_dp_names, &settings.sm_dp))?;
        let mut config = Config::new(first);
        config.other_addresses = others;
        let sm_dp = SmDpPlus::new(
            config,
            Credentials::from_pki(&pki).map_err(cannot)?,
            Arc::new(MemoryRecords::default()),
            world.clone(),
            events,
        );
        let tls = parties::sm_dp_tls(&pki, &names, Arc::clone(&world.clock))?;
        let running = [
            Running::serve(listener, Some(tls), sm_dp.link())?,
            Running::serve(admin_listener, None, sm_dp.admin())?,
        ];
        Ok(Self { settings, pki, running })
    }

    /// Stops it.
    pub async fn stop(self) {
        for running in self.running {
            running.stop().await;
        }
    }
}
