//! Every result code of the operations on profiles: SGP.32 section 2.11.2.1.

use rsp::der::BitString;
use rsp::sgp22::es10c::{ProfileInfoListRequest, ProfileSearch};
use rsp::sgp22::{OperatorId, ProfileClass, ppr};
use rsp::sgp32::Psmo;
use rsp::sgp32::es10b::{ConfigureImmediateProfileEnablingRequest, SetDefaultDpAddressRequest};
use rsp::sgp32::package::{GetRat, UnsetFallbackAttribute};

use super::super::profiles::REFRESHES;
use super::testbed::{
    card, card_in_use, delete, disable, enable, enable_with_rollback, enabled, install, set_fallback,
};
use crate::AfterFailure;

/// Metadata of a profile with a policy rule that the card allows.
fn with_rule(rule: usize) -> impl FnOnce(&mut rsp::sgp22::es8plus::StoreMetadataRequest) {
    move |metadata| {
        metadata.profile_policy_rules = Some(BitString::of(&[rule]));
        metadata.profile_owner = Some(OperatorId { mcc_mnc: [0, 0xF1, 0x10], gid1: None, gid2: None });
    }
}

const UNSET: Psmo = Psmo::UnsetFallbackAttribute(UnsetFallbackAttribute {});

#[test]
fn enable_has_each_result() {
    // req: SGP.32-3.4.1-Rollback
    let (mut testbed, mut eim) = card_in_use(|_| {});
    assert_eq!(eim.run(&mut testbed, [enable(9)]), ["830101"]);
    assert_eq!(eim.run(&mut testbed, [enable(1)]), ["830102"]);
    assert_eq!(eim.run(&mut testbed, [enable_with_rollback(2)]), ["830100"]);
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(2));
    testbed.expect(REFRESHES, "9000");
    assert_eq!(eim.run(&mut testbed, [enable(1)]), ["830100"]);
    assert_eq!(eim.run(&mut testbed, [enable(3)]), ["830105"]);
    testbed.reset();
    // Without an enabled profile there is none to return to. A profile that the package disables is one.
    assert_eq!(eim.run(&mut testbed, [disable(1), enable_with_rollback(2)]), ["840100", "830100"]);
    testbed.reset();
    assert_eq!(eim.run(&mut testbed, [disable(2)]), ["840100"]);
    testbed.reset();
    assert_eq!(eim.run(&mut testbed, [enable_with_rollback(1)]), ["830114"]);
    install(&mut testbed, 4, with_rule(ppr::PPR1));
    assert_eq!(eim.run(&mut testbed, [enable(4)]), ["830100"]);
    testbed.reset();
    assert_eq!(eim.run(&mut testbed, [enable(1)]), ["830103"]);
}

/// A test profile can be replaced only by the profile that was enabled before. SGP.32 has no code for
/// it.
#[test]
fn enable_of_the_wrong_profile_after_a_test_profile_is_an_undefined_error() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    install(&mut testbed, 4, |metadata| metadata.profile_class = Some(ProfileClass::TEST));
    assert_eq!(eim.run(&mut testbed, [enable(4)]), ["830100"]);
    testbed.reset();
    assert_eq!(eim.run(&mut testbed, [enable(2)]), ["83017F"]);
    assert_eq!(eim.run(&mut testbed, [enable(1)]), ["830100"]);
}

#[test]
fn disable_has_each_result() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    assert_eq!(eim.run(&mut testbed, [disable(9)]), ["840101"]);
    assert_eq!(eim.run(&mut testbed, [disable(2)]), ["840102"]);
    testbed.expect(REFRESHES, "9000");
    assert_eq!(eim.run(&mut testbed, [disable(1)]), ["840100"]);
    assert_eq!(eim.run(&mut testbed, [disable(1)]), ["840105"]);
    testbed.reset();
    assert_eq!(enabled(&mut testbed), None);
    install(&mut testbed, 4, with_rule(ppr::PPR1));
    assert_eq!(eim.run(&mut testbed, [enable(4)]), ["830100"]);
    testbed.reset();
    assert_eq!(eim.run(&mut testbed, [disable(4)]), ["840103"]);
}

#[test]
fn delete_has_each_result() {
    // req: SGP.32-3.4.3-Rollback, SGP.32-3.4.3-Fallback
    let (mut testbed, mut eim) = card_in_use(|iot| iot.after_failure = AfterFailure::Continue);
    install(&mut testbed, 4, with_rule(ppr::PPR2));
    install(&mut testbed, 5, |metadata| metadata.fallback_allowed = Some(true));
    assert_eq!(eim.run(&mut testbed, [delete(9), delete(1), delete(4)]), ["850101", "850102", "850103"]);
    // The profile that the package enables, and the profile to which a rollback returns.
    let operations = [enable_with_rollback(2), delete(2), delete(1), delete(3)];
    assert_eq!(eim.run(&mut testbed, operations), ["830100", "850102", "850114", "850100"]);
    testbed.reset();
    // The next package ends the permission to roll back, so the profile can be deleted.
    assert_eq!(eim.run(&mut testbed, [set_fallback(5)]), ["8D0100"]);
    assert_eq!(testbed.es10_text("BF5D038001FF"), "BF5D03800100");
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(5));
    assert_eq!(eim.run(&mut testbed, [delete(2), delete(1)]), ["850115", "850100"]);
    assert_eq!(testbed.es10_text("BF5E038001FF"), "BF5E03800100");
    testbed.reset();
    assert_eq!(eim.run(&mut testbed, [delete(5)]), ["850100"]);
    // The attribute was deleted with its profile.
    assert_eq!(eim.run(&mut testbed, [UNSET]), ["8E0102"]);
}

