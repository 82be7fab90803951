//! When a fault happens: which occasion, how often, at what time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A condition on an occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// `2`, `2-4`, `2-`: these occasions, from 1; none for the last is all after the first.
    Nth {
        /// The first.
        first: u32,
        /// The last.
        last: Option<u32>,
    },
    /// `30%`: as the dice say, 1 to 100.
    Share(u8),
    /// `10s..5m`, `10s..`: in this time since the fault was put in place.
    Span {
        /// From here on.
        from: Duration,
        /// Until then.
        until: Option<Duration>,
    },
}

impl When {
    /// This occasion and no other.
    pub const fn nth(number: u32) -> Self {
        Self::Nth { first: number, last: Some(number) }
    }

    /// Whether it is so at the `number`-th occasion, `after` the fault was put in place, when the dice show `percent` (0 to
    /// 99).
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

/// Digits and nothing else.
pub(super) fn number(text: &str) -> Result<u32, ()> {
    let is_plain = text.bytes().all(|each| each.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().map_err(|_| ()) } else { Err(()) }
}

/// A duration as people write it: `250ms`, `30s`, `5m`, `2h`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

/// Units and their milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let fits = |(_, unit): &(&str, u64)| millis > 0 && millis.is_multiple_of(*unit);
        match UNITS.iter().find(|unit| fits(unit)) {
            Some((unit, length)) => write!(f, "{}{unit}", millis / length),
            None => f.write_str("0s"),
        }
    }
}

impl FromStr for Time {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (amount, unit) = text.split_at_checked(digits).ok_or(())?;
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(())?;
        Ok(Self(Duration::from_millis(u64::from(number(amount)?) * length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_written_as_they_are_read() {
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
    fn conditions_hold_when_they_say() {
        let at = |text: &str, number, seconds, percent| {
            text.parse::<When>().unwrap().holds(number, Duration::from_secs(seconds), percent)
        };
        assert!(!at("2-3", 1, 0, 0) && at("2-3", 2, 0, 0) && at("2-3", 3, 0, 0) && !at("2-3", 4, 0, 0));
        assert!(at("2-", 400, 0, 0) && !at("2", 3, 0, 0));
        assert!(at("30%", 1, 0, 29) && !at("30%", 1, 0, 30) && at("100%", 1, 0, 99));
        assert!(!at("10s..20s", 1, 9, 0) && at("10s..20s", 1, 10, 0) && !at("10s..20s", 1, 20, 0));
    }
}
