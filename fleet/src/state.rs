//! What a device waits for, and what was done with it.

use std::{fmt, str::FromStr};

use rsp::{ids::Plmn, time::Timestamp};
use serde::{Deserialize, Serialize};

use crate::check_in::Discrepancy;

/// A device, by what it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// For nothing.
    #[default]
    Working,
    /// For the end of a move.
    Moving {
        /// To the profile of this network.
        to: Plmn,
        /// Since when.
        since: Timestamp,
    },
    /// For a sign of life.
    Unreachable {
        /// Since when.
        since: Timestamp,
    },
    /// For somebody who does what it needs.
    Stuck {
        /// Since when.
        since: Timestamp,
        /// What it needs.
        why: Box<str>,
    },
    /// For nothing any more: it is no part of any answer.
    Retired {
        /// Since when.
        since: Timestamp,
    },
}

impl State {
    /// The words of all states.
    pub const WORDS: [&str; 5] = ["working", "moving", "unreachable", "stuck", "retired"];

    /// The state without what belongs to it, as a filter names it.
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
    /// As the CSV file has it: the word, then what belongs to it.
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

/// The text is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of a device")]
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

/// Something that was done with a device, or found out about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happening {
    /// It came into the records.
    Added,
    /// A file said something new about it.
    Changed,
    /// Its owner said something new about it.
    Edited {
        /// What was changed, from what to what.
        change: Box<str>,
    },
    /// A move to a network's profile began.
    MoveBegan {
        /// Whose profile.
        to: Plmn,
    },
    /// There is no profile for it to be had of a network; it gets one of the next.
    PassedOver {
        /// Whose profile there is none of.
        network: Plmn,
        /// Why.
        why: Box<str>,
        /// Whose it gets instead.
        to: Plmn,
    },
    /// It is on the profile that it was to move to.
    Moved,
    /// The move failed, and it is back on a profile that works.
    CameBack {
        /// Why.
        why: Box<str>,
    },
    /// The move failed, and nothing has been heard of it since.
    Lost {
        /// Why.
        why: Box<str>,
    },
    /// It has not been heard of for too long.
    Silent,
    /// It was heard of again.
    Heard,
    /// It needs what nobody has given it yet.
    Stuck {
        /// What it needs.
        why: Box<str>,
    },
    /// It has what it needed.
    Helped,
    /// Somebody went there and repaired it.
    Visited,
    /// It is out of service.
    Retired,
    /// A check-in and the records did not agree.
    Found(Discrepancy),
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str("added"),
            Self::Changed => f.write_str("changed by a file"),
            Self::Edited { change } => write!(f, "edited: {change}"),
            Self::MoveBegan { to } => write!(f, "move to {to} began"),
            Self::PassedOver { network, why, to } => {
                write!(f, "to {to} instead, as {network} gives no profile: {why}")
            }
            Self::Moved => f.write_str("moved"),
            Self::CameBack { why } => write!(f, "came back: {why}"),
            Self::Lost { why } => write!(f, "lost: {why}"),
            Self::Silent => f.write_str("silent"),
            Self::Heard => f.write_str("heard of again"),
            Self::Stuck { why } => write!(f, "stuck: {why}"),
            Self::Helped => f.write_str("no longer stuck"),
            Self::Visited => f.write_str("visited"),
            Self::Retired => f.write_str("retired"),
            Self::Found(discrepancy) => write!(f, "found: {discrepancy}"),
        }
    }
}

/// A line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

