//! Campaigns: which devices move where, how many at a time, and when they stop by themselves.

mod spec;
mod turn;
mod window;

use std::{collections::BTreeSet, fmt, str::FromStr};

use rsp::{
    ids::{Eid, Iccid, Plmn},
    time::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize};
use world::Collection;

use crate::{check_in::OrderId, device::Selection};

pub(crate) use turn::{Try, Turn};
pub use window::{Weekday, Window};

/// Campaigns by name.
pub const CAMPAIGNS: Collection<Campaign> = Collection::new("campaigns");
/// What became of a campaign's devices: the key is the campaign's name and the EID.
pub const MEMBERS: Collection<Member> = Collection::new("campaign-devices");

/// The key of a device in a campaign.
pub(crate) fn member_key(campaign: &CampaignId, eid: Eid) -> String {
    format!("{campaign}/{eid}")
}

/// The name of a campaign: lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CampaignId(Box<str>);

/// The text is no name of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a campaign; write lower-case letters, digits and hyphens, {MAX_ID} at most")]
pub struct NotACampaignId(String);

/// Fits into a line of a table.
const MAX_ID: usize = 40;

impl FromStr for CampaignId {
    type Err = NotACampaignId;

    fn from_str(text: &str) -> Result<Self, NotACampaignId> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        match (1..=MAX_ID).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(Self(text.into())),
            false => Err(NotACampaignId(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for CampaignId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the owner wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What it is called.
    pub id: CampaignId,
    /// Where devices go.
    pub target: Destination,
    /// Which devices.
    #[serde(default)]
    pub devices: Devices,
    /// Without end: a device is one of them whenever it is selected. Otherwise those are that are selected when the
    /// campaign starts, and it is done when each of them is.
    #[serde(default)]
    pub standing: bool,
    /// How many begin, and how many are under way.
    #[serde(default)]
    pub pace: Pace,
    /// Who goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// When it stops by itself.
    #[serde(default)]
    pub stop: Stop,
    /// When moves may begin; always if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// How often a device tries.
    #[serde(default)]
    pub retries: Retries,
}

impl Spec {
    /// A campaign without end that moves every device where `localize::decide` says.
    pub fn decided(id: CampaignId) -> Self {
        Self {
            id,
            target: Destination::Decided,
            devices: Devices::default(),
            standing: true,
            pace: Pace::default(),
            canary: None,
            stop: Stop::default(),
            windows: Vec::new(),
            retries: Retries::default(),
        }
    }
}

/// Where a campaign's devices go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Where rules and strategy send each: `localize::decide`.
    Decided,
    /// To a profile of this network.
    Network(Plmn),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided => f.write_str("decided"),
            Self::Network(network) => fmt::Display::fmt(network, f),
        }
    }
}

/// Which devices a campaign is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Devices {
    /// Those that are selected.
    Selected(Selection),
    /// These. Whoever reads what is wanted of a campaign reads it at each check-in, so a campaign that is made has them as
    /// [`MEMBERS`] and lists nobody any more.
    Listed(BTreeSet<Eid>),
}

impl Default for Devices {
    /// All of them.
    fn default() -> Self {
        Self::Selected(Selection::default())
    }
}

/// How many moves there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// So many begin in a clock hour at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
    /// So many are under way at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
}

/// Who goes first: the others wait until so many have ended, and some time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// How many.
    pub devices: Share,
    /// How long to watch them after the last of them has ended.
    #[serde(default)]
    pub wait_hours: u32,
}

/// A number of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// As such.
    Count(u32),
    /// As a part of the campaign's devices, at least one.
    Percent(u32),
}

impl Share {
    /// Of so many devices, how many.
    pub fn of(self, devices: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let share = u64::from(devices).saturating_mul(u64::from(percent)).div_ceil(100);
                u32::try_from(share).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}

/// When a campaign stops by itself: tries are counted since it was last started or resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// From so many percent of failed tries on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_percent: Option<u32>,
    /// That share is looked at after so many tries have ended.
    pub after: u32,
    /// From so many devices on that nobody hears of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u32>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { failed_percent: None, after: 10, lost: None }
    }
}

/// How often a device tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// So many times again after the first.
    pub times: u32,
    /// So long after a try that failed; twice as long after each further one.
    pub after_hours: u32,
    /// A standing campaign begins anew with a device so long after its last try.
    pub rest_days: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { times: 3, after_hours: 1, rest_days: 7 }
    }
}

/// A campaign as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// What the owner wants.
    pub spec: Spec,
    /// What it does.
    pub state: State,
    /// When it was made.
    pub made: Timestamp,
    /// Whether the canaries are through, or there are none.
    pub past_canary: bool,
    /// Whether devices go back to where they came from.
    #[serde(default)]
    pub goes_back: bool,
    /// How its devices and their tries have ended.
    pub progress: Progress,
    /// How many have begun in this hour.
    #[serde(default)]
    pub(crate) hour: turn::Hour,
    /// To which hour the last device was put off.
    #[serde(default)]
    pub(crate) put_off: turn::Hour,
}

