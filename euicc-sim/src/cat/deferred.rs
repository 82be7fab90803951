//! Terminal input that was lost because of a memory failure. A terminal does not repeat its
//! profile, its responses and most envelopes (short messages are repeated). This input is processed
//! again with the next command to the toolkit. Otherwise a proactive command would wait for its
//! response, or a timer for its expiration, for ever.

use std::mem;

use super::super::apdu::Command;
use super::super::context::Context;
use super::{ENVELOPE, TERMINAL_PROFILE, TERMINAL_RESPONSE, begin, process_envelope, process_response};

/// Maximum number of inputs kept. A terminal sends fewer between two commands.
const MAX_DEFERRED: usize = 16;

/// The deferred input in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct DeferredInput(Vec<Input>);

#[derive(Clone, Debug)]
enum Input {
    Profile(Vec<u8>),
    Response(Vec<u8>),
    Envelope(Vec<u8>),
}

impl DeferredInput {
    pub(super) fn keep(&mut self, command: &Command<'_>) {
        const SMS_PP_DOWNLOAD: u8 = 0xD1;
        let input = match command.ins {
            TERMINAL_PROFILE => Input::Profile(command.data.to_vec()),
            TERMINAL_RESPONSE => Input::Response(command.data.to_vec()),
            ENVELOPE if command.data.first() != Some(&SMS_PP_DOWNLOAD) => {
                Input::Envelope(command.data.to_vec())
            }
            _ => return,
        };
        if self.0.len() < MAX_DEFERRED {
            self.0.push(input);
        }
    }

    /// Discards a deferred response, because the terminal has sent another one.
    pub(super) fn discard_response(&mut self) {
        self.0.retain(|input| !matches!(input, Input::Response(_)));
    }
}

/// Processes the deferred input. If the memory fails again, the command fails and all input is
/// kept.
pub(super) fn process_deferred(context: &mut Context<'_>) {
    for input in mem::take(&mut context.volatile.cat.deferred.0) {
        let outcome = match input {
            Input::Profile(profile) => {
                begin(context, &profile);
                continue;
            }
            Input::Response(data) => process_response(context, &data),
            Input::Envelope(data) => process_envelope(context, &data),
        };
        if let Err(status) = outcome {
            tracing::debug!(%status, "deferred terminal input was refused");
        }
        // The warning belongs to a response for which the terminal no longer waits.
        context.warning = None;
    }
}
