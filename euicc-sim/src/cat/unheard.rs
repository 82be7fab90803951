//! Terminal input that was lost because of a memory failure. A terminal does not repeat its
//! profile, its responses and most envelopes (short messages are repeated). This input is processed
//! again with the next command to the toolkit. Otherwise a proactive command would wait for its
//! response, or a timer for its expiration, for ever.

use std::mem;

use super::super::apdu::Command;
use super::super::context::Context;
use super::{ENVELOPE, TERMINAL_PROFILE, TERMINAL_RESPONSE, begin, hear_envelope, hear_response};

/// Maximum number of inputs kept. A terminal sends fewer between two commands.
const MAX_UNHEARD: usize = 16;

/// The deferred input in its order.
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

    /// Discards a deferred response, because the terminal has sent another one.
    pub(super) fn forget_response(&mut self) {
        self.0.retain(|said| !matches!(said, Said::Response(_)));
    }
}

/// Processes the deferred input. If the memory fails again, the command fails and all input is
/// kept.
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
            tracing::debug!(%status, "deferred terminal input was refused");
        }
        // The warning belongs to a response for which the terminal no longer waits.
        context.warning = None;
    }
}
