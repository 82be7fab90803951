//! Keys of cards.

use crypto::Secret;
use serde::{Deserialize, Serialize};
use world::Fault;

/// A card key. It is hexadecimal in a record and redacted everywhere else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(#[serde(with = "rsp_server::secret_hex")] Secret<Vec<u8>>);

impl Key {
    /// Creates a key from its octets.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Secret::new(octets))
    }

    /// Returns the octets.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// Returns the octets as an AES-128 key.
    ///
    /// # Errors
    /// Returns a fault if the key has another length.
    pub fn aes128(&self) -> Result<Secret<[u8; 16]>, Fault> {
        let octets = self.expose().try_into().map_err(|_| {
            Fault::new(
                "cannot use a key",
                format!("it has {} octets, and an AES-128 key has 16", self.expose().len()),
                "register the card again with keys of AES-128",
            )
        })?;
        Ok(Secret::new(octets))
    }
}

/// A key set of the ISD-R.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeySet {
    /// Key version number.
    pub version: u8,
    /// The keys, by protocol.
    pub keys: Keys,
}

/// Keys of a set, by protocol.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Keys {
    /// Keys for short messages (versions 01 to 0F).
    Scp80 {
        /// Encryption key.
        kic: Key,
        /// Integrity key.
        kid: Key,
        /// Key encryption key.
        dek: Key,
        /// Initial counter value for this SM-SR.
        counter: u64,
    },
    /// Keys for HTTPS (versions 40 to 4F).
    Scp81 {
        /// Pre-shared key.
        psk: Key,
        /// Key encryption key; not every card has one.
        dek: Option<Key>,
    },
}

/// Key version numbers of SCP80: SGP.02 section 2.2.
pub const SCP80_VERSIONS: std::ops::RangeInclusive<u8> = 0x01..=0x0F;

/// Key version numbers of SCP81.
pub const SCP81_VERSIONS: std::ops::RangeInclusive<u8> = 0x40..=0x4F;
