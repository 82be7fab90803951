//! Enabling, disabling and deleting profiles: SGP.22 sections 5.7.16 to 5.7.19.

use crypto::Curve;
use rsp::der::BitString;
use rsp::sgp22::es10c::{
    DeleteResult, DisableResult, EnableResult, EuiccMemoryResetRequest, EuiccMemoryResetResponse,
    ResetResult, SetNicknameRequest, SetNicknameResponse, SetNicknameResult, reset_options,
};
use rsp::sgp22::{OperatorId, ProfileClass, ProfileState, ppr};

use super::download::ICCID;
use super::server::{Server, TestPackage, outcome};
use super::testbed::Testbed;

const OTHER: &str = "8900012345678901242";

/// TERMINAL PROFILE of a terminal that supports only REFRESH "UICC Reset".
pub(super) const REFRESHES: &str = "8010000003 010080";

pub(super) fn states(testbed: &mut Testbed) -> Vec<bool> {
    testbed.profiles().iter().map(|profile| profile.profile_state == Some(ProfileState::ENABLED)).collect()
}

pub(super) fn with_two() -> (Testbed, TestPackage, TestPackage) {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let (one, two) = (TestPackage::small(ICCID), TestPackage::small(OTHER));
    assert_eq!(outcome(&server.download(&mut testbed, &one)), Ok(()));
    assert_eq!(outcome(&server.download(&mut testbed, &two)), Ok(()));
    (testbed, one, two)
}

#[test]
fn without_refresh_a_profile_switch_is_immediate() {
    let (mut testbed, one, two) = with_two();
    assert_eq!(testbed.enable(one.iccid(), false), EnableResult::OK);
    assert_eq!(states(&mut testbed), [true, false]);
    // req: SGP.22-5.7.16-State
    assert_eq!(testbed.enable(one.iccid(), false), EnableResult::PROFILE_NOT_IN_DISABLED_STATE);
    assert_eq!(testbed.enable(two.iccid(), false), EnableResult::OK);
    assert_eq!(states(&mut testbed), [false, true]);
    // req: SGP.22-5.7.17-State
    assert_eq!(testbed.disable(one.iccid(), false), DisableResult::PROFILE_NOT_IN_ENABLED_STATE);
    // req: SGP.22-5.7.18-State
    assert_eq!(testbed.delete(two.iccid()), DeleteResult::PROFILE_NOT_IN_DISABLED_STATE);
    assert_eq!(testbed.disable(two.iccid(), false), DisableResult::OK);
    assert_eq!(states(&mut testbed), [false, false]);
    assert_eq!(testbed.delete(two.iccid()), DeleteResult::OK);
    assert_eq!(testbed.delete(two.iccid()), DeleteResult::ICCID_OR_AID_NOT_FOUND);
    let unknown = "8988888888888888888".parse().unwrap();
    assert_eq!(testbed.enable(unknown, false), EnableResult::ICCID_OR_AID_NOT_FOUND);
    assert_eq!(testbed.disable(unknown, false), DisableResult::ICCID_OR_AID_NOT_FOUND);
}

#[test]
fn with_refresh_the_switch_waits_for_the_terminal() {
    let (mut testbed, one, two) = with_two();
    testbed.expect(REFRESHES, "9000");
    assert_eq!(testbed.enable(one.iccid(), true), EnableResult::OK);
    assert_eq!(states(&mut testbed), [false, false]);
    // The REFRESH is announced until the terminal fetches it. No other switch is accepted in the
    // meantime.
    assert_eq!(testbed.enable(two.iccid(), true), EnableResult::CAT_BUSY);
    testbed.expect(REFRESHES, "910B");
    testbed.expect("8012000009", "6C0B");
    testbed.expect("801200000B", "D009 8103010104 82028182 9000");
    testbed.expect("801200000B", "6985");
    assert_eq!(states(&mut testbed), [false, false]);
    testbed.expect("801400000C 8103010104 82028281 830100", "9000");
    assert_eq!(states(&mut testbed), [true, false]);

    // The terminal resets the card instead of responding, as for "UICC Reset".
    assert_eq!(testbed.enable(two.iccid(), true), EnableResult::OK);
    testbed.expect("8012000000", "D009 8103010104 82028182 9000");
    testbed.reset();
    assert_eq!(states(&mut testbed), [false, true]);

    // The REFRESH failed, and the next reset applies the switch.
    testbed.expect(REFRESHES, "9000");
    assert_eq!(testbed.disable(two.iccid(), true), DisableResult::OK);
    testbed.expect("8012000000", "D009 8103010104 82028182 9000");
    testbed.expect("801400000C 8103010104 82028281 830130", "9000");
    assert_eq!(states(&mut testbed), [false, true]);
    testbed.reset();
    assert_eq!(states(&mut testbed), [false, false]);
}

/// A program on PC/SC performs no REFRESH, so that the switch stays pending.
#[test]
fn while_a_refresh_is_pending_the_refusals_agree_with_the_listed_states() {
    let (mut testbed, one, two) = with_two();
    assert_eq!(testbed.enable(one.iccid(), false), EnableResult::OK);
    assert_eq!(testbed.enable(two.iccid(), true), EnableResult::OK);
    assert_eq!(states(&mut testbed), [true, false]);
    assert_eq!(testbed.enable(one.iccid(), true), EnableResult::PROFILE_NOT_IN_DISABLED_STATE);
    assert_eq!(testbed.disable(two.iccid(), true), DisableResult::PROFILE_NOT_IN_ENABLED_STATE);
    assert_eq!(testbed.delete(one.iccid()), DeleteResult::PROFILE_NOT_IN_DISABLED_STATE);
    assert_eq!(testbed.delete(two.iccid()), DeleteResult::OK);
    testbed.reset();
    assert_eq!(states(&mut testbed), [true]);
    // The deletion of another profile does not cancel the switch.
    let (mut testbed, one, two) = with_two();
    assert_eq!(testbed.enable(one.iccid(), true), EnableResult::OK);
    assert_eq!(testbed.delete(two.iccid()), DeleteResult::OK);
    testbed.reset();
    assert_eq!(states(&mut testbed), [true]);
}

