//! `landfall fleet`: a fleet of 300 devices in 12 countries, compared with figures calculated by
//! hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod common;

use std::{fmt::Write as _, path::Path};

use common::{fail, landfall, succeed};
use serde_json::Value;

/// Networks, each with 25 devices of a British operator. Device i of a network arrived 8 i days
/// before [`AT`].
const NETWORKS: [&str; 12] = [
    "724-05", "460-00", "286-01", "404-10", "262-01", "310-410", "505-01", "440-10", "530-01", "420-01",
    "208-01", "234-15",
];
const AT: &str = "2026-06-01T12:00:00Z";
const MIDNIGHT: i64 = 1_780_272_000_000;

const OWNER: &str = "lead_time_days = 7\n[[offer]]\nnetwork = \"724-02\"\ntype = \"local-br\"\n";

fn devices() -> String {
    let mut text = String::from("eid,label,group,account,profiles,network,home,since,state\n");
    for n in 0..300_i64 {
        let network = NETWORKS[n as usize / 25];
        let (i, group) = (n % 25, ["north", "south"][n as usize % 2]);
        let eid = rsp::ids::Eid::with_check_digits(&format!("89049032{n:022}")).unwrap();
        let iccid = rsp::ids::Iccid::with_luhn(&format!("894444{n:012}")).unwrap();
        let since = rsp::time::Timestamp(MIDNIGHT - i * 8 * 86_400_000);
        let state = if n == 0 { "unreachable 2026-05-30T00:00:00Z" } else { "working" };
        let _ = writeln!(
            text,
            "{eid},device {n},{group},acme,{iccid} 234-15 bootstrap enabled,{network},234-15,{since},{state}"
        );
    }
    text
}

fn imported() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("devices.csv"), devices()).unwrap();
    std::fs::write(folder.path().join("owner.toml"), OWNER).unwrap();
    let printed = succeed(fleet(&folder, &["import"]).arg(folder.path().join("devices.csv")));
    assert_eq!(printed, "300 added, 0 changed, 0 unchanged, 0 rows skipped\n");
    folder
}

fn fleet(folder: &tempfile::TempDir, arguments: &[&str]) -> std::process::Command {
    let mut command = landfall(folder.path());
    command.arg("fleet").args(arguments).current_dir(folder.path());
    command
}

/// Runs a query with JSON output.
fn ask(folder: &tempfile::TempDir, arguments: &[&str]) -> Value {
    let out = succeed(fleet(folder, arguments).args(["--at", AT, "--owner", "owner.toml", "--json"]));
    serde_json::from_str(&out).unwrap()
}

fn rows(answer: &Value) -> &Vec<Value> {
    answer.as_array().unwrap()
}

fn of<'a>(rows: &'a Value, code: &str) -> &'a Value {
    self::rows(rows).iter().find(|row| row["country"]["code"] == code || row["country"] == code).unwrap()
}

