//! An eIM of this project with an SM-DP+, an SM-DS, and the SM-DP+ of the tester.

use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use crypto::Curve;
use eim::{Config, Credentials, Eim};
use http::{Request, Response, StatusCode};
use rsp::ids::SmdpAddress;
use sgp33::eim::SmDsOfEvents;
use sm_dp::SmDpPlus;
use sm_ds::SmDs;
use world::{
    BoxFuture, Fault, Link, LinkFault, ManualClock, MemoryEvents, MemoryRecords, SeededRandom, World,
    link_from,
};

pub(crate) const EIM_ID: &str = "eim.landfall.example";
pub(crate) const SM_DP: &str = "smdpp.landfall.example";
pub(crate) const SM_DS: &str = "smds.landfall.example";

/// The SM-DP+ of the tester.
const INBOX: &str = "inbox.tester.example";

pub(crate) static PKI: LazyLock<Pki> =
    LazyLock::new(|| Pki::from_seed(b"sgp33 tests", &PkiOptions::default()).unwrap());

/// The servers, and the clock of all parties.
pub(crate) struct Servers {
    pub(crate) clock: ManualClock,
    pub(crate) sm_dp: SmDpPlus,
    pub(crate) sm_ds: SmDs,
    pub(crate) eim: Eim,
    calls: Calls,
}

/// The calls at the SM-DP+ of the tester.
type Calls = Arc<Mutex<Vec<Request<Bytes>>>>;

impl Servers {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at("2026-11-25T08:00:00Z".parse().unwrap());
        let sm_dp = SmDpPlus::new(
            sm_dp::Config::new(SM_DP.parse().unwrap()),
            sm_dp::Credentials::from_pki(&PKI).unwrap(),
            Arc::new(MemoryRecords::default()),
            World::new(clock.clone(), SeededRandom::from_text("SM-DP+")),
            Arc::new(MemoryEvents::default()),
        );
        let sm_ds = SmDs::new(
            sm_ds::Config::new(SM_DS.parse().unwrap()),
            sm_ds::Credentials::from_pki(&PKI).unwrap(),
            Arc::new(MemoryRecords::default()),
            World::new(clock.clone(), SeededRandom::from_text("SM-DS")),
            Arc::new(MemoryEvents::default()),
        );
        let calls = Calls::default();
        let at_inbox = Arc::clone(&calls);
        let inbox = link_from(tower::service_fn(move |request: Request<Bytes>| {
            at_inbox.lock().unwrap().push(request);
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            std::future::ready(Ok::<_, LinkFault>(response))
        }));
        let to_servers = between(sm_dp.link(), sm_ds.link());
        let peers = move |address: &SmdpAddress| -> Result<Link, Fault> {
            if address.as_str() == INBOX { Ok(inbox.clone()) } else { to_servers(address) }
        };
        let eim = eim(EIM_ID, &clock).with_peers(Arc::new(peers));
        Self { clock, sm_dp, sm_ds, eim, calls }
    }

    /// The SM-DS, with ES12 as the SM-DP+ of the tester calls it.
    pub(crate) fn events(&self) -> SmDsOfEvents {
        let certificate = PKI.dp(Curve::P256).unwrap().tls.certificate;
        SmDsOfEvents {
            address: SM_DS.parse().unwrap(),
            es12: world::with_peer_certificate(self.sm_ds.link(), certificate.der().to_vec()),
            requester: certificate.registered_ids()[0].to_string(),
        }
    }

    /// The SM-DP+ of the tester.
    pub(crate) fn inbox(&self) -> Inbox {
        Inbox { calls: Arc::clone(&self.calls), eim: self.eim.clone() }
    }

    /// Creates another eIM.
    pub(crate) fn another_eim(&self, id: &str) -> Eim {
        eim(id, &self.clock)
    }

    /// The clock, and randomness of its own.
    pub(crate) fn world(&self, name: &str) -> World {
        World::new(self.clock.clone(), SeededRandom::from_text(name))
    }
}

/// Returns the link to the SM-DS or, for any other address, to the SM-DP+.
pub(crate) fn between(sm_dp: Link, sm_ds: Link) -> impl Fn(&SmdpAddress) -> Result<Link, Fault> + Clone {
    move |address| Ok(if address.as_str() == SM_DS { sm_ds.clone() } else { sm_dp.clone() })
}

/// The SM-DP+ of the tester. It lets the eIM deliver before it looks at the calls.
pub(crate) struct Inbox {
    calls: Calls,
    eim: Eim,
}

impl sgp23::Inbox for Inbox {
    fn address(&self) -> String {
        INBOX.to_owned()
    }

    fn about<'a>(&'a self, text: &'a str, _: usize) -> BoxFuture<'a, Vec<Request<Bytes>>> {
        Box::pin(async move {
            self.eim.due().await.unwrap().run().await;
            let calls = self.calls.lock().unwrap();
            let is_about = |call: &&Request<Bytes>| String::from_utf8_lossy(call.body()).contains(text);
            calls.iter().filter(is_about).cloned().collect()
        })
    }
}

fn eim(id: &str, clock: &ManualClock) -> Eim {
    Eim::new(
        Config::new(id, id.parse().unwrap()),
        Credentials::from_pki(&PKI, id, &[id.parse().unwrap()]).unwrap(),
        Arc::new(MemoryRecords::default()),
        World::new(clock.clone(), SeededRandom::from_text(id)),
        Arc::new(MemoryEvents::default()),
    )
}
