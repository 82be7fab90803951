//! Access of the terminal to an M2M eUICC.

use super::testbed::Testbed;

const SELECT_ISD_R: &str = "00A4040010A0000005591010FFFFFFFF8900000100";
const SELECT_ECASD: &str = "00A4040010A0000005591010FFFFFFFF8900000200";

#[test]
fn the_isd_r_accepts_no_commands_from_the_terminal() {
    let mut testbed = Testbed::new();
    let answer = testbed.terminal(&format!("{SELECT_ISD_R}00"));
    assert!(answer.starts_with("6F") && answer.ends_with("9000") && !answer.contains("E0058203"), "{answer}");
    let before = testbed.memory();
    for apdu in [
        // GetEUICCInfo1 and EnableProfile of SGP.22, EnableProfile of SGP.02, an incomplete chain.
        "80E2910003BF2000",
        "80E2910006BF31038101FF",
        "80E28800153A03124F10A0000005591010FFFFFFFF8900001100",
        "80E2110001BF",
    ] {
        assert_eq!(testbed.terminal(apdu), "6982", "{apdu}");
    }
    for apdu in ["80E60C0000", "80E4004000", "80F24002024F00", "80D8000000", "8050300000"] {
        assert_eq!(testbed.terminal(apdu), "6D00", "{apdu}");
    }
    assert!(testbed.memory() == before);
}

#[test]
fn the_ecasd_returns_the_eid_to_the_terminal() {
    let mut testbed = Testbed::new();
    assert!(testbed.terminal(&format!("{SELECT_ECASD}00")).ends_with("9000"));
    assert_eq!(testbed.terminal("80CA005A00"), "5A10890010120123412340123456789012249000");
    assert_eq!(testbed.terminal("80CABF3000"), "6A88");
}

#[test]
fn the_terminal_cannot_select_an_isd_p() {
    let mut testbed = Testbed::new();
    for number in ["10", "11", "20"] {
        assert_eq!(
            testbed.terminal(&format!("00A4040010A0000005591010FFFFFFFF890000{number}00")),
            "6A82",
            "{number}"
        );
    }
}
