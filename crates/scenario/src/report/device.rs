//! A device at the end of a run.

use rsp::ids::{Eid, Iccid, Plmn};
use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bounded;

/// A device at the end of the run, and where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// As the scenario names it, such as `meters-7`.
    pub name: String,
    /// Its card.
    #[schemars(with = "String")]
    pub eid: Eid,
    /// The network that serves it; none when it is nowhere attached.
    #[schemars(with = "Option<String>")]
    pub network: Option<Plmn>,
    /// The enabled profile, by the card itself.
    #[schemars(with = "Option<String>")]
    pub enabled: Option<Iccid>,
    /// How many profiles its card holds.
    pub profiles: u64,
    /// What the platform says of it: `working`, `moving`, `unreachable`, `stuck` or `retired`.
    pub state: String,
    /// How often it moved.
    pub moves: u64,
    /// How often it came back.
    pub came_back: u64,
    /// Where it was, in order.
    pub stays: Bounded<Stay, 40>,
}

/// Where a device was until its next stay, or until the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stay {
    /// Since when.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// The network that served it; none when it was nowhere attached.
    #[schemars(with = "Option<String>")]
    pub network: Option<Plmn>,
    /// Whether the subscriber's home is another country.
    pub roams: bool,
    /// Whether the network is the subscriber's own.
    #[serde(default)]
    pub at_home: bool,
}
