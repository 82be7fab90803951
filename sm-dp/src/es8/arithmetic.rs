//! AES as SGP.02 uses it at the server, written apart from what the card does with it: GlobalPlatform Amendment D.

use aes::Aes128;
use aes::cipher::{
    Array, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit,
    block_padding::{Iso7816, NoPadding},
};
use cmac::{Cmac, Mac};

/// An AES-128 key.
pub(crate) type Key = [u8; 16];

/// AES-CMAC over parts that follow each other.
pub(crate) fn mac(key: &Key, parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Encrypts after padding with 80 00...
pub(crate) fn encrypt(key: &Key, iv: [u8; 16], clear: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes128>::new(key.into(), &Array::from(iv)).encrypt_padded_vec::<Iso7816>(clear)
}

/// Decrypts, and takes the padding away; none if it is not well padded.
pub(crate) fn decrypt(key: &Key, iv: [u8; 16], cipher: &[u8]) -> Option<Vec<u8>> {
    let mut clear = cbc::Decryptor::<Aes128>::new(key.into(), &Array::from(iv))
        .decrypt_padded_vec::<NoPadding>(cipher)
        .ok()?;
    let zeros = clear.iter().rev().take_while(|octet| **octet == 0).count();
    let end = clear.len().checked_sub(zeros.checked_add(1)?)?;
    if zeros >= 16 || clear.get(end) != Some(&0x80) {
        return None;
    }
    clear.truncate(end);
    Some(clear)
}

/// One block.
pub(crate) fn block(key: &Key, block: [u8; 16]) -> [u8; 16] {
    let mut block = Array::from(block);
    Aes128::new(key.into()).encrypt_block(&mut block);
    block.into()
}

/// Whether they are the same, in time that does not depend on where they differ.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}

/// The first eight octets, which are what is sent of a MAC.
pub(crate) fn half(whole: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = whole;
    [a, b, c, d, e, f, g, h]
}
