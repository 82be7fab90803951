//! What the terminal says but once, and the memory failed to take in: its profile, its responses, and all envelopes but
//! short messages, which are sent again. It is heard again with the next command that lets the card do something: without
//! it a command of the card would wait for its answer, or a timer for its end, for ever.

use std::mem;

use super::super::apdu::Command;
use super::super::context::Context;
use super::{ENVELOPE, TERMINAL_PROFILE, TERMINAL_RESPONSE, begin, hear_envelope, hear_response};

/// More than a terminal has to say between two commands.
const MAX_UNHEARD: usize = 16;

/// What was said, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Unheard(Vec<Said>);

#[derive(Clone, Debug)]
enum Said {
    Profile(Vec<u8>),
    Response(Vec<u8>),
    Envelope(Vec<u8>),
}

impl Unheard {
    pub(super) fn keep(&mut self, command: &Command<'_>) {
        const SMS_PP_DOWNLOAD: u8 = 0xD1;
        let said = match command.ins {
            TERMINAL_PROFILE => Said::Profile(command.data.to_vec()),
            TERMINAL_RESPONSE => Said::Response(command.data.to_vec()),
            ENVELOPE if command.data.first() != Some(&SMS_PP_DOWNLOAD) => {
                Said::Envelope(command.data.to_vec())
            }
            _ => return,
        };
        if self.0.len() < MAX_UNHEARD {
            self.0.push(said);
        }
    }

    /// The terminal answers again: that counts.
    pub(super) fn forget_response(&mut self) {
        self.0.retain(|said| !matches!(said, Said::Response(_)));
    }
}

/// If the memory fails again, so does the command in which this happens, and all is kept.
pub(super) fn hear_again(context: &mut Context<'_>) {
    for said in mem::take(&mut context.volatile.cat.unheard.0) {
        let heard = match said {
            Said::Profile(profile) => {
                begin(context, &profile);
                continue;
            }
            Said::Response(data) => hear_response(context, &data),
            Said::Envelope(data) => hear_envelope(context, &data),
        };
        if let Err(status) = heard {
            tracing::debug!(%status, "what was heard late is refused");
        }
        // It is about that answer, which nobody waits for any more.
        context.warning = None;
    }
}
