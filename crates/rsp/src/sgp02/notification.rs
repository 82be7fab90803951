//! Default notifications, from the eUICC to its SM-SR: SGP.02 section 4.1.1.11.

use serde::{Deserialize, Serialize};

use super::Octets;
use crate::{
    der::{DecodeError, Problem, Reader, Tag, tlv, tlv_bytes},
    ids::{Aid, Eid},
};

/// The whole of it.
const NOTIFICATION: Tag = Tag(0xE1);
const EID: Tag = Tag(0x4C);
const TYPE: Tag = Tag(0x4D);
const SEQUENCE_NUMBER: Tag = Tag(0x4E);
/// COMPREHENSION-TLV of an AID, which we write.
const AID: Tag = Tag(0x2F);
/// COMPREHENSION-TLV of an IMEI.
const IMEI: Tag = Tag(0x14);
/// COMPREHENSION-TLV of an MEID.
const MEID: Tag = Tag(0x6D);

/// How peers tag the AID: with or without the bit that asks for comprehension, and as GlobalPlatform does (one server).
const AID_TAGS: [Tag; 3] = [AID, Tag(0xAF), Tag(0x4F)];
const IMEI_TAGS: [Tag; 2] = [IMEI, Tag(0x94)];
/// ED is a constructed tag for TS 102 223 alone; as DER it is one too, and its contents are looked at no further.
const MEID_TAGS: [Tag; 2] = [MEID, Tag(0xED)];

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NotificationType {
    /// 01: the eUICC is on a network for the first time in its life.
    EuiccDeclaration,
    /// 02: another profile was enabled as it was asked for, and its network carries.
    ProfileChangeSucceeded,
    /// 03: another profile was to be enabled; it was not, or the former one is enabled again.
    ProfileChangeFailed,
    /// 05: the network was lost, and the profile with the fall-back attribute is enabled.
    ProfileChangeAfterFallback,
    /// What later versions have added; the values were not seen.
    Other(u8),
}

impl NotificationType {
    /// The octet.
    pub const fn code(self) -> u8 {
        match self {
            Self::EuiccDeclaration => 0x01,
            Self::ProfileChangeSucceeded => 0x02,
            Self::ProfileChangeFailed => 0x03,
            Self::ProfileChangeAfterFallback => 0x05,
            Self::Other(code) => code,
        }
    }

    /// From the octet.
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

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultNotification {
    /// Of which eUICC.
    pub eid: Eid,
    /// What has happened.
    pub kind: NotificationType,
    /// One more with each; a repetition has the same.
    pub sequence_number: u16,
    /// The ISD-P that is enabled.
    pub isd_p: Aid,
    /// Of the device, as TS 102 223 section 8.20 codes it.
    pub imei: Option<Octets>,
    /// Of the device, as TS 102 223 section 8.81 codes it.
    pub meid: Option<Octets>,
}

impl DefaultNotification {
    /// The TLV `E1`.
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

    /// From the TLV. What is not known after what must be there is passed over.
    ///
    /// # Errors
    /// It is another TLV, or one without what a notification must have.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(octets);
        let contents = reader.contents(NOTIFICATION)?;
        reader.finish()?;
        let elements: Vec<(Tag, &[u8])> = tlv::each(contents)?.into_iter().filter_map(tlv::split).collect();
        let find =
            |tags: &[Tag]| elements.iter().find(|(tag, _)| tags.contains(tag)).map(|(_, value)| *value);
        let must = |tags: &[Tag], expected| {
            find(tags).ok_or(DecodeError::new(octets.len(), Problem::Missing { expected }))
        };
        let bad = |what| DecodeError::new(0, Problem::BadValue(what));
        let eid = must(&[EID], EID)?.try_into().map_err(|_| bad("an EID has 16 octets"))?;
        let [kind] = must(&[TYPE], TYPE)? else { return Err(bad("the type of a notification is one octet")) };
        let sequence_number = must(&[SEQUENCE_NUMBER], SEQUENCE_NUMBER)?;
        let sequence_number =
            sequence_number.try_into().map_err(|_| bad("the number of a notification has two octets"))?;
        let isd_p = must(&AID_TAGS, AID)?;
        if !(5..=16).contains(&isd_p.len()) {
            return Err(bad("an AID has 5 to 16 octets"));
        }
        Ok(Self {
            eid: Eid(eid),
            kind: NotificationType::of(*kind),
            sequence_number: u16::from_be_bytes(sequence_number),
            isd_p: Aid(isd_p.to_vec()),
            imei: find(&IMEI_TAGS).map(Octets::from),
            meid: find(&MEID_TAGS).map(Octets::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together by hand from the table of tags.
    const DECLARATION: &str =
        "e12b4c1089001012012341234012345678901224 4d0101 4e020001 2f10a0000005591010ffffffff8900001000 ";

    fn octets(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    #[test]
    fn a_notification_is_what_the_table_says() {
        let parsed = DefaultNotification::parse(&octets(DECLARATION)).unwrap();
        assert_eq!(parsed.eid.to_string(), "89001012012341234012345678901224");
        assert_eq!(parsed.kind, NotificationType::EuiccDeclaration);
        assert_eq!(parsed.sequence_number, 1);
        assert_eq!(parsed.isd_p, Aid::isd_p(0x10));
        assert_eq!(parsed.to_bytes(), octets(DECLARATION));
    }

    #[test]
    fn the_aid_is_taken_under_each_of_its_tags_and_the_imei_under_both() {
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
    fn what_is_cut_or_lacks_something_is_none() {
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
