//! What a campaign came to.

use std::collections::BTreeMap;

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bounded;

/// A campaign at the end of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Campaign {
    /// Its name.
    pub name: String,
    /// Where its devices were to go, for people.
    pub target: String,
    /// Its state at the end: `running`, `stopped`, `done` and so on.
    pub state: String,
    /// Why it is in that state, where there is something to say.
    pub why: Option<String>,
    /// When it began, if it did.
    #[schemars(with = "Option<String>")]
    pub began: Option<Timestamp>,
    /// When it ended, if it did.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// How many devices it has.
    pub devices: u64,
    /// How many tries had which result: `begun`, `under way`, `moved`, `came back`, `not installed`, `lost`, `rolled back`.
    pub results: BTreeMap<String, u64>,
    /// Who went first, if somebody did.
    pub canaries: Bounded<String, 100>,
    /// Devices that did not move, and why.
    pub failures: Bounded<Failure, 100>,
}

/// A device that a campaign did not move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The device, as the scenario names it.
    pub device: String,
    /// Its result.
    pub result: String,
    /// Why, as the device or the platform says it.
    pub why: String,
}
