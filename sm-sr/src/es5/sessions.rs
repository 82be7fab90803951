//! Sessions that cards open: GlobalPlatform Amendment B section 3, as used by SGP.02 sections 2.4.4
//! and 4.1.
//!
//! A card sends a POST without a body and gets the first script. It sends the response in a POST to
//! the URI that came with the script and gets the next script, until there is none: then it gets
//! 204 and the connection ends. The URI has a number that was never used for this card before, so a
//! response that arrives twice, or after a restart, is recognised.
//!
//! If a request with the response to a script arrives again, the card did not get the server's
//! answer. The server then repeats that answer.
//!
//! The first request of a session contains no response, so it is never a repetition, not even with
//! X-Admin-Resume. That header means that the session was begun before. A script may or may not
//! have been executed since then. A card sends the header in two cases:
//!
//! - The card executed a script and gave the session up because the server was unreachable. Its
//!   first attempt to begin another session failed, and this is a later attempt.
//! - The card lost power during a script.
//!
//! Amendment B lets the server choose whether a dialogue continues or begins again. A script that
//! can be executed twice is sent again and verified afterwards (`audit.rs`). Any other script is
//! not sent again: if the card refused the second execution, the server would take this refusal for
//! the result of the first one. For example, it would conclude that the card has no new key set
//! although the card has created it. Such a job ends with an unknown result, and the procedure that
//! created the job determines the state of the card.

use rsp::{
    ids::{Aid, Eid},
    ota::{
        admin::ScriptStatus,
        script::{Script, ScriptResponse},
    },
    time::Timestamp,
};
use world::{Event, Fault};

use super::{
    Bearer, CardRefusal, JobId, JobOutcome,
    context::Context,
    queue::{delete_message_references, first},
    records::{Awaits, Pending, Sent, TransmissionRef},
};

/// A request of a card in its session.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) eid: Eid,
    pub(super) content: Content,
    /// The number of the script that this request responds to, from the URI. `None` if the request
    /// contains no response.
    pub(super) answers: Option<u32>,
    /// Time of arrival, if the request has waited for a script.
    pub(super) waited: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Nothing: the card requests a script.
    Nothing,
    /// The response to the script with this number.
    Response(u32, ScriptResult),
    /// A default notification.
    Notification(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(super) enum ScriptResult {
    Answered(ScriptResponse),
    Refused(ScriptStatus),
}

/// Reply to a request of a card.
#[derive(Debug)]
pub(super) enum Offer {
    Script {
        number: u32,
        target: Aid,
        script: Script,
    },
    /// A script will come. The request waits for it until this time.
    Hold(Timestamp),
    End,
}

impl Context<'_, '_> {
    /// Handles a request of a card and returns the reply.
    pub(super) async fn handle_call(&mut self, call: &Call) -> Result<Offer, Fault> {
        let eid = call.eid;
        self.outbound.card = Some(eid);
        if self.managed(eid).await?.is_none() {
            return Ok(Offer::End);
        }
        self.card_responded(eid).await?;
        let mut announced = call.waited.is_some();
        match &call.content {
            Content::Nothing => {}
            Content::Notification(octets) => self.notification(eid, octets, Bearer::Https, None).await?,
            Content::Response(number, script_result) => {
                announced |= self.script_result(eid, *number, script_result).await?
            }
        }
        self.offer(call, announced).await
    }

    /// Handles the response to a script. Returns true if another script follows: then the session
    /// is kept open.
    async fn script_result(
        &mut self,
        eid: Eid,
        number: u32,
        script_result: &ScriptResult,
    ) -> Result<bool, Fault> {
        let found = self.jobs(eid).await?.into_iter().find_map(|(id, pending)| {
            let is_it = |sent: &Sent| matches!(sent.by, TransmissionRef::Session { number: given, .. } if given == number);
            let at = pending.sent.iter().position(is_it)?;
            Some((id, pending, at))
        });
        let Some((id, pending, at)) = found else {
            self.ignore_late(eid);
            // The server may have handled this response before, and its answer may have been lost.
            // If the server keeps the session open for a further script, this request waits for
            // that script too.
            let until = self.card(eid).await?.session_until;
            return Ok(until.is_some_and(|until| until > self.now));
        };
        let more = pending.job.more_to_do;
        match (script_result, pending.uncertain_response.clone()) {
            (ScriptResult::Answered(response), _) => {
                self.answered(&id, pending, at, response.clone()).await?
            }
            (ScriptResult::Refused(_), Some(uncertain)) => {
                self.end(&id, &pending, JobOutcome::Answered(uncertain)).await?
            }
            (ScriptResult::Refused(status), None) => {
                let refusal = CardRefusal::Script(*status);
                self.end(&id, &pending, JobOutcome::Refused(refusal)).await?;
            }
        }
        Ok(more)
    }

    /// Offers the first job of the card, if it can be given to a session. The order is kept: a job
    /// in progress over short messages delays those behind it.
    async fn offer(&mut self, call: &Call, announced: bool) -> Result<Offer, Fault> {
        let eid = call.eid;
        loop {
            let jobs = self.jobs(eid).await?;
            let Some((id, pending)) = jobs.iter().find(|(_, pending)| pending.job.valid_until <= self.now)
            else {
                break;
            };
            self.end(id, pending, JobOutcome::Expired).await?;
        }
        let mut card = self.card(eid).await?;
        let first = first(&self.jobs(eid).await?, &card, self.now).cloned();
        let until = call.waited.unwrap_or(self.now).plus(self.config.hold);
        let offer = match first {
            Some((id, pending))
                if self.is_for_session(&pending) || pending.given_after(call.answers).is_some() =>
            {
                card.session_until = None;
                self.give_script(&id, pending, &mut card.last_number, call.answers)?
            }
            None if announced && until > self.now => {
                card.session_until = Some(until);
                Offer::Hold(until)
            }
            _ => {
                card.session_until = None;
                Offer::End
            }
        };
        self.put_card(eid, &card)?;
        // Jobs that cannot be given to the session are sent in short messages.
        self.step(eid).await?;
        Ok(offer)
    }

    fn give_script(
        &mut self,
        id: &JobId,
        mut pending: Pending,
        last_number: &mut u32,
        after: Option<u32>,
    ) -> Result<Offer, Fault> {
        let what = Self::what(&pending);
        let (script, target) = pending.script_now();
        let number = match pending.given_after(after) {
            // A repeated request gets the same answer.
            Some(given) => given,
            None => {
                *last_number = last_number.wrapping_add(1);
                let number = *last_number;
                let sent = Sent { at: self.now, what, by: TransmissionRef::Session { number, after } };
                delete_message_references(self.tx, pending.record(sent).as_ref());
                number
            }
        };
        pending.awaits = Awaits::Response { until: self.now.plus(self.config.script_within) };
        pending.tries = pending.tries.saturating_add(1);
        self.put(id, &pending)?;
        self.emit(
            Event::new(self.now, "SM-SR", pending.name(what))
                .with_peer("ES5", id.eid().to_string())
                .with_bytes(script.to_bytes().len(), 0)
                .with_note(format!("HTTPS, number {number}, for {target}")),
        );
        Ok(Offer::Script { number, target, script })
    }
}
