//! The functions that carry packages and results between eIM and IPA: SGP.32 sections 5.14.4 to 5.14.7,
//! 6.3.2, 6.3.3 and 6.4.1.

use serde::{Deserialize, Serialize};

use super::{
    super::{
        ipa_data::{
            IpaEuiccDataRequest, IpaEuiccDataResponse, ProfileDownloadTriggerRequest,
            ProfileDownloadTriggerResult,
        },
        notification::{PendingNotification, PendingNotificationList},
        package::EuiccPackageRequest,
        result::EuiccPackageResult,
        state_change::StateChangeCause,
    },
    members::{flag, optional_der, optional_octets},
};
use crate::{
    choice, codes,
    der::{Asn1, DecodeError, Null, Raw, Reader, Shape, Tag},
    ids::{Eid, TransactionId},
    sequence,
    sgp22::json::base64_der,
};

sequence! {
    /// GetEimPackageRequest: sections 5.14.5, 6.3.2.6 and 6.4.1.5.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct GetEimPackageRequest = 0xBF4F {
        /// The eUICC.
        #[serde(rename = "eidValue")]
        pub eid_value: Eid = 0x5A,
        /// Present if the state of the eUICC changed without this eIM.
        #[serde(rename = "notifyStateChange", default, skip_serializing_if = "Option::is_none", with = "flag")]
        pub notify_state_change: Option<Null> = 0x80,
        /// The cause of the change.
        #[serde(rename = "stateChangeCause", default, skip_serializing_if = "Option::is_none")]
        pub state_change_cause: Option<StateChangeCause> = 0x81,
        /// MCC and MNC of the last registered network, as in TS 24.008.
        #[serde(rename = "rPLMN", default, skip_serializing_if = "Option::is_none", with = "optional_octets")]
        pub r_plmn: Option<[u8; 3]> = 0x82,
    }
}

choice! {
    /// GetEimPackageResponse: sections 5.14.5, 6.3.2.6 and 6.4.1.5.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(try_from = "Members", into = "Members")]
    pub enum GetEimPackageResponse = 0xBF4F {
        /// A package for the eUICC.
        EuiccPackageRequest(Raw<EuiccPackageRequest>) = 0xBF51,
        /// A request for data.
        IpaEuiccDataRequest(IpaEuiccDataRequest) = 0xBF52,
        /// A request to download a profile.
        ProfileDownloadTriggerRequest(ProfileDownloadTriggerRequest) = 0xBF54,
        /// There is no package, or the request is refused.
        EimPackageError(EimPackageError) = 0x02,
    }
}

codes! {
    /// eimPackageError of GetEimPackage: section 6.3.2.6.
    pub struct EimPackageError from Status {
        /// There is no package for the eUICC.
        NO_EIM_PACKAGE_AVAILABLE = 1,
        /// The eIM does not know the eUICC.
        EID_NOT_FOUND = 2 for EidNotAllowed | EidAssociation,
        /// The EID is not a valid one.
        INVALID_EID = 3 for FormatInvalid,
        /// The EID is missing.
        MISSING_EID = 4 for EidMissing | ElementMissing,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}

sequence! {
    /// ProvideEimPackageResult: sections 5.14.6, 6.3.2.7 and 6.4.1.6.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct ProvideEimPackageResultRequest = 0xBF50 {
        /// The eUICC.
        #[serde(rename = "eidValue", default, skip_serializing_if = "Option::is_none")]
        pub eid_value: Option<Eid> = 0x5A,
        /// The result.
        #[serde(rename = "eimPackageResult", with = "base64_der")]
        pub eim_package_result: EimPackageResult = 0,
    }
}

choice! {
    /// EimPackageResult: section 6.3.2.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum EimPackageResult = 0 {
        /// The result of a package without notifications, as it was signed.
        EuiccPackageResult(Box<Raw<EuiccPackageResult>>) = 0xBF51,
        /// The result of a package with notifications.
        EprAndNotifications(Box<EprAndNotifications>) = 0x30,
        /// The response to a request for data.
        IpaEuiccDataResponse(Box<IpaEuiccDataResponse>) = 0xBF52,
        /// The result of a download.
        ProfileDownloadTriggerResult(ProfileDownloadTriggerResult) = 0xBF54,
        /// The IPA cannot process the package.
        EimPackageResultResponseError(EimPackageResultResponseError) = 0xA0,
        /// v1.0: the IPA cannot process the package.
        EimPackageError(EimPackageResultErrorCode) = 0x02,
    }
}

