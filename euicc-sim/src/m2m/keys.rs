//! Key sets of security domains: SGP.02 section 2.2.3 and annex E, GlobalPlatform section 11.1.8.

use crypto::Secret;
use profile::SecretOctets;
use rsp::sgp02::keys::{KeySetUse, KeyVersion};
use serde::{Deserialize, Serialize};

/// The keys of one key version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// Key version number: 01 to 0F for SCP80, 30 to 3F for SCP03, 40 to 4F for SCP81, 70 for
    /// tokens.
    pub version: u8,
    /// The keys in ascending order of their identifiers.
    pub keys: Vec<Key>,
    /// The counter of the key set. SCP80: the highest accepted counter (5 octets). SCP03: the
    /// sequence counter of the latest session (3 octets).
    #[serde(default)]
    pub counter: u64,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Key identifier. SCP80: 1 KIc, 2 KID, 3 DEK. SCP03: 1 ENC, 2 MAC, 3 DEK. SCP81: 1 PSK, 2 DEK.
    pub id: u8,
    /// The key type.
    #[serde(default)]
    pub kind: KeyKind,
    /// The key.
    pub value: SecretOctets,
}

/// Key types: GlobalPlatform section 11.1.8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// AES, 16 octets.
    #[default]
    Aes,
    /// A pre-shared key for TLS.
    TlsPsk,
}

/// Length of an AES key in octets. Only AES-128 is supported.
pub const AES_KEY: usize = 16;

impl KeyKind {
    /// Decodes a key type.
    pub(crate) fn of(octet: u8) -> Option<Self> {
        match octet {
            0x88 => Some(Self::Aes),
            0x85 => Some(Self::TlsPsk),
            _ => None,
        }
    }

    /// Encodes the key type as in the key information template.
    pub(crate) fn octet(self) -> u8 {
        match self {
            Self::Aes => 0x88,
            Self::TlsPsk => 0x85,
        }
    }
}

impl KeySet {
    /// A key set of three AES keys with the identifiers 1 to 3.
    #[must_use]
    pub fn of_three(version: u8, keys: [[u8; AES_KEY]; 3], counter: u64) -> Self {
        let key = |(id, value): (u8, [u8; AES_KEY])| Key { id, kind: KeyKind::Aes, value: value.into() };
        Self { version, keys: (1..).zip(keys).map(key).collect(), counter }
    }

    /// The protocol or purpose of the key version.
    pub(crate) fn usage(&self) -> Option<KeySetUse> {
        KeyVersion(self.version).usage()
    }

    /// The key with this identifier.
    pub(crate) fn key(&self, id: u8) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The AES key with this identifier.
    pub(crate) fn aes(&self, id: u8) -> Option<Secret<[u8; AES_KEY]>> {
        let key = self.key(id).filter(|key| key.kind == KeyKind::Aes)?;
        key.value.expose().try_into().ok().map(Secret::new)
    }

    /// The pre-shared key with this identifier. The DEK of the same set does not qualify.
    pub(crate) fn psk(&self, id: u8) -> Option<&SecretOctets> {
        self.key(id).filter(|key| key.kind == KeyKind::TlsPsk).map(|key| &key.value)
    }

    /// The key that encrypts other keys: the third key of SCP80 and SCP03, the second of SCP81.
    pub(crate) fn dek(&self) -> Option<Secret<[u8; AES_KEY]>> {
        match self.usage()? {
            KeySetUse::Scp80 | KeySetUse::Scp03 => self.aes(3),
            KeySetUse::Scp81 => self.aes(2),
            KeySetUse::TokenVerification | KeySetUse::ReceiptGeneration => None,
        }
    }

    /// Adds or replaces a key.
    pub(crate) fn put(&mut self, key: Key) {
        self.keys.retain(|known| known.id != key.id);
        self.keys.push(key);
        self.keys.sort_by_key(|key| key.id);
    }
}

/// The key set with this version.
pub(crate) fn find(sets: &[KeySet], version: u8) -> Option<&KeySet> {
    sets.iter().find(|set| set.version == version)
}

/// True if one of the sets can secure packets. Otherwise no server could reach the card any more.
pub(crate) fn can_secure_packets(sets: &[KeySet]) -> bool {
    let is_whole = |set: &KeySet| set.aes(1).is_some() && set.aes(2).is_some();
    sets.iter().any(|set| set.usage() == Some(KeySetUse::Scp80) && is_whole(set))
}

/// Adds a key set or replaces the one with the same version.
pub(crate) fn replace(sets: &mut Vec<KeySet>, set: KeySet) {
    sets.retain(|known| known.version != set.version);
    sets.push(set);
    sets.sort_by_key(|set| set.version);
}
