//! The device's profiles, and the profiles that can be ordered for it.

use rsp::ids::Plmn;
use std::{collections::BTreeSet, fmt};

use rsp::{ids::Iccid, time::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    counts::FleetCounts,
    day::Day,
    history::{History, Runs, Stay},
    needs::Needs,
    network::{Country, Place},
    permit::Permit,
    rules::Rule,
    strategy::Strategy,
};

/// The purpose of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Connects a device to any network, and serves as the fallback.
    Bootstrap,
    /// Transports the device's traffic, at home and abroad.
    Operational,
    /// Transports the device's traffic in the home country of the profile only.
    Local,
}

/// State of a profile on the card (SGP.22 ProfileState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldState {
    /// Enabled.
    Enabled,
    /// Disabled.
    Disabled,
}

/// A profile on the device's card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldProfile {
    /// The ICCID.
    pub iccid: Iccid,
    /// The home network of its subscription.
    pub home: Place,
    /// Its purpose.
    pub role: Role,
    /// Its state.
    pub state: HeldState,
}

/// An identity of a multi-IMSI applet: another operator's subscription within an installed profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The home network of the identity.
    pub operator: Place,
}

/// An operator's profile type, as in ES2+.DownloadOrder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ProfileType(pub String);

/// An order: one particular profile, or any profile of a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Orderable {
    /// This profile.
    Iccid(Iccid),
    /// Any profile of this type.
    ProfileType(ProfileType),
}

/// A profile that can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// The content of the order.
    pub order: Orderable,
    /// The operator's network and its country.
    pub operator: Place,
    /// Lower numbers are tried first.
    pub priority: u32,
}

/// A registration reject. The operator is not tried again for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The home network of the refused profile.
    pub operator: Plmn,
    /// The time of the reject.
    pub at: Timestamp,
    /// The cause in words, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<str>>,
}

/// The facts about a device that a decision needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Connection")]
pub struct Device {
    /// Its stays.
    pub history: History,
    /// Stays of other cards in the equipment of this device. Rules that count by IMEI add those
    /// with the IMEI of the present stay. Whoever keeps the records of the cards fills this in
    /// before a decision; it is not stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_cards: Vec<Stay>,
    /// The profiles on its card.
    pub held: Vec<HeldProfile>,
    /// The identities of its card's applet, if it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Identity>,
    /// Its requirements.
    #[serde(default)]
    pub needs: Needs,
    /// Countries in which its IMEI is registered.
    #[serde(default)]
    pub imei_registered_in: BTreeSet<Country>,
    /// Further facts that fulfil requirements of rules.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub permits: BTreeSet<Permit>,
    /// The day on which the present owner got the device, if the owner has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_since: Option<Day>,
    /// The day on which a swap of the profile was requested; absent if none is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_requested: Option<Day>,
    /// Local operators that refused the device.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

impl Device {
    /// The days that the rule adds to those of the present stay, which it must cover.
    pub(crate) fn days_under(&self, rule: &Rule, present: &Stay, now: Timestamp) -> Runs {
        let others = self.other_cards.iter().filter(|stay| rule.adds_up_with_other_card(stay, present));
        let stays = self.history.stays().iter().filter(|stay| rule.adds_up(stay, present)).chain(others);
        Runs::of_stays(stays.filter(|stay| rule.covers(stay)), now)
    }

    /// True if the device is at home where it is attached.
    ///
    /// The history names the subscription with which the device is attached. A profile that was
    /// enabled since then and is at home here counts as well, because the device is about to use
    /// it, unless the device is attached with another identity of that profile.
    pub(crate) fn is_at_home(&self, present: &Stay) -> bool {
        let is_local =
            |held: &HeldProfile| held.state == HeldState::Enabled && held.home.country == present.country;
        let is_identity = |identity: &Identity| Some(identity.operator.plmn) == present.home_network;
        !present.is_roaming() || self.held.iter().any(is_local) && !self.identities.iter().any(is_identity)
    }
}

/// The owner's policy for decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The device moves this number of days before a rule is broken.
    pub lead_time_days: u32,
    /// An operator that refused the device is not tried for this number of days.
    pub retry_after_days: u32,
    /// Number of the owner's devices; some rules apply to large customers only.
    pub devices: u32,
    /// Countries in which the owner is present and registered.
    pub registered_in: BTreeSet<Country>,
    /// Facts that fulfil requirements of rules for all devices of the owner.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub permits: BTreeSet<Permit>,
    /// The preferred connection of devices in each region.
    #[serde(skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// Figures of the fleet, for rules and strategies about many devices.
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
            permits: BTreeSet::new(),
            strategy: Strategy::default(),
            counts: FleetCounts::default(),
        }
    }
}

/// The destination of a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Enable a profile that is already on the card.
    Held(HeldProfile),
    /// Use an identity of the card's applet.
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
