//! Live mode: a scenario over sockets has the same result as one without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use certs::{Pki, PkiOptions};
use cli::live;
use cli::parties::{self, Running};
use crypto::Curve;
use net::OsClock;
use scenario::file::Scenario;
use scenario::library;
use scenario::play::play;
use scenario::report::{Live, Report, Verdict};
use sm_dp::{ProfileOptions, ProfileState, SmDpPlus};
use testbed::Testbed;
use testbed::subscription::own_package;
use world::RamMemory;

/// Runs a scenario over sockets and without. The reports only differ in the mark of the live mode,
/// which is checked and removed.
fn run_both_ways(name: &str, text: &str, seed: &str) -> [Report; 2] {
    println!("{name} with seed {seed}");
    let scenario = Scenario::parse(name, text).unwrap_or_else(|why| panic!("{why}"));
    let mut over_sockets = live::play(name, &scenario, seed, silent()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(over_sockets.live.take(), Some(Live::default()));
    [over_sockets, play(name, &scenario, seed).unwrap_or_else(|why| panic!("{why}"))]
}

/// A progress display that shows nothing.
fn silent() -> scenario::play::Progress {
    Arc::new(|_| ())
}

/// Downloads, check-ins and orders while the SM-DP+ crashes at its commits and restarts.
#[test]
fn server_crashes_have_the_same_result_over_sockets() {
    let text = library::named("server-crashes").unwrap();
    let [live, alone] = run_both_ways("server-crashes", text, "11");
    assert_eq!(live.verdict(), Verdict::Passed);
    assert!(live.faults.values().any(|struck| struck.times > 0), "no fault occurred");
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// Devices that roam with one of two identities, and return to the other one where a network refuses
/// the first.
#[test]
fn a_refused_identity_has_the_same_result_over_sockets() {
    let text = library::named("one-identity-is-welcome").unwrap();
    let [live, alone] = run_both_ways("one-identity-is-welcome", text, "14");
    assert_eq!(live.verdict(), Verdict::Passed, "{}", cli::report::text(&live));
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// As [`run_both_ways`], with M2M devices, whose report mentions that short messages do not use sockets.
fn run_both_ways_m2m(name: &str, text: &str, seed: &str) -> [Report; 2] {
    println!("{name} with seed {seed}");
    let scenario = Scenario::parse(name, text).unwrap_or_else(|why| panic!("{why}"));
    let mut over_sockets = live::play(name, &scenario, seed, silent()).unwrap_or_else(|why| panic!("{why}"));
    let live = over_sockets.live.take().unwrap();
    assert_eq!(live.words(), "over sockets except for short messages");
    [over_sockets, play(name, &scenario, seed).unwrap_or_else(|why| panic!("{why}"))]
}

/// ES1 to ES4 over mutual TLS while the SM-SR and the SM-DP crash and restart.
#[test]
fn m2m_server_crashes_have_the_same_result_over_sockets() {
    let text = library::named("m2m-sm-sr-dies-in-the-middle").unwrap();
    let [live, alone] = run_both_ways_m2m("m2m-sm-sr-dies-in-the-middle", text, "17");
    assert_eq!(live.verdict(), Verdict::Passed, "{}", cli::report::text(&live));
    assert!(live.faults.values().any(|struck| struck.times > 0), "no fault occurred");
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// ES7: an SM-SR hands its cards over to another one.
#[test]
fn an_sm_sr_change_has_the_same_result_over_sockets() {
    let text = library::named("m2m-fleet-changes-its-sm-sr").unwrap();
    let [live, alone] = run_both_ways_m2m("m2m-fleet-changes-its-sm-sr", text, "18");
    assert_eq!(live.verdict(), Verdict::Passed, "{}", cli::report::text(&live));
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// ES5: the sessions between cards and SM-SR use sockets, too.
#[test]
fn card_sessions_have_the_same_result_over_sockets() {
    let text = library::named("m2m-cars-over-https").unwrap();
    let [live, alone] = run_both_ways_m2m("m2m-cars-over-https", text, "7");
    assert_eq!(live.verdict(), Verdict::Passed, "{}", cli::report::text(&live));
    assert!(live.faults.values().any(|struck| struck.times > 0), "no fault occurred");
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// Link faults occur before a message reaches the socket.
#[test]
fn lost_messages_have_the_same_result_over_sockets() {
    let text = library::named("lost-notifications").unwrap();
    let [live, alone] = run_both_ways("lost-notifications", text, "12");
    assert!(live.faults.values().any(|struck| struck.times > 0), "no fault occurred");
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// An SM-DP+ that is down during requests and between them, and a platform that is down.
#[test]
fn outages_of_servers_have_the_same_result_over_sockets() {
    let text = r#"
        title = "Servers that are outage"
        lasts = "6d"
        [[network]]
        plmn = "234-91"
        [[network]]
        plmn = "724-91"
        [[operator]]
        network = "234-91"
        [[operator]]
        network = "724-91"
        stock = 3
        [[devices]]
        name = "meters"
        count = 3
        bootstrap = "234-91"
        check_in = "6h"
        journey = [{ at = "0d", hears = ["724-91", "234-91"] }]
        [[campaign]]
        name = "home"
        at = "1d"
        target = "724-91"
        retries = { times = 3, after = "6h" }
        [[step]]
        at = "1d"
        do = "restart"
        party = "sm-dp"
        lasts = "12h"
        [[step]]
        at = "4d"
        do = "restart"
        party = "platform"
        lasts = "8h"
        [[expect]]
        with = "724-91"
        [[expect]]
        agrees = true
    "#;
    let [live, alone] = run_both_ways("outage", text, "13");
    let json = live.json().unwrap();
    assert!(json.contains("the platform is unreachable"), "no request was sent during the outage:\n{json}");
    assert_eq!(live.verdict(), Verdict::Passed, "{json}");
    assert_eq!(json, alone.json().unwrap());
}

#[test]
fn a_live_report_names_the_mode_and_can_be_replayed_without_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let landfall = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_landfall")).args(args).current_dir(&folder).output().unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (passed, printed) = landfall(&["run", "corrupt-package", "--live", "--seed", "14", "--report", "."]);
    assert!(passed && printed.contains("seed 14, over sockets"), "{printed}");
    assert!(printed.contains("again: landfall run corrupt-package --live --seed 14"), "{printed}");
    let page = std::fs::read_to_string(folder.path().join("corrupt-package.html")).unwrap();
    assert!(page.contains("over sockets") && page.contains("landfall run corrupt-package --live --seed 14"));
    let (same, printed) = landfall(&["replay", "corrupt-package.json"]);
    assert!(same, "{printed}");
}

/// External parties in their own runtime: an SM-DP+ with two profiles for orders and one with the
/// MatchingID SPARE, and a card.
struct ExternalParties {
    real: tokio::runtime::Runtime,
    pki: Arc<Pki>,
    sm_dp: SmDpPlus,
    at: Running,
    card_at: String,
}

const SCENARIO: &str = r#"
    title = "With others"
    lasts = "5d"
    [[network]]
    plmn = "234-91"
    [[network]]
    plmn = "724-91"
    [[operator]]
    network = "234-91"
    [[operator]]
    network = "724-91"
    stock = 2
    [[devices]]
    name = "meters"
    count = 2
    bootstrap = "234-91"
    check_in = "6h"
    journey = [{ at = "0d", hears = ["724-91", "234-91"] }]
    [[campaign]]
    name = "home"
    at = "1d"
    target = "724-91"
    [[fault]]
    what = "link/lose-answer@ES9+.AuthenticateClient#1"
    devices = "meters 1"
    [[expect]]
    on = "724-91"
    with = "724-91"
    [[expect]]
    agrees = true
    [[expect]]
    fault = "link/lose-answer"
    exactly = 1
"#;

impl ExternalParties {
    fn begin(folder: &Path) -> Self {
        let real =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let pki = Arc::new(Pki::from_seed(b"others", &PkiOptions::default()).unwrap());
        cli::pki::write(&folder.join("pki"), &pki.files()).unwrap();
        let (sm_dp, at, card_at) = real.block_on(async {
            let listener = net::listen("127.0.0.1:0").await.unwrap();
            let address = format!("localhost:{}", listener.local_addr().unwrap().port());
            let testbed = Testbed::with_pki(Arc::clone(&pki), "others").with_clock(OsClock);
            let sm_dp = testbed.sm_dp_plus(&address).unwrap();
            let names = ["localhost".parse().unwrap()];
            let tls = parties::sm_dp_tls(&pki, &names, Arc::new(OsClock)).unwrap();
            let at = Running::serve(listener, Some(tls), sm_dp.link()).unwrap();
            for (number, profile_type) in [(71, "local-724-91"), (72, "local-724-91"), (73, "spare")] {
                let package = own_package("724-91", number, "Theirs").unwrap();
                fs::write(folder.join(format!("{number}.der")), &package).unwrap();
                let options =
                    ProfileOptions { profile_type: Some(profile_type.into()), ..ProfileOptions::default() };
                sm_dp.add_profile(&package, &options).await.unwrap();
            }
            let spare = serde_json::json!({ "profileType": "spare", "matchingId": "SPARE" });
            sm_dp.ensure_order(&serde_json::from_value(spare).unwrap()).await.unwrap();
            let mut card = testbed.card(testbed.eid().unwrap(), RamMemory::default()).unwrap();
            let package = own_package("234-91", 70, "Bootstrap").unwrap();
            fs::write(folder.join("70.der"), &package).unwrap();
            card.load_in_factory(&package, true).unwrap();
            let listener = net::listen("127.0.0.1:0").await.unwrap();
            let card_at = listener.local_addr().unwrap().to_string();
            tokio::spawn(net::card_interface::serve_card(listener, card));
            (sm_dp, at, card_at)
        });
        Self { real, pki, sm_dp, at, card_at }
    }

    fn states(&self) -> Vec<ProfileState> {
        let mut all = self.real.block_on(self.sm_dp.orders()).unwrap();
        all.sort_by_key(|profile| profile.iccid.to_string());
        all.into_iter().map(|profile| profile.state).collect()
    }
}

/// A device with an external card, one with a simulated card, and an external SM-DP+ that accepts
/// orders.
#[test]
fn an_external_server_and_card_take_part() {
    let folder = tempfile::tempdir().unwrap();
    let external = ExternalParties::begin(folder.path());
    let places = folder.path().join("places.toml");
    let profiles = "[{ package = '71.der' }, { package = '72.der' }]";
    let text = format!(
        "pki = 'pki'\nsm_dp = [{{ name = 'sm-dp', address = 'localhost:{}', profiles = {profiles} }}]\n\
         card = [{{ device = 'meters 1', tcp = '{}', profiles = ['70.der'] }}]",
        external.at.address.port(),
        external.card_at
    );
    fs::write(&places, text).unwrap();
    let report = live::play_with(&places, "others", ("others.toml", SCENARIO), "15", |_| silent()).unwrap();
    assert_eq!(report.verdict(), Verdict::Passed, "seed 15: {}", cli::report::text(&report));
    assert_eq!(report.live.as_ref().unwrap().strangers.len(), 2);
    let first = report.devices.shown().first().unwrap();
    assert_eq!((first.eid, first.profiles), (external.pki.eids(Curve::P256)[0], 2));
    assert_eq!(external.states(), [ProfileState::Installed, ProfileState::Installed, ProfileState::Released]);
    // The profiles are used up at the external server, so that a second run is refused.
    let again = live::play_with(&places, "others", ("others.toml", SCENARIO), "15", |_| silent());
    let why = again.err().map(|fault| fault.to_string()).unwrap_or_default();
    assert!(why.contains("its enabled profile belongs to 724-91, but bootstrap is 234-91"), "{why}");
}

/// For an SM-DP+ without ES2+, activation codes are given.
#[test]
fn an_external_server_without_orders_is_used_with_activation_codes() {
    let folder = tempfile::tempdir().unwrap();
    let external = ExternalParties::begin(folder.path());
    let places = folder.path().join("places.toml");
    let text = format!(
        "pki = 'pki'\nsm_dp = [{{ name = 'sm-dp', address = 'localhost:{}', \
         profiles = [{{ package = '73.der', code = 'SPARE' }}] }}]",
        external.at.address.port(),
    );
    fs::write(&places, text).unwrap();
    let scenario = SCENARIO.replace("count = 2", "count = 1");
    let report = live::play_with(&places, "codes", ("codes.toml", &scenario), "16", |_| silent()).unwrap();
    assert_eq!(report.verdict(), Verdict::Passed, "seed 16: {}", cli::report::text(&report));
    assert_eq!(
        external.states(),
        [ProfileState::Available, ProfileState::Available, ProfileState::Installed]
    );
    fs::write(
        &places,
        "sm_dp = [{ name = 'sm-dp', address = 'localhost:1', profiles = [{ package = '70.der' }] }]",
    )
    .unwrap();
    let m2m = scenario.replace("check_in = \"6h\"", "kind = \"m2m\"").replace("[[campaign]]", "[[x]]");
    let m2m = m2m.split("[[x]]").next().unwrap();
    let why = live::play_with(&places, "codes", ("codes.toml", m2m), "16", |_| silent()).unwrap_err();
    assert!(why.to_string().contains("M2M scenarios do not support third-party parties"), "{why}");
    let why =
        live::play_with(&places, "codes", ("codes.toml", "title = 'x'"), "16", |_| silent()).unwrap_err();
    assert!(why.to_string().contains("codes.toml:1"), "{why}");
}
