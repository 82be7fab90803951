//! /admin/v1/events: what the server has told lately.

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Event, Outcome};

use super::{
    Context, Problem,
    function::{Asked, Function, NoId, Verb},
    schema::TimeText,
};
use crate::event_log::MAX_EVENTS;

/// GET /admin/v1/events
pub(super) struct List;

/// Which events.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Which {
    /// Only those after this number: `next` of the answer before. Everything that is kept when absent.
    after: Option<u64>,
    /// At most so many; all when absent.
    limit: Option<usize>,
}

/// Events, oldest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventPage {
    /// What to ask after next.
    next: u64,
    /// How many were asked for but are no longer kept.
    lost: u64,
    /// The events.
    events: Vec<NumberedEvent>,
}

/// One thing that happened. Numbers begin with 1 whenever the server starts.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NumberedEvent {
    number: u64,
    #[schemars(with = "TimeText")]
    at: Timestamp,
    /// Who tells it.
    party: String,
    /// With whom.
    peer: String,
    /// "ES9+", "ES2+", "admin"; empty when the party did it alone.
    interface: String,
    /// The function in the standard's spelling.
    function: String,
    /// Octets of body that left the party.
    bytes_sent: u64,
    /// Octets of body that reached the party.
    bytes_received: u64,
    outcome: Ended,
    note: String,
}

/// How it ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "result", content = "why")]
enum Ended {
    /// As asked.
    Done,
    /// Somebody said no in the protocol's words.
    Refused(String),
    /// No answer, a wrong answer, or a fault.
    Failed(String),
}

impl Function for List {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/admin/v1/events";
    const SUMMARY: &'static str = "The latest events of the server, numbered; the last 4096 are kept";
    type Id = NoId;
    type Query = Which;
    type Body = ();
    type Reply = EventPage;

    async fn execute(context: &mut Context<'_, '_>, asked: &Asked<Self>) -> Result<EventPage, Problem> {
        let page = context.log.after(asked.query.after.unwrap_or(0), asked.query.limit.unwrap_or(MAX_EVENTS));
        let events = page.events.into_iter().map(|(number, event)| NumberedEvent::of(number, event));
        Ok(EventPage { next: page.next, lost: page.lost, events: events.collect() })
    }
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
