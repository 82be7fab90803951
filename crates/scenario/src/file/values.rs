//! Values of the scenario language: durations, moments, device selections, amounts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rsp::time::Timestamp;
use serde::de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer};

/// Units and their lengths in seconds.
const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
/// The maximum duration: a hundred years. A longer one is probably a typing error.
const LONGEST: u64 = 100 * 366 * 86_400;

/// A duration: `90d`, `1d 12h`, `30s`, `2w`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Length(pub Duration);

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text:?} is not a duration; write it as in \"90d\", \"1d 12h\", \"30s\" or \"2w\"");
        let (mut rest, mut seconds) = (text.trim(), 0_u64);
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at_checked(digits).ok_or_else(bad)?;
            let number: u64 = number.parse().map_err(|_| bad())?;
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, after) = after.split_at_checked(letters).ok_or_else(bad)?;
            let (_, length) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
            seconds = seconds.saturating_add(number.saturating_mul(*length));
            rest = after.trim_start();
        }
        if seconds > LONGEST {
            return Err(format!("{text:?} is more than a hundred years; write a shorter duration"));
        }
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        if rest == 0 {
            return f.write_str("0s");
        }
        let mut gap = "";
        // Durations are printed in days, although they can be written in weeks.
        for (unit, length) in UNITS.iter().skip(1) {
            if rest >= *length {
                write!(f, "{gap}{}{unit}", rest / length)?;
                (rest, gap) = (rest % length, " ");
            }
        }
        Ok(())
    }
}

/// A moment of a run: a time after its start, a date, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum At {
    /// `10d`: the time after the start.
    After(Duration),
    /// `2027-03-01` or `2027-03-01T08:00:00Z`.
    On(Timestamp),
    /// `end`.
    End,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "end" {
            return Ok(Self::End);
        }
        let date = match text.contains('T') {
            true => text.parse(),
            false => format!("{text}T00:00:00Z").parse(),
        };
        let after = || text.parse().map(|Length(after)| Self::After(after));
        date.map(Self::On).or_else(|_| after()).map_err(|_| {
            format!("{text:?} is not a moment; write the time after the start, as in \"10d\" or \"1d 12h\", a date, as in \"2027-03-01\" or \"2027-03-01T08:00:00Z\", or \"end\"")
        })
    }
}

impl TryFrom<String> for At {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(after) => write!(f, "{}", Length(*after)),
            Self::On(time) => write!(f, "{time}"),
            Self::End => f.write_str("end"),
        }
    }
}

/// An absolute time: a date, or a time of day on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Date(pub Timestamp);

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(At::On(time)) => Ok(Self(time)),
            _ => Err(format!(
                "{text:?} is not a date; write it as in \"2027-01-01\" or \"2027-01-01T08:00:00Z\""
            )),
        }
    }
}

/// A selection of devices of a group: `meters`, `meters 3`, `meters 2-5`, `meters 20%`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Which {
    /// The group.
    pub group: String,
    /// The selected part of it.
    pub part: Part,
}

/// The selected part of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All devices.
    All,
    /// The devices with these numbers, counted from 1.
    Range(u32, u32),
    /// A random share in percent, which follows from the seed of the run.
    Share(u8),
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (group, part) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let part = match (part.strip_suffix('%'), part.split_once('-')) {
            _ if part.is_empty() => Some(Part::All),
            (Some(share), _) => {
                let share = share.parse().ok().filter(|share| (1..=100).contains(share));
                share.map(Part::Share)
            }
            (None, Some((first, last))) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => Some(Part::Range(first, last)),
                _ => None,
            },
            (None, None) => number(part).map(|number| Part::Range(number, number)),
        };
        let part = part.filter(|_| !group.is_empty()).ok_or_else(|| {
            format!(
                "{text:?} does not select devices; write \"meters\", \"meters 3\", \"meters 2-5\" or \"meters 20%\""
            )
        })?;
        Ok(Self { group: group.to_owned(), part })
    }
}

impl TryFrom<String> for Which {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.group)?;
        match self.part {
            Part::All => Ok(()),
            Part::Range(first, last) if first == last => write!(f, " {first}"),
            Part::Range(first, last) => write!(f, " {first}-{last}"),
            Part::Share(share) => write!(f, " {share}%"),
        }
    }
}

