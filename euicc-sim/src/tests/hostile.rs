//! Attacks on the card: each gets the correct response and leaves no effect.

use certs::{Defect, Role};
use crypto::Curve;
use profile::generic::Subscription;
use rsp::der::{Asn1, Raw};
use rsp::ids::{Aid, CertificateDer, Iccid, TransactionId};
use rsp::sgp22::es8plus::{BoundProfilePackage, ErrorReason, ProfileInstallationResult, store_data_segments};
use rsp::sgp22::es10b::{
    AuthenticateServerRequest, AuthenticateServerResponse, DownloadErrorCode, PrepareDownloadRequest,
    PrepareDownloadResponse,
};
use world::{Random, SeededRandom};

use super::mutual_authentication::challenge;
use super::server::{Server, TestPackage, load, outcome, send};
use super::testbed::Testbed;

/// The enabled profile and the disabled profile.
const ENABLED: &str = "89000123456789012341";
const DISABLED: &str = "8900012345678901242";
/// The profile that the attacks try to install.
const ATTACK_ICCID: &str = "8900012345678901259";

/// A card in use, with an enabled USIM profile and another profile.
fn card_in_use() -> (Testbed, Server) {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let iccid: Iccid = ENABLED.parse().unwrap();
    let usim =
        profile::generic(&Subscription { iccid: iccid.to_profile_header(), ..Subscription::default() });
    for test_package in [TestPackage::of(usim.encode()), TestPackage::small(DISABLED)] {
        assert_eq!(outcome(&server.download(&mut testbed, &test_package)), Ok(()));
    }
    testbed.enable(iccid, false);
    testbed.reset();
    (testbed, server)
}

fn authenticate(testbed: &mut Testbed, request: &AuthenticateServerRequest) -> String {
    match testbed.call(request) {
        AuthenticateServerResponse::AuthenticateResponseOk(_) => "ok".to_owned(),
        AuthenticateServerResponse::AuthenticateResponseError(error) => {
            assert_eq!(error.transaction_id, request.server_signed1.transaction_id);
            error.authenticate_error_code.to_string()
        }
    }
}

/// Authenticates with a defective server certificate, signed with the matching key.
fn authenticate_with(testbed: &mut Testbed, server: &mut Server, defect: Defect) -> String {
    let broken = testbed.pki.issue_with(defect, Role::DpAuth, Curve::P256).unwrap();
    server.dp.auth.key = broken.key;
    let mut request = server.authenticate_server(challenge(testbed));
    request.server_certificate = CertificateDer(broken.der);
    authenticate(testbed, &request)
}

fn prepare(
    testbed: &mut Testbed,
    server: &Server,
    modify: impl FnOnce(&Testbed, &mut PrepareDownloadRequest),
) -> String {
    let request = server.authenticate_server(challenge(testbed));
    let answer = testbed.call(&request);
    let mut request = server.prepare_download(testbed, &answer, None);
    modify(testbed, &mut request);
    match testbed.call(&request) {
        PrepareDownloadResponse::DownloadResponseOk(_) => "ok".to_owned(),
        PrepareDownloadResponse::DownloadResponseError(error) => error.download_error_code.to_string(),
    }
}

/// A download with a modified package. Returns command and reason of the signed result.
fn install(testbed: &mut Testbed, server: &Server, modify: impl FnOnce(&mut BoundProfilePackage)) -> String {
    let mut test_package = TestPackage::small(ATTACK_ICCID);
    // Several segments.
    test_package.pad(3000);
    let prepared = server.prepare(testbed);
    let mut package = server.bind(testbed, &prepared, &test_package);
    modify(&mut package);
    let result = load(testbed, &package.to_der()).expect("an installation result");
    testbed.check_result(&result);
    outcome(&result).map_or_else(|(command, reason)| format!("{command}: {reason}"), |()| "ok".to_owned())
}

fn segments(package: &mut BoundProfilePackage) -> &mut Vec<Vec<u8>> {
    assert!(package.sequence_of86.0.len() > 2);
    &mut package.sequence_of86.0
}

type Attack = fn(&mut Testbed, &mut Server) -> String;

const IN_MAC: &str = "load-profile-elements(5): scp03t-security-error(8)";

