//! ES9+, between the LPA and the SM-DP+: SGP.22 sections 5.6 and 6.5.2.
//!
//! Each request and each reply is one type with both bindings: the ASN.1 tags of section 6.6.2 and
//! the JSON names of section 6.5.2.

use serde::{Deserialize, Serialize};

use super::{
    EuiccInfo1, PendingNotification, ServerSigned1, SignatureOctets,
    es8plus::StoreMetadataRequest,
    es10b::{AuthenticateServerResponse, CancelSessionResponse, PrepareDownloadResponse, SmdpSigned2},
    function::{self, functions},
    json::{self, base64_der, base64_octets},
};
use crate::{
    codes,
    der::{Asn1, DecodeError, Raw, Reader, Tag, write_tlv},
    ids::{CertificateDer, SubjectKeyIdentifier, TransactionId},
    sequence,
};

functions! {
    "es9plus":
    /// ES9+.InitiateAuthentication: section 5.6.1.
    InitiateAuthentication = "initiateAuthentication": InitiateAuthenticationRequest => InitiateAuthenticationOk,
    /// ES9+.AuthenticateClient: section 5.6.3.
    AuthenticateClient = "authenticateClient": AuthenticateClientRequest => AuthenticateClientOk,
    /// ES9+.GetBoundProfilePackage: section 5.6.2.
    GetBoundProfilePackage = "getBoundProfilePackage": GetBoundProfilePackageRequest => GetBoundProfilePackageOk,
    /// ES9+.CancelSession: section 5.6.5.
    CancelSession = "cancelSession": CancelSessionRequestEs9 => CancelSessionOk,
    /// ES9+.HandleNotification: section 5.6.4.
    HandleNotification = "handleNotification": HandleNotificationRequest => (),
}

/// Returns the path of a function in the JSON binding, section 6.5.1.
pub fn path(function: &str) -> String {
    function::path("es9plus", function)
}

sequence! {
    /// InitiateAuthenticationRequest.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct InitiateAuthenticationRequest = 0xBF39 {
        /// A random challenge of the eUICC.
        #[serde(rename = "euiccChallenge", with = "base64_octets")]
        pub euicc_challenge: [u8; 16] = 0x81,
        /// The address of the SM-DP+ as known to the LPA.
        #[serde(rename = "smdpAddress")]
        pub smdp_address: String = 0x83 usually 255,
        /// EUICCInfo1 of the eUICC.
        #[serde(rename = "euiccInfo1", with = "base64_der")]
        pub euicc_info1: EuiccInfo1 = 0xBF20,
    }
}

sequence! {
    /// InitiateAuthenticationOkEs9.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct InitiateAuthenticationOk = 0x30 {
        /// The transaction ID of the new session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The data signed by the server.
        #[serde(rename = "serverSigned1", with = "base64_der")]
        pub server_signed1: Raw<ServerSigned1> = 0x30,
        /// The signature with the key of CERT.DPauth.
        #[serde(rename = "serverSignature1", with = "json::signature")]
        pub server_signature1: SignatureOctets = 0x5F37 usually 64,
        /// The CI whose key the eUICC must use for signing.
        #[serde(rename = "euiccCiPKIdToBeUsed", with = "base64_der")]
        pub euicc_ci_pk_id_to_be_used: SubjectKeyIdentifier = 0x04 usually 32,
        /// CERT.DPauth.
        #[serde(rename = "serverCertificate", with = "base64_der")]
        pub server_certificate: CertificateDer = 0x30,
    }
}

sequence! {
    /// AuthenticateClientRequest.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct AuthenticateClientRequest = 0xBF3B {
        /// The transaction ID of the session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The response of the eUICC.
        #[serde(rename = "authenticateServerResponse", with = "base64_der")]
        pub authenticate_server_response: AuthenticateServerResponse = 0xBF38,
    }
}

