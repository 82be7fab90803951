//! Timestamps, as used in every record, certificate check and event of Landfall.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since the Unix epoch, UTC. Serialised to JSON as an RFC 3339 date and time; a
/// number is accepted as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        // A saturated sum has no calendar date. It stays a number, so that it can be read back.
        if text.parse() == Ok(*self) {
            serializer.serialize_str(&text)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a date and time such as 2026-11-21T08:00:00Z")]
        enum Written {
            Text(String),
            Milliseconds(i64),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => text.parse().map_err(de::Error::custom),
            Written::Milliseconds(number) => Ok(Self(number)),
        }
    }
}

impl Timestamp {
    /// Converts from whole seconds since the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Adds a duration; saturates at the end of representable time.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time elapsed since `earlier`, or zero if `earlier` is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// Formats as RFC 3339. Milliseconds are omitted if they are zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|t| t.format(&Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} ms since the epoch", self.0),
        }
    }
}

/// The text is not an RFC 3339 date and time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a date and time such as 2026-11-21T08:00:00Z")]
pub struct InvalidTimestamp {
    text: String,
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed =
            OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp { text: text.to_owned() })?;
        let millis = parsed.unix_timestamp_nanos().div_euclid(1_000_000);
        Ok(Self(i64::try_from(millis).map_err(|_| InvalidTimestamp { text: text.to_owned() })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_contains_the_date_and_a_number_is_accepted() {
        let time: Timestamp = "2026-11-21T08:00:00.5Z".parse().unwrap();
        assert_eq!(serde_json::to_string(&time).unwrap(), r#""2026-11-21T08:00:00.5Z""#);
        for time in [time, Timestamp(0), Timestamp(i64::MAX), Timestamp(i64::MIN)] {
            let text = serde_json::to_string(&time).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), time, "{text}");
        }
        assert_eq!(serde_json::from_str::<Timestamp>("1000").unwrap(), Timestamp(1000));
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn a_time_prints_as_it_was_read() {
        for text in ["2026-11-21T08:00:00Z", "1969-12-31T23:59:59.5Z", "2028-02-29T00:00:00Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert!("2026-02-30T00:00:00Z".parse::<Timestamp>().is_err());
    }
}
