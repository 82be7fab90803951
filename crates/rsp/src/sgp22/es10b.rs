//! ES10a and ES10b, between the LPA and the eUICC: SGP.22 sections 5.7.1 to 5.7.14.

use super::{
    CancelSessionReason, CtxParams1, EuiccCancelSessionSigned, EuiccSigned1, NotificationMetadata,
    PendingNotification, ProfilePolicyAuthorisationRule, ServerSigned1, SignatureOctets, notification_event,
};
use crate::{
    choice, codes,
    der::{Asn1, BitString, DecodeError, List, Opaque, Raw, Reader, Shape, Tag, tlv, tlv_bytes, write_tlv},
    ids::{CertificateDer, SubjectKeyIdentifier, TransactionId},
    sequence,
};

sequence! {
    /// GetEuiccChallengeRequest: section 5.7.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GetEuiccChallengeRequest = 0xBF2E {}
}

sequence! {
    /// GetEuiccChallengeResponse: section 5.7.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GetEuiccChallengeResponse = 0xBF2E {
        /// A random challenge of the eUICC.
        pub euicc_challenge: [u8; 16] = 0x80,
    }
}

sequence! {
    /// GetEuiccInfo1Request: section 5.7.8.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GetEuiccInfo1Request = 0xBF20 {}
}

sequence! {
    /// GetEuiccInfo2Request: section 5.7.8.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GetEuiccInfo2Request = 0xBF22 {}
}

sequence! {
    /// AuthenticateServerRequest: section 5.7.13.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuthenticateServerRequest = 0xBF38 {
        /// The data signed by the server.
        pub server_signed1: Raw<ServerSigned1> = 0x30,
        /// The signature over the previous element with the key of CERT.XXauth.
        pub server_signature1: SignatureOctets = 0x5F37 usually 64,
        /// The CI whose key the eUICC must use for signing.
        pub euicc_ci_pk_id_to_be_used: SubjectKeyIdentifier = 0x04 usually 32,
        /// CERT.DPauth or CERT.DSauth.
        pub server_certificate: CertificateDer = 0x30,
        /// The context parameters, returned in the signed response.
        pub ctx_params1: Raw<CtxParams1> = 0,
    }
}

choice! {
    /// AuthenticateServerResponse: section 5.7.13.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum AuthenticateServerResponse = 0xBF38 {
        /// The eUICC authenticated the server.
        AuthenticateResponseOk(Box<AuthenticateResponseOk>) = 0xA0,
        /// The authentication failed.
        AuthenticateResponseError(AuthenticateResponseError) = 0xA1,
    }
}

sequence! {
    /// AuthenticateResponseOk.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuthenticateResponseOk = 0x30 {
        /// The data signed by the eUICC.
        pub euicc_signed1: Raw<EuiccSigned1> = 0x30,
        /// The signature over the previous element.
        pub euicc_signature1: SignatureOctets = 0x5F37 usually 64,
        /// CERT.EUICC.
        pub euicc_certificate: CertificateDer = 0x30,
        /// CERT.EUM.
        pub eum_certificate: CertificateDer = 0x30,
    }
}

sequence! {
    /// AuthenticateResponseError.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuthenticateResponseError = 0x30 {
        /// The transaction ID.
        pub transaction_id: TransactionId = 0x80,
        /// The reason.
        pub authenticate_error_code: AuthenticateErrorCode = 0x02,
    }
}

codes! {
    /// AuthenticateErrorCode.
    pub struct AuthenticateErrorCode {
        /// The server's certificate does not verify.
        INVALID_CERTIFICATE = 1
            next "check that the server has a certificate of a CI in euiccCiPKIdListForVerification, and that it is not expired",
        /// The signature does not verify.
        INVALID_SIGNATURE = 2
            next "check that the LPA forwards serverSigned1 and serverSignature1 unchanged",
        /// The curve is not supported.
        UNSUPPORTED_CURVE = 3
            next "use a server certificate on a curve of the eUICC",
        /// The eUICC has not issued a challenge.
        NO_SESSION_CONTEXT = 4
            next "call ES10b.GetEUICCChallenge first, without a reset in between",
        /// The certificate is not for the role of the server.
        INVALID_OID = 5
            next "use CERT.DPauth for an SM-DP+ and CERT.DSauth for an SM-DS",
        /// The challenge differs from the issued one.
        EUICC_CHALLENGE_MISMATCH = 6
            next "use the challenge of the last ES10b.GetEUICCChallenge",
        /// The CI key is unknown.
        CI_PK_UNKNOWN = 7
            next "let the server choose a key from euiccCiPKIdListForSigning",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "trace the exchange, and compare the request with SGP.22",
    }
}

