//! `landfall explain`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{fail, landfall, succeed};

/// Explains the arguments and returns the output.
fn explain(arguments: &[&str]) -> String {
    succeed(landfall(Path::new("unused")).arg("explain").args(arguments))
}

#[test]
fn codes_are_explained_with_meaning_clause_sender_and_advice() {
    let inputs: [(&[&str], &str); 32] = [
        (&["8.2.6/3.8"], "SGP.22 section 5.2.6"),
        (&["8.2.6/3.8"], "sent by  server in ES9+.AuthenticateClient"),
        (&["8.2.6/3.3"], "SGP.02 section 5.1"),
        (&["8.2.6/3.5"], "Landfall does not send this pair. The reason 3.5 is: invalid transition."),
        (&["EnableProfile", "2"], "enableResult of ES10c.EnableProfile: profile-not-in-disabled-state(2)"),
        (
            &["ES10b.AuthenticateServer 3"],
            "authenticateErrorCode of ES10b.AuthenticateServer: unsupported-curve(3)",
        ),
        (&["PrepareDownload", "5"], "use the transaction ID of the authenticated session"),
        (&["ProfileInstallationResult", "9"], "iccid-already-exists-on-euicc(9)"),
        (&["bppCommandId", "5"], "load-profile-elements(5)"),
        (&["6a88"], "status word 6A88"),
        (&["SW=9000"], "The card reports: ok."),
        (&["91xx"], "send FETCH"),
        (&["63C2"], "wrong, 2 attempts left"),
        (&["EMM #11"], "EMM cause #11 PLMN not allowed (TS 24.301"),
        (&["EMM", "26"], "EMM cause #26 non-EPS authentication unacceptable"),
        (&["EMM", "101"], "EMM cause #101 message not compatible with the protocol state"),
        (&["5GMM", "62"], "5GMM cause #62 no network slices available"),
        (&["5GMM", "76"], "5GMM cause #76 not authorized for this CAG or authorized for CAG cells only"),
        (&["RP-cause", "28"], "The network does not know the IMSI."),
        (&["PLMN not allowed"], "5GMM cause #11"),
        (&["RP-cause", "22"], "RP-Cause #22 memory capacity exceeded"),
        (&["TP-FCS", "D3"], "TP-FCS D3 memory capacity exceeded"),
        (&["memory capacity exceeded"], "TP-FCS D3 memory capacity exceeded"),
        (&["not-enough-memory"], "PEStatus not-enough-memory(4)"),
        (&["SMPP", "0x58"], "command_status ESME_RTHROTTLED"),
        (&["ESME_RINVDSTADR"], "(0x0000000b)"),
        (&["SMPP", "0x64"], "ESME_RX_T_APPN"),
        (&["ESME_RX_R_APPN"], "(0x00000066)"),
        (&["ESME_RINVOPTPARAMVAL"], "(0x000000c4)"),
        (&["SMPP", "0x100"], "(SMPP 5.0 section 4.7.6)"),
        (&["cat-busy"], "resetResult of ES10c.eUICCMemoryReset: cat-busy(5)"),
        (&["PEStatus", "4"], "PEStatus not-enough-memory(4)"),
    ];
    for (input, expected) in inputs {
        let text = explain(input);
        assert!(text.contains(expected), "{input:?}: {expected:?} is missing:\n{text}");
    }
}

#[test]
fn a_number_without_a_table_is_explained_by_every_table() {
    let text = explain(&["11"]);
    for title in ["EMM cause #11", "5GMM cause #11", "RP-Cause #11", "ESME_RINVDSTADR", "interruption(11)"] {
        assert!(text.contains(title), "{title} is missing:\n{text}");
    }
}

#[test]
fn identifiers_and_octets_are_decoded() {
    let inputs = [
        ("LPA:1$smdp.example.com$ABC-123$$1", "confirmationCodeRequired: true"),
        // A code of a stranger cannot put a command of its own into the advice.
        ("LPA:1$a.example$B$$1$';id;'", "next     landfall device download 'LPA:1$a.example$B$$1'\n"),
        ("89049032000001000000000000000001", "checkDigits: invalid"),
        ("8988211000000000012", "efIccid: 988812010000000010F2"),
        ("988812010000000010F2", "ICCID 8988211000000000012"),
        ("98881201000000001002", "ICCID 89882110000000000120"),
        ("00 A4 00 04 02 3F 00", "APDU SELECT by identifier 3F00: MF"),
        ("00A40004023F00 > 6A82", "The card responds: file not found."),
        ("80E2910006BF3E035C015A", "application: ISD-R, assumed because"),
        ("BF3103800105", "end the proactive session"),
        ("BF31038001059000", "status word 9000"),
        ("vzEDgAEF", "enableResult: cat-busy(5)"),
        ("BF2E00", "ES10b.GetEUICCChallenge request"),
        ("A00380010A", "TLV with tag A0"),
    ];
    for (input, expected) in inputs {
        let text = explain(&[input]);
        assert!(text.contains(expected), "{input}: {expected:?} is missing:\n{text}");
    }

    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    let file = folder.path().join("pki/DPauth/CERT_S_SM_DPauth_ECDSA_NIST.der");
    let certificate = std::fs::read(file).unwrap();
    let text = explain(&[&hex::encode(certificate)]);
    assert!(text.contains("X.509 certificate") && text.contains("subjectKeyIdentifier: "), "{text}");
}

#[test]
fn json_has_the_content_of_the_text() {
    let json =
        succeed(landfall(Path::new("unused")).args(["--json", "explain", "EMM", "11", "BF3103800105"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["input"], "EMM 11");
    let reading = &json[0]["readings"][0];
    assert_eq!(reading["title"], "EMM cause #11 PLMN not allowed");
    assert_eq!(reading["standard"], "TS 24.301 section 9.9.3.9");
    assert!(["meaning", "sent_by", "next"].iter().all(|key| reading[key].is_string()), "{reading}");
    assert_eq!(json[1]["readings"][0]["fields"]["content"]["enableResult"], "cat-busy(5)");
    assert_eq!(json[1]["readings"][1]["title"], "enableResult of ES10c.EnableProfile: cat-busy(5)");
}

#[test]
fn an_input_that_cannot_be_explained_is_refused_with_the_accepted_forms() {
    let explain = |arguments: &[&str]| fail(landfall(Path::new("unused")).arg("explain").args(arguments));
    for input in ["nonsense", "200", "1234", "AB"] {
        let errors = explain(&[input]);
        assert!(errors.contains("8.2.6/3.8  ") && errors.contains(input), "{errors}");
    }
    assert!(explain(&["EMM", "254"]).contains("the table has no such code; it has 2, 3, 5,"));
    assert!(explain(&["cause", "254"]).contains("it has 1, 2, 3, 5,"));
    assert!(explain(&["EnableProfile"]).contains("add the number: landfall explain EnableProfile 1"));
}
