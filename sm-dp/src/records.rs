//! The records of the server: profiles with their orders, packages, sessions, received
//! notifications.
//!
//! Every record is a value of one of these types, stored as JSON. No other state survives between
//! two requests.

mod order;
mod outbox;
mod session;
mod template;

use std::fmt;

use rsp::{
    ids::{Eid, Iccid, Oid, SmdpAddress},
    sgp02::common::SubscriptionAddress,
    sgp22::{
        es8plus::StoreMetadataRequest,
        json::{base64_der, base64_octets},
    },
    time::Timestamp,
};
use rsp_server::Namespace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Collection, Fault, StoredForm, Tx};

use crate::{
    profile_state::{OrderState, ProfileEvent, ProfileState},
    protection::{Protection, Rebinding},
};

pub use order::{Order, ProfileOrderId};
pub use outbox::{Addressee, Message, OrderSnapshot, Outgoing, Peer};
pub use session::{Awaits, KeyCurve, Offer, Session};
pub use template::Template;

/// Form of the records that this program writes.
pub const STORED_FORM: StoredForm = StoredForm { party: "SM-DP+", version: 1 };
/// Profiles by ICCID.
pub const PROFILES: Collection<Profile> = Collection::new("profiles");
/// Profile packages (DER) by ICCID. They are separate from the profile because the profile changes
/// often and the package never does.
pub const PACKAGES: Collection<Octets> = Collection::new("packages");
/// Available profiles of the default namespace by type. The key is the type and the ICCID.
pub const AVAILABLE: Collection<Iccid> = Collection::new("available");
/// Available profiles of all other namespaces. The key is the namespace, the type and the ICCID.
pub const AVAILABLE_IN_NAMESPACES: Collection<Iccid> = Collection::new("available-in-namespaces");
/// Subscription addresses that devices have under profiles in stock, by ICCID. Used by the SM-DP of
/// SGP.02.
pub const SUBSCRIPTION_ADDRESSES: Collection<SubscriptionAddress> = Collection::new("m2m-addresses");
/// Profile types that are or were in stock.
pub const PROFILE_TYPES: Collection<()> = Collection::new("profile-types");
/// Templates by profile type.
pub const TEMPLATES: Collection<Template> = Collection::new("templates");
/// The number of the next profile of each series of numbers. The key is the kind of number and the
/// first number of the series. A counter is kept when its template is deleted, so that no number is
/// used twice.
pub const SERIES: Collection<u64> = Collection::new("series");
/// ICCIDs of profiles by the MatchingID of their order.
pub const MATCHING_IDS: Collection<Iccid> = Collection::new("matching-ids");
/// ICCIDs of the profiles that are ordered for an eUICC. The key is EID/ICCID.
pub const ORDERS_BY_EID: Collection<Iccid> = Collection::new("orders-by-eid");
/// Sessions by TransactionID.
pub const SESSIONS: Collection<Session> = Collection::new("sessions");
/// The most recently bound package for a profile and an eUICC. The key is ICCID/EID.
pub const BINDINGS: Collection<Binding> = Collection::new("bindings");
/// Installations of profiles on eUICCs. The key is ICCID/EID.
pub const INSTALLATIONS: Collection<Installation> = Collection::new("installations");
/// Sequence numbers of the notifications with which an eUICC reported the deletion of a profile.
/// The key is ICCID/EID.
pub const DELETIONS: Collection<i64> = Collection::new("deletions");
/// Registered operators by identifier.
pub const OPERATORS: Collection<Operator> = Collection::new("operators");
/// ICCIDs of the profiles that were assigned to calls without an ICCID. The key is the requester
/// and the function call identifier.
pub const CALLS: Collection<Iccid> = Collection::new("calls");
/// Messages that wait for delivery to operators and SM-DSs. The key is the addressee, the time, the
/// profile, the eUICC and a number.
pub const OUTBOX: Collection<Message> = Collection::new("outbox");
/// Peers that ever had a message, with the time of the next delivery attempt.
pub const ADDRESSEES: Collection<Addressee> = Collection::new("addressees");
/// Received notifications. The key is EID/sequence number/ICCID. The key of an installation result
/// also has /TransactionID.
pub const NOTIFICATIONS: Collection<TakenNotification> = Collection::new("notifications");

/// The key of an order in the index by eUICC.
pub(crate) fn eid_key(eid: Eid, iccid: Iccid) -> String {
    format!("{eid}/{iccid}")
}

