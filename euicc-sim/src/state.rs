//! The state of a card. One type contains the part that survives a power cut, another type the part
//! that does not.

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

pub(crate) mod cat;
pub(crate) mod channel;
pub(crate) mod iot;
pub(crate) mod m2m;
pub(crate) mod multi_imsi;
pub(crate) mod session;

use cat::Cat;
use channel::Channel;
use iot::IotState;
use session::Session;

/// The state that survives a power cut and that all kinds of card have. It changes as a whole after
/// a command has been processed. The module `stored` defines the memory cells for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Persistent {
    /// The EID of the card that owns the memory. A memory with another EID is refused.
    pub(crate) eid: Eid,
    /// In ascending order of the ISD-P numbers. A change copies only the changed profile
    /// (`Arc::make_mut`).
    pub(crate) profiles: Vec<Arc<InstalledProfile>>,
    /// The enabled profile. The type permits at most one.
    pub(crate) enabled: Option<Aid>,
    /// The profile that was enabled before the current test profile. It is also set while a
    /// provisioning profile is enabled, if PPR1 protects the profile that was enabled before. While
    /// it is set, only this profile can replace the enabled one.
    pub(crate) previous_profile: Option<Aid>,
    /// The profile switch that the next REFRESH applies.
    pub(crate) switch: Option<ProfileSwitch>,
}

/// The persistent state that only consumer cards and IoT cards have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerState {
    /// ISD-P numbers are never reused.
    pub(crate) next_isd_p: u16,
    pub(crate) next_sequence_number: i64,
    pub(crate) default_dp_address: Option<String>,
    /// In ascending order of the sequence numbers.
    pub(crate) notifications: Vec<Arc<StoredNotification>>,
    /// Unused one-time keys. The latest key is the last.
    pub(crate) one_time_keys: Vec<OneTimeKey>,
    /// The revoked certificates. A CI has at most one complete list and one incomplete list.
    pub(crate) crls: Vec<StoredCrl>,
    /// The state that only an IoT card has; `None` on a consumer card.
    pub(crate) iot: Option<Box<IotState>>,
}

/// A pending change of the enabled profile, applied at a REFRESH or a reset: SGP.22 sections 5.7.16
/// and 5.7.17.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProfileSwitch {
    /// Enable this profile instead of the enabled one.
    Enable(Aid),
    /// Disable the enabled profile.
    Disable,
}

/// An ISD-P and its profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstalledProfile {
    pub(crate) isd_p: Aid,
    pub(crate) metadata: InDer<StoreMetadataRequest>,
    pub(crate) nickname: Option<String>,
    /// The OID from ConfigureISDP.
    pub(crate) dp_oid: Option<Oid>,
    /// The CI of the session in which the profile was installed. The card signs the profile's
    /// notifications under this CI.
    pub(crate) ci: SubjectKeyIdentifier,
    /// Octets of memory that the profile takes.
    pub(crate) memory: u32,
    /// The state of the multi-IMSI applet, if the profile has it.
    #[serde(default, skip_serializing_if = "multi_imsi::State::is_new")]
    pub(crate) identities: multi_imsi::State,
    /// The files, PINs and keys of the profile.
    #[serde(skip)]
    pub(crate) content: profile::InstalledProfile,
}

impl InstalledProfile {
    pub(crate) fn iccid(&self) -> Iccid {
        self.metadata.0.iccid
    }

    /// The profile class. It is operational if the metadata have no class.
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
#[serde(deny_unknown_fields)]
pub(crate) struct StoredNotification {
    pub(crate) sequence_number: i64,
    /// A bit of [`rsp::sgp22::notification_event`].
    pub(crate) event: usize,
    pub(crate) address: String,
    pub(crate) iccid: Option<Iccid>,
    /// The notification as it was signed.
    pub(crate) signed: InDer<Raw<PendingNotification>>,
}

/// otSK.EUICC.ECKA and its public half, kept for a retry: SGP.22 section 5.7.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OneTimeKey {
    /// The SM-DP+ for which the key was generated.
    pub(crate) smdp_oid: Oid,
    /// 04 || X || Y.
    pub(crate) public: Octets,
    pub(crate) secret: SecretOctets,
}

/// The serial numbers of the certificates revoked by a CI: SGP.22 section 5.7.12.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredCrl {
    pub(crate) ci: SubjectKeyIdentifier,
    /// cRLNumber.
    pub(crate) number: i64,
    /// deltaCRLIndicator.
    pub(crate) base: Option<i64>,
    /// The number of parts of the list; 1 if it is not segmented.
    pub(crate) parts: i64,
    /// The parts that have been loaded, numbered from 1.
    pub(crate) loaded: BTreeSet<i64>,
    /// Revoked certificates. Once a delta CRL is complete, these include those of its base list.
    pub(crate) revoked: BTreeSet<String>,
    /// Certificates that a delta CRL removes from its base list when it is complete.
    pub(crate) removed: BTreeSet<String>,
}

