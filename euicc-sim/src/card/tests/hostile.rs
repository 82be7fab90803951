//! What must be refused, with the right answer, nothing installed and nothing left behind.

use certs::{Defect, Role};
use crypto::Curve;
use profile::element::{AlgoConfiguration, AlgorithmId, Service};
use profile::{EuiccResponse, Package, PeStatusCode, ProfileElement};
use rsp::der::{Asn1, BitString, Raw};
use rsp::ids::{CertificateDer, SubjectKeyIdentifier, TransactionId};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, BppCommandId, ErrorReason, FinalResult, InitialiseSecureChannelRequest,
    StoreMetadataRequest, loading_pieces,
};
use rsp::sgp22::es10b::{
    AuthenticateErrorCode, AuthenticateServerRequest, AuthenticateServerResponse, DownloadErrorCode,
    GetEuiccChallengeRequest, GetEuiccChallengeResponse, PrepareDownloadRequest, PrepareDownloadResponse,
};
use rsp::sgp22::{CtxParams1, EuiccInfo2, IconType, ProfileClass, ppr};
use world::{Clock, Dice, RamMemory, SeededDice};

use super::bench::{Bench, pki};
use super::download::ICCID;
use super::server::{Goods, Server, load, outcome, send};
use crate::card::CardDescription;

fn challenge(bench: &mut Bench) -> [u8; 16] {
    bench.call::<GetEuiccChallengeResponse>(&GetEuiccChallengeRequest {}).euicc_challenge
}

fn authenticate(bench: &mut Bench, request: &AuthenticateServerRequest) -> Result<(), AuthenticateErrorCode> {
    match bench.call(request) {
        AuthenticateServerResponse::AuthenticateResponseOk(_) => Ok(()),
        AuthenticateServerResponse::AuthenticateResponseError(error) => Err(error.authenticate_error_code),
    }
}

#[test]
fn servers_that_cannot_prove_themselves_are_refused() {
    use AuthenticateErrorCode as Code;
    type Spoil = fn(&mut AuthenticateServerRequest, &mut Server);
    let cases: [(Code, Spoil); 5] = [
        (Code::INVALID_SIGNATURE, |request, _| request.server_signature1[5] ^= 1),
        (Code::INVALID_SIGNATURE, |request, _| {
            let mut signed = request.server_signed1.clone().into_value();
            signed.server_address = "elsewhere.example.com".to_owned();
            request.server_signed1 = Raw::new(signed);
        }),
        (Code::CI_PK_UNKNOWN, |request, _| {
            request.euicc_ci_pk_id_to_be_used = SubjectKeyIdentifier(vec![1; 20])
        }),
        (Code::INVALID_OID, |request, server| {
            request.server_certificate = CertificateDer(server.dp.pb.certificate.der().to_vec());
        }),
        (Code::INVALID_CERTIFICATE, |request, _| request.server_certificate = CertificateDer(vec![0x30, 0])),
    ];
    for (expected, spoil) in cases {
        let mut bench = Bench::new();
        let mut server = Server::new(&bench, Curve::P256);
        let mut request = server.authenticate_server(challenge(&mut bench));
        spoil(&mut request, &mut server);
        assert_eq!(authenticate(&mut bench, &request), Err(expected));
        // The challenge is used up: the right request comes too late.
        assert_eq!(authenticate(&mut bench, &request), Err(Code::NO_SESSION_CONTEXT));
    }
}

#[test]
fn what_v3_has_besides_a_download_is_not_signed_for() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    for other in [
        CtxParams1::CtxParamsForDeviceChange(vec![]),
        CtxParams1::CtxParamsForProfileRecovery(vec![]),
        CtxParams1::CtxParamsForPushServiceRegistration(vec![]),
    ] {
        let mut request = server.authenticate_server(challenge(&mut bench));
        request.ctx_params1 = other;
        assert_eq!(authenticate(&mut bench, &request), Err(AuthenticateErrorCode::UNDEFINED_ERROR));
    }
}

