//! What the server keeps: profiles with their orders, packages, sessions, notifications taken.
//!
//! Every record is a value of one of these types, as JSON. Nothing else is remembered between two requests.

use std::fmt;

use crypto::Curve;
use rsp::{
    ids::{Eid, Iccid, Oid, SmdpAddress, SubjectKeyIdentifier},
    sgp22::{
        es2plus::HandleDownloadProgressInfoRequest,
        es8plus::StoreMetadataRequest,
        es12::{DeleteEventRequest, RegisterEventRequest},
        json::{base64_der, base64_octets},
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{Collection, Fault, Tx, World};

use crate::{
    m2m,
    profile_state::ProfileState,
    stock::{Protection, Rebinding},
};

/// Profiles by ICCID.
pub const PROFILES: Collection<Profile> = Collection::new("profiles");
/// Profile packages (DER) by ICCID. Apart from the profile, which changes often while the package never does.
pub const PACKAGES: Collection<Octets> = Collection::new("packages");
/// Profiles that can be ordered by their type: the key is the type and the ICCID.
pub const AVAILABLE: Collection<Iccid> = Collection::new("available");
/// Types of which there is or was a profile.
pub const PROFILE_TYPES: Collection<()> = Collection::new("profile-types");
/// Which profile a MatchingID leads to.
pub const MATCHING_IDS: Collection<Iccid> = Collection::new("matching-ids");
/// Which profiles are ordered for an eUICC: the key is EID/ICCID.
pub const ORDERS_BY_EID: Collection<Iccid> = Collection::new("orders-by-eid");
/// Sessions by TransactionID.
pub const SESSIONS: Collection<Session> = Collection::new("sessions");
/// The package bound last for a profile and an eUICC: the key is ICCID/EID.
pub const BINDINGS: Collection<Binding> = Collection::new("bindings");
/// Which eUICCs have a profile: the key is ICCID/EID.
pub const INSTALLATIONS: Collection<Installation> = Collection::new("installations");
/// Which eUICCs have told that they deleted a profile, and by which sequence number: the key is ICCID/EID.
pub const DELETIONS: Collection<i64> = Collection::new("deletions");
/// Operators that are known by name, by that name.
pub const OPERATORS: Collection<Operator> = Collection::new("operators");
/// The profile that a call was given which did not name one: the key is the requester and the call's identifier.
pub const CALLS: Collection<Iccid> = Collection::new("calls");
/// What waits to be delivered to operators and SM-DSs: the key is the addressee, the time, the profile, the eUICC and a number.
pub const OUTBOX: Collection<Message> = Collection::new("outbox");
/// To whom there ever was something to deliver, and when it is tried next.
pub const ADDRESSEES: Collection<Addressee> = Collection::new("addressees");
/// Notifications that were taken: the key is EID/sequence number/ICCID, and for the result of an installation
/// /TransactionID besides.
pub const NOTIFICATIONS: Collection<TakenNotification> = Collection::new("notifications");

/// The key under which an order is found by its eUICC.
pub(crate) fn eid_key(eid: Eid, iccid: Iccid) -> String {
    format!("{eid}/{iccid}")
}

/// What the keys of [`AVAILABLE`] begin with for a type. The length tells where the type ends, whatever is in it.
pub(crate) fn type_prefix(profile_type: &str) -> String {
    format!("{}:{profile_type}/", profile_type.len())
}

/// The key under which stands what a profile and an eUICC have to do with each other.
pub(crate) fn iccid_key(iccid: Iccid, eid: Eid) -> String {
    format!("{iccid}/{eid}")
}

/// Octets, base64 in the record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Octets(#[serde(with = "base64_octets")] pub Vec<u8>);

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({})", self.0.len())
    }
}

/// A profile in stock, and its order if it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its ICCID.
    pub iccid: Iccid,
    /// What operators call its kind.
    pub profile_type: String,
    /// Where it stands.
    pub state: ProfileState,
    /// What the LPA and the eUICC are told of it.
    #[serde(with = "base64_der")]
    pub metadata: StoreMetadataRequest,
    /// How its package is protected, unless an order says otherwise.
    pub protection: Protection,
    /// Whether it may be bound to other one-time keys, unless an order says otherwise.
    pub rebinding: Rebinding,
    /// Bits of UICCCapability that it needs.
    pub needs: Vec<usize>,
    /// Octets of non-volatile memory that it needs, about.
    pub memory: u32,
    /// The pending or last order.
    pub order: Option<Order>,
    /// The call of ES2+ that changed it last.
    pub last_call: Option<LastCall>,
}

