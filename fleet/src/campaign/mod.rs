//! Campaigns: which devices switch to which network's profile (a move), at what rate, and when the
//! campaign stops on its own.

mod progress;
mod spec;
mod turn;
mod window;

use std::{collections::BTreeSet, fmt, str::FromStr};

use rsp::{
    ids::{Eid, Iccid, Plmn},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use world::Collection;

use crate::{check_in::MoveId, device::Selection};

pub(crate) use progress::OpenMove;
pub use progress::{Forgiven, Progress};
pub(crate) use turn::{AttemptResult, Turn};
pub use window::{Weekday, Window};

/// Campaigns by ID.
pub const CAMPAIGNS: Collection<Campaign> = Collection::new("campaigns");
/// Devices of campaigns. The key is the campaign ID and the EID.
pub const MEMBERS: Collection<Member> = Collection::new("campaign-devices");

/// Direction of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the destination of the campaign.
    Forward,
    /// Back to the profile that the device had before the campaign.
    Back,
}

/// The key of a device in [`MEMBERS`].
pub(crate) fn member_key(campaign: &CampaignId, eid: Eid) -> String {
    format!("{campaign}/{eid}")
}

/// The ID of a campaign: lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CampaignId(Box<str>);

rsp::text_schemas! {
    CampaignId: pattern = "^[a-z0-9-]{1,40}$";
}

/// The text is not a campaign ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a campaign name; use at most {MAX_ID} lower-case letters, digits and hyphens")]
pub struct NotACampaignId(String);

/// Maximum length, so that an ID fits into a line of a table.
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

/// The specification of a campaign, as its owner writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignSpec {
    /// The ID.
    pub id: CampaignId,
    /// The destination of the devices.
    pub target: Destination,
    /// The devices.
    #[serde(default)]
    pub devices: Devices,
    /// True for a campaign without end. It includes each device that matches the selection when the
    /// device checks in. Otherwise the devices are those selected when the campaign starts, and the
    /// campaign is done when all of them are.
    #[serde(default)]
    pub standing: bool,
    /// Limits on the rate of moves.
    #[serde(default)]
    pub pace: Pace,
    /// Canary phase, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Conditions under which the campaign stops on its own.
    #[serde(default)]
    pub stop: Stop,
    /// Hours in which moves can begin. Without windows, moves can begin at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// Retry limits.
    #[serde(default)]
    pub retries: Retries,
}

impl CampaignSpec {
    /// Returns a standing campaign that moves every device according to `localize::decide`.
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

/// The destination of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CampaignTarget")]
pub enum Destination {
    /// The destination that rules and strategy choose for each device.
    Decided,
    /// A profile of this network.
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

/// The devices of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Devices {
    /// All devices of a selection.
    Selected(Selection),
    /// Listed devices. The platform stores the listed devices separately and empties the list, so
    /// that the specification of a stored campaign lists none.
    Listed(BTreeSet<Eid>),
}

impl Default for Devices {
    /// Selects all devices.
    fn default() -> Self {
        Self::Selected(Selection::default())
    }
}

/// Limits on the rate of moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Maximum number of moves that begin in a clock hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
    /// Maximum number of moves under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
}

/// The canary phase: a few devices move first. The other devices wait until these have finished and
/// the observation time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Number of canary devices.
    pub devices: Share,
    /// Observation time in hours after the last canary has finished.
    #[serde(default)]
    pub wait_hours: u32,
}

/// A number of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// An absolute number.
    Count(u32),
    /// A percentage of the campaign's devices, rounded up to at least one.
    Percent(u32),
}

impl Share {
    /// Returns the number of devices that this is out of `devices`.
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

/// Conditions under which a campaign stops on its own. Attempts are counted since the
/// campaign was last started or resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// Percentage of failed attempts at which the campaign stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_percent: Option<u32>,
    /// Minimum number of finished attempts before the percentage counts.
    pub after: u32,
    /// Number of lost devices at which the campaign stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u32>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { failed_percent: None, after: 10, lost: None }
    }
}

/// Retry limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// Number of retries after the first attempt.
    pub times: u32,
    /// Hours until the first retry, doubled for each further retry.
    pub after_hours: u32,
    /// Days after the last failed attempt until a standing campaign tries the device again.
    pub rest_days: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { times: 3, after_hours: 1, rest_days: 7 }
    }
}

/// A campaign and its progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// The specification.
    pub spec: CampaignSpec,
    /// The state.
    pub state: State,
    /// Time of creation.
    pub made: Timestamp,
    /// True if the canary phase is over or was not requested.
    pub past_canary: bool,
    /// True as soon as the rollback of the campaign has started.
    #[serde(default)]
    pub goes_back: bool,
    /// Counts of its devices and attempts, derived from its members and their open moves.
    pub progress: Progress,
    /// Number of moves that began in the present clock hour.
    #[serde(default)]
    pub(crate) hour: turn::Hour,
    /// The clock hour to which a device was most recently put off, and the number of its places
    /// that are taken.
    #[serde(default)]
    pub(crate) put_off: turn::Hour,
}

