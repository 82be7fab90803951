//! Encryption of keys in transit from the EUM to the SM-SR, under a transport key that both have
//! agreed on: AES-128 in ECB mode (from one source).

use crypto::AesKey;

use crate::records::Key;

const BLOCK: usize = 16;

/// Decrypts a key.
pub(crate) fn decipher(transport: &Key, octets: &[u8]) -> Result<Vec<u8>, String> {
    let key = AesKey::from_slice(transport.expose()).map_err(|e| format!("cannot be deciphered: {e}"))?;
    let (blocks, []) = octets.as_chunks::<BLOCK>() else {
        return Err("is not a whole number of blocks".to_owned());
    };
    // CBC of a single block with a zero IV equals ECB.
    let plain = blocks.iter().map(|block| key.decrypt_cbc([0; BLOCK], block));
    let plain: Option<Vec<Vec<u8>>> = plain.collect();
    plain.map(|blocks| blocks.concat()).ok_or_else(|| "cannot be deciphered".to_owned())
}

/// Encrypts a key, as an EUM does.
pub fn encipher(transport: &[u8; BLOCK], key: &[u8; BLOCK]) -> Vec<u8> {
    AesKey::new(*transport).encrypt_block(*key).to_vec()
}

/// Returns the check value of an AES-128 key; empty if the octets are not an AES key.
pub(crate) fn check_value(octets: &[u8]) -> Vec<u8> {
    AesKey::from_slice(octets).map(|key| key.check_value().to_vec()).unwrap_or_default()
}