/// A selection of devices of one or several groups. An empty list means all devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices(pub Vec<Which>);

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("all devices");
        }
        let names: Vec<_> = self.0.iter().map(Which::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

/// Deserializes one string or a list of strings.
struct OneOrMore(&'static str);

impl<'de> Visitor<'de> for OneOrMore {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<String>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}

impl<'de> Deserialize<'de> for Devices {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names = from.deserialize_any(OneOrMore("devices such as \"meters 2-5\", or a list of them"))?;
        let devices = names.iter().map(|name| name.parse()).collect::<Result<Vec<Which>, _>>();
        devices.map(Self).map_err(D::Error::custom)
    }
}

/// The operators whose subscribers may roam in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Partners {
    /// All operators.
    #[default]
    Any,
    /// No operator.
    Nobody,
    /// These operators.
    Of(Vec<rsp::ids::Plmn>),
}

impl<'de> Deserialize<'de> for Partners {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names =
            from.deserialize_any(OneOrMore("\"any\", \"none\" or a list of networks such as [\"234-99\"]"))?;
        match names.as_slice() {
            [word] if word == "any" => Ok(Self::Any),
            [word] if word == "none" => Ok(Self::Nobody),
            names => {
                let networks = names.iter().map(|name| name.parse()).collect::<Result<_, _>>();
                let next = "write \"any\", \"none\" or networks such as [\"234-99\"]";
                networks
                    .map(Self::Of)
                    .map_err(|why: rsp::ids::InvalidId| D::Error::custom(format!("{why}; {next}")))
            }
        }
    }
}

/// A number, or a share of a total.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// An absolute number.
    Number(f64),
    /// A share in percent.
    Percent(f64),
}

impl Amount {
    /// The number for this total.
    pub fn of(self, all: u64) -> f64 {
        match self {
            Self::Number(number) => number,
            // The conversion is exact, because a number of devices is far below the largest integer
            // that a float represents exactly.
            Self::Percent(percent) => percent * f64::from(u32::try_from(all).unwrap_or(u32::MAX)) / 100.0,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a share such as \"95%\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
                match u32::try_from(number) {
                    Ok(number) => Ok(Amount::Number(f64::from(number))),
                    Err(_) => Err(E::custom(format!("{number} is not a valid number; write 0 or more"))),
                }
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
                match number.is_finite() && number >= 0.0 {
                    true => Ok(Amount::Number(number)),
                    false => Err(E::custom(format!("{number} is not a valid number; write 0 or more"))),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
                let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
                match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
                    Some(percent) => Ok(Amount::Percent(percent)),
                    None => Err(E::custom(format!(
                        "{text:?} is not an amount; write a number, or a share such as \"95%\""
                    ))),
                }
            }
        }
        from.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_moments_are_parsed() {
        for (text, seconds, again) in [
            ("90d", 90 * 86_400, "90d"),
            ("1d 12h", 129_600, "1d 12h"),
            ("1d12h", 129_600, "1d 12h"),
            ("2w", 14 * 86_400, "14d"),
            ("3600s", 3600, "1h"),
            ("0d", 0, "0s"),
        ] {
            let length: Length = text.parse().unwrap();
            assert_eq!((length.0.as_secs(), length.to_string().as_str()), (seconds, again), "{text}");
        }
        for text in ["", "d", "90", "90 days", "-1d", "1.5d", "5y", "99999999999d", "1d,2h"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
        assert_eq!("end".parse(), Ok(At::End));
        assert_eq!("10d".parse(), Ok(At::After(Duration::from_secs(864_000))));
        assert_eq!("2027-03-01".parse::<At>().unwrap().to_string(), "2027-03-01T00:00:00Z");
        assert!("tomorrow".parse::<At>().unwrap_err().contains("the time after the start"));
    }

    #[test]
    fn devices_are_selected_by_group_by_number_and_by_share() {
        for text in ["meters", "meters 3", "meters 2-5", "meters 20%"] {
            assert_eq!(text.parse::<Which>().unwrap().to_string(), text);
        }
        for text in ["", " ", "meters 0", "meters 5-2", "meters 101%", "meters 0%", "meters x", "meters 1-"] {
            assert!(text.parse::<Which>().unwrap_err().contains("write \"meters\""), "{text}");
        }
    }
}
