//! Key version numbers and key identifiers of an M2M eUICC: SGP.02 section 2.2.5, GlobalPlatform
//! Card Specification UICC Configuration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    der::{DecodeError, Elements, Reader, Tag, tlv_bytes},
    ids::{Aid, Eid, InvalidId},
};

/// A key version number, which also determines the use of the key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyVersion(pub u8);

/// The use of a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeySetUse {
    /// 01 to 0F: KIc, KID and DEK.
    Scp80,
    /// 30 to 3F: ENC, MAC and DEK.
    Scp03,
    /// 40 to 4F: PSK and DEK.
    Scp81,
    /// 70: the key for token verification.
    TokenVerification,
    /// 71: the key for receipt generation.
    ReceiptGeneration,
}

impl KeyVersion {
    /// The key set that the SM-DP establishes in an ISD-P.
    pub const ISD_P: Self = Self(0x30);
    /// The key for token verification.
    pub const TOKEN: Self = Self(0x70);

    /// Returns the use of the key set, or `None` for a number without a defined use.
    pub const fn usage(self) -> Option<KeySetUse> {
        match self.0 {
            0x01..=0x0F => Some(KeySetUse::Scp80),
            0x30..=0x3F => Some(KeySetUse::Scp03),
            0x40..=0x4F => Some(KeySetUse::Scp81),
            0x70 => Some(KeySetUse::TokenVerification),
            0x71 => Some(KeySetUse::ReceiptGeneration),
            _ => None,
        }
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

/// The PSK identity with which a card selects its key in TLS: SGP.02 section 2.4.4.1. Its text form
/// is the octets in upper-case hexadecimal (90 characters), which is also the form on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PskIdentity {
    /// The EID of the card.
    pub eid: Eid,
    /// The key version number.
    pub key_version: KeyVersion,
    /// The key identifier.
    pub key_identifier: u8,
}

const VERSION: Tag = Tag(0x80);
const EID: Tag = Tag(0x81);
const AID: Tag = Tag(0x4F);
const KEY_IDENTIFIER: Tag = Tag(0x82);
const KEY_VERSION: Tag = Tag(0x83);

/// The only defined version of the identity.
const IDENTITY_VERSION: [u8; 1] = [0x02];

impl fmt::Display for PskIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [
            tlv_bytes(VERSION, &IDENTITY_VERSION),
            tlv_bytes(EID, &self.eid.0),
            tlv_bytes(AID, &Aid::ISD_R),
            tlv_bytes(KEY_IDENTIFIER, &[self.key_identifier]),
            tlv_bytes(KEY_VERSION, &[self.key_version.0]),
        ];
        f.write_str(&hex::encode_upper(octets.concat()))
    }
}

impl FromStr for PskIdentity {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || InvalidId::new(text, "the PSK identity of an ISD-R (90 hexadecimal digits)");
        let octets = hex::decode(text).map_err(|_| bad())?;
        let read = || {
            let mut elements = Elements::of("PskIdentity", Reader::new(&octets))?;
            let version: [u8; 1] = elements.array(VERSION, "one octet")?;
            let aid = elements.contents(AID)?;
            let eid = Eid(elements.array(EID, "an EID has 16 octets")?);
            let [key_identifier] = elements.array(KEY_IDENTIFIER, "one octet")?;
            let [key_version] = elements.array(KEY_VERSION, "one octet")?;
            elements.finish();
            let identity = Self { eid, key_version: KeyVersion(key_version), key_identifier };
            Ok((version == IDENTITY_VERSION && *aid == Aid::ISD_R).then_some(identity))
        };
        read().map_err(|_: DecodeError| bad())?.ok_or_else(bad)
    }
}

impl Serialize for PskIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PskIdentity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_90_digits() {
        let eid: Eid = "89001012012341234012345678901224".parse().unwrap();
        let identity = PskIdentity { eid, key_version: KeyVersion(0x40), key_identifier: 1 };
        let text = identity.to_string();
        assert_eq!(
            text,
            "800102811089001012012341234012345678901224 4F10A0000005591010FFFFFFFF8900000100820101830140"
                .replace(' ', "")
        );
        assert_eq!(text.len(), 90);
        assert_eq!(text.parse(), Ok(identity));
        assert_eq!(text.to_lowercase().parse(), Ok(identity));
        for other in [
            "",
            "80",
            &text[..88],
            &text.replace("800102", "800101"),
            &text.replace("0100820101", "0200820101"),
            &format!("{text}00"),
        ] {
            assert!(other.parse::<PskIdentity>().is_err(), "{other}");
        }
    }

    #[test]
    fn the_key_version_determines_the_use_of_the_key_set() {
        for (version, usage) in [
            (0x00, None),
            (0x01, Some(KeySetUse::Scp80)),
            (0x0F, Some(KeySetUse::Scp80)),
            (0x10, None),
            (0x30, Some(KeySetUse::Scp03)),
            (0x4F, Some(KeySetUse::Scp81)),
            (0x70, Some(KeySetUse::TokenVerification)),
            (0x71, Some(KeySetUse::ReceiptGeneration)),
            (0x72, None),
        ] {
            assert_eq!(KeyVersion(version).usage(), usage, "{version:02X}");
        }
    }
}
