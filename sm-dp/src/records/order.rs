//! Download orders.

use std::fmt;

use rsp::{ids::Eid, time::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::World;

use super::{Octets, Profile};
use crate::protection::{Protection, Rebinding};

/// The identifier of one order. It differs from that of every other order, even for the same
/// profile and the same MatchingID.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProfileOrderId(pub(super) Octets);

impl ProfileOrderId {
    /// Generates a random identifier.
    pub fn random(world: &World) -> Self {
        Self(Octets(world.random::<16>().to_vec()))
    }
}

/// A download order.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The identifier of the order.
    pub id: ProfileOrderId,
    /// The functionRequesterIdentifier of the operator that placed the order.
    pub requester: String,
    /// The EID of the intended eUICC, if it is known.
    pub eid: Option<Eid>,
    /// The MatchingID, once confirmed.
    pub matching_id: Option<String>,
    /// SHA-256 of the confirmation code, if one is required.
    pub confirmation_code_hash: Option<Octets>,
    /// The number of wrong confirmation codes received.
    pub wrong_confirmation_codes: u32,
    /// The number of downloads started.
    pub download_attempts: u32,
    /// Maximum number of downloads. Default: the limit of the server.
    pub max_download_attempts: Option<u32>,
    /// The end of the download period, set at confirmation.
    pub expires: Option<Timestamp>,
    /// The eUICC that received the package. From then on, no other eUICC can use the order.
    pub handed_to: Option<Eid>,
    /// True if any number of eUICCs can download the profile. Attempts are not counted and the
    /// state of the profile does not change.
    pub reusable: bool,
    /// The protection of the package.
    pub protection: Protection,
    /// Says if the profile can be bound to other one-time keys.
    pub rebinding: Rebinding,
    /// The SM-DS that announces the order with an event.
    pub smds_address: Option<String>,
    /// True if the event is registered or its registration is in progress.
    pub event_registered: bool,
}

impl Order {
    /// Creates an order that is not confirmed yet.
    pub fn new(id: ProfileOrderId, requester: String, eid: Option<Eid>, profile: &Profile) -> Self {
        Self {
            id,
            requester,
            eid,
            matching_id: None,
            confirmation_code_hash: None,
            wrong_confirmation_codes: 0,
            download_attempts: 0,
            max_download_attempts: None,
            expires: None,
            handed_to: None,
            reusable: false,
            protection: profile.protection,
            rebinding: profile.rebinding,
            smds_address: None,
            event_registered: false,
        }
    }
}

impl fmt::Debug for Order {
    /// Omits the hash of the confirmation code, because a short code can be found from its hash by
    /// brute force.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("requester", &self.requester)
            .field("eid", &self.eid)
            .field("matching_id", &self.matching_id)
            .field("confirmation_code_required", &self.confirmation_code_hash.is_some())
            .field("download_attempts", &self.download_attempts)
            .field("expires", &self.expires)
            .field("handed_to", &self.handed_to)
            .field("reusable", &self.reusable)
            .finish_non_exhaustive()
    }
}
