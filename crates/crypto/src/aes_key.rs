//! AES with keys of 128, 192 or 256 bits, as GlobalPlatform and TS 102 225 use it: CBC, single
//! blocks, CMAC.

use std::fmt;

use aes::cipher::block_padding::{Iso7816, NoPadding, ZeroPadding};
use aes::cipher::{BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use cmac::{Cmac, Mac};

use crate::secret::Secret;

/// The AES block size in octets.
pub const BLOCK: usize = 16;

/// The length of a truncated MAC in octets.
pub(crate) const MAC_LENGTH: usize = 8;

/// An AES key of 16, 24 or 32 octets; wiped when dropped.
#[derive(Clone)]
pub struct AesKey(Length);

#[derive(Clone)]
enum Length {
    Octets16(Secret<[u8; 16]>),
    Octets24(Secret<[u8; 24]>),
    Octets32(Secret<[u8; 32]>),
}

/// An AES key of an invalid length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an AES key has 16, 24 or 32 octets, this one has {0}")]
pub struct BadKeyLength(pub usize);

/// Evaluates an expression with the cipher type for the key's length.
macro_rules! with_cipher {
    ($key:expr, $octets:ident: $cipher:ident => $body:expr) => {
        match &$key.0 {
            Length::Octets16(key) => {
                type $cipher = Aes128;
                let $octets = key.expose();
                $body
            }
            Length::Octets24(key) => {
                type $cipher = Aes192;
                let $octets = key.expose();
                $body
            }
            Length::Octets32(key) => {
                type $cipher = Aes256;
                let $octets = key.expose();
                $body
            }
        }
    };
}

impl AesKey {
    /// Creates a key of 16 octets.
    #[must_use]
    pub const fn new(octets: [u8; 16]) -> Self {
        Self(Length::Octets16(Secret::new(octets)))
    }

    /// Creates a key of 16, 24 or 32 octets. Fails with [`BadKeyLength`] for any other length.
    pub fn from_slice(octets: &[u8]) -> Result<Self, BadKeyLength> {
        let bad = |_| BadKeyLength(octets.len());
        Ok(Self(match octets.len() {
            16 => Length::Octets16(Secret::new(octets.try_into().map_err(bad)?)),
            24 => Length::Octets24(Secret::new(octets.try_into().map_err(bad)?)),
            32 => Length::Octets32(Secret::new(octets.try_into().map_err(bad)?)),
            other => return Err(BadKeyLength(other)),
        }))
    }

    /// Returns the octets of the key. Do not keep a copy longer than needed.
    #[must_use]
    pub const fn expose(&self) -> &[u8] {
        match &self.0 {
            Length::Octets16(key) => key.expose(),
            Length::Octets24(key) => key.expose(),
            Length::Octets32(key) => key.expose(),
        }
    }

    /// Returns the length of the key in octets.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.expose().len()
    }

    /// Encrypts one block.
    #[must_use]
    pub fn encrypt_block(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut block = block.into();
        with_cipher!(self, key: Cipher => Cipher::new(key.into()).encrypt_block(&mut block));
        block.into()
    }

    /// Encrypts with CBC, without padding. Returns `None` unless the data are a multiple of the
    /// block size.
    #[must_use]
    pub fn encrypt_cbc(&self, iv: [u8; BLOCK], data: &[u8]) -> Option<Vec<u8>> {
        let whole = data.len().is_multiple_of(BLOCK);
        let encrypted = with_cipher!(self, key: Cipher => {
            cbc::Encryptor::<Cipher>::new(key.into(), &iv.into()).encrypt_padded_vec::<ZeroPadding>(data)
        });
        whole.then_some(encrypted)
    }

    /// Decrypts with CBC, without padding. Returns `None` unless the data are a multiple of the
    /// block size.
    #[must_use]
    pub fn decrypt_cbc(&self, iv: [u8; BLOCK], data: &[u8]) -> Option<Vec<u8>> {
        with_cipher!(self, key: Cipher => {
            cbc::Decryptor::<Cipher>::new(key.into(), &iv.into()).decrypt_padded_vec::<NoPadding>(data).ok()
        })
    }

    /// Pads the data with 80 and zeros to whole blocks (ISO/IEC 7816-4) and encrypts them with CBC.
    pub(crate) fn encrypt_cbc_padded(&self, iv: [u8; BLOCK], data: &[u8]) -> Vec<u8> {
        with_cipher!(self, key: Cipher => {
            cbc::Encryptor::<Cipher>::new(key.into(), &iv.into()).encrypt_padded_vec::<Iso7816>(data)
        })
    }

    /// Decrypts with CBC and removes the padding of
    /// [`encrypt_cbc_padded`](Self::encrypt_cbc_padded). Returns `None` if the data are not whole
    /// blocks or do not end in padding.
    pub(crate) fn decrypt_cbc_padded(&self, iv: [u8; BLOCK], data: &[u8]) -> Option<Vec<u8>> {
        with_cipher!(self, key: Cipher => {
            cbc::Decryptor::<Cipher>::new(key.into(), &iv.into()).decrypt_padded_vec::<Iso7816>(data).ok()
        })
    }

    /// Computes the CMAC of the concatenated parts (NIST SP 800-38B).
    #[must_use]
    pub fn cmac(&self, parts: &[&[u8]]) -> [u8; BLOCK] {
        with_cipher!(self, key: Cipher => {
            let mut mac = <Cmac<Cipher> as KeyInit>::new(key.into());
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().into()
        })
    }

    /// Returns the key check value: the first three octets of an encrypted block of octets 01
    /// (GlobalPlatform Card Specification section B.5).
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        let [first, second, third, ..] = self.encrypt_block([1; BLOCK]);
        [first, second, third]
    }

    /// Encrypts another key with this one for PUT KEY: CBC with an IV of zeros, zero-padded to
    /// whole blocks.
    #[must_use]
    pub fn wrap(&self, key: &Self) -> Vec<u8> {
        let padded = Secret::new(padded_with_zeros(key.expose()));
        self.encrypt_cbc([0; BLOCK], padded.expose()).unwrap_or_default()
    }

    /// Decrypts a wrapped key of `octets` octets. Returns `None` if the input does not contain a
    /// key of that length followed by zero padding.
    #[must_use]
    pub fn unwrap(&self, wrapped: &[u8], octets: usize) -> Option<Self> {
        let plain = Secret::new(self.decrypt_cbc([0; BLOCK], wrapped)?);
        let (key, padding) = plain.expose().split_at_checked(octets)?;
        let is_padding = padding.len() < BLOCK && padding.iter().all(|octet| *octet == 0);
        Self::from_slice(key).ok().filter(|_| is_padding)
    }
}

