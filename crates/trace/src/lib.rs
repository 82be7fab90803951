//! Traces of the APDUs exchanged with a card, decoded and exported. The crate performs no I/O.
//!
//! [`TracingCard`] wraps any card interface and passes each [`Exchange`] to a function. A [`Recorder`]
//! converts exchanges to one of three formats: text for people, JSON lines for scripts, and pcapng
//! for Wireshark.
//!
//! | Module | Contents |
//! |---|---|
//! | [`decode`] | the decoder: follows the selections on each channel, joins partial answers, and finds secrets |
//! | `command` | names of commands, the meaning of P1 and P2 |
//! | `status` | status words |
//! | `files` | names of files and applications |
//! | [`es10`] | the functions of the ISD-R by their tags, and their result codes |
//! | `refined` | elements of ES10 that SGP.22 v2 does not define, and other encodings of some cards |
//! | `toolkit` | proactive commands, terminal responses and envelopes |
//! | `text`, `json`, `pcapng` | the formats |
//! | `read` | the parser of traces and of logs of other programs |
//! | `octets` | hexadecimal digits with hidden octets |

mod command;
pub mod decode;
pub mod es10;
mod files;
mod json;
mod octets;
mod pcapng;
mod read;
mod refined;
mod status;
mod text;
mod toolkit;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use rsp::time::Timestamp;
use world::{Atr, CardInterface, CardInterfaceFault, Clock};

pub use decode::{Decoded, Decoder};
pub use json::{Line as JsonLine, object};
pub use octets::LineError;
pub use read::{ReadError, read, read_line};
pub use status::{is_known_status, status, status_advice};
pub use text::details;

/// One exchange with a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The time of the answer.
    pub at: Timestamp,
    /// The card: its EID, or the name of its interface.
    pub card: String,
    /// The content of the exchange.
    pub event: Event,
}

/// The content of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A reset of the card.
    Reset {
        /// The answer to reset. Empty if the interface does not provide it.
        atr: Vec<u8>,
    },
    /// A command APDU and its response APDU.
    Command {
        /// The command.
        command: Vec<u8>,
        /// The answer, including the status word.
        answer: Vec<u8>,
    },
    /// A command or a reset without an answer.
    Fault {
        /// The command; empty for a reset.
        command: Vec<u8>,
        /// The reason.
        why: String,
    },
}

/// A card interface that reports every exchange.
pub struct TracingCard<D, S> {
    card_interface: D,
    card: String,
    clock: Arc<dyn Clock>,
    sink: S,
}

impl<D: CardInterface, S: FnMut(&Exchange) + Send> TracingCard<D, S> {
    /// Wraps `card_interface`. Each exchange is passed to `sink` with `card` as the name of the card.
    pub fn new(card_interface: D, card: impl Into<String>, clock: Arc<dyn Clock>, sink: S) -> Self {
        Self { card_interface, card: card.into(), clock, sink }
    }

    fn report(&mut self, event: Event) {
        (self.sink)(&Exchange { at: self.clock.now(), card: self.card.clone(), event });
    }
}

impl<D: CardInterface, S: FnMut(&Exchange) + Send> CardInterface for TracingCard<D, S> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let outcome = self.card_interface.transmit(command).await;
        let command = command.to_vec();
        self.report(match &outcome {
            Ok(answer) => Event::Command { command, answer: answer.clone() },
            Err(fault) => Event::Fault { command, why: fault.to_string() },
        });
        outcome
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        let outcome = self.card_interface.reset().await;
        self.report(match &outcome {
            Ok(Atr(atr)) => Event::Reset { atr: atr.clone() },
            Err(fault) => Event::Fault { command: Vec::new(), why: fault.to_string() },
        });
        outcome
    }
}

/// The format of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One line per exchange, with indented details.
    Text,
    /// One JSON object per exchange.
    JsonLines,
    /// GSMTAP in pcapng.
    Pcapng,
}

impl Form {
    /// Returns the format for a file name extension: `.jsonl`, `.pcapng`, `.txt`. A name without an
    /// extension has the text format. Other extensions have no format.
    pub fn of(path: &std::path::Path) -> Option<Self> {
        match path.extension().map(|ending| ending.to_str()) {
            Some(Some("jsonl")) => Some(Self::JsonLines),
            Some(Some("pcapng")) => Some(Self::Pcapng),
            Some(Some("txt")) | None => Some(Self::Text),
            Some(_) => None,
        }
    }
}

/// Converts the exchanges of any number of cards to a trace.
#[derive(Debug)]
pub struct Recorder {
    form: Form,
    with_secrets: bool,
    cards: BTreeMap<String, Decoder>,
    pcapng: pcapng::Writer,
}

impl Recorder {
    /// Starts a trace. PINs and keys are hidden unless `with_secrets` is set.
    pub fn new(form: Form, with_secrets: bool) -> Self {
        Self { form, with_secrets, cards: BTreeMap::new(), pcapng: pcapng::Writer::default() }
    }

    /// Returns the octets that the exchange appends to the trace.
    pub fn record(&mut self, exchange: &Exchange) -> Vec<u8> {
        let decoder =
            self.cards.entry(exchange.card.clone()).or_insert_with(|| Decoder::new(self.with_secrets));
        let decoded = decoder.decode(&exchange.event);
        match self.form {
            Form::Text => text::lines(exchange, &decoded).into_bytes(),
            Form::JsonLines => json::line(exchange, &decoded).into_bytes(),
            Form::Pcapng => self.pcapng.packets(exchange, &decoded),
        }
    }
}