#[test]
fn a_challenge_counts_once_and_only_while_it_is_the_latest() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let request = server.authenticate_server([0; 16]);
    assert_eq!(authenticate(&mut bench, &request), Err(AuthenticateErrorCode::NO_SESSION_CONTEXT));
    let first = server.authenticate_server(challenge(&mut bench));
    challenge(&mut bench);
    assert_eq!(authenticate(&mut bench, &first), Err(AuthenticateErrorCode::EUICC_CHALLENGE_MISMATCH));
    let fresh = server.authenticate_server(challenge(&mut bench));
    assert_eq!(authenticate(&mut bench, &fresh), Ok(()));
    assert_eq!(authenticate(&mut bench, &fresh), Err(AuthenticateErrorCode::NO_SESSION_CONTEXT));
    let fresh = server.authenticate_server(challenge(&mut bench));
    bench.reset();
    assert_eq!(authenticate(&mut bench, &fresh), Err(AuthenticateErrorCode::NO_SESSION_CONTEXT));
}

#[test]
fn every_defect_of_dpauth_is_refused() {
    every_defect_is_refused(Role::DpAuth);
}

#[test]
fn every_defect_of_dsauth_is_refused() {
    every_defect_is_refused(Role::DsAuth);
}

fn every_defect_is_refused(role: Role) {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for defect in Defect::ALL.into_iter().filter(|defect| defect.applies_to(role)) {
            let mut bench = Bench::new();
            let mut server = Server::new(&bench, curve);
            let broken = bench.pki.issue_with(defect, role, curve).unwrap();
            server.dp.auth.key = broken.key;
            let mut request = server.authenticate_server(challenge(&mut bench));
            request.server_certificate = CertificateDer(broken.der);
            let outcome = authenticate(&mut bench, &request);
            let expected = match defect {
                // Another OID is an honest certificate of another SM-DP+; PrepareDownload compares.
                Defect::OtherOid => Ok(()),
                Defect::StrangerCi | Defect::NoAuthorityKeyId => Err(AuthenticateErrorCode::CI_PK_UNKNOWN),
                Defect::WrongRole | Defect::NoRole => Err(AuthenticateErrorCode::INVALID_OID),
                Defect::OtherCurve => Err(AuthenticateErrorCode::UNSUPPORTED_CURVE),
                _ => Err(AuthenticateErrorCode::INVALID_CERTIFICATE),
            };
            assert_eq!(outcome, expected, "{defect:?} on {curve}");
        }
    }
}

#[test]
fn certificates_hold_at_the_cards_time_only() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    bench.clock.set("2050-01-01T00:00:00Z".parse().unwrap());
    assert!(bench.clock.now() > "2049-12-31T23:59:59Z".parse().unwrap());
    let request = server.authenticate_server(challenge(&mut bench));
    assert_eq!(authenticate(&mut bench, &request), Err(AuthenticateErrorCode::INVALID_CERTIFICATE));
}

fn prepare_spoilt(
    spoil: impl FnOnce(&mut Bench, &mut Server, &mut PrepareDownloadRequest),
) -> Result<(), DownloadErrorCode> {
    let mut bench = Bench::new();
    let mut server = Server::new(&bench, Curve::P256);
    let request = server.authenticate_server(challenge(&mut bench));
    let answer = bench.call(&request);
    let mut request = server.prepare_download(&bench, &answer, None);
    spoil(&mut bench, &mut server, &mut request);
    match bench.call(&request) {
        PrepareDownloadResponse::DownloadResponseOk(_) => Ok(()),
        PrepareDownloadResponse::DownloadResponseError(error) => Err(error.download_error_code),
    }
}

#[test]
fn every_defect_of_dppb_is_refused() {
    assert_eq!(prepare_spoilt(|_, _, _| {}), Ok(()));
    for defect in Defect::ALL.into_iter().filter(|defect| defect.applies_to(Role::DpPb)) {
        let outcome = prepare_spoilt(|bench, _, request| {
            let broken = bench.pki.issue_with(defect, Role::DpPb, Curve::P256).unwrap();
            request.smdp_certificate = CertificateDer(broken.der);
        });
        let expected = match defect {
            Defect::OtherCurve => DownloadErrorCode::UNSUPPORTED_CURVE,
            _ => DownloadErrorCode::INVALID_CERTIFICATE,
        };
        assert_eq!(outcome, Err(expected), "{defect:?}");
    }
    let dp_auth = prepare_spoilt(|_, server, request| {
        request.smdp_certificate = CertificateDer(server.dp.auth.certificate.der().to_vec());
    });
    assert_eq!(dp_auth, Err(DownloadErrorCode::INVALID_CERTIFICATE));
    let other_ci = prepare_spoilt(|bench, _, request| {
        let other = bench.pki.dp(Curve::BrainpoolP256r1).unwrap();
        request.smdp_certificate = CertificateDer(other.pb.certificate.der().to_vec());
    });
    assert_eq!(other_ci, Err(DownloadErrorCode::INVALID_CERTIFICATE));
}

