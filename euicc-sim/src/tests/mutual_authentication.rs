//! Refusals of AuthenticateServer and PrepareDownload in addition to those in `hostile`: SGP.22
//! sections 5.7.5 and 5.7.13.

use certs::{Defect, Role};
use crypto::Curve;
use rsp::der::Raw;
use rsp::ids::{CertificateDer, TransactionId};
use rsp::sgp22::CtxParams1;
use rsp::sgp22::es10b::{
    AuthenticateErrorCode, AuthenticateServerRequest, AuthenticateServerResponse, DownloadErrorCode,
    GetEuiccChallengeRequest, GetEuiccChallengeResponse, PrepareDownloadRequest, PrepareDownloadResponse,
};
use world::Clock;

use super::server::Server;
use super::testbed::Testbed;

pub(super) fn challenge(testbed: &mut Testbed) -> [u8; 16] {
    testbed.call::<GetEuiccChallengeResponse>(&GetEuiccChallengeRequest {}).euicc_challenge
}

fn authenticate(
    testbed: &mut Testbed,
    request: &AuthenticateServerRequest,
) -> Result<(), AuthenticateErrorCode> {
    match testbed.call(request) {
        AuthenticateServerResponse::AuthenticateResponseOk(_) => Ok(()),
        AuthenticateServerResponse::AuthenticateResponseError(error) => Err(error.authenticate_error_code),
    }
}

#[test]
fn servers_that_fail_the_authentication_are_refused() {
    use AuthenticateErrorCode as Code;
    type Modify = fn(&mut AuthenticateServerRequest, &mut Server);
    let cases: [(Code, Modify); 4] = [
        // req: SGP.22-5.7.13-Signature
        (Code::INVALID_SIGNATURE, |request, _| request.server_signature1[5] ^= 1),
        // req: SGP.22-5.7.13-Challenge
        (Code::EUICC_CHALLENGE_MISMATCH, |request, server| {
            let mut signed = (*request.server_signed1).clone();
            signed.euicc_challenge[0] ^= 1;
            request.server_signed1 = Raw::new(signed);
            let signature = server.dp.auth.key.sign(request.server_signed1.bytes());
            request.server_signature1 = signature.as_bytes().to_vec();
        }),
        (Code::INVALID_OID, |request, server| {
            request.server_certificate = CertificateDer(server.dp.pb.certificate.der().to_vec());
        }),
        (Code::INVALID_CERTIFICATE, |request, _| request.server_certificate = CertificateDer(vec![0x30, 0])),
    ];
    for (expected, modify) in cases {
        let mut testbed = Testbed::new();
        let mut server = Server::new(&testbed, Curve::P256);
        let mut request = server.authenticate_server(challenge(&mut testbed));
        modify(&mut request, &mut server);
        assert_eq!(authenticate(&mut testbed, &request), Err(expected));
        // The challenge has been used up, so the correct request is refused too.
        // req: SGP.22-5.7.13-Once
        assert_eq!(authenticate(&mut testbed, &request), Err(Code::NO_SESSION_CONTEXT));
    }
}

// req: SGP.22-5.7.13-V3Context
#[test]
fn v3_operations_other_than_a_download_are_refused() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    for other in [
        CtxParams1::CtxParamsForDeviceChange(vec![]),
        CtxParams1::CtxParamsForProfileRecovery(vec![]),
        CtxParams1::CtxParamsForPushServiceRegistration(vec![]),
    ] {
        let mut request = server.authenticate_server(challenge(&mut testbed));
        request.ctx_params1 = Raw::new(other);
        assert_eq!(authenticate(&mut testbed, &request), Err(AuthenticateErrorCode::UNDEFINED_ERROR));
    }
}

// req: SGP.22-5.7.13-Session
#[test]
fn a_challenge_does_not_survive_a_reset() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let fresh = server.authenticate_server(challenge(&mut testbed));
    testbed.reset();
    assert_eq!(authenticate(&mut testbed, &fresh), Err(AuthenticateErrorCode::NO_SESSION_CONTEXT));
}

