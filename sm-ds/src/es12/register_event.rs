//! ES12.RegisterEvent: SGP.22 section 5.9.1.
//!
//! An SM-DP+ leaves word for an eUICC. The forwardingIndicator is for an alternative SM-DS; a root SM-DS has nobody to
//! forward to, and takes the event whatever it says.

use rsp::{
    sgp22::es12::RegisterEventRequest,
    status::{Refusal, Status},
};
use rsp_server::Decision;

use super::Caller;
use crate::{
    config::MAX_EVENT_ID_OCTETS,
    context::Context,
    records::{EVENTS, RegisteredEvent, event_key, events_of},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    caller: &Caller,
    request: &RegisterEventRequest,
) -> Decision<()> {
    let owner = caller.identified_by(&request.header)?;
    check_event_id(&request.event_id)?;
    let event = RegisteredEvent {
        eid: request.eid,
        event_id: request.event_id.clone(),
        rsp_server_address: request.rsp_server_address.clone(),
        owner: owner.clone(),
        function_call_identifier: request.header.function_call_identifier.clone(),
        registered: context.now,
    };
    let waiting = context.tx.list(&EVENTS, &events_of(event.eid)).await?;
    if let Some((_, other)) = waiting.iter().find(|(_, other)| other.event_id == event.event_id) {
        // The answer to the first call may have been lost on the way.
        if other.is_of_the_same_call(&event) {
            return Ok(());
        }
        return Err(Status::EventInUse
            .because("an event with this id is registered for this eUICC already")
            .about(&event.event_id)
            .into());
    }
    // Each SM-DP+ has a share of its own, so that none can lock out the others.
    let own = waiting.iter().filter(|(_, other)| other.owner == event.owner).count();
    if own >= context.config.max_events_per_euicc {
        return Err(Status::SmdsExecutionError
            .because(format!("{own} events of this SM-DP+ wait for this eUICC already"))
            .about(event.eid)
            .into());
    }
    context.tx.put(&EVENTS, &event_key(event.eid, &event.event_id), &event)?;
    Ok(())
}

/// An empty MatchingID asks for all events, so none may be called so.
fn check_event_id(event_id: &str) -> Result<(), Refusal> {
    if (1..=MAX_EVENT_ID_OCTETS).contains(&event_id.len()) {
        return Ok(());
    }
    Err(Status::FormatInvalid.because(format!("eventId must have 1 to {MAX_EVENT_ID_OCTETS} octets")))
}

impl RegisteredEvent {
    fn is_of_the_same_call(&self, other: &Self) -> bool {
        *self == Self { registered: self.registered, ..other.clone() }
    }
}
