//! Pending notifications of an IoT eUICC: SGP.32 section 5.14.7.

use super::compact::{CompactOtherSignedNotification, CompactProfileInstallationResult};
use crate::{
    choice,
    der::{Asn1, DecodeError, Opaque, Reader, Shape, Tag, write_tlv},
    sgp22::{OtherSignedNotification, es8plus::ProfileInstallationResult},
};

choice! {
    /// PendingNotification: section 5.14.7. An IPA that saves octets on ESipa uses the compact forms.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum PendingNotification = 0 {
        /// The result of an installation.
        ProfileInstallationResult(ProfileInstallationResult) = 0xBF37,
        /// Any other notification.
        OtherSignedNotification(OtherSignedNotification) = 0x30,
        /// The result of an installation, without what the eIM knows.
        CompactProfileInstallationResult(CompactProfileInstallationResult) = 0xA0,
        /// Any other notification, without what the eIM knows.
        CompactOtherSignedNotification(CompactOtherSignedNotification) = 0xA1,
    }
}

/// PendingNotificationList: section 5.14.7. The notifications are kept as they were signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingNotificationList(pub Vec<Opaque<PendingNotification>>);

impl PendingNotificationList {
    /// The tag of the list in v1.0: RetrieveNotificationsListResponse, which contains the list.
    pub(super) const V1_0: Tag = Tag(0xBF2B);
    /// The tag of the list in RetrieveNotificationsListResponse.
    const LIST: Tag = Tag(0xA0);
}

impl Asn1 for PendingNotificationList {
    const TAG: Tag = Tag::SEQUENCE;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        if tag == Self::V1_0 {
            let mut list = Vec::new();
            self.0.encode_as(Self::LIST, &mut list);
            return write_tlv(tag, &list, out);
        }
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if tag == Self::V1_0 {
            let mut inner = reader.enter(tag)?;
            // The response can also have results of packages, which the IPA sends itself, or an error.
            let list = match inner.peek()? {
                Some(Self::LIST) => Vec::decode_as(Self::LIST, &mut inner)?,
                _ => Vec::new(),
            };
            inner.skip_unknown("RetrieveNotificationsListResponse")?;
            return Ok(Self(list));
        }
        Vec::decode_as(tag, reader).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Opaque<PendingNotification>>::shape()
    }
}
