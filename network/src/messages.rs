//! The messages between device and network of 3GPP TS 24.301, reduced to the fields that decide a
//! registration.
//!
//! In JSON, octets are hexadecimal text.

use std::fmt;

use rsp::ids::{Imsi, Plmn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::causes::EmmCause;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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
