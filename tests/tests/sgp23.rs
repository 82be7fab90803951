//! The whole table of `sgp23`, over TLS: against a server of our own, or against the one that the environment names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::sync::Arc;

use certs::{Credential, Pki, PkiOptions};
use crypto::Curve;
use net::{Client, ClientAuth, ClientTls, Identity, ServerTls};
use rsp::ids::Version;
use sgp23::{Ended, Operator, Selection, Server};
use sm_dp::{Config, Credentials, SmDpPlus};
use world::{Clock, ManualClock, MemoryEvents, MemoryRecords, SeededDice, World};

const VERSION: Version = Version([2, 5, 0]);

/// Cases that our server does not pass yet. One that passes must go from here.
const GAPS: &[&str] = &["default SM-DP+: an EID for which no order waits is refused"];

struct Ours {
    server: Server,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Ours {
    async fn start() -> Self {
        let pki = Pki::from_seed(b"sgp23 tests", &PkiOptions::default()).unwrap();
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        let world = World::new(clock.clone(), SeededDice::from_text("sgp23 server"));
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let roots = vec![pki.ci(Curve::P256).unwrap().der().to_vec()];

        let listener = net::listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let sm_dp = SmDpPlus::new(
            Config::new(address.parse().unwrap()),
            Credentials::from_pki(&pki).unwrap(),
            Arc::new(MemoryRecords::default()),
            world,
            Arc::new(MemoryEvents::default()),
        );
        let tls = identity(&pki.dp(Curve::P256).unwrap().tls);
        let tls = ServerTls::new(&tls, &ClientAuth::Optional(roots.clone()), Arc::clone(&clock)).unwrap();
        let lpas_and_operators =
            tokio::spawn(net::serve(listener, Some(tls), sm_dp.link(), std::future::pending()));
        let listener = net::listen("127.0.0.1:0").await.unwrap();
        let admin = Client::default().link(&listener.local_addr().unwrap().to_string(), None).unwrap();
        let bench = tokio::spawn(net::serve(listener, None, sm_dp.admin(), std::future::pending()));

        let link = |identity: Option<&Identity>| {
            let tls = ClientTls::new(&roots, identity, Arc::clone(&clock)).unwrap();
            Client::default().link(&address, Some(tls)).unwrap()
        };
        let operator = |name: &str| {
            let credential = pki.operator(name).unwrap();
            Operator {
                link: link(Some(&identity(&credential))),
                identifier: credential.certificate.registered_ids()[0].to_string(),
                version: VERSION,
            }
        };
        let stranger = Pki::from_seed(b"somebody else", &PkiOptions::default()).unwrap();
        let stranger = identity(&stranger.operator("Stranger").unwrap());
        let server = Server {
            lpa: link(None),
            operator: Some(operator("Landfall Test Operator")),
            second_operator: Some(operator("Another Operator")),
            stranger: Some(link(Some(&stranger))),
            admin: Some(admin),
            profile_type: None,
            codes: Vec::new(),
            smds_address: None,
            version: VERSION,
            world: World::new(
                ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()),
                SeededDice::from_text("sgp23 tester"),
            ),
            address,
            pki,
        };
        Self { server, tasks: [lpas_and_operators, bench] }
    }
}

fn identity(credential: &Credential) -> Identity {
    Identity { chain: vec![credential.certificate.der().to_vec()], key: credential.key_pkcs8().into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_server_passes_every_case() {
    let ours = Ours::start().await;
    let selection = Selection {
        filter: std::env::var("LANDFALL_SGP23_CASE").unwrap_or_default(),
        ..Selection::default()
    };
    let mut wrong = Vec::new();
    let report = sgp23::run(&ours.server, &sgp23::table(), &selection, |entry| {
        let is_gap = GAPS.contains(&entry.title.as_str());
        if matches!(entry.ended, Ended::Failed(_)) != is_gap {
            wrong.push(entry.line());
        }
        if matches!(entry.ended, Ended::NotRun(_)) {
            println!("{}", entry.line());
        }
    })
    .await;
    println!("{}", report.summary());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
