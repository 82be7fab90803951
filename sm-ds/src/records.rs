//! Records of the server: registered events and sessions. Every record is a value of one of these
//! types, stored as JSON.

use rsp::{
    ids::{Eid, Oid, SmdpAddress, SubjectKeyIdentifier},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Collection, StoredForm};

/// Form of the records that this program writes.
pub const STORED_FORM: StoredForm = StoredForm { party: "SM-DS", version: 1 };
/// Registered events. The key is EID/event ID.
pub const EVENTS: Collection<RegisteredEvent> = Collection::new("events");
/// Sessions, by TransactionID.
pub const SESSIONS: Collection<Session> = Collection::new("sessions");

/// Returns the key of an event.
pub(crate) fn event_key(eid: Eid, event_id: &str) -> String {
    format!("{}{event_id}", events_of(eid))
}

/// Returns the key prefix of all events of an eUICC.
pub(crate) fn events_of(eid: Eid) -> String {
    format!("{eid}/")
}

/// An event that waits for an eUICC.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredEvent {
    /// EID of the eUICC.
    pub eid: Eid,
    /// ID of the event, which the LPA presents to the RSP server.
    pub event_id: String,
    /// Address of the RSP server that the LPA contacts for the event.
    pub rsp_server_address: SmdpAddress,
    /// OID of the SM-DP+ that registered the event. Only this SM-DP+ can delete it.
    pub owner: Oid,
    /// functionCallIdentifier of the call that registered the event. It identifies a repetition of
    /// the call.
    pub function_call_identifier: String,
    /// Time of registration.
    pub registered: Timestamp,
}

/// A session of ES11. It waits for AuthenticateClient, which ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Server address that was signed.
    pub server_address: String,
    /// CI under which the eUICC is to sign.
    pub euicc_ci: SubjectKeyIdentifier,
    /// Challenge that the eUICC must return signed.
    pub server_challenge: [u8; 16],
    /// Time of expiry.
    pub expires: Timestamp,
}
