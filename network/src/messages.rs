//! The messages between device and network of 3GPP TS 24.301, reduced to the fields that decide a
//! registration.
//!
//! In JSON, octets are hexadecimal text.

use std::fmt;

use rsp::ids::{Imsi, Plmn};
use serde::{Deserialize, Serialize};

/// The system information that a network broadcasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemInformation {
    /// The identity of the network.
    pub plmn: Plmn,
    /// The name of the network.
    pub name: String,
    /// The ISO 3166-1 alpha-2 country code.
    pub country: String,
}

/// ATTACH REQUEST: section 8.2.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// EPS mobile identity. Always the IMSI: a simulated network gives out no GUTI.
    pub imsi: Imsi,
}

/// The ID of an attach procedure. It represents the signalling connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttachId(pub String);

/// A network's answer to the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkAnswer {
    /// The network demands authentication.
    AuthenticationRequest(AuthenticationRequest),
    /// The device is registered.
    AttachAccept(AttachAccept),
    /// The registration is refused.
    AttachReject(AttachReject),
}

/// AUTHENTICATION REQUEST: section 8.2.7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationRequest {
    /// The attach procedure.
    pub attach: AttachId,
    /// The challenge, RAND.
    #[serde(with = "hex_octets")]
    pub rand: [u8; 16],
    /// The authentication token of the home network, AUTN.
    #[serde(with = "hex_octets")]
    pub autn: [u8; 16],
}

/// AUTHENTICATION RESPONSE or AUTHENTICATION FAILURE: sections 8.2.8 and 8.2.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationResponse {
    /// The attach procedure.
    pub attach: AttachId,
    /// The card's answer.
    pub answer: AuthenticationAnswer,
}

/// The card's answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationAnswer {
    /// The response, RES.
    Res(#[serde(with = "hex_octets")] Vec<u8>),
    /// Cause #20: the MAC of the network is wrong.
    MacFailure,
    /// Cause #21: the sequence number of the network is not fresh. Contains AUTS.
    SynchFailure(#[serde(with = "hex_octets")] [u8; 14]),
}

/// ATTACH ACCEPT: section 8.2.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachAccept {
    /// The ID by which the network knows the device from now on, like a GUTI.
    pub attach: AttachId,
    /// The network.
    pub plmn: Plmn,
    /// The name of the network (EMM INFORMATION).
    pub network_name: String,
    /// The ISO 3166-1 alpha-2 country code.
    pub country: String,
    /// Home or roaming service.
    pub service: Service,
}

/// Home or roaming service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Service by the subscriber's own operator.
    Home,
    /// Service by another operator.
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
    /// The reason.
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

            /// The name of the cause in the standard.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )+
                    _ => "unnamed cause",
                }
            }
        }
    };
}

causes! {
    /// The home network does not know the subscriber.
    IMSI_UNKNOWN_IN_HSS = 2 "IMSI unknown in HSS",
    /// The subscriber is refused or failed the authentication.
    ILLEGAL_UE = 3 "illegal UE",
    /// The device is refused.
    ILLEGAL_ME = 6 "illegal ME",
    /// No EPS services.
    EPS_SERVICES_NOT_ALLOWED = 7 "EPS services not allowed",
    /// No services at all.
    EPS_AND_NON_EPS_SERVICES_NOT_ALLOWED = 8 "EPS services and non-EPS services not allowed",
    /// The subscriber is not allowed in this network.
    PLMN_NOT_ALLOWED = 11 "PLMN not allowed",
    /// The subscriber is not allowed in this tracking area.
    TRACKING_AREA_NOT_ALLOWED = 12 "tracking area not allowed",
    /// No roaming in this area.
    ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA = 13 "roaming not allowed in this tracking area",
    /// No EPS services in this network.
    EPS_SERVICES_NOT_ALLOWED_IN_THIS_PLMN = 14 "EPS services not allowed in this PLMN",
    /// The subscriber is not allowed in this tracking area, and the device should select another
    /// tracking area.
    NO_SUITABLE_CELLS_IN_TRACKING_AREA = 15 "no suitable cells in tracking area",
    /// An internal failure of the network.
    NETWORK_FAILURE = 17 "network failure",
    /// From the device: the network's MAC is wrong.
    MAC_FAILURE = 20 "MAC failure",
    /// From the device: the network's sequence number is not fresh.
    SYNCH_FAILURE = 21 "synch failure",
    /// The network is congested.
    CONGESTION = 22 "congestion",
    /// The message could not be understood.
    PROTOCOL_ERROR_UNSPECIFIED = 111 "protocol error, unspecified",
}

impl EmmCause {
    /// True if the device must treat the subscription as invalid until the card is replaced or its
    /// profile is switched (section 5.5.1.2.5).
    pub fn invalidates_usim(self) -> bool {
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

/// Serde functions for octets as hexadecimal text.
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
        octets.try_into().map_err(|_| Error::custom("unexpected number of octets"))
    }
}
