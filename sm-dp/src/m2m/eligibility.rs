//! Whether a profile may be put on an eUICC: SGP.02 section 3.1, what the SM-DP checks of the EIS.
//!
//! The EIS is what an SM-SR says. What it cannot make up is what the EUM has signed: who the card is and with which key it
//! agrees on others.

use crypto::Curve;
use rsp::{
    ids::{Eid, Oid},
    sgp02::{
        eis::Eis,
        status::{Refusal, Status},
    },
};
use rsp_server::soap::eum;

use super::context::Context;
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
    let credentials = context.credentials;
    let ecasd = eum::check_eis(eis, credentials.anchors(), credentials.eums(), context.now)
        .map_err(|refusal| refusal.about(eid))?;
    if ecasd.public_key.curve() != Curve::P256 {
        let why = "the key of the ECASD is not on NIST P-256, where this SM-DP agrees on keys";
        return Err(Status::EcasdCertificateVerificationFailed.because(why).about(eid));
    }
    Ok(ecasd.public_key.to_sec1().to_vec())
}
