//! What is asked of a profile before the card is.

use rsp::{
    ids::{Iccid, Oid},
    sgp02::{
        eis::{ProfileInfo, ProfileState},
        status::{Refusal, Status},
    },
};

use super::{Interface, Operation};
use crate::records::Card;

/// Whether a profile is the caller's: over ES3 that of the SM-DP that put it there, over ES4 that of its operator.
pub(crate) fn is_own(profile: &ProfileInfo, interface: Interface, caller: &Oid) -> bool {
    match interface {
        Interface::Es3 => profile.smdp_id.as_ref() == Some(caller),
        Interface::Es4 => profile.mno_id == *caller,
    }
}

/// The profile, which must be the caller's.
pub(crate) fn profile_of<'c>(
    card: &'c Card,
    interface: Interface,
    caller: &Oid,
    iccid: Iccid,
) -> Result<&'c ProfileInfo, Refusal> {
    let profile = known(card, iccid)?;
    if is_own(profile, interface, caller) {
        return Ok(profile);
    }
    Err(Status::IccidNotAllowed.because("the profile is another's").about(iccid))
}

/// The profile, which must be the asker's, if somebody asked.
pub(super) fn own_profile<'c>(
    card: &'c Card,
    operation: &Operation,
    iccid: Iccid,
) -> Result<&'c ProfileInfo, Refusal> {
    match &operation.asker {
        Some(asker) => profile_of(card, asker.interface, &asker.id, iccid),
        None => known(card, iccid),
    }
}

fn known(card: &Card, iccid: Iccid) -> Result<&ProfileInfo, Refusal> {
    card.profile(iccid)
        .ok_or_else(|| Status::IccidUnknown.because("there is no such profile on the card").about(iccid))
}

/// That the profile is in one of these states.
pub(super) fn state(profile: &ProfileInfo, states: &[ProfileState]) -> Result<(), Refusal> {
    if states.contains(&profile.state) {
        return Ok(());
    }
    Err(Status::IccidInvalidTransition
        .because(format!("the profile is {}", profile.state))
        .about(profile.iccid))
}

/// That the profile does not have the fall-back attribute.
pub(super) fn not_fallback(profile: &ProfileInfo) -> Result<(), Refusal> {
    if profile.fallback_attribute {
        return Err(Status::IccidRefused
            .because("the profile has the fall-back attribute")
            .about(profile.iccid));
    }
    Ok(())
}
