//! ESipa, between the IPA and the eIM: SGP.32 sections 5.14 and 6.
//!
//! Each request and each reply is one type with both bindings: the ASN.1 tags of section 6.3 and the
//! JSON names of section 6.4. A body of the ASN.1 binding is the message itself, without a wrapper.

pub mod asn1;
mod download;
mod encoding;
pub mod json;
mod members;
mod package;
mod refusal;

use crate::{choice, sgp22::function::functions};

pub use download::{
    AuthenticateClientError, AuthenticateClientOkDp, AuthenticateClientOkDs, AuthenticateClientRequest,
    AuthenticateClientResponse, CancelSessionError, CancelSessionOk, CancelSessionRequest,
    CancelSessionResponse, GetBoundProfilePackageError, GetBoundProfilePackageOk,
    GetBoundProfilePackageRequest, GetBoundProfilePackageResponse, InitiateAuthenticationError,
    InitiateAuthenticationOk, InitiateAuthenticationRequest, InitiateAuthenticationResponse,
};
pub use package::{
    CorrelationId, EimAcknowledgements, EimPackageError, EimPackageErrorWithCid, EimPackageReceivedWithCid,
    EimPackageResult, EimPackageResultErrorCode, EimPackageResultResponseError, EmptyResponse,
    EprAndNotifications, GetEimPackageRequest, GetEimPackageResponse, HandleNotificationRequest,
    ProvideEimPackageResultError, ProvideEimPackageResultRequest, ProvideEimPackageResultResponse,
    SequenceNumber, TransferEimPackageRequest, TransferEimPackageResponse,
};
pub use refusal::Reply;

/// The start of `User-Agent` in requests of an IPA in the device: section 6.1. Further text follows
/// after a semicolon.
pub const USER_AGENT_IPAD: &str = "gsma-rsp-ipad";

/// The start of `User-Agent` in requests of an IPA in the eUICC: section 6.1.
pub const USER_AGENT_IPAE: &str = "gsma-rsp-ipae";

functions! {
    "esipa":
    /// ESipa.InitiateAuthentication: section 5.14.1.
    InitiateAuthentication = "initiateAuthentication": InitiateAuthenticationRequest => InitiateAuthenticationResponse,
    /// ESipa.GetBoundProfilePackage: section 5.14.2.
    GetBoundProfilePackage = "getBoundProfilePackage": GetBoundProfilePackageRequest => GetBoundProfilePackageResponse,
    /// ESipa.AuthenticateClient: section 5.14.3.
    AuthenticateClient = "authenticateClient": AuthenticateClientRequest => AuthenticateClientResponse,
    /// ESipa.TransferEimPackage: section 5.14.4. The eIM is the client, and the IPA the server.
    TransferEimPackage = "transferEimPackage": TransferEimPackageRequest => TransferEimPackageResponse,
    /// ESipa.GetEimPackage: section 5.14.5.
    GetEimPackage = "getEimPackage": GetEimPackageRequest => GetEimPackageResponse,
    /// ESipa.ProvideEimPackageResult: section 5.14.6.
    ProvideEimPackageResult = "provideEimPackageResult": ProvideEimPackageResultRequest => ProvideEimPackageResultResponse,
    /// ESipa.HandleNotification: section 5.14.7. It has no response.
    HandleNotification = "handleNotification": HandleNotificationRequest => (),
    /// ESipa.CancelSession: section 5.14.8.
    CancelSession = "cancelSession": CancelSessionRequest => CancelSessionResponse,
}

choice! {
    /// EsipaMessageFromIpaToEim: section 6.3.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum MessageFromIpa = 0 {
        /// The request of InitiateAuthentication.
        InitiateAuthenticationRequest(InitiateAuthenticationRequest) = 0xBF39,
        /// The request of AuthenticateClient.
        AuthenticateClientRequest(AuthenticateClientRequest) = 0xBF3B,
        /// The request of GetBoundProfilePackage.
        GetBoundProfilePackageRequest(GetBoundProfilePackageRequest) = 0xBF3A,
        /// The request of CancelSession.
        CancelSessionRequest(CancelSessionRequest) = 0xBF41,
        /// The request of HandleNotification.
        HandleNotification(HandleNotificationRequest) = 0xBF3D,
        /// The response of TransferEimPackage.
        TransferEimPackageResponse(TransferEimPackageResponse) = 0xBF4E,
        /// The request of GetEimPackage.
        GetEimPackageRequest(GetEimPackageRequest) = 0xBF4F,
        /// The request of ProvideEimPackageResult.
        ProvideEimPackageResult(ProvideEimPackageResultRequest) = 0xBF50,
    }
}

choice! {
    /// EsipaMessageFromEimToIpa: section 6.3.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum MessageFromEim = 0 {
        /// The response of InitiateAuthentication.
        InitiateAuthenticationResponse(InitiateAuthenticationResponse) = 0xBF39,
        /// The response of AuthenticateClient.
        AuthenticateClientResponse(AuthenticateClientResponse) = 0xBF3B,
        /// The response of GetBoundProfilePackage.
        GetBoundProfilePackageResponse(GetBoundProfilePackageResponse) = 0xBF3A,
        /// The response of CancelSession.
        CancelSessionResponse(CancelSessionResponse) = 0xBF41,
        /// The request of TransferEimPackage.
        TransferEimPackageRequest(TransferEimPackageRequest) = 0xBF4E,
        /// The response of GetEimPackage.
        GetEimPackageResponse(GetEimPackageResponse) = 0xBF4F,
        /// The response of ProvideEimPackageResult.
        ProvideEimPackageResultResponse(ProvideEimPackageResultResponse) = 0xBF50,
    }
}
