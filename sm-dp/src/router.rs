//! From an HTTP request to the function it calls: SGP.22 sections 6.2 to 6.6.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use rsp::{
    der::Asn1,
    sgp22::{
        asn1::{self, RemoteProfileProvisioningRequest},
        es2plus as es2,
        es9plus::{self as es9, Function as _},
        headers::{check_content_type, check_protocol},
        json,
    },
    status::Refusal,
};
use rsp_server::{Binding, Reply, ResponseEncoder};
use world::{Fault, PeerCertificate};

use crate::{config::Config, context::Context, es2plus, es9plus};

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
    Misunderstood(Function, Refusal),
}

/// A function of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    InitiateAuthentication,
    AuthenticateClient,
    GetBoundProfilePackage,
    CancelSession,
    HandleNotification,
    DownloadOrder,
    ConfirmOrder,
    CancelOrder,
    ReleaseProfile,
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

/// Finds the function. What is not a function of this server, or not allowed to be called, gets that HTTP status.
pub(crate) fn route(config: &Config, request: &Request<Bytes>) -> Result<Call, TurnedAway> {
    let path = request.uri().path();
    let function = Function::at(path);
    let (interface, name) = match function {
        Some(function) => (function.interface(), function.name()),
        // The ASN.1 binding names its function inside the body, which may be unreadable.
        None if Binding::of(request) == Binding::Asn1 => (Interface::Es9Plus, "asn1"),
        None => (Interface::None, "request"),
    };
    let away = |status, why: String| TurnedAway { interface, function: name, status, why };
    if interface == Interface::None {
        return Err(away(StatusCode::NOT_FOUND, format!("there is no function at {path}")));
    }
    if request.method() != Method::POST {
        let why = format!("functions are called with POST, not {}", request.method());
        return Err(away(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let Some(function) = function else {
        return route_asn1(config, request).map_err(|(status, why)| away(status, why));
    };
    // TLS has verified the certificate; that there is one at all is for us to ask.
    let caller = || {
        let certificate = request.extensions().get::<PeerCertificate>();
        certificate.and_then(es2plus::Caller::of).ok_or_else(|| {
            away(StatusCode::FORBIDDEN, "the caller shows no client certificate of an operator".to_owned())
        })
    };
    let body = request.body();
    let call = match function {
        Function::InitiateAuthentication => json::read(body).map(Call::InitiateAuthentication),
        Function::AuthenticateClient => {
            json::read(body).map(|request| Call::AuthenticateClient(Box::new(request)))
        }
        Function::GetBoundProfilePackage => json::read(body).map(Call::GetBoundProfilePackage),
        Function::CancelSession => json::read(body).map(Call::CancelSession),
        Function::HandleNotification => {
            json::read(body).map(|request| Call::HandleNotification(Box::new(request)))
        }
        Function::DownloadOrder => {
            let caller = caller()?;
            json::read(body).map(|request| Call::DownloadOrder(caller, request))
        }
        Function::ConfirmOrder => {
            let caller = caller()?;
            json::read(body).map(|request| Call::ConfirmOrder(caller, request))
        }
        Function::CancelOrder => {
            let caller = caller()?;
            json::read(body).map(|request| Call::CancelOrder(caller, request))
        }
        Function::ReleaseProfile => {
            let caller = caller()?;
            json::read(body).map(|request| Call::ReleaseProfile(caller, request))
        }
    };
    let headers = check_content_type(request.headers(), "application/json");
    let call = headers.and_then(|()| check_protocol(request.headers(), config.lowest_svn)).and(call);
    Ok(call.unwrap_or_else(|refusal| Call::Misunderstood(function, refusal)))
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
    pub(crate) async fn execute(
        &self,
        context: &mut Context<'_, '_>,
        voice: ResponseEncoder,
    ) -> Result<Reply, Fault> {
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
            Self::Misunderstood(function, refusal) => {
                let mut said = voice.say_json::<()>(Err(refusal.clone().into()))?;
                // Its caller looks at the HTTP status alone: any 2xx would tell it that its notification was taken.
                if *function == Function::HandleNotification {
                    *said.response.status_mut() = StatusCode::BAD_REQUEST;
                }
                Ok(said)
            }
        }
    }

    /// Which function is called.
    pub(crate) fn function(&self) -> Function {
        match self {
            Self::InitiateAuthentication(_) => Function::InitiateAuthentication,
            Self::AuthenticateClient(_) => Function::AuthenticateClient,
            Self::GetBoundProfilePackage(_) => Function::GetBoundProfilePackage,
            Self::CancelSession(_) => Function::CancelSession,
            Self::HandleNotification(_) => Function::HandleNotification,
            Self::DownloadOrder(..) => Function::DownloadOrder,
            Self::ConfirmOrder(..) => Function::ConfirmOrder,
            Self::CancelOrder(..) => Function::CancelOrder,
            Self::ReleaseProfile(..) => Function::ReleaseProfile,
            Self::Misunderstood(function, _) => *function,
        }
    }
}

impl Function {
    const ALL: [Self; 9] = [
        Self::InitiateAuthentication,
        Self::AuthenticateClient,
        Self::GetBoundProfilePackage,
        Self::CancelSession,
        Self::HandleNotification,
        Self::DownloadOrder,
        Self::ConfirmOrder,
        Self::CancelOrder,
        Self::ReleaseProfile,
    ];

    /// The function at a path of the JSON binding.
    fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.path() == path)
    }

    /// Where the JSON binding has it.
    fn path(self) -> String {
        match self {
            Self::InitiateAuthentication => es9::path(es9::InitiateAuthentication::NAME),
            Self::AuthenticateClient => es9::path(es9::AuthenticateClient::NAME),
            Self::GetBoundProfilePackage => es9::path(es9::GetBoundProfilePackage::NAME),
            Self::CancelSession => es9::path(es9::CancelSession::NAME),
            Self::HandleNotification => es9::path(es9::HandleNotification::NAME),
            Self::DownloadOrder => es2::path("downloadOrder"),
            Self::ConfirmOrder => es2::path("confirmOrder"),
            Self::CancelOrder => es2::path("cancelOrder"),
            Self::ReleaseProfile => es2::path("releaseProfile"),
        }
    }

    /// In the standard's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InitiateAuthentication => "InitiateAuthentication",
            Self::AuthenticateClient => "AuthenticateClient",
            Self::GetBoundProfilePackage => "GetBoundProfilePackage",
            Self::CancelSession => "CancelSession",
            Self::HandleNotification => "HandleNotification",
            Self::DownloadOrder => "DownloadOrder",
            Self::ConfirmOrder => "ConfirmOrder",
            Self::CancelOrder => "CancelOrder",
            Self::ReleaseProfile => "ReleaseProfile",
        }
    }

    /// Which interface it is of.
    pub(crate) fn interface(self) -> Interface {
        match self {
            Self::DownloadOrder | Self::ConfirmOrder | Self::CancelOrder | Self::ReleaseProfile => {
                Interface::Es2Plus
            }
            _ => Interface::Es9Plus,
        }
    }
}