/// Name of the attack, expected response, attack.
const ATTACKS: [(&str, &str, Attack); 33] = [
    ("a server with a certificate of an unknown CI", "ci-pk-unknown(7)", |testbed, server| {
        authenticate_with(testbed, server, Defect::StrangerCi)
    }),
    ("a server certificate with a forged signature", "invalid-certificate(1)", |testbed, server| {
        authenticate_with(testbed, server, Defect::ForgedSignature)
    }),
    // A real card has no clock. This card uses the clock of its `World`, because the test cases of
    // SGP.23 expect expired certificates to be refused.
    ("an expired server certificate", "invalid-certificate(1)", |testbed, server| {
        authenticate_with(testbed, server, Defect::Expired)
    }),
    ("a server certificate of the wrong role", "invalid-oid(5)", |testbed, server| {
        authenticate_with(testbed, server, Defect::WrongRole)
    }),
    ("a TLS certificate instead of CERT.DPauth", "invalid-oid(5)", |testbed, server| {
        let tls = testbed.pki.credential(Role::DpTls, Curve::P256).unwrap();
        server.dp.auth = tls;
        let request = server.authenticate_server(challenge(testbed));
        authenticate(testbed, &request)
    }),
    ("a CI for which the card has no key", "ci-pk-unknown(7)", |testbed, server| {
        server.ci.0[0] ^= 1;
        let request = server.authenticate_server(challenge(testbed));
        authenticate(testbed, &request)
    }),
    ("an authentication without GetEUICCChallenge", "no-session-context(4)", |testbed, server| {
        let request = server.authenticate_server([0; 16]);
        authenticate(testbed, &request)
    }),
    ("an authentication repeated in the next session", "euicc-challenge-mismatch(6)", |testbed, server| {
        let request = server.authenticate_server(challenge(testbed));
        assert_eq!(authenticate(testbed, &request), "ok");
        challenge(testbed);
        authenticate(testbed, &request)
    }),
    ("an authentication repeated in its own session", "no-session-context(4)", |testbed, server| {
        let request = server.authenticate_server(challenge(testbed));
        assert_eq!(authenticate(testbed, &request), "ok");
        authenticate(testbed, &request)
    }),
    (
        "an authentication with a challenge chosen by the server",
        "euicc-challenge-mismatch(6)",
        |testbed, server| {
            challenge(testbed);
            let request = server.authenticate_server([0x11; 16]);
            authenticate(testbed, &request)
        },
    ),
    // A different address signed by the server itself must be detected by the LPA, which knows the
    // server's address.
    ("an altered server address", "invalid-signature(2)", |testbed, server| {
        let mut request = server.authenticate_server(challenge(testbed));
        let mut signed = request.server_signed1.clone().into_value();
        signed.server_address = "elsewhere.example.com".to_owned();
        request.server_signed1 = Raw::new(signed);
        authenticate(testbed, &request)
    }),
    ("CERT.DPauth instead of CERT.DPpb", "invalid-certificate(1)", |testbed, server| {
        prepare(testbed, server, |_, request| {
            request.smdp_certificate = CertificateDer(server.dp.auth.certificate.der().to_vec());
        })
    }),
    ("CERT.DPpb of another SM-DP+", "invalid-certificate(1)", |testbed, server| {
        prepare(testbed, server, |testbed, request| {
            let other = testbed.pki.issue_with(Defect::OtherOid, Role::DpPb, Curve::P256).unwrap();
            request.smdp_certificate = CertificateDer(other.der);
        })
    }),
    ("a download with another transaction ID", "invalid-transaction-id(5)", |testbed, server| {
        prepare(testbed, server, |_, request| {
            let mut signed = request.smdp_signed2.clone().into_value();
            signed.transaction_id = TransactionId(vec![8; 4]);
            request.smdp_signed2 = Raw::new(signed);
        })
    }),
    ("a download with an invalid signature", "invalid-signature(2)", |testbed, server| {
        prepare(testbed, server, |_, request| request.smdp_signature2[9] ^= 0x80)
    }),
    (
        "a package of an earlier session",
        "initialise-secure-channel(0): invalid-signature(2)",
        |testbed, server| {
            let prepared = server.prepare(testbed);
            let early = server.bind(testbed, &prepared, &TestPackage::small(ATTACK_ICCID));
            install(testbed, server, |package| *package = early)
        },
    ),
    ("a package without PrepareDownload", "6985", |testbed, server| {
        let prepared = server.prepare(testbed);
        let package = server.bind(testbed, &prepared, &TestPackage::small(ATTACK_ICCID)).to_der();
        testbed.reset();
        testbed.es10(&store_data_segments(&package).unwrap()[0]).unwrap_err()
    }),
    ("reordered segments", IN_MAC, |testbed, server| {
        install(testbed, server, |package| segments(package).swap(0, 1))
    }),
    ("a missing segment", IN_MAC, |testbed, server| {
        install(testbed, server, |package| {
            segments(package).remove(1);
        })
    }),
    ("a repeated segment", IN_MAC, |testbed, server| {
        install(testbed, server, |package| {
            let again = segments(package)[0].clone();
            segments(package).insert(1, again);
        })
    }),
    ("a segment with an inverted bit", IN_MAC, |testbed, server| {
        install(testbed, server, |package| segments(package)[1][40] ^= 4)
    }),
    (
        "a missing last segment",
        "load-profile-elements(5): install-failed-due-to-pe-processing-error(12)",
        |testbed, server| {
            install(testbed, server, |package| {
                segments(package).pop();
            })
        },
    ),
    ("missing profile protection keys", IN_MAC, |testbed, server| {
        install(testbed, server, |package| package.second_sequence_of87 = None)
    }),
    ("enabling an enabled profile", "profile-not-in-disabled-state(2)", |testbed, _| {
        testbed.enable(ENABLED.parse().unwrap(), true).to_string()
    }),
    ("disabling a disabled profile", "profile-not-in-enabled-state(2)", |testbed, _| {
        testbed.disable(DISABLED.parse().unwrap(), true).to_string()
    }),
    ("deleting an enabled profile", "profile-not-in-disabled-state(2)", |testbed, _| {
        testbed.delete(ENABLED.parse().unwrap()).to_string()
    }),
    ("UPDATE BINARY of EF.IMSI without ADM", "6982", |testbed, _| {
        testbed.expect("00A4040C07 A0000000871002", "9000");
        testbed.expect("00A4000C02 6F07", "9000");
        testbed.apdu("00D6000009 080910101032547698")
    }),
    ("STORE DATA without a selected ISD-R", "6D00", |testbed, _| testbed.apdu("80E2910003 BF2E00")),
    ("STORE DATA on a channel opened from the channel of the ISD-R", "6D00", |testbed, _| {
        testbed.reset();
        testbed.expect("00A4040C10 A0000005591010FFFFFFFF8900000100", "9000");
        testbed.expect("0070000001", "01 9000");
        testbed.apdu("81E2910003 BF2E00")
    }),
    ("STORE DATA on a closed channel", "6881", |testbed, _| testbed.apdu("83E2910003 BF2E00")),
    ("the second block of a command without the first", "6A86", |testbed, _| {
        testbed.expect("00A4040C10 A0000005591010FFFFFFFF8900000100", "9000");
        testbed.apdu("80E2910103 BF2E00")
    }),
    ("selecting an ISD-P", "6A82", |testbed, _| testbed.apdu(&format!("00A4040C10 {}", Aid::isd_p(0x10)))),
    ("an ES10 command with an incomplete element", "6A80", |testbed, _| testbed.es10_text("BF2E0100")),
];

