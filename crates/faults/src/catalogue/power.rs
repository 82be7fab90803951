//! Faults of the power and of the memory that outlives it.

use super::{Entry, FaultId, Parameter, Places};
use crate::power::PowerAct;

const WHOLE: &str = "Afterwards the memory is as before the write or as after it; the device comes back on a profile that carries it, and no profile is lost or there twice.";
const CLAUSE: &str = "ARCHITECTURE, invariant 6; SGP.22 3.1.3, 3.2.1";

const fn entry(
    act: PowerAct,
    name: &'static str,
    what: &'static str,
    requirement: &'static str,
    value: Option<Parameter>,
) -> Entry {
    let (id, places) = (FaultId::Power(act), Places::Cell);
    Entry { id, name, what, peer: "card, device", requirement, clause: CLAUSE, answer: "", places, value }
}

pub(super) static ENTRIES: &[Entry] = &[
    entry(
        PowerAct::CutBeforeWrite,
        "power/cut-before-write",
        "The power goes before a write to the memory.",
        WHOLE,
        None,
    ),
    entry(
        PowerAct::CutAfterWrite,
        "power/cut-after-write",
        "The power goes after a write to the memory, before anybody is told of it.",
        WHOLE,
        None,
    ),
    entry(
        PowerAct::TornWrite,
        "power/torn-write",
        "The power goes while a write is under way: the end of what was to be written is missing in the file.",
        WHOLE,
        Parameter::octets("how many octets are missing; half of what was written", None),
    ),
    entry(
        PowerAct::WriteFails,
        "power/write-fails",
        "A write to the memory fails; the power stays.",
        "Nothing has changed, the command is answered with a memory failure, and the device tries again or goes back.",
        None,
    ),
];
