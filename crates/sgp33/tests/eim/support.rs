//! An eIM of this project with an SM-DP+, and the tester's view of it.

use std::sync::{Arc, LazyLock};

use certs::{Pki, PkiOptions};
use eim::{Config, Credentials, Eim};
use rsp::ids::{SmdpAddress, Version};
use sgp23::minimal_package;
use sgp33::eim::{Api, EimUnderTest};
use sm_dp::{ProfileOptions, SmDpPlus};
use world::{Fault, Link, ManualClock, MemoryEvents, MemoryRecords, SeededRandom, World};

const EIM_ID: &str = "eim.landfall.example";
const SM_DP: &str = "smdpp.landfall.example";

static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::from_seed(b"sgp33 tests", &PkiOptions::default()).unwrap());

/// The key with which the eIM signs packages.
pub(crate) fn signing_key() -> crypto::SecretKey {
    PKI.eim(EIM_ID, &[EIM_ID.parse().unwrap()]).unwrap().signing[0].clone()
}

/// Creates an eIM and its SM-DP+. The tester reaches ESipa through a link that can change messages.
pub(crate) async fn under_test(wrap: fn(Link) -> Link) -> EimUnderTest {
    let clock = ManualClock::at("2026-11-25T08:00:00Z".parse().unwrap());
    let world = |name| World::new(clock.clone(), SeededRandom::from_text(name));
    let pki = PKI.clone();
    let sm_dp = SmDpPlus::new(
        sm_dp::Config::new(SM_DP.parse().unwrap()),
        sm_dp::Credentials::from_pki(&pki).unwrap(),
        Arc::new(MemoryRecords::default()),
        world("SM-DP+"),
        Arc::new(MemoryEvents::default()),
    );
    let iccid = "8949000000000000001".parse().unwrap();
    sm_dp.add_profile(&minimal_package(iccid, "test", &[]), &ProfileOptions::default()).await.unwrap();
    let order = serde_json::json!({ "iccid": iccid, "matchingId": "CODE-1", "reusable": true });
    sm_dp.ensure_order(&serde_json::from_value(order).unwrap()).await.unwrap();
    let eim = Eim::new(
        Config::new(EIM_ID, EIM_ID.parse().unwrap()),
        Credentials::from_pki(&pki, EIM_ID, &[EIM_ID.parse().unwrap()]).unwrap(),
        Arc::new(MemoryRecords::default()),
        world("eIM"),
        Arc::new(MemoryEvents::default()),
    );
    let link = sm_dp.link();
    let eim = eim.with_peers(Arc::new(move |_: &SmdpAddress| -> Result<Link, Fault> { Ok(link.clone()) }));
    let esipa = wrap(eim.link());
    EimUnderTest {
        configuration: eim.configuration_data(),
        esipa: esipa.clone(),
        esipa_tls12: Some(esipa),
        operator: Some(Arc::new(Api(eim.admin()))),
        codes: vec![format!("1${SM_DP}$CODE-1")].into(),
        pki,
        version: Version([2, 5, 0]),
        world: world("tester"),
    }
}
