//! ES10b.AuthenticateServer: SGP.22 section 5.7.13.
//!
//! The server signs the challenge of GetEUICCChallenge, and the card returns its own signature. The
//! challenge is used up even if the authentication fails.

use certs::{
    Certificate, CertificateError, ChainError, Flaw, Role, ServerCertificate, Verified, check_server,
};
use crypto::Signature;
use rsp::der::Raw;
use rsp::ids::CertificateDer;
use rsp::sgp22::es10b::{
    AuthenticateErrorCode, AuthenticateResponseError, AuthenticateResponseOk, AuthenticateServerRequest,
    AuthenticateServerResponse,
};
use rsp::sgp22::{CtxParams1, EuiccSigned1};

use super::get_euicc_info::euicc_info2;
use super::load_crl::is_revoked;
use crate::consumer::ConsumerContext;
use crate::state::session::{AuthenticatedServer, Session};

pub(crate) fn authenticate_server(
    context: &mut ConsumerContext<'_>,
    request: AuthenticateServerRequest,
) -> AuthenticateServerResponse {
    let transaction_id = request.server_signed1.transaction_id.clone();
    match decide(context, request) {
        Ok(ok) => AuthenticateServerResponse::AuthenticateResponseOk(Box::new(ok)),
        Err(authenticate_error_code) => {
            AuthenticateServerResponse::AuthenticateResponseError(AuthenticateResponseError {
                transaction_id,
                authenticate_error_code,
            })
        }
    }
}

fn decide(
    context: &mut ConsumerContext<'_>,
    request: AuthenticateServerRequest,
) -> Result<AuthenticateResponseOk, AuthenticateErrorCode> {
    // req: SGP.22-5.7.13-Session, SGP.22-5.7.13-Once
    let Session::ExpectAuthenticateServer { challenge } = std::mem::take(&mut context.volatile.session)
    else {
        return Err(AuthenticateErrorCode::NO_SESSION_CONTEXT);
    };
    let ci = request.euicc_ci_pk_id_to_be_used;
    let credential = context.ecasd.credential(&ci).ok_or(AuthenticateErrorCode::CI_PK_UNKNOWN)?;
    let certificate = check_certificate(context, &request.server_certificate)?;
    let signed = &request.server_signed1;
    // req: SGP.22-5.7.13-Signature
    Signature::from_slice(&request.server_signature1)
        .and_then(|signature| certificate.certificate.public_key().verify(signed.bytes(), &signature))
        .map_err(|_| AuthenticateErrorCode::INVALID_SIGNATURE)?;
    // req: SGP.22-5.7.13-Challenge
    if signed.euicc_challenge != challenge {
        return Err(AuthenticateErrorCode::EUICC_CHALLENGE_MISMATCH);
    }
    // This card does not support the additional contexts of v3, so it does not sign a response to
    // them.
    // req: SGP.22-5.7.13-V3Context
    if !matches!(*request.ctx_params1, CtxParams1::CtxParamsForCommonAuthentication(_)) {
        return Err(AuthenticateErrorCode::UNDEFINED_ERROR);
    }

    let euicc_signed1 = Raw::new(EuiccSigned1 {
        transaction_id: signed.transaction_id.clone(),
        server_address: signed.server_address.clone(),
        server_challenge: signed.server_challenge,
        euicc_info2: Raw::new(euicc_info2(context)),
        // The context parameters as received. Elements of later versions are included in the signed
        // response (deviceInfoExtensibilitySupport).
        ctx_params1: request.ctx_params1,
    });
    let euicc_signature1 = credential.sign(euicc_signed1.bytes()).as_bytes().to_vec();
    let answer = AuthenticateResponseOk {
        euicc_signed1,
        euicc_signature1: euicc_signature1.clone(),
        euicc_certificate: credential.euicc_certificate(),
        eum_certificate: credential.eum_certificate(),
    };
    context.volatile.session = Session::ExpectPrepareDownload(Box::new(AuthenticatedServer {
        transaction_id: signed.transaction_id.clone(),
        certificate,
        address: signed.server_address.clone(),
        ci,
        euicc_signature1,
    }));
    Ok(answer)
}

/// Verifies CERT.DPauth or CERT.DSauth.
fn check_certificate(
    context: &ConsumerContext<'_>,
    der: &CertificateDer,
) -> Result<Verified<ServerCertificate>, AuthenticateErrorCode> {
    let certificate = Certificate::from_der(der.0.clone()).map_err(|why| match why {
        CertificateError::UnsupportedKey(_) => AuthenticateErrorCode::UNSUPPORTED_CURVE,
        _ => AuthenticateErrorCode::INVALID_CERTIFICATE,
    })?;
    let role = match certificate.role() {
        Some(Role::DsAuth) => Role::DsAuth,
        // A certificate with any other role fails the verification as CERT.DPauth.
        _ => Role::DpAuth,
    };
    // req: SGP.22-5.7.13-Certificate
    let verified = check_server(context.ecasd.anchors(), &certificate, &[], role, context.world.now())
        .map_err(|why| match why {
            ChainError::UnknownCi { key_id: Some(_) } => AuthenticateErrorCode::CI_PK_UNKNOWN,
            ChainError::Server(_, Flaw::WrongRole { .. }) => AuthenticateErrorCode::INVALID_OID,
            ChainError::Server(_, Flaw::CurveMismatch) => AuthenticateErrorCode::UNSUPPORTED_CURVE,
            _ => AuthenticateErrorCode::INVALID_CERTIFICATE,
        })?;
    // req: SGP.22-5.7.13-Revoked
    if is_revoked(context, &verified) {
        return Err(AuthenticateErrorCode::INVALID_CERTIFICATE);
    }
    Ok(verified)
}
