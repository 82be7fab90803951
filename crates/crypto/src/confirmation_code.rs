//! The hash of a confirmation code: `hashCc` of ES10b.PrepareDownload, SGP.22 section 5.7.5.

use std::fmt;

use elliptic_curve::subtle::ConstantTimeEq;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// SHA-256 of a confirmation code, which an SM-DP+ stores instead of the code. It is wiped when
/// dropped and never printed, because a code of a few digits can be found from it by exhaustive
/// search.
#[derive(Clone)]
pub struct ConfirmationCodeHash([u8; 32]);

impl ConfirmationCodeHash {
    /// Hashes the code that the operator supplied.
    #[must_use]
    pub fn of(confirmation_code: &str) -> Self {
        Self(Sha256::digest(confirmation_code).into())
    }

    /// Restores a stored hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the hash for storage.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// True if `hash_cc` is the hash of the same code in this transaction. The comparison takes
    /// constant time.
    #[must_use]
    pub fn matches(&self, hash_cc: &[u8; 32], transaction_id: &[u8]) -> bool {
        self.hash_cc(transaction_id).ct_eq(hash_cc).into()
    }

    fn hash_cc(&self, transaction_id: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(transaction_id).finalize().into()
    }
}

impl fmt::Debug for ConfirmationCodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfirmationCodeHash(..)")
    }
}

impl Drop for ConfirmationCodeHash {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Computes `hashCc`: SHA-256(SHA-256(confirmation code) || transactionId).
#[must_use]
pub fn hash_cc(confirmation_code: &str, transaction_id: &[u8]) -> [u8; 32] {
    ConfirmationCodeHash::of(confirmation_code).hash_cc(transaction_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::unhex;

    /// Computed from the formula with an independent SHA-256 implementation; not a GSMA vector.
    #[test]
    fn worked_example() {
        let transaction_id = unhex("0102030405060708090a0b0c0d0e0f10");
        let expected = "94e57b8cdfe3eb0a8510f18898add0b1e67b48fafd39892796d6f65f9ce3cc40";
        assert_eq!(hash_cc("1234", &transaction_id).as_slice(), unhex(expected));
    }

    #[test]
    fn a_stored_code_matches_only_itself_and_only_in_the_same_transaction() {
        let stored = ConfirmationCodeHash::from_bytes(*ConfirmationCodeHash::of("1234").expose());
        assert!(stored.matches(&hash_cc("1234", &[1]), &[1]));
        assert!(!stored.matches(&hash_cc("1234", &[1]), &[2]));
        assert!(!stored.matches(&hash_cc("1235", &[1]), &[1]));
        assert_eq!(format!("{stored:?}"), "ConfirmationCodeHash(..)");
    }
}
