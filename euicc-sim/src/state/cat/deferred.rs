//! Terminal input that was lost because of a memory failure.

use super::{ENVELOPE, TERMINAL_PROFILE, TERMINAL_RESPONSE};
use crate::apdu::Command;

/// Maximum number of inputs kept. A terminal sends fewer between two commands to the toolkit.
pub(crate) const MAX_DEFERRED: usize = 16;

/// The deferred input in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeferredInput(pub(crate) Vec<Input>);

#[derive(Clone, Debug)]
pub(crate) enum Input {
    Profile(Vec<u8>),
    Response(Vec<u8>),
    Envelope(Vec<u8>),
}

impl DeferredInput {
    pub(crate) fn keep(&mut self, command: &Command<'_>) {
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
    pub(crate) fn discard_response(&mut self) {
        self.0.retain(|input| !matches!(input, Input::Response(_)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(apdus: &[&str]) -> DeferredInput {
        let mut deferred = DeferredInput::default();
        for apdu in apdus {
            let apdu = hex::decode(apdu).unwrap();
            deferred.keep(&Command::parse(&apdu).unwrap());
        }
        deferred
    }

    #[test]
    fn another_response_replaces_the_deferred_response_only() {
        let mut deferred = kept(&["8010000001FF", "8014000001AA", "80C2000001D6"]);
        deferred.discard_response();
        let [Input::Profile(profile), Input::Envelope(envelope)] = deferred.0.as_slice() else {
            panic!("{deferred:?}")
        };
        assert_eq!((profile.as_slice(), envelope.as_slice()), (&[0xFF][..], &[0xD6][..]));
    }

    #[test]
    fn short_messages_and_other_commands_are_not_deferred() {
        assert!(kept(&["80C2000001D1", "80F2000C00", "8012000000"]).0.is_empty());
        assert_eq!(kept(&["80C2000001D6"; MAX_DEFERRED + 1]).0.len(), MAX_DEFERRED);
    }
}
