//! The table of bearers.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use world::Fault;

/// The built-in table, in TOML; its head describes the form.
const BUILT_IN: &str = include_str!("../../data/bearers.toml");

/// One way for octets between a device and the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// By which scenario files name it.
    pub id: String,
    /// For people.
    pub name: String,
    /// One way, milliseconds, without the octets' own time.
    pub delay_ms: u64,
    /// Share of messages that are lost, 0 to 1.
    pub loss: f64,
    /// How often a message is sent before it is given up.
    pub tries: u32,
    /// How long it takes to notice that one was lost, milliseconds.
    pub retransmit_ms: u64,
    /// Share of time in which it is there, 0 to 1.
    pub availability: f64,
    /// It is there, or not, for so many seconds at a time.
    pub window_s: u64,
    /// How many seconds a device waits for it before it gives up.
    pub patience_s: u64,
    /// Where the figures were read.
    pub source: String,
    /// When somebody last checked them: YYYY-MM-DD.
    pub reviewed: String,
    /// How far to trust them: high, medium or low.
    pub confidence: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How it carries packets, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<Packets>,
    /// How it carries short messages, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Messages>,
}

/// How a bearer carries packets, and HTTP over TLS in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packets {
    /// Bits per second towards the device.
    pub down_bps: u64,
    /// Bits per second from the device.
    pub up_bps: u64,
    /// Octets of application data in a packet.
    pub payload: u64,
    /// Octets round them.
    pub overhead: u64,
    /// Octets of a TLS handshake towards the device.
    pub tls_down: u64,
    /// Octets of a TLS handshake from the device.
    pub tls_up: u64,
    /// Round trips before the first request.
    pub tls_round_trips: u32,
    /// How many seconds a connection that nobody uses stays open.
    pub keep_s: u64,
}

/// How a bearer carries short messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// User data of one.
    pub octets: u64,
    /// What one occupies the channel for, milliseconds.
    pub message_ms: u64,
}

impl Packets {
    /// What so many octets of application data are on the bearer.
    pub fn octets(&self, data: u64) -> u64 {
        data.saturating_add(data.div_ceil(self.payload.max(1)).saturating_mul(self.overhead))
    }
}

/// How long so many octets take at so many bits per second, in whole milliseconds, rounded up.
pub(super) fn airtime(octets: u64, bps: u64) -> Duration {
    Duration::from_millis(octets.saturating_mul(8_000).div_ceil(bps.max(1)))
}

/// A table of bearers.
#[derive(Clone, Debug, PartialEq)]
pub struct Bearers(Vec<Bearer>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bearer: Vec<Bearer>,
}

/// Not a table of bearers.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotBearers {
    /// Not TOML, or not of this form.
    #[error("not a table of bearers: {0}")]
    Form(String),
    /// A figure that cannot be.
    #[error("bearer {id}: {why}")]
    Figure {
        /// Which bearer.
        id: String,
        /// What is wrong, and what would be right.
        why: &'static str,
    },
}

impl Bearers {
    /// The bearers that come with Landfall.
    ///
    /// # Errors
    /// They are malformed, which is a bug.
    pub fn built_in() -> Result<Self, Fault> {
        Self::parse(BUILT_IN)
            .map_err(|why| Fault::caused_by(why, "cannot use the built-in bearers", "report this"))
    }

    /// Bearers of one's own.
    ///
    /// # Errors
    /// The text is not of the form that the head of `scenario/data/bearers.toml` describes, or a figure cannot be.
    pub fn parse(text: &str) -> Result<Self, NotBearers> {
        let File { bearer } = toml::from_str(text).map_err(|why| NotBearers::Form(why.to_string()))?;
        let mut ids = BTreeSet::new();
        for each in &bearer {
            let wrong = if ids.insert(&each.id) { each.wrong() } else { Some("its id is there twice") };
            if let Some(why) = wrong {
                return Err(NotBearers::Figure { id: each.id.clone(), why });
            }
        }
        Ok(Self(bearer))
    }

