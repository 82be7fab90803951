//! The platform's API: HTTP and JSON. docs/fleet-api.json describes it and is served at GET
//! /openapi.json. Tests check every response against that document.
//!
//! The platform has two entry points. Devices and SM-DP+s use one, whose server authenticates them.
//! The owner's entry point offers all functions, has no password and is meant for the loopback
//! interface.

mod door;
mod functions;
mod route;

use bytes::Bytes;
use certs::{Certificate, Role, ServerName};
use http::{HeaderValue, Request, Response, StatusCode, header};
use rsp::{
    ids::{Eid, Version},
    sgp22::{
        es2plus::{self, HandleDownloadProgressInfoRequest},
        json,
    },
};
use serde::Serialize;
use world::{Fault, Link, LinkFault, PeerCertificate, link_from};

use crate::{
    check_in::CheckIn,
    platform::{Platform, Processed},
    problem::Problem,
};

pub use route::ROUTES;

/// Path at which devices check in.
pub const CHECK_IN: &str = "/v1/check-in";
/// The OpenAPI 3.1 description of the API.
pub const DOCUMENT: &str = include_str!("../../../docs/fleet-api.json");

/// Version of SGP.22 that replies to ES2+ notifications name.
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
        respond(match door::check(request) {
            Ok(()) => self.execute(request).await,
            Err(problem) => Err(problem),
        })
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
            return respond(Err(Problem::not_found(
                format!("cannot {} {path}", request.method()),
                "this port only accepts check-ins of devices",
                "use the port of the owner's API",
            )));
        }
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let admitted = route::body::<CheckIn>(request).and_then(|check_in| match admits(check_in.eid, token) {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                format!("device {} may not check in", check_in.eid),
                "its token is not the token of this device",
                "print the token with `landfall fleet token EID` and send it as Authorization: Bearer TOKEN",
            )),
        });
        respond(match admitted {
            Ok(()) => self.execute(request).await,
            Err(problem) => Err(problem),
        })
    }

    /// ES2+.HandleDownloadProgressInfo (SGP.22 section 5.3.5). The function has no response with a
    /// status code, so an unauthorised sender gets an HTTP status.
    async fn answer_progress(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let status = |status: StatusCode| {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            response
        };
        let Some(sender) = request.extensions().get::<PeerCertificate>().and_then(sm_dp_names) else {
            return status(StatusCode::FORBIDDEN);
        };
        match serde_json::from_slice::<HandleDownloadProgressInfoRequest>(request.body()) {
            Err(_) => status(StatusCode::BAD_REQUEST),
            Ok(report) => match self.process_progress(&sender, &report).await {
                Ok(Processed::Accepted) => json::no_content(PROTOCOL),
                Ok(Processed::WrongSmDp) => status(StatusCode::FORBIDDEN),
                // The report was not recorded. The SM-DP+ sends it again.
                Err(_) => status(StatusCode::SERVICE_UNAVAILABLE),
            },
        }
    }
}

/// Returns the names in a verified TLS client certificate, or `None` if it is not a CERT.DP.TLS.
fn sm_dp_names(certificate: &PeerCertificate) -> Option<Vec<ServerName>> {
    let certificate = Certificate::from_der(certificate.0.clone()).ok()?;
    (certificate.role() == Some(Role::DpTls)).then(|| certificate.server_names().to_vec())
}

fn progress_path() -> String {
    es2plus::path("handleDownloadProgressInfo")
}

fn respond(result: Result<Response<Bytes>, Problem>) -> Response<Bytes> {
    result.unwrap_or_else(|problem| {
        let mut response = response(problem.status, &problem).unwrap_or_default();
        if let Ok(allow) = HeaderValue::from_str(&problem.allow)
            && !allow.is_empty()
        {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    })
}

fn response(status: StatusCode, body: &impl Serialize) -> Result<Response<Bytes>, Fault> {
    let body = serde_json::to_vec(body).map_err(|error| {
        Fault::caused_by(error, "cannot write the reply as JSON", "report this: a reply does not fit JSON")
    })?;
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
