//! Faults by name: what goes wrong, where and when, as data.
//!
//! ```text
//! link/lose-answer@ES9+.GetBoundProfilePackage#2
//!
//! mishap = family "/" name [ "=" value ] [ "@" place ] ( "#" when )*
//! value  = a duration (250ms, 30s, 5m, 2h, 1d) or a number, as the fault has it; left out, the fault's own
//! place  = where of all places that the fault is put it happens; left out, everywhere:
//!          link, lie an interface, or one function of it: ES9+, ES9+.GetBoundProfilePackage, ES3.CreateISDP
//!          records   a party, or one collection of its records: sm-dp, sm-dp:profiles
//!          radio     a network: 262-42; of short messages the direction: mt, mo
//!          power     whose memory, or one cell of it by its beginning: card, card:profile/, device:intention
//! when   = every occasion at that place is counted; left out, each of them; several must all be so:
//!          2         the second          2-4   the second to the fourth     2-    the second and all after it
//!          30%       as the dice say     10s..5m, 10s..   in this time, from when the fault was put in place
//! ```
//!
//! [`catalogue`] is the list of faults, with the requirement that each of them tests; [`FaultSpec`] is one of them at a place;
//! [`FaultInjector`] are those of a run, from which the wrappers round the seams take what is to happen: [`FaultInjector::link`],
//! [`FaultyRecords`], [`FaultyRadio`], [`FaultyMemory`]. Lies need the parties' keys: [`FaultInjector::with_liar`]. A wrapper that finds nothing to do passes everything on.

pub mod catalogue;
mod fault_spec;
mod function;
mod injector;
mod lie;
mod link;
pub mod page;
mod power;
mod radio;
mod records;
mod when;

pub use catalogue::{Entry, Family, FaultId};
pub use fault_spec::{FaultSpec, InvalidFaultSpec, Value};
pub use function::function_of;
pub use injector::{FaultInjector, Struck};
pub use lie::{CardLie, ElementLie, LieAct, M2mLie, MetadataLie, PackageLie, ServerLie, TamperingPeer};
pub use link::LinkAct;
pub use power::{FaultyMemory, Power, PowerAct, PoweredDoor, SwitchedDoor};
pub use radio::{FaultyRadio, RadioAct};
pub use records::{FaultyRecords, ProcessHandle, RecordsAct};
pub use when::When;
