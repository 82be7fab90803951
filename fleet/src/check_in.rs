//! Messages of the check-in interface between devices and the platform.

use std::fmt;

use localize::{Country, Imei, Orderable};
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, Imsi, Plmn, TransactionId},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::World;

/// A check-in: the device reports its own state, whether or not the platform already knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckIn {
    /// The identity of its eUICC.
    pub eid: Eid,
    /// The device's local time.
    pub at: Timestamp,
    /// The registration, absent if the device reaches the platform in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registration>,
    /// Profiles on the card (ES10c.GetProfilesInfo), absent if the device did not query the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Vec<CardProfile>>,
    /// Networks that refused the device since its last check-in, and operators that had no profile
    /// for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedBy>,
    /// Result of the last instructed move, repeated until the platform acknowledges it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<MoveEnded>,
}

impl CheckIn {
    /// Returns a check-in that reports nothing.
    pub fn new(eid: Eid, at: Timestamp) -> Self {
        Self { eid, at, registered: None, profiles: None, refused: Vec::new(), ended: None }
    }
}

/// A registration in a network with a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The network.
    pub network: Plmn,
    /// The enabled profile.
    pub iccid: Iccid,
    /// The subscriber, if the device knows it. A profile with several identities can be several
    /// subscribers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imsi: Option<Imsi>,
    /// The IMEI of the device, if it reports it. Some rules count by IMEI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imei: Option<Imei>,
}

/// A profile as the card reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CardProfile {
    /// The ICCID.
    pub iccid: Iccid,
    /// True if the profile is enabled.
    pub enabled: bool,
    /// The home network, if the metadata names one (profileOwner of SGP.22 section 5.7.15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Plmn>,
}

/// A network that refused the device, or an operator that could not supply a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedBy {
    /// The home network of the refused subscriber, or of the missing profile.
    pub network: Plmn,
    /// The cause as text or as a number.
    pub cause: Box<str>,
}

/// Result of a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveEnded {
    /// The move.
    pub order: MoveId,
    /// Its result.
    #[serde(flatten)]
    pub ending: Ending,
}

/// Results of a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    /// The device is in service with the new profile.
    Moved,
    /// The new profile has no service, and the former profile is enabled again.
    CameBack {
        /// The reason.
        why: Box<str>,
    },
    /// No new profile is on the card.
    NotInstalled {
        /// The reason.
        why: Box<str>,
    },
}

/// The platform's answer to a check-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instruction {
    /// The action for the device.
    pub what: Action,
    /// The time of the next check-in, unless an event causes an earlier one.
    pub next_check_in: Timestamp,
}

/// An action for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// No action.
    Nothing,
    /// Move to another profile and report the result. An instruction with the same ID is a
    /// repetition of the same move.
    Move {
        /// ID of the move.
        order: MoveId,
        /// The profile to move to.
        to: Target,
        /// The profile to enable again if the new one gets no service.
        fall_back_to: Option<Iccid>,
    },
}

/// The profile to which a device moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Enable a profile that is on the card.
    Enable(Iccid),
    /// Download a profile and enable it.
    Download {
        /// Its ICCID.
        iccid: Iccid,
        /// Its activation code.
        #[serde(with = "activation_code")]
        #[schemars(with = "String")]
        code: ActivationCode,
    },
    /// Have the operator install and enable a profile (ES2.DownloadProfile of SGP.02). This
    /// instruction is for the M2M agent of a device without an LPA.
    Order {
        /// The operator.
        operator: Plmn,
        /// The profile, or the profile type.
        what: Orderable,
    },
}

impl Target {
    /// The ICCID of the profile to enable, if it is known.
    pub fn iccid(&self) -> Option<Iccid> {
        match self {
            Self::Enable(iccid) | Self::Download { iccid, .. } => Some(*iccid),
            Self::Order { .. } => None,
        }
    }
}

/// The unique ID of a move.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MoveId(Box<str>);

impl MoveId {
    /// Returns a new ID.
    pub fn drawn(world: &World) -> Self {
        Self(hex::encode(world.random::<8>()).into())
    }

