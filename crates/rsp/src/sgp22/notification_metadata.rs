//! Metadata of notifications, and the configuration of notifications in a profile: SGP.22 section 5.7.9.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{bits, der::BitString, ids::Iccid, sequence};

bits! {
    /// NotificationEvent: a BIT STRING, one bit per event.
    pub mod notification_event {
        /// A profile was installed (or its installation failed).
        INSTALL = 0 "notificationInstall",
        /// A profile was enabled.
        ENABLE = 1 "notificationEnable",
        /// A profile was disabled.
        DISABLE = 2 "notificationDisable",
        /// A profile was deleted.
        DELETE = 3 "notificationDelete",
    }
}

sequence! {
    /// NotificationConfigurationInformation.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct NotificationConfigurationInformation = 0x30 {
        /// The events ([`notification_event`]).
        pub profile_management_operation: BitString = 0x80 known_bits notification_event::NAMES,
        /// The recipient's FQDN.
        pub notification_address: String = 0x81 usually 255,
    }
}

sequence! {
    /// NotificationMetadata: section 5.7.9.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NotificationMetadata = 0xBF2F {
        /// The sequence number, unique on the eUICC and increasing.
        pub seq_number: i64 = 0x80,
        /// One bit of [`notification_event`].
        pub profile_management_operation: BitString = 0x81 known_bits notification_event::NAMES,
        /// The recipient's FQDN.
        pub notification_address: String = 0x0C usually 255,
        /// The profile.
        pub iccid: Option<Iccid> = 0x5A,
    }
}
