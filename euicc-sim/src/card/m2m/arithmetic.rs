//! AES as SGP.02 uses it on the card, with keys of 16 octets.

use crypto::AesKey;

use super::keys::AES_KEY;

/// AES-CMAC over parts that follow each other.
pub(crate) fn cmac(key: &[u8; AES_KEY], parts: &[&[u8]]) -> [u8; 16] {
    AesKey::new(*key).cmac(parts)
}

/// Compares in time that does not depend on where they differ.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    crypto::is_equal(one, other)
}

/// CBC from an initial vector of zeros; none if these are not whole blocks.
pub(crate) fn cbc_decrypt(key: &[u8; AES_KEY], blocks: &[u8]) -> Option<Vec<u8>> {
    AesKey::new(*key).decrypt_cbc([0; 16], blocks)
}

/// CBC, of whole blocks.
pub(crate) fn cbc_encrypt_from(key: &[u8; AES_KEY], iv: [u8; 16], blocks: &[u8]) -> Vec<u8> {
    AesKey::new(*key).encrypt_cbc(iv, blocks).unwrap_or_default()
}
