//! Whether an EIS is to be believed: SGP.02 sections 5.1.1.3 and 5.6. The EUM has signed it, a CI vouches for the EUM, and
//! the EUM for the certificate of the ECASD.

use certs::{
    Certificate, ChainError, Flaw, Verified, check_eum,
    m2m::{CardCertificateError, Ecasd, check_ecasd},
};
use rsp::sgp02::{
    eis::{Eis, GpCertificate},
    status::{Refusal, Status},
};
use rsp_server::soap::eum;

use crate::context::Context;

/// Checks the EUM's certificate, its signature, and the ECASD's certificate, in this order: the ECASD, with whose key
/// one-time keys agree.
pub(crate) fn check(context: &Context<'_, '_>, eis: &Eis) -> Result<Verified<Ecasd>, Refusal> {
    let failed = |why: String| Status::EumVerificationFailed.because(why);
    let Some(der) = eis.eum_signature.certificates().into_iter().next() else {
        return Err(failed("the EUM's signature does not name its certificate".to_owned()));
    };
    let certificate = Certificate::from_der(der).map_err(|e| failed(e.to_string()))?;
    let anchors = context.credentials.anchors();
    let certificate = check_eum(anchors, &certificate, context.now).map_err(|e| {
        let status = match &e {
            ChainError::Eum(Flaw::Expired(_)) => Status::EumCertificateExpired,
            _ => Status::EumVerificationFailed,
        };
        status.because(e.to_string())
    })?;
    let signed = &eis.eum_signed_info;
    let ids = certificate.registered_ids();
    if !ids.is_empty() && !ids.contains(&signed.eum_id) {
        return Err(failed(format!("the certificate is not that of the EUM {}", signed.eum_id)));
    }
    eum::check(eis, certificate.public_key()).map_err(|e| failed(e.to_string()))?;
    let sets = &signed.ecasd.keyset;
    let Some(GpCertificate { value, .. }) = sets.iter().find_map(|set| set.certificate.first()) else {
        return Err(Status::EisInvalid.because("the ECASD has no certificate"));
    };
    let eums = [certificate.into_inner()];
    check_ecasd(anchors, value.as_slice(), signed.eid, &eums, context.now).map_err(|e| {
        let status = match &e {
            CardCertificateError::Expired(_) => Status::EcasdCertificateExpired,
            _ => Status::EcasdCertificateVerificationFailed,
        };
        status.because(e.to_string())
    })
}
