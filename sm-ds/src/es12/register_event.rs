//! ES12.RegisterEvent: SGP.22 section 5.9.1.
//!
//! Registers an event of an SM-DP+ for an eUICC. The forwardingIndicator is meant for an
//! alternative SM-DS. A root SM-DS does not forward events and ignores it.

use rsp::{
    sgp22::{es12::RegisterEventRequest, json::NoOutput},
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
) -> Decision<NoOutput> {
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
        // A repeated call is accepted, because the response to the first one may have been lost.
        // req: SGP.22-5.9.1-Repetition
        if other.is_of_the_same_call(&event) {
            return Ok(NoOutput);
        }
        // req: SGP.22-5.9.1-EventInUse
        return Err(Status::EventInUse
            .because("an event with this ID is already registered for this eUICC")
            .about(&event.event_id)
            .into());
    }
    // The limit applies to each SM-DP+ separately, so that one cannot block the others.
    let own = waiting.iter().filter(|(_, other)| other.owner == event.owner).count();
    // req: SGP.22-5.9.1-Limit
    if own >= context.config.max_events_per_euicc {
        return Err(Status::SmdsExecutionError
            .because(format!("this SM-DP+ has already registered {own} events for this eUICC"))
            .about(event.eid)
            .into());
    }
    context.tx.put(&EVENTS, &event_key(event.eid, &event.event_id), &event)?;
    Ok(NoOutput)
}

/// Checks the length of an event ID. An empty MatchingID requests all events, so it cannot be an
/// event ID.
// req: SGP.22-5.9.1-EventIdLength
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
