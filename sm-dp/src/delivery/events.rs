//! Events at an SM-DS: ES12.RegisterEvent and DeleteEvent, SGP.22 section 5.9.
//!
//! The operator receives its reply after the SM-DS has replied. Order and message are committed
//! first, so that the registration is retried after a crash. If the SM-DS refuses or does not
//! reply, the order is restored to its previous state. The order can end while the SM-DS is being
//! called. In that case a registered event is deleted again.

use rsp::{
    ids::SmdpAddress,
    sgp22::{
        Function,
        es12::{DeleteEvent, RegisterEvent, RegisterEventRequest},
        json::NoOutput,
    },
    status::{Refusal, Status},
};
use rsp_server::{Decision, Namespace, Rejection};
use serde::Serialize;
use world::{CallError, Event, Events, Fault, Tx};

use super::Delivery;
use crate::{
    context::Context,
    es2plus, outbox,
    profile_state::ProfileState,
    records::{
        MATCHING_IDS, Message, ORDERS_BY_EID, OUTBOX, OrderSnapshot, Outgoing, PROFILES, Profile, eid_key,
    },
    server::SmDpPlus,
};

/// Says if the SM-DS has an event after a registration attempt.
#[derive(Clone, Copy, PartialEq)]
enum EventState {
    Registered,
    Unknown,
    NotRegistered,
}

/// A RegisterEvent call and the key of its message.
#[derive(Clone, Copy)]
struct Registration<'a> {
    key: &'a str,
    at: &'a SmdpAddress,
    request: &'a RegisterEventRequest,
    before: &'a OrderSnapshot,
    namespace: &'a Namespace,
}

impl SmDpPlus {
    /// Registers the events that a request has just committed. Returns a refusal if the order is no
    /// longer valid because an SM-DS refused the event or the order ended in the meantime. The
    /// refusal is then the reply to the request.
    pub(crate) async fn register_events(&self, posted: &[String]) -> Result<Option<Refusal>, Fault> {
        for key in posted {
            let Some(message) = Tx::begin(self.records()).get(&OUTBOX, key).await? else { continue };
            let Message { namespace, call, .. } = message;
            let Outgoing::RegisterEvent { at, request, before } = call else { continue };
            let call = self.call::<RegisterEvent>(&at, &request, &namespace).await;
            let (refusal, event_state) = match call {
                Ok(NoOutput {}) => {
                    let why = "the order ended during the registration of its event at the SM-DS";
                    (Status::IccidInvalidTransition.because(why).about(before.iccid), EventState::Registered)
                }
                Err(CallError::Refused(why)) => {
                    let why = format!("the SM-DS refused the event: {why}");
                    (Status::SmdsExecutionError.because(why).about(&at), EventState::NotRegistered)
                }
                // The operator gets no details of the connection. The event of the call has them.
                Err(error) if error.may_have_been_executed() => {
                    let why = "the SM-DS returned no valid reply";
                    (Status::SmdsExecutionError.because(why).about(&at), EventState::Unknown)
                }
                Err(_) => (
                    Status::SmdsInaccessible.because("the SM-DS cannot be reached").about(&at),
                    EventState::NotRegistered,
                ),
            };
            let (at, request, before) = (&at, &request, &before);
            let registration = Registration { key, at, request, before, namespace: &namespace };
            if !self.settle(registration, event_state).await? {
                return Ok(Some(refusal));
            }
        }
        Ok(None)
    }

    /// Delivers an event registration that a crash interrupted, or an event deletion.
    pub(super) async fn deliver_event(
        &self,
        key: &str,
        address: &SmdpAddress,
        message: &Message,
    ) -> Result<Delivery, Fault> {
        let namespace = &message.namespace;
        match &message.call {
            Outgoing::RegisterEvent { at, request, before } => {
                self.register_late(Registration { key, at, request, before, namespace }).await
            }
            Outgoing::DeleteEvent(request) => {
                Ok(match self.call::<DeleteEvent>(address, request, namespace).await {
                    Ok(NoOutput {}) => Delivery::Done,
                    // The event does not exist, so there is nothing to delete.
                    Err(CallError::Refused(why)) if why.status() == Some(Status::EventUnknown) => {
                        Delivery::Done
                    }
                    Err(error) => Delivery::Not(error.to_string()),
                })
            }
            // This message is never posted to an SM-DS.
            Outgoing::HandleDownloadProgressInfo(_) => Ok(Delivery::Done),
        }
    }

    async fn register_late(&self, registration: Registration<'_>) -> Result<Delivery, Fault> {
        let iccid = registration.before.iccid.to_string();
        let profile = Tx::begin(self.records()).get(&PROFILES, &iccid).await?;
        if !profile.is_some_and(|profile| registration.is_wanted(&profile)) {
            return Ok(Delivery::Done);
        }
        let Registration { at, request, namespace, .. } = registration;
        let event_state = match self.call::<RegisterEvent>(at, request, namespace).await {
            Ok(NoOutput {}) => EventState::Registered,
            // The event was registered before the crash.
            Err(CallError::Refused(why)) if why.status() == Some(Status::EventInUse) => {
                EventState::Registered
            }
            Err(CallError::Refused(_)) => EventState::NotRegistered,
            Err(error) => return Ok(Delivery::Not(error.to_string())),
        };
        self.settle(registration, event_state).await?;
        Ok(Delivery::Done)
    }

