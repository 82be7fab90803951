//! Pending notifications of an eUICC: SGP.22 section 5.7.10.

use super::{NotificationMetadata, SignatureOctets, es8plus::ProfileInstallationResult};
use crate::{choice, der::Raw, ids::CertificateDer, sequence};

sequence! {
    /// OtherSignedNotification: section 5.7.10.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OtherSignedNotification = 0x30 {
        /// The metadata of the notification.
        pub tbs_other_notification: Raw<NotificationMetadata> = 0xBF2F,
        /// The eUICC's signature over the previous element.
        pub euicc_notification_signature: SignatureOctets = 0x5F37 usually 64,
        /// CERT.EUICC.
        pub euicc_certificate: CertificateDer = 0x30,
        /// CERT.EUM.
        pub eum_certificate: CertificateDer = 0x30,
    }
}

choice! {
    /// PendingNotification: section 5.7.10.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum PendingNotification = 0 {
        /// The result of an installation.
        ProfileInstallationResult(ProfileInstallationResult) = 0xBF37,
        /// Any other notification.
        OtherSignedNotification(OtherSignedNotification) = 0x30,
    }
}
