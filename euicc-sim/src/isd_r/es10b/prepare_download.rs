//! ES10b.PrepareDownload: SGP.22 section 5.7.5.
//!
//! The SM-DP+ sends its profile binding certificate, and the card returns the one-time key to which
//! the package is to be bound.

use certs::{
    Certificate, CertificateError, ChainError, Flaw, Role, ServerCertificate, Verified, check_server,
    same_operator,
};
use crypto::{Curve, SecretKey, Signature};
use rsp::der::{Raw, Tag, write_tlv};
use rsp::ids::CertificateDer;
use rsp::sgp22::es10b::{
    DownloadErrorCode, EuiccSigned2, PrepareDownloadRequest, PrepareDownloadResponse,
    PrepareDownloadResponseError, PrepareDownloadResponseOk,
};

use super::load_crl::is_revoked;
use crate::consumer::ConsumerContext;
use crate::state::session::{AuthenticatedServer, PreparedDownload, Session};
use crate::state::{MAX_ONE_TIME_KEYS, OneTimeKey};

/// The tag under which a signature is included in the next signed data.
const SIGNATURE: Tag = Tag(0x5F37);

pub(crate) fn prepare_download(
    context: &mut ConsumerContext<'_>,
    request: PrepareDownloadRequest,
) -> PrepareDownloadResponse {
    let transaction_id = request.smdp_signed2.transaction_id.clone();
    match decide(context, request) {
        Ok(ok) => PrepareDownloadResponse::DownloadResponseOk(ok),
        Err(download_error_code) => {
            PrepareDownloadResponse::DownloadResponseError(PrepareDownloadResponseError {
                transaction_id,
                download_error_code,
            })
        }
    }
}

fn decide(
    context: &mut ConsumerContext<'_>,
    request: PrepareDownloadRequest,
) -> Result<PrepareDownloadResponseOk, DownloadErrorCode> {
    // req: SGP.22-5.7.5-Session
    let server = match &context.volatile.session {
        Session::ExpectPrepareDownload(server) => server.as_ref(),
        // The SM-DP+ has refused the confirmation code, and the user has entered another one.
        Session::ExpectBoundProfilePackage(prepared) => &prepared.server,
        _ => return Err(DownloadErrorCode::NO_SESSION_CONTEXT),
    };
    // Profiles cannot be downloaded from an SM-DS.
    // req: SGP.22-5.7.5-SmDs
    if server.certificate.role != Role::DpAuth {
        return Err(DownloadErrorCode::NO_SESSION_CONTEXT);
    }
    let server = server.clone();
    let signed = &request.smdp_signed2;
    // req: SGP.22-5.7.5-TransactionId
    if signed.transaction_id != server.transaction_id {
        return Err(DownloadErrorCode::INVALID_TRANSACTION_ID);
    }
    let profile_binding = check_certificate(context, &request.smdp_certificate, &server)?;
    let mut covered = signed.bytes().to_vec();
    write_tlv(SIGNATURE, &server.euicc_signature1, &mut covered);
    // req: SGP.22-5.7.5-Signature
    Signature::from_slice(&request.smdp_signature2)
        .and_then(|signature| profile_binding.certificate.public_key().verify(&covered, &signature))
        .map_err(|_| DownloadErrorCode::INVALID_SIGNATURE)?;
    // req: SGP.22-5.7.5-ConfirmationCode
    if signed.cc_required_flag != request.hash_cc.is_some() {
        return Err(DownloadErrorCode::UNDEFINED_ERROR);
    }
    let credential = context.ecasd.credential(&server.ci).ok_or(DownloadErrorCode::UNDEFINED_ERROR)?;

    let curve = profile_binding.certificate.curve();
    let one_time_key = one_time_key(context, curve, &profile_binding, signed.bpp_euicc_otpk.as_deref());
    let euicc_signed2 = Raw::new(EuiccSigned2 {
        transaction_id: signed.transaction_id.clone(),
        euicc_otpk: one_time_key.public.to_vec(),
        hash_cc: request.hash_cc,
    });
    let mut covered = euicc_signed2.bytes().to_vec();
    write_tlv(SIGNATURE, &request.smdp_signature2, &mut covered);
    let euicc_signature2 = credential.sign(&covered).as_bytes().to_vec();

    store(context, &one_time_key);
    context.volatile.session = Session::ExpectBoundProfilePackage(Box::new(PreparedDownload {
        server,
        profile_binding,
        one_time_key,
    }));
    Ok(PrepareDownloadResponseOk { euicc_signed2, euicc_signature2 })
}

/// Verifies CERT.DPpb, which must belong to the SM-DP+ of the session.
fn check_certificate(
    context: &ConsumerContext<'_>,
    der: &CertificateDer,
    server: &AuthenticatedServer,
) -> Result<Verified<ServerCertificate>, DownloadErrorCode> {
    let certificate = Certificate::from_der(der.0.clone()).map_err(|why| match why {
        CertificateError::UnsupportedKey(_) => DownloadErrorCode::UNSUPPORTED_CURVE,
        _ => DownloadErrorCode::INVALID_CERTIFICATE,
    })?;
    // req: SGP.22-5.7.5-Certificate
    let verified = check_server(context.ecasd.anchors(), &certificate, &[], Role::DpPb, context.world.now())
        .map_err(|why| match why {
            ChainError::Server(_, Flaw::CurveMismatch) => DownloadErrorCode::UNSUPPORTED_CURVE,
            _ => DownloadErrorCode::INVALID_CERTIFICATE,
        })?;
    // req: SGP.22-5.7.5-Revoked
    if is_revoked(context, &verified) {
        return Err(DownloadErrorCode::INVALID_CERTIFICATE);
    }
    // req: SGP.22-5.7.5-SameOperator
    same_operator(&server.certificate, &verified).map_err(|_| DownloadErrorCode::INVALID_CERTIFICATE)?;
    Ok(verified)
}

/// Returns the one-time key to which this SM-DP+ has already bound the package, if the request
/// names the key and the card still has it. Otherwise returns a new key.
fn one_time_key(
    context: &ConsumerContext<'_>,
    curve: Curve,
    profile_binding: &Verified<ServerCertificate>,
    bound_to: Option<&[u8]>,
) -> OneTimeKey {
    let smdp_oid = &profile_binding.oid;
    let kept = context.state.one_time_keys.iter().find(|key| {
        key.smdp_oid == *smdp_oid && bound_to.is_some_and(|bound_to| bound_to == key.public.0.as_slice())
    });
    if let Some(kept) = kept {
        return kept.clone();
    }
    let secret = SecretKey::generate(curve, &mut |octets| context.world.random.fill(octets));
    OneTimeKey {
        smdp_oid: smdp_oid.clone(),
        public: secret.public_key().to_sec1().into(),
        secret: secret.to_bytes().expose().as_slice().into(),
    }
}

/// Stores the key in non-volatile memory, so that the same package can be sent again after a power
/// cut.
fn store(context: &mut ConsumerContext<'_>, key: &OneTimeKey) {
    if context.state.one_time_keys.contains(key) {
        return;
    }
    let kept = &mut context.state.to_mut().one_time_keys;
    kept.push(key.clone());
    let surplus = kept.len().saturating_sub(MAX_ONE_TIME_KEYS);
    kept.drain(..surplus);
}