#[test]
fn the_answers_equal_those_calculated_by_hand() {
    let folder = imported();

    // From the fifth device of a network on, a device has stayed at least 33 of the 90 days. These
    // are 21 of 25 devices in each of eleven countries. The oldest device arrived 192 days ago.
    let residents = ask(&folder, &["residents"]);
    assert_eq!(rows(&residents).len(), 11);
    for row in rows(&residents) {
        assert_eq!((&row["devices"], &row["resident"]), (&25.into(), &21.into()));
        assert_eq!((&row["median_days"], &row["longest_stay_days"]), (&90.into(), &193.into()));
        assert_eq!(row["same_network_percent"], 100);
    }
    assert_eq!(ask(&folder, &["residents", "--threshold", "61"])[0]["resident"], 17);

    // Devices that already break a rule: BR 13, CN 25, SA 13, TR 13 and 10 (two rules), IN 2.
    let breaches = ask(&folder, &["breaches"]);
    let broken = rows(&breaches).iter().filter(|row| row["status"] == "broken").count();
    assert_eq!(broken, 76);
    let first = &breaches[0];
    assert_eq!((&first["day"], &first["rule"]), (&"2025-11-21".into(), &"cn-local-only".into()));
    assert_eq!(rows(&ask(&folder, &["breaches", "--country", "BR", "--within", "30"])).len(), 17);
    assert_eq!(
        rows(&ask(&folder, &["breaches", "--country", "BR", "--group", "north", "--within", "30"])).len(),
        9
    );

    // Devices that must move within 30 days: 17 in each of BR, SA and TR, 25 in CN, and 5 in IN.
    let markets = ask(&folder, &["markets", "--within", "30"]);
    assert_eq!(rows(&markets).len(), 5);
    let brazil = of(&markets, "BR");
    assert_eq!(
        (&brazil["devices"], &brazil["must_move"], &brazil["broken"]),
        (&25.into(), &17.into(), &13.into())
    );
    assert_eq!((&brazil["first"], &brazil["last"]), (&"2026-02-19".into(), &"2026-06-27".into()));
    assert_eq!((&brazil["stuck"], &brazil["offers"][0]), (&0.into(), &"724-02".into()));
    assert_eq!(brazil["rows"]["required"], 25);
    let china = of(&markets, "CN");
    assert_eq!(
        (&china["must_move"], &china["stuck"], &china["offers"]),
        (&25.into(), &25.into(), &Value::Array(vec![]))
    );
    for (code, must) in [("SA", 17), ("TR", 17), ("IN", 5)] {
        assert_eq!(of(&markets, code)["must_move"], must, "{code}");
    }

    // 81 devices with 35154 octets each, one hundredth of them sent twice; one move starts each
    // second. A move takes 0.650 s for octets down, 0.231 s for octets up, 0.450 s for the
    // handshake, twelve times 0.075 s plus 1/99 s for losses, and another 60 s.
    let effort = ask(&folder, &["effort", "--within", "30"]);
    assert_eq!(
        (&effort["devices"], &effort["octets"], &effort["messages"]),
        (&81.into(), &2_876_236.into(), &0.into())
    );
    assert_eq!((&effort["seconds_each"], &effort["seconds"]), (&62.352.into(), &142.352.into()));
    assert_eq!((&effort["money_each"], &effort["money"]), (&0.010652.into(), &0.862812.into()));
    let by_sms = ask(&folder, &["effort", "--devices", "10", "--move", "m2m", "--bearer", "2g-sms"]);
    // 29 messages each, one fiftieth of them sent twice.
    assert_eq!((&by_sms["octets"], &by_sms["messages"]), (&0.into(), &296.into()));

    // One device is unreachable already. Of 17 moves, two percent fall back and 0.1 percent
    // lose the device.
    let recovery = ask(&folder, &["recovery", "--within", "30"]);
    let brazil = of(&recovery["rows"], "BR");
    assert_eq!(
        (&brazil["moving"], &brazil["silent"], &brazil["without_way_back"]),
        (&17.into(), &1.into(), &0.into())
    );
    assert_eq!((&brazil["retries_milli"], &brazil["visits_milli"]), (&340.into(), &1017.into()));
    assert_eq!((&brazil["money"], &brazil["worst"]), (&122.043621.into(), &2160.0.into()));
    let certain = ask(&folder, &["recovery", "--within", "30", "--came-back", "0", "--lost", "100"]);
    assert_eq!(certain["money"], certain["worst"]);
}