#[test]
fn a_download_that_was_not_agreed_on_is_refused() {
    let spoilt = prepare_spoilt(|_, _, request| request.smdp_signature2[9] ^= 0x80);
    assert_eq!(spoilt, Err(DownloadErrorCode::INVALID_SIGNATURE));
    let wrong_transaction = prepare_spoilt(|_, _, request| {
        let mut signed = request.smdp_signed2.clone().into_value();
        signed.transaction_id = TransactionId(vec![8; 4]);
        request.smdp_signed2 = Raw::new(signed);
    });
    assert_eq!(wrong_transaction, Err(DownloadErrorCode::INVALID_TRANSACTION_ID));
    let without_the_cards_signature = prepare_spoilt(|_, server, request| {
        let signature = server.dp.pb.key.sign(request.smdp_signed2.bytes());
        request.smdp_signature2 = signature.as_bytes().to_vec();
    });
    assert_eq!(without_the_cards_signature, Err(DownloadErrorCode::INVALID_SIGNATURE));
    let code_nobody_asked_for = prepare_spoilt(|_, _, request| request.hash_cc = Some([1; 32]));
    assert_eq!(code_nobody_asked_for, Err(DownloadErrorCode::UNDEFINED_ERROR));
    let after_reset = prepare_spoilt(|bench, _, _| bench.reset());
    assert_eq!(after_reset, Err(DownloadErrorCode::NO_SESSION_CONTEXT));
    let stale = prepare_spoilt(|bench, _, _| {
        challenge(bench);
    });
    assert_eq!(stale, Err(DownloadErrorCode::NO_SESSION_CONTEXT));
}

#[test]
fn an_sm_ds_has_no_profiles() {
    let mut bench = Bench::new();
    let mut server = Server::new(&bench, Curve::P256);
    server.dp.auth = bench.pki.ds(Curve::P256).unwrap().auth;
    let request = server.authenticate_server(challenge(&mut bench));
    let answer = bench.call(&request);
    let request = server.prepare_download(&bench, &answer, None);
    let PrepareDownloadResponse::DownloadResponseError(error) = bench.call(&request) else { panic!() };
    assert_eq!(error.download_error_code, DownloadErrorCode::NO_SESSION_CONTEXT);
}

/// What the card makes of a package, having seen to it that a refusal leaves nothing.
fn load_spoilt(
    change_request: impl FnOnce(&mut InitialiseSecureChannelRequest),
    change_goods: impl FnOnce(&mut Goods),
    change_package: impl FnOnce(&mut BoundProfilePackage),
) -> Result<(), (BppCommandId, ErrorReason)> {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let mut goods = Goods::small(ICCID);
    change_goods(&mut goods);
    let PrepareDownloadResponse::DownloadResponseOk(ok) = server.prepare(&mut bench) else { panic!() };
    let mut package = server.bind_to(&bench, &ok, &goods, change_request);
    change_package(&mut package);
    let before = free_memory(&mut bench);
    let result = load(&mut bench, &package.to_der()).expect("an answer");
    let outcome = outcome(&result);
    if outcome.is_err() {
        assert!(bench.profiles().is_empty());
        assert_eq!(free_memory(&mut bench), before);
        bench.reset();
        assert!(bench.profiles().is_empty());
        // And the way is free for the right package.
        assert_eq!(super::server::outcome(&server.download(&mut bench, &Goods::small(ICCID))), Ok(()));
    }
    outcome
}

fn free_memory(bench: &mut Bench) -> Vec<u8> {
    let info = bench.es10(&[0xBF, 0x22, 0]).unwrap();
    EuiccInfo2::from_der(&info).unwrap().ext_card_resource
}

