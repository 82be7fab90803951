//! Enabling, disabling and deleting profiles: SGP.22 sections 5.7.16 to 5.7.19.

use crypto::Curve;
use rsp::der::BitString;
use rsp::sgp22::es10c::{
    DeleteResult, DisableResult, EnableResult, EuiccMemoryResetRequest, EuiccMemoryResetResponse,
    SetNicknameRequest, SetNicknameResponse, reset_options,
};
use rsp::sgp22::{OperatorId, ProfileClass, ProfileState, ppr};

use super::bench::Bench;
use super::download::ICCID;
use super::server::{Goods, Server, outcome};

const OTHER: &str = "8900012345678901242";

/// TERMINAL PROFILE of a terminal that supports only REFRESH "UICC Reset".
pub(super) const REFRESHES: &str = "8010000003 010080";

pub(super) fn states(bench: &mut Bench) -> Vec<bool> {
    bench.profiles().iter().map(|profile| profile.profile_state == Some(ProfileState::ENABLED)).collect()
}

pub(super) fn with_two() -> (Bench, Goods, Goods) {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let (one, two) = (Goods::small(ICCID), Goods::small(OTHER));
    assert_eq!(outcome(&server.download(&mut bench, &one)), Ok(()));
    assert_eq!(outcome(&server.download(&mut bench, &two)), Ok(()));
    (bench, one, two)
}

#[test]
fn without_refresh_a_profile_switch_is_immediate() {
    let (mut bench, one, two) = with_two();
    assert_eq!(bench.enable(one.iccid(), false), EnableResult::OK);
    assert_eq!(states(&mut bench), [true, false]);
    assert_eq!(bench.enable(one.iccid(), false), EnableResult::PROFILE_NOT_IN_DISABLED_STATE);
    assert_eq!(bench.enable(two.iccid(), false), EnableResult::OK);
    assert_eq!(states(&mut bench), [false, true]);
    assert_eq!(bench.disable(one.iccid(), false), DisableResult::PROFILE_NOT_IN_ENABLED_STATE);
    assert_eq!(bench.delete(two.iccid()), DeleteResult::PROFILE_NOT_IN_DISABLED_STATE);
    assert_eq!(bench.disable(two.iccid(), false), DisableResult::OK);
    assert_eq!(states(&mut bench), [false, false]);
    assert_eq!(bench.delete(two.iccid()), DeleteResult::OK);
    assert_eq!(bench.delete(two.iccid()), DeleteResult::ICCID_OR_AID_NOT_FOUND);
    let unknown = "8988888888888888888".parse().unwrap();
    assert_eq!(bench.enable(unknown, false), EnableResult::ICCID_OR_AID_NOT_FOUND);
    assert_eq!(bench.disable(unknown, false), DisableResult::ICCID_OR_AID_NOT_FOUND);
}

#[test]
fn with_refresh_the_switch_waits_for_the_terminal() {
    let (mut bench, one, two) = with_two();
    bench.expect(REFRESHES, "9000");
    assert_eq!(bench.enable(one.iccid(), true), EnableResult::OK);
    assert_eq!(states(&mut bench), [false, false]);
    // Announced until fetched. No other switch is accepted in the meantime.
    assert_eq!(bench.enable(two.iccid(), true), EnableResult::CAT_BUSY);
    bench.expect(REFRESHES, "910B");
    bench.expect("8012000009", "6C0B");
    bench.expect("801200000B", "D009 8103010104 82028182 9000");
    bench.expect("801200000B", "6985");
    assert_eq!(states(&mut bench), [false, false]);
    bench.expect("801400000C 8103010104 82028281 830100", "9000");
    assert_eq!(states(&mut bench), [true, false]);

    // The terminal resets the card instead of responding, as for "UICC Reset".
    assert_eq!(bench.enable(two.iccid(), true), EnableResult::OK);
    assert_eq!(bench.delete(two.iccid()), DeleteResult::PROFILE_NOT_IN_DISABLED_STATE);
    bench.expect("8012000000", "D009 8103010104 82028182 9000");
    bench.reset();
    assert_eq!(states(&mut bench), [false, true]);

    // The REFRESH failed, and the next reset applies the switch.
    bench.expect(REFRESHES, "9000");
    assert_eq!(bench.disable(two.iccid(), true), DisableResult::OK);
    bench.expect("8012000000", "D009 8103010104 82028182 9000");
    bench.expect("801400000C 8103010104 82028281 830130", "9000");
    assert_eq!(states(&mut bench), [false, true]);
    bench.reset();
    assert_eq!(states(&mut bench), [false, false]);
}

