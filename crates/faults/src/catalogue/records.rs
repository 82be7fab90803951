//! Catalogue of faults of stored records.

use std::time::Duration;

use super::{Entry, FaultId, Parameter, Places};
use crate::acts::RecordsAct;

const INVARIANT: &str = "ARCHITECTURE, invariant 1; world::Records";
const AWAY: Parameter = Parameter::time("delay before the process is restarted", Duration::from_secs(5));

const fn entry(act: RecordsAct, name: &'static str) -> Entry {
    Entry::new(FaultId::Records(act), name, Places::Collection).peer("SM-DP+, SM-DS, SM-DP, SM-SR")
}

pub(super) static ENTRIES: &[Entry] = &[
    entry(RecordsAct::CommitFails, "records/commit-fails")
        .what("The commit fails, and nothing is written.")
        .requires("The peer gets only a server error (HTTP 5xx), and nothing has changed.", INVARIANT),
    entry(RecordsAct::TornWrite, "records/torn-write")
        .what("Only the first half of the changes is written, and the store reports a failure.")
        .requires(
            "A correct store never writes half of a commit. With a faulty store, the server reports nothing that is not stored, and a reconciler finds the difference.",
            INVARIANT,
        ),
    entry(RecordsAct::LostWrite, "records/lost-write")
        .what("The store reports success, but the changes are not written.")
        .requires(
            "A correct store loses nothing. With a faulty store, a reconciler finds what the card has and the server lacks.",
            INVARIANT,
        ),
    entry(RecordsAct::Conflict, "records/conflict")
        .what("A concurrent transaction was faster: nothing is written, and the store reports a conflict.")
        .requires("The server runs the handler again and sends the result of the second run.", INVARIANT),
    entry(RecordsAct::CrashBeforeCommit, "records/crash-before-commit")
        .what("The process ends before the changes are written, and is restarted with the same records.")
        .requires("No reply was sent and nothing has changed; the client retries.", INVARIANT)
        .value(AWAY),
    entry(RecordsAct::CrashAfterCommit, "records/crash-after-commit")
        .what("The process ends after the changes are written and before the reply is sent, and is restarted with the same records.")
        .requires(
            "The decision stands: a client that retries gets the matching reply, and pending messages to other parties are delivered.",
            INVARIANT,
        )
        .value(AWAY),
    entry(RecordsAct::ReadFails, "records/read-fails")
        .what("A record cannot be read.")
        .requires(
            "The peer gets a server error (HTTP 5xx): an unreadable record is not treated as a missing one.",
            INVARIANT,
        ),
];
