//! Faults of records.

use std::time::Duration;

use super::{Entry, FaultId, Parameter, Places};
use crate::records::RecordsAct;

const SERVER: &str = "SM-DP+, SM-DS, SM-DP, SM-SR";
const INVARIANT: &str = "ARCHITECTURE, invariant 1; world::Records";
const AWAY: Option<Parameter> =
    Parameter::time("how long it is before the process is started again", Duration::from_secs(5));

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
        "The changes cannot be written, and none of them is.",
        "The peer hears that the server failed (HTTP 5xx), and nothing else; nothing has changed.",
        None,
    ),
    entry(
        RecordsAct::TornWrite,
        "records/torn-write",
        "Only the first half of the changes is written, and the server is told that none could be.",
        "A store that keeps its contract has no such half; with one that does not, nobody is told more than is there, and a reconciler finds the rest.",
        None,
    ),
    entry(
        RecordsAct::LostWrite,
        "records/lost-write",
        "The changes are said to be written, and are not.",
        "A store that keeps its contract loses nothing; with one that does not, a reconciler finds what the card has and the server has not.",
        None,
    ),
    entry(
        RecordsAct::Conflict,
        "records/conflict",
        "Somebody else was faster: nothing is written, and the decision is to be taken again.",
        "The decision is taken again, and its answer is that of the second time.",
        None,
    ),
    entry(
        RecordsAct::CrashBeforeCommit,
        "records/crash-before-commit",
        "The process ends before the changes are written, and is started again on its records.",
        "Nothing was said, nothing has changed; whoever asked asks again.",
        AWAY,
    ),
    entry(
        RecordsAct::CrashAfterCommit,
        "records/crash-after-commit",
        "The process ends after the changes are written and before anything is said, and is started again on its records.",
        "What was decided holds; whoever asks again is answered accordingly, and what was to be told others is told.",
        AWAY,
    ),
    entry(
        RecordsAct::ReadFails,
        "records/read-fails",
        "A record cannot be read.",
        "The peer hears that the server failed (HTTP 5xx): an unreadable record is not a missing one.",
        None,
    ),
];