// req: SGP.22-5.7.13-Certificate
#[test]
fn every_defect_of_dpauth_is_refused() {
    every_defect_is_refused(Role::DpAuth);
}

// req: SGP.22-5.7.13-Certificate
#[test]
fn every_defect_of_dsauth_is_refused() {
    every_defect_is_refused(Role::DsAuth);
}

fn every_defect_is_refused(role: Role) {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        for defect in Defect::ALL.into_iter().filter(|defect| defect.applies_to(role)) {
            let mut testbed = Testbed::new();
            let mut server = Server::new(&testbed, curve);
            let broken = testbed.pki.issue_with(defect, role, curve).unwrap();
            server.dp.auth.key = broken.key;
            let mut request = server.authenticate_server(challenge(&mut testbed));
            request.server_certificate = CertificateDer(broken.der);
            let outcome = authenticate(&mut testbed, &request);
            let expected = match defect {
                // A certificate with another OID is a valid certificate of another SM-DP+.
                // PrepareDownload compares the OIDs.
                Defect::OtherOid => Ok(()),
                Defect::StrangerCi => Err(AuthenticateErrorCode::CI_PK_UNKNOWN),
                Defect::WrongRole | Defect::NoRole => Err(AuthenticateErrorCode::INVALID_OID),
                Defect::OtherCurve => Err(AuthenticateErrorCode::UNSUPPORTED_CURVE),
                _ => Err(AuthenticateErrorCode::INVALID_CERTIFICATE),
            };
            assert_eq!(outcome, expected, "{defect:?} on {curve}");
        }
    }
}

/// The certificate with another named curve in its public key: P-192 in place of P-256, which differs
/// in the last arc.
fn with_key_on_p192(certificate: &certs::Certificate) -> CertificateDer {
    const P256: [u8; 10] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
    let mut der = certificate.der().to_vec();
    let at = der.windows(P256.len()).position(|window| window == P256).unwrap();
    der[at + P256.len() - 1] = 1;
    CertificateDer(der)
}

// req: SGP.22-5.7.13-Certificate
// req: SGP.22-5.7.5-Certificate
#[test]
fn a_certificate_with_a_key_on_another_curve_is_refused_for_its_curve() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let mut request = server.authenticate_server(challenge(&mut testbed));
    request.server_certificate = with_key_on_p192(&server.dp.auth.certificate);
    assert_eq!(authenticate(&mut testbed, &request), Err(AuthenticateErrorCode::UNSUPPORTED_CURVE));
    let prepared = prepare_modified(|_, server, request| {
        request.smdp_certificate = with_key_on_p192(&server.dp.pb.certificate);
    });
    assert_eq!(prepared, Err(DownloadErrorCode::UNSUPPORTED_CURVE));
}

#[test]
fn certificates_are_checked_against_the_clock_of_the_card() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    testbed.clock.set("2050-01-01T00:00:00Z".parse().unwrap());
    assert!(testbed.clock.now() > "2049-12-31T23:59:59Z".parse().unwrap());
    let request = server.authenticate_server(challenge(&mut testbed));
    assert_eq!(authenticate(&mut testbed, &request), Err(AuthenticateErrorCode::INVALID_CERTIFICATE));
}

fn prepare_modified(
    modify: impl FnOnce(&mut Testbed, &mut Server, &mut PrepareDownloadRequest),
) -> Result<(), DownloadErrorCode> {
    let mut testbed = Testbed::new();
    let mut server = Server::new(&testbed, Curve::P256);
    let request = server.authenticate_server(challenge(&mut testbed));
    let answer = testbed.call(&request);
    let mut request = server.prepare_download(&testbed, &answer, None);
    modify(&mut testbed, &mut server, &mut request);
    match testbed.call(&request) {
        PrepareDownloadResponse::DownloadResponseOk(_) => Ok(()),
        PrepareDownloadResponse::DownloadResponseError(error) => Err(error.download_error_code),
    }
}

