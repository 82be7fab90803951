//! Scenarios over sockets: the same comes of them as without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

use std::process::Command;

use cli::live;
use scenario::file::Scenario;
use scenario::library;
use scenario::play::play;
use scenario::report::{Live, Report, Verdict};

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
    assert!(told.contains("the platform was not reached"), "nobody asked while it was away:\n{told}");
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
