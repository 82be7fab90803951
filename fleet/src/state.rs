//! The state of a device, its audit trail and the tally of its moves.

use std::{fmt, str::FromStr};

use rsp::{ids::Plmn, time::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::Fault;

use crate::check_in::Discrepancy;

/// The state of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
#[schemars(rename = "DeviceState")]
pub enum State {
    /// In service, with nothing to do.
    #[default]
    Working,
    /// Moving to another profile. The store derives this state from the open move of the device and
    /// does not write it.
    Moving {
        /// The network of the new profile.
        to: Plmn,
        /// Start of the move.
        since: Timestamp,
    },
    /// Did not check in for too long, or was lost in a move.
    Unreachable {
        /// Start of this state.
        since: Timestamp,
    },
    /// Needs a move that is impossible at present.
    Stuck {
        /// Start of this state.
        since: Timestamp,
        /// The reason.
        why: Box<str>,
    },
    /// Out of service and excluded from all reports.
    Retired {
        /// Time of retirement.
        since: Timestamp,
    },
}

impl State {
    /// The keywords of all states.
    pub const WORDS: [&str; 5] = ["working", "moving", "unreachable", "stuck", "retired"];

    /// The keyword of the state, as used in filters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Moving { .. } => "moving",
            Self::Unreachable { .. } => "unreachable",
            Self::Stuck { .. } => "stuck",
            Self::Retired { .. } => "retired",
        }
    }
}

impl fmt::Display for State {
    /// Writes the state as in the CSV file: the keyword and its parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Working => Ok(()),
            Self::Moving { to, since } => write!(f, " {to} {since}"),
            Self::Unreachable { since } | Self::Retired { since } => write!(f, " {since}"),
            Self::Stuck { since, why } => write!(f, " {since} {why}"),
        }
    }
}

/// The text is not a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a state of a device")]
pub struct NotAState(String);

impl FromStr for State {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        let parse = || -> Option<Self> {
            let mut parts = text.splitn(3, ' ');
            let (word, second, third) = (parts.next()?, parts.next(), parts.next());
            let time = |text: Option<&str>| text?.parse::<Timestamp>().ok();
            match (word, third) {
                ("working", None) if second.is_none() => Some(Self::Working),
                ("unreachable", None) => Some(Self::Unreachable { since: time(second)? }),
                ("retired", None) => Some(Self::Retired { since: time(second)? }),
                ("stuck", Some(why)) => Some(Self::Stuck { since: time(second)?, why: why.into() }),
                ("moving", Some(_)) => Some(Self::Moving { to: second?.parse().ok()?, since: time(third)? }),
                _ => None,
            }
        };
        parse().ok_or_else(|| NotAState(text.to_owned()))
    }
}

/// An event of a device, as its audit trail records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum DeviceEvent {
    /// The device was added to the records.
    Added,
    /// A CSV file changed the device.
    Changed,
    /// The owner edited the device.
    Edited {
        /// The changed fields, with old and new values.
        change: Box<str>,
    },
    /// A move began.
    MoveBegan {
        /// The network of the new profile.
        to: Plmn,
    },
    /// An operator refused the profile order, and the move continues with the next offer.
    PassedOver {
        /// The network of the operator that refused.
        network: Plmn,
        /// The reason.
        why: Box<str>,
        /// The network of the next offer.
        to: Plmn,
    },
    /// The device is on the new profile.
    Moved,
    /// The move failed, and the device is back on a working profile.
    CameBack {
        /// The reason.
        why: Box<str>,
    },
    /// The move failed, and no profile was installed.
    NotInstalled {
        /// The reason.
        why: Box<str>,
    },
    /// The move failed, and the device has not checked in since.
    Lost {
        /// The reason.
        why: Box<str>,
    },
    /// The device has not checked in for too long.
    Silent,
    /// The device checked in again.
    Heard,
    /// The device needs a move that is impossible at present.
    Stuck {
        /// The reason.
        why: Box<str>,
    },
    /// The device is no longer stuck.
    Helped,
    /// A technician visited and repaired the device.
    Visited,
    /// The device was taken out of service.
    Retired,
    /// A check-in differed from the records.
    Found(Discrepancy),
}

