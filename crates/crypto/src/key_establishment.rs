//! Key establishment by scenario #3: GlobalPlatform Amendment E section 4.8, SGP.02 sections
//! 4.1.1.8 and 4.1.3.1.
//!
//! A server's one-time key agrees with the static key of the ECASD. Both sides derive a receipt key
//! and the keys of the new key set. Authenticating the server by its certificate and its signature
//! is outside this module.

use std::fmt;

use crate::aes_key::AesKey;
use crate::ber;
use crate::constant_time::is_equal;
use crate::curve::SharedSecret;
use crate::secret::Secret;
use crate::x963;

/// The length of a derived key in octets.
pub const KEY_LENGTH: usize = 16;

/// Key type: AES.
pub const KEY_TYPE_AES: u8 = 0x88;

/// Usage of the derived keys: tag 95 of the control reference template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyUsage {
    /// 10: three secure channel keys, ENC, MAC and DEK (for SCP80: KIc, KID, DEK).
    ThreeKeys,
    /// 5C: one base key.
    OneKey,
}

impl KeyUsage {
    /// Returns the key usage qualifier.
    #[must_use]
    pub const fn qualifier(self) -> u8 {
        match self {
            Self::ThreeKeys => 0x10,
            Self::OneKey => 0x5C,
        }
    }

    /// Returns the usage with this qualifier, or `None` if the qualifier is unknown.
    #[must_use]
    pub const fn of(qualifier: u8) -> Option<Self> {
        match qualifier {
            0x10 => Some(Self::ThreeKeys),
            0x5C => Some(Self::OneKey),
            _ => None,
        }
    }

    const fn keys(self) -> usize {
        match self {
            Self::ThreeKeys => 3,
            Self::OneKey => 1,
        }
    }
}

/// The length of a derivation random in octets. Both curves have 256 bits; longer curves would need
/// 24 and 32.
pub const DERIVATION_RANDOM_LENGTH: usize = 16;

/// SharedInfo of the derivation: the input that both sides know in addition to the shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedInfo<'a> {
    /// The usage of the keys.
    pub usage: KeyUsage,
    /// The card's derivation random, if the scenario parameters request one.
    pub derivation_random: Option<&'a [u8]>,
    /// The host ID, if the scenario parameters include it.
    pub host_id: Option<&'a [u8]>,
    /// SIN and SDIN of the security domain, if the scenario parameters include them. Only one
    /// source confirms that they follow the host ID in this order.
    pub card_id: Option<(&'a [u8], &'a [u8])>,
}

impl SharedInfo<'_> {
    fn to_bytes(self) -> Vec<u8> {
        let mut out = vec![self.usage.qualifier(), KEY_TYPE_AES, KEY_LENGTH as u8];
        out.extend_from_slice(self.derivation_random.unwrap_or_default());
        let (sin, sdin) = self.card_id.unzip();
        for value in [self.host_id, sin, sdin].into_iter().flatten() {
            out.extend(ber::length(value.len()));
            out.extend_from_slice(value);
        }
        out
    }
}

/// The keys that both sides derive.
#[derive(Clone)]
pub struct EstablishedKeys {
    receipt: AesKey,
    /// ENC, MAC and DEK, or the one base key.
    pub keys: Vec<Secret<[u8; KEY_LENGTH]>>,
}

impl EstablishedKeys {
    /// Derives the keys from the shared secret with the X9.63 key derivation function.
    #[must_use]
    pub fn derive(shared: &SharedSecret, info: &SharedInfo<'_>) -> Self {
        let octets = (info.usage.keys() + 1) * KEY_LENGTH;
        let derived = x963::kdf_sha256(shared.expose(), &info.to_bytes(), octets);
        let mut keys =
            derived.expose().chunks_exact(KEY_LENGTH).map(|key| key.try_into().unwrap_or([0; KEY_LENGTH]));
        let receipt = AesKey::new(keys.next().unwrap_or([0; KEY_LENGTH]));
        Self { receipt, keys: keys.map(Secret::new).collect() }
    }

