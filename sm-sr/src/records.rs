//! What the server keeps: cards with their keys, functions that are under way, what was done, whom it knows.
//!
//! Every record is a value of one of these types, as JSON. Nothing else is remembered between two requests.

use std::collections::BTreeMap;

use crypto::Secret;
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
use world::{Collection, Fault, Tx};

use crate::procedures::{Function, Operation, farewell::Order, takeover::Takeover};

/// Cards by EID.
pub const CARDS: Collection<Card> = Collection::new("cards");
/// Functions that a card has not ended yet: the key is EID/number, and the first one is the one under way.
pub const OPERATIONS: Collection<Operation> = Collection::new("operations");
/// Which card was reached under a number last. It may be another one's by now: ask the card.
pub const ADDRESSES: Collection<Eid> = Collection::new("addresses");
/// What was done with a card and what it told: the key is EID/number.
pub const AUDIT: Collection<AuditTrailRecord> = Collection::new("audit");
/// When something ends by itself: the key is the time, the EID and what.
pub const DEADLINES: Collection<Deadline> = Collection::new("deadlines");
/// Who is known, by OID.
pub const PEERS: Collection<Peer> = Collection::new("peers");
/// Cards that another SM-SR will hand over: ES4.PrepareSMSRChange. The key is EID/OID of the operator who said so.
pub const PREPARED: Collection<Prepared> = Collection::new("prepared");
/// Cards that are being taken over from another SM-SR, by EID.
pub const TAKEOVERS: Collection<Takeover> = Collection::new("takeovers");

/// The key of the function or the audit record of a card with this number.
pub(crate) fn numbered(eid: Eid, number: u64) -> String {
    format!("{eid}/{number:012}")
}

/// What the keys of everything of one card begin with.
pub(crate) fn of_card(eid: Eid) -> String {
    format!("{eid}/")
}

/// The key of what an operator has said of a card to come.
pub(crate) fn prepared_key(eid: Eid, operator: &Oid) -> String {
    format!("{eid}/{operator}")
}

/// A key in a record: hexadecimal there, redacted everywhere else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(#[serde(with = "rsp_server::secret_hex")] Secret<Vec<u8>>);

impl Key {
    /// Takes octets into keeping.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Secret::new(octets))
    }

    /// The octets, for the moment they are needed.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The octets of a key of AES-128.
    ///
    /// # Errors
    /// The key is of another length.
    pub fn aes128(&self) -> Result<Secret<[u8; 16]>, Fault> {
        let octets = self.expose().try_into().map_err(|_| {
            Fault::new(
                "cannot use a key",
                format!("it has {} octets, and those of AES-128 have 16", self.expose().len()),
                "register the card again with keys of AES-128",
            )
        })?;
        Ok(Secret::new(octets))
    }
}

/// A card that this SM-SR manages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Card {
    /// What is known of it. No key value is in it: those are in `keys`; nor is the audit trail: that is [`AUDIT`].
    pub eis: Eis,
    /// The key sets of its ISD-R.
    pub keys: Vec<KeySet>,
    /// Of its device, as it said last.
    pub imei: Option<Octets>,
    /// The profile with the emergency attribute. EIS has no place for it.
    pub emergency: Option<Iccid>,
    /// The notification that came last.
    pub last_notification: Option<TakenNotification>,
    /// The ISD-P whose enabling nobody waits for any more: a notification that it succeeded is not confirmed, so that the
    /// card goes back.
    pub abandoned: Option<Aid>,
    /// Who has the card to itself for a while.
    pub held: Option<Held>,
    /// By when each profile that is being downloaded is to be complete. One that is complete is in here no more.
    #[serde(default)]
    pub downloads: BTreeMap<Iccid, Timestamp>,
    /// For which ISD-P an SM-DP establishes keys, in a chain of scripts that is not over.
    pub personalised: Option<Aid>,
    /// The SM-SR with which the card has made a key set: it may have the card already.
    pub handed_to: Option<Oid>,
    /// The SM-SR that had the card before.
    pub taken_from: Option<Oid>,
    /// What it has not done that it was told when it was taken over.
    #[serde(default)]
    pub undone: Vec<Order>,
    /// The number of the next function.
    pub next_operation: u64,
    /// The number of the next audit record.
    pub next_record: u64,
}

/// A key set of the ISD-R.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeySet {
    /// Its version number.
    pub version: u8,
    /// What it is for, with its keys.
    pub keys: Keys,
}

/// The keys of a set, by what they are for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Keys {
    /// Of short messages (versions 01 to 0F).
    Scp80 {
        /// Enciphers.
        kic: Key,
        /// Protects.
        kid: Key,
        /// Wraps other keys.
        dek: Key,
        /// The counter from which this SM-SR goes on.
        counter: u64,
    },
    /// Of HTTPS (versions 40 to 4F).
    Scp81 {
        /// The pre-shared key.
        psk: Key,
        /// Wraps other keys; not every card has one.
        dek: Option<Key>,
    },
}

