//! The test operator on ES2+: SGP.22 sections 5.3 and 6.5.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Response;
use rsp::ids::{Eid, Iccid, Version};
use rsp::sgp22::es2plus::{
    self, CancelOrderRequest, ConfirmOrderReply, ConfirmOrderRequest, DownloadOrderReply,
    DownloadOrderRequest, FinalProfileStatusIndicator, ReleaseProfileRequest,
};
use rsp::sgp22::json::{self, RequestHeader};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::Link;

use crate::binding::{Answer, Refused};
use crate::verdict::Stop;

/// An operator with a link that presents its client certificate, and its
/// functionRequesterIdentifier.
#[derive(Clone)]
pub struct Operator {
    /// The link to the SM-DP+.
    pub link: Link,
    /// The functionRequesterIdentifier.
    pub identifier: String,
    /// The SGP.22 version that it uses.
    pub version: Version,
    /// The prefix of its functionCallIdentifiers. It makes them unique across runs, because a
    /// server may return the stored reply to a call that it already knows.
    run: String,
    calls: Arc<AtomicU64>,
}

/// A reply without fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EmptyReply {}

impl Operator {
    /// Creates an operator whose call identifiers start with `run`.
    pub fn new(link: Link, identifier: String, version: Version, run: String) -> Self {
        Self { link, identifier, version, run, calls: Arc::default() }
    }

    /// Returns the same operator with another link.
    #[must_use]
    pub fn with_link(&self, link: Link) -> Self {
        Self { link, ..self.clone() }
    }

    /// Returns the same operator with another identifier.
    #[must_use]
    pub fn with_identifier(&self, identifier: &str) -> Self {
        Self { identifier: identifier.to_owned(), ..self.clone() }
    }

    /// Builds the header of a new call.
    pub fn header(&self) -> RequestHeader {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        RequestHeader {
            function_requester_identifier: self.identifier.clone(),
            function_call_identifier: format!("{}-{number}", self.run),
        }
    }

    /// Sends a body to a function and returns the HTTP response.
    ///
    /// # Errors
    /// Fails if no response arrives.
    pub async fn post(&self, function: &str, body: &impl Serialize) -> Result<Response<bytes::Bytes>, Stop> {
        let request = json::request(&es2plus::path(function), self.version, body);
        Ok(world::send(&self.link, request).await?)
    }

    /// Calls a function with any body, which need not be a valid request.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn call<R: DeserializeOwned>(
        &self,
        function: &str,
        body: &impl Serialize,
    ) -> Result<Answer<R>, Stop> {
        match json::answer::<R>(&self.post(function, body).await?) {
            Ok(json::Answer::Done(reply)) => Ok(Answer::Done(reply)),
            Ok(json::Answer::Refused(status)) => Ok(Answer::Refused(Refused::Json(status))),
            Err(error) => Err(Stop::failed(format!("{function}: {error}"))),
        }
    }

    /// Calls ES2+.DownloadOrder.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn download_order(
        &self,
        iccid: Option<Iccid>,
        profile_type: Option<&str>,
        eid: Option<Eid>,
    ) -> Result<Answer<DownloadOrderReply>, Stop> {
        let profile_type = profile_type.map(str::to_owned);
        let request = DownloadOrderRequest { header: self.header(), eid, iccid, profile_type };
        self.call("downloadOrder", &request).await
    }

    /// Builds a ConfirmOrder request with default values that releases the profile.
    pub fn confirmation(&self, iccid: Iccid) -> ConfirmOrderRequest {
        ConfirmOrderRequest {
            header: self.header(),
            iccid,
            eid: None,
            matching_id: None,
            confirmation_code: None,
            smds_address: None,
            release_flag: true,
        }
    }

    /// Calls ES2+.ConfirmOrder.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn confirm(&self, request: &ConfirmOrderRequest) -> Result<Answer<ConfirmOrderReply>, Stop> {
        self.call("confirmOrder", request).await
    }

    /// Builds a CancelOrder request for an order without EID that makes the profile available
    /// again.
    pub fn cancellation(&self, iccid: Iccid) -> CancelOrderRequest {
        CancelOrderRequest {
            header: self.header(),
            iccid,
            eid: None,
            matching_id: None,
            final_profile_status_indicator: FinalProfileStatusIndicator::Available,
        }
    }

    /// Calls ES2+.CancelOrder.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn cancel(&self, request: &CancelOrderRequest) -> Result<Answer<EmptyReply>, Stop> {
        self.call("cancelOrder", request).await
    }

    /// Calls ES2+.ReleaseProfile.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn release(&self, iccid: Iccid) -> Result<Answer<EmptyReply>, Stop> {
        let request = ReleaseProfileRequest { header: self.header(), iccid };
        self.call("releaseProfile", &request).await
    }
}
