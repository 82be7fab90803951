//! How a card calls itself in the TLS handshake: SGP.02 section 2.4.4, the table of the PSK identity.

use std::{fmt, str::FromStr};

use rsp::ids::{Aid, Eid};

/// A PSK identity: in hexadecimal a version, the EID, the AID of the ISD-R, and which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The card.
    pub eid: Eid,
    /// Key identifier.
    pub key_id: u8,
    /// Key version number.
    pub kvn: u8,
}

/// Tag 80: the form of the identity. Two sources have this one and no other.
const VERSION: [u8; 3] = [0x80, 0x01, 0x02];
const EID: [u8; 2] = [0x81, 0x10];
const AID: [u8; 2] = [0x4F, 0x10];
const KEY_ID: [u8; 2] = [0x82, 0x01];
const KVN: [u8; 2] = [0x83, 0x01];

/// The text is not the identity of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the PSK identity of a card, which has 90 digits and begins with 8001028110 and the EID")]
pub struct NoIdentity;

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets =
            [&VERSION[..], &EID, &self.eid.0, &AID, &Aid::ISD_R, &KEY_ID, &[self.key_id], &KVN, &[self.kvn]];
        f.write_str(&hex::encode_upper(octets.concat()))
    }
}

impl FromStr for Identity {
    type Err = NoIdentity;

    fn from_str(text: &str) -> Result<Self, NoIdentity> {
        let read = || {
            let octets = hex::decode(text).ok()?;
            let rest = octets.strip_prefix(&VERSION)?.strip_prefix(&EID)?;
            let (eid, rest) = rest.split_first_chunk::<16>()?;
            let rest = rest.strip_prefix(&AID)?.strip_prefix(&Aid::ISD_R)?.strip_prefix(&KEY_ID)?;
            let (key_id, rest) = rest.split_first()?;
            let [kvn] = rest.strip_prefix(&KVN)? else { return None };
            Some(Self { eid: Eid(*eid), key_id: *key_id, kvn: *kvn })
        };
        // One card has one name: not the same in small letters too.
        read().filter(|identity| identity.to_string() == text).ok_or(NoIdentity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "8001028110890490321234512345123451234512354F10A0000005591010FFFFFFFF8900000100820101830140";

    #[test]
    fn an_identity_has_one_text() {
        let identity: Identity = TEXT.parse().unwrap();
        assert_eq!(identity.eid.to_string(), "89049032123451234512345123451235");
        assert_eq!((identity.key_id, identity.kvn), (1, 0x40));
        assert_eq!(identity.to_string(), TEXT);
        assert_eq!(TEXT.len(), 90);
        let others = [
            TEXT.to_lowercase(),
            TEXT.replace("800102", "800101"),
            TEXT.replace("89000001", "89000002"),
            format!("{TEXT}00"),
            TEXT[..88].to_owned(),
            String::new(),
            "client".to_owned(),
        ];
        for other in others {
            assert_eq!(other.parse::<Identity>(), Err(NoIdentity), "{other}");
        }
    }
}