    /// Returns the receipt with which the card proves that it derived the same keys. It is the MAC
    /// of the control reference template (tag A6, whole TLV) and of the derivation random (tag 85,
    /// whole TLV) if there is one.
    #[must_use]
    pub fn receipt(&self, control_reference: &[u8], derivation_random: Option<&[u8]>) -> [u8; 16] {
        let random =
            derivation_random.map(|random| [&[0x85], ber::length(random.len()).as_slice(), random].concat());
        self.receipt.cmac(&[control_reference, random.as_deref().unwrap_or_default()])
    }

    /// True if `receipt` is the expected receipt.
    #[must_use]
    pub fn is_receipt(
        &self,
        receipt: &[u8],
        control_reference: &[u8],
        derivation_random: Option<&[u8]>,
    ) -> bool {
        is_equal(receipt, &self.receipt(control_reference, derivation_random))
    }
}

/// The reason why a card's response does not establish a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyEstablishmentError {
    /// The derivation random has this invalid length in octets.
    #[error(
        "the derivation random of the card has {0} octets; a curve of 256 bits requires {DERIVATION_RANDOM_LENGTH}"
    )]
    DerivationRandom(usize),
    /// The card derived other keys or none.
    #[error("the card's receipt does not match the derived keys")]
    Receipt,
}

/// Returns the three keys of the new key set at the server if the card's receipt proves that it
/// derived the same keys. The derivation includes no host ID and no card ID.
pub fn verify_three_keys(
    shared: &SharedSecret,
    control_reference: &[u8],
    derivation_random: Option<&[u8]>,
    receipt: &[u8],
) -> Result<[Secret<[u8; KEY_LENGTH]>; 3], KeyEstablishmentError> {
    let wrong = derivation_random.filter(|random| random.len() != DERIVATION_RANDOM_LENGTH);
    if let Some(random) = wrong {
        return Err(KeyEstablishmentError::DerivationRandom(random.len()));
    }
    let info = SharedInfo { usage: KeyUsage::ThreeKeys, derivation_random, host_id: None, card_id: None };
    let derived = EstablishedKeys::derive(shared, &info);
    let is_proven = derived.is_receipt(receipt, control_reference, derivation_random);
    derived.keys.try_into().ok().filter(|_| is_proven).ok_or(KeyEstablishmentError::Receipt)
}

