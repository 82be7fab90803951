//! What a device's own program and the platform say to each other.

use std::fmt;

use localize::{Country, Orderable};
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, Imsi, Plmn},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::World;

/// What a device says when it checks in: what it knows of itself, whether or not the platform knows it already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckIn {
    /// The identity of its eUICC.
    pub eid: Eid,
    /// What time it was for the device.
    pub at: Timestamp,
    /// Where it is registered; none if it reaches the platform in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registration>,
    /// What its card says that it holds (ES10c.GetProfilesInfo); none if the card was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Vec<OnCard>>,
    /// Who has refused it since it checked in last, or has no profile for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedBy>,
    /// How the move ended that it was told to make. Said again until it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<MoveEnded>,
}

impl CheckIn {
    /// Of a device that has nothing to say.
    pub fn new(eid: Eid, at: Timestamp) -> Self {
        Self { eid, at, registered: None, profiles: None, refused: Vec::new(), ended: None }
    }
}

/// An attachment to a network with a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The network.
    pub network: Plmn,
    /// The profile in use.
    pub iccid: Iccid,
    /// As whom, if the device knows: a profile with several identities can be several subscribers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imsi: Option<Imsi>,
}

/// A profile as the card lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnCard {
    /// Its number.
    pub iccid: Iccid,
    /// Whether it is in use.
    pub enabled: bool,
    /// Its home network, if its metadata names one (profileOwner of SGP.22 section 5.7.15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Plmn>,
}

/// A network that did not take the device, or an operator that was to bring a profile and has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedBy {
    /// The home network of the subscriber that was refused, or would be one.
    pub network: Plmn,
    /// The cause, in words or as a number.
    pub cause: Box<str>,
}

/// How a move ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveEnded {
    /// Which.
    pub order: OrderId,
    /// How.
    #[serde(flatten)]
    pub ending: Ending,
}

/// The ends of a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    /// The new profile carries the device.
    Moved,
    /// It does not, and the former one is in use again.
    CameBack {
        /// Why.
        why: Box<str>,
    },
    /// There is no new profile on the card.
    NotInstalled {
        /// Why.
        why: Box<str>,
    },
}

/// What the platform answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// What the device is to do.
    pub what: What,
    /// When it checks in next, unless something happens before.
    pub next_check_in: Timestamp,
}

/// What a device is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Nothing.
    Nothing,
    /// Come onto another profile, and say how that ended. The same order is the same move, however often it is given.
    Move {
        /// Which move it is.
        order: OrderId,
        /// By which profile.
        to: Target,
        /// The profile to enable again if the new one does not carry.
        fall_back_to: Option<Iccid>,
    },
}

/// Where a move goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Enable a profile that the card holds.
    Enable(Iccid),
    /// Download a profile and enable it.
    Download {
        /// Which it will be.
        iccid: Iccid,
        /// From where.
        #[serde(with = "activation_code")]
        code: ActivationCode,
    },
    /// Have the operator bring a profile and enable it (ES2.DownloadProfile of SGP.02): said to who acts for a device that has
    /// no LPA.
    Order {
        /// Whose.
        operator: Plmn,
        /// Which, or of which type.
        what: Orderable,
    },
}

impl Target {
    /// The profile that is to be enabled in the end, if that is known.
    pub fn iccid(&self) -> Option<Iccid> {
        match self {
            Self::Enable(iccid) | Self::Download { iccid, .. } => Some(*iccid),
            Self::Order { .. } => None,
        }
    }
}

/// The name of a move: no two have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(Box<str>);

impl OrderId {
    /// A new one.
    pub fn drawn(world: &World) -> Self {
        Self(hex::encode(world.random::<8>()).into())
    }

    /// One that stands as the key of a record.
    pub(crate) fn from_key(key: &str) -> Self {
        Self(key.into())
    }
}

impl AsRef<str> for OrderId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a check-in and the records do not agree about. It is written into the device's trail, and the records are made to
/// say what the card says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Discrepancy {
    /// A profile was recorded, and the card does not have it.
    Gone {
        /// Which.
        iccid: Iccid,
    },
    /// The card has a profile that was not recorded.
    Appeared {
        /// Which.
        iccid: Iccid,
    },
    /// The same, and nobody knows whose it is: it cannot be recorded.
    Stranger {
        /// Which.
        iccid: Iccid,
    },
    /// Another profile is in use than was recorded.
    OtherEnabled {
        /// Which is in use; none if none is.
        iccid: Option<Iccid>,
    },
    /// It is registered as a subscriber who is neither the profile's own nor one of the identities that are recorded.
    OtherIdentity {
        /// As whom.
        imsi: Imsi,
    },
    /// A move is said to have ended on a profile that the card does not have in use.
    NotThere {
        /// Which.
        iccid: Iccid,
    },
    /// The device is where it was to go, and never said so.
    Unreported {
        /// By which profile.
        iccid: Iccid,
    },
    /// The profile is on the card, and its SM-DP+ was never told: the notification was lost, or could not be read.
    NotNotified {
        /// Which.
        iccid: Iccid,
    },
    /// The SM-DP+ takes the profile for installed, and the card does not have it.
    NotInstalled {
        /// Which.
        iccid: Iccid,
    },
    /// An order stays at the SM-DP+, which does not let it be cancelled.
    NotCancelled {
        /// Of which profile.
        iccid: Iccid,
        /// What the SM-DP+ says.
        why: Box<str>,
    },
    /// A move has been under way for too long.
    TooLong,
    /// It is registered in a network whose country is not known.
    UnknownNetwork {
        /// Which.
        network: Plmn,
    },
    /// What it reports is older than what is recorded of where it was.
    OldReport {
        /// Where it says that it was.
        country: Country,
    },
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { iccid } => write!(f, "profile {iccid} is no longer on the card"),
            Self::Appeared { iccid } => write!(f, "profile {iccid} is on the card and was not recorded"),
            Self::Stranger { iccid } => {
                write!(f, "profile {iccid} is on the card, and nobody knows its home network")
            }
            Self::OtherEnabled { iccid: Some(iccid) } => {
                write!(f, "profile {iccid} is in use, and another was recorded")
            }
            Self::OtherEnabled { iccid: None } => write!(f, "no profile is in use"),
            Self::OtherIdentity { imsi } => {
                write!(f, "registered as IMSI {imsi}, which is no identity that was recorded")
            }
            Self::NotThere { iccid } => {
                write!(f, "said to have moved to profile {iccid}, which is not in use")
            }
            Self::Unreported { iccid } => {
                write!(f, "moved to profile {iccid} without ever saying so")
            }
            Self::NotNotified { iccid } => {
                write!(f, "profile {iccid} is on the card, and its SM-DP+ was not told of it")
            }
            Self::NotInstalled { iccid } => {
                write!(f, "profile {iccid} is installed for its SM-DP+, and is not on the card")
            }
            Self::NotCancelled { iccid, why } => {
                write!(f, "the order of profile {iccid} cannot be cancelled: {why}")
            }
            Self::TooLong => f.write_str("the move has been under way for too long"),
            Self::UnknownNetwork { network } => {
                write!(f, "no country is known for network {network}; add a [[place]] for it")
            }
            Self::OldReport { country } => {
                write!(f, "what it reports of {country} is older than the records")
            }
        }
    }
}

/// An activation code as the text that people scan.
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
