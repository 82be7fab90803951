//! Terminal input that was lost because of a memory failure. A terminal does not repeat its
//! profile, its responses and most envelopes (short messages are repeated). This input is processed
//! again with the next command to the toolkit. Otherwise a proactive command would wait for its
//! response, or a timer for its expiration, for ever.

use std::mem;

use super::{begin, process_envelope, process_response};
use crate::kind::CardContext;
use crate::state::cat::deferred::Input;

/// Processes the deferred input. If the memory fails again, the command fails and all input is
/// kept.
pub(super) fn process_deferred(context: &mut CardContext<'_, '_>) {
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