/// Returns the index of the available profiles of a namespace, and the prefix of the keys of one
/// type, or of all types. The length before a type keeps types unambiguous, whatever characters
/// they contain.
pub(crate) fn available_index(
    namespace: &Namespace,
    profile_type: Option<&str>,
) -> (Collection<Iccid>, String) {
    let of_type = profile_type.map(|it| format!("{}:{it}/", it.len())).unwrap_or_default();
    match namespace.is_default() {
        true => (AVAILABLE, of_type),
        false => (AVAILABLE_IN_NAMESPACES, format!("{namespace}/{of_type}")),
    }
}

/// The key of records about one profile on one eUICC.
pub(crate) fn iccid_key(iccid: Iccid, eid: Eid) -> String {
    format!("{iccid}/{eid}")
}

/// Octets, stored as base64.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Octets(
    #[serde(with = "base64_octets")]
    #[schemars(with = "String")]
    pub Vec<u8>,
);

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({})", self.0.len())
    }
}

/// A profile in stock, and its order if it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ProfileRecord", into = "ProfileRecord")]
pub struct Profile {
    /// The ICCID.
    pub iccid: Iccid,
    /// The namespace that the profile, its order and its sessions belong to.
    pub namespace: Namespace,
    /// The profile type under which operators order it.
    pub profile_type: String,
    /// The state and the order.
    pub status: ProfileStatus,
    /// The metadata for the LPA and the eUICC.
    pub metadata: StoreMetadataRequest,
    /// The keys that protect its package, unless an order sets another protection.
    pub protection: Protection,
    /// Says if the profile can be bound to other one-time keys, unless an order sets another value.
    pub rebinding: Rebinding,
    /// The bits of UICCCapability that the eUICC must have.
    pub needs: Vec<usize>,
    /// The approximate non-volatile memory that it needs, in octets.
    pub memory: u32,
    /// The ES2+ call that changed the profile last.
    pub last_call: Option<LastCall>,
}

/// The stored form of a [`Profile`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileRecord {
    /// The ICCID.
    pub iccid: Iccid,
    /// The namespace that the profile, its order and its sessions belong to.
    #[serde(default, skip_serializing_if = "Namespace::is_default")]
    pub namespace: Namespace,
    /// The profile type under which operators order it.
    pub profile_type: String,
    /// The state.
    pub state: ProfileState,
    /// The metadata for the LPA and the eUICC.
    #[serde(with = "base64_der")]
    pub metadata: StoreMetadataRequest,
    /// The keys that protect its package, unless an order sets another protection.
    pub protection: Protection,
    /// Says if the profile can be bound to other one-time keys, unless an order sets another value.
    pub rebinding: Rebinding,
    /// The bits of UICCCapability that the eUICC must have.
    pub needs: Vec<usize>,
    /// The approximate non-volatile memory that it needs, in octets.
    pub memory: u32,
    /// The pending or last order.
    pub order: Option<Order>,
    /// The ES2+ call that changed the profile last.
    pub last_call: Option<LastCall>,
}

/// The state of a profile, with the order in the states that have one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StatusRecord", into = "StatusRecord")]
pub enum ProfileStatus {
    /// The profile is in stock and has no order.
    Available,
    /// The profile has an order, which can be pending, fulfilled or failed.
    Ordered {
        /// The state.
        state: OrderState,
        /// The order.
        order: Order,
    },
    /// The profile cannot be ordered again.
    Unavailable {
        /// The last order, if it was not cancelled.
        last_order: Option<Order>,
    },
}

/// The stored form of a [`ProfileStatus`].
#[derive(Serialize, Deserialize)]
struct StatusRecord {
    state: ProfileState,
    order: Option<Order>,
}

/// A stored profile has a state that contradicts its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContradictoryStatus {
    state: ProfileState,
}

impl fmt::Display for ContradictoryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            ProfileState::Available => write!(f, "a profile in state Available has an order"),
            state => write!(f, "a profile in state {state} has no order"),
        }
    }
}

impl std::error::Error for ContradictoryStatus {}

impl ProfileStatus {
    fn new(state: ProfileState, order: Option<Order>) -> Result<Self, ContradictoryStatus> {
        match (state, OrderState::of(state), order) {
            (ProfileState::Available, _, None) => Ok(Self::Available),
            (ProfileState::Unavailable, _, last_order) => Ok(Self::Unavailable { last_order }),
            (_, Some(state), Some(order)) => Ok(Self::Ordered { state, order }),
            _ => Err(ContradictoryStatus { state }),
        }
    }

    /// The state.
    pub fn state(&self) -> ProfileState {
        match self {
            Self::Available => ProfileState::Available,
            Self::Ordered { state, .. } => (*state).into(),
            Self::Unavailable { .. } => ProfileState::Unavailable,
        }
    }