impl fmt::Debug for EstablishedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EstablishedKeys(.., {} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::{Curve, SecretKey};
    use crate::hex::unhex;

    const CONTROL_REFERENCE: &str = "a61590020309950110800188810110820101830130 9100";

    fn shared() -> SharedSecret {
        let server = SecretKey::from_bytes(Curve::P256, &[0x11; 32]).unwrap();
        let ecasd = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap();
        assert_eq!(
            server.public_key().to_sec1().as_slice(),
            unhex(
                "040217e617f0b6443928278f96999e69a23a4f2c152bdf6d6cdf66e5b80282d4ed\
                 194a7debcb97712d2dda3ca85aa8765a56f45fc758599652f2897c65306e5794"
            )
        );
        let shared = server.agree(&ecasd.public_key()).unwrap();
        assert_eq!(ecasd.agree(&server.public_key()).unwrap().expose(), shared.expose());
        shared
    }

    fn control_reference(parameters: u8) -> Vec<u8> {
        let mut octets = unhex(&CONTROL_REFERENCE.replace(' ', ""));
        octets[5] = parameters;
        octets
    }

    fn info(derivation_random: Option<&[u8]>) -> SharedInfo<'_> {
        SharedInfo { usage: KeyUsage::ThreeKeys, derivation_random, host_id: None, card_id: None }
    }

    fn octets(keys: &EstablishedKeys) -> Vec<Vec<u8>> {
        keys.keys.iter().map(|key| key.expose().to_vec()).collect()
    }

    /// Computed once by independent code (Python's cryptography) from the specification; not a GSMA
    /// vector.
    #[test]
    fn the_example_without_a_derivation_random_is_reproduced() {
        let shared = shared();
        assert_eq!(
            shared.expose().as_slice(),
            unhex("ccfc261f58193c98ca4ad4a53bbac6f0ee29bc4d48438090446908622ca79af6")
        );
        let keys = EstablishedKeys::derive(&shared, &info(None));
        assert_eq!(keys.receipt.expose(), unhex("cd7f2b825f068c8c959f878067cd3bac"));
        assert_eq!(
            octets(&keys),
            [
                unhex("c40b97be5c644ba3e2d06dac8747a6f3"),
                unhex("5a4122852513f84be078b80c68056a4f"),
                unhex("4ea9e6b34e49d419d81c095927a800e4")
            ]
        );
        let receipt = keys.receipt(&control_reference(0x09), None);
        assert_eq!(receipt.as_slice(), unhex("64e6d742f0583a58a9d74821e3c0304b"));
        assert!(keys.is_receipt(&receipt, &control_reference(0x09), None));
        assert!(!keys.is_receipt(&receipt, &control_reference(0x0B), None));
        assert!(!keys.is_receipt(&receipt[..15], &control_reference(0x09), None));
    }

    /// See `the_example_without_a_derivation_random_is_reproduced` for the origin of the values.
    #[test]
    fn the_example_with_a_derivation_random_is_reproduced() {
        let random: Vec<u8> = (0..16).collect();
        let keys = EstablishedKeys::derive(&shared(), &info(Some(&random)));
        assert_eq!(keys.receipt.expose(), unhex("febcc59c6d536b6fd7a0cd7553c48cbd"));
        assert_eq!(
            octets(&keys),
            [
                unhex("3ef9de61436e79e678d15459f2df5de0"),
                unhex("e6e0ea49cdd5d931745a3614655aff70"),
                unhex("077c8f478632387f8e28e7a0656fc6d9")
            ]
        );
        let receipt = keys.receipt(&control_reference(0x0B), Some(&random));
        assert_eq!(receipt.as_slice(), unhex("37dfe69d0e8d3ffa2309f6d5827b3d1d"));
    }

    #[test]
    fn three_keys_requires_a_matching_receipt_and_a_derivation_random_of_16_octets() {
        let (shared, random) = (shared(), (0..16).collect::<Vec<u8>>());
        let receipt = unhex("37dfe69d0e8d3ffa2309f6d5827b3d1d");
        let three = |random, receipt: &[u8]| {
            let keys = verify_three_keys(&shared, &control_reference(0x0B), Some(random), receipt);
            keys.map(|keys| keys.map(|key| key.expose().to_vec()))
        };
        let expected = octets(&EstablishedKeys::derive(&shared, &info(Some(&random))));
        assert_eq!(three(&random, &receipt).map(Vec::from), Ok(expected));
        assert_eq!(three(&random, &receipt[..15]), Err(KeyEstablishmentError::Receipt));
        assert_eq!(three(&random, &[0; 16]), Err(KeyEstablishmentError::Receipt));
        // The receipt is correct, but the derivation random has another length.
        let shorter = EstablishedKeys::derive(&shared, &info(Some(&random[..8])));
        let receipt = shorter.receipt(&control_reference(0x0B), Some(&random[..8]));
        assert_eq!(three(&random[..8], &receipt), Err(KeyEstablishmentError::DerivationRandom(8)));
    }

    #[test]
    fn every_part_of_the_shared_info_changes_the_keys() {
        let shared = shared();
        let one = SharedInfo { usage: KeyUsage::OneKey, ..info(None) };
        let host = SharedInfo { host_id: Some(&[1, 2]), ..info(None) };
        let card = SharedInfo { card_id: Some((&[1], &[2])), ..host };
        let swapped = SharedInfo { card_id: Some((&[2], &[1])), ..host };
        let all: Vec<_> = [info(None), info(Some(&[0; 16])), one, host, card, swapped]
            .iter()
            .map(|info| octets(&EstablishedKeys::derive(&shared, info)))
            .collect();
        for (at, keys) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other != keys), "{at}");
        }
        assert_eq!((all[2].len(), all[0].len()), (1, 3));
        assert_eq!(KeyUsage::of(0x5C), Some(KeyUsage::OneKey));
        assert_eq!(KeyUsage::of(KeyUsage::ThreeKeys.qualifier()), Some(KeyUsage::ThreeKeys));
        assert_eq!(KeyUsage::of(0), None);
    }
}
