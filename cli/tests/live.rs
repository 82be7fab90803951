//! Scenarios over sockets: the same comes of them as without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use certs::{Pki, PkiOptions};
use cli::parties::{self, Running};
use cli::{live, subscription::own_package};
use crypto::Curve;
use euicc_sim::{Card, CardDescription};
use net::OsClock;
use rsp::ids::SmdpAddress;
use scenario::file::Scenario;
use scenario::library;
use scenario::play::play;
use scenario::report::{Live, Report, Verdict};
use sm_dp::{Config, Credentials, ProfileOptions, ProfileState, SmDpPlus};
use world::{MemoryRecords, NullEvents, RamMemory, SeededDice, World};

/// Both ways; how it was played is left out of the one over sockets, which must say it.
fn both(name: &str, text: &str, seed: &str) -> [Report; 2] {
    println!("{name} with seed {seed}");
    let scenario = Scenario::parse(name, text).unwrap_or_else(|why| panic!("{why}"));
    let mut over_sockets = live::play(name, &scenario, seed).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(over_sockets.live.take(), Some(Live::default()));
    [over_sockets, play(name, &scenario, seed).unwrap_or_else(|why| panic!("{why}"))]
}

/// Downloads, check-ins and orders, while the SM-DP+ dies at its commits and is started again.
#[test]
fn a_server_that_crashes_breaks_its_connections_and_everything_is_as_in_one_process() {
    let text = library::named("server-crashes").unwrap();
    let [live, alone] = both("server-crashes", text, "11");
    assert_eq!(live.verdict(), Verdict::Passed);
    assert!(live.faults.values().any(|struck| struck.times > 0), "nothing went wrong");
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// Both ways, of M2M devices: what stayed in the process is said.
fn both_of_m2m(name: &str, text: &str, seed: &str) -> [Report; 2] {
    println!("{name} with seed {seed}");
    let scenario = Scenario::parse(name, text).unwrap_or_else(|why| panic!("{why}"));
    let mut over_sockets = live::play(name, &scenario, seed).unwrap_or_else(|why| panic!("{why}"));
    let live = over_sockets.live.take().unwrap();
    assert_eq!(live.words(), "over sockets but for short messages");
    [over_sockets, play(name, &scenario, seed).unwrap_or_else(|why| panic!("{why}"))]
}

/// ES1 to ES4 over mutual TLS, while the SM-SR and the SM-DP die and come back.
#[test]
fn servers_of_m2m_devices_ask_each_other_over_sockets_and_die_there_as_in_one_process() {
    let text = library::named("m2m-sm-sr-dies-in-the-middle").unwrap();
    let [live, alone] = both_of_m2m("m2m-sm-sr-dies-in-the-middle", text, "17");
    assert_eq!(live.verdict(), Verdict::Passed, "{}", cli::report::text(&live));
    assert!(live.faults.values().any(|struck| struck.times > 0), "nothing went wrong");
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// ES7: an SM-SR hands its cards over to another.
#[test]
fn a_card_changes_its_sm_sr_over_sockets_as_in_one_process() {
    let text = library::named("m2m-fleet-changes-its-sm-sr").unwrap();
    let [live, alone] = both_of_m2m("m2m-fleet-changes-its-sm-sr", text, "18");
    assert_eq!(live.verdict(), Verdict::Passed, "{}", cli::report::text(&live));
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// ES5: what cards and their SM-SR say to each other crosses sockets as well.
#[test]
fn cards_open_their_sessions_over_sockets_and_lose_them_as_in_one_process() {
    let text = library::named("m2m-cars-over-https").unwrap();
    let [live, alone] = both_of_m2m("m2m-cars-over-https", text, "7");
    assert_eq!(live.verdict(), Verdict::Passed, "{}", cli::report::text(&live));
    assert!(live.faults.values().any(|struck| struck.times > 0), "nothing went wrong");
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// What goes wrong on a link does so before the wire.
#[test]
fn a_link_that_loses_what_is_sent_over_it_does_so_over_sockets_as_well() {
    let text = library::named("lost-notifications").unwrap();
    let [live, alone] = both("lost-notifications", text, "12");
    assert!(live.faults.values().any(|struck| struck.times > 0), "nothing went wrong");
    assert_eq!(live.json().unwrap(), alone.json().unwrap());
}

/// A server that is away for long, when it is asked and when nobody asks; and the platform likewise.
#[test]
fn who_asks_a_server_that_is_away_is_refused_and_finds_the_next_process() {
    let text = r#"
        title = "Servers that are away"
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
    let [live, alone] = both("away", text, "13");
    let told = live.json().unwrap();
    assert!(told.contains("the platform is unreachable"), "nobody asked while it was away:\n{told}");
    assert_eq!(live.verdict(), Verdict::Passed, "{told}");
    assert_eq!(told, alone.json().unwrap());
}

#[test]
fn the_command_plays_over_sockets_says_so_and_its_report_is_played_again_without() {
    let folder = tempfile::tempdir().unwrap();
    let landfall = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_landfall")).args(args).current_dir(&folder).output().unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (passed, said) = landfall(&["run", "corrupt-package", "--live", "--seed", "14", "--report", "."]);
    assert!(passed && said.contains("seed 14, over sockets"), "{said}");
    assert!(said.contains("again: landfall run corrupt-package --live --seed 14"), "{said}");
    let page = std::fs::read_to_string(folder.path().join("corrupt-package.html")).unwrap();
    assert!(page.contains("over sockets") && page.contains("landfall run corrupt-package --live --seed 14"));
    let (same, said) = landfall(&["replay", "corrupt-package.json"]);
    assert!(same, "{said}");
}

/// Others, in a runtime of their own: an SM-DP+ with two profiles that can be ordered and one under the code SPARE, and a card.
struct Others {
    real: tokio::runtime::Runtime,
    pki: Pki,
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

impl Others {
    fn begin(folder: &Path) -> Self {
        let real =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let pki = Pki::from_seed(b"others", &PkiOptions::default()).unwrap();
        cli::pki::write(&folder.join("pki"), &pki.files()).unwrap();
        let world = |name: &str| World::new(OsClock, SeededDice::from_text(name));
        let (sm_dp, at, card_at) = real.block_on(async {
            let listener = net::listen("127.0.0.1:0").await.unwrap();
            let address: SmdpAddress =
                format!("localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
            let credentials = Credentials::from_pki(&pki).unwrap();
            let records = Arc::new(MemoryRecords::default());
            let sm_dp =
                SmDpPlus::new(Config::new(address), credentials, records, world("dp"), Arc::new(NullEvents));
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
            let eid = pki.eids(Curve::P256)[0];
            let credentials = [pki.euicc(Curve::P256, eid).unwrap()];
            let description = CardDescription::default_for(eid, &credentials);
            let mut card = Card::open(description, RamMemory::default(), world("card")).unwrap();
            let package = own_package("234-91", 70, "Bootstrap").unwrap();
            fs::write(folder.join("70.der"), &package).unwrap();
            card.load_in_factory(&package, true).unwrap();
            let door = net::listen("127.0.0.1:0").await.unwrap();
            let card_at = door.local_addr().unwrap().to_string();
            tokio::spawn(net::door::serve_card(door, card));
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

/// A device with somebody else's card and one of ours, and somebody else's SM-DP+, which is ordered from.
#[test]
fn somebody_elses_server_and_card_take_part() {
    let folder = tempfile::tempdir().unwrap();
    let others = Others::begin(folder.path());
    let places = folder.path().join("places.toml");
    let profiles = "[{ package = '71.der' }, { package = '72.der' }]";
    let text = format!(
        "pki = 'pki'\nsm_dp = [{{ name = 'sm-dp', address = 'localhost:{}', profiles = {profiles} }}]\n\
         card = [{{ device = 'meters 1', tcp = '{}', profiles = ['70.der'] }}]",
        others.at.address.port(),
        others.card_at
    );
    fs::write(&places, text).unwrap();
    let report = live::play_with(&places, "others", ("others.toml", SCENARIO), "15").unwrap();
    assert_eq!(report.verdict(), Verdict::Passed, "seed 15: {}", cli::report::text(&report));
    assert_eq!(report.live.as_ref().unwrap().strangers.len(), 2);
    let first = report.devices.shown().first().unwrap();
    assert_eq!((first.eid, first.profiles), (others.pki.eids(Curve::P256)[0], 2));
    assert_eq!(others.states(), [ProfileState::Installed, ProfileState::Installed, ProfileState::Released]);
    // It is used up there, and not by a run of ours that is over.
    let again = live::play_with(&places, "others", ("others.toml", SCENARIO), "15");
    let why = again.err().map(|fault| fault.to_string()).unwrap_or_default();
    assert!(why.contains("its enabled profile belongs to 724-91, but bootstrap is 234-91"), "{why}");
}

/// Where nothing can be ordered there are activation codes.
#[test]
fn somebody_elses_server_that_takes_no_orders_has_codes() {
    let folder = tempfile::tempdir().unwrap();
    let others = Others::begin(folder.path());
    let places = folder.path().join("places.toml");
    let text = format!(
        "pki = 'pki'\nsm_dp = [{{ name = 'sm-dp', address = 'localhost:{}', \
         profiles = [{{ package = '73.der', code = 'SPARE' }}] }}]",
        others.at.address.port(),
    );
    fs::write(&places, text).unwrap();
    let scenario = SCENARIO.replace("count = 2", "count = 1");
    let report = live::play_with(&places, "codes", ("codes.toml", &scenario), "16").unwrap();
    assert_eq!(report.verdict(), Verdict::Passed, "seed 16: {}", cli::report::text(&report));
    assert_eq!(others.states(), [ProfileState::Available, ProfileState::Available, ProfileState::Installed]);
    fs::write(
        &places,
        "sm_dp = [{ name = 'sm-dp', address = 'localhost:1', profiles = [{ package = '70.der' }] }]",
    )
    .unwrap();
    let m2m = scenario.replace("check_in = \"6h\"", "kind = \"m2m\"").replace("[[campaign]]", "[[x]]");
    let m2m = m2m.split("[[x]]").next().unwrap();
    let why = live::play_with(&places, "codes", ("codes.toml", m2m), "16").unwrap_err();
    assert!(why.to_string().contains("M2M scenarios do not support third-party parties"), "{why}");
    let why = live::play_with(&places, "codes", ("codes.toml", "title = 'x'"), "16").unwrap_err();
    assert!(why.to_string().contains("codes.toml:1"), "{why}");
}
