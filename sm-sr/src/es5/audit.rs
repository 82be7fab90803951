//! What has become of a command whose answer was lost.
//!
//! Nobody can tell a lost command from a lost answer, so it is sent again. If it was the answer that was lost the card says
//! to the repetition that it cannot be done (6985, 6A88): true, and misleading. Then the state of the ISD-P is asked for,
//! and decides.

use rsp::{ota::script::ScriptResponse, sgp02::es5};
use world::Fault;

use super::{
    JobId, JobOutcome,
    engine::Context,
    policy::{SAID_BY_THE_DONE, Sign},
    records::{Awaits, Pending, What},
};

impl Context<'_, '_> {
    /// The card has run what was sent as the `at`th for a job.
    pub(super) async fn answered(
        &mut self,
        id: &JobId,
        mut pending: Pending,
        at: usize,
        response: ScriptResponse,
    ) -> Result<(), Fault> {
        let Some(sent) = pending.sent.get(at) else { return Ok(()) };
        let repeated = pending.may_have_run_before(at);
        match (sent.what, pending.doubt.clone(), pending.job.effect.sign()) {
            (What::Audit, Some(doubt), Some((_, sign))) => {
                let outcome = match shows(&response, sign) {
                    true => JobOutcome::FoundDone(response),
                    false => JobOutcome::Answered(doubt),
                };
                self.end(id, &pending, outcome).await
            }
            // A repetition is answered again while the audit is under way.
            (What::Script, Some(_), _) if repeated => Ok(()),
            (What::Script, None, Some(_)) if repeated && is_said_by_the_done(&response) => {
                pending.doubt = Some(response);
                pending.tries = 0;
                pending.awaits = Awaits::Turn;
                self.put(id, &pending)
            }
            (What::Script, _, _) if repeated && pending.job.effect.is_confirmation() => {
                self.end(id, &pending, JobOutcome::AnsweredAgain(response)).await
            }
            (What::Script, _, _) => self.end(id, &pending, JobOutcome::Answered(response)).await,
            // A trigger is answered by a session.
            (What::Audit | What::Trigger, _, _) => Ok(()),
        }
    }
}

fn is_said_by_the_done(response: &ScriptResponse) -> bool {
    response.last_apdu().is_some_and(|apdu| SAID_BY_THE_DONE.contains(&apdu.status.0))
}

/// Whether the answer to GET STATUS for one ISD-P shows it.
fn shows(response: &ScriptResponse, sign: Sign) -> bool {
    let Some(apdu) = response.last_apdu() else { return false };
    if apdu.status == rsp::ota::script::StatusWord::NOT_FOUND {
        return sign == Sign::IsGone;
    }
    if !apdu.status.is_success() {
        return false;
    }
    let Ok(found) = es5::IsdPStatus::parse_all(&apdu.data) else { return false };
    match (found.first(), sign) {
        (None, Sign::IsGone) | (Some(_), Sign::Exists) => true,
        (Some(isd_p), Sign::Enabled) => isd_p.is_enabled(),
        (Some(isd_p), Sign::Disabled) => isd_p.is_disabled(),
        (Some(isd_p), Sign::FallBack) => isd_p.fallback == Some(true),
        (None, _) | (Some(_), Sign::IsGone) => false,
    }
}
