//! ES11, between the LPA and the SM-DS: SGP.22 sections 5.8 and 6.5.2.
//!
//! The functions have the names, tags and paths of ES9+: an LPA calls `/gsma/rsp2/es9plus/...` at
//! an SM-DS as well. Only the response to AuthenticateClient has another type.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::es9plus::{AuthenticateClientRequest, InitiateAuthenticationError, InitiateAuthenticationOk};
use super::{
    EuiccInfo1,
    asn1::Exchange,
    function::{self, functions},
    json::{base64_der, base64_octets},
};
use crate::{codes, der::Tag, ids::TransactionId, sequence};

/// Returns an alternative path that deployed LPAs call. They read section 6.5.1 as a definition of
/// paths for ES11 too.
pub fn path(function: &str) -> String {
    function::path("es11", function)
}

functions! {
    "es9plus":
    /// ES11.InitiateAuthentication: section 5.8.1.
    InitiateAuthentication = "initiateAuthentication": InitiateAuthenticationRequest => InitiateAuthenticationOk,
    /// ES11.AuthenticateClient: section 5.8.2.
    AuthenticateClient = "authenticateClient": AuthenticateClientRequest => AuthenticateClientOk,
}

sequence! {
    /// InitiateAuthenticationRequest with the address of an SM-DS instead of an SM-DP+.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct InitiateAuthenticationRequest = 0xBF39 {
        /// A random challenge of the eUICC.
        #[serde(rename = "euiccChallenge", with = "base64_octets")]
        pub euicc_challenge: [u8; 16] = 0x81,
        /// The address of the SM-DS as known to the LPA. Most LPAs keep the element name of ES9+.
        #[serde(rename = "smdpAddress", alias = "smdsAddress")]
        pub smds_address: String = 0x83 usually 255,
        /// EUICCInfo1 of the eUICC.
        #[serde(rename = "euiccInfo1", with = "base64_der")]
        pub euicc_info1: EuiccInfo1 = 0xBF20,
    }
}

sequence! {
    /// AuthenticateClientOkEs11.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct AuthenticateClientOk = 0x30 {
        /// The transaction ID of the session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The events for the eUICC; may be empty.
        #[serde(rename = "eventEntries")]
        pub event_entries: Vec<EventEntries> = 0xA1,
    }
}

sequence! {
    /// EventEntries: in spite of its name, a single entry.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
    pub struct EventEntries = 0x30 {
        /// The event ID, which the LPA sends as MatchingID.
        #[serde(rename = "eventId")]
        pub event_id: String = 0x80 usually 255,
        /// The address of the RSP server that registered the event.
        #[serde(rename = "rspServerAddress")]
        pub rsp_server_address: String = 0x81 usually 255,
    }
}

impl Exchange for InitiateAuthentication {
    const RESPONSE: Tag = Tag(0xBF39);
    type Error = InitiateAuthenticationError;
}

/// AuthenticateClientResponseEs11.
impl Exchange for AuthenticateClient {
    const RESPONSE: Tag = Tag(0xBF40);
    type Error = AuthenticateClientError;
}

codes! {
    /// authenticateClientError of the ASN.1 binding.
    pub struct AuthenticateClientError from Status {
        /// CERT.EUM does not verify.
        EUM_CERTIFICATE_INVALID = 1 for EumCertificateVerificationFailed,
        /// CERT.EUM has expired.
        EUM_CERTIFICATE_EXPIRED = 2 for EumCertificateExpired,
        /// CERT.EUICC does not verify.
        EUICC_CERTIFICATE_INVALID = 3 for EuiccCertificateVerificationFailed,
        /// CERT.EUICC has expired.
        EUICC_CERTIFICATE_EXPIRED = 4 for EuiccCertificateExpired,
        /// The signature does not verify.
        EUICC_SIGNATURE_INVALID = 5 for EuiccVerificationFailed,
        /// There is no such event for this eUICC.
        EVENT_ID_UNKNOWN = 6 for EventUnknown,
        /// The transaction ID is unknown.
        INVALID_TRANSACTION_ID = 7 for TransactionUnknown,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}
