//! Records of the server: cards with their keys, functions in progress, audit trails, and peers.
//!
//! Every record is a value of one of these types, stored as JSON. Nothing else is kept between two
//! requests.

use std::collections::BTreeMap;

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    sgp02::{
        Msisdn, Namespace, Octets,
        eis::{AuditTrailRecord, Eis, ProfileInfo, ProfileState},
        notification::NotificationType,
        status::Status,
    },
    time::Timestamp,
};
use rsp_server::soap::{self, Decision};
use serde::{Deserialize, Serialize};
use world::{Collection, Fault, StoredForm, Tx};

pub use crate::keys::{Key, KeySet, Keys, SCP80_VERSIONS, SCP81_VERSIONS};
use crate::state::{
    Function, Operation,
    takeover::{FinalisationCommand, Takeover},
};

/// Form of the records that this program writes.
pub const STORED_FORM: StoredForm = StoredForm { party: "SM-SR", version: 1 };
/// Cards by EID.
pub const CARDS: Collection<Card> = Collection::new("cards");
/// Functions that have not ended, by EID/number. The first one of a card is in progress.
pub const OPERATIONS: Collection<Operation> = Collection::new("operations");
/// Card last reached under an MSISDN. The number may belong to another card by now, so check the
/// card's record.
pub const ADDRESSES: Collection<Eid> = Collection::new("addresses");
/// Audit trail records, by EID/number: operations on a card and its notifications.
pub const AUDIT: Collection<AuditTrailRecord> = Collection::new("audit");
/// Deadlines. The key is the time, the EID and the subject.
pub const DEADLINES: Collection<Deadline> = Collection::new("deadlines");
/// Registered peers, by OID.
pub const PEERS: Collection<Peer> = Collection::new("peers");
/// Cards that another SM-SR will hand over: ES4.PrepareSMSRChange. The key is EID/OID of the
/// operator that prepared the change.
pub const PREPARED: Collection<Prepared> = Collection::new("prepared");
/// Cards that are being taken over from another SM-SR, by EID.
pub const TAKEOVERS: Collection<Takeover> = Collection::new("takeovers");

/// Returns the key of a card's function or audit record with this number.
pub(crate) fn numbered(eid: Eid, number: u64) -> String {
    format!("{eid}/{number:012}")
}

/// Returns the key prefix of all numbered records of a card.
pub(crate) fn of_card(eid: Eid) -> String {
    format!("{eid}/")
}

/// Returns the key of an operator's prepared handover of a card.
pub(crate) fn prepared_key(eid: Eid, operator: &Oid) -> String {
    format!("{eid}/{operator}")
}

/// A card that this SM-SR manages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Card {
    /// EIS of the card. Key values are in `keys` instead, and the audit trail is in [`AUDIT`].
    pub eis: Eis,
    /// Key sets of its ISD-R.
    pub keys: Vec<KeySet>,
    /// IMEI of its device, from its latest notification.
    pub imei: Option<Octets>,
    /// Profile with the emergency attribute. The EIS has no field for it.
    pub emergency: Option<Iccid>,
    /// Latest notification that was processed.
    pub last_notification: Option<ProcessedNotification>,
    /// ISD-P whose enabling was given up. A notification of its success is not confirmed, so that
    /// the card rolls back.
    pub abandoned: Option<Aid>,
    /// Peer that has exclusive use of the card.
    #[serde(rename = "held")]
    pub reservation: Option<Reservation>,
    /// Deadline of each profile download in progress. A completed download is removed.
    #[serde(default)]
    pub downloads: BTreeMap<Iccid, Timestamp>,
    /// ISD-P for which an SM-DP is establishing keys by a chain of scripts that has not ended.
    pub personalised: Option<Aid>,
    /// SM-SR with which the card has created a key set. It may manage the card already.
    pub handed_to: Option<Oid>,
    /// SM-SR that managed the card before.
    pub taken_from: Option<Oid>,
    /// Commands of the finalisation of a handover that the card has not executed yet.
    #[serde(default)]
    pub undone: Vec<FinalisationCommand>,
    /// Number of the next function.
    pub next_operation: u64,
    /// Number of the next audit record.
    pub next_record: u64,
}

/// Exclusive use of a card during a series of functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// OID of the peer.
    pub by: Oid,
    /// Time at which the exclusive use ends, unless the series ends earlier.
    pub until: Timestamp,
}

impl Card {
    /// Creates a card from its EIS. All other values are initial.
    pub(crate) fn new(eis: Eis) -> Self {
        Self {
            eis,
            keys: Vec::new(),
            imei: None,
            emergency: None,
            last_notification: None,
            abandoned: None,
            reservation: None,
            downloads: BTreeMap::new(),
            personalised: None,
            handed_to: None,
            taken_from: None,
            undone: Vec::new(),
            next_operation: 1,
            next_record: 1,
        }
    }

