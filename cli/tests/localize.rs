//! `landfall localize`: rules and decisions.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use common::{fail, landfall, succeed};
use serde_json::Value;

/// A device with a British subscription, in Brazil since January 1st.
const DEVICE: &str = r#"{"device": {"history": {"stays": [
    {"country": "BR", "plmn": "724-05", "home": "GB", "from": "2026-01-01T00:00:00Z", "until": null}
]}, "held": []}}"#;

#[test]
fn the_decision_is_to_stay_until_the_days_are_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.json");
    std::fs::write(&file, DEVICE).unwrap();
    let decide = |at: &str| -> Value {
        let out =
            succeed(landfall(folder.path()).args(["--json", "localize", "decide", "--at", at]).arg(&file));
        serde_json::from_str(&out).unwrap()
    };
    assert_eq!(decide("2026-02-01T00:00:00Z")["decision"], "stay");
    // The 91st day is April 1st, and no local profile is known.
    let stuck = decide("2026-03-31T00:00:00Z");
    assert_eq!((&stuck["decision"], &stuck["deadline"]), (&"stuck".into(), &"2026-04-01T00:00:00Z".into()));
}

#[test]
fn a_rules_file_replaces_the_built_in_rules_and_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, "[[rule]]\nid = 'x'\n").unwrap();
    let errors = fail(landfall(folder.path()).args(["localize", "rules", "--rules"]).arg(&file));
    assert!(errors.contains("rules.toml") && errors.contains("why:"), "{errors}");
    let rules = succeed(landfall(folder.path()).args(["localize", "rules", "--country", "BR", "--json"]));
    assert!(serde_json::from_str::<Value>(&rules).unwrap().as_array().unwrap().len() >= 2);
}

#[test]
fn a_rules_file_that_is_not_utf_8_is_refused_with_the_position() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, b"# Ma\xF1ana\n").unwrap();
    let errors = fail(landfall(folder.path()).args(["localize", "rules", "--rules"]).arg(&file));
    assert!(errors.contains("rules.toml") && errors.contains("UTF-8"), "{errors}");
    assert!(errors.contains("octet 4") && errors.contains("next:"), "{errors}");
}

const FLEET: &str = "\
eid,label,profiles,network,home,since
89049032000000000000000000000163,meter,8944476500001224158 234-15 bootstrap enabled,724-05,234-15,2026-01-01
";

fn ban(id: &str, country: &str, effective: &str) -> String {
    format!(
        "[[rule]]\nid = '{id}'\ncountries = ['{country}']\nkind = 'banned'\neffective = '{effective}'\n\
         source = 's'\nreviewed = '2026-11-25'\nconfidence = 'high'\n"
    )
}

#[test]
fn an_update_of_the_rules_reports_differences_and_effect_and_replaces_them_only_if_they_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let installed = || std::fs::read_to_string(folder.path().join("localization-rules.toml")).ok();
    let rules = || -> Vec<String> {
        let out = succeed(landfall(folder.path()).args(["--json", "localize", "rules"]));
        let rules: Value = serde_json::from_str(&out).unwrap();
        rules.as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap().to_owned()).collect()
    };
    let update = |arguments: &[&str]| {
        let mut command = landfall(folder.path());
        command
            .args(["--json", "localize", "rules", "update", "--at", "2026-02-01T00:00:00Z"])
            .args(arguments);
        command
    };
    let first = write("first.toml", &ban("first", "NZ", "2026-03-01"));
    let dry: Value =
        serde_json::from_str(&succeed(&mut update(&["--dry-run", first.to_str().unwrap()]))).unwrap();
    assert_eq!((&dry["replaced"], &dry["effect"]), (&false.into(), &Value::Null), "there is no fleet");
    assert_eq!(installed(), None);
    assert!(rules().len() > 10, "the built-in rules");

    succeed(landfall(folder.path()).args(["fleet", "import"]).arg(write("devices.csv", FLEET)));
    let done: Value = serde_json::from_str(&succeed(&mut update(&[first.to_str().unwrap()]))).unwrap();
    assert_eq!(done["diff"]["added"][0]["id"], "first");
    assert_eq!(done["effect"]["affected"][0]["change"], "goes", "the rule of Brazil is gone");
    assert_eq!(done["alerts"][0]["rule"], "first");
    assert_eq!(
        (&done["alerts"][0]["event"], &done["alerts"][0]["in_days"]),
        (&"takes_effect".into(), &28.into())
    );
    assert_eq!(rules(), ["first"]);

    // The whole fleet uses the new rules, and the next update is compared with them.
    let second =
        write("second.toml", &(ban("first", "NZ", "2026-04-01") + &ban("second", "BR", "2026-05-01")));
    let done: Value = serde_json::from_str(&succeed(&mut update(&[second.to_str().unwrap()]))).unwrap();
    let fields = serde_json::json!([{ "field": "effective", "before": "2026-03-01", "after": "2026-04-01" }]);
    assert_eq!(done["diff"]["changed"], serde_json::json!([{ "rule": "first", "fields": fields }]));
    assert_eq!(done["effect"]["affected"][0]["after"]["rule"], "second");
    let breaches = succeed(landfall(folder.path()).args(["--json", "fleet", "breaches"]));
    assert_eq!(serde_json::from_str::<Value>(&breaches).unwrap()[0]["rule"], "second");

    // An invalid file replaces nothing, and its error names line, rule and field.
    let before = installed();
    let bad = write("bad.toml", &format!("{}\nlimit_days = 3\n", ban("third", "BR", "2026-05-01")));
    let errors = fail(landfall(folder.path()).args(["localize", "rules", "update"]).arg(&bad));
    assert!(errors.contains("line 10, \"third\", field limit_days") && errors.contains("remain"), "{errors}");
    assert_eq!(installed(), before);
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
fn a_template_is_printed_and_refused_until_it_is_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let template = succeed(landfall(folder.path()).args(["localize", "rules", "template", "north-america"]));
    let file = folder.path().join("terms.toml");
    std::fs::write(&file, &template).unwrap();
    let errors = fail(landfall(folder.path()).args(["localize", "rules", "update"]).arg(&file));
    assert!(errors.contains("carrier-share") && errors.contains("field "), "{errors}");
    assert!(!folder.path().join("localization-rules.toml").exists());
}

#[test]
fn a_rule_that_takes_effect_soon_is_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, ban("soon", "NZ", "2026-03-01")).unwrap();
    let alerts = |within: &str| -> Value {
        let mut command = landfall(folder.path());
        command.args([
            "--json",
            "localize",
            "rules",
            "alerts",
            "--at",
            "2026-02-01T00:00:00Z",
            "--within",
            within,
        ]);
        serde_json::from_str(&succeed(command.arg("--rules").arg(&file))).unwrap()
    };
    assert_eq!(alerts("27"), serde_json::json!([]));
    assert_eq!(alerts("28")[0]["day"], "2026-03-01");
}
