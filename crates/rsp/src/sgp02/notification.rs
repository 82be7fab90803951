//! Default notifications, from the eUICC to its SM-SR: SGP.02 section 4.1.1.11.

use serde::{Deserialize, Serialize};

use super::Octets;
use crate::{
    der::{DecodeError, Elements, Tag, tlv_bytes, usually},
    finding::{FindingKind, report},
    ids::{Aid, Eid},
};

/// The tag of the notification.
const NOTIFICATION: Tag = Tag(0xE1);
const EID: Tag = Tag(0x4C);
const TYPE: Tag = Tag(0x4D);
const SEQUENCE_NUMBER: Tag = Tag(0x4E);
/// The COMPREHENSION-TLV of an AID, as written by this implementation.
const AID: Tag = Tag(0x2F);
/// The COMPREHENSION-TLV of an IMEI.
const IMEI: Tag = Tag(0x14);
/// The COMPREHENSION-TLV of an MEID.
const MEID: Tag = Tag(0x6D);

/// The tags that peers use for the AID: with or without the comprehension bit, and the
/// GlobalPlatform tag (one server).
const AID_TAGS: [Tag; 3] = [AID, Tag(0xAF), Tag(0x4F)];
const IMEI_TAGS: [Tag; 2] = [IMEI, Tag(0x94)];
/// ED is a constructed tag in DER but not in TS 102 223. Its contents are therefore not decoded as
/// TLVs.
const MEID_TAGS: [Tag; 2] = [MEID, Tag(0xED)];

/// The usual maximum length of an IMEI or MEID in octets.
const MAX_DEVICE_ID: usize = 8;

/// The reason for a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NotificationType {
    /// 01: the eUICC has registered on a network for the first time in its life.
    EuiccDeclaration,
    /// 02: another profile was enabled on request, and it has network access.
    ProfileChangeSucceeded,
    /// 03: another profile was not enabled on request, or the former profile was enabled again.
    ProfileChangeFailed,
    /// 05: network access was lost, and the profile with the fall-back attribute was enabled.
    ProfileChangeAfterFallback,
    /// A type added by a later version; its value was not observed.
    Other(u8),
}

impl NotificationType {
    /// Returns the encoded octet.
    pub const fn code(self) -> u8 {
        match self {
            Self::EuiccDeclaration => 0x01,
            Self::ProfileChangeSucceeded => 0x02,
            Self::ProfileChangeFailed => 0x03,
            Self::ProfileChangeAfterFallback => 0x05,
            Self::Other(code) => code,
        }
    }

    /// Decodes the octet.
    pub const fn of(code: u8) -> Self {
        match code {
            0x01 => Self::EuiccDeclaration,
            0x02 => Self::ProfileChangeSucceeded,
            0x03 => Self::ProfileChangeFailed,
            0x05 => Self::ProfileChangeAfterFallback,
            other => Self::Other(other),
        }
    }
}

/// A default notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultNotification {
    /// The eUICC that sends the notification.
    pub eid: Eid,
    /// The reason for the notification.
    pub kind: NotificationType,
    /// The sequence number. It increases by one with each notification; a repeated notification has
    /// the same number.
    pub sequence_number: u16,
    /// The enabled ISD-P.
    pub isd_p: Aid,
    /// The IMEI of the device in the encoding of TS 102 223 section 8.20.
    pub imei: Option<Octets>,
    /// The MEID of the device in the encoding of TS 102 223 section 8.81.
    pub meid: Option<Octets>,
}

impl DefaultNotification {
    /// Encodes the TLV `E1`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut contents = tlv_bytes(EID, &self.eid.0);
        contents.extend(tlv_bytes(TYPE, &[self.kind.code()]));
        contents.extend(tlv_bytes(SEQUENCE_NUMBER, &self.sequence_number.to_be_bytes()));
        contents.extend(tlv_bytes(AID, &self.isd_p.0));
        for (tag, value) in [(IMEI, &self.imei), (MEID, &self.meid)] {
            if let Some(value) = value {
                contents.extend(tlv_bytes(tag, value.as_slice()));
            }
        }
        tlv_bytes(NOTIFICATION, &contents)
    }

    /// Decodes the TLV `E1`.
    ///
    /// # Errors
    /// The octets are another TLV, or a mandatory element is missing or has another size.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut elements = Elements::within("DefaultNotification", NOTIFICATION, octets)?;
        let eid = Eid(elements.array(EID, "an EID has 16 octets")?);
        let [kind] = elements.array(TYPE, "the type of a notification must be one octet")?;
        let sequence_number =
            elements.array(SEQUENCE_NUMBER, "the sequence number of a notification must have two octets")?;
        let isd_p = Aid::of_peer(elements.contents_of(&AID_TAGS)?);
        let mut device = |tags, field| -> Result<Option<Octets>, DecodeError> {
            let value = elements.take(tags)?.map(|reader| reader.rest().to_vec());
            usually(&value, MAX_DEVICE_ID, field);
            Ok(value.map(Octets))
        };
        let imei = device(&IMEI_TAGS, "DefaultNotification.imei")?;
        let meid = device(&MEID_TAGS, "DefaultNotification.meid")?;
        elements.finish();
        if eid.to_string().parse() != Ok(eid) {
            report(FindingKind::EidCoding, || eid.to_string());
        }
        if NotificationType::of(kind) == NotificationType::Other(kind) {
            report(FindingKind::UnknownValue, || format!("DefaultNotification.kind: {kind:02X}"));
        }
        Ok(Self {
            eid,
            kind: NotificationType::of(kind),
            sequence_number: u16::from_be_bytes(sequence_number),
            isd_p,
            imei,
            meid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Composed manually from the table of tags.
    const DECLARATION: &str =
        "e12b4c1089001012012341234012345678901224 4d0101 4e020001 2f10a0000005591010ffffffff8900001000 ";

    fn octets(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    #[test]
    fn a_notification_is_encoded_and_decoded() {
        let parsed = DefaultNotification::parse(&octets(DECLARATION)).unwrap();
        assert_eq!(parsed.eid.to_string(), "89001012012341234012345678901224");
        assert_eq!(parsed.kind, NotificationType::EuiccDeclaration);
        assert_eq!(parsed.sequence_number, 1);
        assert_eq!(parsed.isd_p, Aid::isd_p(0x10));
        assert_eq!(parsed.to_bytes(), octets(DECLARATION));
    }

    #[test]
    fn the_aid_and_the_imei_are_accepted_under_each_of_their_tags() {
        for aid in ["2f", "af", "4f"] {
            for imei in ["14", "94"] {
                let text = DECLARATION.replace("2f10", &format!("{aid}10")).replace("e12b", "e135");
                let text = format!("{text}{imei}084a09080706050403");
                let parsed = DefaultNotification::parse(&octets(&text)).unwrap();
                assert_eq!(parsed.isd_p, Aid::isd_p(0x10));
                assert_eq!(parsed.imei.unwrap().0.len(), 8);
            }
        }
    }

    #[test]
    fn truncated_and_incomplete_notifications_are_refused() {
        let whole = octets(DECLARATION);
        for end in 0..whole.len() {
            assert!(DefaultNotification::parse(&whole[..end]).is_err(), "{end}");
        }
        for tag in ["4c", "4d", "4e", "2f"] {
            let text = DECLARATION.replace(&format!("{tag}10"), "0010").replace(&format!("{tag}0"), "000");
            assert!(DefaultNotification::parse(&octets(&text)).is_err(), "{tag}");
        }
    }
}
