//! The EUM's signature on an EIS: the arithmetic to [`rsp::sgp02::signature`], and whether an EIS is to be believed.

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

/// Signs with the EUM's key, and names its certificate (X.509, DER) if it is given.
pub fn sign(signed: &Canonical<EumSignedInfo>, key: &SecretKey, certificate: Option<&[u8]>) -> EumSignature {
    let sign = |octets: &[u8]| key.sign(octets).as_bytes().to_vec();
    EumSignature::new(signed, |octets| Sha256::digest(octets).into(), sign, certificate)
}

/// Checks the signature of an EIS with the key of the EUM's certificate.
///
/// # Errors
/// It is over something else, of a kind that we do not know, or not this key's.
pub fn check(eis: &Eis, key: &PublicKey) -> Result<(), SignatureError> {
    let verify = |octets: &[u8], signature: &[u8]| {
        Signature::from_slice(signature)
            .and_then(|signature| key.verify(octets, &signature))
            .map_err(|e| e.to_string())
    };
    eis.eum_signature.check(&eis.eum_signed_info, |octets| Sha256::digest(octets).into(), verify)
}

/// Whether an EIS is to be believed: SGP.02 sections 3.1, 5.1.1.3 and 5.6. The EUM has signed it, a CI vouches for the
/// EUM, and the EUM for the certificate of the ECASD. The EUM's certificate is one that the signature brings along or,
/// where it brings none, one of `known`. The ECASD, with whose key one-time keys agree.
///
/// # Errors
/// Why not.
pub fn check_eis(
    eis: &Eis,
    anchors: &TrustAnchors,
    known: &[Certificate],
    now: Timestamp,
) -> Result<Verified<Ecasd>, Refusal> {
    let eum = [eum_of(eis, anchors, known, now)?.into_inner()];
    let signed = &eis.eum_signed_info;
    if signed.ecasd.role != SdRole::Ecasd {
        return Err(Status::EisInvalid.because("what should be the ECASD is another security domain"));
    }
    let mut refusal = Status::EisInvalid.because("the ECASD has no certificate");
    for certificate in signed.ecasd.keyset.iter().flat_map(|set| &set.certificate) {
        match check_ecasd(anchors, certificate.value.as_slice(), signed.eid, &eum, now) {
            Ok(ecasd) => return Ok(ecasd),
            Err(error) => {
                let status = match &error {
                    CardCertificateError::Expired(_) => Status::EcasdCertificateExpired,
                    _ => Status::EcasdCertificateVerificationFailed,
                };
                refusal = status.because(error.to_string());
            }
        }
    }
    Err(refusal)
}

/// The certificate of the EUM that has signed the EIS. Of several with its key, such as an old one and the one that has
/// replaced it, the first that holds.
fn eum_of(
    eis: &Eis,
    anchors: &TrustAnchors,
    known: &[Certificate],
    now: Timestamp,
) -> Result<Verified<Certificate>, Refusal> {
    let failed = |why: String| Status::EumVerificationFailed.because(why);
    let shown = eis.eum_signature.certificates();
    let known = if shown.is_empty() { known } else { &[] };
    let shown = shown.into_iter().map(Certificate::from_der);
    let mut refusal = failed("the EUM's signature does not name its certificate".to_owned());
    // Why the one who has signed it is not believed tells more than that somebody else has not signed it.
    let mut has_signed = false;
    for candidate in shown.chain(known.iter().cloned().map(Ok)) {
        let signer = candidate.map_err(|e| e.to_string()).and_then(|candidate| {
            check(eis, candidate.public_key()).map(|()| candidate).map_err(|e| e.to_string())
        });
        match signer {
            Ok(signer) => match vouched_for(eis, anchors, &signer, now) {
                Ok(eum) => return Ok(eum),
                Err(why) => (refusal, has_signed) = (why, true),
            },
            Err(why) if !has_signed => refusal = failed(why),
            Err(_) => {}
        }
    }
    Err(refusal)
}

fn vouched_for(
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
        let why = format!("the certificate is not that of the EUM {named}");
        return Err(Status::EumVerificationFailed.because(why));
    }
    let eid = eis.eum_signed_info.eid;
    if !eum.eid_range().prefixes().any(|prefix| eid.to_string().starts_with(prefix)) {
        return Err(Status::EumVerificationFailed.because("the EUM may not vouch for this EID").about(eid));
    }
    Ok(eum)
}
