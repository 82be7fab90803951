//! What a card remembers: what survives a power cut, and what does not, as two types.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use profile::element::PinKeyReference;
use profile::{FileIndex, Octets, SecretOctets};
use rsp::der::{Asn1, Raw};
use rsp::ids::{Aid, Eid, Iccid, Oid, SubjectKeyIdentifier};
use rsp::sgp22::es8plus::StoreMetadataRequest;
use rsp::sgp22::{PendingNotification, ProfileClass, ppr};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cat::Cat;
use super::channel::Channel;
use super::m2m;
use super::multi_imsi;
use super::session::Session;

/// The version of the stored form that this code writes and reads.
pub(crate) const STORED_FORM: u32 = 3;

/// What survives a power cut. It changes only as a whole, once a command has been decided; `stored` says in which cells
/// of the memory it is kept. What is left out of the serialised form has cells of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Persistent {
    pub(crate) stored_form: u32,
    /// Whose memory it is, so that it cannot be put under another card.
    pub(crate) eid: Eid,
    /// Numbers of ISD-Ps are never used twice.
    pub(crate) next_isd_p: u16,
    pub(crate) next_sequence_number: i64,
    pub(crate) default_dp_address: Option<String>,
    /// In the order of their numbers. A change makes a copy of the one profile: `Arc::make_mut`.
    #[serde(skip)]
    pub(crate) profiles: Vec<Arc<InstalledProfile>>,
    /// At most one, by construction.
    pub(crate) enabled: Option<Aid>,
    /// The profile before a test profile, or before one for provisioning if PPR1 keeps it: to it alone one may go back.
    pub(crate) way_back: Option<Aid>,
    /// What the next REFRESH will bring about.
    pub(crate) switch: Option<ProfileSwitch>,
    /// In the order of their numbers.
    #[serde(skip)]
    pub(crate) notifications: Vec<Arc<StoredNotification>>,
    /// One-time keys given out and not used up, the latest last.
    #[serde(skip)]
    pub(crate) one_time_keys: Vec<OneTimeKey>,
    /// What each CI has revoked: of each at most one list that is whole and one that is not yet.
    #[serde(skip)]
    pub(crate) crls: Vec<StoredCrl>,
    /// What makes it an M2M eUICC; none in a consumer card.
    #[serde(skip)]
    pub(crate) m2m: Option<Box<m2m::state::State>>,
}

/// A change of the enabled profile that waits for a REFRESH or a reset: SGP.22 sections 5.7.16 and 5.7.17.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProfileSwitch {
    /// This one is to be enabled, in the place of the present one.
    Enable(Aid),
    /// The present one is to be disabled.
    Disable,
}

/// An ISD-P and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstalledProfile {
    pub(crate) isd_p: Aid,
    pub(crate) metadata: InDer<StoreMetadataRequest>,
    pub(crate) nickname: Option<String>,
    /// From ConfigureISDP.
    pub(crate) dp_oid: Option<Oid>,
    /// The CI of the session in which it was installed: its notifications are signed under it.
    pub(crate) ci: SubjectKeyIdentifier,
    /// Octets of memory that it takes.
    pub(crate) memory: u32,
    /// What the applet of several identities remembers, if the profile has it.
    #[serde(default, skip_serializing_if = "multi_imsi::State::is_new")]
    pub(crate) identities: multi_imsi::State,
    /// Its files, codes and keys.
    #[serde(skip)]
    pub(crate) content: profile::InstalledProfile,
}

impl InstalledProfile {
    pub(crate) fn iccid(&self) -> Iccid {
        self.metadata.0.iccid
    }

    /// Operational when the metadata do not say.
    pub(crate) fn class(&self) -> ProfileClass {
        self.metadata.0.profile_class.unwrap_or(ProfileClass::OPERATIONAL)
    }

    pub(crate) fn may_be_disabled(&self) -> bool {
        !self.has_rule(ppr::PPR1)
    }

    pub(crate) fn may_be_deleted(&self) -> bool {
        !self.has_rule(ppr::PPR2)
    }

    fn has_rule(&self, rule: usize) -> bool {
        self.metadata.0.profile_policy_rules.as_ref().is_some_and(|rules| rules.has(rule))
    }
}

/// A notification that has not been removed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredNotification {
    pub(crate) sequence_number: i64,
    /// A bit of [`rsp::sgp22::notification_event`].
    pub(crate) event: usize,
    pub(crate) address: String,
    pub(crate) iccid: Option<Iccid>,
    /// As it was signed.
    pub(crate) signed: InDer<Raw<PendingNotification>>,
}