#[test]
fn a_first_request_that_does_not_fit_is_refused() {
    use BppCommandId as Id;
    use ErrorReason as Why;
    type Change = fn(&mut InitialiseSecureChannelRequest);
    let signed: [(Why, Change); 6] = [
        (Why::INVALID_TRANSACTION_ID, |request| request.transaction_id = TransactionId(vec![7])),
        (Why::UNSUPPORTED_REMOTE_OPERATION_TYPE, |request| request.remote_op_id = 2),
        (Why::UNSUPPORTED_CRT_VALUES, |request| request.control_ref_template.key_type = [0x80]),
        (Why::UNSUPPORTED_CRT_VALUES, |request| request.control_ref_template.key_len = [0x20]),
        (Why::UNSUPPORTED_CRT_VALUES, |request| request.control_ref_template.host_id = vec![1; 17]),
        (Why::INCORRECT_INPUT_VALUES, |request| request.smdp_otpk = vec![4; 65]),
    ];
    for (why, change) in signed {
        assert_eq!(load_spoilt(change, |_| {}, |_| {}), Err((Id::INITIALISE_SECURE_CHANNEL, why)));
    }
    let forged = load_spoilt(
        |_| {},
        |_| {},
        |package| {
            let mut request = package.initialise_secure_channel_request.clone().into_value();
            request.smdp_sign[0] ^= 1;
            package.initialise_secure_channel_request = Raw::new(request);
        },
    );
    assert_eq!(forged, Err((Id::INITIALISE_SECURE_CHANNEL, Why::INVALID_SIGNATURE)));
}

#[test]
fn segments_that_were_touched_are_refused() {
    use BppCommandId as Id;
    fn last_octet(segment: &mut [u8]) {
        *segment.last_mut().unwrap() ^= 1;
    }
    type Change = fn(&mut BoundProfilePackage);
    let cases: [(Id, ErrorReason, Change); 6] = [
        (Id::CONFIGURE_ISDP, ErrorReason::SCP03T_SECURITY_ERROR, |package| {
            last_octet(&mut package.first_sequence_of87.0[0])
        }),
        (Id::STORE_METADATA, ErrorReason::SCP03T_SECURITY_ERROR, |package| {
            last_octet(&mut package.sequence_of88.0[0])
        }),
        (Id::REPLACE_SESSION_KEYS, ErrorReason::SCP03T_SECURITY_ERROR, |package| {
            last_octet(&mut package.second_sequence_of87.as_mut().unwrap().0[0]);
        }),
        (Id::LOAD_PROFILE_ELEMENTS, ErrorReason::SCP03T_SECURITY_ERROR, |package| {
            last_octet(&mut package.sequence_of86.0[0])
        }),
        // Without the new keys what follows does not verify.
        (Id::LOAD_PROFILE_ELEMENTS, ErrorReason::SCP03T_SECURITY_ERROR, |package| {
            package.second_sequence_of87 = None
        }),
        (Id::CONFIGURE_ISDP, ErrorReason::INCORRECT_INPUT_VALUES, |package| {
            package.first_sequence_of87.0.clear()
        }),
    ];
    for (command, why, change) in cases {
        assert_eq!(load_spoilt(|_| {}, |_| {}, change), Err((command, why)));
    }
}

#[test]
fn segments_out_of_order_are_refused() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let mut goods = Goods::small(ICCID);
    // Too much for one segment.
    goods.package.extend(std::iter::repeat_n(0u8, 3000));
    let prepared = server.prepare(&mut bench);
    let mut package = server.bind(&bench, &prepared, &goods);
    package.sequence_of86.0.swap(0, 1);
    let result = load(&mut bench, &package.to_der()).unwrap();
    assert_eq!(
        outcome(&result),
        Err((BppCommandId::LOAD_PROFILE_ELEMENTS, ErrorReason::SCP03T_SECURITY_ERROR))
    );
    assert!(bench.profiles().is_empty());
}

