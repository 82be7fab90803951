//! Whether a profile may be put on an eUICC: SGP.02 section 3.1, what the SM-DP checks of the EIS.
//!
//! The EIS is what an SM-SR says. What it cannot make up is what the EUM has signed: who the card is and with which key it
//! agrees on others.

use certs::{
    Certificate,
    m2m::{CardCertificateError, check_ecasd},
};
use crypto::Curve;
use rsp::{
    ids::{Eid, Oid},
    sgp02::{
        eis::{Eis, SdRole},
        status::{Refusal, Status},
    },
    time::Timestamp,
};
use rsp_server::soap::eum;

use super::{context::Context, credentials::Credentials};
use crate::records::Profile;

/// Checks it; PK.ECASD.ECKA, an uncompressed point.
pub(crate) fn check(
    context: &Context<'_, '_>,
    eid: Eid,
    sm_sr: &Oid,
    eis: &Eis,
    profile: &Profile,
) -> Result<Vec<u8>, Refusal> {
    let signed = &*eis.eum_signed_info;
    if signed.eid != eid {
        return Err(Status::EisInvalid.because("the EIS is of another eUICC").about(signed.eid));
    }
    if eis.smsr_id != *sm_sr {
        return Err(Status::SmsrRefused
            .because(format!("by its EIS the eUICC is managed by {}", eis.smsr_id))
            .about(sm_sr));
    }
    if eis.profile_info.iter().any(|known| known.iccid == profile.iccid) {
        return Err(Status::IccidInUse.because("the profile is on the eUICC already").about(profile.iccid));
    }
    if eis.available_memory_for_profiles < profile.memory {
        return Err(Status::EuiccInsufficientMemory.because(format!(
            "the profile needs about {} octets, the eUICC has {}",
            profile.memory, eis.available_memory_for_profiles
        )));
    }
    let eum = eum_of(context.credentials, eis, eid, context.now)?;
    ecasd_key(context.credentials, eis, eid, &eum, context.now)
}

/// The EUM that has signed the EIS, with a certificate below a CI that is trusted.
fn eum_of(credentials: &Credentials, eis: &Eis, eid: Eid, now: Timestamp) -> Result<Certificate, Refusal> {
    let shown =
        eis.eum_signature.certificates().into_iter().filter_map(|der| Certificate::from_der(der).ok());
    let mut why = "no certificate of its EUM is known".to_owned();
    for eum in shown.chain(credentials.eums().iter().cloned()) {
        let issuer = eum.authority_key_id().and_then(|id| credentials.anchors().find(id));
        let Some(issuer) = issuer.filter(|ci| eum.is_signed_by(ci.public_key())) else {
            why = "the certificate of the EUM is not below a CI that is trusted here".to_owned();
            continue;
        };
        if !eum.validity().contains(now) || !issuer.validity().contains(now) {
            return Err(Status::EumCertificateExpired.because("the certificate of the EUM does not hold now"));
        }
        if !eum.eid_range().prefixes().any(|prefix| eid.to_string().starts_with(prefix)) {
            why = "the EUM may not vouch for this EID".to_owned();
            continue;
        }
        match eum::check(eis, eum.public_key()) {
            Ok(()) => return Ok(eum),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Status::EumVerificationFailed.because(why).about(eid))
}

/// The key in CERT.ECASD.ECKA, which the EUM has signed too. One-time keys here are on NIST P-256, as it has to be.
fn ecasd_key(
    credentials: &Credentials,
    eis: &Eis,
    eid: Eid,
    eum: &Certificate,
    now: Timestamp,
) -> Result<Vec<u8>, Refusal> {
    let ecasd = &eis.eum_signed_info.ecasd;
    let mut why = Status::EisInvalid.because("the EIS has no certificate of the ECASD");
    if ecasd.role != SdRole::Ecasd {
        return Err(why.about(eid));
    }
    for certificate in ecasd.keyset.iter().flat_map(|keyset| &keyset.certificate) {
        let eums = std::slice::from_ref(eum);
        why = match check_ecasd(credentials.anchors(), certificate.value.as_slice(), eid, eums, now) {
            Ok(ecasd) if ecasd.public_key.curve() == Curve::P256 => {
                return Ok(ecasd.public_key.to_sec1().to_vec());
            }
            Ok(_) => Status::EcasdCertificateVerificationFailed
                .because("the key of the ECASD is not one on NIST P-256"),
            Err(e @ CardCertificateError::Expired(_)) => {
                Status::EcasdCertificateExpired.because(e.to_string())
            }
            Err(e) => Status::EcasdCertificateVerificationFailed.because(e.to_string()),
        };
    }
    Err(why.about(eid))
}
