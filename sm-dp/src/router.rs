//! From an HTTP request to the function it calls: SGP.22 sections 6.2 to 6.5.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use rsp::{
    sgp22::{es2plus as es2, es9plus as es9, json},
    status::{Refusal, Status},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use world::PeerCertificate;

use crate::{
    config::Config,
    decision::{Context, Decision},
    es2plus, es9plus,
};

/// A function with its request, ready to be decided as often as conflicts ask for it.
pub(crate) enum Call {
    InitiateAuthentication(es9::InitiateAuthenticationRequest),
    AuthenticateClient(Box<es9::AuthenticateClientRequest>),
    GetBoundProfilePackage(es9::GetBoundProfilePackageRequest),
    CancelSession(es9::CancelSessionRequestEs9),
    HandleNotification(Box<es9::HandleNotificationRequest>),
    DownloadOrder(es2plus::Caller, es2::DownloadOrderRequest),
    ConfirmOrder(es2plus::Caller, es2::ConfirmOrderRequest),
    CancelOrder(es2plus::Caller, es2::CancelOrderRequest),
    ReleaseProfile(es2plus::Caller, es2::ReleaseProfileRequest),
    /// A call of that function that cannot be understood; answered in the function's own form.
    Misunderstood(Interface, &'static str, Refusal),
}

/// Which interface a call came over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    Es9Plus,
    Es2Plus,
}

/// What is said when all went well.
pub(crate) enum Spoken {
    /// Executed-Success with these fields.
    Json(Value),
    /// HTTP 204.
    Nothing,
    /// HTTP 204, because the function has no other answer; what was wrong goes into the log.
    NothingBut(Refusal),
}

const ES9PLUS: &[&str] = &[
    "initiateAuthentication",
    "authenticateClient",
    "getBoundProfilePackage",
    "cancelSession",
    "handleNotification",
];
const ES2PLUS: &[&str] = &["downloadOrder", "confirmOrder", "cancelOrder", "releaseProfile"];

/// Finds the function. What is not a function of this server, or not allowed to be called, gets that HTTP status.
pub(crate) fn route(config: &Config, request: &Request<Bytes>) -> Result<Call, StatusCode> {
    let path = request.uri().path();
    let (interface, function) = find(path).ok_or(StatusCode::NOT_FOUND)?;
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let caller = match interface {
        Interface::Es9Plus => None,
        // TLS has verified the certificate; that there is one at all is for us to ask.
        Interface::Es2Plus => {
            let certificate = request.extensions().get::<PeerCertificate>().ok_or(StatusCode::FORBIDDEN)?;
            Some(es2plus::Caller::of(certificate).ok_or(StatusCode::FORBIDDEN)?)
        }
    };
    if let Err(refusal) = check_headers(config, request) {
        return Ok(Call::Misunderstood(interface, function, refusal));
    }
    let body = request.body();
    let call = match (function, caller) {
        ("initiateAuthentication", _) => parse(body).map(Call::InitiateAuthentication),
        ("authenticateClient", _) => parse(body).map(|request| Call::AuthenticateClient(Box::new(request))),
        ("getBoundProfilePackage", _) => parse(body).map(Call::GetBoundProfilePackage),
        ("cancelSession", _) => parse(body).map(Call::CancelSession),
        ("handleNotification", _) => parse(body).map(|request| Call::HandleNotification(Box::new(request))),
        ("downloadOrder", Some(caller)) => parse(body).map(|request| Call::DownloadOrder(caller, request)),
        ("confirmOrder", Some(caller)) => parse(body).map(|request| Call::ConfirmOrder(caller, request)),
        ("cancelOrder", Some(caller)) => parse(body).map(|request| Call::CancelOrder(caller, request)),
        ("releaseProfile", Some(caller)) => parse(body).map(|request| Call::ReleaseProfile(caller, request)),
        _ => return Err(StatusCode::NOT_FOUND),
    };
    Ok(call.unwrap_or_else(|refusal| Call::Misunderstood(interface, function, refusal)))
}

fn find(path: &str) -> Option<(Interface, &'static str)> {
    let (interface, functions, function) = match path.strip_prefix("/gsma/rsp2/es9plus/") {
        Some(function) => (Interface::Es9Plus, ES9PLUS, function),
        None => (Interface::Es2Plus, ES2PLUS, path.strip_prefix("/gsma/rsp2/es2plus/")?),
    };
    functions.iter().find(|known| **known == function).map(|known| (interface, *known))
}