#[test]
fn what_if_lists_the_devices_affected_by_the_end_of_roaming() {
    let folder = imported();
    let australia = ask(&folder, &["what-if", "--carrier-ends", "505-01=2026-07-01"]);
    assert_eq!((&australia["devices"], &australia["changes"]["comes"]), (&300.into(), &25.into()));
    assert_eq!(australia["affected"][0]["after"]["deadline"], "2026-07-01T00:00:00Z");
    // Affected are the devices in Brazil whose 91st day is later than that day: 90 - 8 i > 19, so i
    // = 0 to 8. No decision changes yet.
    let brazil = ask(&folder, &["what-if", "--carrier-ends", "724-05=2026-06-20"]);
    assert_eq!((&brazil["changes"]["nearer"], &brazil["decisions"]), (&9.into(), &serde_json::json!({})));
    let brazil = ask(&folder, &["what-if", "--carrier-ends", "724-05=2026-06-05"]);
    assert_eq!(brazil["changes"]["nearer"], 11);
    assert_eq!(brazil["decisions"]["stay > move"], 11);
    // Without rules, all deadlines disappear.
    std::fs::write(folder.path().join("none.toml"), "").unwrap();
    let none = ask(&folder, &["what-if", "--with", "none.toml"]);
    assert_eq!((&none["changes"]["goes"], &none["changes"]["comes"]), (&125.into(), &Value::Null));
}

#[test]
fn exported_devices_import_to_the_same_records() {
    let folder = imported();
    let moving = ask(&folder, &["list", "--country", "BR"]);
    assert_eq!(rows(&moving).len(), 25);
    assert_eq!(rows(&moving).iter().filter(|row| row["decision"] == "move").count(), 14);
    assert_eq!(rows(&ask(&folder, &["list", "--state", "unreachable"])).len(), 1);
    let eid = moving[24]["eid"].as_str().unwrap().to_owned();
    let shown = succeed(fleet(&folder, &["show", &eid]).args(["--at", AT, "--owner", "owner.toml"]));
    assert!(shown.contains("move to a profile of type \"local-br\" of network 724-02"), "{shown}");
    assert!(
        shown.contains("strategy: local profile, because \"required\" fits with 25 devices in Brazil"),
        "{shown}"
    );

    succeed(&mut fleet(&folder, &["export", "out.csv"]));
    let other = tempfile::tempdir().unwrap();
    for name in ["out.csv", "stays.csv"] {
        std::fs::copy(folder.path().join(name), other.path().join(name)).unwrap();
    }
    succeed(&mut fleet(&other, &["import", "out.csv", "--stays", "stays.csv"]));
    succeed(&mut fleet(&other, &["export", "again.csv", "--stays", "stays-again.csv"]));
    let text = |name: &str| std::fs::read_to_string(other.path().join(name)).unwrap();
    assert_eq!(text("again.csv"), text("out.csv"));
    assert_eq!(text("stays-again.csv"), text("stays.csv"));
    let again = succeed(&mut fleet(&folder, &["import", "out.csv", "--stays", "stays.csv"]));
    assert_eq!(again, "0 added, 0 changed, 300 unchanged, 0 rows skipped\n");
}

#[test]
fn errors_contain_the_cause_and_the_remedy() {
    let empty = tempfile::tempdir().unwrap();
    let errors = fail(&mut fleet(&empty, &["residents"]));
    assert!(errors.contains("there is no fleet") && errors.contains("landfall fleet import"), "{errors}");
    std::fs::write(empty.path().join("bad.csv"), "eid,label\n123,a\n").unwrap();
    let errors = fail(&mut fleet(&empty, &["import", "bad.csv"]));
    assert!(errors.contains("bad.csv, line 2, column eid") && errors.contains("--skip-bad-rows"), "{errors}");

    let folder = imported();
    let own =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fleet/data/bearers.toml"));
    std::fs::write(folder.path().join("own.toml"), own.unwrap().replace("\"lte\"", "\"own\"")).unwrap();
    for (arguments, words) in [
        (&["effort", "--bearer", "pigeon"][..], "there is no bearer \"pigeon\""),
        (&["effort", "--bearers", "own.toml", "--bearer", "own"], "add a [[price]] with its ID"),
        (&["effort", "--bearers", "bad.toml"], "unknown field `offer`"),
        (&["show", "89049032000000000000000000500004"], "not in the records"),
        (&["recovery", "--came-back", "60", "--lost", "60"], "more than 100 percent"),
        (&["what-if", "--carrier-ends", "998-01=2026-07-01"], "no country is known for network 998-01"),
        (&["what-if", "--carrier-ends", "724-05"], "724-05=2027-01-31"),
        (&["markets", "--owner", "bad.toml"], "either type or iccid"),
        (&["markets", "--strategy", "bad.toml"], "unknown field"),
    ] {
        std::fs::write(folder.path().join("bad.toml"), "[[offer]]\nnetwork = \"724-05\"\n").unwrap();
        let errors = fail(&mut fleet(&folder, arguments));
        assert!(errors.contains(words), "{arguments:?}: {errors}");
    }
}