    /// Returns the EID.
    pub fn eid(&self) -> Eid {
        self.eis.eum_signed_info.eid
    }

    /// Returns the key set for short messages with the highest version.
    pub fn scp80(&self) -> Option<&KeySet> {
        let scp80 = |set: &&KeySet| matches!(set.keys, Keys::Scp80 { .. });
        self.keys.iter().filter(scp80).max_by_key(|set| set.version)
    }

    /// Returns the key set for HTTPS with the highest version.
    pub fn scp81(&self) -> Option<&KeySet> {
        let scp81 = |set: &&KeySet| matches!(set.keys, Keys::Scp81 { .. });
        self.keys.iter().filter(scp81).max_by_key(|set| set.version)
    }

    /// Returns true if the ISD-R has a key set of this version, whether this server uses it or not.
    pub(crate) fn has_key_set(&self, version: u8) -> bool {
        let described = self.eis.isd_r.iter().flat_map(|isd_r| &isd_r.keyset).map(|set| set.version);
        self.keys.iter().map(|set| set.version).chain(described).any(|used| used == version)
    }

    /// Returns the profile with this ICCID.
    pub fn profile(&self, iccid: Iccid) -> Option<&ProfileInfo> {
        self.eis.profile_info.iter().find(|profile| profile.iccid == iccid)
    }

    /// Returns the profile with this ICCID for modification.
    pub(crate) fn profile_mut(&mut self, iccid: Iccid) -> Option<&mut ProfileInfo> {
        self.eis.profile_info.iter_mut().find(|profile| profile.iccid == iccid)
    }

    /// Returns the profile in this ISD-P.
    pub fn profile_in(&self, aid: &Aid) -> Option<&ProfileInfo> {
        self.eis.profile_info.iter().find(|profile| profile.isd_p_aid == *aid)
    }

    /// Returns the enabled profile.
    pub fn enabled(&self) -> Option<&ProfileInfo> {
        self.eis.profile_info.iter().find(|profile| profile.state == ProfileState::Enabled)
    }

    /// Returns the profile with the fall-back attribute.
    pub fn fallback(&self) -> Option<&ProfileInfo> {
        self.eis.profile_info.iter().find(|profile| profile.fallback_attribute)
    }

    /// Removes a profile and adds its memory to the available memory.
    pub(crate) fn remove(&mut self, iccid: Iccid) -> Option<ProfileInfo> {
        let at = self.eis.profile_info.iter().position(|profile| profile.iccid == iccid)?;
        if self.emergency == Some(iccid) {
            self.emergency = None;
        }
        self.downloads.remove(&iccid);
        let profile = self.eis.profile_info.remove(at);
        let free = &mut self.eis.available_memory_for_profiles;
        *free = free.saturating_add(profile.allocated_memory);
        Some(profile)
    }

    /// Returns the MSISDNs of the card with their profiles.
    fn addresses(&self) -> impl Iterator<Item = (&Msisdn, &ProfileInfo)> {
        let profiles = self.eis.profile_info.iter();
        profiles.filter_map(|profile| Some((profile.subscription_address.msisdn.as_ref()?, profile)))
    }

    /// Checks that no other subscriber has an MSISDN of this card. The server identifies the sender
    /// of a short message by its number, so a card with the number of another card would block
    /// messages of that card. Two profiles of one operator on one card can have the same number,
    /// because only one is enabled at a time.
    pub(crate) async fn check_addresses(&self, tx: &mut Tx<'_>) -> Decision<()> {
        for (number, profile) in self.addresses() {
            let in_use = |why: &str| Err(Status::SubscriptionAddressInUse.because(why).about(number).into());
            let others =
                |other: (&Msisdn, &ProfileInfo)| other.0 == number && other.1.mno_id != profile.mno_id;
            if self.addresses().any(others) {
                return in_use("another operator's profile on the card has this MSISDN");
            }
            if self.belongs_to_another_card(tx, number).await? {
                return in_use(
                    "a profile on another card has this MSISDN; change its MSISDN or delete it first",
                );
            }
        }
        Ok(())
    }

    /// Returns true if another card has this number.
    async fn belongs_to_another_card(&self, tx: &mut Tx<'_>, number: &Msisdn) -> Result<bool, Fault> {
        let Some(eid) = tx.get(&ADDRESSES, number.as_str()).await?.filter(|eid| *eid != self.eid()) else {
            return Ok(false);
        };
        let other = tx.get(&CARDS, &eid.to_string()).await?;
        Ok(other.is_some_and(|other| other.has_address(number.as_str())))
    }