/// A call of ES2+ and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCall {
    /// functionRequesterIdentifier.
    pub requester: String,
    /// functionCallIdentifier.
    pub identifier: String,
    /// SHA-256 of function and request.
    pub digest: Octets,
    /// The reply, as JSON.
    pub reply: serde_json::Value,
    /// The message that must be delivered before the reply may be given.
    pub event: Option<String>,
}

/// An operator that is known by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its functionRequesterIdentifier.
    pub identifier: String,
    /// The registeredID in the subjectAltName of its client certificate.
    pub certificate_oid: Oid,
    /// Where it answers ES2+.HandleDownloadProgressInfo; it is not told when there is none.
    pub es2plus_address: Option<SmdpAddress>,
}

impl Profile {
    /// Writes it, and whether it can be had by its type. The only way to write a profile.
    pub(crate) fn keep(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        match self.state {
            ProfileState::Available => tx.put(&AVAILABLE, &self.available_key(), &self.iccid)?,
            _ => tx.delete(&AVAILABLE, &self.available_key()),
        }
        tx.put(&PROFILES, &self.iccid.to_string(), self)
    }

    /// Takes it away, with its package and what is known of it on eUICCs. Its order is to be forgotten before.
    pub(crate) async fn discard(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        let key = self.iccid.to_string();
        for (installation, _) in tx.list(&INSTALLATIONS, &format!("{key}/")).await? {
            tx.delete(&INSTALLATIONS, &installation);
        }
        for (deletion, _) in tx.list(&DELETIONS, &format!("{key}/")).await? {
            tx.delete(&DELETIONS, &deletion);
        }
        tx.delete(&AVAILABLE, &self.available_key());
        tx.delete(&PACKAGES, &key);
        tx.delete(&m2m::records::ADDRESSES, &key);
        tx.delete(&PROFILES, &key);
        Ok(())
    }

    fn available_key(&self) -> String {
        format!("{}{}", type_prefix(&self.profile_type), self.iccid)
    }
}

/// Tells an order from every other one, also of the same profile under the same MatchingID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(Octets);

impl OrderId {
    /// A fresh one.
    pub fn drawn(world: &World) -> Self {
        Self(Octets(world.random::<16>().to_vec()))
    }
}

/// A download order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its own, as long as it lives.
    pub id: OrderId,
    /// Who placed it (functionRequesterIdentifier).
    pub requester: String,
    /// The eUICC it is for, if that is known.
    pub eid: Option<Eid>,
    /// The MatchingID, once confirmed.
    pub matching_id: Option<String>,
    /// SHA-256 of the confirmation code, if one is required.
    pub confirmation_code_hash: Option<Octets>,
    /// How often a wrong confirmation code was given.
    pub wrong_confirmation_codes: u32,
    /// How often a download began.
    pub download_attempts: u32,
    /// How often it may; the server's own limit when absent.
    pub max_download_attempts: Option<u32>,
    /// When it can no longer be downloaded; set at confirmation.
    pub expires: Option<Timestamp>,
    /// The eUICC to which the package was handed out. From then on the order is for no other.
    pub handed_to: Option<Eid>,
    /// Never used up: any number of eUICCs may have the profile, nothing is counted, and the profile stays as it is.
    pub reusable: bool,
    /// How the package is protected.
    pub protection: Protection,
    /// Whether it may be bound to other one-time keys.
    pub rebinding: Rebinding,
    /// The SM-DS at which an event tells of the order.
    pub smds_address: Option<String>,
    /// Whether the event is there, or on its way there.
    pub event_registered: bool,
}

impl Order {
    /// An order as it begins.
    pub fn new(id: OrderId, requester: String, eid: Option<Eid>, profile: &Profile) -> Self {
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
    /// Without the hash of the confirmation code: a short code is found from it by trying.
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

/// A session of ES9+.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The server address that was signed.
    pub server_address: String,
    /// The CI below which the server's certificates of this session are.
    pub server_ci: SubjectKeyIdentifier,
    /// The CI under which the eUICC was told to sign.
    pub euicc_ci: SubjectKeyIdentifier,
    /// When it is forgotten.
    pub expires: Timestamp,
    /// What comes next.
    pub awaits: Awaits,
}

/// A [`Curve`] in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyCurve {
    /// NIST P-256.
    P256,
    /// brainpoolP256r1.
    BrainpoolP256r1,
}

