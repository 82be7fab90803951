//! Live sessions: an LPA with a card downloads a profile from an SM-DP+. One message of the session
//! is mutated, and in most rounds signed again with the key of its sender. The parties must answer or
//! refuse, and an honest download afterwards must succeed.

use std::sync::{Arc, LazyLock};

use ::testbed::Testbed;
use certs::{Pki, PkiOptions};
use device::{DownloadOptions, EventSource, Lpa, LpaSettings, Slot};
use rsp::ids::SmdpAddress;
use rsp::sgp22::ProfileState;
use sm_dp::ProfileOptions;
use world::{Fault, Link, RamMemory};

use crate::interference::{Interference, interfered};
use crate::run::{Round, Run};

const ADDRESS: &str = "smdp.example.com";

/// Messages of a download: request and reply of four functions.
const MESSAGES: usize = 8;

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"fuzz", &PkiOptions::default()).unwrap()));

#[test]
fn a_session_with_a_mutated_message_ends_and_the_next_download_succeeds() {
    let mut run = Run::of("a_session_with_a_mutated_message_ends_and_the_next_download_succeeds", 20, 100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let (mut rounds, mut downloads) = (0, 0);
    while let Some(mut round) = run.round() {
        rounds += 1;
        let number = round.random.number(MESSAGES);
        let interference = Interference::new(&PKI, &round.random, number);
        downloads += usize::from(session(&mut round, &runtime, &interference));
    }
    println!("{downloads} of {rounds} downloads with a mutated message succeeded");
    run.end();
}

/// Returns true if the download with the mutated message succeeded.
fn session(round: &mut Round, runtime: &tokio::runtime::Runtime, interference: &Arc<Interference>) -> bool {
    let seed = format!("session {}", round.number);
    round.step(format!("message {} is mutated", interference.number()), || {
        runtime.block_on(async {
            let testbed = Testbed::with_pki(Arc::clone(&PKI), &seed);
            let sm_dp = testbed.sm_dp_plus(ADDRESS).unwrap();
            let eid = testbed.eid().unwrap();
            let operator = testbed.operator(sm_dp.link()).unwrap();
            let mut codes = Vec::new();
            for number in [1, 2] {
                let package = ::testbed::subscription::own_package("724-99", number, "Session").unwrap();
                let iccid = sm_dp.add_profile(&package, &ProfileOptions::default()).await.unwrap();
                codes.push(operator.order(iccid, Some(eid), ADDRESS.parse().unwrap()).await.unwrap());
            }
            let link = interfered(sm_dp.link(), Arc::clone(interference));
            let links = move |_: &SmdpAddress| Ok::<Link, Fault>(link.clone());
            let card = testbed.card(eid, RamMemory::default()).unwrap();
            let clock = testbed.world("device").clock;
            let mut lpa =
                Lpa::new(Slot::new(card), links, LpaSettings::default(), EventSource::silent(clock));

            let first = lpa.download(&codes[0], DownloadOptions::default()).await;
            interference.end();
            let listed = lpa.list().await.expect("the card lists its profiles");
            if let Ok(installed) = &first {
                assert!(listed.iter().any(|profile| profile.iccid == Some(installed.iccid)), "{listed:?}");
            }
            assert!(listed.len() <= 1, "{listed:?}");

            let second = lpa.download(&codes[1], DownloadOptions::default()).await;
            let second = second.unwrap_or_else(|why| panic!("the honest download fails: {why:?}"));
            lpa.enable(second.iccid).await.expect("the profile can be enabled");
            let listed = lpa.list().await.expect("the card lists its profiles");
            let enabled = listed.iter().find(|profile| profile.profile_state == Some(ProfileState::ENABLED));
            assert_eq!(enabled.and_then(|profile| profile.iccid), Some(second.iccid), "{listed:?}");
            first.is_ok()
        })
    })
}
