//! Events at an SM-DS: ES12.RegisterEvent and DeleteEvent, SGP.22 section 5.9.
//!
//! The operator is answered after the SM-DS. Order and message are committed first, so that a crash between leaves
//! something that is tried again; when the SM-DS says no or nothing, the order is taken back to where it stood.

use bytes::Bytes;
use http::Response;
use rsp::{
    ids::SmdpAddress,
    sgp22::{
        es12,
        json::{self, Answer, StatusCodeData},
    },
    status::{Refusal, Status},
};
use serde::Serialize;
use world::{Event, Events, Fault, LinkFault, LinkFaultKind, Outcome, Tx};

use super::Delivered;
use crate::{
    decision::{Context, Decision, No},
    es2plus,
    profile_state::ProfileState,
    records::{Before, MATCHING_IDS, Message, ORDERS_BY_EID, OUTBOX, Outgoing, PROFILES, eid_key},
    server::SmDpPlus,
};

/// What an SM-DS said to a call.
enum Word {
    Done,
    Refused(StatusCodeData),
    /// Nothing, or nothing that is an answer. It may have done it.
    Unclear(String),
    /// It was not reached, so it has done nothing.
    Unreachable(LinkFault),
}

/// Whether the SM-DS may have an event that is not to be.
#[derive(Clone, Copy, PartialEq)]
enum Remains {
    Maybe,
    No,
}

impl SmDpPlus {
    /// Registers at once the events that a request has just committed. What is given is the answer to the request when
    /// an SM-DS has not taken its event; the order then stands as before.
    pub(crate) async fn register_events(&self, posted: &[String]) -> Result<Option<Refusal>, Fault> {
        for key in posted {
            let Some(message) = Tx::begin(self.records()).get(&OUTBOX, key).await? else { continue };
            let Outgoing::RegisterEvent { at, request, before } = message.call else { continue };
            let (refusal, remains) = match self.ask(&at, "registerEvent", &request).await {
                Word::Done => {
                    self.discard(key).await?;
                    continue;
                }
                Word::Refused(why) => {
                    let why = format!("the SM-DS refused the event: {why}");
                    (Status::SmdsExecutionError.because(why), Remains::No)
                }
                Word::Unclear(why) => {
                    let why = format!("the SM-DS gave no usable answer: {why}");
                    (Status::SmdsExecutionError.because(why), Remains::Maybe)
                }
                Word::Unreachable(fault) => {
                    (Status::SmdsInaccessible.because(fault.to_string()), Remains::No)
                }
            };
            let is_as_before = self.take_back(&before, remains).await?;
            self.discard(key).await?;
            return Ok(is_as_before.then(|| refusal.about(at)));
        }
        Ok(None)
    }

    /// An event that was left behind by a crash, or one to delete.
    pub(super) async fn tell_sm_ds(
        &self,
        address: &SmdpAddress,
        call: &Outgoing,
    ) -> Result<Delivered, Fault> {
        let word = match call {
            Outgoing::RegisterEvent { request, before, .. } => {
                let profile = Tx::begin(self.records()).get(&PROFILES, &before.iccid.to_string()).await?;
                let is_wanted = profile.and_then(|profile| profile.order).is_some_and(|order| {
                    order.event_registered && order.matching_id.as_ref() == Some(&request.event_id)
                });
                if !is_wanted {
                    return Ok(Delivered::Done);
                }
                self.ask(address, "registerEvent", request).await
            }
            Outgoing::DeleteEvent(request) => self.ask(address, "deleteEvent", request).await,
            Outgoing::HandleDownloadProgressInfo(_) => Word::Done,
        };
        Ok(match (word, call) {
            (Word::Done, _) => Delivered::Done,
            (Word::Unclear(why), _) => Delivered::Not(why),
            (Word::Unreachable(fault), _) => Delivered::Not(fault.to_string()),
            // It was there before the crash.
            (Word::Refused(why), Outgoing::RegisterEvent { .. })
                if why.status() == Some(Status::EventInUse) =>
            {
                Delivered::Done
            }
            (Word::Refused(_), Outgoing::RegisterEvent { before, .. }) => {
                self.take_back(before, Remains::No).await?;
                Delivered::Done
            }
            // What cannot be deleted is not there, and asking again would not change it.
            (Word::Refused(_), _) => Delivered::Done,
        })
    }