sequence! {
    /// ePRAndNotifications: section 6.3.2.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EprAndNotifications = 0x30 {
        /// The result of the package, as it was signed.
        pub euicc_package_result: Raw<EuiccPackageResult> = 0xBF51,
        /// The pending notifications, as they were signed. The tag was BF2B in v1.0.
        pub notification_list: PendingNotificationList = 0xA0 | 0xBF2B,
    }
}

sequence! {
    /// EimPackageResultResponseError: section 6.3.2.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EimPackageResultResponseError = 0x30 {
        /// The identifier of the package.
        pub eim_transaction_id: Option<TransactionId> = 0x80,
        /// The reason.
        pub eim_package_result_error_code: EimPackageResultErrorCode = 0x02,
    }
}

codes! {
    /// EimPackageResultErrorCode: section 6.3.2.7.
    pub struct EimPackageResultErrorCode {
        /// The package cannot be decoded, or lacks an element.
        INVALID_PACKAGE_FORMAT = 1
            next "compare the package with SGP.32",
        /// The IPA does not support this kind of package.
        UNKNOWN_PACKAGE = 2
            next "compare the package with ipaCapabilities",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the log of the device",
    }
}

choice! {
    /// ProvideEimPackageResultResponse: sections 5.14.6, 6.3.2.7 and 6.4.1.6.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(try_from = "Members", into = "Members")]
    pub enum ProvideEimPackageResultResponse = 0xBF50 {
        /// The eUICC can remove these notifications and results.
        EimAcknowledgements(EimAcknowledgements) = 0xBF53,
        /// The eIM has the result, and there is nothing to acknowledge.
        EmptyResponse(EmptyResponse) = 0x30,
        /// The eIM refuses the result.
        ProvideEimPackageResultError(ProvideEimPackageResultError) = 0x02,
    }
}

/// EimAcknowledgements: section 2.11.1.4. The sequence numbers that the eUICC gave to notifications
/// and to results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EimAcknowledgements(pub Vec<SequenceNumber>);

impl Asn1 for EimAcknowledgements {
    const TAG: Tag = Tag(0xBF53);

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::decode_as(tag, reader).map(Self)
    }

    fn shape() -> Shape {
        Vec::<SequenceNumber>::shape()
    }
}

/// SequenceNumber: section 2.11.1.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceNumber(pub i64);

impl Asn1 for SequenceNumber {
    const TAG: Tag = Tag(0x80);

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        i64::decode_as(tag, reader).map(Self)
    }

    fn shape() -> Shape {
        i64::shape()
    }
}

sequence! {
    /// emptyResponse: section 6.3.2.7.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct EmptyResponse = 0x30 {}
}

codes! {
    /// provideEimPackageResultError: section 6.3.2.7.
    pub struct ProvideEimPackageResultError from Status {
        /// The eIM does not know the eUICC.
        EID_NOT_FOUND = 2 for EidNotAllowed | EidAssociation,
        /// The EID is not a valid one.
        INVALID_EID = 3 for FormatInvalid,
        /// The EID is missing.
        MISSING_EID = 4 for EidMissing | ElementMissing,
        /// Any other error.
        UNDEFINED_ERROR = 127,
    }
}

choice! {
    /// HandleNotificationEsipa: sections 5.14.7, 6.3.2.4 and 6.4.1.7.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(try_from = "Notification", into = "Notification")]
    pub enum HandleNotificationRequest = 0xBF3D {
        /// A notification for its recipient, whole or compact, as it was signed.
        PendingNotification(Box<Raw<PendingNotification>>) = 0xA0,
        /// A result for the eIM.
        ProvideEimPackageResult(ProvideEimPackageResultRequest) = 0xBF50,
        /// v1.0: a notification for its recipient, without the tag of the alternative.
        PendingNotificationV1_0(Box<Raw<PendingNotification>>) = 0,
    }
}

/// The members of HandleNotification in JSON: section 6.4.1.7. Exactly one is present.
#[derive(Serialize, Deserialize)]
struct Notification {
    #[serde(
        rename = "pendingNotification",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    pending_notification: Option<Box<Raw<PendingNotification>>>,
    #[serde(
        rename = "provideEimPackageResult",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    provide_eim_package_result: Option<ProvideEimPackageResultRequest>,
}

