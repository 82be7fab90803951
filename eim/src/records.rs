//! Records of the eIM: devices, orders, sessions of indirect downloads, and notifications that wait for
//! their recipient. Every record is a value of one of these types, stored as JSON.

mod device;
mod octets;
mod order;
mod package;
mod session;

use rsp::{
    ids::{Eid, TransactionId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{Collection, StoredForm};

pub use device::{Association, Certificates, Device, DeviceData, StateChange};
pub use octets::Octets;
pub use order::{ConfirmationCode, Delivery, Event, Order, OrderState, Outcome};
pub use package::{
    DataElement, DataRequest, Download, DownloadSource, EimConfiguration, EimOperation, Package,
    ProfileOperation, Protocol,
};
pub use session::{Offer, ServerKind, Session, SessionState};

/// Form of the records that this program writes.
pub const STORED_FORM: StoredForm = StoredForm { party: "eIM", version: 2 };
/// Devices, by EID.
pub const DEVICES: Collection<Device> = Collection::new("devices");
/// Orders, by eimTransactionId.
pub const ORDERS: Collection<Order> = Collection::new("orders");
/// Sessions of indirect downloads, by the TransactionID of the server.
pub const SESSIONS: Collection<Session> = Collection::new("sessions");
/// Notifications that wait for their recipient. The key is the address of the recipient, a slash, and a
/// digest of the notification.
pub const NOTIFICATIONS: Collection<WaitingNotification> = Collection::new("notifications");

/// Installation results that the eIM has stored for their recipient, by the TransactionID of their
/// session. The session ends with the result, and a repetition of the result is recognised by this
/// record.
pub const FORWARDED_RESULTS: Collection<ForwardedResult> = Collection::new("forwarded-results");

/// Returns the key of an order.
pub(crate) fn order_key(id: &TransactionId) -> String {
    id.to_string()
}

/// An installation result that the eIM has stored for its recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardedResult {
    /// The eUICC.
    pub eid: Eid,
    /// The sequence number of the notification on the eUICC.
    pub seq_number: i64,
    /// euiccSignPIR, which the full and the compact form have in common.
    pub signature: Octets,
}

/// A notification that waits for its recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingNotification {
    /// The eUICC.
    pub eid: Eid,
    /// The address of the SM-DP+.
    pub address: String,
    /// The notification in the form of SGP.22, DER.
    pub notification: Octets,
    /// The time at which the eIM received it.
    pub since: Timestamp,
    /// The time of the next attempt.
    pub next_attempt: Timestamp,
    /// The number of failed attempts.
    pub failures: u32,
}