#[test]
fn every_attack_gets_its_response_and_has_no_effect() {
    let (mut testbed, _) = card_in_use();
    let profiles = testbed.profiles();
    let (start, before) = (testbed.snapshot(), testbed.memory());
    for (attack, expected, execute) in ATTACKS {
        testbed.restore(&start);
        let mut server = Server::new(&testbed, Curve::P256);
        assert_eq!(execute(&mut testbed, &mut server), expected, "{attack}");
        assert_eq!(testbed.memory(), before, "{attack}");
        testbed.reset();
        assert_eq!(testbed.profiles(), profiles, "{attack}");
    }
}

#[test]
fn after_all_attacks_a_download_succeeds() {
    let (mut testbed, mut server) = card_in_use();
    for (_, _, execute) in ATTACKS {
        testbed.reset();
        execute(&mut testbed, &mut server);
        server = Server::new(&testbed, Curve::P256);
    }
    assert_eq!(outcome(&server.download(&mut testbed, &TestPackage::small(ATTACK_ICCID))), Ok(()));
}

// req: SGP.22-5.7.6-Truncated
#[test]
fn a_package_truncated_at_any_octet_installs_nothing() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let prepared = server.prepare(&mut testbed);
    let package = server.bind(&testbed, &prepared, &TestPackage::small(ATTACK_ICCID)).to_der();
    let pieces = store_data_segments(&package).unwrap();
    let (agreed, before) = (testbed.snapshot(), testbed.memory());
    let mut cuts = 0;
    for (number, piece) in pieces.iter().enumerate() {
        testbed.restore(&agreed);
        assert!(send(&mut testbed, &pieces[..number]).is_none());
        let before_piece = testbed.snapshot();
        for length in 1..piece.len() {
            testbed.restore(&before_piece);
            cuts += 1;
            match testbed.es10(&piece[..length]) {
                // A header alone is permitted, because its contents may follow.
                Ok(answer) if answer.is_empty() => {}
                Ok(answer) => {
                    let result = ProfileInstallationResult::from_der(&answer).unwrap();
                    let incorrect = ErrorReason::INCORRECT_INPUT_VALUES;
                    assert_eq!(outcome(&result).unwrap_err().1, incorrect, "piece {number}, {length} octets");
                }
                Err(status) => assert_eq!(status, "6A80", "piece {number}, {length} octets"),
            }
            assert_eq!(testbed.memory(), before);
        }
    }
    assert!(cuts > 400, "{cuts}");
    testbed.restore(&agreed);
    assert_eq!(outcome(&send(&mut testbed, &pieces).unwrap()), Ok(()));
}

