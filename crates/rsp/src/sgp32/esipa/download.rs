//! The functions of an indirect download through the eIM: SGP.32 sections 5.14.1 to 5.14.3, 5.14.8, 6.3.2
//! and 6.4.1.

use serde::{Deserialize, Serialize};

use super::{
    super::{compact, ipa_data::ProfileDownloadTriggerRequest},
    members::{key_identifier, optional_der, signature},
};
use crate::{
    choice, codes,
    der::{Asn1, DecodeError, Raw, Reader, Tag, write_tlv},
    ids::{CertificateDer, SubjectKeyIdentifier, TransactionId},
    sequence,
    sgp22::{
        CtxParams1, EuiccInfo1, ServerSigned1, SignatureOctets,
        es8plus::StoreMetadataRequest,
        es9plus::{BoundProfilePackageDer, replaced_or_kept},
        es10b::SmdpSigned2,
        json::{base64_der, base64_octets},
    },
};

sequence! {
    /// InitiateAuthenticationRequestEsipa: sections 5.14.1, 6.3.2.1 and 6.4.1.1.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct InitiateAuthenticationRequest = 0xBF39 {
        /// A random challenge of the eUICC.
        #[serde(rename = "euiccChallenge", with = "base64_octets")]
        pub euicc_challenge: [u8; 16] = 0x81,
        /// The SM-DP+ or SM-DS. Absent if the eIM keeps the download data.
        #[serde(rename = "smdpAddress", default, skip_serializing_if = "Option::is_none")]
        pub smdp_address: Option<String> = 0x83 usually 255,
        /// EUICCInfo1 of the eUICC, unless the eIM has it.
        #[serde(rename = "euiccInfo1", default, skip_serializing_if = "Option::is_none", with = "optional_der")]
        pub euicc_info1: Option<Raw<EuiccInfo1>> = 0xBF20,
        /// The identifier of the trigger that started the download.
        #[serde(rename = "eimTransactionId", default, skip_serializing_if = "Option::is_none")]
        pub eim_transaction_id: Option<TransactionId> = 0x82,
    }
}

choice! {
    /// InitiateAuthenticationResponseEsipa: sections 5.14.1 and 6.3.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum InitiateAuthenticationResponse = 0xBF39 {
        /// The server was reached.
        Ok(Box<InitiateAuthenticationOk>) = 0xA0,
        /// The eIM or the server refuses the request.
        Error(InitiateAuthenticationError) = 0x81,
    }
}

sequence! {
    /// InitiateAuthenticationOkEsipa: sections 5.14.1, 6.3.2.1 and 6.4.1.1.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct InitiateAuthenticationOk = 0x30 {
        /// The transaction ID of the new session. Absent if octets are saved: serverSigned1 has it.
        #[serde(rename = "transactionId", default, skip_serializing_if = "Option::is_none")]
        pub transaction_id: Option<TransactionId> = 0x80,
        /// The data signed by the server.
        #[serde(rename = "serverSigned1", with = "base64_der")]
        pub server_signed1: Raw<ServerSigned1> = 0x30,
        /// The signature with the key of CERT.DPauth or CERT.DSauth.
        #[serde(rename = "serverSignature1", with = "signature")]
        pub server_signature1: SignatureOctets = 0x5F37 usually 64,
        /// The CI whose key the eUICC must use for signing, possibly truncated.
        #[serde(rename = "euiccCiPKIdentifierToBeUsed", alias = "euiccCiPKIdToBeUsed", with = "key_identifier")]
        pub euicc_ci_pk_identifier_to_be_used: SubjectKeyIdentifier = 0x04 usually 32,
        /// CERT.DPauth or CERT.DSauth.
        #[serde(rename = "serverCertificate", with = "base64_der")]
        pub server_certificate: CertificateDer = 0x30,
        /// The MatchingID, if the eIM keeps the download data.
        #[serde(rename = "matchingId", default, skip_serializing_if = "Option::is_none")]
        pub matching_id: Option<String> = 0x0C usually 255,
        /// The context parameters, if the eIM generates them.
        #[serde(rename = "ctxParams1", default, skip_serializing_if = "Option::is_none", with = "optional_der")]
        pub ctx_params1: Option<Raw<CtxParams1>> = 0xA2,
    }
}