sequence! {
    /// SmdpSigned2: section 5.7.5.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SmdpSigned2 = 0x30 {
        /// The transaction ID.
        pub transaction_id: TransactionId = 0x80,
        /// True if a confirmation code is required.
        pub cc_required_flag: bool = 0x01,
        /// The otPK.EUICC.ECKA to which the package is already bound.
        pub bpp_euicc_otpk: Option<Vec<u8>> = 0x5F49 usually 65,
    }
}

sequence! {
    /// PrepareDownloadRequest: section 5.7.5.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PrepareDownloadRequest = 0xBF21 {
        /// The data signed by the SM-DP+.
        pub smdp_signed2: Raw<SmdpSigned2> = 0x30,
        /// The signature with the key of CERT.DPpb over the previous element and the TLV of
        /// euiccSignature1.
        pub smdp_signature2: SignatureOctets = 0x5F37 usually 64,
        /// The hash of confirmation code and transaction ID computed by the LPA.
        pub hash_cc: Option<[u8; 32]> = 0x04,
        /// CERT.DPpb.
        pub smdp_certificate: CertificateDer = 0x30,
    }
}

choice! {
    /// PrepareDownloadResponse: section 5.7.5.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum PrepareDownloadResponse = 0xBF21 {
        /// The eUICC is ready for the download.
        DownloadResponseOk(PrepareDownloadResponseOk) = 0xA0,
        /// The eUICC refuses the download.
        DownloadResponseError(PrepareDownloadResponseError) = 0xA1,
    }
}

sequence! {
    /// PrepareDownloadResponseOk.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PrepareDownloadResponseOk = 0x30 {
        /// The data signed by the eUICC.
        pub euicc_signed2: Raw<EuiccSigned2> = 0x30,
        /// The signature over the previous element and the TLV of smdpSignature2.
        pub euicc_signature2: SignatureOctets = 0x5F37 usually 64,
    }
}

sequence! {
    /// EUICCSigned2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccSigned2 = 0x30 {
        /// The transaction ID.
        pub transaction_id: TransactionId = 0x80,
        /// otPK.EUICC.ECKA, an uncompressed point.
        pub euicc_otpk: Vec<u8> = 0x5F49 usually 65,
        /// The hash from the LPA, returned.
        pub hash_cc: Option<[u8; 32]> = 0x04,
    }
}

sequence! {
    /// PrepareDownloadResponseError.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PrepareDownloadResponseError = 0x30 {
        /// The transaction ID.
        pub transaction_id: TransactionId = 0x80,
        /// The reason.
        pub download_error_code: DownloadErrorCode = 0x02,
    }
}

codes! {
    /// DownloadErrorCode.
    pub struct DownloadErrorCode {
        /// CERT.DPpb does not verify or belongs to another server.
        INVALID_CERTIFICATE = 1
            next "use a CERT.DPpb of the same SM-DP+ and CI as CERT.DPauth",
        /// The signature does not verify.
        INVALID_SIGNATURE = 2
            next "check that the LPA forwards smdpSigned2 and smdpSignature2 unchanged",
        /// The curve is not supported.
        UNSUPPORTED_CURVE = 3
            next "use a CERT.DPpb on the curve of the session",
        /// No server is authenticated.
        NO_SESSION_CONTEXT = 4
            next "call ES10b.AuthenticateServer first, without a reset in between",
        /// The transaction ID is not that of the session.
        INVALID_TRANSACTION_ID = 5
            next "use the transaction ID of the authenticated session",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "trace the exchange, and compare the request with SGP.22",
    }
}