    /// Returns the identifier of an order at an eIM: the ID, followed by the number of the step.
    pub(crate) fn transaction_id(&self, step: u8) -> TransactionId {
        // IDs are drawn as 8 octets in hexadecimal. Of another ID, as many octets as fit are used.
        let octets = hex::decode(&*self.0).unwrap_or_else(|_| self.0.as_bytes().to_vec());
        TransactionId(octets.into_iter().take(15).chain([step]).collect())
    }
}

impl fmt::Display for MoveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A difference between a check-in and the records. It is added to the device's trail, and the
/// records are updated from the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Discrepancy {
    /// The card no longer has a recorded profile.
    Gone {
        /// The profile.
        iccid: Iccid,
    },
    /// The card has a profile that was not recorded.
    Appeared {
        /// The profile.
        iccid: Iccid,
    },
    /// The card has a profile that was not recorded and whose home network is unknown, so it cannot
    /// be recorded.
    Stranger {
        /// The profile.
        iccid: Iccid,
    },
    /// The enabled profile is not the recorded one.
    OtherEnabled {
        /// The enabled profile, if there is one.
        iccid: Option<Iccid>,
    },
    /// The device is registered as a subscriber that belongs neither to the profile nor to a
    /// recorded identity.
    OtherIdentity {
        /// The IMSI.
        imsi: Imsi,
    },
    /// The device reports that it moved, but the profile is not enabled.
    NotThere {
        /// The profile.
        iccid: Iccid,
    },
    /// The device is on its new profile, but never reported the end of the move.
    Unreported {
        /// The new profile.
        iccid: Iccid,
    },
    /// The profile is on the card, but its SM-DP+ did not receive the notification or could not
    /// read it.
    NotNotified {
        /// The profile.
        iccid: Iccid,
    },
    /// The SM-DP+ reports the profile as installed, but the card does not have it.
    NotInstalled {
        /// The profile.
        iccid: Iccid,
    },
    /// The SM-DP+ refuses to cancel an order.
    NotCancelled {
        /// The ordered profile.
        iccid: Iccid,
        /// The reason given by the SM-DP+.
        why: Box<str>,
    },
    /// The move takes longer than allowed.
    TooLong,
    /// The country of the device's network is unknown.
    UnknownNetwork {
        /// The network.
        network: Plmn,
    },
    /// The reported stay is older than the recorded history.
    OldReport {
        /// The reported country.
        country: Country,
    },
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { iccid } => write!(f, "profile {iccid} is no longer on the card"),
            Self::Appeared { iccid } => write!(f, "profile {iccid} is on the card but was not recorded"),
            Self::Stranger { iccid } => {
                write!(f, "profile {iccid} is on the card, but its home network is unknown")
            }
            Self::OtherEnabled { iccid: Some(iccid) } => {
                write!(f, "profile {iccid} is enabled, but another one was recorded")
            }
            Self::OtherEnabled { iccid: None } => write!(f, "no profile is enabled"),
            Self::OtherIdentity { imsi } => {
                write!(f, "registered as IMSI {imsi}, which is no recorded identity")
            }
            Self::NotThere { iccid } => {
                write!(f, "the device reported a move to profile {iccid}, which is not enabled")
            }
            Self::Unreported { iccid } => {
                write!(f, "moved to profile {iccid} without reporting it")
            }
            Self::NotNotified { iccid } => {
                write!(f, "profile {iccid} is on the card, but its SM-DP+ was not notified")
            }
            Self::NotInstalled { iccid } => {
                write!(f, "the SM-DP+ reports profile {iccid} as installed, but it is not on the card")
            }
            Self::NotCancelled { iccid, why } => {
                write!(f, "the order of profile {iccid} cannot be cancelled: {why}")
            }
            Self::TooLong => f.write_str("the move takes longer than allowed"),
            Self::UnknownNetwork { network } => {
                write!(f, "the country of network {network} is unknown; add a [[place]] for it")
            }
            Self::OldReport { country } => {
                write!(f, "the report of {country} is older than the records")
            }
        }
    }
}

/// Serde format of an activation code: the text of its QR code.
pub(crate) mod activation_code {
    use rsp::activation_code::ActivationCode;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(code: &ActivationCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("LPA:{code}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ActivationCode, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
