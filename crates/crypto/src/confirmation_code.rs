//! The confirmation code as it travels: `hashCc` of ES10b.PrepareDownload, SGP.22 section 5.7.5.

use std::fmt;

use elliptic_curve::subtle::ConstantTimeEq;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// SHA-256 of a confirmation code: what an SM-DP+ keeps instead of the code. Wiped when dropped, and never printed,
/// because a code of a few digits is found from it by trying.
#[derive(Clone)]
pub struct ConfirmationCodeHash([u8; 32]);

impl ConfirmationCodeHash {
    /// Of the code as the operator gave it.
    #[must_use]
    pub fn of(confirmation_code: &str) -> Self {
        Self(Sha256::digest(confirmation_code).into())
    }

    /// As it was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// To keep it.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `hash_cc` is that of the same code in this transaction; the time does not depend on where they differ.
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

/// SHA-256(SHA-256(confirmation code) || transactionId).
#[must_use]
pub fn hash_cc(confirmation_code: &str, transaction_id: &[u8]) -> [u8; 32] {
    ConfirmationCodeHash::of(confirmation_code).hash_cc(transaction_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::unhex;

    /// Computed by hand with another SHA-256 from the formula; not a GSMA vector.
    #[test]
    fn worked_example() {
        let transaction_id = unhex("0102030405060708090a0b0c0d0e0f10");
        let expected = "94e57b8cdfe3eb0a8510f18898add0b1e67b48fafd39892796d6f65f9ce3cc40";
        assert_eq!(hash_cc("1234", &transaction_id).as_slice(), unhex(expected));
    }

    #[test]
    fn a_kept_code_matches_itself_in_the_same_transaction_only() {
        let kept = ConfirmationCodeHash::from_bytes(*ConfirmationCodeHash::of("1234").expose());
        assert!(kept.matches(&hash_cc("1234", &[1]), &[1]));
        assert!(!kept.matches(&hash_cc("1234", &[1]), &[2]));
        assert!(!kept.matches(&hash_cc("1235", &[1]), &[1]));
        assert_eq!(format!("{kept:?}"), "ConfirmationCodeHash(..)");
    }
}