sequence! {
    /// AuthenticateClientOk since version 2.2: it contains the elements of PrepareDownloadRequest
    /// and the metadata.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct AuthenticateClientOk = 0x30 {
        /// The transaction ID of the session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The metadata of the profile, in clear.
        #[serde(rename = "profileMetadata", with = "base64_der")]
        pub profile_metadata: StoreMetadataRequest = 0xBF25,
        /// The data signed by the SM-DP+.
        #[serde(rename = "smdpSigned2", with = "base64_der")]
        pub smdp_signed2: Raw<SmdpSigned2> = 0x30,
        /// The signature with the key of CERT.DPpb.
        #[serde(rename = "smdpSignature2", with = "json::signature")]
        pub smdp_signature2: SignatureOctets = 0x5F37 usually 64,
        /// CERT.DPpb.
        #[serde(rename = "smdpCertificate", with = "base64_der")]
        pub smdp_certificate: CertificateDer = 0x30,
    }
}

sequence! {
    /// GetBoundProfilePackageRequest.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct GetBoundProfilePackageRequest = 0xBF3A {
        /// The transaction ID of the session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The response of the eUICC.
        #[serde(rename = "prepareDownloadResponse", with = "base64_der")]
        pub prepare_download_response: PrepareDownloadResponse = 0xBF21,
    }
}

sequence! {
    /// GetBoundProfilePackageOk.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct GetBoundProfilePackageOk = 0x30 {
        /// The transaction ID of the session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The BoundProfilePackage, to be forwarded unchanged.
        #[serde(rename = "boundProfilePackage", with = "base64_der")]
        pub bound_profile_package: BoundProfilePackageDer = 0xBF36,
    }
}

/// The octets of a Bound Profile Package. It is created once, stored, sent repeatedly and
/// segmented, but never re-encoded.
#[derive(Clone, PartialEq, Eq)]
pub struct BoundProfilePackageDer(pub Vec<u8>);

impl std::fmt::Debug for BoundProfilePackageDer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BoundProfilePackageDer({} octets)", self.0.len())
    }
}

impl Asn1 for BoundProfilePackageDer {
    const TAG: Tag = super::es8plus::BoundProfilePackage::TAG;

    fn encode_as(&self, _: Tag, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.rest();
        reader.contents(tag)?;
        let length = start.len().saturating_sub(reader.rest().len());
        Ok(Self(start.get(..length).unwrap_or_default().to_vec()))
    }
}

/// CancelSessionRequestEs9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelSessionRequestEs9 {
    /// The transaction ID of the session.
    #[serde(rename = "transactionId")]
    pub transaction_id: TransactionId,
    /// The response of the eUICC.
    #[serde(rename = "cancelSessionResponse", with = "base64_der")]
    pub cancel_session_response: CancelSessionResponse,
}

impl CancelSessionRequestEs9 {
    const TRANSACTION_ID: Tag = Tag(0x80);
    const CANCEL_SESSION_RESPONSE: Tag = Tag(0xA1);
}

/// The automatic tag of cancelSessionResponse replaces the tag of the CHOICE (X.680 section
/// 31.2.7). Some compilers add it around the tag of the CHOICE instead; that encoding is accepted
/// too.
impl Asn1 for CancelSessionRequestEs9 {
    const TAG: Tag = Tag(0xBF41);

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        let mut contents = Vec::new();
        self.transaction_id.encode_as(Self::TRANSACTION_ID, &mut contents);
        self.cancel_session_response.encode_as(Self::CANCEL_SESSION_RESPONSE, &mut contents);
        write_tlv(tag, &contents, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut inner = reader.enter(tag)?;
        let transaction_id = TransactionId::decode_as(Self::TRANSACTION_ID, &mut inner)?;
        let cancel_session_response = replaced_or_kept(Self::CANCEL_SESSION_RESPONSE, &mut inner)?;
        inner.skip_unknown("CancelSessionRequestEs9")?;
        Ok(Self { transaction_id, cancel_session_response })
    }
}

