//! The EUM's signature on an EIS: the cryptography for [`rsp::sgp02::signature`], and the check of
//! a received EIS.

use certs::{
    Certificate, ChainError, Flaw, TrustAnchors, Verified, check_eum,
    m2m::{CardCertificateError, Ecasd, check_ecasd},
};
use crypto::{PublicKey, SecretKey, Signature};
use rsp::{
    sgp02::{
        eis::{Eis, EumSignedInfo, SdRole},
        signature::{Canonical, EumSignature, SignatureError},
        status::{Refusal, Status},
    },
    time::Timestamp,
};
use sha2::{Digest, Sha256};

/// Signs with the EUM's key. The signature contains the EUM's certificate (X.509, DER) if it is
/// given.
pub fn sign(signed: &Canonical<EumSignedInfo>, key: &SecretKey, certificate: Option<&[u8]>) -> EumSignature {
    let sign = |octets: &[u8]| key.sign(octets).as_bytes().to_vec();
    EumSignature::new(signed, |octets| Sha256::digest(octets).into(), sign, certificate)
}

/// Checks the signature of an EIS with the public key of the EUM's certificate.
///
/// # Errors
/// Fails if the signature covers other data, uses an unsupported algorithm, or was made with
/// another key.
pub fn check(eis: &Eis, key: &PublicKey) -> Result<(), SignatureError> {
    let verify = |octets: &[u8], signature: &[u8]| {
        Signature::from_slice(signature)
            .and_then(|signature| key.verify(octets, &signature))
            .map_err(|e| e.to_string())
    };
    eis.eum_signature.check(&eis.eum_signed_info, |octets| Sha256::digest(octets).into(), verify)
}

/// Checks that an EIS is authentic: SGP.02 sections 3.1, 5.1.1.3 and 5.6. The EUM signed it, a CI
/// certifies the EUM, and the EUM certifies the ECASD. The certificate of the EUM is taken from the
/// signature, or from `known` if the signature contains none. Returns the ECASD, whose key is used
/// for key agreement.
///
/// # Errors
/// Refuses an EIS that fails a check, with the reason.
pub fn check_eis(
    eis: &Eis,
    anchors: &TrustAnchors,
    known: &[Certificate],
    now: Timestamp,
) -> Result<Verified<Ecasd>, Refusal> {
    let eum = [signer_certificate(eis, anchors, known, now)?.into_inner()];
    let signed = &eis.eum_signed_info;
    if signed.ecasd.role != SdRole::Ecasd {
        return Err(Status::EisInvalid.because("the security domain in place of the ECASD has another role"));
    }
    let mut refusal = Status::EisInvalid.because("the ECASD has no certificate");
    for certificate in signed.ecasd.keyset.iter().flat_map(|set| &set.certificate) {
        match check_ecasd(anchors, certificate.value.as_slice(), signed.eid, &eum, now) {
            Ok(ecasd) => return Ok(ecasd),
            Err(error) => {
                let status = match &error {
                    // req: SGP.02-5.2-EcasdCertificate
                    CardCertificateError::Expired(_) => Status::EcasdCertificateExpired,
                    _ => Status::EcasdCertificateVerificationFailed,
                };
                refusal = status.because(error.to_string());
            }
        }
    }
    Err(refusal)
}

/// Returns the certificate of the EUM that signed the EIS. If several certificates have its key,
/// such as an old one and its replacement, the first valid one is returned.
fn signer_certificate(
    eis: &Eis,
    anchors: &TrustAnchors,
    known: &[Certificate],
    now: Timestamp,
) -> Result<Verified<Certificate>, Refusal> {
    let failed = |why: String| Status::EumVerificationFailed.because(why);
    let included = eis.eum_signature.certificates();
    let known = if included.is_empty() { known } else { &[] };
    let included = included.into_iter().map(Certificate::from_der);
    let mut refusal = failed("the EUM's signature contains no certificate".to_owned());
    // The reason why the actual signer is not trusted is more useful than the fact that another EUM
    // did not sign it.
    let mut has_signed = false;
    for candidate in included.chain(known.iter().cloned().map(Ok)) {
        let signer = candidate.map_err(|e| e.to_string()).and_then(|candidate| {
            check(eis, candidate.public_key()).map(|()| candidate).map_err(|e| e.to_string())
        });
        match signer {
            Ok(signer) => match check_signer(eis, anchors, &signer, now) {
                Ok(eum) => return Ok(eum),
                Err(why) => (refusal, has_signed) = (why, true),
            },
            Err(why) if !has_signed => refusal = failed(why),
            Err(_) => {}
        }
    }
    Err(refusal)
}

fn check_signer(
    eis: &Eis,
    anchors: &TrustAnchors,
    eum: &Certificate,
    now: Timestamp,
) -> Result<Verified<Certificate>, Refusal> {
    let eum = check_eum(anchors, eum, now).map_err(|e| {
        let status = match &e {
            ChainError::Eum(Flaw::Expired(_)) => Status::EumCertificateExpired,
            _ => Status::EumVerificationFailed,
        };
        status.because(e.to_string())
    })?;
    let (ids, named) = (eum.registered_ids(), &eis.eum_signed_info.eum_id);
    if !ids.is_empty() && !ids.contains(named) {
        let why = format!("the certificate does not belong to the EUM {named}");
        return Err(Status::EumVerificationFailed.because(why));
    }
    let eid = eis.eum_signed_info.eid;
    if !eum.eid_range().prefixes().any(|prefix| eid.to_string().starts_with(prefix)) {
        return Err(Status::EumVerificationFailed
            .because("the EUM's certificate does not cover this EID")
            .about(eid));
    }
    Ok(eum)
}
