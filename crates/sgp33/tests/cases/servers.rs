//! An eIM of this project with an SM-DP+.

use std::sync::{Arc, LazyLock};

use certs::{Pki, PkiOptions};
use eim::{Config, Credentials, Eim};
use rsp::ids::SmdpAddress;
use sm_dp::SmDpPlus;
use world::{Fault, Link, ManualClock, MemoryEvents, MemoryRecords, SeededRandom, World};

pub(crate) const EIM_ID: &str = "eim.landfall.example";
pub(crate) const SM_DP: &str = "smdpp.landfall.example";

pub(crate) static PKI: LazyLock<Pki> =
    LazyLock::new(|| Pki::from_seed(b"sgp33 tests", &PkiOptions::default()).unwrap());

/// The servers, and the clock of all parties.
pub(crate) struct Servers {
    pub(crate) clock: ManualClock,
    pub(crate) sm_dp: SmDpPlus,
    pub(crate) eim: Eim,
}

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
        let link = sm_dp.link();
        let peers = move |_: &SmdpAddress| -> Result<Link, Fault> { Ok(link.clone()) };
        let eim = eim(EIM_ID, &clock).with_peers(Arc::new(peers));
        Self { clock, sm_dp, eim }
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

fn eim(id: &str, clock: &ManualClock) -> Eim {
    Eim::new(
        Config::new(id, id.parse().unwrap()),
        Credentials::from_pki(&PKI, id, &[id.parse().unwrap()]).unwrap(),
        Arc::new(MemoryRecords::default()),
        World::new(clock.clone(), SeededRandom::from_text(id)),
        Arc::new(MemoryEvents::default()),
    )
}
