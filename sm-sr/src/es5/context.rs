//! Context of the engine's decisions.

use rsp::{ids::Eid, ota::secured_packet::Counter, time::Timestamp};
use world::{Event, Fault, Submission, Tx};

use super::{
    JobId, Procedures,
    policy::Es5Config,
    records::{CARDS, Card, key},
};

/// A secured packet that was sent for a job.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) id: JobId,
    pub(super) kvn: u8,
    pub(super) counter: Counter,
}

/// Context of a decision, with the messages to send after the commit.
pub(super) struct Context<'a, 'r> {
    pub(super) tx: &'a mut Tx<'r>,
    pub(super) config: &'a Es5Config,
    pub(super) procedures: &'a dyn Procedures,
    pub(super) now: Timestamp,
    pub(super) outbound: Outbound,
}

/// Messages and timeline events to send after the commit.
#[derive(Default)]
pub(super) struct Outbound {
    pub(super) packets: Vec<(Packet, Vec<Submission>)>,
    pub(super) events: Vec<Event>,
    /// The card whose message is handled.
    pub(super) card: Option<Eid>,
}

/// Reason for ignoring a message of a card, or giving up a job, after a handover.
pub(super) const NOT_MANAGED: &str = "this SM-SR does not manage the card any more";

impl Context<'_, '_> {
    pub(super) async fn card(&mut self, eid: Eid) -> Result<Card, Fault> {
        Ok(self.tx.get(&CARDS, &key(eid)).await?.unwrap_or_default())
    }

    pub(super) fn put_card(&mut self, eid: Eid, card: &Card) -> Result<(), Fault> {
        self.tx.put(&CARDS, &key(eid), card)
    }

    pub(super) fn send(&mut self, packet: Packet, parts: Vec<Submission>) {
        self.outbound.packets.push((packet, parts));
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outbound.events.push(event);
    }
}