impl StoredCrl {
    pub(crate) fn is_complete(&self) -> bool {
        self.missing_parts().is_empty()
    }

    pub(crate) fn missing_parts(&self) -> Vec<i64> {
        (1..=self.parts).filter(|part| !self.loaded.contains(part)).collect()
    }

    /// True if both are parts of the same list.
    pub(crate) fn is_same_list_as(&self, other: &Self) -> bool {
        (self.number, self.base, self.parts) == (other.number, other.base, other.parts)
    }
}

/// Maximum number of one-time keys kept for retries. The oldest are discarded first.
pub(crate) const MAX_ONE_TIME_KEYS: usize = 8;

impl Persistent {
    /// A card without profiles.
    pub(crate) fn new(eid: Eid) -> Self {
        Self { eid, profiles: Vec::new(), enabled: None, previous_profile: None, switch: None }
    }

    pub(crate) fn profile(&self, isd_p: &Aid) -> Option<&InstalledProfile> {
        self.profiles.iter().find(|profile| profile.isd_p == *isd_p).map(AsRef::as_ref)
    }

    pub(crate) fn has_iccid(&self, iccid: Iccid) -> bool {
        self.profiles.iter().any(|profile| profile.iccid() == iccid)
    }

    /// Removes the profile and the reference to it as the previous profile.
    pub(crate) fn remove_profile(&mut self, isd_p: &Aid) {
        self.profiles.retain(|profile| profile.isd_p != *isd_p);
        if self.previous_profile.as_ref() == Some(isd_p) {
            self.previous_profile = None;
        }
    }

    pub(crate) fn enabled_profile(&self) -> Option<&InstalledProfile> {
        self.profile(self.enabled.as_ref()?)
    }

    pub(crate) fn enabled_profile_mut(&mut self) -> Option<&mut InstalledProfile> {
        let enabled = self.enabled.as_ref()?;
        self.profiles.iter_mut().find(|profile| profile.isd_p == *enabled).map(Arc::make_mut)
    }
}

impl ConsumerState {
    /// The state of a new consumer card.
    pub(crate) fn new(default_dp_address: Option<String>) -> Self {
        Self {
            next_isd_p: 0x10,
            next_sequence_number: 1,
            default_dp_address,
            notifications: Vec::new(),
            one_time_keys: Vec::new(),
            crls: Vec::new(),
            iot: None,
        }
    }

    /// The state that only an IoT card has.
    pub(crate) fn iot(&self) -> &IotState {
        static NEW: IotState = IotState::NEW;
        self.iot.as_deref().unwrap_or(&NEW)
    }

    /// The state that only an IoT card has, for changes.
    pub(crate) fn iot_mut(&mut self) -> &mut IotState {
        self.iot.get_or_insert_with(|| Box::new(IotState::NEW))
    }
}

/// The state that a reset clears.
#[derive(Clone, Debug)]
pub(crate) struct Volatile {
    /// Open channels; the basic channel is always open.
    pub(crate) channels: BTreeMap<u8, Channel>,
    pub(crate) session: Session,
    /// Sessions opened by scripts of the SM-SR.
    pub(crate) m2m: m2m::session::Sessions,
    pub(crate) cat: Cat,
    /// PINs of the enabled profile that were verified since the last reset: owner and key
    /// reference.
    pub(crate) verified: BTreeSet<(FileIndex, PinKeyReference)>,
    /// True if the terminal announced an IPA in TERMINAL CAPABILITY.
    pub(crate) has_ipad: bool,
    /// True if the terminal activated the IPA inside the card.
    pub(crate) is_ipae_activated: bool,
}

impl Volatile {
    /// The state after a reset. `on_basic_channel` is the initial state of the basic channel.
    pub(crate) fn after_reset(on_basic_channel: Channel) -> Self {
        Self {
            channels: BTreeMap::from([(0, on_basic_channel)]),
            session: Session::Idle,
            m2m: m2m::session::Sessions::default(),
            cat: Cat::default(),
            verified: BTreeSet::new(),
            has_ipad: false,
            is_ipae_activated: false,
        }
    }

    /// True if an IPA inside the card may run: the terminal has no IPA, or it has activated that of
    /// the card.
    pub(crate) fn ipae_may_run(&self) -> bool {
        !self.has_ipad || self.is_ipae_activated
    }
}

/// An ASN.1 value whose stored form is its DER in hexadecimal.
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
