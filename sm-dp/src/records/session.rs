//! Sessions of ES9+: a record for each session, with the message that it waits for.

use crypto::Curve;
use rsp::{
    ids::{Eid, Iccid, SubjectKeyIdentifier},
    time::Timestamp,
};
use rsp_server::Namespace;
use serde::{Deserialize, Serialize};

use super::{Octets, ProfileOrderId};

/// An ES9+ session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The server address in the signed challenge.
    pub server_address: String,
    /// The CI that issued the server's certificates in this session.
    pub server_ci: SubjectKeyIdentifier,
    /// The CI under which the eUICC is to sign.
    pub euicc_ci: SubjectKeyIdentifier,
    /// The time at which the session expires.
    pub expires: Timestamp,
    /// The next function that the session allows.
    pub awaits: Awaits,
}

impl Session {
    /// Returns the namespace of the offered profile. A session without an offer is in the default
    /// namespace.
    pub fn namespace(&self) -> Namespace {
        match &self.awaits {
            Awaits::AuthenticateClient { .. } => Namespace::default(),
            Awaits::GetBoundProfilePackage { offer, .. }
            | Awaits::ProfileInstallationResult { offer, .. } => offer.namespace.clone(),
        }
    }
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

/// The function that a session waits for, with the data that this function needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaits {
    /// ES9+.AuthenticateClient.
    AuthenticateClient {
        /// The challenge that the eUICC must sign.
        server_challenge: Octets,
    },
    /// ES9+.GetBoundProfilePackage.
    GetBoundProfilePackage {
        /// The profile offered to the eUICC.
        offer: Offer,
        /// The signature that the eUICC's signature also covers.
        smdp_signature2: Octets,
    },
    /// ES9+.HandleNotification with the installation result. The LPA can also request the package
    /// again.
    ProfileInstallationResult {
        /// The profile that the eUICC received.
        offer: Offer,
        /// The signature that the eUICC's signature also covers.
        smdp_signature2: Octets,
    },
}

/// The profile that a session offers, and the authenticated eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The profile.
    pub iccid: Iccid,
    /// The order that the profile is offered under. If the profile gets another order, the offer is
    /// void.
    pub order: ProfileOrderId,
    /// The MatchingID of the request. It is empty in the default SM-DP+ case.
    pub matching_id: String,
    /// The namespace of the profile.
    #[serde(default, skip_serializing_if = "Namespace::is_default")]
    pub namespace: Namespace,
    /// The eUICC.
    pub eid: Eid,
    /// The public key of CERT.EUICC, an uncompressed point.
    pub euicc_key: Octets,
    /// The curve of that key.
    pub euicc_curve: KeyCurve,
}