/// otSK.EUICC.ECKA and its public half, kept for a retry: SGP.22 section 5.7.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OneTimeKey {
    /// The SM-DP+ it was made for.
    pub(crate) smdp_oid: Oid,
    /// 04 || X || Y.
    pub(crate) public: Octets,
    pub(crate) secret: SecretOctets,
}

/// What a CI has revoked: SGP.22 section 5.7.12. Serial numbers of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCrl {
    pub(crate) ci: SubjectKeyIdentifier,
    /// cRLNumber.
    pub(crate) number: i64,
    /// deltaCRLIndicator.
    pub(crate) base: Option<i64>,
    /// In how many parts the list comes; 1 when it comes whole.
    pub(crate) parts: i64,
    /// Which of them are here, from 1.
    pub(crate) loaded: BTreeSet<i64>,
    /// Those of the list that is added to among them, once the addition is whole.
    pub(crate) revoked: BTreeSet<String>,
    /// What an addition takes off the list once it is whole.
    pub(crate) removed: BTreeSet<String>,
}

impl StoredCrl {
    pub(crate) fn is_whole(&self) -> bool {
        self.missing_parts().is_empty()
    }

    pub(crate) fn missing_parts(&self) -> Vec<i64> {
        (1..=self.parts).filter(|part| !self.loaded.contains(part)).collect()
    }

    /// Whether both are parts of the same.
    pub(crate) fn is_of_the_list_of(&self, other: &Self) -> bool {
        (self.number, self.base, self.parts) == (other.number, other.base, other.parts)
    }
}

/// How many one-time keys are kept for retries; the oldest go first.
pub(crate) const MAX_ONE_TIME_KEYS: usize = 8;

impl Persistent {
    /// A card fresh from the factory.
    pub(crate) fn new(eid: Eid, default_dp_address: Option<String>) -> Self {
        Self {
            stored_form: STORED_FORM,
            eid,
            next_isd_p: 0x10,
            next_sequence_number: 1,
            default_dp_address,
            profiles: Vec::new(),
            enabled: None,
            way_back: None,
            switch: None,
            notifications: Vec::new(),
            one_time_keys: Vec::new(),
            crls: Vec::new(),
            m2m: None,
        }
    }

    pub(crate) fn profile(&self, isd_p: &Aid) -> Option<&InstalledProfile> {
        self.profiles.iter().find(|profile| profile.isd_p == *isd_p).map(AsRef::as_ref)
    }

    pub(crate) fn enabled_profile(&self) -> Option<&InstalledProfile> {
        self.profile(self.enabled.as_ref()?)
    }

    pub(crate) fn enabled_profile_mut(&mut self) -> Option<&mut InstalledProfile> {
        let enabled = self.enabled.as_ref()?;
        self.profiles.iter_mut().find(|profile| profile.isd_p == *enabled).map(Arc::make_mut)
    }

    pub(crate) fn memory_used(&self) -> u32 {
        match &self.m2m {
            None => self.profiles.iter().fold(0, |sum, profile| sum.saturating_add(profile.memory)),
            Some(m2m) => m2m.isd_ps.iter().fold(0, |sum, isd_p| sum.saturating_add(self.taken_by(isd_p))),
        }
    }
}

/// What a reset clears.
#[derive(Clone, Debug)]
pub(crate) struct Volatile {
    /// Open channels; the basic channel is always there.
    pub(crate) channels: BTreeMap<u8, Channel>,
    pub(crate) session: Session,
    /// What scripts have begun.
    pub(crate) m2m: m2m::session::Sessions,
    pub(crate) cat: Cat,
    /// Codes of the enabled profile that were presented since the last reset: whose, and which.
    pub(crate) verified: BTreeSet<(FileIndex, PinKeyReference)>,
}

impl Volatile {
    /// After a reset; `on_basic_channel` is what is selected there without being asked for.
    pub(crate) fn after_reset(on_basic_channel: Channel) -> Self {
        Self {
            channels: BTreeMap::from([(0, on_basic_channel)]),
            session: Session::Idle,
            m2m: m2m::session::Sessions::default(),
            cat: Cat::default(),
            verified: BTreeSet::new(),
        }
    }
}

/// An ASN.1 value whose stored form is its DER, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InDer<T>(pub(crate) T);

impl<T: Asn1> Serialize for InDer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0.to_der()))
    }
}

impl<'de, T: Asn1> Deserialize<'de> for InDer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let octets = hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        T::from_der(&octets).map(Self).map_err(D::Error::custom)
    }
}