sequence! {
    /// AuthenticateClientRequestEsipa: sections 5.14.3, 6.3.2.2 and 6.4.1.2.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct AuthenticateClientRequest = 0xBF3B {
        /// The transaction ID of the session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The response of the eUICC, whole or compact.
        #[serde(rename = "authenticateServerResponse", with = "base64_der")]
        pub authenticate_server_response: compact::AuthenticateServerResponse = 0xBF38,
    }
}

choice! {
    /// AuthenticateClientResponseEsipa: sections 5.14.3 and 6.3.2.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum AuthenticateClientResponse = 0xBF3B {
        /// The SM-DP+ has a profile for the eUICC.
        OkDp(Box<AuthenticateClientOkDp>) = 0xA0,
        /// The SM-DS has an event for the eUICC.
        OkDs(AuthenticateClientOkDs) = 0xA1,
        /// The eIM or the server refuses the request.
        Error(AuthenticateClientError) = 0x82,
    }
}

sequence! {
    /// AuthenticateClientOkDPEsipa: sections 5.14.3, 6.3.2.2 and 6.4.1.2.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct AuthenticateClientOkDp = 0x30 {
        /// The transaction ID of the session, unless octets are saved.
        #[serde(rename = "transactionId", default, skip_serializing_if = "Option::is_none")]
        pub transaction_id: Option<TransactionId> = 0x80,
        /// The metadata of the profile, unless the eIM verifies them.
        #[serde(rename = "profileMetadata", default, skip_serializing_if = "Option::is_none", with = "optional_der")]
        pub profile_metadata: Option<StoreMetadataRequest> = 0xBF25,
        /// The data signed by the SM-DP+.
        #[serde(rename = "smdpSigned2", with = "base64_der")]
        pub smdp_signed2: Raw<SmdpSigned2> = 0x30,
        /// The signature with the key of CERT.DPpb.
        #[serde(rename = "smdpSignature2", with = "signature")]
        pub smdp_signature2: SignatureOctets = 0x5F37 usually 64,
        /// CERT.DPpb.
        #[serde(rename = "smdpCertificate", with = "base64_der")]
        pub smdp_certificate: CertificateDer = 0x30,
        /// The hash of the confirmation code, if the eIM has the code.
        #[serde(rename = "hashCc", default, skip_serializing_if = "Option::is_none", with = "optional_der")]
        pub hash_cc: Option<[u8; 32]> = 0x04,
    }
}

sequence! {
    /// AuthenticateClientOkDSEsipa: sections 5.14.3 and 6.3.2.2.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct AuthenticateClientOkDs = 0x30 {
        /// The transaction ID of the session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The download that the event of the SM-DS requests; absent if there is no event.
        #[serde(rename = "profileDownloadTrigger", default, skip_serializing_if = "Option::is_none", with = "optional_der")]
        pub profile_download_trigger: Option<ProfileDownloadTriggerRequest> = 0xBF54,
    }
}

sequence! {
    /// GetBoundProfilePackageRequestEsipa: sections 5.14.2, 6.3.2.3 and 6.4.1.3.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct GetBoundProfilePackageRequest = 0xBF3A {
        /// The transaction ID of the session.
        #[serde(rename = "transactionId")]
        pub transaction_id: TransactionId = 0x80,
        /// The response of the eUICC, whole or compact.
        #[serde(rename = "prepareDownloadResponse", with = "base64_der")]
        pub prepare_download_response: compact::PrepareDownloadResponse = 0xBF21,
    }
}

choice! {
    /// GetBoundProfilePackageResponseEsipa: sections 5.14.2 and 6.3.2.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum GetBoundProfilePackageResponse = 0xBF3A {
        /// The package.
        Ok(GetBoundProfilePackageOk) = 0xA0,
        /// The eIM or the SM-DP+ refuses the request.
        Error(GetBoundProfilePackageError) = 0x81,
    }
}