// req: SGP.22-2.9-Disabling, SGP.22-2.9-Deletion
#[test]
fn policy_rules_that_the_rat_allows_are_enforced() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let mut strict = TestPackage::small(ICCID);
    strict.metadata.profile_policy_rules = Some(BitString::of(&[ppr::PPR1, ppr::PPR2]));
    strict.metadata.profile_owner = Some(OperatorId { mcc_mnc: [0x00, 0xF1, 0x10], gid1: None, gid2: None });
    let other = TestPackage::small(OTHER);
    assert_eq!(outcome(&server.download(&mut testbed, &strict)), Ok(()));
    assert_eq!(outcome(&server.download(&mut testbed, &other)), Ok(()));
    assert_eq!(testbed.delete(strict.iccid()), DeleteResult::DISALLOWED_BY_POLICY);
    assert_eq!(testbed.enable(strict.iccid(), false), EnableResult::OK);
    assert_eq!(testbed.disable(strict.iccid(), false), DisableResult::DISALLOWED_BY_POLICY);
    assert_eq!(testbed.enable(other.iccid(), false), EnableResult::DISALLOWED_BY_POLICY);
    assert_eq!(states(&mut testbed), [true, false]);
}

// req: SGP.22-5.7.16-TestReturn
#[test]
fn a_test_profile_can_be_replaced_only_by_the_previous_profile() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let (one, two) = (TestPackage::small(ICCID), TestPackage::small(OTHER));
    let mut test = TestPackage::small("8900012345678901259");
    test.metadata.profile_class = Some(ProfileClass::TEST);
    for test_package in [&one, &two, &test] {
        assert_eq!(outcome(&server.download(&mut testbed, test_package)), Ok(()));
    }
    testbed.enable(one.iccid(), false);
    assert_eq!(testbed.enable(test.iccid(), false), EnableResult::OK);
    assert_eq!(testbed.enable(two.iccid(), false), EnableResult::WRONG_PROFILE_REENABLING);
    assert_eq!(testbed.enable(one.iccid(), false), EnableResult::OK);
    assert_eq!(testbed.enable(two.iccid(), false), EnableResult::OK);
}

#[test]
fn memory_reset_deletes_the_selected_data() {
    let (mut testbed, one, _) = with_two();
    testbed.expect(REFRESHES, "9000");
    testbed.enable(one.iccid(), false);
    let reset = |testbed: &mut Testbed, option| {
        let request = EuiccMemoryResetRequest { reset_options: BitString::of(&[option]) };
        testbed.call::<EuiccMemoryResetResponse>(&request).reset_result
    };
    assert_eq!(
        reset(&mut testbed, reset_options::DELETE_FIELD_LOADED_TEST_PROFILES),
        ResetResult::NOTHING_TO_DELETE
    );
    assert_eq!(
        reset(&mut testbed, reset_options::RESET_DEFAULT_SMDP_ADDRESS),
        ResetResult::NOTHING_TO_DELETE
    );
    assert_eq!(reset(&mut testbed, reset_options::DELETE_OPERATIONAL_PROFILES), ResetResult::OK);
    assert!(testbed.profiles().is_empty());
    assert_eq!(reset(&mut testbed, reset_options::DELETE_OPERATIONAL_PROFILES), ResetResult::CAT_BUSY);
    testbed.reset();
    assert_eq!(
        reset(&mut testbed, reset_options::DELETE_OPERATIONAL_PROFILES),
        ResetResult::NOTHING_TO_DELETE
    );
}

#[test]
fn a_nickname_is_kept_until_it_is_removed() {
    let (mut testbed, one, _) = with_two();
    let name = |testbed: &mut Testbed, nickname: &str| {
        let request = SetNicknameRequest { iccid: one.iccid(), profile_nickname: nickname.to_owned() };
        testbed.call::<SetNicknameResponse>(&request).set_nickname_result
    };
    assert_eq!(name(&mut testbed, "Zuhause"), SetNicknameResult::OK);
    testbed.reset();
    assert_eq!(testbed.profiles()[0].profile_nickname.as_deref(), Some("Zuhause"));
    assert_eq!(name(&mut testbed, &"x".repeat(65)), SetNicknameResult::UNDEFINED_ERROR);
    assert_eq!(name(&mut testbed, ""), SetNicknameResult::OK);
    assert_eq!(testbed.profiles()[0].profile_nickname, None);
}

#[test]
fn a_memory_reset_cancels_a_pending_switch() {
    let (mut testbed, one, two) = with_two();
    testbed.expect(REFRESHES, "9000");
    testbed.enable(one.iccid(), false);
    testbed.enable(two.iccid(), true);
    testbed.expect("8012000000", "D009 8103010104 82028182 9000");
    testbed.expect("801400000C 8103010104 82028281 830130", "9000");
    let options = BitString::of(&[reset_options::DELETE_OPERATIONAL_PROFILES]);
    let request = EuiccMemoryResetRequest { reset_options: options };
    assert_eq!(testbed.call::<EuiccMemoryResetResponse>(&request).reset_result, ResetResult::OK);
    testbed.reset();
    assert!(testbed.profiles().is_empty());
    testbed.expect("00A40004023F00", "6A82");
}