/// Truncates a MAC to its first eight octets.
pub(crate) const fn truncated([a, b, c, d, e, f, g, h, ..]: [u8; BLOCK]) -> [u8; MAC_LENGTH] {
    [a, b, c, d, e, f, g, h]
}

fn padded_with_zeros(data: &[u8]) -> Vec<u8> {
    let mut padded = Vec::with_capacity(data.len().next_multiple_of(BLOCK));
    padded.extend_from_slice(data);
    padded.resize(data.len().next_multiple_of(BLOCK), 0);
    padded
}

impl From<[u8; 16]> for AesKey {
    fn from(octets: [u8; 16]) -> Self {
        Self::new(octets)
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKey(.., {} octets)", self.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::{unhex, unhex_array};

    const KEY: &str = "2b7e151628aed2a6abf7158809cf4f3c";
    const MESSAGE: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                           30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

    /// RFC 4493 section 4.
    #[test]
    fn cmac_of_rfc_4493() {
        let key = AesKey::new(unhex_array(KEY));
        let message = unhex(MESSAGE);
        for (octets, mac) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            assert_eq!(key.cmac(&[&message[..octets]]).as_slice(), unhex(mac), "{octets}");
            let (one, other) = message[..octets].split_at(octets / 3);
            assert_eq!(key.cmac(&[one, &[], other]).as_slice(), unhex(mac), "{octets}");
        }
    }

    /// NIST SP 800-38B, CMAC examples for AES-192 and AES-256, the message of 40 octets.
    #[test]
    fn cmac_of_longer_keys() {
        let message = unhex(MESSAGE);
        for (key, mac) in [
            ("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "8a1de5be2eb31aad089a82e6ee908b0e"),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "aaf3d8f1de5640c232f5b169b9c911e6",
            ),
        ] {
            let key = AesKey::from_slice(&unhex(key)).unwrap();
            assert_eq!(key.cmac(&[&message[..40]]).as_slice(), unhex(mac));
        }
    }

    /// NIST SP 800-38A section F.2.1, the first two blocks.
    #[test]
    fn cbc_of_sp_800_38a() {
        let key = AesKey::new(unhex_array(KEY));
        let iv = unhex_array("000102030405060708090a0b0c0d0e0f");
        let plain = &unhex(MESSAGE)[..32];
        let ciphered = unhex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");
        assert_eq!(key.encrypt_cbc(iv, plain).as_deref(), Some(ciphered.as_slice()));
        assert_eq!(key.decrypt_cbc(iv, &ciphered).as_deref(), Some(plain));
        assert_eq!(key.encrypt_cbc(iv, &plain[..17]), None);
        assert_eq!(key.decrypt_cbc(iv, &ciphered[..17]), None);
    }

    /// pySim's tests/unittests/test_globalplatform.py (`SCP03_KCV_Test`).
    #[test]
    fn check_values_of_pysim() {
        for (key, value) in [
            ("000102030405060708090a0b0c0d0e0f", "c35280"),
            ("101112131415161718191a1b1c1d1e1f", "013808"),
            ("202122232425262728292a2b2c2d2e2f", "840de5"),
        ] {
            assert_eq!(AesKey::new(unhex_array(key)).check_value().as_slice(), unhex(value));
        }
    }

    #[test]
    fn unwrapping_a_wrapped_key_restores_it() {
        let dek = AesKey::new([7; 16]);
        for octets in [16, 24, 32] {
            let key = AesKey::from_slice(&[9; 32][..octets]).unwrap();
            let wrapped = dek.wrap(&key);
            assert_eq!(dek.unwrap(&wrapped, octets).unwrap().expose(), key.expose());
        }
        // A key of one block: CBC with an IV of zeros gives the same result as encrypting a single
        // block.
        assert_eq!(dek.wrap(&AesKey::new([9; 16])), dek.encrypt_block([9; 16]));
        let wrapped = dek.wrap(&AesKey::new([9; 16]));
        assert!(dek.unwrap(&wrapped, 24).is_none() && dek.unwrap(&wrapped, 0).is_none());
        assert!(dek.unwrap(&wrapped[..15], 16).is_none());
        assert!(AesKey::new([8; 16]).unwrap(&dek.wrap(&AesKey::from_slice(&[9; 24]).unwrap()), 24).is_none());
    }

    #[test]
    fn keys_have_three_lengths_and_debug_hides_the_octets() {
        assert_eq!(AesKey::from_slice(&[0; 15]).unwrap_err(), BadKeyLength(15));
        assert_eq!(format!("{:?}", AesKey::new([0x5A; 16])), "AesKey(.., 16 octets)");
    }
}
