//! ES2+, between the operator and the SM-DP+: SGP.22 sections 5.3 and 6.5.2.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    function::{self, functions},
    json::{FunctionExecutionStatus, NoOutput, RequestHeader, base64_octets},
};
use crate::{
    codes,
    ids::{Eid, Iccid},
    time::Timestamp,
};

/// Returns the path of a function in the JSON binding, section 6.5.1.
pub fn path(function: &str) -> String {
    function::path("es2plus", function)
}

functions! {
    "es2plus":
    /// ES2+.DownloadOrder: section 5.3.1.
    DownloadOrder = "downloadOrder": DownloadOrderRequest => DownloadOrderReply,
    /// ES2+.ConfirmOrder: section 5.3.2.
    ConfirmOrder = "confirmOrder": ConfirmOrderRequest => ConfirmOrderReply,
    /// ES2+.CancelOrder: section 5.3.3.
    CancelOrder = "cancelOrder": CancelOrderRequest => NoOutput,
    /// ES2+.ReleaseProfile: section 5.3.4.
    ReleaseProfile = "releaseProfile": ReleaseProfileRequest => NoOutput,
    /// ES2+.HandleDownloadProgressInfo, from the SM-DP+ to the operator: section 5.3.5. The HTTP
    /// status of the response is 204.
    HandleDownloadProgressInfo = "handleDownloadProgressInfo": HandleDownloadProgressInfoRequest => (),
}

/// The request of DownloadOrder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadOrderRequest {
    /// The header with the caller's identifier.
    pub header: RequestHeader,
    /// The eUICC, if it is already known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// The profile. If it is absent, the profile type must be present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iccid: Option<Iccid>,
    /// The profile type from which the SM-DP+ selects any profile.
    #[serde(rename = "profileType", skip_serializing_if = "Option::is_none")]
    pub profile_type: Option<String>,
}

/// The response to DownloadOrder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadOrderReply {
    /// The reserved profile.
    pub iccid: Iccid,
}

/// The request of ConfirmOrder.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmOrderRequest {
    /// The header with the caller's identifier.
    pub header: RequestHeader,
    /// The profile.
    pub iccid: Iccid,
    /// The eUICC, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// The MatchingID chosen by the operator; if absent, the SM-DP+ generates one.
    #[serde(rename = "matchingId", skip_serializing_if = "Option::is_none")]
    pub matching_id: Option<String>,
    /// The confirmation code that the user has to enter.
    #[serde(rename = "confirmationCode", skip_serializing_if = "Option::is_none")]
    pub confirmation_code: Option<String>,
    /// The SM-DS at which an event is registered for the LPA.
    #[serde(rename = "smdsAddress", skip_serializing_if = "Option::is_none")]
    pub smds_address: Option<String>,
    /// True if the profile can be downloaded immediately.
    #[serde(rename = "releaseFlag")]
    pub release_flag: bool,
}

impl ConfirmOrderRequest {
    /// Creates a request for any eUICC without confirmation code, in which the SM-DP+ chooses the
    /// MatchingID and releases the profile.
    pub fn new(header: RequestHeader, iccid: Iccid) -> Self {
        Self {
            header,
            iccid,
            eid: None,
            matching_id: None,
            confirmation_code: None,
            smds_address: None,
            release_flag: true,
        }
    }
}

/// The response to ConfirmOrder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmOrderReply {
    /// The eUICC, if one is linked to the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// The MatchingID for the activation code.
    #[serde(rename = "matchingId")]
    pub matching_id: String,
    /// The SM-DP+ address for the activation code.
    #[serde(rename = "smdpAddress", skip_serializing_if = "Option::is_none")]
    pub smdp_address: Option<String>,
}

/// The status of the profile after its order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalProfileStatusIndicator {
    /// The profile can be ordered again.
    Available,
    /// The profile cannot be ordered again.
    Unavailable,
}

/// The request of CancelOrder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOrderRequest {
    /// The header with the caller's identifier.
    pub header: RequestHeader,
    /// The profile.
    pub iccid: Iccid,
    /// The eUICC, which must be that of the order if the order has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// The MatchingID, which must be that of the order if present.
    #[serde(rename = "matchingId", skip_serializing_if = "Option::is_none")]
    pub matching_id: Option<String>,
    /// The status of the profile after the cancellation.
    #[serde(rename = "finalProfileStatusIndicator")]
    pub final_profile_status_indicator: FinalProfileStatusIndicator,
}

impl CancelOrderRequest {
    /// Creates a request for an order without EID. The profile can be ordered again.
    pub fn new(header: RequestHeader, iccid: Iccid) -> Self {
        let final_profile_status_indicator = FinalProfileStatusIndicator::Available;
        Self { header, iccid, eid: None, matching_id: None, final_profile_status_indicator }
    }
}

/// The request of ReleaseProfile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseProfileRequest {
    /// The header with the caller's identifier.
    pub header: RequestHeader,
    /// The profile.
    pub iccid: Iccid,
}

codes! {
    /// notificationPointId: a stage of the download, section 5.3.5.
    pub struct NotificationPointId {
        /// The eligibility and the retry limit were checked.
        ELIGIBILITY_AND_RETRY_LIMIT_CHECK = 1,
        /// The confirmation code was wrong.
        CONFIRMATION_FAILURE = 2,
        /// The Bound Profile Package was delivered or refused.
        BPP_DOWNLOAD = 3,
        /// The eUICC reported the result of the installation.
        BPP_INSTALLATION = 4,
    }
}

/// The request of HandleDownloadProgressInfo.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HandleDownloadProgressInfoRequest {
    /// The header with the identifier of the calling SM-DP+.
    pub header: RequestHeader,
    /// The eUICC that downloads the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// The profile.
    pub iccid: Iccid,
    /// The profile type.
    #[serde(rename = "profileType")]
    pub profile_type: String,
    /// The time of the event, in whole seconds.
    pub timestamp: Timestamp,
    /// The stage of the download.
    #[serde(rename = "notificationPointId")]
    pub notification_point_id: NotificationPointId,
    /// The result.
    #[serde(rename = "notificationPointStatus")]
    pub notification_point_status: FunctionExecutionStatus,
    /// The eUICC's ProfileInstallationResult in DER, present at the last stage.
    #[serde(rename = "resultData", default, skip_serializing_if = "Option::is_none")]
    pub result_data: Option<ResultData>,
}

/// Octets that are base64 in JSON.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResultData(
    #[serde(with = "base64_octets")]
    #[schemars(with = "String")]
    pub Vec<u8>,
);

impl std::fmt::Debug for ResultData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResultData({})", self.0.len())
    }
}

impl std::fmt::Debug for ConfirmOrderRequest {
    /// Formats the request without the confirmation code, which is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfirmOrderRequest")
            .field("iccid", &self.iccid)
            .field("eid", &self.eid)
            .field("matching_id", &self.matching_id)
            .field("confirmation_code", &self.confirmation_code.as_ref().map(|_| "(redacted)"))
            .field("release_flag", &self.release_flag)
            .finish_non_exhaustive()
    }
}