impl From<Curve> for KeyCurve {
    fn from(curve: Curve) -> Self {
        match curve {
            Curve::P256 => Self::P256,
            Curve::BrainpoolP256r1 => Self::BrainpoolP256r1,
        }
    }
}

impl From<KeyCurve> for Curve {
    fn from(curve: KeyCurve) -> Self {
        match curve {
            KeyCurve::P256 => Self::P256,
            KeyCurve::BrainpoolP256r1 => Self::BrainpoolP256r1,
        }
    }
}

/// What a session waits for, with what that point needs and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaits {
    /// ES9+.AuthenticateClient.
    AuthenticateClient {
        /// Must come back signed.
        server_challenge: Octets,
    },
    /// ES9+.GetBoundProfilePackage.
    GetBoundProfilePackage {
        /// Which profile was offered to whom.
        offer: Offer,
        /// The eUICC signs over it.
        smdp_signature2: Octets,
    },
    /// ES9+.HandleNotification with the installation's result; the package may be asked for again meanwhile.
    ProfileInstallationResult {
        /// Which profile was handed to whom.
        offer: Offer,
        /// The eUICC signs over it.
        smdp_signature2: Octets,
    },
}

/// Which profile a session is about, and the eUICC that was authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The profile.
    pub iccid: Iccid,
    /// Under which order. Another one is not this session's business.
    pub order: OrderId,
    /// The MatchingID that was asked for, empty for the default SM-DP+ case.
    pub matching_id: String,
    /// The eUICC.
    pub eid: Eid,
    /// The public key of CERT.EUICC, an uncompressed point.
    pub euicc_key: Octets,
    /// On which curve that is.
    pub euicc_curve: KeyCurve,
}

/// A Bound Profile Package that was made, kept for retries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// otPK.EUICC.ECKA it is bound to.
    pub euicc_otpk: Octets,
    /// The transaction it names.
    pub transaction_id: rsp::ids::TransactionId,
    /// The whole package.
    pub bound_profile_package: Octets,
}

/// What a peer is to be told, written with what it tells of and sent after that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Since when it waits.
    pub since: Timestamp,
    /// Until then it is left to whoever put it here, who delivers it at once.
    pub held_until: Option<Timestamp>,
    /// What is to be called at the peer.
    pub call: Outgoing,
}

/// A function of a peer, with its request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outgoing {
    /// ES2+.HandleDownloadProgressInfo of an operator.
    HandleDownloadProgressInfo(HandleDownloadProgressInfoRequest),
    /// ES12.RegisterEvent of an SM-DS.
    RegisterEvent {
        /// Where.
        at: SmdpAddress,
        /// The event.
        request: RegisterEventRequest,
        /// How the order stood before; if the SM-DS does not take the event, it stands so again.
        before: Box<Before>,
    },
    /// ES12.DeleteEvent of an SM-DS.
    DeleteEvent(DeleteEventRequest),
}

/// A profile's order as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The profile.
    pub iccid: Iccid,
    /// Where it stood.
    pub state: ProfileState,
    /// Its order.
    pub order: Option<Order>,
    /// The call that had changed it last.
    pub last_call: Option<LastCall>,
}

/// Somebody to whom something is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    /// Who.
    pub peer: Peer,
    /// How often in a row it could not be reached or did not take what was sent.
    pub failures: u32,
    /// Not before.
    pub next_attempt: Timestamp,
    /// How many messages waited when it failed last; 0 once one has gone. Counted by whoever delivers, so that those
    /// who post at the same time have nothing to write in common.
    #[serde(default)]
    pub waiting: usize,
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// The operator with this identifier; where, is read from its record when the message is sent.
    Operator(String),
    /// The SM-DS at this address.
    SmDs(SmdpAddress),
}

/// A profile on an eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// The eUICC.
    pub eid: Eid,
    /// Since when, as far as we know.
    pub at: Timestamp,
}

/// A notification that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenNotification {
    /// When.
    pub at: Timestamp,
    /// What it told.
    pub told: String,
}
