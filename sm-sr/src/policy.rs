//! POL2, the operator's policy rules that the SM-SR enforces: SGP.02 sections 3.6 and 4.1.1.
//!
//! Not-Allowed forbids the action of the rule; Auto-Delete with DISABLE deletes the profile once it
//! is disabled. Every other combination has no effect: the schema allows combinations that the
//! specification does not describe. No rule for ENABLE is described either; a Not-Allowed rule for
//! it is enforced.

use rsp::sgp02::{
    eis::{Pol2, Pol2Action, Pol2Qualification, ProfileInfo},
    status::{Refusal, Status},
};

/// Checks that the profile's rules allow an action.
pub(crate) fn check(profile: &ProfileInfo, action: Pol2Action) -> Result<(), Refusal> {
    // req: SGP.02-5.5-Pol2
    if profile.pol2.has(action, Pol2Qualification::NotAllowed) {
        return Err(Status::Pol2Refused
            .because(format!("POL2 of profile {} does not allow it", profile.iccid))
            .about(profile.iccid));
    }
    Ok(())
}

/// Returns true if the profile is deleted once it is disabled.
// req: SGP.02-5.5-AutoDelete
pub(crate) fn deletes_itself(pol2: &Pol2) -> bool {
    pol2.has(Pol2Action::Disable, Pol2Qualification::AutoDelete)
}
