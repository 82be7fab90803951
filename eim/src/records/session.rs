//! Sessions of downloads through the eIM.

use rsp::{
    ids::{Eid, Iccid, Oid, SmdpAddress, TransactionId},
    sgp22::CancelSessionReason,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::Octets;

/// A session with an SM-DP+ or SM-DS on behalf of an eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The server.
    pub server: SmdpAddress,
    /// The kind of the server.
    pub kind: ServerKind,
    /// The order that started the download, if there is one.
    pub order: Option<TransactionId>,
    /// The eUICC, once it is known.
    pub eid: Option<Eid>,
    /// serverSigned1, DER.
    pub server_signed1: Octets,
    /// The OID in the certificate of the server.
    pub server_oid: Option<Oid>,
    /// The context parameters that the eIM generated, DER.
    pub ctx_params1: Option<Octets>,
    /// The reason for which the eIM wants the session to be cancelled.
    pub cancel_reason: Option<CancelSessionReason>,
    /// The next step.
    pub state: SessionState,
    /// Time of expiry.
    pub expires: Timestamp,
}

/// The kind of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerKind {
    /// An SM-DP+.
    SmDp,
    /// An SM-DS.
    SmDs,
}

/// The function that a session waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum SessionState {
    /// AuthenticateClient.
    AuthenticateClient,
    /// GetBoundProfilePackage, or CancelSession.
    GetBoundProfilePackage(Offer),
    /// The installation result, or CancelSession.
    InstallationResult(Offer),
}

/// The profile that the SM-DP+ offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The profile.
    pub iccid: Iccid,
    /// The metadata, DER.
    pub metadata: Octets,
    /// smdpSigned2, DER.
    pub smdp_signed2: Octets,
    /// The hash of the confirmation code that the eIM sent.
    pub hash_cc: Option<[u8; 32]>,
    /// The OID in CERT.DPpb.
    pub smdp_oid: Option<Oid>,
}

impl SessionState {
    /// Returns the offered profile, once it is known.
    pub fn offer(&self) -> Option<&Offer> {
        match self {
            Self::AuthenticateClient => None,
            Self::GetBoundProfilePackage(offer) | Self::InstallationResult(offer) => Some(offer),
        }
    }
}

impl rsp_server::Session for Session {
    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn is_authenticated(&self) -> bool {
        !matches!(self.state, SessionState::AuthenticateClient)
    }
}
