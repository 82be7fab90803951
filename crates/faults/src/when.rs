//! Conditions on the occasions at which a fault happens: ordinal, probability, time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::value::{Time, number};

/// A condition on an occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// `2`, `2-4`, `2-`: occasions by number, counted from 1. Without `last`, all occasions from
    /// `first` on.
    Nth {
        /// The first occasion.
        first: u32,
        /// The last occasion.
        last: Option<u32>,
    },
    /// `30%`: a probability in percent, 1 to 100.
    Share(u8),
    /// `10s..5m`, `10s..`: a time span, measured from when the fault was installed.
    Span {
        /// Start of the span.
        from: Duration,
        /// End of the span.
        until: Option<Duration>,
    },
}

impl When {
    /// Exactly the occasion with this number.
    pub const fn nth(number: u32) -> Self {
        Self::Nth { first: number, last: Some(number) }
    }

    /// True if the condition holds at the `number`-th occasion, `after` the fault was installed,
    /// with the random value `percent` (0 to 99).
    pub(super) fn holds(self, number: u32, after: Duration, percent: u8) -> bool {
        match self {
            Self::Nth { first, last } => number >= first && last.is_none_or(|last| number <= last),
            Self::Share(share) => percent < share,
            Self::Span { from, until } => after >= from && until.is_none_or(|until| after < until),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Nth { first, last: None } => write!(f, "{first}-"),
            Self::Nth { first, last: Some(last) } if first == last => write!(f, "{first}"),
            Self::Nth { first, last: Some(last) } => write!(f, "{first}-{last}"),
            Self::Share(percent) => write!(f, "{percent}%"),
            Self::Span { from, until } => {
                write!(f, "{}..", Time(from))?;
                until.map_or(Ok(()), |until| write!(f, "{}", Time(until)))
            }
        }
    }
}

impl FromStr for When {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some((from, until)) = text.split_once("..") {
            let Time(from) = from.parse()?;
            let until = if until.is_empty() { None } else { Some(until.parse::<Time>()?.0) };
            return match until {
                Some(until) if until <= from => Err(()),
                _ => Ok(Self::Span { from, until }),
            };
        }
        if let Some(percent) = text.strip_suffix('%') {
            return match number(percent)? {
                percent @ 1..=100 => Ok(Self::Share(u8::try_from(percent).map_err(|_| ())?)),
                _ => Err(()),
            };
        }
        let (first, last) = match text.split_once('-') {
            Some((first, "")) => (number(first)?, None),
            Some((first, last)) => (number(first)?, Some(number(last)?)),
            None => (number(text)?, Some(number(text)?)),
        };
        match last {
            _ if first == 0 => Err(()),
            Some(last) if last < first => Err(()),
            _ => Ok(Self::Nth { first, last }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_round_trip() {
        for text in ["1", "2-4", "2-", "30%", "100%", "10s..5m", "0s..", "250ms..1d", "1500ms..2h"] {
            assert_eq!(text.parse::<When>().map(|when| when.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("60s..120m".parse::<When>().map(|when| when.to_string()), Ok("1m..2h".to_owned()));
        for text in
            ["", "0", "4-2", "-2", "0%", "101%", "5m..10s", "..5s", "5..6", "5y..", "01", "+1", "1-2-3", "x"]
        {
            assert_eq!(text.parse::<When>(), Err(()), "{text}");
        }
    }

    #[test]
    fn conditions_hold_as_specified() {
        let at = |text: &str, number, seconds, percent| {
            text.parse::<When>().unwrap().holds(number, Duration::from_secs(seconds), percent)
        };
        assert!(!at("2-3", 1, 0, 0) && at("2-3", 2, 0, 0) && at("2-3", 3, 0, 0) && !at("2-3", 4, 0, 0));
        assert!(at("2-", 400, 0, 0) && !at("2", 3, 0, 0));
        assert!(at("30%", 1, 0, 29) && !at("30%", 1, 0, 30) && at("100%", 1, 0, 99));
        assert!(!at("10s..20s", 1, 9, 0) && at("10s..20s", 1, 10, 0) && !at("10s..20s", 1, 20, 0));
    }
}
