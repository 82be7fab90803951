//! The card application toolkit: TS 102 221 section 11.2, TS 102 223.

use crypto::Curve;
use rsp::der::BitString;
use rsp::sgp22::es10c::{
    EnableResult, EuiccMemoryResetRequest, EuiccMemoryResetResponse, ResetResult, reset_options,
};

use super::files::with_generated;
use super::profiles::{REFRESHES, states, with_two};
use super::server::{Server, TestPackage, outcome};
use super::testbed::Testbed;

const FETCH: &str = "8012000000";
const UICC_RESET: &str = "D009 8103010104 82028182 9000";
const PROFILE_STATE_CHANGE: &str = "D009 8103010109 82028182 9000";

/// TERMINAL PROFILE with these octets (numbered from 1) in addition to REFRESH.
fn terminal_profile(octets: &[(usize, u8)]) -> String {
    let mut profile = vec![0; octets.iter().map(|(octet, _)| *octet).max().unwrap_or(3).max(3)];
    profile[2] = 0x80;
    for (octet, bits) in octets {
        profile[octet - 1] |= bits;
    }
    format!("80100000{:02X}{}", profile.len(), hex::encode(profile))
}

/// TERMINAL RESPONSE to REFRESH with this mode.
fn response(mode: &str, result: &str) -> String {
    format!("801400000C 81030101{mode} 82028281 8301{result}")
}

#[test]
fn the_refresh_mode_depends_on_the_terminal_profile() {
    let (mut testbed, one, two) = with_two();
    for (octets, expected) in [
        (&[][..], UICC_RESET),
        (&[(34, 0x20)], PROFILE_STATE_CHANGE),
        // Neighbouring bits and octets have another meaning.
        (&[(34, 0xDF)], UICC_RESET),
        (&[(33, 0x20)], UICC_RESET),
        (&[(35, 0x20)], UICC_RESET),
    ] {
        testbed.reset();
        testbed.expect(&terminal_profile(octets), "9000");
        let next = if states(&mut testbed)[0] { two.iccid() } else { one.iccid() };
        assert_eq!(testbed.enable(next, true), EnableResult::OK);
        testbed.expect(FETCH, expected);
    }
}

#[test]
fn refresh_is_not_announced_to_a_terminal_that_does_not_support_it() {
    for profile in [None, Some("8010000001FF"), Some("8010000003 FFFF7F")] {
        let (mut testbed, one, two) = with_two();
        if let Some(profile) = profile {
            testbed.expect(profile, "9000");
        }
        assert_eq!(testbed.enable(one.iccid(), true), EnableResult::OK);
        testbed.expect("80AA000005 A903830107", "9000");
        testbed.expect(FETCH, "6985");
        testbed.expect(&response("04", "00"), "6985");
        // A REFRESH that is not announced does not block another switch.
        assert_eq!(testbed.enable(two.iccid(), true), EnableResult::OK);
        assert_eq!(states(&mut testbed), [false, false]);
        testbed.reset();
        assert_eq!(states(&mut testbed), [false, true]);
    }
}