/// Content-Type and X-Admin-Protocol, section 6.2 and 6.5.1.
fn check_headers(config: &Config, request: &Request<Bytes>) -> Result<(), Refusal> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return Err(Status::ContentTypeInvalid
            .because(format!("Content-Type must be {}", json::CONTENT_TYPE))
            .about(content_type.unwrap_or("(none)")));
    }
    match json::protocol_version(request.headers()) {
        Some(version) if version.0.first() >= config.lowest_svn.0.first() => Ok(()),
        Some(version) => {
            Err(Status::ProtocolInvalid.because("this version is not spoken here").about(version))
        }
        None => Err(Status::ProtocolInvalid
            .because("X-Admin-Protocol must be gsma/rsp/v and a version such as 2.2.0")),
    }
}

/// The function's request, or why the body is none.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|e| {
        let why = e.to_string();
        let status =
            if why.starts_with("missing field") { Status::ElementMissing } else { Status::FormatInvalid };
        status.because(why)
    })
}

/// The response to what is no call of a function.
pub(crate) fn plain(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn said<T: Serialize>(reply: &T) -> Decision<Spoken> {
    serde_json::to_value(reply).map(Spoken::Json).map_err(|e| {
        world::Fault::caused_by(e, "cannot write the reply as JSON", "report this: a reply does not fit JSON")
            .into()
    })
}

impl Call {
    /// Decides. May be asked again after a conflict, with a fresh transaction.
    pub(crate) async fn execute(&self, context: &mut Context<'_, '_>) -> Decision<Spoken> {
        match self {
            Self::InitiateAuthentication(request) => {
                said(&es9plus::initiate_authentication::execute(context, request).await?)
            }
            Self::AuthenticateClient(request) => {
                said(&es9plus::authenticate_client::execute(context, request).await?)
            }
            Self::GetBoundProfilePackage(request) => {
                said(&es9plus::get_bound_profile_package::execute(context, request).await?)
            }
            Self::CancelSession(request) => {
                es9plus::cancel_session::execute(context, request).await?;
                said(&es9::CancelSessionOk {})
            }
            Self::HandleNotification(request) => {
                Ok(match es9plus::handle_notification::execute(context, request).await? {
                    Ok(()) => Spoken::Nothing,
                    Err(refusal) => Spoken::NothingBut(refusal),
                })
            }
            Self::DownloadOrder(caller, request) => {
                said(&es2plus::download_order::execute(context, caller, request).await?)
            }
            Self::ConfirmOrder(caller, request) => {
                said(&es2plus::confirm_order::execute(context, caller, request).await?)
            }
            Self::CancelOrder(caller, request) => {
                es2plus::cancel_order::execute(context, caller, request).await?;
                Ok(Spoken::Json(Value::Null))
            }
            Self::ReleaseProfile(caller, request) => {
                es2plus::release_profile::execute(context, caller, request).await?;
                Ok(Spoken::Json(Value::Null))
            }
            Self::Misunderstood(_, _, refusal) => Err(refusal.clone().into()),
        }
    }

    /// The function in the standard's spelling.
    pub(crate) fn function(&self) -> &'static str {
        match self {
            Self::InitiateAuthentication(_) => "InitiateAuthentication",
            Self::AuthenticateClient(_) => "AuthenticateClient",
            Self::GetBoundProfilePackage(_) => "GetBoundProfilePackage",
            Self::CancelSession(_) => "CancelSession",
            Self::HandleNotification(_) => "HandleNotification",
            Self::DownloadOrder(..) => "DownloadOrder",
            Self::ConfirmOrder(..) => "ConfirmOrder",
            Self::CancelOrder(..) => "CancelOrder",
            Self::ReleaseProfile(..) => "ReleaseProfile",
            Self::Misunderstood(_, function, _) => function,
        }
    }

    /// Whether the caller looks at the HTTP status alone: any 2xx would tell it that its notification was taken.
    pub(crate) fn is_answered_by_http_status(&self) -> bool {
        matches!(self, Self::HandleNotification(_) | Self::Misunderstood(_, "handleNotification", _))
    }

    /// The interface in the standard's spelling.
    pub(crate) fn interface(&self) -> &'static str {
        match self.called_over() {
            Interface::Es9Plus => "ES9+",
            Interface::Es2Plus => "ES2+",
        }
    }

    /// Who called.
    pub(crate) fn peer(&self) -> &'static str {
        match self.called_over() {
            Interface::Es9Plus => "LPA",
            Interface::Es2Plus => "operator",
        }
    }

    fn called_over(&self) -> Interface {
        match self {
            Self::DownloadOrder(..)
            | Self::ConfirmOrder(..)
            | Self::CancelOrder(..)
            | Self::ReleaseProfile(..) => Interface::Es2Plus,
            Self::Misunderstood(interface, ..) => *interface,
            _ => Interface::Es9Plus,
        }
    }
}
