//! The test operator on ES2+: SGP.22 sections 5.3 and 6.5.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Response;
use rsp::finding::Finding;
use rsp::ids::{Eid, Iccid, Version};
use rsp::sgp22::Function;
use rsp::sgp22::es2plus::{
    CancelOrder, CancelOrderRequest, ConfirmOrder, ConfirmOrderReply, ConfirmOrderRequest, DownloadOrder,
    DownloadOrderReply, DownloadOrderRequest, ReleaseProfile, ReleaseProfileRequest,
};
use rsp::sgp22::json::{self, NoOutput, RequestHeader};
use serde::{Serialize, de::DeserializeOwned};
use world::{Call, Link};

use crate::binding::Answer;
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
    /// Deviations of the responses that were accepted.
    findings: Arc<Mutex<BTreeSet<Finding>>>,
}

impl Operator {
    /// Creates an operator whose call identifiers start with `run`.
    pub fn new(link: Link, identifier: String, version: Version, run: String) -> Self {
        Self { link, identifier, version, run, calls: Arc::default(), findings: Arc::default() }
    }

    /// Takes the deviations of the responses that were accepted since the last call.
    pub(crate) fn take_findings(&self) -> BTreeSet<Finding> {
        std::mem::take(&mut *self.findings.lock().unwrap_or_else(PoisonError::into_inner))
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
        RequestHeader::new(self.identifier.clone(), format!("{}-{number}", self.run))
    }

    /// Sends any body to a function. Returns the HTTP response.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Call<Response<Bytes>> {
        Call::send(&self.link, json::request(path, self.version, body)).await
    }

    /// Calls a function with any body, which need not be a valid request.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn call<F>(&self, body: &impl Serialize) -> Result<Answer<F::Reply>, Stop>
    where
        F: Function<Reply: DeserializeOwned>,
    {
        let call = self.post(&F::path(), body).await.read(world::reply);
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).extend(call.findings);
        Answer::of::<F>(call.result)
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
        self.call::<DownloadOrder>(&request).await
    }

    /// Builds a ConfirmOrder request with default values. The request releases the profile.
    pub fn confirmation(&self, iccid: Iccid) -> ConfirmOrderRequest {
        ConfirmOrderRequest::new(self.header(), iccid)
    }

    /// Calls ES2+.ConfirmOrder.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn confirm(&self, request: &ConfirmOrderRequest) -> Result<Answer<ConfirmOrderReply>, Stop> {
        self.call::<ConfirmOrder>(request).await
    }

    /// Builds a CancelOrder request for an order without EID. The request makes the profile
    /// available again.
    pub fn cancellation(&self, iccid: Iccid) -> CancelOrderRequest {
        CancelOrderRequest::new(self.header(), iccid)
    }

    /// Calls ES2+.CancelOrder.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn cancel(&self, request: &CancelOrderRequest) -> Result<Answer<NoOutput>, Stop> {
        self.call::<CancelOrder>(request).await
    }

    /// Calls ES2+.ReleaseProfile.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn release(&self, iccid: Iccid) -> Result<Answer<NoOutput>, Stop> {
        let request = ReleaseProfileRequest { header: self.header(), iccid };
        self.call::<ReleaseProfile>(&request).await
    }
}