/// Decodes a tagged CHOICE whose own tag is replaced by `tag`, or is kept inside it.
pub(crate) fn replaced_or_kept<T: Asn1>(tag: Tag, reader: &mut Reader<'_>) -> Result<T, DecodeError> {
    let mut ahead = reader.clone().enter(tag)?;
    if ahead.peek()? != Some(T::TAG) {
        return T::decode_as(tag, reader);
    }
    reader.tlv()?;
    let value = T::decode_as(T::TAG, &mut ahead)?;
    ahead.finish()?;
    Ok(value)
}

sequence! {
    /// CancelSessionOk, which is empty.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct CancelSessionOk = 0x30 {}
}

sequence! {
    /// HandleNotification.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct HandleNotificationRequest = 0xBF3D {
        /// The notification of the eUICC.
        #[serde(rename = "pendingNotification", with = "base64_der")]
        pub pending_notification: Raw<PendingNotification> = 0xA0,
    }
}

codes! {
    /// initiateAuthenticationError of the ASN.1 binding, for an SM-DP+ and an SM-DS.
    pub struct InitiateAuthenticationError from Status {
        /// The address is not this server's.
        INVALID_DP_ADDRESS = 1 for SmdpAddressRefused | SmdsAddressRefused,
        /// The SGP.22 version of the eUICC is not supported.
        EUICC_VERSION_NOT_SUPPORTED_BY_DP = 2 for SvnUnsupported | SmdsSvnUnsupported,
        /// Server and eUICC have no CI in common.
        CI_PK_NOT_SUPPORTED = 3 for CiForSigningUnsupported
            | CiForVerificationUnavailable
            | SmdsCiForSigningUnsupported
            | SmdsCiForVerificationUnavailable,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
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
        /// The MatchingID is refused.
        MATCHING_ID_REFUSED = 6 for MatchingIdRefused,
        /// The EID is not that of the order.
        EID_MISMATCH = 7 for EidNotAllowed,
        /// There is no eligible profile for this eUICC.
        NO_ELIGIBLE_PROFILE = 8 for ProfileNotEligible,
        /// The CI is unknown.
        CI_PK_UNKNOWN = 9 for CiUnknown,
        /// The transaction ID is unknown.
        INVALID_TRANSACTION_ID = 10 for TransactionUnknown,
        /// The eUICC does not have enough memory.
        INSUFFICIENT_MEMORY = 11 for EuiccInsufficientMemory,
        /// The order has expired.
        DOWNLOAD_ORDER_EXPIRED = 18 for OrderExpired,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}

codes! {
    /// getBoundProfilePackageError of the ASN.1 binding.
    pub struct GetBoundProfilePackageError from Status {
        /// The signature does not verify.
        EUICC_SIGNATURE_INVALID = 1 for EuiccVerificationFailed,
        /// A confirmation code is required.
        CONFIRMATION_CODE_MISSING = 2 for ConfirmationCodeMissing,
        /// The confirmation code is wrong.
        CONFIRMATION_CODE_REFUSED = 3 for ConfirmationCodeRefused,
        /// The maximum number of wrong confirmation codes was exceeded.
        CONFIRMATION_CODE_RETRIES_EXCEEDED = 4 for ConfirmationCodeRetriesExceeded,
        /// The package is already bound and cannot be bound again.
        BPP_REBINDING_REFUSED = 5 for ProfileUnavailable,
        /// The transaction ID is unknown.
        INVALID_TRANSACTION_ID = 95 for TransactionUnknown,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}

codes! {
    /// cancelSessionError of the ASN.1 binding.
    pub struct CancelSessionError from Status {
        /// The transaction ID is unknown.
        INVALID_TRANSACTION_ID = 1 for TransactionUnknown,
        /// The signature does not verify.
        EUICC_SIGNATURE_INVALID = 2 for EuiccVerificationFailed,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}
