//! Profile management over the command line: operator, EUM and device.

use crate::{
    common::succeed,
    testbed::{LOCAL, Testbed, free, states},
};

#[test]
fn a_profile_is_downloaded_through_five_processes() {
    let testbed = Testbed::new();
    let _network = testbed.networks(&[]);
    let sm_sr = testbed.sm_sr(0, &[]);
    let _sm_dp = testbed.sm_dp(&[]);
    succeed(&mut testbed.register(&testbed.eid));
    let device = testbed.device(&[]);
    // The card has sent its first notification, and the SM-SR has confirmed it.
    sm_sr.err.lines().find(|line| line.contains("HandleDefaultNotification")).unwrap();

    let (first, local) = (testbed.first.iccid.as_str(), testbed.stock[0].iccid.as_str());
    let downloaded = testbed.operator(&["download", local, "--enable"]).output().unwrap();
    let status = String::from_utf8_lossy(&downloaded.stdout).into_owned();
    assert!(downloaded.status.success() && status.contains("EXECUTED_SUCCESS"), "{status}");
    // A running command prints the unsolicited notifications that arrive.
    let mut messages = String::from_utf8(downloaded.stderr).unwrap();
    for _ in 0..20 {
        if messages.contains("ES4-HandleProfileDisabledNotification") {
            break;
        }
        let output = testbed.operator(&["get-eis", "--es4"]).output().unwrap();
        messages.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    let notification = messages.lines().find(|line| line.contains("ES4-HandleProfileDisabledNotification"));
    assert!(notification.is_some_and(|line| line.contains(first)), "{messages}");
    device.err.lines().find(|line| line.contains("registered") && line.contains(LOCAL)).unwrap();
    let state = |iccid: &str, state: &str| (iccid.to_owned(), state.to_owned());
    assert_eq!(
        states(&testbed.ask(&["audit", "--es4"])),
        [state(first, "Disabled"), state(local, "Enabled")]
    );

    // Requests of unknown operators and invalid requests are refused.
    let mut strange = testbed.operator(&["disable", "--es4", local]);
    let stranger = refusal(strange.args(["--listen", &free(), "--name", "A Stranger"]));
    assert!(stranger["why"].as_str().unwrap().contains("not known"), "{stranger}");
    let again = refusal(&mut testbed.operator(&["enable", local]));
    assert_eq!((&again["status"]["subject"], &again["status"]["reason"]), (&"8.2.1".into(), &"3.5".into()));
    assert!(again["why"].as_str().unwrap().contains("8.2.1/3.5"), "{again}");
    testbed.ask(&["disable", local]);
    testbed.ask(&["delete", local]);
    assert_eq!(states(&testbed.ask(&["get-eis", "--es4"])), [state(first, "Enabled")]);
    let eid = testbed.eid.to_string();
    let shown =
        succeed(&mut testbed.run(&["--json", "sm-sr", "--name", &testbed.sm_srs[0].name, "eis", &eid]));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let records = shown["auditTrail"].as_array().unwrap().iter();
    let trail: Vec<_> =
        records.map(|it| (&it["operation_type"], &it["operation"], it["imei"].as_str())).collect();
    for (code, name, has_imei) in [("0001", "EuiccDeclaration", true), ("0200", "EnableProfile", false)] {
        let is_it = trail.iter().any(|(c, n, imei)| *c == code && *n == name && imei.is_some() == has_imei);
        assert!(is_it, "{name}: {trail:?}");
    }
    let digits = |imei: &&str| imei.len() == 15 && imei.bytes().all(|each| each.is_ascii_digit());
    assert!(trail.iter().filter_map(|it| it.2.as_ref()).all(digits), "{trail:?}");
}

/// Runs a command with `--json` that a peer must refuse. Returns the error.
fn refusal(command: &mut std::process::Command) -> serde_json::Value {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let mut document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["error"]["kind"], "refused", "{document}");
    document["error"].take()
}
