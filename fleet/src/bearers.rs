//! Bearers as dated data: speed, delay and loss of the connection between a device and the network.
//!
//! The header of `fleet/data/bearers.toml` describes the format. Prices are in
//! [`Price`](crate::costs::Price) under the same ID.

use std::time::Duration;

use localize::{Confidence, DataError, DataText, Day};
use serde::{Deserialize, Serialize};
use toml::Spanned;
use world::{Fault, FaultKind};

use crate::costs::checked;

/// The built-in bearers.
pub const BUILT_IN_BEARERS: &str = include_str!("../data/bearers.toml");

/// A bearer: a connection between a device and the network, with its speed, delay and loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// ID used by commands, prices and scenario files.
    pub id: String,
    /// Display name.
    pub name: String,
    /// One-way delay in milliseconds, without the transmission time of the octets.
    pub delay_ms: u64,
    /// Share of lost messages, 0 to 0.9. Lost messages are sent again.
    pub loss: f64,
    /// Number of attempts to send a message.
    pub tries: u32,
    /// Time until a loss is noticed, in milliseconds.
    pub retransmit_ms: u64,
    /// Share of time in which the bearer is available, 0 to 1.
    pub availability: f64,
    /// Length of an interval of availability or outage, in seconds.
    pub window_s: u64,
    /// Time that a device waits for an available bearer, in seconds.
    pub patience_s: u64,
    /// Source of the figures.
    pub source: String,
    /// Date of the last review.
    pub reviewed: Day,
    /// Confidence in the figures.
    pub confidence: Confidence,
    /// Free-text note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Packet transport, if the bearer has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<Packets>,
    /// Short-message transport, if the bearer has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Messages>,
}

/// Packet transport of a bearer, with HTTP over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packets {
    /// Bits per second to the device.
    pub down_bps: u64,
    /// Bits per second from the device.
    pub up_bps: u64,
    /// Octets of application data in a packet.
    pub payload: u64,
    /// Octets of headers per packet.
    pub overhead: u64,
    /// Octets of a TLS handshake to the device.
    pub tls_down: u64,
    /// Octets of a TLS handshake from the device.
    pub tls_up: u64,
    /// Round trips before the first request.
    pub tls_round_trips: u32,
    /// Idle time after which a connection closes, in seconds.
    pub keep_s: u64,
}

/// Short-message transport of a bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// Octets of application data in a short message.
    pub payload: u64,
    /// Octets of headers per short message.
    pub overhead: u64,
    /// Channel time of a short message, in milliseconds.
    pub message_ms: u64,
}

impl Packets {
    /// Returns the number of octets that the bearer transports for this number of octets of
    /// application data.
    pub fn octets(&self, data: u64) -> u64 {
        data.saturating_add(data.div_ceil(self.payload.max(1)).saturating_mul(self.overhead))
    }

    /// Transmission time of octets to the device.
    pub fn down(&self, octets: u64) -> Duration {
        airtime(octets, self.down_bps)
    }

    /// Transmission time of octets from the device.
    pub fn up(&self, octets: u64) -> Duration {
        airtime(octets, self.up_bps)
    }

    /// Duration of a TLS handshake, including its round trips with this one-way delay.
    pub fn handshake(&self, delay_ms: u64) -> Duration {
        let journeys = Duration::from_millis(delay_ms) * 2 * self.tls_round_trips;
        journeys + self.down(self.tls_down) + self.up(self.tls_up)
    }
}

impl Messages {
    /// Number of short messages for this number of octets of application data.
    pub fn parts(&self, data: u64) -> u64 {
        data.div_ceil(self.payload.max(1))
    }
}

/// Transmission time in whole milliseconds, rounded up.
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
    /// Returns the built-in bearers.
    ///
    /// # Errors
    /// The built-in table is invalid.
    pub fn built_in() -> Result<Self, DataError> {
        Self::parse(BUILT_IN_BEARERS)
    }

    /// Parses bearers in the format of `bearers.toml`.
    ///
    /// # Errors
    /// An entry is invalid.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let source = DataText { file: "bearers", text };
        let file: File = source.read()?;
        checked(&source, file.bearer, |bearer| (bearer.id.clone(), bearer.wrong())).map(Self)
    }

    /// All bearers, in the order of the table.
    pub fn all(&self) -> &[Bearer] {
        &self.0
    }

    /// Returns the bearer with this ID.
    ///
    /// # Errors
    /// The table has no such bearer. The error lists the known ones.
    pub fn named(&self, id: &str) -> Result<&Bearer, Fault> {
        self.0.iter().find(|bearer| bearer.id == id).ok_or_else(|| {
            let ids: Vec<_> = self.0.iter().map(|bearer| bearer.id.as_str()).collect();
            Fault::new(
                format!("there is no bearer {id:?}"),
                "it is not in the table",
                format!("use one of {}, or add it to your own table", ids.join(", ")),
            )
            .of_kind(FaultKind::NotFound)
        })
    }
}