/// The last things that happened to a device, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    entries: Vec<Entry>,
    /// How many older ones are no longer there.
    #[serde(default, skip_serializing_if = "is_zero")]
    forgotten: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Trail {
    /// Ten moves with what led to them; the tally keeps counting.
    pub const MAX: usize = 32;

    /// Oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many older ones are no longer there.
    pub fn forgotten(&self) -> u32 {
        self.forgotten
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// What a check-in found, unless it stands here already: some things are found again at each one.
    pub(crate) fn found(&mut self, at: Timestamp, discrepancy: Discrepancy) {
        let happening = Happening::Found(discrepancy);
        let latest = self.entries.iter().rev().take(Self::MAX / 4);
        if latest.into_iter().all(|entry| entry.happening != happening) {
            self.push(at, happening);
        }
    }

    pub(crate) fn push(&mut self, at: Timestamp, happening: Happening) {
        if self.entries.len() >= Self::MAX {
            self.entries.remove(0);
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.entries.push(Entry { at, happening });
    }
}

/// How moves have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// On the profile that was meant.
    pub moved: u32,
    /// Back on one that works.
    pub came_back: u32,
    /// With a device that nobody hears of.
    pub lost: u32,
}

impl Tally {
    /// How many moves have ended.
    pub fn ended(self) -> u32 {
        self.moved.saturating_add(self.came_back).saturating_add(self.lost)
    }
}

/// What is said to have happened cannot have, as the records stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{happening}\" cannot follow on \"{state}\"; read the device's record again and decide anew")]
pub struct NotPossible {
    /// What the device waits for.
    pub state: State,
    /// What is said to have happened.
    pub happening: Happening,
}

/// What a device waits for after something has happened, and the tally of its moves.
pub(crate) fn follow(
    state: &State,
    tally: &mut Tally,
    at: Timestamp,
    happening: &Happening,
) -> Result<State, NotPossible> {
    use Happening as H;
    let one_more = |count: &mut u32| *count = count.saturating_add(1);
    Ok(match (state, happening) {
        (_, H::Added | H::Changed | H::Edited { .. } | H::Found(_)) => state.clone(),
        (State::Retired { .. }, _) => return not_possible(state, happening),
        (_, H::Retired) => State::Retired { since: at },
        (State::Moving { .. }, H::MoveBegan { .. }) => return not_possible(state, happening),
        (_, H::MoveBegan { to }) => State::Moving { to: *to, since: at },
        (State::Moving { since, .. }, H::PassedOver { to, .. }) => State::Moving { to: *to, since: *since },
        // A file may have said meanwhile that it does not move.
        (_, H::PassedOver { .. }) => state.clone(),
        (State::Moving { .. }, H::Moved) => {
            one_more(&mut tally.moved);
            State::Working
        }
        (State::Moving { .. }, H::CameBack { .. }) => {
            one_more(&mut tally.came_back);
            State::Working
        }
        (State::Moving { .. }, H::Lost { .. }) => {
            one_more(&mut tally.lost);
            State::Unreachable { since: at }
        }
        (_, H::Moved | H::CameBack { .. } | H::Lost { .. }) => return not_possible(state, happening),
        (State::Unreachable { .. }, H::Silent) => state.clone(),
        (_, H::Silent) => State::Unreachable { since: at },
        (State::Unreachable { .. }, H::Heard) | (State::Stuck { .. }, H::Helped) | (_, H::Visited) => {
            State::Working
        }
        (_, H::Heard | H::Helped) => state.clone(),
        (_, H::Stuck { why }) => State::Stuck { since: at, why: why.clone() },
    })
}

fn not_possible(state: &State, happening: &Happening) -> Result<State, NotPossible> {
    Err(NotPossible { state: state.clone(), happening: happening.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_prints_as_it_is_read() {
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
    fn a_move_ends_once_and_a_retired_device_moves_no_more() {
        let (at, to) = (Timestamp(0), "724-05".parse().unwrap());
        let mut tally = Tally::default();
        let mut then = |state: &State, happening| follow(state, &mut tally, at, &happening);
        let moving = then(&State::Working, Happening::MoveBegan { to }).unwrap();
        assert!(then(&moving, Happening::MoveBegan { to }).is_err());
        let lost = then(&moving, Happening::Lost { why: "no answer".into() }).unwrap();
        assert_eq!(lost, State::Unreachable { since: at });
        assert_eq!(then(&lost, Happening::Heard).unwrap(), State::Working);
        assert_eq!(then(&moving, Happening::CameBack { why: "#11".into() }).unwrap(), State::Working);
        assert_eq!(then(&moving, Happening::Moved).unwrap(), State::Working);
        assert!(then(&State::Working, Happening::Moved).unwrap_err().to_string().contains("decide anew"));
        assert!(then(&State::Retired { since: at }, Happening::Heard).is_err());
        assert_eq!(tally, Tally { moved: 1, came_back: 1, lost: 1 });
    }

    #[test]
    fn a_trail_has_a_limit_and_says_how_much_it_forgot() {
        let mut trail = Trail::default();
        (0..40).for_each(|n| trail.push(Timestamp(n), Happening::Changed));
        assert_eq!((trail.entries().len(), trail.forgotten()), (Trail::MAX, 8));
        assert_eq!(trail.entries()[0].at, Timestamp(8));
    }
}