#[test]
fn metadata_that_the_card_may_not_take_are_refused() {
    use ErrorReason as Why;
    type Change = fn(&mut StoreMetadataRequest);
    let cases: [(Why, Change); 9] = [
        (Why::INCORRECT_INPUT_VALUES, |metadata| metadata.service_provider_name = "x".repeat(33)),
        (Why::INCORRECT_INPUT_VALUES, |metadata| metadata.profile_name = "x".repeat(65)),
        (Why::INCORRECT_INPUT_VALUES, |metadata| metadata.icon = Some(vec![0x89, 0x50, 0x4E, 0x47])),
        (Why::INCORRECT_INPUT_VALUES, |metadata| {
            metadata.icon_type = Some(IconType::PNG);
            metadata.icon = Some(b"GIF89a".to_vec());
        }),
        (Why::INCORRECT_INPUT_VALUES, |metadata| {
            metadata.icon_type = Some(IconType::JPG);
            metadata.icon = Some([&[0xFF, 0xD8][..], &[0; 1023]].concat());
        }),
        (Why::INCORRECT_INPUT_VALUES, |metadata| {
            let receivers = metadata.notification_configuration_info.as_mut().unwrap();
            receivers[0].notification_address = "not an address".to_owned();
        }),
        (Why::UNSUPPORTED_PROFILE_CLASS, |metadata| metadata.profile_class = Some(ProfileClass(3))),
        (Why::INCORRECT_INPUT_VALUES, |metadata| {
            metadata.profile_policy_rules = Some(BitString::of(&[ppr::PPR1]))
        }),
        (Why::PPR_NOT_ALLOWED, |metadata| {
            metadata.profile_policy_rules = Some(BitString::of(&[3]));
            metadata.profile_owner =
                Some(rsp::sgp22::OperatorId { mcc_mnc: [0, 0xF1, 0x10], gid1: None, gid2: None });
        }),
    ];
    for (why, change) in cases {
        let outcome = load_spoilt(|_| {}, |goods| change(&mut goods.metadata), |_| {});
        assert_eq!(outcome, Err((BppCommandId::STORE_METADATA, why)));
    }
}

#[test]
fn packages_that_are_none_are_refused() {
    let elements = BppCommandId::LOAD_PROFILE_ELEMENTS;
    let processing = ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR;
    type Change = fn(&mut Goods);
    let cases: [(ErrorReason, Change); 5] = [
        (processing, |goods| goods.package.truncate(goods.package.len() - 1)),
        (processing, |goods| goods.package.extend([0xAA, 0x05, 0xA0, 0x03, 0x81, 0x01, 0x02])),
        (processing, |goods| goods.package = vec![0x55; 700]),
        (processing, |goods| goods.package = goods.package[..goods.package.len() - 9].to_vec()),
        (ErrorReason::INSTALL_FAILED_DUE_TO_DATA_MISMATCH, |goods| {
            goods.metadata.iccid = "8988888888888888888".parse().unwrap();
        }),
    ];
    for (number, (why, change)) in cases.into_iter().enumerate() {
        assert_eq!(load_spoilt(|_| {}, change, |_| {}), Err((elements, why)), "case {number}");
    }
}

#[test]
fn a_package_that_needs_what_the_card_lacks_is_refused() {
    let lacks = |description: &mut CardDescription| description.capabilities.uicc_capability.clear();
    let mut bench = Bench::with(pki(), lacks, RamMemory::default());
    let server = Server::new(&bench, Curve::P256);
    let mut package = Package::decode(&Goods::small(ICCID).package).unwrap();
    let Some(ProfileElement::Header(header)) = package.elements.first_mut() else { panic!() };
    header.mandatory_services.services.push(Service::USIM);
    let result = server.download(&mut bench, &Goods::of(package.encode()));
    let why = ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR;
    assert_eq!(outcome(&result), Err((BppCommandId::LOAD_PROFILE_ELEMENTS, why)));
    let FinalResult::ErrorResult(error) = &result.profile_installation_result_data.final_result else {
        panic!()
    };
    let response = EuiccResponse::from_der(error.sima_response.as_ref().unwrap()).unwrap();
    assert_eq!(response.pe_status[0].status, PeStatusCode::FEATURE_NOT_SUPPORTED);
}