// req: SGP.22-5.7.5-Certificate
#[test]
fn every_defect_of_dppb_is_refused() {
    assert_eq!(prepare_modified(|_, _, _| {}), Ok(()));
    for defect in Defect::ALL.into_iter().filter(|defect| defect.applies_to(Role::DpPb)) {
        let outcome = prepare_modified(|testbed, _, request| {
            let broken = testbed.pki.issue_with(defect, Role::DpPb, Curve::P256).unwrap();
            request.smdp_certificate = CertificateDer(broken.der);
        });
        let expected = match defect {
            Defect::OtherCurve => DownloadErrorCode::UNSUPPORTED_CURVE,
            _ => DownloadErrorCode::INVALID_CERTIFICATE,
        };
        assert_eq!(outcome, Err(expected), "{defect:?}");
    }
    // req: SGP.22-5.7.5-SameOperator
    let other_ci = prepare_modified(|testbed, _, request| {
        let other = testbed.pki.dp(Curve::BrainpoolP256r1).unwrap();
        request.smdp_certificate = CertificateDer(other.pb.certificate.der().to_vec());
    });
    assert_eq!(other_ci, Err(DownloadErrorCode::INVALID_CERTIFICATE));
}

#[test]
fn an_invalid_prepare_download_is_refused() {
    // req: SGP.22-5.7.5-Signature
    let without_euicc_signature = prepare_modified(|_, server, request| {
        let signature = server.dp.pb.key.sign(request.smdp_signed2.bytes());
        request.smdp_signature2 = signature.as_bytes().to_vec();
    });
    assert_eq!(without_euicc_signature, Err(DownloadErrorCode::INVALID_SIGNATURE));
    // req: SGP.22-5.7.5-TransactionId
    let other_transaction = prepare_modified(|_, _, request| {
        let mut signed = (*request.smdp_signed2).clone();
        signed.transaction_id = TransactionId(vec![1; 16]);
        request.smdp_signed2 = Raw::new(signed);
    });
    assert_eq!(other_transaction, Err(DownloadErrorCode::INVALID_TRANSACTION_ID));
    // req: SGP.22-5.7.5-ConfirmationCode
    let unexpected_code = prepare_modified(|_, _, request| request.hash_cc = Some([1; 32]));
    assert_eq!(unexpected_code, Err(DownloadErrorCode::UNDEFINED_ERROR));
    // req: SGP.22-5.7.5-Session
    let after_reset = prepare_modified(|testbed, _, _| testbed.reset());
    assert_eq!(after_reset, Err(DownloadErrorCode::NO_SESSION_CONTEXT));
    let stale = prepare_modified(|testbed, _, _| {
        challenge(testbed);
    });
    assert_eq!(stale, Err(DownloadErrorCode::NO_SESSION_CONTEXT));
}

/// The SM-DP+ has refused the confirmation code (8.2.7/3.8), and the user enters another one in the
/// same session.
#[test]
fn prepare_download_is_accepted_again_with_another_confirmation_code() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let request = server.authenticate_server(challenge(&mut testbed));
    let answer = testbed.call(&request);
    for hash_cc in [[1; 32], [2; 32]] {
        let request = server.prepare_download(&testbed, &answer, Some(hash_cc));
        let PrepareDownloadResponse::DownloadResponseOk(ok) = testbed.call(&request) else { panic!() };
        assert_eq!(ok.euicc_signed2.hash_cc, Some(hash_cc));
    }
}

// req: SGP.22-5.7.5-SmDs
#[test]
fn prepare_download_with_an_sm_ds_is_refused() {
    let mut testbed = Testbed::new();
    let mut server = Server::new(&testbed, Curve::P256);
    server.dp.auth = testbed.pki.ds(Curve::P256).unwrap().auth;
    let request = server.authenticate_server(challenge(&mut testbed));
    let answer = testbed.call(&request);
    let request = server.prepare_download(&testbed, &answer, None);
    let PrepareDownloadResponse::DownloadResponseError(error) = testbed.call(&request) else { panic!() };
    assert_eq!(error.download_error_code, DownloadErrorCode::NO_SESSION_CONTEXT);
}