#[test]
fn challenges_are_random() {
    let mut testbed = Testbed::new();
    let mut seen: Vec<_> = (0..50).map(|_| challenge(&mut testbed)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 50);
}

#[test]
fn random_commands_always_get_a_response() {
    let random = SeededRandom::from_text("hostile");
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let test_package = TestPackage::small(ATTACK_ICCID);
    let number = |below: usize| {
        let mut octets = [0; 4];
        random.fill(&mut octets);
        usize::try_from(u32::from_be_bytes(octets)).unwrap() % below
    };
    for round in 0..20_000 {
        let mut command = vec![0; number(40)];
        random.fill(&mut command);
        let answer = testbed.card.transmit(&command);
        assert!(answer.len() >= 2, "round {round}: {command:02X?}");
    }
    testbed.reset();
    // Truncated and modified requests to the ISD-R.
    let mut requests = Vec::new();
    let challenge = challenge(&mut testbed);
    requests.push(server.authenticate_server(challenge).to_der());
    let prepared = server.prepare(&mut testbed);
    requests.extend(store_data_segments(&server.bind(&testbed, &prepared, &test_package).to_der()).unwrap());
    requests.push(vec![0xBF, 0x2D, 0x06, 0x5C, 0x04, 0x5A, 0x9F, 0x70, 0x4F]);
    requests
        .push(vec![0xBF, 0x31, 0x11, 0xA0, 0x0C, 0x5A, 0x0A, 0x98, 0, 1, 3, 2, 5, 4, 7, 6, 9, 0x81, 1, 0xFF]);
    for _ in 0..1500 {
        let mut request = requests[number(requests.len())].clone();
        match number(3) {
            0 => request.truncate(1 + number(request.len())),
            1 => {
                let at = number(request.len());
                request[at] ^= 1 << number(8);
            }
            _ => {}
        }
        if number(10) == 0 {
            server.prepare(&mut testbed);
        }
        let _ = testbed.es10(&request);
        testbed.profiles();
    }
}

#[test]
fn a_signed_request_that_is_not_der_is_verified_as_it_was_received() {
    // The BOOLEAN has another form than the one that the server signed.
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let request = server.authenticate_server(challenge(&mut testbed));
    let answer = testbed.call(&request);
    let request = server.prepare_download(&testbed, &answer, None).to_der();
    let at = request.windows(3).position(|octets| octets == [1, 1, 0]).unwrap();
    let mut changed = request.clone();
    changed[at + 2] = 1;
    let answer = PrepareDownloadResponse::from_der(&testbed.es10(&changed).unwrap()).unwrap();
    let PrepareDownloadResponse::DownloadResponseError(error) = answer else { panic!("{answer:?}") };
    assert_eq!(error.download_error_code, DownloadErrorCode::INVALID_SIGNATURE);
}
