//! An ES2+ client that acts as an operator.

use std::sync::atomic::{AtomicU32, Ordering};

use certs::Pki;
use http::Request;
use rsp::ids::{Eid, Iccid};
use rsp::sgp22::es2plus::{
    self, CancelOrderRequest, ConfirmOrderRequest, DownloadOrderReply, DownloadOrderRequest,
    ReleaseProfileRequest,
};
use rsp::sgp22::json::{self, Answer, NoOutput, RequestHeader};
use serde::{Serialize, de::DeserializeOwned};
use sm_dp::SmDpPlus;
use world::PeerCertificate;

use super::VERSION;

/// An operator with its client certificate.
pub(crate) struct Operator {
    pub(crate) identifier: String,
    pub(crate) certificate: Vec<u8>,
    pub(crate) oid: rsp::ids::Oid,
    /// The number of calls made so far. Each call has its own identifier.
    pub(crate) calls: AtomicU32,
}

impl Operator {
    pub(crate) fn new(pki: &Pki, name: &str) -> Self {
        let certificate = pki.operator(name).unwrap().certificate;
        let oid = certificate.registered_ids()[0].clone();
        Self {
            identifier: oid.to_string(),
            oid,
            calls: AtomicU32::new(0),
            certificate: certificate.der().to_vec(),
        }
    }

    /// Builds the header of a new call.
    pub(crate) fn header(&self) -> RequestHeader {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        RequestHeader::new(self.identifier.clone(), format!("call-{number}"))
    }

    pub(crate) fn request<T: Serialize>(&self, function: &str, body: &T) -> Request<bytes::Bytes> {
        let mut request = json::request(&es2plus::path(function), VERSION, body);
        request.extensions_mut().insert(PeerCertificate(self.certificate.clone()));
        request
    }

    pub(crate) async fn call<R: DeserializeOwned>(
        &self,
        server: &SmDpPlus,
        function: &str,
        body: &impl Serialize,
    ) -> Answer<R> {
        json::answer(&server.handle(self.request(function, body)).await).unwrap()
    }

    pub(crate) async fn download_order(
        &self,
        server: &SmDpPlus,
        iccid: Option<Iccid>,
        profile_type: Option<&str>,
        eid: Option<Eid>,
    ) -> Answer<DownloadOrderReply> {
        let request = DownloadOrderRequest {
            header: self.header(),
            eid,
            iccid,
            profile_type: profile_type.map(str::to_owned),
        };
        self.call(server, "downloadOrder", &request).await
    }

    /// Builds a ConfirmOrder request with default values. The request releases the profile.
    pub(crate) fn confirmation(&self, iccid: Iccid) -> ConfirmOrderRequest {
        ConfirmOrderRequest::new(self.header(), iccid)
    }

    pub(crate) fn cancellation(&self, iccid: Iccid) -> CancelOrderRequest {
        CancelOrderRequest::new(self.header(), iccid)
    }

    pub(crate) async fn cancel(&self, server: &SmDpPlus, request: &CancelOrderRequest) -> Answer<NoOutput> {
        self.call(server, "cancelOrder", request).await
    }

    pub(crate) async fn release(&self, server: &SmDpPlus, iccid: Iccid) -> Answer<NoOutput> {
        let request = ReleaseProfileRequest { header: self.header(), iccid };
        self.call(server, "releaseProfile", &request).await
    }
}
