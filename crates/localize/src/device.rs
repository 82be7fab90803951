//! What a device holds and needs, and what could be ordered for it.

use rsp::ids::Plmn;
use std::{collections::BTreeSet, fmt};

use rsp::{ids::Iccid, time::Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    counts::FleetCounts,
    history::History,
    network::{Country, Place},
    strategy::Strategy,
};

/// What a profile is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Gets a device onto any network; the way back.
    Bootstrap,
    /// Carries the device's traffic, here or abroad.
    Operational,
    /// Carries the device's traffic in its home country only.
    Local,
}

/// Whether a profile on the card is in use (SGP.22 ProfileState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldState {
    /// In use.
    Enabled,
    /// On the card, not in use.
    Disabled,
}

/// A profile on the device's card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldProfile {
    /// Its number.
    pub iccid: Iccid,
    /// The home network of its subscription.
    pub home: Place,
    /// What it is for.
    pub role: Role,
    /// Whether it is in use.
    pub state: HeldState,
}

/// An identity of a multi-IMSI applet: another operator's subscription behind a profile that is on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The home network of the identity.
    pub operator: Place,
}

/// A profile type of an operator, as ES2+.DownloadOrder names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProfileType(pub String);

/// What to order: one particular profile, or any of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orderable {
    /// This profile.
    Iccid(Iccid),
    /// Any profile of this type.
    ProfileType(ProfileType),
}

/// A profile that could be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What to order.
    pub order: Orderable,
    /// The operator's network and its country.
    pub operator: Place,
    /// 1 is tried before 2.
    pub priority: u32,
}

/// What it means when the device is out of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// A washing machine: nobody notices for days.
    Low,
    /// A meter: data is late.
    #[default]
    Normal,
    /// A payment terminal, a drone: something stops.
    High,
}

/// How much the device sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bandwidth {
    /// Kilobytes a day.
    #[default]
    Low,
    /// Megabytes a day.
    Medium,
    /// Video and the like.
    High,
}

/// How long the device can wait for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Seconds and more.
    #[default]
    Relaxed,
    /// A second at most.
    Interactive,
    /// A tenth of a second at most; traffic taken home abroad is too slow.
    Tight,
}

/// What a device needs of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// What it means when the device is out of reach.
    pub criticality: Criticality,
    /// How much it sends.
    pub bandwidth: Bandwidth,
    /// How long it can wait.
    pub latency: Latency,
}

/// A network refused the device: its operator is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The home network of the profile that was refused.
    pub operator: Plmn,
    /// When.
    pub at: Timestamp,
}

/// All that a decision needs to know about a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Where it has been.
    pub history: History,
    /// What its card holds.
    pub held: Vec<HeldProfile>,
    /// What the applet of its card can put on, if it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Identity>,
    /// What it needs.
    #[serde(default)]
    pub needs: Needs,
    /// Where its IMEI is registered.
    #[serde(default)]
    pub imei_registered_in: BTreeSet<Country>,
    /// Local operators that did not take it.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// How the owner wants decisions made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How many days before a rule is broken the device moves.
    pub lead_time_days: u32,
    /// How many days an operator that refused the device is left alone.
    pub retry_after_days: u32,
    /// How many devices the owner runs; some rules hold for large customers only.
    pub devices: u32,
    /// Where the owner is present and registered.
    pub registered_in: BTreeSet<Country>,
    /// By what devices are to be connected, region by region.
    #[serde(skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// What the fleet comes to, for rules and strategies that are about many devices.
    #[serde(skip_serializing_if = "is_default")]
    pub counts: FleetCounts,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            lead_time_days: 7,
            retry_after_days: 7,
            devices: 1,
            registered_in: BTreeSet::new(),
            strategy: Strategy::default(),
            counts: FleetCounts::default(),
        }
    }
}

/// Where a device should go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Enable a profile that the card holds already.
    Held(HeldProfile),
    /// Put on an identity that an applet of the card has.
    Identity(Identity),
    /// Order, download and enable a profile.
    Offer(Offer),
}

impl Destination {
    /// The home network of the profile.
    pub fn operator(&self) -> Place {
        match self {
            Self::Held(held) => held.home,
            Self::Identity(identity) => identity.operator,
            Self::Offer(offer) => offer.operator,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(held) => {
                write!(f, "profile {} of network {}, already on the card", held.iccid, held.home.plmn)
            }
            Self::Identity(Identity { operator }) => {
                write!(f, "the identity of network {} in the card's applet", operator.plmn)
            }
            Self::Offer(Offer { order: Orderable::Iccid(iccid), operator, .. }) => {
                write!(f, "profile {iccid} of network {}, to be ordered", operator.plmn)
            }
            Self::Offer(Offer { order: Orderable::ProfileType(ProfileType(name)), operator, .. }) => {
                write!(f, "a profile of type {name:?} of network {}, to be ordered", operator.plmn)
            }
        }
    }
}
