//! AES as SGP.02 uses it on the card.

use aes::Aes128;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{Array, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use cmac::{Cmac, Mac};

use super::keys::AES_KEY;

/// AES-CMAC over parts that follow each other.
pub(crate) fn cmac(key: &[u8; AES_KEY], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Compares in time that does not depend on where they differ.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other)) == 0
}

/// One block.
pub(crate) fn encrypt_block(key: &[u8; AES_KEY], block: [u8; 16]) -> [u8; 16] {
    let mut block = Array::from(block);
    Aes128::new(key.into()).encrypt_block(&mut block);
    block.into()
}

/// CBC from an initial vector of zeros; none if these are not whole blocks.
pub(crate) fn cbc_decrypt(key: &[u8; AES_KEY], blocks: &[u8]) -> Option<Vec<u8>> {
    cbc_decrypt_from(key, [0; 16], blocks)
}

/// CBC; none if these are not whole blocks.
pub(crate) fn cbc_decrypt_from(key: &[u8; AES_KEY], iv: [u8; 16], blocks: &[u8]) -> Option<Vec<u8>> {
    cbc::Decryptor::<Aes128>::new(key.into(), &Array::from(iv)).decrypt_padded_vec::<NoPadding>(blocks).ok()
}

/// CBC, of whole blocks.
pub(crate) fn cbc_encrypt_from(key: &[u8; AES_KEY], iv: [u8; 16], blocks: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes128>::new(key.into(), &Array::from(iv)).encrypt_padded_vec::<NoPadding>(blocks)
}

/// The check value of a key: what it makes of sixteen octets of 01.
pub(crate) fn check_value(key: &[u8; AES_KEY]) -> [u8; 3] {
    let [one, two, three, ..] = encrypt_block(key, [0x01; 16]);
    [one, two, three]
}
