//! Commands whose response was lost.
//!
//! A lost command cannot be distinguished from a lost response, so the command is repeated. If the
//! response was lost, the card answers the repetition with an error (6985, 6A88), although it has
//! executed the command. The SM-SR then queries the state of the ISD-P, which shows if the card has
//! executed the command.

use rsp::{ota::script::ScriptResponse, sgp02::es5};
use world::Fault;

use super::{
    JobId, JobOutcome,
    context::Context,
    policy::{ALREADY_DONE, VisibleEffect},
    records::{Awaits, Pending, What},
};

impl Context<'_, '_> {
    /// Handles the card's response to the transmission with index `at` of a job.
    pub(super) async fn answered(
        &mut self,
        id: &JobId,
        mut pending: Pending,
        at: usize,
        response: ScriptResponse,
    ) -> Result<(), Fault> {
        let Some(sent) = pending.sent.get(at) else { return Ok(()) };
        let repeated = pending.may_have_run_before(at);
        match (sent.what, pending.uncertain_response.clone(), pending.job.effect.visible_effect()) {
            (What::Audit, Some(uncertain), Some((_, visible_effect))) => {
                let outcome = match shows(&response, visible_effect) {
                    true => JobOutcome::FoundDone(response),
                    false => JobOutcome::Answered(uncertain),
                };
                self.end(id, &pending, outcome).await
            }
            // A repetition is answered while the audit is in progress.
            (What::Script, Some(_), _) if repeated => Ok(()),
            (What::Script, None, Some(_)) if repeated && is_already_done(&response) => {
                pending.uncertain_response = Some(response);
                pending.tries = 0;
                pending.awaits = Awaits::Turn;
                self.put(id, &pending)
            }
            (What::Script, _, _) if repeated && pending.job.effect.is_confirmation() => {
                self.end(id, &pending, JobOutcome::AnsweredAgain(response)).await
            }
            (What::Script, _, _) => self.end(id, &pending, JobOutcome::Answered(response)).await,
            // The response to a trigger is a session.
            (What::Audit | What::Trigger, _, _) => Ok(()),
        }
    }
}

fn is_already_done(response: &ScriptResponse) -> bool {
    response.last_apdu().is_some_and(|apdu| ALREADY_DONE.contains(&apdu.status))
}

/// Returns true if the response to GET STATUS for one ISD-P shows the effect.
fn shows(response: &ScriptResponse, visible_effect: VisibleEffect) -> bool {
    let Some(apdu) = response.last_apdu() else { return false };
    if apdu.status == rsp::StatusWord::REFERENCED_DATA_NOT_FOUND {
        return visible_effect == VisibleEffect::IsGone;
    }
    if !apdu.status.is_success() {
        return false;
    }
    let Ok(found) = es5::IsdPStatus::parse_all(&apdu.data) else { return false };
    match (found.first(), visible_effect) {
        (None, VisibleEffect::IsGone) | (Some(_), VisibleEffect::Exists) => true,
        (Some(isd_p), VisibleEffect::Enabled) => isd_p.is_enabled(),
        (Some(isd_p), VisibleEffect::Disabled) => isd_p.is_disabled(),
        (Some(isd_p), VisibleEffect::FallBack) => isd_p.fallback == Some(true),
        (None, _) | (Some(_), VisibleEffect::IsGone) => false,
    }
}

#[cfg(test)]
mod tests {
    use rsp::{
        StatusWord,
        der::{Tag, tlv_bytes},
        ids::Aid,
        ota::script::{Answer, Form, ResponseApdu},
    };

    use super::*;
    use VisibleEffect::{Disabled, Enabled, Exists, FallBack, IsGone};

    fn answer(status: u16, isd_p: Option<(u8, u8)>) -> ScriptResponse {
        let data = isd_p.map_or(Vec::new(), |(state, fallback)| {
            let contents = [
                tlv_bytes(Tag(0x4F), &Aid::isd_p(0x11).0),
                tlv_bytes(Tag(0x9F70), &[state]),
                tlv_bytes(Tag(0x53), &[fallback]),
            ];
            tlv_bytes(Tag(0xE3), &contents.concat())
        });
        let apdu = ResponseApdu { data, status: StatusWord(status) };
        ScriptResponse::of(Form::Definite, vec![Answer::Apdu(apdu)])
    }

    #[test]
    fn the_state_of_an_isd_p_shows_the_effects_that_a_command_had() {
        const CREATED: u8 = 0x07;
        const DISABLED: u8 = 0x1F;
        const ENABLED: u8 = 0x3F;
        for (status, isd_p, shown) in [
            (0x9000, Some((CREATED, 0)), &[Exists][..]),
            (0x9000, Some((DISABLED, 0)), &[Exists, Disabled]),
            (0x9000, Some((ENABLED, 0)), &[Exists, Enabled]),
            (0x9000, Some((ENABLED, 1)), &[Exists, Enabled, FallBack]),
            (0x9000, None, &[IsGone]),
            (0x6A88, None, &[IsGone]),
            // The card has not answered the question.
            (0x6985, None, &[]),
            (0x6985, Some((ENABLED, 1)), &[]),
        ] {
            for effect in [Exists, IsGone, Enabled, Disabled, FallBack] {
                let response = answer(status, isd_p);
                assert_eq!(
                    shows(&response, effect),
                    shown.contains(&effect),
                    "{status:04X} {isd_p:?} {effect:?}"
                );
            }
        }
    }
}
