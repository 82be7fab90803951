//! `landfall profile`: the transcripts in docs/profiles.md, and exit status of findings.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{fail, landfall, succeed};
use serde_json::Value;

fn profile(folder: &tempfile::TempDir, arguments: &[&str]) -> std::process::Command {
    let mut command = landfall(folder.path());
    command.arg("profile").args(arguments).current_dir(folder.path());
    command
}

/// Returns a folder with two packages, a truncated one, and the first description of the page.
fn packages() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeed(&mut profile(&folder, &["new", "first.der", "--number", "1"]));
    succeed(&mut profile(&folder, &["new", "second.der", "--number", "2"]));
    let whole = std::fs::read(folder.path().join("first.der")).unwrap();
    std::fs::write(folder.path().join("cut.der"), whole.get(..700).unwrap()).unwrap();
    let page = page();
    let description = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(folder.path().join("own.toml"), description).unwrap();
    folder
}

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/profiles.md");
    std::fs::read_to_string(page).unwrap()
}

/// A line `...` stands for omitted lines.
#[test]
fn the_transcripts_in_the_page_about_profiles_are_correct() {
    let page = page();
    let folder = packages();
    let travel = page.split("```toml\n").find(|block| block.contains("[[identity]]")).unwrap();
    std::fs::write(folder.path().join("travel.toml"), travel.split("```").next().unwrap()).unwrap();
    let mut compared = 0;
    for block in page.split("\n```console\n").skip(1) {
        let (block, _) = block.split_once("\n```").unwrap();
        let (command, expected) = block.split_once('\n').unwrap();
        let Some(arguments) = command.strip_prefix("$ landfall profile ") else { panic!("{command}") };
        let output = profile(&folder, &[]).args(arguments.split_whitespace()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let mut printed = printed.lines();
        let mut skipping = false;
        for line in expected.lines() {
            if line == "..." {
                skipping = true;
                continue;
            }
            let found = if skipping { printed.find(|printed| *printed == line) } else { printed.next() };
            assert_eq!(found, Some(line), "{command}");
            skipping = false;
        }
        assert!(skipping || printed.next().is_none(), "{command} prints more");
        compared += 1;
    }
    assert!(compared >= 6, "{compared}");
}

#[test]
fn errors_cause_status_1_and_are_available_as_json() {
    let folder = packages();
    succeed(&mut profile(&folder, &["check", "first.der", "second.der"]));
    fail(&mut profile(&folder, &["check", "first.der", "cut.der"]));
    let output = profile(&folder, &["check", "cut.der", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = found.pointer("/0/findings/0").unwrap();
    for name in ["severity", "rule", "place", "what", "why", "next"] {
        assert!(first.get(name).is_some_and(|value| !value.is_null()), "{name} in {first}");
    }
    let errors = fail(&mut profile(&folder, &["show", "cut.der"]));
    assert!(errors.contains("landfall profile check"), "{errors}");
}

#[test]
fn keys_are_shown_only_with_the_secrets_option() {
    let folder = packages();
    let shown = |arguments: &[&str]| succeed(&mut profile(&folder, arguments));
    let with = shown(&["diff", "first.der", "second.der", "--secrets"]);
    let without = shown(&["diff", "first.der", "second.der"]);
    assert!(without.contains("(hidden)") && !with.contains("(hidden)"), "{without}\n{with}");
    let found: Value = serde_json::from_str(&shown(&["diff", "first.der", "second.der", "--json"])).unwrap();
    assert!(!found.as_array().unwrap().is_empty());
    let files: Value = serde_json::from_str(&shown(&["show", "first.der", "--files", "--json"])).unwrap();
    let is_imsi = |file: &&Value| file.get("path").is_some_and(|path| path == "3F00/7FD0/6F07 ef-imsi");
    let imsi = files.as_array().unwrap().iter().find(is_imsi).unwrap();
    assert_eq!(imsi.pointer("/meaning/0").unwrap(), "724990000000001");
    assert!(imsi.get("contents").is_none());
}

/// Runs the command of the page with its template and checks the records file.
#[test]
fn personalised_packages_have_their_own_keys() {
    let folder = packages();
    let page = page();
    let (_, many) = page.split_once("\n## Personalise many profiles\n").unwrap();
    let template = many.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(folder.path().join("many.toml"), template).unwrap();
    let command = many.lines().find_map(|line| line.strip_prefix("landfall profile ")).unwrap();
    succeed(profile(&folder, &[]).args(command.split_whitespace()));
    assert!(folder.path().join("packages/89724990000000001009.der").exists());
    let records = std::fs::read_to_string(folder.path().join("records.csv")).unwrap();
    for column in [4, 5] {
        let keys: std::collections::BTreeSet<_> =
            records.lines().skip(1).map(|row| row.split(',').nth(column).unwrap()).collect();
        assert_eq!(keys.len(), 3, "{records}");
    }
}

#[test]
fn packages_must_not_share_identities_or_keys_of_the_template() {
    let folder = packages();
    let count = ["--count", "3", "--iccid", "8972499000000000100", "--imsi", "724990000000100"];
    let many = |more: &[&str]| {
        let mut command =
            profile(&folder, &["personalise", "own.toml", "--out", "out", "--records", "out.csv"]);
        command.args(more);
        command
    };
    let errors = fail(many(&count).args(["--same-keys"]));
    assert!(errors.contains("3 profiles the same msisdn") && errors.contains("--msisdn"), "{errors}");
    let errors = fail(many(&count).args(["--msisdn", "+5511900000000"]));
    assert!(errors.contains("the same ki, opc") && errors.contains("--same-keys"), "{errors}");
    std::fs::write(folder.path().join("rows.csv"), "iccid,imsi,msisdn,ki\n").unwrap();
    let row = |n: u32| format!("8972499000000000{n},72499000000{n},+55119{n},{n:032}\n");
    let rows = format!("iccid,imsi,msisdn,ki\n{}{}", row(1009), row(1017));
    std::fs::write(folder.path().join("rows.csv"), rows).unwrap();
    let errors = fail(&mut many(&["--rows", "rows.csv"]));
    assert!(errors.contains("2 profiles the same opc"), "{errors}");
    assert!(!folder.path().join("out.csv").exists() && !folder.path().join("out").exists());
    succeed(many(&count).args(["--msisdn", "+5511900000000", "--same-keys"]));
}

#[test]
fn all_rows_are_checked_before_the_first_package_is_created() {
    let folder = packages();
    std::fs::write(folder.path().join("many.toml"), "[usim]\nspn = 'Many'\n").unwrap();
    let mut made = 0;
    let mut many = |rows: &str| {
        std::fs::write(folder.path().join("rows.csv"), rows).unwrap();
        made += 1;
        let (out, records) = (format!("out{made}"), format!("out{made}.csv"));
        let arguments =
            ["personalise", "many.toml", "--rows", "rows.csv", "--out", &out, "--records", &records];
        let output = profile(&folder, &arguments).output().unwrap();
        assert_eq!(folder.path().join(out).exists(), output.status.success());
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let first = "89724990000000001009,724990000000100\n";
    for (rows, printed) in [
        (format!("iccid,imsi\n{first}89724990000000001017,28699\n"), "line 3: \"28699\" is not an IMSI"),
        (format!("iccid,imsi\n{first}{first}"), "line 3: 89724990000000001009 is already in line 2"),
        (format!("iccid,imzi\n{first}"), "unknown column \"imzi\""),
        (format!("iccid,imsi\n{first}89724990000000001017\n"), "line 3: the row has 1 cells"),
    ] {
        let (is_made, errors) = many(&rows);
        assert!(!is_made && errors.contains(printed), "{errors}");
    }
    let (is_made, errors) = many(&format!("iccid,imsi\n{first}89724990000000001018,724990000000101\n"));
    assert!(
        is_made && errors.contains("line 3: the check digit of 89724990000000001018 is wrong"),
        "{errors}"
    );
}

#[test]
fn packages_with_errors_cause_a_non_zero_exit_status() {
    let folder = packages();
    let text = std::fs::read_to_string(folder.path().join("own.toml")).unwrap();
    // Services without their files.
    let wrong = text.replace("[usim]", "[usim]\nservices = [12, 17, 19, 21, 33, 42, 71, 85]");
    std::fs::write(folder.path().join("wrong.toml"), &wrong).unwrap();
    let errors = fail(&mut profile(&folder, &["build", "wrong.toml", "wrong.der"]));
    assert!(errors.contains("error: PE"), "{errors}");
    fail(&mut profile(&folder, &["check", "wrong.der"]));
    let errors = fail(&mut profile(&folder, &["import", "wrong.der"]));
    assert!(errors.contains("landfall profile check"), "{errors}");
    succeed(&mut profile(&folder, &["import", "first.der"]));
    let many =
        ["personalise", "wrong.toml", "--out", "out", "--records", "out.csv", "--same-keys", "--count", "1"];
    let errors =
        fail(profile(&folder, &many).args(["--iccid", "8972499000000000100", "--imsi", "724990000000100"]));
    assert!(errors.contains("the first package would have errors"), "{errors}");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn invalid_packages_and_descriptions_are_refused_with_advice() {
    let folder = packages();
    std::fs::write(folder.path().join("empty.der"), "").unwrap();
    for command in ["show", "check", "decompile"] {
        let errors = fail(&mut profile(&folder, &[command, "own.toml"]));
        assert!(errors.contains("landfall profile build"), "{errors}");
        let errors = fail(&mut profile(&folder, &[command, "empty.der"]));
        assert!(errors.contains("the file is empty"), "{errors}");
    }
    let text = std::fs::read_to_string(folder.path().join("own.toml")).unwrap();
    let short = text.replace("ki = \"00", "algorithm = \"tuak\"\nki = \"");
    for (text, printed) in [
        (
            short,
            [
                "why:  line 6: authentication.ki: it has 15 octets; give 16 or 32",
                "opc: it has 16 octets; give 32 octets",
            ],
        ),
        (
            text.replace("spn =", "spm ="),
            ["why:  line 8: unknown field `spm`", "next: use one of these names"],
        ),
    ] {
        std::fs::write(folder.path().join("bad.toml"), text).unwrap();
        let errors = fail(&mut profile(&folder, &["build", "bad.toml", "bad.der"]));
        assert!(printed.iter().all(|printed| errors.contains(printed)), "{errors}");
    }
}

#[test]
fn created_packages_are_reported_as_json() {
    let folder = packages();
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&succeed(profile(&folder, arguments).arg("--json"))).unwrap()
    };
    assert_eq!(json(&["new", "third.der", "--number", "3"]).get("iccid").unwrap(), "89724990000000000035");
    assert_eq!(json(&["new", "own.der", "--description", "own.toml"]).get("elements").unwrap(), 10);
    assert_eq!(json(&["decompile", "own.der", "back.toml"]).get("file").unwrap(), "back.toml");
    let described = json(&["decompile", "own.der"]);
    assert!(described.get("description").unwrap().as_str().unwrap().contains("spn = \"Local Brasil\""));
}
