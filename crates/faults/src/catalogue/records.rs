//! Catalogue of faults of stored records.

use std::time::Duration;

use super::{Entry, FaultId, Parameter, Places};
use crate::acts::RecordsAct;

const SERVER: &str = "SM-DP+, SM-DS, SM-DP, SM-SR";
const INVARIANT: &str = "ARCHITECTURE, invariant 1; world::Records";
const AWAY: Option<Parameter> =
    Parameter::time("delay before the process is restarted", Duration::from_secs(5));

const fn entry(
    act: RecordsAct,
    name: &'static str,
    what: &'static str,
    requirement: &'static str,
    value: Option<Parameter>,
) -> Entry {
    let (id, places) = (FaultId::Records(act), Places::Collection);
    Entry { id, name, what, peer: SERVER, requirement, clause: INVARIANT, answer: "", places, value }
}

pub(super) static ENTRIES: &[Entry] = &[
    entry(
        RecordsAct::CommitFails,
        "records/commit-fails",
        "The commit fails, and nothing is written.",
        "The peer gets only a server error (HTTP 5xx), and nothing has changed.",
        None,
    ),
    entry(
        RecordsAct::TornWrite,
        "records/torn-write",
        "Only the first half of the changes is written, and the store reports a failure.",
        "A correct store never writes half of a commit. With a faulty store, the server reports nothing that is not stored, and a reconciler finds the difference.",
        None,
    ),
    entry(
        RecordsAct::LostWrite,
        "records/lost-write",
        "The store reports success, but the changes are not written.",
        "A correct store loses nothing. With a faulty store, a reconciler finds what the card has and the server lacks.",
        None,
    ),
    entry(
        RecordsAct::Conflict,
        "records/conflict",
        "A concurrent transaction was faster: nothing is written, and the store reports a conflict.",
        "The server runs the handler again and sends the result of the second run.",
        None,
    ),
    entry(
        RecordsAct::CrashBeforeCommit,
        "records/crash-before-commit",
        "The process ends before the changes are written, and is restarted with the same records.",
        "No reply was sent and nothing has changed; the client retries.",
        AWAY,
    ),
    entry(
        RecordsAct::CrashAfterCommit,
        "records/crash-after-commit",
        "The process ends after the changes are written and before the reply is sent, and is restarted with the same records.",
        "The decision stands: a client that retries gets the matching reply, and pending messages to other parties are delivered.",
        AWAY,
    ),
    entry(
        RecordsAct::ReadFails,
        "records/read-fails",
        "A record cannot be read.",
        "The peer gets a server error (HTTP 5xx): an unreadable record is not treated as a missing one.",
        None,
    ),
];