    /// Undoes the change that a message belongs to when its delivery is abandoned.
    pub(super) async fn give_up(&self, key: &str, message: &Message) -> Result<(), Fault> {
        match &message.call {
            Outgoing::RegisterEvent { at, request, before } => {
                let namespace = &message.namespace;
                let registration = Registration { key, at, request, before, namespace };
                self.settle(registration, EventState::Unknown).await.map(drop)
            }
            Outgoing::DeleteEvent(_) | Outgoing::HandleDownloadProgressInfo(_) => Ok(()),
        }
    }

    async fn call<F>(
        &self,
        address: &SmdpAddress,
        request: &F::Request,
        namespace: &Namespace,
    ) -> Result<NoOutput, CallError>
    where
        F: Function<Request: Serialize, Reply = NoOutput>,
    {
        let call = self.send::<F>(address, request).await.read(world::reply);
        self.0.core.events.emit(
            Event::new(self.0.core.world.now(), "SM-DP+", F::title())
                .with_peer("ES12", "SM-DS")
                .with_bytes(call.sent, call.received)
                .with_outcome(call.outcome())
                .with_findings(call.findings)
                .with_note(address.to_string())
                .with_namespace(String::from(namespace.clone())),
        );
        call.result
    }

    /// Completes a registration. Returns true if the order is still valid.
    async fn settle(&self, registration: Registration<'_>, event_state: EventState) -> Result<bool, Fault> {
        let now = self.0.core.world.now();
        world::transact(self.records(), |tx| {
            Box::pin(async move {
                let mut context = self.0.core.context(tx, now);
                context.namespace = registration.namespace.clone();
                match registration.settle(&mut context, event_state).await {
                    Ok(is_valid) => Ok(is_valid),
                    Err(Rejection::Fault(fault)) => Err(fault),
                    // `Registration::settle` returns no refusals.
                    Err(Rejection::Refusal(_)) => Ok(false),
                }
            })
        })
        .await
    }
}

impl Registration<'_> {
    async fn settle(self, context: &mut Context<'_, '_>, event_state: EventState) -> Decision<bool> {
        // A concurrent request for the same event may have completed the registration and reported
        // success. Its result must not be undone.
        let is_pending = context.tx.get(&OUTBOX, self.key).await?.is_some();
        context.tx.delete(&OUTBOX, self.key);
        let profile = context.tx.get(&PROFILES, &self.before.iccid.to_string()).await?;
        let is_wanted = profile.as_ref().is_some_and(|profile| self.is_wanted(profile));
        let is_current_order = profile.as_ref().is_some_and(|profile| self.is_of(profile));
        // A device that already knew its activation code may have started the download in the
        // meantime.
        let is_valid = is_current_order
            && (is_wanted || profile.as_ref().is_some_and(|it| it.state() != ProfileState::Confirmed));
        if is_pending
            && is_current_order
            && is_wanted
            && event_state != EventState::Registered
            && let Some(profile) = profile.filter(|profile| profile.state() == ProfileState::Released)
        {
            restore_order(context, profile, self.before, event_state).await?;
            return Ok(false);
        }
        // The DeleteEvent for an order that ended in the meantime may have reached the SM-DS before
        // the event was registered.
        if !is_wanted && event_state != EventState::NotRegistered {
            outbox::delete_event_at(
                context,
                self.at.clone(),
                self.request.eid,
                self.request.event_id.clone(),
            )?;
        }
        Ok(is_valid)
    }

    /// True if the profile's order still needs exactly this event at the SM-DS.
    fn is_wanted(&self, profile: &Profile) -> bool {
        self.is_named_by(profile) && profile.order().is_ok_and(|order| order.event_registered)
    }

    /// True if the event announces the profile's current order and not an earlier one.
    fn is_of(&self, profile: &Profile) -> bool {
        let last = profile.last_call.as_ref().and_then(|last| last.event.as_deref());
        self.is_named_by(profile) && last.is_none_or(|last| last == self.key)
    }

    fn is_named_by(&self, profile: &Profile) -> bool {
        let event = profile.status.order().and_then(outbox::event_of);
        event.is_some_and(|(at, eid, event_id)| {
            at == *self.at && eid == self.request.eid && event_id == self.request.event_id
        })
    }
}

/// Restores the order to the state before the registration.
async fn restore_order(
    context: &mut Context<'_, '_>,
    mut profile: Profile,
    before: &OrderSnapshot,
    event_state: EventState,
) -> Decision<()> {
    let Ok(mut order) = profile.order().cloned() else { return Ok(()) };
    // An SM-DS that was not reached has no event to delete.
    order.event_registered = event_state != EventState::NotRegistered;
    es2plus::forget(context, profile.iccid, &order).await?;
    if let Some(order) = before.status.order() {
        if let Some(eid) = order.eid {
            context.tx.put(&ORDERS_BY_EID, &eid_key(eid, before.iccid), &before.iccid)?;
        }
        if let Some(matching_id) = order.matching_id.as_ref().filter(|matching_id| !matching_id.is_empty()) {
            context.tx.put(&MATCHING_IDS, matching_id, &before.iccid)?;
        }
    }
    profile.status.clone_from(&before.status);
    profile.last_call.clone_from(&before.last_call);
    profile.save(context.tx)?;
    Ok(())
}
