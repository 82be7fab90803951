//! What the server keeps: events that wait, and sessions. Every record is a value of one of these types, as JSON.

use rsp::{
    ids::{Eid, Oid, SmdpAddress, SubjectKeyIdentifier},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::Collection;

/// Events that wait: the key is EID/event id.
pub const EVENTS: Collection<RegisteredEvent> = Collection::new("events");
/// Sessions by TransactionID.
pub const SESSIONS: Collection<Session> = Collection::new("sessions");

/// The key of an event.
pub(crate) fn event_key(eid: Eid, event_id: &str) -> String {
    format!("{}{event_id}", events_of(eid))
}

/// What the keys of all events of an eUICC begin with.
pub(crate) fn events_of(eid: Eid) -> String {
    format!("{eid}/")
}

/// An event that waits for an eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredEvent {
    /// For whom.
    pub eid: Eid,
    /// What its LPA shall ask for.
    pub event_id: String,
    /// Where.
    pub rsp_server_address: SmdpAddress,
    /// The SM-DP+ that registered it, and that alone may delete it.
    pub owner: Oid,
    /// The owner's name of the call that registered it: the same call may come twice.
    pub function_call_identifier: String,
    /// Since when it waits.
    pub registered: Timestamp,
}

/// A session of ES11: it waits for AuthenticateClient, which is the end of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The server address that was signed.
    pub server_address: String,
    /// The CI under which the eUICC was told to sign.
    pub euicc_ci: SubjectKeyIdentifier,
    /// Must come back signed.
    pub server_challenge: [u8; 16],
    /// When it is forgotten.
    pub expires: Timestamp,
}
