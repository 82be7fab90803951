//! SGP.22, consumer remote SIM provisioning: version 2.5, with later fields that real peers send.
//!
//! The ASN.1 module is compiled with AUTOMATIC TAGS. A structure in which no element has a tag
//! numbers its elements automatically, and a tagged CHOICE is tagged explicitly. The tags in this
//! module are those of the encoding.

pub mod asn1;
pub mod common;
pub mod es10b;
pub mod es10c;
pub mod es11;
pub mod es12;
pub mod es2plus;
pub mod es8plus;
pub mod es9plus;
pub(crate) mod function;
pub mod headers;
mod iot;
pub mod json;
pub mod notification;
pub mod notification_metadata;

pub use common::*;
pub use function::Function;
pub use iot::{IotSpecificInfo, IotSpecificProfileInfo};
pub use notification::{OtherSignedNotification, PendingNotification};
pub use notification_metadata::{
    NotificationConfigurationInformation, NotificationMetadata, notification_event,
};