    /// What is to be undone when a message was tried for too long.
    pub(super) async fn give_up(&self, message: &Message) -> Result<(), Fault> {
        match &message.call {
            Outgoing::RegisterEvent { before, .. } => self.take_back(before, Remains::Maybe).await.map(drop),
            Outgoing::DeleteEvent(_) | Outgoing::HandleDownloadProgressInfo(_) => Ok(()),
        }
    }

    async fn ask(&self, address: &SmdpAddress, function: &'static str, body: &impl Serialize) -> Word {
        let request = json::request(&es12::path(function), self.0.config.protocol_version, body);
        let sent = request.body().len();
        let (word, received) = match self.send(address, request).await {
            Ok(response) => (read(&response), response.body().len()),
            Err(fault) if may_have_arrived(fault.kind) => (Word::Unclear(fault.to_string()), 0),
            Err(fault) => (Word::Unreachable(fault), 0),
        };
        let outcome = match &word {
            Word::Done => Outcome::Done,
            Word::Refused(why) => Outcome::Refused(why.to_string()),
            Word::Unclear(why) => Outcome::Failed(why.clone()),
            Word::Unreachable(fault) => Outcome::Failed(fault.to_string()),
        };
        let spelled = if function == "registerEvent" { "RegisterEvent" } else { "DeleteEvent" };
        self.0.events.tell(
            Event::new(self.0.world.now(), "SM-DP+", spelled)
                .with_peer("ES12", "SM-DS")
                .with_bytes(sent, received)
                .with_outcome(outcome)
                .with_note(address.to_string()),
        );
        word
    }

    async fn discard(&self, key: &str) -> Result<(), Fault> {
        world::transact(self.records(), |tx| {
            tx.delete(&OUTBOX, key);
            Box::pin(async { Ok(()) })
        })
        .await
    }

    /// Puts the order back to where it stood, unless it has gone on since: a device that knew its code was faster. Whether it stands so now.
    async fn take_back(&self, before: &Before, remains: Remains) -> Result<bool, Fault> {
        let now = self.0.world.now();
        world::transact(self.records(), |tx| {
            Box::pin(async move {
                let mut context = self.0.context(tx, now);
                match take_back(&mut context, before, remains).await {
                    Ok(taken_back) => Ok(taken_back),
                    Err(No::Fault(fault)) => Err(fault),
                    // Nothing here refuses.
                    Err(No::Refusal(_)) => Ok(false),
                }
            })
        })
        .await
    }
}

async fn take_back(context: &mut Context<'_, '_>, before: &Before, remains: Remains) -> Decision<bool> {
    let Some(mut profile) = context.tx.get(&PROFILES, &before.iccid.to_string()).await? else {
        return Ok(false);
    };
    let Some(mut order) = profile.order.take().filter(|order| order.event_registered) else {
        return Ok(false);
    };
    if profile.state != ProfileState::Released {
        return Ok(false);
    }
    // Who was not reached has nothing to delete.
    order.event_registered = remains == Remains::Maybe;
    es2plus::forget(context, profile.iccid, &order).await?;
    if let Some(order) = &before.order {
        if let Some(eid) = order.eid {
            context.tx.put(&ORDERS_BY_EID, &eid_key(eid, before.iccid), &before.iccid)?;
        }
        if let Some(matching_id) = order.matching_id.as_ref().filter(|matching_id| !matching_id.is_empty()) {
            context.tx.put(&MATCHING_IDS, matching_id, &before.iccid)?;
        }
    }
    profile.state = before.state;
    profile.order.clone_from(&before.order);
    profile.last_call.clone_from(&before.last_call);
    profile.keep(context.tx)?;
    Ok(true)
}

fn read(response: &Response<Bytes>) -> Word {
    #[derive(serde::Deserialize)]
    struct NoOutput {}
    match json::answer::<NoOutput>(response) {
        Ok(Answer::Done(NoOutput {})) => Word::Done,
        Ok(Answer::Refused(why)) => Word::Refused(why),
        Err(e) => Word::Unclear(e.to_string()),
    }
}

/// Whether the request may have been acted upon though no answer came.
fn may_have_arrived(kind: LinkFaultKind) -> bool {
    use LinkFaultKind as Kind;
    !matches!(kind, Kind::Unresolved | Kind::Refused | Kind::Unreachable | Kind::Tls)
}
