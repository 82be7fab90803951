//! Checks of an EIS: SGP.02 sections 5.1.1.3 and 5.6. The EUM signed it, a CI certifies the EUM,
//! and the EUM certifies the ECASD. The unsigned data must at least be consistent.

use certs::{Verified, m2m::Ecasd};
use rsp::{
    ids::{Aid, Oid},
    sgp02::{
        eis::{Eis, Keyset, ProfileInfo, ProfileState},
        status::{Refusal, Status},
    },
};
use rsp_server::soap::eum;

use crate::{
    context::Context,
    records::{SCP80_VERSIONS, SCP81_VERSIONS},
};

/// Checks the signature and the certificates and returns the ECASD, whose key is used for key
/// agreement. The EIS must contain the certificate of its EUM.
// req: SGP.02-5.2-EumSignature
pub(crate) fn check(context: &Context<'_, '_>, eis: &Eis) -> Result<Verified<Ecasd>, Refusal> {
    eum::check_eis(eis, context.credentials.anchors(), &[], context.now)
}

/// Checks the contents that are needed to manage a card. `sm_sr` is the SM-SR that must be named in
/// the EIS.
pub(crate) fn check_contents(eis: &Eis, sm_sr: &Oid) -> Result<(), Refusal> {
    // req: SGP.02-5.2-Eis
    let invalid = |why: &str| Err(Status::EisInvalid.because(why).about(eis.eum_signed_info.eid));
    // req: SGP.02-5.2-SmSr
    if eis.smsr_id != *sm_sr {
        return Err(Status::SmsrRefused
            .because("according to the EIS, another SM-SR manages the card")
            .about(&eis.smsr_id));
    }
    let isd_r = match &eis.isd_r {
        None => return invalid("the EIS has no ISD-R"),
        Some(isd_r) if isd_r.aid.0 != Aid::ISD_R => return invalid("the ISD-R has another AID"),
        Some(isd_r) => isd_r,
    };
    if has_duplicates(&isd_r.keyset, |one, other| one.version == other.version) {
        return invalid("two key sets of the ISD-R have the same version");
    }
    if !isd_r.keyset.iter().all(has_valid_keys) {
        return invalid("key sets can only have keys 1 to 3 (SCP80) or 1 and 2 (SCP81), once each");
    }
    let profiles = &eis.profile_info;
    if profiles.iter().filter(|profile| profile.state == ProfileState::Enabled).count() > 1 {
        return invalid("more than one profile is enabled");
    }
    if profiles.iter().filter(|profile| profile.fallback_attribute).count() > 1 {
        return invalid("more than one profile has the fall-back attribute");
    }
    let same =
        |one: &ProfileInfo, other: &ProfileInfo| one.iccid == other.iccid || one.isd_p_aid == other.isd_p_aid;
    if has_duplicates(profiles, same) {
        return invalid("two profiles have the same ICCID or the same ISD-P");
    }
    Ok(())
}

/// Returns true if the key indices of a set are valid for its version: SGP.02 section 2.2.
fn has_valid_keys(set: &Keyset) -> bool {
    let keys = match set.version {
        version if SCP80_VERSIONS.contains(&version) => 1..=3,
        version if SCP81_VERSIONS.contains(&version) => 1..=2,
        // This server does not use key sets of other versions.
        _ => return true,
    };
    set.key.iter().all(|key| keys.contains(&key.index))
        && !has_duplicates(&set.key, |one, other| one.index == other.index)
}

fn has_duplicates<T>(all: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    let again = |(position, one): (usize, &T)| {
        all.iter().skip(position.saturating_add(1)).any(|other| same(one, other))
    };
    all.iter().enumerate().any(again)
}