#[test]
fn the_fallback_attribute_has_each_result() {
    // req: SGP.32-3.4.6-Order
    let (mut testbed, mut eim) = card_in_use(|iot| iot.after_failure = AfterFailure::Continue);
    for number in [4, 5] {
        install(&mut testbed, number, |metadata| metadata.fallback_allowed = Some(true));
    }
    assert_eq!(eim.run(&mut testbed, [set_fallback(9), UNSET]), ["8D0101", "8E0102"]);
    assert_eq!(eim.run(&mut testbed, [set_fallback(2), set_fallback(4)]), ["8D0102", "8D0100"]);
    assert_eq!(eim.run(&mut testbed, [set_fallback(5), set_fallback(4)]), ["8D0100", "8D0100"]);
    // 9F26 and 9F67 of profile 4, and 9F67 of profile 5.
    let list = |testbed: &mut super::super::testbed::Testbed| testbed.es10_text("BF2D065C049F269F67");
    assert_eq!(list(&mut testbed), "BF2D18A016E300E300E300E3089F2601FF9F6701FFE3049F6701FF");
    assert_eq!(testbed.es10_text("BF5D038001FF"), "BF5D03800100");
    testbed.reset();
    // The holder of the attribute is enabled: it keeps it.
    let operations = [set_fallback(4), set_fallback(5), set_fallback(2), UNSET];
    assert_eq!(eim.run(&mut testbed, operations), ["8D0100", "8D0103", "8D0102", "8E0103"]);
    assert_eq!(testbed.es10_text("BF5E038001FF"), "BF5E03800100");
    testbed.reset();
    assert_eq!(eim.run(&mut testbed, [UNSET, UNSET]), ["8E0100", "8E0102"]);

    let (mut testbed, mut eim) = card_in_use(|iot| iot.fallback_supported = false);
    install(&mut testbed, 4, |metadata| metadata.fallback_allowed = Some(true));
    assert_eq!(eim.run(&mut testbed, [set_fallback(4)]), ["8D0102"]);
}

#[test]
fn list_profile_info_has_the_elements_of_sgp_32() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    install(&mut testbed, 4, |metadata| {
        metadata.ecall_indication = Some(true);
        metadata.fallback_allowed = Some(true);
    });
    assert_eq!(eim.run(&mut testbed, [set_fallback(4)]), ["8D0100"]);
    let list = |search_criteria, tag_list: Option<&[u8]>| {
        Psmo::ListProfileInfo(ProfileInfoListRequest {
            search_criteria,
            tag_list: tag_list.map(<[u8]>::to_vec),
        })
    };
    let four = || Some(ProfileSearch::Iccid(super::testbed::iccid(4)));
    let iccid = hex::encode_upper(super::testbed::iccid(4).0);
    let listed = eim.run(&mut testbed, [list(four(), None)]);
    let entry = &listed[0][listed[0].find("5A0A").unwrap()..];
    assert!(entry.starts_with(&format!("5A0A{iccid}4F10")), "{entry}");
    // State, names, class, ecallIndication, fallbackAttribute, fallbackAllowed; no nickname and icon.
    assert!(
        entry.ends_with(
            "9F700100910 84C616E6466616C6C920454657374950102 9F7B01FF9F2601FF9F6701FF"
                .replace(' ', "")
                .as_str()
        ),
        "{entry}"
    );
    assert_eq!(eim.run(&mut testbed, [list(four(), Some(&[0x9F, 0x67]))]), ["BF2D08A006E3049F6701FF"]);
    // An incomplete tag.
    assert_eq!(eim.run(&mut testbed, [list(None, Some(&[0x9F]))]), ["BF2D03810101"]);
}

#[test]
fn the_other_operations_on_profiles_have_each_result() {
    let (mut testbed, mut eim) = card_in_use(|iot| iot.after_failure = AfterFailure::Continue);
    let address = |address: &str| {
        Psmo::SetDefaultDpAddress(SetDefaultDpAddressRequest { default_dp_address: address.to_owned() })
    };
    let immediate = |address: &str| {
        Psmo::ConfigureImmediateEnable(ConfigureImmediateProfileEnablingRequest {
            immediate_enable_flag: Some(rsp::der::Null),
            default_smdp_oid: None,
            default_smdp_address: Some(address.to_owned()),
        })
    };
    let operations = [address("smdp.example.com"), address("no address"), immediate("smdp.example.com")];
    assert_eq!(eim.run(&mut testbed, operations), ["BF6503800100", "BF650380017F", "870100"]);
    assert_eq!(eim.run(&mut testbed, [immediate("no address"), Psmo::GetRat(GetRat {})])[0], "870107");
    let addresses = testbed.es10_text("BF3C00");
    assert!(addresses.contains(&hex::encode_upper("smdp.example.com")), "{addresses}");
    let rat = eim.run(&mut testbed, [Psmo::GetRat(GetRat {})]);
    // The contents are those of ES10b.GetRAT.
    let of_es10b = testbed.es10_text("BF4300");
    assert_eq!(rat[0], of_es10b[of_es10b.find("A0").unwrap()..].replacen("A0", "A6", 1));
    let mut without_eim = card(|_| {});
    assert_eq!(without_eim.es10_text("BF65128010736D64702E6578616D706C652E636F6D"), "BF6503800100");
    assert_eq!(without_eim.es10_text("BF650C800A6E6F2061646472657373"), "BF650380017F");
}
