//! What device and network say to each other: 3GPP TS 24.301, in the fields that decide over a registration.
//!
//! In JSON, octets are hexadecimal text.

use std::fmt;

use rsp::ids::{Imsi, Plmn};
use serde::{Deserialize, Serialize};

/// What a network broadcasts of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemInformation {
    /// Which network.
    pub plmn: Plmn,
    /// Its name.
    pub name: String,
    /// Two letters after ISO 3166-1.
    pub country: String,
}

/// ATTACH REQUEST: section 8.2.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// EPS mobile identity. Always the IMSI: a simulated network gives out no GUTI.
    pub imsi: Imsi,
}

/// Which attach procedure a message belongs to; stands for the signalling connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttachId(pub String);

/// What a network answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkAnswer {
    /// Prove who you are.
    AuthenticationRequest(AuthenticationRequest),
    /// You are in.
    AttachAccept(AttachAccept),
    /// You are not.
    AttachReject(AttachReject),
}

/// AUTHENTICATION REQUEST: section 8.2.7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationRequest {
    /// Of this procedure.
    pub attach: AttachId,
    /// The challenge.
    #[serde(with = "hex_octets")]
    pub rand: [u8; 16],
    /// The home network's proof.
    #[serde(with = "hex_octets")]
    pub autn: [u8; 16],
}

/// AUTHENTICATION RESPONSE or AUTHENTICATION FAILURE: sections 8.2.8 and 8.2.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationResponse {
    /// Of this procedure.
    pub attach: AttachId,
    /// What the card said.
    pub answer: AuthenticationAnswer,
}

/// What the card said to a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationAnswer {
    /// RES.
    Res(#[serde(with = "hex_octets")] Vec<u8>),
    /// Cause #20: the network's MAC is wrong.
    MacFailure,
    /// Cause #21: its sequence number is not fresh; AUTS.
    SynchFailure(#[serde(with = "hex_octets")] [u8; 14]),
}

/// ATTACH ACCEPT: section 8.2.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachAccept {
    /// By which the network knows the device from now on, as by a GUTI.
    pub attach: AttachId,
    /// The network.
    pub plmn: Plmn,
    /// Its name (EMM INFORMATION).
    pub network_name: String,
    /// Two letters after ISO 3166-1.
    pub country: String,
    /// At home or abroad.
    pub service: Service,
}

/// How a subscriber is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// By the own operator.
    Home,
    /// By another one.
    Roaming,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Home => "home",
            Self::Roaming => "roaming",
        })
    }
}

/// ATTACH REJECT: section 8.2.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachReject {
    /// Why.
    pub cause: EmmCause,
}

/// EMM cause: section 9.9.3.9 and annex A.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmmCause(pub u8);

macro_rules! causes {
    ($( $(#[$meta:meta])* $name:ident = $number:literal $text:literal ),+ $(,)?) => {
        impl EmmCause {
            $( $(#[$meta])* pub const $name: Self = Self($number); )+

            /// The standard's name.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )+
                    _ => "a cause that has no name here",
                }
            }
        }
    };
}

causes! {
    /// The home network does not know the subscriber.
    IMSI_UNKNOWN_IN_HSS = 2 "IMSI unknown in HSS",
    /// The subscriber is refused or could not prove itself.
    ILLEGAL_UE = 3 "illegal UE",
    /// The device is refused.
    ILLEGAL_ME = 6 "illegal ME",
    /// No EPS services.
    EPS_SERVICES_NOT_ALLOWED = 7 "EPS services not allowed",
    /// No services at all.
    EPS_AND_NON_EPS_SERVICES_NOT_ALLOWED = 8 "EPS services and non-EPS services not allowed",
    /// Not in this network.
    PLMN_NOT_ALLOWED = 11 "PLMN not allowed",
    /// Not in this area.
    TRACKING_AREA_NOT_ALLOWED = 12 "tracking area not allowed",
    /// No roaming in this area.
    ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA = 13 "roaming not allowed in this tracking area",
    /// No EPS services in this network.
    EPS_SERVICES_NOT_ALLOWED_IN_THIS_PLMN = 14 "EPS services not allowed in this PLMN",
    /// Not in this area, look for another.
    NO_SUITABLE_CELLS_IN_TRACKING_AREA = 15 "no suitable cells in tracking area",
    /// Something failed in the network.
    NETWORK_FAILURE = 17 "network failure",
    /// From the device: the network's MAC is wrong.
    MAC_FAILURE = 20 "MAC failure",
    /// From the device: the network's sequence number is not fresh.
    SYNCH_FAILURE = 21 "synch failure",
    /// Too many at once.
    CONGESTION = 22 "congestion",
    /// The message is not understood.
    PROTOCOL_ERROR_UNSPECIFIED = 111 "protocol error, unspecified",
}

impl EmmCause {
    /// Whether this subscription is to be held for invalid until the card is changed or switched (section 5.5.1.2.5).
    pub fn bars_the_usim(self) -> bool {
        matches!(
            self,
            Self::IMSI_UNKNOWN_IN_HSS
                | Self::ILLEGAL_UE
                | Self::ILLEGAL_ME
                | Self::EPS_SERVICES_NOT_ALLOWED
                | Self::EPS_AND_NON_EPS_SERVICES_NOT_ALLOWED
        )
    }
}

impl fmt::Display for EmmCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {}", self.0, self.name())
    }
}

impl fmt::Debug for EmmCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Serde for octets as hexadecimal text.
pub(super) mod hex_octets {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        octets: &(impl AsRef<[u8]> + ?Sized),
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(octets))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let octets = hex::decode(String::deserialize(deserializer)?).map_err(Error::custom)?;
        octets.try_into().map_err(|_| Error::custom("the octets are of another length than expected"))
    }
}