    /// The pending or last order.
    pub fn order(&self) -> Option<&Order> {
        match self {
            Self::Ordered { order, .. } => Some(order),
            Self::Unavailable { last_order } => last_order.as_ref(),
            Self::Available => None,
        }
    }

    fn into_order(self) -> Option<Order> {
        match self {
            Self::Ordered { order, .. } => Some(order),
            Self::Unavailable { last_order } => last_order,
            Self::Available => None,
        }
    }
}

impl TryFrom<StatusRecord> for ProfileStatus {
    type Error = ContradictoryStatus;

    fn try_from(record: StatusRecord) -> Result<Self, ContradictoryStatus> {
        Self::new(record.state, record.order)
    }
}

impl From<ProfileStatus> for StatusRecord {
    fn from(status: ProfileStatus) -> Self {
        Self { state: status.state(), order: status.into_order() }
    }
}

impl TryFrom<ProfileRecord> for Profile {
    type Error = ContradictoryStatus;

    fn try_from(record: ProfileRecord) -> Result<Self, ContradictoryStatus> {
        Ok(Self {
            iccid: record.iccid,
            namespace: record.namespace,
            profile_type: record.profile_type,
            status: ProfileStatus::new(record.state, record.order)?,
            metadata: record.metadata,
            protection: record.protection,
            rebinding: record.rebinding,
            needs: record.needs,
            memory: record.memory,
            last_call: record.last_call,
        })
    }
}

impl From<Profile> for ProfileRecord {
    fn from(profile: Profile) -> Self {
        Self {
            iccid: profile.iccid,
            namespace: profile.namespace,
            profile_type: profile.profile_type,
            state: profile.status.state(),
            metadata: profile.metadata,
            protection: profile.protection,
            rebinding: profile.rebinding,
            needs: profile.needs,
            memory: profile.memory,
            order: profile.status.into_order(),
            last_call: profile.last_call,
        }
    }
}

/// An ES2+ call and its reply.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastCall {
    /// functionRequesterIdentifier.
    pub requester: String,
    /// functionCallIdentifier.
    pub identifier: String,
    /// SHA-256 of the function name and the request.
    pub digest: Octets,
    /// The reply, as JSON.
    pub reply: serde_json::Value,
    /// The key of the message that must be delivered before the reply can be sent.
    pub event: Option<String>,
}

/// A registered operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Its functionRequesterIdentifier.
    pub identifier: String,
    /// The registeredID in the subjectAltName of its client certificate.
    pub certificate_oid: Oid,
    /// The address of its ES2+.HandleDownloadProgressInfo endpoint. Without an address, no progress
    /// is reported.
    pub es2plus_address: Option<SmdpAddress>,
    /// The namespace of its stock. Operators of the same namespace share the stock, but not their
    /// orders.
    #[serde(default, skip_serializing_if = "Namespace::is_default")]
    pub namespace: Namespace,
}

/// The event is not allowed in the state of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidTransition {
    pub(crate) iccid: Iccid,
    pub(crate) state: ProfileState,
}

impl fmt::Display for InvalidTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the profile is {}", self.state)
    }
}

/// The order that a request depends on has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderEnded {
    pub(crate) iccid: Iccid,
}

impl fmt::Display for OrderEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the order has ended")
    }
}

impl Profile {
    /// The state.
    pub fn state(&self) -> ProfileState {
        self.status.state()
    }

    /// Returns the pending or last order.
    pub(crate) fn order(&self) -> Result<&Order, OrderEnded> {
        self.status.order().ok_or(OrderEnded { iccid: self.iccid })
    }

    /// Returns the order for a change. The caller writes the profile.
    pub(crate) fn order_mut(&mut self) -> Result<&mut Order, OrderEnded> {
        let ended = OrderEnded { iccid: self.iccid };
        match &mut self.status {
            ProfileStatus::Ordered { order, .. } => Ok(order),
            ProfileStatus::Unavailable { last_order } => last_order.as_mut().ok_or(ended),
            ProfileStatus::Available => Err(ended),
        }
    }

    /// Reserves the profile for a new order, which replaces an ended one.
    pub(crate) fn reserve(&mut self, event: ProfileEvent, order: Order) -> Result<(), InvalidTransition> {
        let refused = InvalidTransition { iccid: self.iccid, state: self.state() };
        let state = OrderState::of(self.after(event)?).ok_or(refused)?;
        self.status = ProfileStatus::Ordered { state, order };
        Ok(())
    }