sequence! {
    /// CancelSessionRequest: section 5.7.14.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CancelSessionRequest = 0xBF41 {
        /// The session to end.
        pub transaction_id: TransactionId = 0x80,
        /// The reason.
        pub reason: CancelSessionReason = 0x81,
    }
}

choice! {
    /// CancelSessionResponse: section 5.7.14.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum CancelSessionResponse = 0xBF41 {
        /// The session is ended.
        CancelSessionResponseOk(CancelSessionResponseOk) = 0xA0,
        /// The session was not ended.
        CancelSessionResponseError(CancelSessionError) = 0x81,
    }
}

codes! {
    /// cancelSessionResponseError.
    pub struct CancelSessionError {
        /// There is no session with this transaction ID.
        INVALID_TRANSACTION_ID = 5
            next "use the transaction ID of the authenticated session; it ends with a reset",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "trace the exchange, and compare the request with SGP.22",
    }
}

sequence! {
    /// CancelSessionResponseOk.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CancelSessionResponseOk = 0x30 {
        /// The data signed by the eUICC.
        pub euicc_cancel_session_signed: Raw<EuiccCancelSessionSigned> = 0x30,
        /// The signature over the previous element.
        pub euicc_cancel_session_signature: SignatureOctets = 0x5F37 usually 64,
    }
}

sequence! {
    /// ListNotificationRequest: section 5.7.9.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ListNotificationRequest = 0xBF28 {
        /// The events to list; all if absent.
        pub profile_management_operation: Option<BitString> = 0x81 known_bits notification_event::NAMES,
    }
}

choice! {
    /// ListNotificationResponse: section 5.7.9.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ListNotificationResponse = 0xBF28 {
        /// The metadata of each notification.
        NotificationMetadataList(List<NotificationMetadata>) = 0xA0,
        /// Always 127.
        ListNotificationsResultError(i64) = 0x81,
    }
}

sequence! {
    /// RetrieveNotificationsListRequest: section 5.7.10.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RetrieveNotificationsListRequest = 0xBF2B {
        /// The notifications to retrieve; all if absent.
        pub search_criteria: Option<NotificationSearch> = 0xA0,
    }
}

choice! {
    /// The search criteria of RetrieveNotificationsList.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum NotificationSearch = 0 {
        /// The notification with this sequence number.
        SeqNumber(i64) = 0x80,
        /// The notifications of these events.
        ProfileManagementOperation(BitString) = 0x81 known_bits notification_event::NAMES,
    }
}

choice! {
    /// RetrieveNotificationsListResponse: section 5.7.10.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum RetrieveNotificationsListResponse = 0xBF2B {
        /// The notifications as they were signed.
        NotificationList(Vec<Opaque<PendingNotification>>) = 0xA0,
        /// There are no notifications to return.
        NotificationsListResultError(NotificationsListResultError) = 0x81,
    }
}

codes! {
    /// notificationsListResultError.
    pub struct NotificationsListResultError {
        /// No notification matches.
        NO_RESULT_AVAILABLE = 1
            next "nothing: there are no such notifications",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "trace the exchange, and compare the request with SGP.22",
    }
}

sequence! {
    /// NotificationSentRequest (RemoveNotificationFromList): section 5.7.11.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NotificationSentRequest = 0xBF30 {
        /// The sequence number of the delivered notification.
        pub seq_number: i64 = 0x80,
    }
}

codes! {
    /// deleteNotificationStatus.
    pub struct DeleteNotificationStatus {
        /// The notification was removed.
        OK = 0
            next "nothing",
        /// There is no notification with this sequence number.
        NOTHING_TO_DELETE = 1
            next "list the notifications; this one was removed earlier",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the notifications, and repeat the command",
    }
}

sequence! {
    /// NotificationSentResponse: section 5.7.11.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NotificationSentResponse = 0xBF30 {
        /// The result.
        pub delete_notification_status: DeleteNotificationStatus = 0x80,
    }
}