#[test]
fn after_a_profile_state_change_the_card_is_as_after_a_reset() {
    let mut testbed = with_generated();
    let server = Server::new(&testbed, Curve::P256);
    let other = TestPackage::small("8900012345678901242");
    assert_eq!(outcome(&server.download(&mut testbed, &other)), Ok(()));
    testbed.expect(&terminal_profile(&[(34, 0x20)]), "9000");
    assert_eq!(testbed.enable(other.iccid(), true), EnableResult::OK);
    testbed.expect("0020000A08 3535353535353535", "910B");
    testbed.expect("00A4000C02 2FE2", "910B");
    testbed.expect(FETCH, PROFILE_STATE_CHANGE);
    // A response to another command or with another mode is refused.
    testbed.expect(&response("04", "00"), "6A80");
    testbed.expect("801400000C 8103012109 82028281 830100", "6A80");
    testbed.expect("8014000005 8103010109", "6A80");
    testbed.expect(&response("09", "00"), "9000");
    // All channels except the basic channel are closed. Its selection, the verified PINs and the
    // terminal profile are cleared.
    testbed.expect("0181000000", "6881");
    testbed.expect("00A4000C02 2FE2", "6A82");
    testbed.forget_channel();
    assert_eq!(states(&mut testbed), [false, true]);
    let with_files = testbed.profiles()[0].iccid.unwrap();
    assert_eq!(testbed.enable(with_files, true), EnableResult::OK);
    testbed.expect(FETCH, "6985");

    // The card switches back to the first profile. Its MF is selected, and its PIN is not verified.
    testbed.expect("80F2000C", "6D00");
    testbed.expect(&terminal_profile(&[(34, 0x20)]), "910B");
    testbed.expect(FETCH, PROFILE_STATE_CHANGE);
    testbed.expect(&response("09", "00"), "9000");
    testbed.expect("80F2000C", "9000");
    testbed.expect("0020000A", "63CA");
}

#[test]
fn a_temporarily_failed_refresh_is_announced_again() {
    let (mut testbed, one, _) = with_two();
    testbed.expect(REFRESHES, "9000");
    assert_eq!(testbed.enable(one.iccid(), true), EnableResult::OK);
    for busy in ["20", "21", "2F"] {
        testbed.expect(FETCH, UICC_RESET);
        // The REFRESH is not announced in this response, because the terminal would fetch it again
        // at once.
        testbed.expect(&response("04", busy), "9000");
        testbed.expect("80AA000005 A903830107", "910B");
        assert_eq!(states(&mut testbed), [false, false]);
    }
    testbed.expect(FETCH, UICC_RESET);
    testbed.expect(&response("04", "30"), "9000");
    testbed.expect("80AA000005 A903830107", "9000");
    testbed.expect(FETCH, "6985");
    testbed.reset();
    assert_eq!(states(&mut testbed), [true, false]);
}

#[test]
fn a_memory_reset_announces_a_uicc_reset() {
    let (mut testbed, one, _) = with_two();
    assert_eq!(testbed.enable(one.iccid(), false), EnableResult::OK);
    testbed.expect(&terminal_profile(&[(34, 0x20)]), "9000");
    let options = BitString::of(&[reset_options::DELETE_OPERATIONAL_PROFILES]);
    let request = EuiccMemoryResetRequest { reset_options: options };
    assert_eq!(testbed.call::<EuiccMemoryResetResponse>(&request).reset_result, ResetResult::OK);
    testbed.expect(FETCH, UICC_RESET);
}

// req: TS.102.223-Envelope
#[test]
fn envelopes_are_checked() {
    let mut testbed = Testbed::new();
    for (envelope, status) in [
        // Menu selection, timer expiration, event download (user activity), call control: no
        // application handles them.
        ("80C2000009 D307 82020181 900101", "9000"),
        ("80C200000C D70A 82028281 A40101 A50100", "9000"),
        ("80C2000009 D607 990104 82028281", "9000"),
        ("80C200000A D408 82028281 8602FFFF", "9000"),
        // SMS-PP and cell broadcast download: there is no application for them.
        ("80C2000006 D104 82028381", "6A81"),
        ("80C2000006 D204 82028381", "6A81"),
        // Malformed envelopes: an empty one, a truncated one, two in one command, and one with
        // invalid TLVs.
        ("80C2000004 D0028281", "6A80"),
        ("80C2000005 D307 820201", "6A80"),
        ("80C2000004 D300 D300", "6A80"),
        ("80C2000004 D302 8202", "6A80"),
        ("80C20000", "6700"),
        ("80C2010002 D300", "6A86"),
        ("80C2000102 D300", "6A86"),
        ("00C2000002 D300", "6E00"),
        ("8010010001 FF", "6A86"),
    ] {
        testbed.expect(envelope, status);
    }
}