    /// Changes the state by an event. If the new state has no order, the event ends the order.
    pub(crate) fn apply(&mut self, event: ProfileEvent) -> Result<(), InvalidTransition> {
        let refused = InvalidTransition { iccid: self.iccid, state: self.state() };
        let next = self.after(event)?;
        match (OrderState::of(next), &mut self.status) {
            (Some(next), ProfileStatus::Ordered { state, .. }) => *state = next,
            // A reservation needs a new order.
            (Some(_), _) => return Err(refused),
            (None, status) if next == ProfileState::Available => *status = ProfileStatus::Available,
            (None, status) => *status = ProfileStatus::Unavailable { last_order: None },
        }
        Ok(())
    }

    /// Returns the state after `event`.
    pub(crate) fn after(&self, event: ProfileEvent) -> Result<ProfileState, InvalidTransition> {
        let refused = InvalidTransition { iccid: self.iccid, state: self.state() };
        self.state().after(event).ok_or(refused)
    }

    /// Writes the profile and updates the index of available profiles. All writes of a profile go
    /// through this method.
    pub(crate) fn save(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        let (index, prefix) = available_index(&self.namespace, Some(&self.profile_type));
        let key = format!("{prefix}{}", self.iccid);
        match self.state() {
            ProfileState::Available => tx.put(&index, &key, &self.iccid)?,
            _ => tx.delete(&index, &key),
        }
        tx.put(&PROFILES, &self.iccid.to_string(), self)
    }

    /// Deletes the profile, its package, and the records of its installations. The caller must
    /// delete the index entries of its order first.
    pub(crate) async fn discard(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        let key = self.iccid.to_string();
        for (installation, _) in tx.list(&INSTALLATIONS, &format!("{key}/")).await? {
            tx.delete(&INSTALLATIONS, &installation);
        }
        for (deletion, _) in tx.list(&DELETIONS, &format!("{key}/")).await? {
            tx.delete(&DELETIONS, &deletion);
        }
        let (index, prefix) = available_index(&self.namespace, Some(&self.profile_type));
        tx.delete(&index, &format!("{prefix}{key}"));
        tx.delete(&PACKAGES, &key);
        tx.delete(&SUBSCRIPTION_ADDRESSES, &key);
        tx.delete(&PROFILES, &key);
        Ok(())
    }
}

/// A Bound Profile Package, kept for retries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The otPK.EUICC.ECKA that the package is bound to.
    pub euicc_otpk: Octets,
    /// The TransactionID in the package.
    pub transaction_id: rsp::ids::TransactionId,
    /// The whole package.
    pub bound_profile_package: Octets,
}

/// A profile on an eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installation {
    /// The eUICC.
    pub eid: Eid,
    /// The time of installation, as far as this server knows.
    pub at: Timestamp,
}

/// A received notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenNotification {
    /// The time of receipt.
    pub at: Timestamp,
    /// The reported event.
    #[serde(rename = "told")]
    pub event: String,
    /// The namespace of the profile.
    #[serde(default, skip_serializing_if = "Namespace::is_default")]
    pub namespace: Namespace,
}

#[cfg(test)]
mod tests {
    use ::profile::generic::Subscription;

    use super::*;
    use crate::ProfileOptions;

    /// The stored form of a status.
    fn record(state: ProfileState, order: Option<Order>) -> serde_json::Value {
        serde_json::to_value(StatusRecord { state, order }).unwrap()
    }

    fn order() -> Order {
        let iccid: Iccid = "89000123456789012341".parse().unwrap();
        let subscription = Subscription { iccid: iccid.to_profile_header(), ..Subscription::default() };
        let package = ::profile::generic(&subscription).encode();
        let profile =
            crate::stock::describe("smdp.example.com", &package, &ProfileOptions::default()).unwrap();
        Order::new(ProfileOrderId(Octets(vec![1])), "2.999.21".to_owned(), None, &profile)
    }

    #[test]
    fn a_stored_state_must_match_the_stored_order() {
        for state in ProfileState::ALL {
            let [with, without] = [Some(order()), None]
                .map(|order| serde_json::from_value::<ProfileStatus>(record(state, order)));
            assert_eq!(with.is_ok(), state != ProfileState::Available, "{state}");
            let may_have_none = matches!(state, ProfileState::Available | ProfileState::Unavailable);
            assert_eq!(without.is_ok(), may_have_none, "{state}");
            for (fault, contradiction) in [
                (with.as_ref().err(), "a profile in state Available has an order".to_owned()),
                (without.as_ref().err(), format!("a profile in state {state} has no order")),
            ] {
                assert!(fault.is_none_or(|fault| fault.to_string() == contradiction), "{fault:?}");
            }
            for status in [with, without].into_iter().flatten() {
                assert_eq!(status.state(), state);
                let stored = record(state, status.order().cloned());
                assert_eq!(serde_json::to_value(status).unwrap(), stored, "{state}");
            }
        }
    }
}
