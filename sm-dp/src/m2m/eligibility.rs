//! The checks of the EIS before a profile is downloaded: SGP.02 section 3.1.
//!
//! An SM-SR supplies the EIS. It cannot forge the part that the EUM has signed: the identity of the
//! card and its key agreement key.

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

/// Checks the EIS. Returns PK.ECASD.ECKA as an uncompressed point.
pub(crate) fn check(
    context: &Context<'_, '_>,
    eid: Eid,
    sm_sr: &Oid,
    eis: &Eis,
    profile: &Profile,
) -> Result<Vec<u8>, Refusal> {
    let signed = &*eis.eum_signed_info;
    if signed.eid != eid {
        // req: SGP.02-3.1-OtherEid
        return Err(Status::EisInvalid.because("the EIS describes another eUICC").about(signed.eid));
    }
    if eis.smsr_id != *sm_sr {
        // req: SGP.02-3.1-SmSr
        return Err(Status::SmsrRefused
            .because(format!("according to its EIS, the eUICC is managed by {}", eis.smsr_id))
            .about(sm_sr));
    }
    if eis.profile_info.iter().any(|known| known.iccid == profile.iccid) {
        // req: SGP.02-3.1-IccidInUse
        return Err(Status::IccidInUse.because("the profile is already on the eUICC").about(profile.iccid));
    }
    if eis.available_memory_for_profiles < profile.memory {
        // req: SGP.02-3.1-Memory
        return Err(Status::EuiccInsufficientMemory.because(format!(
            "the profile needs about {} octets, the eUICC has {}",
            profile.memory, eis.available_memory_for_profiles
        )));
    }
    let credentials = context.credentials;
    let ecasd = eum::check_eis(eis, credentials.anchors(), credentials.eums(), context.now)
        .map_err(|refusal| refusal.about(eid))?;
    if ecasd.public_key.curve() != Curve::P256 {
        let why = "the key of the ECASD is not on NIST P-256, the only curve that this SM-DP supports for key agreement";
        // req: SGP.02-3.1-Ecasd
        return Err(Status::EcasdCertificateVerificationFailed.because(why).about(eid));
    }
    Ok(ecasd.public_key.to_sec1().to_vec())
}
