//! The device's requirements on its connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Effect of a device that is unreachable.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// Low: nobody notices the outage for days, as with a washing machine.
    Low,
    /// Normal: data arrives late, as with a meter.
    #[default]
    Normal,
    /// High: an activity stops, as with a payment terminal or a drone.
    High,
}

/// Amount of data that the device sends.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Bandwidth {
    /// Kilobytes a day.
    #[default]
    Low,
    /// Megabytes a day.
    Medium,
    /// Video and similar.
    High,
}

/// Acceptable response time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Seconds or longer.
    #[default]
    Relaxed,
    /// At most a second.
    Interactive,
    /// At most a tenth of a second; home-routed roaming traffic is too slow.
    Tight,
}

/// The device's requirements on its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Needs {
    /// Effect of a device that is unreachable.
    pub criticality: Criticality,
    /// Amount of data that it sends.
    pub bandwidth: Bandwidth,
    /// Acceptable response time.
    pub latency: Latency,
}
