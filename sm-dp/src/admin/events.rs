//! /admin/v1/events: the latest events of the server.

use rsp::time::Timestamp;
use rsp_server::api::{Arguments, NoId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Event, Outcome};

use super::{Context, Problem};
use crate::event_log::MAX_EVENTS;

/// Selects events.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Which {
    /// Only events after this number. Pass `next` of the previous reply. Default: all events that
    /// are kept.
    after: Option<u64>,
    /// Maximum number of events. Default: all.
    limit: Option<usize>,
}

/// Events, oldest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventPage {
    /// The value of `after` for the next request.
    next: u64,
    /// The number of requested events that are no longer kept.
    lost: u64,
    /// The events.
    events: Vec<NumberedEvent>,
}

/// An event. Numbering starts at 1 whenever the server starts.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NumberedEvent {
    number: u64,
    at: Timestamp,
    /// The party that reports the event.
    party: String,
    /// The peer of the interaction.
    peer: String,
    /// "ES9+", "ES2+" or "admin"; empty if no interface was involved.
    interface: String,
    /// The name of the function as the standard spells it.
    function: String,
    /// The number of body octets that the party sent.
    bytes_sent: u64,
    /// The number of body octets that the party received.
    bytes_received: u64,
    outcome: Ended,
    note: String,
}

/// The outcome of an interaction.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "result", content = "why")]
enum Ended {
    /// Successful.
    Done,
    /// Refused with a status of the protocol.
    Refused(String),
    /// No reply, an invalid reply, or an internal fault.
    Failed(String),
}

/// GET /admin/v1/events
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Which>,
) -> Result<EventPage, Problem> {
    let page =
        context.log.after(arguments.query.after.unwrap_or(0), arguments.query.limit.unwrap_or(MAX_EVENTS));
    let events = page.events.into_iter().map(|(number, event)| NumberedEvent::of(number, event));
    Ok(EventPage { next: page.next, lost: page.lost, events: events.collect() })
}

impl NumberedEvent {
    fn of(number: u64, event: Event) -> Self {
        let Event { at, party, peer, interface, function, bytes_sent, bytes_received, outcome, note } = event;
        Self {
            number,
            at,
            party: party.into_owned(),
            peer: peer.into_owned(),
            interface: interface.into_owned(),
            function: function.into_owned(),
            bytes_sent,
            bytes_received,
            outcome: match outcome {
                Outcome::Done => Ended::Done,
                Outcome::Refused(why) => Ended::Refused(why),
                Outcome::Failed(why) => Ended::Failed(why),
            },
            note,
        }
    }
}
