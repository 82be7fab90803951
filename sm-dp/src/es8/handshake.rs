//! The response to INITIALIZE UPDATE, with which SCP03 and SCP03t both begin, and its verification.

use crypto::{
    is_equal,
    scp03::{LENGTH, OPTION, SessionKeys},
};
use serde::{Deserialize, Serialize};

use super::{CardFault, key_establishment::KeySet};

/// SCP03 with i = 70. No other option is supported.
const PROTOCOL: [u8; 2] = [0x03, OPTION];

/// The card's contribution to a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CardHalf {
    /// The card challenge.
    pub(super) challenge: [u8; LENGTH],
    /// The sequence counter of the card.
    pub(super) sequence: u32,
}

impl CardHalf {
    /// Parses the response and verifies the card cryptogram.
    pub(super) fn read(
        keys: &KeySet,
        host_challenge: [u8; LENGTH],
        answer: &[u8],
    ) -> Result<Self, CardFault> {
        let parts = || {
            let (_diversification, rest) = answer.split_first_chunk::<10>()?;
            let (&[version], rest) = rest.split_first_chunk()?;
            let (&protocol, rest) = rest.split_first_chunk()?;
            let (&challenge, rest) = rest.split_first_chunk()?;
            let (&cryptogram, rest) = rest.split_first_chunk::<LENGTH>()?;
            let sequence: [u8; 3] = rest.try_into().ok()?;
            Some((version, protocol, challenge, cryptogram, sequence))
        };
        let (version, protocol, challenge, cryptogram, sequence) = parts().ok_or_else(|| {
            let length = answer.len();
            CardFault::Unreadable(format!(
                "the response to INITIALIZE UPDATE has {length} octets instead of 32"
            ))
        })?;
        if (version, protocol) != (keys.version, PROTOCOL) {
            return Err(CardFault::Unreadable(
                "the secure channel is not SCP03 with i = 70 and the requested key version".to_owned(),
            ));
        }
        let [high, middle, low] = sequence;
        let half = Self { challenge, sequence: u32::from_be_bytes([0, high, middle, low]) };
        if !is_equal(&half.session(keys, host_challenge).card_cryptogram(), &cryptogram) {
            return Err(CardFault::NotAuthentic("cryptogram"));
        }
        Ok(half)
    }

    /// Predicts the card's contribution. Its challenge follows from the keys, the AID and the
    /// sequence counter.
    pub(super) fn predicted(keys: &KeySet, isd_p: &[u8], sequence: u32) -> Self {
        let [_, counter @ ..] = sequence.to_be_bytes();
        Self { challenge: keys.to_static().card_challenge(counter, isd_p), sequence }
    }

    /// Derives the keys of the session.
    pub(super) fn session(&self, keys: &KeySet, host_challenge: [u8; LENGTH]) -> SessionKeys {
        SessionKeys::derive(&keys.to_static(), host_challenge, self.challenge)
    }
}