/// What a campaign does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// Nothing yet.
    Draft,
    /// Only the first devices move.
    Canary,
    /// Devices move.
    Running,
    /// No move begins, because somebody said so.
    Paused {
        /// Who.
        by: Box<str>,
        /// Since when.
        since: Timestamp,
    },
    /// No move begins, because too many failed.
    Stopped {
        /// What made it stop.
        why: Box<str>,
        /// Since when.
        since: Timestamp,
    },
    /// Each of its devices is where it was to go, or failed for good.
    Done,
    /// Devices go back to where they came from.
    RollingBack,
    /// They did.
    RolledBack,
}

impl State {
    /// The state without what belongs to it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Canary => "canary",
            Self::Running => "running",
            Self::Paused { .. } => "paused",
            Self::Stopped { .. } => "stopped",
            Self::Done => "done",
            Self::RollingBack => "rolling back",
            Self::RolledBack => "rolled back",
        }
    }

    /// Whether moves begin.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Canary | Self::Running | Self::RollingBack)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Paused { by, since } => write!(f, " by {by} since {since}"),
            Self::Stopped { why, since } => write!(f, " since {since}: {why}"),
            _ => Ok(()),
        }
    }
}

/// How a campaign's devices and their tries have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// How many devices it has; of a standing one, how many it has had to do with.
    pub devices: u32,
    /// Tries that began.
    pub begun: u32,
    /// Tries that are under way.
    pub under_way: u32,
    /// Tries that ended well.
    pub moved: u32,
    /// Tries that ended on the former profile.
    pub came_back: u32,
    /// Tries that brought no profile onto the card.
    pub not_installed: u32,
    /// Tries after which nobody heard of the device.
    pub lost: u32,
    /// Devices that have begun.
    pub started: u32,
    /// Those of them for which there is nothing more to do.
    pub settled: u32,
    /// All devices for which there is nothing more to do.
    pub finished: u32,
    /// Devices that were brought back.
    pub rolled_back: u32,
    /// Devices that are still to be brought back.
    pub to_roll_back: u32,
    /// When a try ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ended: Option<Timestamp>,
    /// Tries and failures that the stop condition does not count, as it was resumed after them.
    pub forgiven: Forgiven,
}

/// What had ended when a campaign was last resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgiven {
    /// Tries.
    pub ended: u32,
    /// Tries that failed.
    pub failed: u32,
    /// Devices that were lost.
    pub lost: u32,
}

impl Progress {
    /// Tries that ended.
    pub fn ended(&self) -> u32 {
        self.moved.saturating_add(self.failed())
    }

    /// Tries that ended badly.
    pub fn failed(&self) -> u32 {
        self.came_back.saturating_add(self.not_installed).saturating_add(self.lost)
    }
}

/// A device in a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Tries that have begun since it was last where it should be.
    pub tries: u32,
    /// Where it stands.
    pub state: MemberState,
    /// Whether it has ever begun.
    #[serde(default)]
    pub started: bool,
    /// Whether it was one of the canaries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// The profile that it had in use before its first move, to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_from: Option<Iccid>,
    /// What was ordered for a try that failed, if its SM-DP+ still has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left_over: Option<OrderId>,
}

/// Where a device stands in a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum MemberState {
    /// It has not had its turn.
    #[default]
    Waiting,
    /// It has its turn then, and not before.
    PutOff {
        /// When.
        until: Timestamp,
    },
    /// It is on its way.
    Moving {
        /// By which move.
        order: OrderId,
    },
    /// It is to try again.
    Again {
        /// Not before.
        after: Timestamp,
        /// What went wrong.
        why: Box<str>,
    },
    /// It is where it was to go.
    Moved {
        /// Since when.
        at: Timestamp,
    },
    /// There was nothing to do.
    NothingToDo,
    /// It has tried as often as it may, or there is nowhere to go.
    Failed {
        /// Since when.
        at: Timestamp,
        /// What went wrong last.
        why: Box<str>,
    },
    /// It is back where it was before.
    RolledBack {
        /// Since when.
        at: Timestamp,
    },
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("waits for its turn"),
            Self::PutOff { until } => write!(f, "has its turn at {until}"),
            Self::Moving { .. } => f.write_str("is on its way"),
            Self::Again { after, why } => write!(f, "tries again at {after}: {why}"),
            Self::Moved { at } => write!(f, "moved at {at}"),
            Self::NothingToDo => f.write_str("had nothing to do"),
            Self::Failed { at, why } => write!(f, "failed at {at}: {why}"),
            Self::RolledBack { at } => write!(f, "back since {at}"),
        }
    }
}

impl MemberState {
    /// Whether there is nothing more to do.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Moved { .. } | Self::NothingToDo | Self::Failed { .. } | Self::RolledBack { .. })
    }
}
