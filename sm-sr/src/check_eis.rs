//! Whether an EIS is to be believed: SGP.02 sections 5.1.1.3 and 5.6. The EUM has signed it, a CI vouches for the EUM, and
//! the EUM for the certificate of the ECASD.

use certs::{Certificate, ChainError, Flaw, check_eum};
use rsp::sgp02::{
    eis::{Eis, GpCertificate},
    status::{Refusal, Status},
};
use rsp_server::soap::eum;

use crate::{context::Context, ecasd::EcasdCertificate};

/// What was found good.
pub(crate) struct Checked {
    /// With which one-time keys agree.
    pub(crate) ecasd: EcasdCertificate,
}

/// Checks the EUM's certificate, its signature, and the ECASD's certificate, in this order.
pub(crate) fn check(context: &Context<'_, '_>, eis: &Eis) -> Result<Checked, Refusal> {
    let Some(der) = eis.eum_signature.certificates().into_iter().next() else {
        return Err(
            Status::EumVerificationFailed.because("the EUM's signature does not name its certificate")
        );
    };
    let certificate =
        Certificate::from_der(der).map_err(|e| Status::EumVerificationFailed.because(e.to_string()))?;
    let certificate = check_eum(context.credentials.anchors(), &certificate, context.now).map_err(|e| {
        let status = match &e {
            ChainError::Eum(Flaw::Expired(_)) => Status::EumCertificateExpired,
            _ => Status::EumVerificationFailed,
        };
        status.because(e.to_string())
    })?;
    eum::check(eis, certificate.public_key())
        .map_err(|e| Status::EumVerificationFailed.because(e.to_string()))?;
    let sets = &eis.eum_signed_info.ecasd.keyset;
    let Some(GpCertificate { value, .. }) = sets.iter().find_map(|set| set.certificate.first()) else {
        return Err(Status::EisInvalid.because("the ECASD has no certificate"));
    };
    let ecasd = EcasdCertificate::parse(value.as_slice())
        .and_then(|parsed| parsed.verified(certificate.public_key(), context.now))
        .map_err(|why| Status::EcasdCertificateVerificationFailed.because(why))?;
    Ok(Checked { ecasd })
}
