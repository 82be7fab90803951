//! A device at the end of a run.

use rsp::ids::{Eid, Iccid, Plmn};
use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bounded;

/// A device at the end of the run, with its stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// The name in the scenario, such as `meters-7`.
    pub name: String,
    /// The EID of its card.
    #[schemars(with = "String")]
    pub eid: Eid,
    /// The network that serves it. Absent if the device is not attached.
    #[schemars(with = "Option<String>")]
    pub network: Option<Plmn>,
    /// The enabled profile according to the card.
    #[schemars(with = "Option<String>")]
    pub enabled: Option<Iccid>,
    /// The number of profiles on its card.
    pub profiles: u64,
    /// The state at the platform: `working`, `moving`, `unreachable`, `stuck` or `retired`.
    pub state: String,
    /// The number of successful moves.
    pub moves: u64,
    /// The number of moves that ended on the previous profile.
    pub came_back: u64,
    /// Its stays in chronological order.
    pub stays: Bounded<Stay, 40>,
}

/// A stay of a device, which lasts until the next stay or the end of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stay {
    /// The start of the stay.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// The network that served it. Absent if the device was not attached.
    #[schemars(with = "Option<String>")]
    pub network: Option<Plmn>,
    /// True if the home network of the subscription is in another country.
    pub roams: bool,
    /// True if the network is the home network of the subscription.
    #[serde(default)]
    pub at_home: bool,
}