#[test]
fn a_test_profile_has_test_keys() {
    let Some((_, package)) = super::files::ts48("der").into_iter().next() else { return };
    for (algorithm, key, expected) in [
        (AlgorithmId::USIM_TEST_ALGORITHM, [9; 16], Ok(())),
        (AlgorithmId::MILENAGE, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], Ok(())),
        (
            AlgorithmId::MILENAGE,
            [9; 16],
            Err(ErrorReason::TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY),
        ),
        (AlgorithmId::TUAK, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], Ok(())),
        (AlgorithmId::TUAK, [9; 16], Err(ErrorReason::TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY)),
    ] {
        let mut package = Package::decode(&package).unwrap();
        for element in &mut package.elements {
            if let ProfileElement::AkaParameter(aka) = element
                && let AlgoConfiguration::AlgoParameter(own) = &mut aka.algo_configuration
            {
                own.algorithm_id = algorithm;
                own.key = key.into();
                own.opc = if algorithm == AlgorithmId::TUAK { [7; 32].into() } else { [7; 16].into() };
            }
        }
        let mut bench = Bench::new();
        let server = Server::new(&bench, Curve::P256);
        let mut goods = Goods::of(package.encode());
        goods.metadata.profile_class = Some(ProfileClass::TEST);
        let found = outcome(&server.download(&mut bench, &goods)).map_err(|(_, why)| why);
        assert_eq!(found, expected, "{algorithm}");
    }
}

#[test]
fn a_profile_needs_room() {
    let mut bench = Bench::with(pki(), |description| description.memory_size = 20, RamMemory::default());
    let server = Server::new(&bench, Curve::P256);
    let result = server.download(&mut bench, &Goods::small(ICCID));
    let why = ErrorReason::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE;
    assert_eq!(outcome(&result), Err((BppCommandId::LOAD_PROFILE_ELEMENTS, why)));
}

#[test]
fn a_package_cut_short_or_sent_at_the_wrong_time_installs_nothing() {
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let prepared = server.prepare(&mut bench);
    let package = server.bind(&bench, &prepared, &Goods::small(ICCID)).to_der();
    let pieces = loading_pieces(&package).unwrap();
    // All but the last piece, then something else: no answer, no profile.
    assert!(send(&mut bench, &pieces[..pieces.len() - 1]).is_none());
    challenge(&mut bench);
    assert_eq!(bench.es10(pieces.last().unwrap()), Err("6985".to_owned()));
    assert!(bench.profiles().is_empty());
    // A package of a session that is over.
    assert_eq!(bench.es10(&pieces[0]), Err("6985".to_owned()));
    // The same bytes in a new session are bound to another key.
    server.prepare(&mut bench);
    let result = load(&mut bench, &package).unwrap();
    assert_eq!(
        outcome(&result),
        Err((BppCommandId::INITIALISE_SECURE_CHANNEL, ErrorReason::INVALID_SIGNATURE))
    );
}

#[test]
fn random_octets_always_have_an_answer() {
    let dice = SeededDice::from_text("hostile");
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let goods = Goods::small(ICCID);
    let number = |below: usize| {
        let mut octets = [0; 4];
        dice.fill(&mut octets);
        usize::try_from(u32::from_be_bytes(octets)).unwrap() % below
    };
    for round in 0..20_000 {
        let mut command = vec![0; number(40)];
        dice.fill(&mut command);
        let answer = bench.card.transmit(&command);
        assert!(answer.len() >= 2, "round {round}: {command:02X?}");
    }
    bench.reset();
    // The same at the ISD-R: truncations and single-octet changes of real requests.
    let mut requests = Vec::new();
    let challenge = challenge(&mut bench);
    requests.push(server.authenticate_server(challenge).to_der());
    let prepared = server.prepare(&mut bench);
    requests.extend(loading_pieces(&server.bind(&bench, &prepared, &goods).to_der()).unwrap());
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
            server.prepare(&mut bench);
        }
        let _ = bench.es10(&request);
        bench.profiles();
    }
}

#[test]
fn signatures_are_over_what_was_sent() {
    // A BOOLEAN that is not DER cannot be re-encoded into one that is: the card does not take it at all.
    let mut bench = Bench::new();
    let server = Server::new(&bench, Curve::P256);
    let request = server.authenticate_server(challenge(&mut bench));
    let answer = bench.call(&request);
    let request = server.prepare_download(&bench, &answer, None).to_der();
    let at = request.windows(3).position(|octets| octets == [1, 1, 0]).unwrap();
    let mut changed = request.clone();
    changed[at + 2] = 1;
    assert_eq!(bench.es10(&changed), Err("6A80".to_owned()));
}