/// Somebody with a series of functions to finish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Who.
    pub by: Oid,
    /// Until then, unless it is done before.
    pub until: Timestamp,
}

/// Key version numbers of SCP80: SGP.02 section 2.2.
pub const SCP80_VERSIONS: std::ops::RangeInclusive<u8> = 0x01..=0x0F;
/// Key version numbers of SCP81.
pub const SCP81_VERSIONS: std::ops::RangeInclusive<u8> = 0x40..=0x4F;

impl Card {
    /// A card of which nothing is known but this.
    pub(crate) fn new(eis: Eis) -> Self {
        Self {
            eis,
            keys: Vec::new(),
            imei: None,
            emergency: None,
            last_notification: None,
            abandoned: None,
            held: None,
            downloads: BTreeMap::new(),
            personalised: None,
            handed_to: None,
            taken_from: None,
            undone: Vec::new(),
            next_operation: 1,
            next_record: 1,
        }
    }

    /// Which.
    pub fn eid(&self) -> Eid {
        self.eis.eum_signed_info.eid
    }

    /// The key set of short messages; the highest version, if there is more than one.
    pub fn scp80(&self) -> Option<&KeySet> {
        let scp80 = |set: &&KeySet| matches!(set.keys, Keys::Scp80 { .. });
        self.keys.iter().filter(scp80).max_by_key(|set| set.version)
    }

    /// The key set of HTTPS.
    pub fn scp81(&self) -> Option<&KeySet> {
        let scp81 = |set: &&KeySet| matches!(set.keys, Keys::Scp81 { .. });
        self.keys.iter().filter(scp81).max_by_key(|set| set.version)
    }

    /// Whether its ISD-R has a key set of this version, used here or not.
    pub(crate) fn has_key_set(&self, version: u8) -> bool {
        let described = self.eis.isd_r.iter().flat_map(|isd_r| &isd_r.keyset).map(|set| set.version);
        self.keys.iter().map(|set| set.version).chain(described).any(|taken| taken == version)
    }

    /// The profile with this ICCID.
    pub fn profile(&self, iccid: Iccid) -> Option<&ProfileInfo> {
        self.eis.profile_info.iter().find(|profile| profile.iccid == iccid)
    }

    /// The same, to be changed.
    pub(crate) fn profile_mut(&mut self, iccid: Iccid) -> Option<&mut ProfileInfo> {
        self.eis.profile_info.iter_mut().find(|profile| profile.iccid == iccid)
    }

    /// The profile in this ISD-P.
    pub fn profile_in(&self, aid: &Aid) -> Option<&ProfileInfo> {
        self.eis.profile_info.iter().find(|profile| profile.isd_p_aid == *aid)
    }

    /// The enabled profile.
    pub fn enabled(&self) -> Option<&ProfileInfo> {
        self.eis.profile_info.iter().find(|profile| profile.state == ProfileState::Enabled)
    }

    /// The profile with the fallback attribute.
    pub fn fallback(&self) -> Option<&ProfileInfo> {
        self.eis.profile_info.iter().find(|profile| profile.fallback_attribute)
    }

    /// Takes a profile out; its memory is free again.
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

    /// The numbers under which it is reached.
    fn addresses(&self) -> impl Iterator<Item = (&Msisdn, &ProfileInfo)> {
        let profiles = self.eis.profile_info.iter();
        profiles.filter_map(|profile| Some((profile.subscription_address.msisdn.as_ref()?, profile)))
    }

    /// That its numbers are nobody else's: by its number a card is known that says something, so who took another's would
    /// silence that card. Two profiles of one operator on one card may have the same, one after the other.
    pub(crate) async fn check_addresses(&self, tx: &mut Tx<'_>) -> Decision<()> {
        for (number, profile) in self.addresses() {
            let in_use = |why: &str| Err(Status::SubscriptionAddressInUse.because(why).about(number).into());
            let others =
                |other: (&Msisdn, &ProfileInfo)| other.0 == number && other.1.mno_id != profile.mno_id;
            if self.addresses().any(others) {
                return in_use("another operator's profile on the card has this MSISDN");
            }
            if self.is_anothers(tx, number).await? {
                return in_use(
                    "a profile on another card has this MSISDN; it must be given another, or deleted, first",
                );
            }
        }
        Ok(())
    }