impl From<HandleNotificationRequest> for Notification {
    fn from(request: HandleNotificationRequest) -> Self {
        match request {
            HandleNotificationRequest::PendingNotification(notification)
            | HandleNotificationRequest::PendingNotificationV1_0(notification) => {
                Self { pending_notification: Some(notification), provide_eim_package_result: None }
            }
            HandleNotificationRequest::ProvideEimPackageResult(result) => {
                Self { pending_notification: None, provide_eim_package_result: Some(result) }
            }
        }
    }
}

impl TryFrom<Notification> for HandleNotificationRequest {
    type Error = &'static str;

    fn try_from(members: Notification) -> Result<Self, &'static str> {
        match (members.pending_notification, members.provide_eim_package_result) {
            (Some(notification), None) => Ok(Self::PendingNotification(notification)),
            (None, Some(result)) => Ok(Self::ProvideEimPackageResult(result)),
            _ => Err("exactly one of pendingNotification and provideEimPackageResult is expected"),
        }
    }
}

choice! {
    /// TransferEimPackageRequest: sections 5.14.4, 6.3.3.1 and 6.4.1.4.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(try_from = "Members", into = "Members")]
    pub enum TransferEimPackageRequest = 0xBF4E {
        /// A package for the eUICC.
        EuiccPackageRequest(Raw<EuiccPackageRequest>) = 0xBF51,
        /// A request for data.
        IpaEuiccDataRequest(IpaEuiccDataRequest) = 0xBF52,
        /// The eUICC can remove these notifications and results.
        EimAcknowledgements(EimAcknowledgements) = 0xBF53,
        /// A request to download a profile.
        ProfileDownloadTriggerRequest(ProfileDownloadTriggerRequest) = 0xBF54,
    }
}

/// The members in JSON of the messages of an eIM about packages: sections 6.4.1.4 to 6.4.1.6. Exactly
/// one is present, or none in an empty response.
#[derive(Default, Serialize, Deserialize)]
struct Members {
    #[serde(
        rename = "euiccPackageRequest",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    euicc_package_request: Option<Raw<EuiccPackageRequest>>,
    #[serde(
        rename = "ipaEuiccDataRequest",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    ipa_euicc_data_request: Option<IpaEuiccDataRequest>,
    #[serde(
        rename = "profileDownloadTriggerRequest",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    profile_download_trigger_request: Option<ProfileDownloadTriggerRequest>,
    #[serde(
        rename = "eimAcknowledgements",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    eim_acknowledgements: Option<EimAcknowledgements>,
    /// 0 means that there is no error: some eIMs always send the member.
    #[serde(rename = "eimPackageError", default, skip_serializing_if = "Option::is_none")]
    eim_package_error: Option<i64>,
    #[serde(rename = "provideEimPackageResultError", default, skip_serializing_if = "Option::is_none")]
    provide_eim_package_result_error: Option<i64>,
}

const ONE_MEMBER: &str = "exactly one package or error is expected";

impl Members {
    fn error(&self) -> Option<i64> {
        self.provide_eim_package_result_error.or(self.eim_package_error).filter(|code| *code != 0)
    }
}

impl From<GetEimPackageResponse> for Members {
    fn from(response: GetEimPackageResponse) -> Self {
        let mut members = Self::default();
        match response {
            GetEimPackageResponse::EuiccPackageRequest(it) => members.euicc_package_request = Some(it),
            GetEimPackageResponse::IpaEuiccDataRequest(it) => members.ipa_euicc_data_request = Some(it),
            GetEimPackageResponse::ProfileDownloadTriggerRequest(it) => {
                members.profile_download_trigger_request = Some(it);
            }
            GetEimPackageResponse::EimPackageError(code) => members.eim_package_error = Some(code.0),
        }
        members
    }
}

impl TryFrom<Members> for GetEimPackageResponse {
    type Error = &'static str;

    fn try_from(members: Members) -> Result<Self, &'static str> {
        let error = members.error();
        match (
            members.euicc_package_request,
            members.ipa_euicc_data_request,
            members.profile_download_trigger_request,
            error,
        ) {
            (Some(it), None, None, None) => Ok(Self::EuiccPackageRequest(it)),
            (None, Some(it), None, None) => Ok(Self::IpaEuiccDataRequest(it)),
            (None, None, Some(it), None) => Ok(Self::ProfileDownloadTriggerRequest(it)),
            (None, None, None, Some(code)) => Ok(Self::EimPackageError(EimPackageError(code))),
            _ => Err(ONE_MEMBER),
        }
    }
}