sequence! {
    /// EuiccConfiguredAddressesRequest (ES10a): section 5.7.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccConfiguredAddressesRequest = 0xBF3C {}
}

sequence! {
    /// EuiccConfiguredAddressesResponse (ES10a): section 5.7.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccConfiguredAddressesResponse = 0xBF3C {
        /// The default SM-DP+.
        pub default_dp_address: Option<String> = 0x80 usually 255,
        /// The root SM-DS.
        pub root_ds_address: String = 0x81 usually 255,
    }
}

sequence! {
    /// SetDefaultDpAddressRequest (ES10a): section 5.7.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetDefaultDpAddressRequest = 0xBF3F {
        /// The new address; an empty address removes the current one.
        pub default_dp_address: String = 0x80 usually 255,
    }
}

codes! {
    /// setDefaultDpAddressResult.
    pub struct SetDefaultDpAddressResult {
        /// The address was set or removed.
        OK = 0
            next "nothing",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "check that the address is a domain name with at most 128 octets",
    }
}

sequence! {
    /// SetDefaultDpAddressResponse (ES10a): section 5.7.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetDefaultDpAddressResponse = 0xBF3F {
        /// The result.
        pub set_default_dp_address_result: SetDefaultDpAddressResult = 0x80,
    }
}

sequence! {
    /// GetRatRequest: section 5.7.22.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GetRatRequest = 0xBF43 {}
}

sequence! {
    /// GetRatResponse: section 5.7.22.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GetRatResponse = 0xBF43 {
        /// The Rules Authorisation Table.
        pub rat: Vec<ProfilePolicyAuthorisationRule> = 0xA0,
    }
}

sequence! {
    /// LoadCRLRequest: section 5.7.12.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LoadCrlRequest = 0xBF35 {
        /// The CRL, a CertificateList.
        pub crl: CertificateList = 0xA0,
    }
}

/// An X.509 CertificateList, kept as the octets that its issuer signed. In this element it has
/// another tag than its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateList(pub Vec<u8>);

impl Asn1 for CertificateList {
    const TAG: Tag = Tag::SEQUENCE;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, tlv::split(&self.0).map(|(_, contents)| contents).unwrap_or_default(), out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.contents(tag).map(|contents| Self(tlv_bytes(Tag::SEQUENCE, contents)))
    }

    fn shape() -> Shape {
        Shape::Text(|contents| Some(format!("list of {} octets", tlv_bytes(Tag::SEQUENCE, contents).len())))
    }
}

choice! {
    /// LoadCRLResponse: section 5.7.12.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum LoadCrlResponse = 0xBF35 {
        /// The CRL was loaded.
        LoadCrlResponseOk(LoadCrlResponseOk) = 0xA0,
        /// The CRL was refused.
        LoadCrlResponseError(LoadCrlError) = 0x81,
    }
}

sequence! {
    /// LoadCRLResponseOk.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct LoadCrlResponseOk = 0x30 {
        /// The numbers of the missing partial CRLs; absent if the CRL is complete.
        pub missing_parts: Option<Vec<i64>> = 0xA0,
    }
}

codes! {
    /// LoadCRLResponseError.
    pub struct LoadCrlError {
        /// The signature is not that of the CI.
        INVALID_SIGNATURE = 1
            next "use a CRL of the CI whose key the eUICC knows",
        /// The octets are not a CRL.
        INVALID_CRL_FORMAT = 2
            next "check that the octets are a CertificateList in DER",
        /// Not enough memory.
        NOT_ENOUGH_MEMORY_SPACE = 3
            next "load a smaller or partial CRL",
        /// The CI is unknown.
        VERIFICATION_KEY_NOT_FOUND = 4
            next "use a CRL of a CI in euiccCiPKIdListForVerification",
        /// A later CRL is already loaded.
        FRESHER_CRL_ALREADY_LOADED = 5
            next "nothing: the eUICC has a later CRL",
        /// The base CRL of this delta CRL is not loaded.
        BASE_CRL_MISSING = 6
            next "load the base CRL first",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "trace the exchange, and compare the request with SGP.22",
    }
}
