//! Immediate enabling after a download: SGP.32 sections 5.9.15 and 5.9.17.

use rsp::der::Null;
use rsp::sgp32::Psmo;
use rsp::sgp32::es10b::{
    ConfigureImmediateProfileEnablingRequest, ConfigureImmediateProfileEnablingResponse,
};

use super::super::profiles::REFRESHES;
use super::super::server::ADDRESS;
use super::super::testbed::Testbed;
use super::testbed::{card, card_in_use, disable, enable, enabled, install, refresh};

const IMMEDIATE: &str = "BF5A03800100";
const OK: &str = "BF5A03800100";
const NOT_AVAILABLE: &str = "BF5A03800101";

fn allowed(oid: Option<&str>, address: Option<&str>) -> ConfigureImmediateProfileEnablingRequest {
    ConfigureImmediateProfileEnablingRequest {
        immediate_enable_flag: Some(Null),
        default_smdp_oid: oid.map(|oid| oid.parse().unwrap()),
        default_smdp_address: address.map(str::to_owned),
    }
}

fn configure(testbed: &mut Testbed, request: &ConfigureImmediateProfileEnablingRequest) -> u8 {
    let response: ConfigureImmediateProfileEnablingResponse = testbed.call(request);
    u8::try_from(response.config_immediate_enable_result.0).unwrap()
}

#[test]
fn a_downloaded_profile_is_enabled_at_once_if_the_ipa_configured_it() {
    // req: SGP.32-5.9.15-NotAvailable, SGP.32-5.9.15-Session
    let mut testbed = card(|_| {});
    assert_eq!(testbed.es10_text(IMMEDIATE), NOT_AVAILABLE);
    assert_eq!(configure(&mut testbed, &allowed(None, Some("no address"))), 127);
    assert_eq!(configure(&mut testbed, &allowed(None, None)), 0);
    assert_eq!(testbed.es10_text(IMMEDIATE), "BF5A03800104");
    install(&mut testbed, 1, |_| {});
    assert_eq!(testbed.es10_text(IMMEDIATE), OK);
    assert_eq!(enabled(&mut testbed), Some(1));
    // The session is used up, and a reset ends it.
    assert_eq!(testbed.es10_text(IMMEDIATE), "BF5A03800104");
    install(&mut testbed, 2, |_| {});
    testbed.reset();
    assert_eq!(testbed.es10_text(IMMEDIATE), "BF5A03800104");
    // So does the next session.
    install(&mut testbed, 3, |_| {});
    testbed.es10_text("BF2E00");
    assert_eq!(testbed.es10_text(IMMEDIATE), "BF5A03800104");

    // Without the flag, OID and address stay.
    assert_eq!(configure(&mut testbed, &ConfigureImmediateProfileEnablingRequest::default()), 0);
    install(&mut testbed, 4, |_| {});
    assert_eq!(testbed.es10_text(IMMEDIATE), NOT_AVAILABLE);
}

#[test]
fn only_the_configured_sm_dp_allows_it() {
    let oid = Testbed::new().pki.dp(crypto::Curve::P256).unwrap().pb.certificate.registered_ids()[0].clone();
    let oid = oid.to_string();
    for (oid, address, expected) in [
        (Some(oid.as_str()), Some(ADDRESS), OK),
        (Some(oid.as_str()), None, OK),
        (None, Some(&*ADDRESS.to_uppercase()), OK),
        (Some("2.999.1.2.3"), Some(ADDRESS), NOT_AVAILABLE),
        (Some(oid.as_str()), Some("other.example.com"), NOT_AVAILABLE),
    ] {
        let mut testbed = card(|_| {});
        assert_eq!(configure(&mut testbed, &allowed(oid, address)), 0);
        install(&mut testbed, 1, |_| {});
        assert_eq!(testbed.es10_text(IMMEDIATE), expected, "{oid:?} {address:?}");
    }
}

#[test]
fn an_eim_configures_it_by_package() {
    // req: SGP.32-5.9.17-Exists
    let (mut testbed, mut eim) = card_in_use(|_| {});
    assert_eq!(configure(&mut testbed, &allowed(None, None)), 2);
    let operation = Psmo::ConfigureImmediateEnable(allowed(None, Some(ADDRESS)));
    assert_eq!(eim.run(&mut testbed, [operation]), ["870100"]);
    testbed.expect(REFRESHES, "9000");
    install(&mut testbed, 4, |_| {});
    assert_eq!(testbed.es10_text("BF5A038001FF"), OK);
    assert_eq!(enabled(&mut testbed), Some(1));
    refresh(&mut testbed);
    testbed.expect(REFRESHES, "9000");
    assert_eq!(enabled(&mut testbed), Some(4));
    install(&mut testbed, 5, |_| {});
    assert_eq!(eim.run(&mut testbed, [enable(1)]), ["830100"]);
    assert_eq!(testbed.es10_text("BF5A038001FF"), "BF5A03800105");
}

#[test]
fn a_protected_profile_is_not_replaced_at_once() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let operation = Psmo::ConfigureImmediateEnable(allowed(None, None));
    assert_eq!(eim.run(&mut testbed, [operation, disable(1)]), ["870100", "840100"]);
    testbed.reset();
    install(&mut testbed, 4, |metadata| {
        metadata.profile_policy_rules = Some(rsp::der::BitString::of(&[rsp::sgp22::ppr::PPR1]));
        metadata.profile_owner =
            Some(rsp::sgp22::OperatorId { mcc_mnc: [0, 0xF1, 0x10], gid1: None, gid2: None });
    });
    assert_eq!(testbed.es10_text(IMMEDIATE), OK);
    install(&mut testbed, 5, |_| {});
    assert_eq!(testbed.es10_text(IMMEDIATE), "BF5A0380017F");
    assert_eq!(enabled(&mut testbed), Some(4));
}
