//! What goes wrong in a service centre, by name.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault, and how often it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SmsFault {
    /// What happens.
    pub kind: SmsFaultKind,
    /// To messages in which direction.
    pub direction: Direction,
    /// To so many messages, and then no more.
    pub times: u32,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsFaultKind {
    /// `lose`: it is taken, and nobody hears of it again.
    Lose,
    /// `delay=SECONDS`: it comes later.
    Delay(Duration),
    /// `double`: it comes twice.
    Double,
    /// `lose-answer`: it comes, and that it did is not heard.
    LoseAnswer,
}

/// Towards a device or from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `mt`: mobile terminated.
    ToDevice,
    /// `mo`: mobile originated.
    FromDevice,
}

/// Not the name of a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no fault; say KIND:DIRECTION or KIND:DIRECTION:TIMES, with lose, delay=SECONDS, double or lose-answer, and mt or mo, such as lose:mt:2"
)]
pub struct NoSuchFault(String);

impl FromStr for SmsFault {
    type Err = NoSuchFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NoSuchFault(text.to_owned());
        let mut parts = text.split(':');
        let kind = match parts.next().map(|kind| kind.split_once('=').unwrap_or((kind, ""))) {
            Some(("lose", "")) => SmsFaultKind::Lose,
            Some(("double", "")) => SmsFaultKind::Double,
            Some(("lose-answer", "")) => SmsFaultKind::LoseAnswer,
            Some(("delay", seconds)) => {
                SmsFaultKind::Delay(Duration::from_secs(seconds.parse().map_err(|_| bad())?))
            }
            _ => return Err(bad()),
        };
        let direction = match parts.next() {
            Some("mt") => Direction::ToDevice,
            Some("mo") if kind != SmsFaultKind::LoseAnswer => Direction::FromDevice,
            _ => return Err(bad()),
        };
        let times = parts.next().map_or(Ok(1), |times| times.parse().map_err(|_| bad()))?;
        if parts.next().is_some() || times == 0 {
            return Err(bad());
        }
        Ok(Self { kind, direction, times })
    }
}

impl fmt::Display for SmsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SmsFaultKind::Lose => f.write_str("lose"),
            SmsFaultKind::Delay(by) => write!(f, "delay={}", by.as_secs()),
            SmsFaultKind::Double => f.write_str("double"),
            SmsFaultKind::LoseAnswer => f.write_str("lose-answer"),
        }?;
        let direction = match self.direction {
            Direction::ToDevice => "mt",
            Direction::FromDevice => "mo",
        };
        write!(f, ":{direction}:{}", self.times)
    }
}

impl From<SmsFault> for String {
    fn from(fault: SmsFault) -> Self {
        fault.to_string()
    }
}

impl TryFrom<String> for SmsFault {
    type Error = NoSuchFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Faults that are still to happen.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<SmsFault>);

impl Pending {
    pub(super) fn add(&mut self, fault: SmsFault) {
        self.0.push(fault);
    }

    /// What happens to the next message in this direction: the oldest fault that is for it.
    pub(super) fn next(&mut self, direction: Direction) -> Option<SmsFaultKind> {
        let at = self.0.iter().position(|fault| fault.direction == direction)?;
        let fault = self.0.get_mut(at)?;
        let kind = fault.kind;
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.0.remove(at);
        }
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_and_happen_as_often_as_said() {
        for text in ["lose:mt:1", "delay=30:mo:2", "double:mt:7", "lose-answer:mt:1"] {
            assert_eq!(text.parse::<SmsFault>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "lose",
            "lose:up",
            "delay:mt",
            "delay=x:mt",
            "lose:mt:0",
            "lose:mt:1:2",
            "lose-answer:mo",
            "double=2:mt",
        ] {
            assert!(text.parse::<SmsFault>().is_err(), "{text}");
        }
        let mut pending = Pending::default();
        pending.add("double:mt:2".parse().unwrap());
        pending.add("lose:mo".parse().unwrap());
        assert_eq!(pending.next(Direction::FromDevice), Some(SmsFaultKind::Lose));
        assert_eq!(pending.next(Direction::FromDevice), None);
        assert_eq!(pending.next(Direction::ToDevice), Some(SmsFaultKind::Double));
        assert_eq!(pending.next(Direction::ToDevice), Some(SmsFaultKind::Double));
        assert_eq!(pending.next(Direction::ToDevice), None);
    }
}