/// The state of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
#[schemars(rename = "CampaignState")]
pub enum State {
    /// Created, but not started.
    Draft,
    /// Only the canary devices move.
    Canary,
    /// All devices move.
    Running,
    /// Paused: no move begins.
    Paused {
        /// Name of the person who paused it.
        by: Box<str>,
        /// Time of the pause.
        since: Timestamp,
    },
    /// Stopped after too many failures: no move begins.
    Stopped {
        /// The condition that stopped it.
        why: Box<str>,
        /// Time of the stop.
        since: Timestamp,
    },
    /// All devices have reached the destination or failed finally.
    Done,
    /// Devices move back to their former profiles.
    RollingBack,
    /// All devices have moved back or failed finally.
    RolledBack,
}

impl State {
    /// The keyword of the state.
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

    /// True if moves can begin.
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

/// The record of a device in a campaign. An open move is not part of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Attempts in a row, which determine the delay before the next retry. The count starts again
    /// when the device has moved or has no retries left.
    pub tries: u32,
    /// The state of the device between two moves.
    pub state: MemberState,
    /// True if the device has begun an attempt.
    pub started: bool,
    /// True if the device was a canary.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// The profile that was enabled before the first attempt. A rollback returns to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_from: Option<Iccid>,
    /// Ended attempts.
    pub ended: AttemptCounts,
    /// End of the latest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ended: Option<Timestamp>,
}

/// Ended attempts of a device by their result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptCounts {
    /// Attempts that reached the destination of the campaign.
    pub moved: u32,
    /// Attempts of the rollback that reached the former profile.
    pub returned: u32,
    /// Attempts that ended on the profile with which they began.
    pub came_back: u32,
    /// Attempts that installed no profile.
    pub not_installed: u32,
    /// Attempts after which the device was unreachable.
    pub lost: u32,
}

impl AttemptCounts {
    fn add(&mut self, result: AttemptResult, direction: Direction) {
        let count = match (result, direction) {
            (AttemptResult::Moved, Direction::Forward) => &mut self.moved,
            (AttemptResult::Moved, Direction::Back) => &mut self.returned,
            (AttemptResult::CameBack, _) => &mut self.came_back,
            (AttemptResult::NotInstalled, _) => &mut self.not_installed,
            (AttemptResult::Lost, _) => &mut self.lost,
        };
        *count = count.saturating_add(1);
    }

    /// Number of ended attempts.
    pub fn sum(self) -> u32 {
        let Self { moved, returned, came_back, not_installed, lost } = self;
        [moved, returned, came_back, not_installed, lost].into_iter().fold(0, u32::saturating_add)
    }
}

/// The state of a device in a campaign between two moves. While a device has an open move, its
/// state is `Waiting`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum MemberState {
    /// Waits for its turn.
    #[default]
    Waiting,
    /// Waits until a given time.
    PutOff {
        /// The time.
        until: Timestamp,
    },
    /// Retries later.
    Again {
        /// The earliest time of the retry.
        after: Timestamp,
        /// The reason of the failure.
        why: Box<str>,
    },
    /// Has reached its destination.
    Moved {
        /// Time of arrival.
        at: Timestamp,
    },
    /// Had nothing to do.
    NothingToDo,
    /// Has no attempts left, or no destination.
    Failed {
        /// Time of the failure.
        at: Timestamp,
        /// The reason of the last failure.
        why: Box<str>,
    },
    /// Is back on its former profile.
    RolledBack {
        /// Time of the return.
        at: Timestamp,
    },
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("waiting for its turn"),
            Self::PutOff { until } => write!(f, "waiting until {until}"),
            Self::Again { after, why } => write!(f, "retry at {after}: {why}"),
            Self::Moved { at } => write!(f, "moved at {at}"),
            Self::NothingToDo => f.write_str("nothing to do"),
            Self::Failed { at, why } => write!(f, "failed at {at}: {why}"),
            Self::RolledBack { at } => write!(f, "rolled back at {at}"),
        }
    }
}

/// The state of a device in a campaign as the API shows it: its open move, or else its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum MemberStatus {
    /// Is moving.
    Moving {
        /// The ID of the move.
        order: MoveId,
    },
    /// Has no open move.
    #[serde(untagged)]
    BetweenMoves(MemberState),
}

impl fmt::Display for MemberStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moving { .. } => f.write_str("moving"),
            Self::BetweenMoves(state) => fmt::Display::fmt(state, f),
        }
    }
}