impl fmt::Display for DeviceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str("added"),
            Self::Changed => f.write_str("changed by a file"),
            Self::Edited { change } => write!(f, "edited: {change}"),
            Self::MoveBegan { to } => write!(f, "move to {to} began"),
            Self::PassedOver { network, why, to } => {
                write!(f, "move to {to} instead, because {network} supplies no profile: {why}")
            }
            Self::Moved => f.write_str("moved"),
            Self::CameBack { why } => write!(f, "came back: {why}"),
            Self::NotInstalled { why } => write!(f, "not installed: {why}"),
            Self::Lost { why } => write!(f, "lost: {why}"),
            Self::Silent => f.write_str("silent"),
            Self::Heard => f.write_str("checked in again"),
            Self::Stuck { why } => write!(f, "stuck: {why}"),
            Self::Helped => f.write_str("no longer stuck"),
            Self::Visited => f.write_str("visited"),
            Self::Retired => f.write_str("retired"),
            Self::Found(discrepancy) => write!(f, "found: {discrepancy}"),
        }
    }
}

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrailEntry {
    /// Time of the event.
    pub at: Timestamp,
    /// The event.
    #[serde(flatten)]
    pub event: DeviceEvent,
}

/// The audit trail of a device: its latest events, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trail {
    /// The entries.
    entries: Vec<TrailEntry>,
    /// Number of older entries that were dropped.
    #[serde(default, skip_serializing_if = "is_zero")]
    forgotten: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Trail {
    /// Maximum number of entries: enough for ten moves. The tally counts all moves.
    pub const MAX: usize = 32;

    /// The entries, oldest first.
    pub fn entries(&self) -> &[TrailEntry] {
        &self.entries
    }

    /// Number of older entries that were dropped.
    pub fn forgotten(&self) -> u32 {
        self.forgotten
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Adds a discrepancy, unless one of the latest entries records the same discrepancy, because
    /// some recur at each check-in.
    pub(crate) fn found(&mut self, at: Timestamp, discrepancy: Discrepancy) {
        let event = DeviceEvent::Found(discrepancy);
        let latest = self.entries.iter().rev().take(Self::MAX / 4);
        if latest.into_iter().all(|entry| entry.event != event) {
            self.push(at, event);
        }
    }

    pub(crate) fn push(&mut self, at: Timestamp, event: DeviceEvent) {
        if self.entries.len() >= Self::MAX {
            self.entries.remove(0);
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.entries.push(TrailEntry { at, event });
    }
}

/// Results of the moves of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Number of moves that ended on the new profile.
    pub moved: u32,
    /// Number of moves that ended on the former profile.
    pub came_back: u32,
    /// Number of moves for which no profile was installed.
    #[serde(default)]
    pub not_installed: u32,
    /// Number of moves after which the device was unreachable.
    pub lost: u32,
}

impl Tally {
    /// Number of moves that have ended.
    pub fn ended(self) -> u32 {
        self.moved.saturating_add(self.came_back).saturating_add(self.not_installed).saturating_add(self.lost)
    }
}

/// The event is impossible in this state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event \"{event}\" is impossible in the state \"{state}\"; read the device's record again and retry"
)]
pub struct NotPossible {
    /// The state of the device.
    pub state: State,
    /// The event.
    pub event: DeviceEvent,
}

impl From<NotPossible> for Fault {
    fn from(error: NotPossible) -> Self {
        Self::caused_by(error, "cannot record an event of a device", "report this as a bug")
    }
}

/// Returns the state of a device after an event, and updates the tally of its moves.
pub(crate) fn follow(
    state: &State,
    tally: &mut Tally,
    at: Timestamp,
    event: &DeviceEvent,
) -> Result<State, NotPossible> {
    use DeviceEvent as H;
    let one_more = |count: &mut u32| *count = count.saturating_add(1);
    Ok(match (state, event) {
        (_, H::Added | H::Changed | H::Edited { .. } | H::Found(_)) => state.clone(),
        (State::Retired { .. }, _) => return not_possible(state, event),
        (_, H::Retired) => State::Retired { since: at },
        (State::Moving { .. }, H::MoveBegan { .. }) => return not_possible(state, event),
        (_, H::MoveBegan { to }) => State::Moving { to: *to, since: at },
        (State::Moving { since, .. }, H::PassedOver { to, .. }) => State::Moving { to: *to, since: *since },
        (_, H::PassedOver { .. }) => return not_possible(state, event),
        (State::Moving { .. }, H::Moved) => {
            one_more(&mut tally.moved);
            State::Working
        }
        (State::Moving { .. }, H::CameBack { .. }) => {
            one_more(&mut tally.came_back);
            State::Working
        }
        (State::Moving { .. }, H::NotInstalled { .. }) => {
            one_more(&mut tally.not_installed);
            State::Working
        }
        (State::Moving { .. }, H::Lost { .. }) => {
            one_more(&mut tally.lost);
            State::Unreachable { since: at }
        }
        (_, H::Moved | H::CameBack { .. } | H::NotInstalled { .. } | H::Lost { .. }) => {
            return not_possible(state, event);
        }
        (State::Unreachable { .. }, H::Silent) => state.clone(),
        (_, H::Silent) => State::Unreachable { since: at },
        (State::Unreachable { .. }, H::Heard) | (State::Stuck { .. }, H::Helped) | (_, H::Visited) => {
            State::Working
        }
        (_, H::Heard | H::Helped) => state.clone(),
        (_, H::Stuck { why }) => State::Stuck { since: at, why: why.clone() },
    })
}

