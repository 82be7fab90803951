//! With what a packet is ciphered and vouched for: the algorithms of TS 102 225 sections 5.1.2 and 5.1.3 that are computed.

use std::fmt;

use cbc::cipher::block_padding::{NoPadding, ZeroPadding};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use des::{TdesEde2, TdesEde3};

use super::CC_LENGTH;
use crate::aes_key::{self, AesKey};
use crate::secret::Secret;

/// KIc or KID, with the algorithm it is for; wiped when dropped.
#[derive(Debug, Clone)]
pub enum Key {
    /// x2: CBC in KIc, CMAC in KID. The only one that SGP.02 allows (section 2.4.3).
    Aes(AesKey),
    /// x5 and x9: CBC in KIc, the last block of CBC in KID.
    TripleDes(TripleDesKey),
}

impl Key {
    /// To a multiple of how many octets a ciphered packet is filled.
    pub(super) const fn block(&self) -> usize {
        match self {
            Self::Aes(_) => aes_key::BLOCK,
            Self::TripleDes(_) => TripleDesKey::BLOCK,
        }
    }

    /// CBC from an IV of zeros; `None` unless the data are whole blocks.
    pub(super) fn encrypt(&self, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aes(key) => key.encrypt_cbc([0; aes_key::BLOCK], data),
            Self::TripleDes(key) => data.len().is_multiple_of(TripleDesKey::BLOCK).then(|| key.encrypt(data)),
        }
    }

    /// The way back; `None` unless the data are whole blocks.
    pub(super) fn decrypt(&self, data: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aes(key) => key.decrypt_cbc([0; aes_key::BLOCK], data),
            Self::TripleDes(key) => key.decrypt(data),
        }
    }

    /// CC over the parts, one after the other.
    pub(super) fn cc(&self, parts: &[&[u8]]) -> [u8; CC_LENGTH] {
        match self {
            Self::Aes(key) => {
                let [a, b, c, d, e, f, g, h, ..] = key.cmac(parts);
                [a, b, c, d, e, f, g, h]
            }
            Self::TripleDes(key) => key.last_block(parts),
        }
    }
}

/// The AES key of these octets.
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

/// A key of triple DES, encrypting, decrypting and encrypting again; parity bits are not looked at. Wiped when dropped.
#[derive(Clone)]
pub enum TripleDesKey {
    /// Of two keys of DES, the first of which is the third as well: x5.
    Two(Secret<[u8; 16]>),
    /// Of three: x9.
    Three(Secret<[u8; 24]>),
}

impl TripleDesKey {
    /// Octets of a block.
    const BLOCK: usize = 8;

    /// Filled with zeros to whole blocks, CBC from an IV of zeros.
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
        // What a packet vouches for has its lengths at least, so there is a block.
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
