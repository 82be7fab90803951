//! The protection schemes of a SUCI: ECIES profiles A and B of 3GPP TS 33.501 annex C.3.
//!
//! The USIM conceals with the public key of the home network; the home network reveals with its
//! private key.

use aes::Aes128;
use aes::cipher::{KeyIvInit, StreamCipher};
use ctr::Ctr128BE;
use elliptic_curve::subtle::ConstantTimeEq;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

use crate::curve::{Curve, KeyError, PublicKey, SecretKey};
use crate::secret::Secret;
use crate::x963;

/// An ECIES profile, by its Protection Scheme Identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// X25519.
    A = 1,
    /// NIST P-256 with compressed points.
    B = 2,
}

/// A home network public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HomeNetworkPublicKey {
    /// A key of profile A in the encoding of RFC 7748.
    A([u8; 32]),
    /// A key of profile B.
    B(PublicKey),
}

/// A home network private key.
#[derive(Debug, Clone)]
pub enum HomeNetworkPrivateKey {
    /// A key of profile A.
    A(Secret<[u8; 32]>),
    /// A key of profile B.
    B(SecretKey),
}

/// The parts of a scheme output: annex C.3.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concealed {
    /// The ephemeral public key: 32 octets with profile A, 33 (compressed) with profile B.
    pub ephemeral_key: Vec<u8>,
    /// The ciphertext, as long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// The first 64 bits of HMAC-SHA-256 over the ciphertext.
    pub mac: [u8; 8],
}

/// The scheme output was made for another key or was altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the scheme output was not made under this key: compare Home Network Public Key Identifier and profile"
)]
pub struct InvalidConcealment;

impl HomeNetworkPublicKey {
    /// Decodes the octets in EF.SUCI_Calc_Info: 32 with profile A, 33 or 65 (SEC 1) with profile B.
    ///
    /// Returns `None` for an invalid key of this profile, and for keys of profile A with which
    /// every agreement results in the same secret (RFC 7748 section 6.1).
    #[must_use]
    pub fn from_bytes(profile: Profile, octets: &[u8]) -> Option<Self> {
        match profile {
            Profile::A => {
                let key: [u8; 32] = octets.try_into().ok()?;
                (x25519([0; 32], key) != [0; 32]).then_some(Self::A(key))
            }
            Profile::B => PublicKey::from_sec1(Curve::P256, octets).ok().map(Self::B),
        }
    }

    /// Conceals `plaintext` with this key and a new ephemeral key. `fill` must fill its argument
    /// with unpredictable octets. Fails with [`KeyError::DifferentCurves`] if a key of profile B is
    /// not on P-256.
    pub fn conceal(&self, plaintext: &[u8], fill: &mut dyn FnMut(&mut [u8])) -> Result<Concealed, KeyError> {
        let (ephemeral_key, keys) = match self {
            Self::A(key) => {
                let mut private = Zeroizing::new([0; 32]);
                fill(&mut *private);
                let ephemeral_key = x25519(*private, X25519_BASEPOINT_BYTES);
                let shared = Zeroizing::new(x25519(*private, *key));
                (ephemeral_key.to_vec(), Keys::derive(&shared, &ephemeral_key))
            }
            Self::B(key) => {
                let private = SecretKey::generate(Curve::P256, fill);
                let ephemeral_key = private.public_key().to_sec1_compressed();
                let shared = private.agree(key)?;
                (ephemeral_key.to_vec(), Keys::derive(shared.expose(), &ephemeral_key))
            }
        };
        let mut ciphertext = plaintext.to_vec();
        keys.encrypt(&mut ciphertext);
        let mac = keys.mac(&ciphertext);
        Ok(Concealed { ephemeral_key, ciphertext, mac })
    }
}

impl HomeNetworkPrivateKey {
    /// Computes the public key, which is stored in EF.SUCI_Calc_Info.
    #[must_use]
    pub fn public_key(&self) -> HomeNetworkPublicKey {
        match self {
            Self::A(key) => HomeNetworkPublicKey::A(x25519(*key.expose(), X25519_BASEPOINT_BYTES)),
            Self::B(key) => HomeNetworkPublicKey::B(key.public_key()),
        }
    }