#[test]
fn policy_rules_are_enforced_and_require_the_rat() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let mut strict = Goods::small(ICCID);
    strict.metadata.profile_policy_rules = Some(BitString::of(&[ppr::PPR1, ppr::PPR2]));
    strict.metadata.profile_owner = Some(OperatorId { mcc_mnc: [0x00, 0xF1, 0x10], gid1: None, gid2: None });
    let other = Goods::small(OTHER);
    assert_eq!(outcome(&server.download(&mut bench, &strict)), Ok(()));
    assert_eq!(outcome(&server.download(&mut bench, &other)), Ok(()));
    assert_eq!(bench.delete(strict.iccid()), DeleteResult::DISALLOWED_BY_POLICY);
    assert_eq!(bench.enable(strict.iccid(), false), EnableResult::OK);
    assert_eq!(bench.disable(strict.iccid(), false), DisableResult::DISALLOWED_BY_POLICY);
    assert_eq!(bench.enable(other.iccid(), false), EnableResult::DISALLOWED_BY_POLICY);
    assert_eq!(states(&mut bench), [true, false]);
}

#[test]
fn a_test_profile_can_be_replaced_only_by_the_previous_profile() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let (one, two) = (Goods::small(ICCID), Goods::small(OTHER));
    let mut test = Goods::small("8900012345678901259");
    test.metadata.profile_class = Some(ProfileClass::TEST);
    for goods in [&one, &two, &test] {
        assert_eq!(outcome(&server.download(&mut bench, goods)), Ok(()));
    }
    bench.enable(one.iccid(), false);
    assert_eq!(bench.enable(test.iccid(), false), EnableResult::OK);
    assert_eq!(bench.enable(two.iccid(), false), EnableResult::WRONG_PROFILE_REENABLING);
    assert_eq!(bench.enable(one.iccid(), false), EnableResult::OK);
    assert_eq!(bench.enable(two.iccid(), false), EnableResult::OK);
}

#[test]
fn memory_reset_deletes_the_selected_data() {
    let (mut bench, one, _) = with_two();
    bench.expect(REFRESHES, "9000");
    bench.enable(one.iccid(), false);
    let reset = |bench: &mut Bench, option| {
        let request = EuiccMemoryResetRequest { reset_options: BitString::of(&[option]) };
        bench.call::<EuiccMemoryResetResponse>(&request).reset_result
    };
    assert_eq!(reset(&mut bench, reset_options::DELETE_FIELD_LOADED_TEST_PROFILES), 1);
    assert_eq!(reset(&mut bench, reset_options::RESET_DEFAULT_SMDP_ADDRESS), 1);
    assert_eq!(reset(&mut bench, reset_options::DELETE_OPERATIONAL_PROFILES), 0);
    assert!(bench.profiles().is_empty());
    assert_eq!(reset(&mut bench, reset_options::DELETE_OPERATIONAL_PROFILES), 5);
    bench.reset();
    assert_eq!(reset(&mut bench, reset_options::DELETE_OPERATIONAL_PROFILES), 1);
}

#[test]
fn a_nickname_is_kept_until_it_is_removed() {
    let (mut bench, one, _) = with_two();
    let name = |bench: &mut Bench, nickname: &str| {
        let request = SetNicknameRequest { iccid: one.iccid(), profile_nickname: nickname.to_owned() };
        bench.call::<SetNicknameResponse>(&request).set_nickname_result
    };
    assert_eq!(name(&mut bench, "Zuhause"), 0);
    bench.reset();
    assert_eq!(bench.profiles()[0].profile_nickname.as_deref(), Some("Zuhause"));
    assert_eq!(name(&mut bench, &"x".repeat(65)), 127);
    assert_eq!(name(&mut bench, ""), 0);
    assert_eq!(bench.profiles()[0].profile_nickname, None);
}

#[test]
fn a_memory_reset_cancels_a_pending_switch() {
    let (mut bench, one, two) = with_two();
    bench.expect(REFRESHES, "9000");
    bench.enable(one.iccid(), false);
    bench.enable(two.iccid(), true);
    bench.expect("8012000000", "D009 8103010104 82028182 9000");
    bench.expect("801400000C 8103010104 82028281 830130", "9000");
    let options = BitString::of(&[reset_options::DELETE_OPERATIONAL_PROFILES]);
    let request = EuiccMemoryResetRequest { reset_options: options };
    assert_eq!(bench.call::<EuiccMemoryResetResponse>(&request).reset_result, 0);
    bench.reset();
    assert!(bench.profiles().is_empty());
    bench.expect("00A40004023F00", "6A82");
}