    /// Whether another card is reached under this number.
    async fn is_anothers(&self, tx: &mut Tx<'_>, number: &Msisdn) -> Result<bool, Fault> {
        let Some(eid) = tx.get(&ADDRESSES, number.as_str()).await?.filter(|eid| *eid != self.eid()) else {
            return Ok(false);
        };
        let other = tx.get(&CARDS, &eid.to_string()).await?;
        Ok(other.is_some_and(|other| other.has_address(number.as_str())))
    }

    /// Makes it found by the numbers under which it is reached. To be called when one of them has changed, after
    /// [`check_addresses`](Self::check_addresses); one that is another card's stays with that.
    pub(crate) async fn keep_addresses(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        for (number, _) in self.addresses() {
            if !self.is_anothers(tx, number).await? {
                tx.put(&ADDRESSES, number.as_str(), &self.eid())?;
            }
        }
        Ok(())
    }

    /// Whether it is reached under this number when one of its profiles is enabled.
    pub(crate) fn has_address(&self, digits: &str) -> bool {
        self.addresses().any(|(number, _)| number.as_str() == digits)
    }

    /// Writes it. The only way to write a card.
    pub(crate) fn keep(&self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        tx.put(&CARDS, &self.eid().to_string(), self)
    }
}

/// A notification of the card's that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenNotification {
    /// Its number; a repetition has the same.
    pub sequence: u16,
    /// What it told.
    pub kind: NotificationType,
    /// Whether it was confirmed. One that was not is not confirmed when it comes again either.
    pub confirmed: bool,
    /// The profile that was disabled with it, to which POL2 may apply once the change is certain.
    pub left: Option<Iccid>,
    /// Whether the owners of the profiles do not know of the change yet, because it was not certain.
    #[serde(default)]
    pub untold: bool,
}

/// Somebody with whom this SM-SR speaks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Its OID: in the From of its messages, and in its client certificate.
    pub id: Oid,
    /// Its name for people.
    pub name: String,
    /// What it is.
    pub role: PeerRole,
    /// Where it takes callbacks, notifications and functions, as a URI; it is not told anything when there is none.
    pub endpoint: Option<String>,
    /// What is spoken to it first; answers are in what it spoke.
    pub namespace: Namespace,
}

/// What a peer is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PeerRole {
    /// Calls ES1.
    Eum {
        /// Under which it enciphers the keys in an EIS.
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
    /// Where and how it is spoken to, if it is.
    pub fn endpoint(&self) -> Option<soap::Peer> {
        let endpoint = self.endpoint.clone()?;
        Some(soap::Peer { id: self.id.clone(), endpoint, namespace: self.namespace })
    }
}

impl PeerRole {
    /// For people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Eum { .. } => "EUM",
            Self::SmDp => "SM-DP",
            Self::Operator => "operator",
            Self::SmSr => "SM-SR",
        }
    }
}

/// What ends by itself, and when it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deadline {
    /// The validity period of the function with this number.
    Operation {
        /// The card.
        eid: Eid,
        /// The function.
        number: u64,
    },
    /// A download: the ISD-P is still Created then, or not.
    Download {
        /// The card.
        eid: Eid,
        /// The profile.
        iccid: Iccid,
        /// In this ISD-P; another one of the same ICCID is another download.
        isd_p: Aid,
    },
    /// Something is done of our own accord that could not be done before.
    Again {
        /// The card.
        eid: Eid,
        /// What.
        function: Function,
    },
    /// Having a card to oneself.
    Held(Eid),
    /// Waiting for a card that another SM-SR was to hand over.
    Prepared(Eid),
    /// Taking over a card.
    Takeover(Eid),
}

/// The key of a deadline: in the order of time.
pub(crate) fn deadline_key(at: Timestamp, deadline: &Deadline) -> String {
    let what = match deadline {
        Deadline::Operation { eid, number } => format!("{eid}/operation/{number:012}"),
        Deadline::Download { eid, iccid, isd_p } => format!("{eid}/download/{iccid}/{isd_p}"),
        Deadline::Again { eid, function } => {
            let iccid = function.iccid().map(|iccid| iccid.to_string()).unwrap_or_default();
            format!("{eid}/again/{}/{iccid}", function.name())
        }
        Deadline::Held(eid) => format!("{eid}/held"),
        Deadline::Prepared(eid) => format!("{eid}/prepared"),
        Deadline::Takeover(eid) => format!("{eid}/takeover"),
    };
    format!("{:015}/{what}", at.0.max(0))
}

/// When a deadline is due, by its key.
pub(crate) fn due_at(key: &str) -> Option<Timestamp> {
    key.split_once('/').and_then(|(at, _)| at.parse().ok()).map(Timestamp)
}

/// An operator has told us that a card will come from another SM-SR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Who said so.
    pub operator: Oid,
    /// Who manages the card now.
    pub current: Oid,
    /// Until when it is waited for.
    pub until: Timestamp,
}