    /// Every bearer, in the order of the table.
    pub fn all(&self) -> &[Bearer] {
        &self.0
    }

    /// The bearer of this id.
    ///
    /// # Errors
    /// There is none; says which there are.
    pub fn named(&self, id: &str) -> Result<&Bearer, Fault> {
        self.0.iter().find(|bearer| bearer.id == id).ok_or_else(|| {
            let ids: Vec<_> = self.0.iter().map(|bearer| bearer.id.as_str()).collect();
            Fault::new(
                format!("there is no bearer {id}"),
                "it is not in the table",
                format!("take one of {}, or add it to a table of your own", ids.join(", ")),
            )
        })
    }
}

impl Bearer {
    fn wrong(&self) -> Option<&'static str> {
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        let no_rate =
            |packets: &Packets| packets.down_bps == 0 || packets.up_bps == 0 || packets.payload == 0;
        if self.id.is_empty() {
            return Some("it has no id");
        }
        if !is_share(self.loss) || !is_share(self.availability) {
            return Some("loss and availability are shares, from 0 to 1");
        }
        if self.tries == 0 || self.window_s == 0 {
            return Some("tries and window_s are at least 1");
        }
        if self.packets.as_ref().is_some_and(no_rate) {
            return Some("down_bps, up_bps and payload are at least 1");
        }
        if self.messages.is_some_and(|messages| messages.octets == 0) {
            return Some("a short message has at least one octet");
        }
        (self.packets.is_none() && self.messages.is_none())
            .then_some("it carries neither packets nor messages")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_bearers_are_those_of_the_issue_and_are_dated() {
        let bearers = Bearers::built_in().unwrap();
        let ids: Vec<_> = bearers.all().iter().map(|bearer| bearer.id.as_str()).collect();
        assert_eq!(ids, ["sms-2g", "nb-iot", "lte-m", "lte"]);
        for Bearer { id, reviewed, source, confidence, .. } in bearers.all() {
            assert!(format!("{reviewed}T00:00:00Z").parse::<rsp::time::Timestamp>().is_ok(), "{id}");
            assert!(!source.is_empty() && ["high", "medium", "low"].contains(&confidence.as_str()), "{id}");
        }
        let missing = bearers.named("5g").unwrap_err();
        assert!(missing.next.contains("nb-iot, lte-m"), "{missing}");
    }

    #[test]
    fn figures_that_cannot_be_are_named() {
        for (from, to, why) in [
            ("loss = 0.02", "loss = 1.5", "bearer sms-2g: loss and availability are shares, from 0 to 1"),
            ("tries = 3", "tries = 0", "bearer sms-2g: tries and window_s are at least 1"),
            ("up_bps = 62000", "up_bps = 0", "bearer nb-iot: down_bps, up_bps and payload are at least 1"),
            ("id = \"lte-m\"", "id = \"nb-iot\"", "bearer nb-iot: its id is there twice"),
            ("octets = 140", "octets = 0", "bearer sms-2g: a short message has at least one octet"),
        ] {
            assert_eq!(Bearers::parse(&BUILT_IN.replacen(from, to, 1)).unwrap_err().to_string(), why);
        }
        let unknown = Bearers::parse(&BUILT_IN.replacen("tries = 3", "trys = 3", 1)).unwrap_err();
        assert!(unknown.to_string().contains("unknown field `trys`"), "{unknown}");
    }

    #[test]
    fn octets_and_their_time_are_rounded_up() {
        let packets = Bearers::built_in().unwrap().named("nb-iot").unwrap().packets.unwrap();
        assert_eq!(packets.octets(0), 0);
        assert_eq!(packets.octets(1), 70);
        assert_eq!(packets.octets(1201), 1201 + 2 * 69);
        assert_eq!(airtime(1000, 8000), Duration::from_secs(1));
        assert_eq!(airtime(1, 1_000_000), Duration::from_millis(1));
        assert_eq!(airtime(0, 1), Duration::ZERO);
    }
}
