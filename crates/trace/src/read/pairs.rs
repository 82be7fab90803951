//! Commands and answers that are separate lines of a log.

use super::exchange;
use crate::octets::LineError;
use crate::{Event, Exchange};

/// A command of the log whose answer has not been read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// A command APDU.
    Apdu(Vec<u8>),
    /// A reset of the card.
    Reset,
    /// A request to open a channel and to select the application with this AID.
    Open(Vec<u8>),
    /// A request to close a channel.
    Close(u8),
    /// A request that is not sent to the card.
    NoApdu,
}

/// The exchanges that were read so far.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    exchanges: Vec<Exchange>,
    pending: Option<Pending>,
    /// True after the first command. Earlier answers belong to commands that the log does not have.
    has_begun: bool,
}

impl Pairs {
    pub(super) fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// Adds a command. An earlier one without an answer becomes a fault.
    pub(super) fn command(&mut self, command: Pending) {
        self.fail("the log has no answer");
        self.has_begun = true;
        self.pending = Some(command);
    }

    /// Adds the response APDU of the pending command.
    pub(super) fn response(&mut self, answer: Vec<u8>) -> Result<(), LineError> {
        match self.pending.take() {
            Some(Pending::Apdu(command)) => self.push(Event::Command { command, answer }),
            None if !self.has_begun => {}
            _ => return Err(LineError::Malformed("the response has no command before it".to_owned())),
        }
        Ok(())
    }

    /// Ends the pending request other than an APDU. `channel` is the channel that was opened.
    ///
    /// The log has no APDUs of such a request. Two or one that have its effect are added.
    pub(super) fn done(&mut self, channel: Option<u8>) {
        const OK: [u8; 2] = [0x90, 0x00];
        match (self.pending.take(), channel) {
            (Some(Pending::Reset), _) => self.push(Event::Reset { atr: Vec::new() }),
            (Some(Pending::Open(aid)), Some(channel)) => {
                let length = u8::try_from(aid.len()).unwrap_or_default();
                let select = [&[on_channel(0, channel), 0xA4, 0x04, 0x00, length], &aid[..]].concat();
                let opened = [&[channel], &OK[..]].concat();
                self.push(Event::Command { command: vec![0x00, 0x70, 0x00, 0x00, 0x01], answer: opened });
                self.push(Event::Command { command: select, answer: OK.to_vec() });
            }
            (Some(Pending::Close(channel)), _) => {
                let command = vec![0x00, 0x70, 0x80, channel];
                self.push(Event::Command { command, answer: OK.to_vec() });
            }
            _ => {}
        }
    }

    /// Ends the pending command without an answer.
    pub(super) fn fail(&mut self, why: &str) {
        let command = match self.pending.take() {
            Some(Pending::Apdu(command)) => command,
            Some(Pending::Reset) => Vec::new(),
            Some(Pending::Open(_)) => vec![0x00, 0x70, 0x00, 0x00, 0x01],
            Some(Pending::Close(channel)) => vec![0x00, 0x70, 0x80, channel],
            Some(Pending::NoApdu) | None => return,
        };
        self.push(Event::Fault { command, why: why.to_owned() });
    }

    pub(super) fn finish(mut self) -> Vec<Exchange> {
        self.fail("the log has no answer");
        self.exchanges
    }

    fn push(&mut self, event: Event) {
        self.exchanges.push(exchange(event));
    }
}

/// Writes the channel into a class byte: TS 102 221 section 10.1.1.
pub(super) fn on_channel(class: u8, channel: u8) -> u8 {
    match channel {
        0..=3 => class & !0x03 | channel,
        _ => class & 0xB0 | 0x40 | channel.saturating_sub(4) & 0x0F,
    }
}
