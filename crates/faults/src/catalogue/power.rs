//! Catalogue of faults of the power supply and of persistent memory.

use super::{Entry, FaultId, Parameter, Places};
use crate::acts::PowerAct;

const WHOLE: &str = "Afterwards the memory is in the state before or after the write. The device comes back on a profile that gets service, and no profile is lost or duplicated.";
const CLAUSE: &str = "ARCHITECTURE, invariant 6; SGP.22 3.1.3, 3.2.1";

const fn entry(act: PowerAct, name: &'static str) -> Entry {
    Entry::new(FaultId::Power(act), name, Places::Cell).peer("card, device")
}

pub(super) static ENTRIES: &[Entry] = &[
    entry(PowerAct::CutBeforeWrite, "power/cut-before-write")
        .what("The power fails before a write to the memory.")
        .requires(WHOLE, CLAUSE),
    entry(PowerAct::CutAfterWrite, "power/cut-after-write")
        .what("The power fails after a write to the memory, before its result is reported.")
        .requires(WHOLE, CLAUSE),
    entry(PowerAct::TornWrite, "power/torn-write")
        .what("The power fails during a write: the end of the written data is missing in the file.")
        .requires(WHOLE, CLAUSE)
        .value(Parameter::octets("number of missing octets; default: half of the write", None)),
    entry(PowerAct::WriteFails, "power/write-fails")
        .what("A write to the memory fails; the power stays on.")
        .requires(
            "Nothing has changed, the command is answered with a memory failure, and the device tries again or goes back to the previous profile.",
            CLAUSE,
        ),
];
