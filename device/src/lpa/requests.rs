//! The requests of the LPA on ES9+ and ES11: SGP.22 section 6.5.2.
//!
//! The LPA forwards the responses of the eUICC unchanged, including unknown elements. It therefore
//! has its own types of these requests, which keep the received octets.

use rsp::der::{Opaque, Raw};
use rsp::ids::TransactionId;
use rsp::sgp22::es10b::{AuthenticateServerResponse, CancelSessionResponse, PrepareDownloadResponse};
use rsp::sgp22::json::{base64_der, base64_octets};
use rsp::sgp22::{EuiccInfo1, PendingNotification};
use serde::Serialize;

/// The request of InitiateAuthentication.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitiateAuthenticationRequest {
    #[serde(with = "base64_octets")]
    pub(super) euicc_challenge: [u8; 16],
    pub(super) smdp_address: String,
    #[serde(with = "base64_der")]
    pub(super) euicc_info1: Raw<EuiccInfo1>,
}

/// The request of AuthenticateClient.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthenticateClientRequest {
    pub(super) transaction_id: TransactionId,
    #[serde(with = "base64_der")]
    pub(super) authenticate_server_response: Raw<AuthenticateServerResponse>,
}

/// The request of GetBoundProfilePackage.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetBoundProfilePackageRequest {
    pub(super) transaction_id: TransactionId,
    #[serde(with = "base64_der")]
    pub(super) prepare_download_response: Raw<PrepareDownloadResponse>,
}

/// The request of CancelSession.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancelSessionRequest {
    pub(super) transaction_id: TransactionId,
    #[serde(with = "base64_der")]
    pub(super) cancel_session_response: Raw<CancelSessionResponse>,
}

/// The request of HandleNotification. The LPA does not have to be able to decode the notification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HandleNotificationRequest {
    #[serde(with = "base64_der")]
    pub(super) pending_notification: Opaque<PendingNotification>,
}