impl From<ProvideEimPackageResultResponse> for Members {
    fn from(response: ProvideEimPackageResultResponse) -> Self {
        let mut members = Self::default();
        match response {
            ProvideEimPackageResultResponse::EimAcknowledgements(it) => {
                members.eim_acknowledgements = Some(it);
            }
            ProvideEimPackageResultResponse::EmptyResponse(_) => {}
            ProvideEimPackageResultResponse::ProvideEimPackageResultError(code) => {
                members.provide_eim_package_result_error = Some(code.0);
            }
        }
        members
    }
}

impl TryFrom<Members> for ProvideEimPackageResultResponse {
    type Error = &'static str;

    fn try_from(members: Members) -> Result<Self, &'static str> {
        let error = members.error();
        match (members.eim_acknowledgements, error) {
            (Some(it), None) => Ok(Self::EimAcknowledgements(it)),
            (None, None) => Ok(Self::EmptyResponse(EmptyResponse {})),
            (None, Some(code)) => Ok(Self::ProvideEimPackageResultError(ProvideEimPackageResultError(code))),
            (Some(_), Some(_)) => Err(ONE_MEMBER),
        }
    }
}

impl From<TransferEimPackageRequest> for Members {
    fn from(request: TransferEimPackageRequest) -> Self {
        let mut members = Self::default();
        match request {
            TransferEimPackageRequest::EuiccPackageRequest(it) => members.euicc_package_request = Some(it),
            TransferEimPackageRequest::IpaEuiccDataRequest(it) => members.ipa_euicc_data_request = Some(it),
            TransferEimPackageRequest::EimAcknowledgements(it) => members.eim_acknowledgements = Some(it),
            TransferEimPackageRequest::ProfileDownloadTriggerRequest(it) => {
                members.profile_download_trigger_request = Some(it);
            }
        }
        members
    }
}

impl TryFrom<Members> for TransferEimPackageRequest {
    type Error = &'static str;

    fn try_from(members: Members) -> Result<Self, &'static str> {
        match (
            members.euicc_package_request,
            members.ipa_euicc_data_request,
            members.eim_acknowledgements,
            members.profile_download_trigger_request,
        ) {
            (Some(it), None, None, None) => Ok(Self::EuiccPackageRequest(it)),
            (None, Some(it), None, None) => Ok(Self::IpaEuiccDataRequest(it)),
            (None, None, Some(it), None) => Ok(Self::EimAcknowledgements(it)),
            (None, None, None, Some(it)) => Ok(Self::ProfileDownloadTriggerRequest(it)),
            _ => Err(ONE_MEMBER),
        }
    }
}

choice! {
    /// TransferEimPackageResponse: sections 5.14.4, 6.3.3.1 and 6.4.1.4.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum TransferEimPackageResponse = 0xBF4E {
        /// The result of a package without notifications, as it was signed.
        EuiccPackageResult(Box<Raw<EuiccPackageResult>>) = 0xBF51,
        /// The result of a package with notifications.
        EprAndNotifications(Box<EprAndNotifications>) = 0x30,
        /// The response to a request for data.
        IpaEuiccDataResponse(Box<IpaEuiccDataResponse>) = 0xBF52,
        /// The IPA has the package, and provides the result later.
        EimPackageReceived(Null) = 0x05,
        /// v1.3: the IPA has the package with this identifier.
        EimPackageReceivedWithCid(EimPackageReceivedWithCid) = 0xBF60,
        /// The IPA cannot process the package.
        EimPackageError(EimPackageResultErrorCode) = 0x02,
        /// v1.3: the IPA cannot process the package with this identifier.
        EimPackageErrorWithCid(EimPackageErrorWithCid) = 0xBF61,
    }
}

sequence! {
    /// EimPackageReceivedWithCid: section 6.3.3.1, v1.3.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct EimPackageReceivedWithCid = 0x30 {
        /// The identifier.
        pub correlation_id: Option<CorrelationId> = 0xA0,
    }
}

sequence! {
    /// EimPackageErrorWithCid: section 6.3.3.1, v1.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EimPackageErrorWithCid = 0x30 {
        /// The identifier.
        pub correlation_id: Option<CorrelationId> = 0xA0,
        /// The reason.
        pub eim_package_error: EimPackageResultErrorCode = 0x81,
    }
}

choice! {
    /// correlationId: section 6.3.3.1, v1.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum CorrelationId = 0 {
        /// The identifier of the package.
        EimTransactionId(TransactionId) = 0x80,
        /// The EID, if the package has no identifier.
        EidValue(Eid) = 0x5A,
    }
}
