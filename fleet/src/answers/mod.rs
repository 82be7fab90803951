//! Reports about a fleet. Each is a pure function of an [`EvaluatedFleet`](crate::EvaluatedFleet),
//! and each result serializes.

mod breaches;
mod effort;
mod markets;
mod recovery;
mod residents;
mod rules_update;
mod what_if;

pub use breaches::{Breach, breaches};
pub use effort::{Effort, Moving, Pace, effort, who_must_move};
pub use markets::{Market, markets};
pub use recovery::{Basis, Chances, Recovery, RecoveryRow, recovery};
pub use residents::{Residence, Resident, residents};
pub use rules_update::{RulesUpdate, rules_update};
pub use what_if::{Affected, Change, Verdict, WhatIf, carrier_ends, what_if};
