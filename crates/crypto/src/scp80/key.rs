//! Keys of secured packets with the ciphering algorithms of TS 102 225 section 5.1.2 and the
//! cryptographic checksum algorithms of section 5.1.3.

use std::fmt;

use cbc::cipher::block_padding::{NoPadding, ZeroPadding};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use des::{TdesEde2, TdesEde3};

use super::CC_LENGTH;
use crate::aes_key::{self, AesKey};
use crate::secret::Secret;

/// KIc or KID together with its algorithm; wiped when dropped.
#[derive(Debug, Clone)]
pub enum Key {
    /// Algorithm x2: ciphers in CBC mode (KIc), and computes the checksum with CMAC (KID). SGP.02
    /// allows no other algorithm (section 2.4.3).
    Aes(AesKey),
    /// Algorithms x5 and x9: cipher in CBC mode (KIc), and use the last CBC block as the checksum
    /// (KID).
    TripleDes(TripleDesKey),
}

impl Key {
    /// Returns the block size in octets. A ciphered packet is padded to a multiple of it.
    pub(super) const fn block(&self) -> usize {
        match self {
            Self::Aes(_) => aes_key::BLOCK,
            Self::TripleDes(_) => TripleDesKey::BLOCK,
        }
    }

    /// Encrypts with CBC and an IV of zeros. Returns `None` unless the data are a multiple of the
    /// block size.
    pub(super) fn encrypt(&self, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aes(key) => key.encrypt_cbc([0; aes_key::BLOCK], data),
            Self::TripleDes(key) => data.len().is_multiple_of(TripleDesKey::BLOCK).then(|| key.encrypt(data)),
        }
    }

    /// Decrypts with CBC and an IV of zeros. Returns `None` unless the data are a multiple of the
    /// block size.
    pub(super) fn decrypt(&self, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aes(key) => key.decrypt_cbc([0; aes_key::BLOCK], data),
            Self::TripleDes(key) => key.decrypt(data),
        }
    }

    /// Computes the cryptographic checksum (CC) of the concatenated parts.
    pub(super) fn cc(&self, parts: &[&[u8]]) -> [u8; CC_LENGTH] {
        match self {
            Self::Aes(key) => aes_key::truncated(key.cmac(parts)),
            Self::TripleDes(key) => key.last_block(parts),
        }
    }
}

/// Creates an AES key of 128 bits.
impl From<[u8; 16]> for Key {
    fn from(octets: [u8; 16]) -> Self {
        Self::Aes(octets.into())
    }
}

impl From<AesKey> for Key {
    fn from(key: AesKey) -> Self {
        Self::Aes(key)
    }
}

impl From<TripleDesKey> for Key {
    fn from(key: TripleDesKey) -> Self {
        Self::TripleDes(key)
    }
}

/// A triple DES key in encrypt-decrypt-encrypt mode; wiped when dropped. Parity bits are ignored.
#[derive(Clone)]
pub enum TripleDesKey {
    /// x5: two DES keys. The first is used again as the third.
    Two(Secret<[u8; 16]>),
    /// x9: three DES keys.
    Three(Secret<[u8; 24]>),
}

impl TripleDesKey {
    /// The block size in octets.
    const BLOCK: usize = 8;

    /// Pads with zeros to whole blocks and encrypts with CBC and an IV of zeros.
    fn encrypt(&self, data: &[u8]) -> Vec<u8> {
        let iv = [0; Self::BLOCK].into();
        match self {
            Self::Two(key) => cbc::Encryptor::<TdesEde2>::new(key.expose().into(), &iv)
                .encrypt_padded_vec::<ZeroPadding>(data),
            Self::Three(key) => cbc::Encryptor::<TdesEde3>::new(key.expose().into(), &iv)
                .encrypt_padded_vec::<ZeroPadding>(data),
        }
    }

    fn decrypt(&self, data: &[u8]) -> Option<Vec<u8>> {
        let iv = [0; Self::BLOCK].into();
        match self {
            Self::Two(key) => cbc::Decryptor::<TdesEde2>::new(key.expose().into(), &iv)
                .decrypt_padded_vec::<NoPadding>(data)
                .ok(),
            Self::Three(key) => cbc::Decryptor::<TdesEde3>::new(key.expose().into(), &iv)
                .decrypt_padded_vec::<NoPadding>(data)
                .ok(),
        }
    }

    fn last_block(&self, parts: &[&[u8]]) -> [u8; CC_LENGTH] {
        // The checksum covers at least the lengths of the packet, so there is at least one block.
        self.encrypt(&parts.concat()).last_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Debug for TripleDesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Two(_) => "TripleDesKey(.., 16 octets)",
            Self::Three(_) => "TripleDesKey(.., 24 octets)",
        })
    }
}
