//! The Emergency Profile: SGP.32 sections 5.9.22 and 5.9.23.

use rsp::sgp32::EuiccPackage;
use rsp::sgp32::Psmo;
use rsp::sgp32::package::GetRat;

use super::super::profiles::REFRESHES;
use super::super::testbed::Testbed;
use super::testbed::{Eim, card_in_use, disable, enable, enabled, error, install, refresh, set_fallback};
use crate::IotVersion;

fn with_emergency_profile() -> (Testbed, Eim) {
    let (mut testbed, eim) = card_in_use(|_| {});
    install(&mut testbed, 4, |metadata| metadata.ecall_indication = Some(true));
    (testbed, eim)
}

const ENABLE: &str = "BF5B03800100";
const DISABLE: &str = "BF5C03800100";

#[test]
fn the_emergency_profile_is_enabled_and_disabled() {
    let (mut testbed, _) = with_emergency_profile();
    assert_eq!(testbed.es10_text(DISABLE), "BF5C03800102");
    assert_eq!(testbed.es10_text(ENABLE), "BF5B03800100");
    assert_eq!(enabled(&mut testbed), Some(4));
    assert_eq!(testbed.es10_text(ENABLE), "BF5B03800102");
    testbed.reset();
    assert_eq!(testbed.es10_text(DISABLE), "BF5C03800100");
    assert_eq!(enabled(&mut testbed), Some(1));
    assert_eq!(testbed.es10_text(DISABLE), "BF5C03800102");
}

#[test]
fn the_emergency_profile_waits_for_a_pending_refresh() {
    let (mut testbed, mut eim) = with_emergency_profile();
    testbed.expect(REFRESHES, "9000");
    assert_eq!(eim.run(&mut testbed, [enable(2)]), ["830100"]);
    assert_eq!(testbed.es10_text("BF5B038001FF"), "BF5B03800105");
    refresh(&mut testbed);
    testbed.expect(REFRESHES, "9000");
    assert_eq!(testbed.es10_text("BF5B038001FF"), "BF5B03800100");
    assert_eq!(testbed.es10_text("BF5C038001FF"), "BF5C03800105");
    refresh(&mut testbed);
    testbed.expect(REFRESHES, "9000");
    assert_eq!(enabled(&mut testbed), Some(4));
    assert_eq!(testbed.es10_text("BF5C038001FF"), "BF5C03800100");
    refresh(&mut testbed);
    assert_eq!(enabled(&mut testbed), Some(2));
}

#[test]
fn without_an_enabled_profile_the_emergency_leaves_none() {
    let (mut testbed, mut eim) = with_emergency_profile();
    assert_eq!(eim.run(&mut testbed, [disable(1)]), ["840100"]);
    testbed.reset();
    assert_eq!(testbed.es10_text(ENABLE), "BF5B03800100");
    assert_eq!(enabled(&mut testbed), Some(4));
    assert_eq!(testbed.es10_text(DISABLE), "BF5C03800100");
    assert_eq!(enabled(&mut testbed), None);
}

#[test]
fn a_card_without_emergency_profile_says_so() {
    let (mut testbed, _) = card_in_use(|_| {});
    assert_eq!(testbed.es10_text(ENABLE), "BF5B03800108");
    assert_eq!(testbed.es10_text(DISABLE), "BF5C03800102");
    let (mut testbed, _) = card_in_use(|iot| iot.version = IotVersion::V1_3);
    assert_eq!(testbed.es10_text(DISABLE), "BF5C03800108");
    let (mut testbed, _) = card_in_use(|iot| iot.ecall_supported = false);
    install(&mut testbed, 4, |metadata| metadata.ecall_indication = Some(true));
    assert_eq!(testbed.es10_text(ENABLE), "BF5B03800108");
}

#[test]
fn packages_reset_and_fallback_wait_for_the_end_of_the_emergency() {
    let (mut testbed, mut eim) = with_emergency_profile();
    install(&mut testbed, 5, |metadata| metadata.fallback_allowed = Some(true));
    assert_eq!(eim.run(&mut testbed, [set_fallback(5)]), ["8D0100"]);
    assert_eq!(testbed.es10_text(ENABLE), "BF5B03800100");
    let before = testbed.memory();
    let request = eim.package(&testbed, EuiccPackage::of_psmos([Psmo::GetRat(GetRat {})]));
    assert_eq!(error(&mut testbed, &eim, &request), "signed 104");
    assert_eq!(testbed.es10_text("BF640482020780"), "BF6403800168");
    assert_eq!(testbed.es10_text("BF5D03800100"), "BF5D03800168");
    assert_eq!(testbed.memory(), before);
    assert_eq!(testbed.es10_text(DISABLE), "BF5C03800100");
    // The refused package can be sent again.
    let result = super::testbed::testbed_load(&mut testbed, &request);
    assert_eq!(super::testbed::results(&eim.verified(&testbed, &result)).len(), 1);
}

#[test]
fn an_emergency_during_a_fallback_leaves_the_way_back() {
    let (mut testbed, mut eim) = with_emergency_profile();
    install(&mut testbed, 5, |metadata| metadata.fallback_allowed = Some(true));
    assert_eq!(eim.run(&mut testbed, [set_fallback(5)]), ["8D0100"]);
    assert_eq!(testbed.es10_text("BF5D03800100"), "BF5D03800100");
    assert_eq!(testbed.es10_text(ENABLE), "BF5B03800100");
    assert_eq!(testbed.es10_text("BF5E03800100"), "BF5E03800106");
    assert_eq!(testbed.es10_text(DISABLE), "BF5C03800100");
    assert_eq!(enabled(&mut testbed), Some(5));
    assert_eq!(testbed.es10_text("BF5E03800100"), "BF5E03800100");
    assert_eq!(enabled(&mut testbed), Some(1));
}