fn not_possible(state: &State, event: &DeviceEvent) -> Result<State, NotPossible> {
    Err(NotPossible { state: state.clone(), event: event.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_formatting_and_parsing() {
        for text in [
            "working",
            "moving 724-05 2026-11-21T08:00:00Z",
            "unreachable 2026-11-21T08:00:00Z",
            "stuck 2026-11-21T08:00:00Z no offer of an operator",
            "retired 2026-11-21T08:00:00Z",
        ] {
            assert_eq!(text.parse::<State>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "idle",
            "working 1",
            "moving 724-05",
            "unreachable",
            "retired yesterday",
            "stuck 2026-11-21T08:00:00Z",
        ] {
            assert!(text.parse::<State>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_move_ends_once_and_a_retired_device_does_not_move() {
        let (at, to) = (Timestamp(0), "724-05".parse().unwrap());
        let mut tally = Tally::default();
        let mut then = |state: &State, event| follow(state, &mut tally, at, &event);
        let moving = then(&State::Working, DeviceEvent::MoveBegan { to }).unwrap();
        assert!(then(&moving, DeviceEvent::MoveBegan { to }).is_err());
        let lost = then(&moving, DeviceEvent::Lost { why: "no answer".into() }).unwrap();
        assert_eq!(lost, State::Unreachable { since: at });
        assert_eq!(then(&lost, DeviceEvent::Heard).unwrap(), State::Working);
        assert_eq!(then(&moving, DeviceEvent::CameBack { why: "#11".into() }).unwrap(), State::Working);
        assert_eq!(then(&moving, DeviceEvent::Moved).unwrap(), State::Working);
        assert!(
            then(&State::Working, DeviceEvent::Moved)
                .unwrap_err()
                .to_string()
                .contains("is impossible in the state")
        );
        assert!(then(&State::Retired { since: at }, DeviceEvent::Heard).is_err());
        assert_eq!(
            then(&moving, DeviceEvent::NotInstalled { why: "8.2/3.7".into() }).unwrap(),
            State::Working
        );
        assert_eq!(tally, Tally { moved: 1, came_back: 1, not_installed: 1, lost: 1 });
    }

    #[test]
    fn a_trail_is_limited_and_counts_dropped_entries() {
        let mut trail = Trail::default();
        (0..40).for_each(|n| trail.push(Timestamp(n), DeviceEvent::Changed));
        assert_eq!((trail.entries().len(), trail.forgotten()), (Trail::MAX, 8));
        assert_eq!(trail.entries()[0].at, Timestamp(8));
        let stored = serde_json::to_string(&trail).unwrap();
        assert_eq!(serde_json::from_str::<Trail>(&stored).unwrap(), trail);
    }

    #[test]
    fn a_recurring_discrepancy_is_recorded_again_after_eight_other_events() {
        let mut trail = Trail::default();
        for (others, recorded) in [(0, 1), (0, 1), (7, 1), (1, 2), (8, 3)] {
            (0..others).for_each(|_| trail.push(Timestamp(0), DeviceEvent::Changed));
            trail.found(Timestamp(0), Discrepancy::TooLong);
            let is_found = |entry: &&TrailEntry| matches!(entry.event, DeviceEvent::Found(_));
            assert_eq!(trail.entries().iter().filter(is_found).count(), recorded, "{trail:?}");
        }
    }
}