/// Runs a query that must succeed. Returns its standard error.
fn remarked(folder: &tempfile::TempDir, arguments: &[&str]) -> String {
    let output = fleet(folder, arguments).args(["--at", AT, "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_query_without_matching_devices_fails_or_warns() {
    let folder = imported();
    for (arguments, words) in [
        (["breaches", "--group", "nobody"], "no device has group \"nobody\"\n  why:  there are north, south"),
        (["list", "--account", "acne"], "there are acme"),
        (["decide", "--model", "m1"], "no device has a model"),
        (["breaches", "--country", "XX"], "there is no country XX"),
    ] {
        let errors = fail(&mut fleet(&folder, &arguments));
        assert!(errors.contains(words), "{arguments:?}: {errors}");
    }
    let printed = remarked(&folder, &["breaches", "--country", "CL"]);
    assert!(printed.contains("no device is in CL; devices are in AU, BR, CN"), "{printed}");
    let printed = remarked(&folder, &["what-if", "--carrier-ends", "724-06=2026-12-31"]);
    assert!(printed.contains("no device has ever been on 724-06"), "{printed}");
    assert_eq!(remarked(&folder, &["breaches", "--country", "BR", "--group", "north"]), "");
}

#[test]
fn a_query_without_owner_file_warns_that_no_offers_are_known() {
    let folder = imported();
    for question in ["list", "decide", "markets"] {
        let printed = remarked(&folder, &[question]);
        assert!(printed.contains("no --owner was given, so no offers are known"), "{question}: {printed}");
        let printed = remarked(&folder, &[question, "--owner", "owner.toml"]);
        assert!(!printed.contains("--owner"), "{question}: {printed}");
    }
}

#[test]
fn the_trail_records_what_an_edit_changed() {
    let folder = imported();
    let eid = ask(&folder, &["list"])[0]["eid"].as_str().unwrap().to_owned();
    succeed(&mut fleet(&folder, &["edit", &eid, "--label", "X 2", "--criticality", "high"]));
    let shown = succeed(&mut fleet(&folder, &["show", &eid]));
    let edited = "edited: label from \"device 0\" to \"X 2\", criticality from normal to high";
    assert!(shown.contains(edited) && !shown.contains("by a file"), "{shown}");
    let before = ask(&folder, &["show", &eid]);
    succeed(&mut fleet(&folder, &["edit", &eid, "--label", "X 2"]));
    assert_eq!(
        ask(&folder, &["show", &eid])["trail"],
        before["trail"],
        "an edit without changes is not recorded"
    );
}

/// Code blocks with a name after their language are files. A block `console` is a command and its
/// output.
#[test]
fn the_transcripts_in_the_page_about_fleets_are_correct() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fleet.md");
    let page = std::fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (heading, text) = block.split_once('\n').unwrap();
        match heading.split_once(' ') {
            Some((_, name)) => std::fs::write(folder.path().join(name), format!("{text}\n")).unwrap(),
            None if heading == "console" => {
                let (command, printed) = text.split_once('\n').unwrap();
                let arguments = command.strip_prefix("$ landfall fleet ").unwrap().split_whitespace();
                let out = succeed(fleet(&folder, &[]).args(arguments));
                assert_eq!(out.trim_end(), printed.trim_end(), "{command}");
                compared += 1;
            }
            None => {}
        }
    }
    assert!(compared >= 6, "{compared}");
}
