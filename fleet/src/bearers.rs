//! Bearers, what lies between a device and the rest of the world, as dated data: how fast, how late, how lossy.
//!
//! The head of `fleet/data/bearers.toml` describes the form. What one costs is a [`Price`](crate::costs::Price) of the same id.

use std::time::Duration;

use localize::{Confidence, DataError, DataText, Day};
use serde::{Deserialize, Serialize};
use toml::Spanned;
use world::Fault;

use crate::costs::checked;

/// The bearers that come with Landfall.
pub const BUILT_IN_BEARERS: &str = include_str!("../data/bearers.toml");

/// One way for octets between a device and the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// Its name for commands, prices and scenario files.
    pub id: String,
    /// For people.
    pub name: String,
    /// One way, milliseconds, without the octets' own time.
    pub delay_ms: u64,
    /// Share of messages that are lost, 0 to 0.9; they are sent again.
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
    /// When somebody last checked them.
    pub reviewed: Day,
    /// How far to trust them.
    pub confidence: Confidence,
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
    /// Octets of application data in one.
    pub payload: u64,
    /// Octets round them.
    pub overhead: u64,
    /// What one occupies the channel for, milliseconds.
    pub message_ms: u64,
}

impl Packets {
    /// What so many octets of application data are on the bearer.
    pub fn octets(&self, data: u64) -> u64 {
        data.saturating_add(data.div_ceil(self.payload.max(1)).saturating_mul(self.overhead))
    }

    /// How long so many octets on the bearer take towards the device.
    pub fn down(&self, octets: u64) -> Duration {
        airtime(octets, self.down_bps)
    }

    /// How long they take from it.
    pub fn up(&self, octets: u64) -> Duration {
        airtime(octets, self.up_bps)
    }

    /// What a TLS handshake takes, journeys of so many milliseconds included.
    pub fn handshake(&self, delay_ms: u64) -> Duration {
        let journeys = Duration::from_millis(delay_ms) * 2 * self.tls_round_trips;
        journeys + self.down(self.tls_down) + self.up(self.tls_up)
    }
}

impl Messages {
    /// As how many short messages so many octets of application data go.
    pub fn parts(&self, data: u64) -> u64 {
        data.div_ceil(self.payload.max(1))
    }
}

/// In whole milliseconds, rounded up.
fn airtime(octets: u64, bps: u64) -> Duration {
    Duration::from_millis(octets.saturating_mul(8_000).div_ceil(bps.max(1)))
}

/// A table of bearers.
#[derive(Clone, Debug, PartialEq)]
pub struct Bearers(Vec<Bearer>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bearer: Vec<Spanned<Bearer>>,
}

impl Bearers {
    /// The bearers that come with Landfall.
    ///
    /// # Errors
    /// They are damaged.
    pub fn built_in() -> Result<Self, DataError> {
        Self::parse(BUILT_IN_BEARERS)
    }

    /// Bearers in the form of `bearers.toml`.
    ///
    /// # Errors
    /// An entry cannot be meant.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let source = DataText { file: "bearers", text };
        let file: File = source.read()?;
        checked(&source, file.bearer, |bearer| (bearer.id.clone(), bearer.wrong())).map(Self)
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
                format!("there is no bearer {id:?}"),
                "it is not in the table",
                format!("take one of {}, or add it to a table of your own", ids.join(", ")),
            )
        })
    }
}

impl Bearer {
    /// How often something is lost before it arrives, on average.
    pub fn losses(&self) -> f64 {
        self.loss / (1.0 - self.loss)
    }

    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let no_rate =
            |packets: &Packets| packets.down_bps == 0 || packets.up_bps == 0 || packets.payload == 0;
        let what = if self.id.is_empty() {
            "it has no id"
        } else if !(0.0..=0.9).contains(&self.loss) {
            "loss is a share, from 0 to 0.9"
        } else if !(0.0..=1.0).contains(&self.availability) {
            "availability is a share, from 0 to 1"
        } else if self.tries == 0 || self.window_s == 0 {
            "tries and window_s are at least 1"
        } else if self.packets.as_ref().is_some_and(no_rate) {
            "down_bps, up_bps and payload are at least 1"
        } else if self.messages.is_some_and(|one| one.payload == 0 || one.payload + one.overhead > 140) {
            "a short message has 1 to 140 octets"
        } else if self.packets.is_none() && self.messages.is_none() {
            return Some(("it carries nothing", "add [bearer.packets] or [bearer.messages]"));
        } else {
            return None;
        };
        Some((what, "correct the figure"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearers_that_come_along_are_those_of_the_trade() {
        let bearers = Bearers::built_in().unwrap();
        let ids: Vec<_> = bearers.all().iter().map(|bearer| bearer.id.as_str()).collect();
        assert_eq!(ids, ["2g-sms", "nb-iot", "lte-m", "lte"]);
        assert!(bearers.all().iter().all(|bearer| !bearer.source.is_empty() && bearer.messages.is_some()));
        let missing = bearers.named("5g").unwrap_err();
        assert!(missing.next.contains("2g-sms, nb-iot, lte-m, lte"), "{missing}");
    }

    #[test]
    fn bad_figures_are_refused_with_their_line_and_what_to_do() {
        for (from, to, words) in [
            ("loss = 0.02", "loss = 0.95", "\"2g-sms\": loss is a share, from 0 to 0.9; correct"),
            ("availability = 0.99", "availability = 99", "\"2g-sms\": availability is a share"),
            ("tries = 3", "tries = 0", "\"2g-sms\": tries and window_s are at least 1"),
            ("up_bps = 62000", "up_bps = 0", "\"nb-iot\": down_bps, up_bps and payload are at least 1"),
            ("id = \"lte-m\"", "id = \"nb-iot\"", "\"nb-iot\": the id is there twice"),
            ("overhead = 20", "overhead = 21", "\"2g-sms\": a short message has 1 to 140 octets"),
            ("[bearer.messages]\npayload = 120\noverhead = 20\nmessage_ms = 4000", "", "it carries nothing"),
            ("tries = 3", "trys = 3", "unknown field `trys`"),
            ("reviewed = \"2026-11-22\"", "reviewed = \"lately\"", "lately"),
        ] {
            let error = Bearers::parse(&BUILT_IN_BEARERS.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(words) && error.line.is_some(), "{error}");
        }
    }

    #[test]
    fn octets_and_their_time_are_rounded_up() {
        let packets = Bearers::built_in().unwrap().named("nb-iot").unwrap().packets.unwrap();
        assert_eq!(packets.octets(0), 0);
        assert_eq!(packets.octets(1), 70);
        assert_eq!(packets.octets(1201), 1201 + 2 * 69);
        let packets = Packets { down_bps: 8000, up_bps: 1_000_000, ..packets };
        assert_eq!((packets.down(1000), packets.up(1)), (Duration::from_secs(1), Duration::from_millis(1)));
        assert_eq!(packets.down(0), Duration::ZERO);
        // Three journeys there and back, 3200 octets down and 2600 up.
        assert_eq!(packets.handshake(100), Duration::from_millis(600 + 3200 + 21));
    }
}
