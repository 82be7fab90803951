//! The outbox: messages to peers that are posted with a change and sent after its commit.

use rsp::{
    ids::{Iccid, SmdpAddress},
    sgp22::{
        es2plus::HandleDownloadProgressInfoRequest,
        es12::{DeleteEventRequest, RegisterEventRequest},
    },
    time::Timestamp,
};
use rsp_server::Namespace;
use serde::{Deserialize, Serialize};

use super::{LastCall, ProfileStatus};

/// A message to a peer. It is written in the same transaction as the change it reports, and sent
/// afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The time at which it was posted.
    pub since: Timestamp,
    /// Until this time, the delivery loop leaves the message to the request that posted it.
    pub held_until: Option<Timestamp>,
    /// The function to call at the peer.
    pub call: Outgoing,
    /// The namespace of the profile.
    #[serde(default, skip_serializing_if = "Namespace::is_default")]
    pub namespace: Namespace,
}

/// A function of a peer with its request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outgoing {
    /// ES2+.HandleDownloadProgressInfo of an operator.
    HandleDownloadProgressInfo(HandleDownloadProgressInfoRequest),
    /// ES12.RegisterEvent of an SM-DS.
    RegisterEvent {
        /// The address of the SM-DS.
        at: SmdpAddress,
        /// The event.
        request: RegisterEventRequest,
        /// The order before the registration. It is restored if the SM-DS refuses the event.
        before: Box<OrderSnapshot>,
    },
    /// ES12.DeleteEvent of an SM-DS.
    DeleteEvent(DeleteEventRequest),
}

/// A snapshot of a profile's state and order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSnapshot {
    /// The profile.
    pub iccid: Iccid,
    /// The state and the order.
    #[serde(flatten)]
    pub status: ProfileStatus,
    /// The call that changed the profile last.
    pub last_call: Option<LastCall>,
}

/// A peer that messages are delivered to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addressee {
    /// The peer.
    pub peer: Peer,
    /// The number of consecutive failed deliveries.
    pub failures: u32,
    /// The time of the next attempt.
    pub next_attempt: Timestamp,
    /// The number of waiting messages at the last failure; 0 after a successful delivery. Only the
    /// delivery loop updates it, so that concurrent posts do not write the same record.
    #[serde(default)]
    pub waiting: usize,
}

/// The receiver of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// The operator with this identifier. Its address is read from its record when the message is
    /// sent.
    Operator(String),
    /// The SM-DS at this address.
    SmDs(SmdpAddress),
}
