//! The platform's API: HTTP and JSON. docs/fleet-api.json describes it, is served as GET /openapi.json, and tests hold everything
//! that is said against it.
//!
//! There are two doors. Devices and SM-DP+s come to one, whose server knows who they are; the owner's has all functions, asks for
//! no password and is meant for the loopback.

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
    platform::{Heard, Platform},
    problem::Problem,
};

pub use route::ROUTES;

/// Where devices check in.
pub const CHECK_IN: &str = "/v1/check-in";
/// The description of the API: OpenAPI 3.1.
pub const DOCUMENT: &str = include_str!("../../../docs/fleet-api.json");

/// Answers to notifications of ES2+ name this version of SGP.22.
const PROTOCOL: Version = Version([2, 5, 0]);

impl Platform {
    /// All of the API, as a link.
    pub fn link(&self) -> Link {
        let platform = self.clone();
        link_from(tower::service_fn(move |request| {
            let platform = platform.clone();
            async move { Ok::<_, LinkFault>(platform.answer(&request).await) }
        }))
    }

    /// What is for devices and SM-DP+s, as a link: check-in with a token that `admits` the device, and
    /// ES2+.HandleDownloadProgressInfo with the certificate of the SM-DP+ at which the order stands.
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
        said(match door::check(request) {
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
            return said(Err(Problem::not_found(
                format!("cannot {} {path}", request.method()),
                "this door is for devices that check in",
                "the owner's API is on a port of its own",
            )));
        }
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let admitted = route::body::<CheckIn>(request).and_then(|said| match admits(said.eid, token) {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                format!("device {} may not check in", said.eid),
                "its token is not the one of this device",
                "`landfall fleet token EID` says it; it stands in Authorization, after Bearer",
            )),
        });
        said(match admitted {
            Ok(()) => self.execute(request).await,
            Err(problem) => Err(problem),
        })
    }

    /// ES2+.HandleDownloadProgressInfo: SGP.22 section 5.3.5. It has no answer with a status code, so who may not say it is
    /// told so by HTTP.
    async fn answer_progress(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let status = |status: StatusCode| {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            response
        };
        let Some(teller) = request.extensions().get::<PeerCertificate>().and_then(sm_dp_names) else {
            return status(StatusCode::FORBIDDEN);
        };
        match serde_json::from_slice::<HandleDownloadProgressInfoRequest>(request.body()) {
            Err(_) => status(StatusCode::BAD_REQUEST),
            Ok(told) => match self.hear(&teller, &told).await {
                Ok(Heard::Taken) => json::no_content(PROTOCOL),
                Ok(Heard::AnothersOrder) => status(StatusCode::FORBIDDEN),
                // It is not taken; the SM-DP+ says it again.
                Err(_) => status(StatusCode::SERVICE_UNAVAILABLE),
            },
        }
    }
}

/// The names of the SM-DP+ whose client certificate TLS has verified; none if it is not CERT.DP.TLS.
fn sm_dp_names(certificate: &PeerCertificate) -> Option<Vec<ServerName>> {
    let certificate = Certificate::from_der(certificate.0.clone()).ok()?;
    (certificate.role() == Some(Role::DpTls)).then(|| certificate.server_names().to_vec())
}

fn progress_path() -> String {
    es2plus::path("handleDownloadProgressInfo")
}

fn said(answer: Result<Response<Bytes>, Problem>) -> Response<Bytes> {
    answer.unwrap_or_else(|problem| {
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
