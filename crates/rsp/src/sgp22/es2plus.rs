//! ES2+, between the operator and the SM-DP+: SGP.22 sections 5.3 and 6.5.2.

use serde::{Deserialize, Serialize};

use super::json::{FunctionExecutionStatus, RequestHeader, base64_octets};
use crate::{
    codes,
    ids::{Eid, Iccid},
    time::Timestamp,
};

/// Path of a function in the JSON binding, section 6.5.1.
pub fn path(function: &str) -> String {
    format!("/gsma/rsp2/es2plus/{function}")
}

/// ES2+.DownloadOrder: section 5.3.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadOrderRequest {
    /// Who calls.
    pub header: RequestHeader,
    /// The eUICC, when it is known already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// The profile; or else its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iccid: Option<Iccid>,
    /// The type of which any profile will do.
    #[serde(rename = "profileType", skip_serializing_if = "Option::is_none")]
    pub profile_type: Option<String>,
}

/// The answer to DownloadOrder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadOrderReply {
    /// The profile that is now reserved.
    pub iccid: Iccid,
}

/// ES2+.ConfirmOrder: section 5.3.2.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmOrderRequest {
    /// Who calls.
    pub header: RequestHeader,
    /// The profile.
    pub iccid: Iccid,
    /// The eUICC, when it is known by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// The operator's choice; the SM-DP+ makes one when absent.
    #[serde(rename = "matchingId", skip_serializing_if = "Option::is_none")]
    pub matching_id: Option<String>,
    /// What the user must know.
    #[serde(rename = "confirmationCode", skip_serializing_if = "Option::is_none")]
    pub confirmation_code: Option<String>,
    /// Where to leave an event for the LPA.
    #[serde(rename = "smdsAddress", skip_serializing_if = "Option::is_none")]
    pub smds_address: Option<String>,
    /// Whether the download may begin at once.
    #[serde(rename = "releaseFlag")]
    pub release_flag: bool,
}

/// The answer to ConfirmOrder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmOrderReply {
    /// The eUICC, when one is tied to the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// For the activation code.
    #[serde(rename = "matchingId")]
    pub matching_id: String,
    /// For the activation code.
    #[serde(rename = "smdpAddress", skip_serializing_if = "Option::is_none")]
    pub smdp_address: Option<String>,
}

/// What becomes of the profile of a cancelled order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalProfileStatusIndicator {
    /// It may be ordered again.
    Available,
    /// It may not.
    Unavailable,
}

/// ES2+.CancelOrder: section 5.3.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOrderRequest {
    /// Who calls.
    pub header: RequestHeader,
    /// The profile.
    pub iccid: Iccid,
    /// Must be the order's, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// Must be the order's, when given.
    #[serde(rename = "matchingId", skip_serializing_if = "Option::is_none")]
    pub matching_id: Option<String>,
    /// What becomes of the profile.
    #[serde(rename = "finalProfileStatusIndicator")]
    pub final_profile_status_indicator: FinalProfileStatusIndicator,
}

/// ES2+.ReleaseProfile: section 5.3.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseProfileRequest {
    /// Who calls.
    pub header: RequestHeader,
    /// The profile.
    pub iccid: Iccid,
}

codes! {
    /// notificationPointId: how far a download has come, section 5.3.5.
    pub struct NotificationPointId {
        /// Eligibility and retry limit were checked.
        ELIGIBILITY_AND_RETRY_LIMIT_CHECK = 1,
        /// The confirmation code was not the right one.
        CONFIRMATION_FAILURE = 2,
        /// The Bound Profile Package was handed out, or will not be.
        BPP_DOWNLOAD = 3,
        /// The eUICC has told how the installation ended.
        BPP_INSTALLATION = 4,
    }
}

/// ES2+.HandleDownloadProgressInfo, from the SM-DP+ to the operator: section 5.3.5. The answer is HTTP 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleDownloadProgressInfoRequest {
    /// Who calls: the SM-DP+.
    pub header: RequestHeader,
    /// The eUICC that downloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eid: Option<Eid>,
    /// The profile.
    pub iccid: Iccid,
    /// Its type.
    #[serde(rename = "profileType")]
    pub profile_type: String,
    /// When it happened, in whole seconds.
    pub timestamp: Timestamp,
    /// What happened.
    #[serde(rename = "notificationPointId")]
    pub notification_point_id: NotificationPointId,
    /// How it ended.
    #[serde(rename = "notificationPointStatus")]
    pub notification_point_status: FunctionExecutionStatus,
    /// The ProfileInstallationResult of the eUICC, DER, at the last point.
    #[serde(rename = "resultData", default, skip_serializing_if = "Option::is_none")]
    pub result_data: Option<ResultData>,
}

/// Octets, base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResultData(#[serde(with = "base64_octets")] pub Vec<u8>);

impl std::fmt::Debug for ResultData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResultData({})", self.0.len())
    }
}

impl std::fmt::Debug for ConfirmOrderRequest {
    /// Without the confirmation code, which is a secret.
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
