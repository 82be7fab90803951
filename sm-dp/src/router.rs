//! From an HTTP request to the function it calls: SGP.22 sections 6.2 to 6.6.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use rsp::{
    der::Asn1,
    sgp22::{
        asn1::{self, RemoteProfileProvisioningRequest},
        es2plus as es2, es9plus as es9,
        headers::{check_content_type, check_protocol},
        json,
    },
    status::Refusal,
};
use world::{Fault, PeerCertificate};

use crate::{
    answer::{Binding, Said, Voice},
    config::Config,
    decision::Context,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    Es9Plus,
    Es2Plus,
    /// A path at which there is nothing.
    None,
}

impl Interface {
    /// In the standard's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es9Plus => "ES9+",
            Self::Es2Plus => "ES2+",
            Self::None => "HTTP",
        }
    }

    /// Who calls over it.
    pub(crate) fn peer(self) -> &'static str {
        match self {
            Self::Es9Plus => "LPA",
            Self::Es2Plus => "operator",
            Self::None => "client",
        }
    }
}

/// A request that gets an HTTP status and nothing else.
pub(crate) struct TurnedAway {
    pub(crate) interface: Interface,
    pub(crate) function: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

const ES9PLUS: &[&str] = &[
    "initiateAuthentication",
    "authenticateClient",
    "getBoundProfilePackage",
    "cancelSession",
    "handleNotification",
];
const ES2PLUS: &[&str] = &["downloadOrder", "confirmOrder", "cancelOrder", "releaseProfile"];
/// The function whose caller looks at the HTTP status alone: any 2xx would tell it that its notification was taken.
const ANSWERED_BY_STATUS: &str = "handleNotification";
/// The ASN.1 binding names its function inside the body, which may be unreadable.
const SOME_FUNCTION: &str = "asn1";

/// The binding in which the request asks, and so is answered.
pub(crate) fn binding(request: &Request<Bytes>) -> Binding {
    if request.uri().path() == asn1::PATH { Binding::Asn1 } else { Binding::Json }
}

/// Finds the function. What is not a function of this server, or not allowed to be called, gets that HTTP status.
pub(crate) fn route(config: &Config, request: &Request<Bytes>) -> Result<Call, TurnedAway> {
    let (interface, function) = find(request.uri().path());
    let away = |status, why: String| TurnedAway { interface, function, status, why };
    if interface == Interface::None {
        let why = format!("there is no function at {}", request.uri().path());
        return Err(away(StatusCode::NOT_FOUND, why));
    }
    if request.method() != Method::POST {
        let why = format!("functions are called with POST, not {}", request.method());
        return Err(away(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    if binding(request) == Binding::Asn1 {
        return route_asn1(config, request).map_err(|(status, why)| away(status, why));
    }
    let caller = match interface {
        // TLS has verified the certificate; that there is one at all is for us to ask.
        Interface::Es2Plus => {
            let certificate = request.extensions().get::<PeerCertificate>();
            let caller = certificate.and_then(es2plus::Caller::of).ok_or_else(|| {
                away(
                    StatusCode::FORBIDDEN,
                    "the caller shows no client certificate of an operator".to_owned(),
                )
            })?;
            Some(caller)
        }
        Interface::Es9Plus | Interface::None => None,
    };
    if let Err(refusal) = check_content_type(request.headers(), "application/json")
        .and_then(|()| check_protocol(request.headers(), config.lowest_svn))
    {
        return Ok(Call::Misunderstood(interface, function, refusal));
    }
    let body = request.body();
    let call = match (function, caller) {
        ("initiateAuthentication", _) => json::read(body).map(Call::InitiateAuthentication),
        ("authenticateClient", _) => {
            json::read(body).map(|request| Call::AuthenticateClient(Box::new(request)))
        }
        ("getBoundProfilePackage", _) => json::read(body).map(Call::GetBoundProfilePackage),
        ("cancelSession", _) => json::read(body).map(Call::CancelSession),
        ("handleNotification", _) => {
            json::read(body).map(|request| Call::HandleNotification(Box::new(request)))
        }
        ("downloadOrder", Some(caller)) => {
            json::read(body).map(|request| Call::DownloadOrder(caller, request))
        }
        ("confirmOrder", Some(caller)) => json::read(body).map(|request| Call::ConfirmOrder(caller, request)),
        ("cancelOrder", Some(caller)) => json::read(body).map(|request| Call::CancelOrder(caller, request)),
        ("releaseProfile", Some(caller)) => {
            json::read(body).map(|request| Call::ReleaseProfile(caller, request))
        }
        _ => return Err(away(StatusCode::NOT_FOUND, format!("{function} is not served"))),
    };
    Ok(call.unwrap_or_else(|refusal| Call::Misunderstood(interface, function, refusal)))
}

fn find(path: &str) -> (Interface, &'static str) {
    let named = |interface, functions: &[&'static str], function: &str| {
        functions.iter().find(|known| **known == function).map(|known| (interface, *known))
    };
    let found = match path.strip_prefix("/gsma/rsp2/es9plus/") {
        Some(function) => named(Interface::Es9Plus, ES9PLUS, function),
        None if path == asn1::PATH => Some((Interface::Es9Plus, SOME_FUNCTION)),
        None => path
            .strip_prefix("/gsma/rsp2/es2plus/")
            .and_then(|function| named(Interface::Es2Plus, ES2PLUS, function)),
    };
    found.unwrap_or((Interface::None, "request"))
}

/// The ASN.1 binding has no status codes of the kind that could say what is wrong with a header or a body: until the
/// function is understood, HTTP has to say it.
fn route_asn1(config: &Config, request: &Request<Bytes>) -> Result<Call, (StatusCode, String)> {
    check_content_type(request.headers(), asn1::CONTENT_TYPE)
        .map_err(|refusal| (StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal.to_string()))?;
    check_protocol(request.headers(), config.lowest_svn)
        .map_err(|refusal| (StatusCode::BAD_REQUEST, refusal.to_string()))?;
    let request = RemoteProfileProvisioningRequest::from_der(request.body()).map_err(|e| {
        (StatusCode::BAD_REQUEST, format!("the body is no RemoteProfileProvisioningRequest: {e}"))
    })?;
    Ok(match request {
        RemoteProfileProvisioningRequest::InitiateAuthentication(it) => Call::InitiateAuthentication(it),
        RemoteProfileProvisioningRequest::AuthenticateClient(it) => Call::AuthenticateClient(it),
        RemoteProfileProvisioningRequest::GetBoundProfilePackage(it) => Call::GetBoundProfilePackage(it),
        RemoteProfileProvisioningRequest::CancelSession(it) => Call::CancelSession(it),
        RemoteProfileProvisioningRequest::HandleNotification(it) => Call::HandleNotification(it),
    })
}

impl Call {
    /// Decides, and says it. May be asked again after a conflict, with a fresh transaction.
    pub(crate) async fn execute(&self, context: &mut Context<'_, '_>, voice: Voice) -> Result<Said, Fault> {
        match self {
            Self::InitiateAuthentication(request) => voice.say::<es9::InitiateAuthentication>(
                es9plus::initiate_authentication::execute(context, request).await,
            ),
            Self::AuthenticateClient(request) => voice.say::<es9::AuthenticateClient>(
                es9plus::authenticate_client::execute(context, request).await,
            ),
            Self::GetBoundProfilePackage(request) => voice.say::<es9::GetBoundProfilePackage>(
                es9plus::get_bound_profile_package::execute(context, request).await,
            ),
            Self::CancelSession(request) => {
                voice.say::<es9::CancelSession>(es9plus::cancel_session::execute(context, request).await)
            }
            Self::HandleNotification(request) => {
                voice.say_nothing(es9plus::handle_notification::execute(context, request).await)
            }
            Self::DownloadOrder(caller, request) => {
                voice.say_json(es2plus::download_order::execute(context, caller, request).await)
            }
            Self::ConfirmOrder(caller, request) => {
                voice.say_json(es2plus::confirm_order::execute(context, caller, request).await)
            }
            Self::CancelOrder(caller, request) => {
                voice.say_json(es2plus::cancel_order::execute(context, caller, request).await)
            }
            Self::ReleaseProfile(caller, request) => {
                voice.say_json(es2plus::release_profile::execute(context, caller, request).await)
            }
            Self::Misunderstood(_, function, refusal) => {
                let mut said = voice.say_json::<()>(Err(refusal.clone().into()))?;
                if *function == ANSWERED_BY_STATUS {
                    *said.response.status_mut() = StatusCode::BAD_REQUEST;
                }
                Ok(said)
            }
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

    /// Which interface it came over.
    pub(crate) fn interface(&self) -> Interface {
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
