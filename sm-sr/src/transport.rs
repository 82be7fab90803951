//! Keys on their way from the EUM to the SM-SR: under a transport key that the two have agreed upon, AES-128, block by
//! block (ECB; from one source).

use crypto::AesKey;

use crate::records::Key;

const BLOCK: usize = 16;

/// A key out of its encryption.
pub(crate) fn decipher(transport: &Key, octets: &[u8]) -> Result<Vec<u8>, String> {
    let key = AesKey::from_slice(transport.expose()).map_err(|e| format!("cannot be deciphered: {e}"))?;
    let (blocks, []) = octets.as_chunks::<BLOCK>() else {
        return Err("is not of whole blocks".to_owned());
    };
    // CBC from zeros, a block at a time, is ECB.
    let plain = blocks.iter().map(|block| key.decrypt_cbc([0; BLOCK], block));
    let plain: Option<Vec<Vec<u8>>> = plain.collect();
    plain.map(|blocks| blocks.concat()).ok_or_else(|| "cannot be deciphered".to_owned())
}

/// The other way: what an EUM does.
pub fn encipher(transport: &[u8; BLOCK], key: &[u8; BLOCK]) -> Vec<u8> {
    AesKey::new(*transport).encrypt_block(*key).to_vec()
}

/// The check value of a key of AES-128; nothing for octets that are none.
pub(crate) fn check_value(octets: &[u8]) -> Vec<u8> {
    AesKey::from_slice(octets).map(|key| key.check_value().to_vec()).unwrap_or_default()
}