impl Bearer {
    /// Average number of losses before a message arrives.
    pub fn losses(&self) -> f64 {
        self.loss / (1.0 - self.loss)
    }

    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let no_rate =
            |packets: &Packets| packets.down_bps == 0 || packets.up_bps == 0 || packets.payload == 0;
        let what = if self.id.is_empty() {
            "it has no id"
        } else if !(0.0..=0.9).contains(&self.loss) {
            "loss must be from 0 to 0.9"
        } else if !(0.0..=1.0).contains(&self.availability) {
            "availability must be from 0 to 1"
        } else if self.tries == 0 || self.window_s == 0 {
            "tries and window_s must be at least 1"
        } else if self.packets.as_ref().is_some_and(no_rate) {
            "down_bps, up_bps and payload must be at least 1"
        } else if self.messages.is_some_and(|one| one.payload == 0 || one.payload + one.overhead > 140) {
            "a short message has 1 to 140 octets"
        } else if self.packets.is_none() && self.messages.is_none() {
            return Some(("it has no transport", "add [bearer.packets] or [bearer.messages]"));
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
    fn the_built_in_bearers_are_complete() {
        let bearers = Bearers::built_in().unwrap();
        let ids: Vec<_> = bearers.all().iter().map(|bearer| bearer.id.as_str()).collect();
        assert_eq!(ids, ["2g-sms", "nb-iot", "nb-iot-normal", "nb-iot-poor", "lte-m", "lte"]);
        assert!(bearers.all().iter().all(|bearer| !bearer.source.is_empty() && bearer.messages.is_some()));
        let missing = bearers.named("5g").unwrap_err();
        assert!(missing.next.contains("2g-sms, nb-iot, nb-iot-normal, nb-iot-poor, lte-m, lte"), "{missing}");
    }

    #[test]
    fn invalid_figures_are_refused_with_line_and_advice() {
        for (from, to, words) in [
            ("loss = 0.02", "loss = 0.95", "\"2g-sms\": loss must be from 0 to 0.9; correct"),
            ("availability = 0.99", "availability = 99", "\"2g-sms\": availability must be"),
            ("tries = 3", "tries = 0", "\"2g-sms\": tries and window_s must be at least 1"),
            ("up_bps = 62000", "up_bps = 0", "\"nb-iot\": down_bps, up_bps and payload must be at least 1"),
            ("id = \"lte-m\"", "id = \"nb-iot\"", "\"nb-iot\": the ID occurs twice"),
            ("overhead = 20", "overhead = 21", "\"2g-sms\": a short message has 1 to 140 octets"),
            ("[bearer.messages]\npayload = 120\noverhead = 20\nmessage_ms = 4000", "", "it has no transport"),
            ("tries = 3", "trys = 3", "unknown field `trys`"),
            ("reviewed = \"2026-11-22\"", "reviewed = \"lately\"", "lately"),
        ] {
            let error = Bearers::parse(&BUILT_IN_BEARERS.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(words) && error.line.is_some(), "{error}");
        }
    }

    #[test]
    fn octets_and_transmission_times_are_rounded_up() {
        let packets = Bearers::built_in().unwrap().named("nb-iot").unwrap().packets.unwrap();
        assert_eq!(packets.octets(0), 0);
        assert_eq!(packets.octets(1), 70);
        assert_eq!(packets.octets(1201), 1201 + 2 * 69);
        let packets = Packets { down_bps: 8000, up_bps: 1_000_000, ..packets };
        assert_eq!((packets.down(1000), packets.up(1)), (Duration::from_secs(1), Duration::from_millis(1)));
        assert_eq!(packets.down(0), Duration::ZERO);
        // Three round trips, 3200 octets to the device and 2600 from it.
        assert_eq!(packets.handshake(100), Duration::from_millis(600 + 3200 + 21));
    }
}