sequence! {
    /// GetBoundProfilePackageOkEsipa: sections 5.14.2, 6.3.2.3 and 6.4.1.3.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct GetBoundProfilePackageOk = 0x30 {
        /// The transaction ID of the session, unless octets are saved.
        #[serde(rename = "transactionId", default, skip_serializing_if = "Option::is_none")]
        pub transaction_id: Option<TransactionId> = 0x80,
        /// The BoundProfilePackage, to be forwarded unchanged.
        #[serde(rename = "boundProfilePackage", with = "base64_der")]
        pub bound_profile_package: BoundProfilePackageDer = 0xBF36,
    }
}

/// CancelSessionRequestEsipa: sections 5.14.8, 6.3.2.5 and 6.4.1.8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelSessionRequest {
    /// The transaction ID of the session.
    #[serde(rename = "transactionId")]
    pub transaction_id: TransactionId,
    /// The response of the eUICC, whole or compact.
    #[serde(rename = "cancelSessionResponse", with = "base64_der")]
    pub cancel_session_response: compact::CancelSessionResponse,
}

impl CancelSessionRequest {
    const TRANSACTION_ID: Tag = Tag(0x80);
    const CANCEL_SESSION_RESPONSE: Tag = Tag(0xA1);
}

/// As in ES9+.CancelSession, the automatic tag replaces the tag of the CHOICE, and both forms are
/// accepted.
impl Asn1 for CancelSessionRequest {
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
        inner.skip_unknown("CancelSessionRequest")?;
        Ok(Self { transaction_id, cancel_session_response })
    }
}

choice! {
    /// CancelSessionResponseEsipa: sections 5.14.8 and 6.3.2.5.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum CancelSessionResponse = 0xBF41 {
        /// The session is ended.
        Ok(CancelSessionOk) = 0xA0,
        /// The eIM or the server refuses the request.
        Error(CancelSessionError) = 0x81,
    }
}

sequence! {
    /// CancelSessionOk, which is empty.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct CancelSessionOk = 0x30 {}
}

codes! {
    /// initiateAuthenticationErrorEsipa: section 6.3.2.1.
    pub struct InitiateAuthenticationError from Status {
        /// The address is not the server's.
        INVALID_DP_ADDRESS = 1 for SmdpAddressRefused | SmdsAddressRefused,
        /// The SGP.22 version of the eUICC is not supported.
        EUICC_VERSION_NOT_SUPPORTED_BY_DP = 2 for SvnUnsupported | SmdsSvnUnsupported,
        /// Server and eUICC have no CI in common.
        CI_PK_ID_NOT_SUPPORTED = 3 for CiForSigningUnsupported
            | CiForVerificationUnavailable
            | SmdsCiForSigningUnsupported
            | SmdsCiForVerificationUnavailable,
        /// The address that the server signed is not that of the download data of the eIM.
        SMDP_ADDRESS_MISMATCH = 50,
        /// The OID of the server is not that of the download data of the eIM.
        SMDP_OID_MISMATCH = 51 for SmdpOidMismatch,
        /// The eIM has no download with this eimTransactionId.
        INVALID_EIM_TRANSACTION_ID = 52 for TransactionUnknown,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}

codes! {
    /// authenticateClientErrorEsipa: section 6.3.2.2.
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
        /// v1.3: the order has expired.
        DOWNLOAD_ORDER_EXPIRED = 18 for OrderExpired,
        /// A policy rule of the profile is not allowed on this eUICC.
        PPR_NOT_ALLOWED = 50,
        /// There is no such event for this eUICC.
        EVENT_ID_UNKNOWN = 56 for EventUnknown,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}

codes! {
    /// getBoundProfilePackageErrorEsipa: section 6.3.2.3.
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
        /// The order has expired. v1.3 has this error in AuthenticateClient only.
        DOWNLOAD_ORDER_EXPIRED = 6 for OrderExpired,
        /// The metadata of the package are not those that the eIM verified.
        METADATA_MISMATCH = 50,
        /// The transaction ID is unknown.
        INVALID_TRANSACTION_ID = 95 for TransactionUnknown,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}

codes! {
    /// cancelSessionError: section 6.3.2.5.
    pub struct CancelSessionError from Status {
        /// The transaction ID is unknown.
        INVALID_TRANSACTION_ID = 1 for TransactionUnknown,
        /// The signature does not verify.
        EUICC_SIGNATURE_INVALID = 2 for EuiccVerificationFailed,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}
