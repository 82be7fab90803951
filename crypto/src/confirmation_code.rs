//! The confirmation code as it travels: `hashCc` of ES10b.PrepareDownload, SGP.22 section 5.7.5.

use sha2::{Digest, Sha256};

/// SHA-256(SHA-256(confirmation code) || transactionId).
#[must_use]
pub fn hash_cc(confirmation_code: &str, transaction_id: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(Sha256::digest(confirmation_code))
        .chain_update(transaction_id)
        .finalize()
        .into()
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
}