    /// Stores the card's MSISDNs in [`ADDRESSES`]. Call it after one of them has changed and
    /// [`check_addresses`](Self::check_addresses) has succeeded. A number that belongs to another
    /// card is left unchanged.
    pub(crate) async fn store_addresses(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        for (number, _) in self.addresses() {
            if !self.belongs_to_another_card(tx, number).await? {
                tx.put(&ADDRESSES, number.as_str(), &self.eid())?;
            }
        }
        Ok(())
    }

    /// Returns true if one of the profiles has this MSISDN.
    pub(crate) fn has_address(&self, digits: &str) -> bool {
        self.addresses().any(|(number, _)| number.as_str() == digits)
    }

    /// Stores the card. Every change of a card is stored by this function.
    pub(crate) fn store(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(&CARDS, &self.eid().to_string(), self)
    }
}

/// A notification of the card that was processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessedNotification {
    /// Sequence number. A repeated notification has the same number.
    pub sequence: u16,
    /// Type of the notification.
    pub kind: NotificationType,
    /// True if it was confirmed. A repetition of an unconfirmed notification is not confirmed
    /// either.
    pub confirmed: bool,
    /// Profile that was disabled by the same change. POL2 may apply to it once the change is final.
    #[serde(rename = "left")]
    pub disabled: Option<Iccid>,
    /// True if the owners of the profiles have not been notified yet because the change is not
    /// final.
    #[serde(default, rename = "untold")]
    pub owners_not_notified: bool,
}

/// A party that this SM-SR communicates with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// OID, in the From of its messages and in its client certificate.
    pub id: Oid,
    /// Display name.
    pub name: String,
    /// Role of the peer.
    pub role: PeerRole,
    /// URI for callbacks, notifications and calls. A peer without an endpoint gets no messages.
    pub endpoint: Option<String>,
    /// Namespace of messages that this SM-SR sends first. Responses use the namespace of the call.
    pub namespace: Namespace,
}

/// Role of a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PeerRole {
    /// Calls ES1.
    Eum {
        /// Key under which the EUM encrypts the keys in an EIS.
        transport_key: Option<Key>,
    },
    /// Calls ES3.
    SmDp,
    /// Calls ES4.
    Operator,
    /// Calls ES7.
    SmSr,
}

impl Peer {
    /// Returns the address and namespace for messages, if the peer has an endpoint.
    pub fn endpoint(&self) -> Option<soap::Peer> {
        let endpoint = self.endpoint.clone()?;
        Some(soap::Peer { id: self.id.clone(), endpoint, namespace: self.namespace })
    }
}

impl PeerRole {
    /// Returns the display name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Eum { .. } => "EUM",
            Self::SmDp => "SM-DP",
            Self::Operator => "operator",
            Self::SmSr => "SM-SR",
        }
    }
}

/// Subject of a deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deadline {
    /// End of the validity period of a function.
    Operation {
        /// EID of the card.
        eid: Eid,
        /// Number of the function.
        number: u64,
    },
    /// End of the time for a download: an ISD-P that is still Created has failed.
    Download {
        /// EID of the card.
        eid: Eid,
        /// ICCID of the profile.
        iccid: Iccid,
        /// AID of the ISD-P. The same ICCID in another ISD-P is another download.
        isd_p: Aid,
    },
    /// Retry of a function that this server started itself and that failed.
    Again {
        /// EID of the card.
        eid: Eid,
        /// The function to retry.
        function: Function,
    },
    /// End of the exclusive use of a card.
    #[serde(rename = "Held")]
    Reservation(Eid),
    /// End of the wait for a card that another SM-SR was to hand over.
    Prepared(Eid),
    /// End of the time for taking over a card.
    Takeover(Eid),
}

/// Returns the key of a deadline. Keys sort by time.
pub(crate) fn deadline_key(at: Timestamp, deadline: &Deadline) -> String {
    let what = match deadline {
        Deadline::Operation { eid, number } => format!("{eid}/operation/{number:012}"),
        Deadline::Download { eid, iccid, isd_p } => format!("{eid}/download/{iccid}/{isd_p}"),
        Deadline::Again { eid, function } => {
            let iccid = function.iccid().map(|iccid| iccid.to_string()).unwrap_or_default();
            format!("{eid}/again/{}/{iccid}", function.name())
        }
        Deadline::Reservation(eid) => format!("{eid}/held"),
        Deadline::Prepared(eid) => format!("{eid}/prepared"),
        Deadline::Takeover(eid) => format!("{eid}/takeover"),
    };
    format!("{:015}/{what}", at.0.max(0))
}

/// Returns the time in the key of a deadline.
pub(crate) fn due_at(key: &str) -> Option<Timestamp> {
    key.split_once('/').and_then(|(at, _)| at.parse().ok()).map(Timestamp)
}

/// An operator's announcement that another SM-SR will hand over a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// OID of the operator.
    pub operator: Oid,
    /// OID of the SM-SR that manages the card now.
    pub current: Oid,
    /// Time at which the wait for the card ends.
    pub until: Timestamp,
}