    /// Reveals the plaintext that was concealed with the public key. Fails with [`InvalidConcealment`].
    pub fn reveal(&self, concealed: &Concealed) -> Result<Vec<u8>, InvalidConcealment> {
        let ephemeral_key = concealed.ephemeral_key.as_slice();
        let keys = match self {
            Self::A(key) => {
                let peer = ephemeral_key.try_into().map_err(|_| InvalidConcealment)?;
                Keys::derive(&Zeroizing::new(x25519(*key.expose(), peer)), ephemeral_key)
            }
            Self::B(key) => {
                let peer =
                    PublicKey::from_sec1(Curve::P256, ephemeral_key).map_err(|_| InvalidConcealment)?;
                Keys::derive(key.agree(&peer).map_err(|_| InvalidConcealment)?.expose(), ephemeral_key)
            }
        };
        // req: TS.33.501-C.3-Mac
        if !bool::from(keys.mac(&concealed.ciphertext).ct_eq(&concealed.mac)) {
            return Err(InvalidConcealment);
        }
        let mut plaintext = concealed.ciphertext.clone();
        keys.encrypt(&mut plaintext);
        Ok(plaintext)
    }
}

impl Concealed {
    /// Encodes the scheme output for a SUPI that is an IMSI: the three parts concatenated.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.ephemeral_key.as_slice(), &self.ciphertext, &self.mac].concat()
    }

    /// Decodes a scheme output of this profile. Returns `None` if it is too short.
    #[must_use]
    pub fn from_bytes(profile: Profile, octets: &[u8]) -> Option<Self> {
        let key_length = match profile {
            Profile::A => 32,
            Profile::B => 33,
        };
        let (ephemeral_key, rest) = octets.split_at_checked(key_length)?;
        let (ciphertext, mac) = rest.split_last_chunk()?;
        Some(Self { ephemeral_key: ephemeral_key.to_vec(), ciphertext: ciphertext.to_vec(), mac: *mac })
    }
}

/// The output of the key derivation function (annex C.3.4): 16 octets of encryption key, 16 of ICB,
/// 32 of MAC key.
struct Keys {
    encryption: Zeroizing<[u8; 16]>,
    icb: [u8; 16],
    /// Zero-padded to a block, as in HMAC.
    mac: Zeroizing<[u8; 64]>,
}

impl Keys {
    /// Derives the keys. SharedInfo1 is the ephemeral public key as it is sent.
    fn derive(shared: &[u8; 32], ephemeral_key: &[u8]) -> Self {
        let derived = x963::kdf_sha256(shared, ephemeral_key, 64);
        let mut octets = derived.expose().iter().copied();
        let mut take =
            |into: &mut [u8]| into.iter_mut().zip(octets.by_ref()).for_each(|(to, from)| *to = from);
        let mut keys = Self { encryption: [0; 16].into(), icb: [0; 16], mac: [0; 64].into() };
        take(&mut *keys.encryption);
        take(&mut keys.icb);
        take(&mut *keys.mac);
        keys
    }

    /// Applies AES-128 in counter mode. The same operation encrypts and decrypts.
    fn encrypt(&self, octets: &mut [u8]) {
        Ctr128BE::<Aes128>::new((&*self.encryption).into(), (&self.icb).into()).apply_keystream(octets);
    }

