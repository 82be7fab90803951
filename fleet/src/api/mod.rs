//! The platform's API: HTTP and JSON. It is an [`rsp_server::api`].
//!
//! The platform has two entry points. Devices and SM-DP+s use the first, whose server authenticates
//! them.
//! The owner's entry point offers all functions, has no password and is meant for the loopback
//! interface. [`api::check_origin`] refuses requests from web pages.

mod lists;
mod reports;
mod routes;

use bytes::Bytes;
use certs::{Certificate, Role, ServerName};
use http::{Request, Response, StatusCode, header};
use rsp::{
    finding,
    ids::{Eid, Oid, Version},
    sgp22::{
        es2plus::{self, HandleDownloadProgressInfoRequest},
        json,
    },
};
use rsp_server::api::{self, Problem};
use world::{BoxFuture, Link, LinkFault, PeerCertificate, link_from};

use crate::{
    check_in::CheckIn,
    platform::{Platform, Processed},
};

use routes::PlatformApi;

pub use routes::CHECK_IN;

/// Version of SGP.22 in the replies to ES2+ notifications.
const PROTOCOL: Version = Version([2, 5, 0]);

impl Platform {
    /// The complete API as a link.
    pub fn link(&self) -> Link {
        let platform = self.clone();
        link_from(tower::service_fn(move |request| {
            let platform = platform.clone();
            async move { Ok::<_, LinkFault>(platform.answer(&request).await) }
        }))
    }

    /// The API for devices and SM-DP+s as a link. It has two functions: check-in with a token that
    /// `admits` accepts for the device, and ES2+.HandleDownloadProgressInfo with the certificate of
    /// the SM-DP+ that holds the order.
    pub fn devices_link(&self, admits: impl Fn(Eid, &str) -> bool + Clone + Send + Sync + 'static) -> Link {
        let platform = self.clone();
        link_from(tower::service_fn(move |request| {
            let (platform, admits) = (platform.clone(), admits.clone());
            async move { Ok::<_, LinkFault>(platform.answer_devices(&request, admits).await) }
        }))
    }

    async fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        if request.uri().path() == progress_path() {
            return self.answer_progress(request).await;
        }
        match api::check_origin::<PlatformApi>(request, |_| false) {
            Ok(()) => self.execute(request).await,
            Err(problem) => problem.response(),
        }
    }

    async fn answer_devices(
        &self,
        request: &Request<Bytes>,
        admits: impl Fn(Eid, &str) -> bool,
    ) -> Response<Bytes> {
        let path = request.uri().path();
        if path == progress_path() {
            return self.answer_progress(request).await;
        }
        if path != CHECK_IN {
            return Problem::not_found(
                format!("cannot {} {path}", request.method()),
                "this port only accepts check-ins of devices",
                "use the port of the owner's API",
            )
            .response();
        }
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        match serde_json::from_slice::<CheckIn>(request.body()) {
            Ok(CheckIn { eid, .. }) if !admits(eid, token) => Problem::new(
                StatusCode::UNAUTHORIZED,
                format!("device {eid} may not check in"),
                "its token is not the token of this device",
                "print the token with `landfall fleet token EID`; give it with --token-file, or send it as Authorization: Bearer TOKEN",
            )
            .response(),
            // A malformed check-in names no device whose token could be checked. `execute` refuses
            // it.
            Ok(_) | Err(_) => self.execute(request).await,
        }
    }

    async fn execute(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let called = async {
            let (route, id) = api::find::<PlatformApi>(request)?;
            let call = route.call(&id, request)?;
            let execute = || {
                let (call, mut platform) = (&*call, self.clone());
                let executed: BoxFuture<'_, _> = Box::pin(async move { call.execute(&mut platform).await });
                executed
            };
            self.waits().answer(call.timeout(), execute).await
        };
        called.await.unwrap_or_else(|problem: Problem| problem.response())
    }

    /// ES2+.HandleDownloadProgressInfo (SGP.22 section 5.3.5). The function has no response with a
    /// status code, so an unauthorised sender gets an HTTP status.
    async fn answer_progress(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let status = |status: StatusCode| {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            response
        };
        let sender = request.extensions().get::<PeerCertificate>().and_then(sm_dp);
        let Some((oid, names)) = sender else { return status(StatusCode::FORBIDDEN) };
        let (report, findings) =
            finding::collect(|| json::read::<HandleDownloadProgressInfoRequest>(request.body()));
        for finding in findings {
            tracing::info!(peer = "SM-DP+", %finding, "accepted a deviation");
        }
        match report {
            Err(_) => status(StatusCode::BAD_REQUEST),
            Ok(report) if report.header.function_requester_identifier != oid.to_string() => {
                status(StatusCode::FORBIDDEN)
            }
            Ok(report) => match self.process_progress(&names, &report).await {
                Ok(Processed::Accepted) => json::no_content(PROTOCOL),
                Ok(Processed::WrongSmDp) => status(StatusCode::FORBIDDEN),
                // The report was not recorded. The SM-DP+ sends it again.
                Err(_) => status(StatusCode::SERVICE_UNAVAILABLE),
            },
        }
    }
}

/// Returns the OID and the names in a verified TLS client certificate, or `None` if it is not a
/// CERT.DP.TLS with one OID.
fn sm_dp(certificate: &PeerCertificate) -> Option<(Oid, Vec<ServerName>)> {
    let certificate = Certificate::from_der(certificate.0.clone()).ok()?;
    match (certificate.role(), certificate.registered_ids()) {
        (Some(Role::DpTls), [oid]) => Some((oid.clone(), certificate.server_names().to_vec())),
        _ => None,
    }
}

fn progress_path() -> String {
    es2plus::path("handleDownloadProgressInfo")
}
