//! A profile download over short messages only, over HTTPS triggered by short messages, and with
//! lost and duplicated messages.

use crate::{
    common::{Running, succeed},
    testbed::{Testbed, states},
};

/// Downloads, enables, disables and deletes a profile. Returns the timelines of SM-SR and device.
fn whole_life(testbed: &Testbed, sm_sr: Running, mut device: Running) -> (Vec<String>, Vec<String>) {
    let (first, local) = (testbed.first.iccid.as_str(), testbed.stock[0].iccid.as_str());
    let state = |iccid: &str, state: &str| (iccid.to_owned(), state.to_owned());
    testbed.ask(&["download", local, "--enable"]);
    assert_eq!(
        states(&testbed.ask(&["audit", "--es4"])),
        [state(first, "Disabled"), state(local, "Enabled")]
    );
    testbed.ask(&["disable", local]);
    testbed.ask(&["delete", local]);
    assert_eq!(states(&testbed.ask(&["audit", "--es4"])), [state(first, "Enabled")]);
    device.kill();
    let mut sm_sr = sm_sr;
    sm_sr.kill();
    (sm_sr.err.lines().collect(), device.err.lines().collect())
}

fn any(lines: &[String], what: &str) -> bool {
    lines.iter().any(|line| line.contains(what))
}

#[test]
fn a_profile_can_be_managed_over_short_messages_only() {
    let testbed = Testbed::new();
    let _networks = testbed.networks(&[]);
    let _sm_dp = testbed.sm_dp(&[]);
    let sm_sr = testbed.sm_sr(0, &["--listen-cards", "none"]);
    succeed(&mut testbed.register(&testbed.eid));
    let device = testbed.device(&["--without-https"]);
    let (sm_sr, device) = whole_life(&testbed, sm_sr, device);
    assert!(!any(&sm_sr, "ES5.session"), "{sm_sr:#?}");
    assert!(!any(&device, "OPEN CHANNEL"), "{device:#?}");
    assert!(any(&device, "SEND SHORT MESSAGE"), "{device:#?}");
}

#[test]
fn a_short_message_triggers_an_https_session() {
    let testbed = Testbed::new();
    let _networks = testbed.networks(&[]);
    let _sm_dp = testbed.sm_dp(&[]);
    let sm_sr = testbed.sm_sr(0, &[]);
    succeed(&mut testbed.register(&testbed.eid));
    let device = testbed.device(&[]);
    let (sm_sr, device) = whole_life(&testbed, sm_sr, device);
    assert!(any(&sm_sr, "ES5.session"), "{sm_sr:#?}");
    assert!(any(&device, "OPEN CHANNEL"), "{device:#?}");
}

#[test]
fn lost_late_and_duplicated_messages_are_tolerated() {
    let testbed = Testbed::new();
    // The first message is a trigger or a response. The numbers count each direction
    // separately.
    let faults = [
        "radio/sms-lose@mt#1",
        "radio/sms-double@mt#2-4",
        "radio/sms-lose-answer@mt#5",
        "radio/sms-delay=1s@mt#6",
        "radio/sms-lose@mo#1",
        "radio/sms-double@mo#2-3",
        "radio/sms-delay=1s@mo#4",
    ];
    let faults: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    let _networks = testbed.networks(&faults);
    let _sm_dp = testbed.sm_dp(&[]);
    let sm_sr = testbed.sm_sr(0, &[]);
    succeed(&mut testbed.register(&testbed.eid));
    let device = testbed.device(&[]);
    whole_life(&testbed, sm_sr, device);
}
