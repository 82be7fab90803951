//! A trace of everything that goes through a card's door, decoded.
//!
//! [`Traced`] stands before any door and tells each [`Exchange`] to whoever listens. A [`Recorder`] makes one of three
//! forms of it: text for a person, JSON lines for a script, pcapng for Wireshark.
//!
//! | part | what it knows |
//! |---|---|
//! | [`decode`] | what is selected on which channel, which answers belong together, what is secret |
//! | `command` | names of commands, meaning of P1 and P2, status words |
//! | `files` | names of files and applications |
//! | `es10` | functions of the ISD-R by their tags |
//! | `toolkit` | proactive commands and what a terminal answers |
//! | `text`, `json`, `pcapng` | the forms |
//! | `read` | lines of a trace, back to exchanges |

mod command;
pub mod decode;
mod es10;
mod files;
mod json;
mod pcapng;
mod read;
mod text;
mod toolkit;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use rsp::time::Timestamp;
use world::{Atr, CardDoor, Clock, DoorFault};

pub use decode::{Decoded, Decoder};
pub use read::{LineError, read_line};

/// What went through a door once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When the answer was there.
    pub at: Timestamp,
    /// Which card: its EID, or the name of the door.
    pub card: String,
    /// What it was.
    pub event: Event,
}

/// A command or a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The card was reset and answered so; empty where the door does not tell it.
    Reset {
        /// Answer to reset.
        atr: Vec<u8>,
    },
    /// A command APDU and its response APDU.
    Command {
        /// The command.
        command: Vec<u8>,
        /// The answer, status word included.
        answer: Vec<u8>,
    },
    /// Nothing was answered.
    Fault {
        /// The command; empty for a reset.
        command: Vec<u8>,
        /// Why.
        why: String,
    },
}

/// A door that tells what goes through it.
pub struct Traced<D, S> {
    door: D,
    card: String,
    clock: Arc<dyn Clock>,
    sink: S,
}

impl<D: CardDoor, S: FnMut(&Exchange) + Send> Traced<D, S> {
    /// Tells `sink` of each exchange through `door`; `card` says which one it is.
    pub fn new(door: D, card: impl Into<String>, clock: Arc<dyn Clock>, sink: S) -> Self {
        Self { door, card: card.into(), clock, sink }
    }

    fn tell(&mut self, event: Event) {
        (self.sink)(&Exchange { at: self.clock.now(), card: self.card.clone(), event });
    }
}

impl<D: CardDoor, S: FnMut(&Exchange) + Send> CardDoor for Traced<D, S> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        let outcome = self.door.transmit(command).await;
        let command = command.to_vec();
        self.tell(match &outcome {
            Ok(answer) => Event::Command { command, answer: answer.clone() },
            Err(fault) => Event::Fault { command, why: fault.to_string() },
        });
        outcome
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        let outcome = self.door.reset().await;
        self.tell(match &outcome {
            Ok(Atr(atr)) => Event::Reset { atr: atr.clone() },
            Err(fault) => Event::Fault { command: Vec::new(), why: fault.to_string() },
        });
        outcome
    }
}

/// What a trace is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line an exchange, details indented.
    Text,
    /// A JSON object an exchange.
    JsonLines,
    /// GSMTAP in pcapng.
    Pcapng,
}

impl Form {
    /// The form that the ending of a file's name asks for: `.jsonl`, `.pcapng`, `.txt`; text where there is none, and
    /// no form where the ending is another.
    pub fn of(path: &std::path::Path) -> Option<Self> {
        match path.extension().map(|ending| ending.to_str()) {
            Some(Some("jsonl")) => Some(Self::JsonLines),
            Some(Some("pcapng")) => Some(Self::Pcapng),
            Some(Some("txt")) | None => Some(Self::Text),
            Some(_) => None,
        }
    }
}

/// Makes a trace of exchanges, of any number of cards.
#[derive(Debug)]
pub struct Recorder {
    form: Form,
    with_secrets: bool,
    cards: BTreeMap<String, Decoder>,
    pcapng: pcapng::Writer,
}

impl Recorder {
    /// A trace that has just begun. Codes and keys are left out unless it is `with_secrets`.
    pub fn new(form: Form, with_secrets: bool) -> Self {
        Self { form, with_secrets, cards: BTreeMap::new(), pcapng: pcapng::Writer::default() }
    }

    /// What is appended to the trace.
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