    /// Computes the MAC. SharedInfo2 is empty.
    fn mac(&self, ciphertext: &[u8]) -> [u8; 8] {
        let tag = Hmac::<Sha256>::new((&*self.mac).into()).chain_update(ciphertext).finalize().into_bytes();
        let mut mac = [0; 8];
        mac.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::{unhex, unhex_array};

    const KEY_A: &str = "c53c22208b61860b06c62e5406a7b330c2b577aa5558981510d128247d38bd1d";
    const PUBLIC_A: &str = "5a8d38864820197c3394b92613b20b91633cbd897119273bf8e4a6f4eec0a650";
    const KEY_B: &str = "f1ab1074477ebcc7f554ea1c5fc368b1616730155e0041ac447d6301975fecda";
    const PUBLIC_B: &str = "0272da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1";
    const PUBLIC_B_UNCOMPRESSED: &str = "0472da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1\
         5a7ded52fcbb097a4ed250e036c7b9c8c7004c4eedc4f068cd7bf8d3f900e3b4";

    fn private(profile: Profile) -> HomeNetworkPrivateKey {
        match profile {
            Profile::A => HomeNetworkPrivateKey::A(Secret::new(unhex_array(KEY_A))),
            Profile::B => {
                HomeNetworkPrivateKey::B(SecretKey::from_bytes(Curve::P256, &unhex_array(KEY_B)).unwrap())
            }
        }
    }

    /// The values of each entry: profile, ephemeral private key, plaintext; ephemeral public key,
    /// ciphertext, MAC.
    ///
    /// TS 33.501 sections C.4.3.1, C.4.3.2, C.4.4.1 and C.4.4.2: the MSIN of an IMSI, and the user
    /// name of a network specific identifier. The values for an IMSI are also in the tests of
    /// free5gc and CryptoMobile.
    const TEST_DATA: [(Profile, &str); 4] = [
        (
            Profile::A,
            "c80949f13ebe61af4ebdbd293ea4f942696b9e815d7e8f0096bbf6ed7de62256 00012080f6 \
             b2e92f836055a255837debf850b528997ce0201cb82adfe4be1f587d07d8457d cb02352410 cddd9e730ef3fa87",
        ),
        (
            Profile::A,
            "be9eff3e9f22a4b42a3d236e7a6c500b3f2e7e0c7449988ba800d664bf4fcd97 766572796c6f6e67757365726e616d6531 \
             977d8b2fdaa7b64aa700d04227d5b440630ea4ec50f9082273a26bb678c92222 8e358a1582adb15322c10e515141d2039a \
             12e1d7783a97f1ac",
        ),
        (
            Profile::B,
            "99798858a1dc6a2c68637149a4b1dbfd1fdff5addd62a2142f06699ed7602529 00012080f6 \
             039aab8376597021e855679a9778ea0b67396e68c66df32c0f41e9acca2da9b9d1 46a33fc271 6ac7dae96aa30a4d",
        ),
        (
            Profile::B,
            "90a5898bd29ffa3f261e00e980067c70a2b1b992a21f5b4fef6d4df69fe804ad 766572796c6f6e67757365726e616d6531 \
             03759bb22c563d9f4a6b3c1419e543fc2f39d6823f02a9d71162b39399218b244b be22d8b9f856a52ed381cd7eaf4cf2d525 \
             3cddc61a0a7882eb",
        ),
    ];

    #[test]
    fn implementers_test_data() {
        for (profile, values) in TEST_DATA {
            let values: Vec<Vec<u8>> = values.split_whitespace().map(unhex).collect();
            let [ephemeral, plaintext, public, ciphertext, mac] = &values[..] else { panic!("5 values") };
            let key = private(profile).public_key();
            let concealed = key.conceal(plaintext, &mut |octets| octets.copy_from_slice(ephemeral)).unwrap();
            assert_eq!(concealed.to_bytes(), [&public[..], ciphertext, mac].concat(), "{profile:?}");
            assert_eq!(Concealed::from_bytes(profile, &concealed.to_bytes()).as_ref(), Some(&concealed));
            assert_eq!(private(profile).reveal(&concealed).as_ref(), Ok(plaintext), "{profile:?}");
        }
    }

    #[test]
    fn public_keys_decode_in_every_valid_encoding() {
        let read = |profile, text: &str| HomeNetworkPublicKey::from_bytes(profile, &unhex(text));
        assert_eq!(read(Profile::A, PUBLIC_A), Some(private(Profile::A).public_key()));
        assert_eq!(read(Profile::B, PUBLIC_B), Some(private(Profile::B).public_key()));
        assert_eq!(read(Profile::B, PUBLIC_B_UNCOMPRESSED), Some(private(Profile::B).public_key()));
        assert_eq!(read(Profile::B, PUBLIC_A), None);
        assert_eq!(read(Profile::A, PUBLIC_B), None);
        assert_eq!(read(Profile::B, &PUBLIC_B.replacen("02", "05", 1)), None);
        // Points of small order: RFC 7748 section 6.1.
        assert_eq!(read(Profile::A, &"00".repeat(32)), None);
        assert_eq!(read(Profile::A, &format!("01{}", "00".repeat(31))), None);
    }

    // req: TS.33.501-C.3-Mac
    #[test]
    fn a_flipped_bit_is_refused() {
        for profile in [Profile::A, Profile::B] {
            let key = private(profile);
            let mut fill = |octets: &mut [u8]| octets.fill(7);
            let concealed = key.public_key().conceal(b"plaintext", &mut fill).unwrap().to_bytes();
            for bit in 0..8 * concealed.len() {
                // X25519 ignores the highest bit of a coordinate, but SharedInfo1 includes it.
                let mut flipped = concealed.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let flipped = Concealed::from_bytes(profile, &flipped).unwrap();
                assert_eq!(key.reveal(&flipped), Err(InvalidConcealment), "{profile:?} bit {bit}");
            }
        }
        assert_eq!(Concealed::from_bytes(Profile::A, &[0; 39]), None);
        assert!(Concealed::from_bytes(Profile::A, &[0; 40]).is_some());
    }
}
