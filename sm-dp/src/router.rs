//! Maps an HTTP request to the function it calls: SGP.22 sections 6.2 to 6.6.

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

/// A function call with its decoded request. It can be executed several times, because a conflict
/// repeats the transaction.
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
    /// A call that cannot be decoded. The reply has the form of the called function.
    Undecodable(Function, Refusal),
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

/// The interface that a call arrived on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    Es9Plus,
    Es2Plus,
    /// The path does not belong to any interface.
    None,
}

impl Interface {
    /// The name as the standard spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es9Plus => "ES9+",
            Self::Es2Plus => "ES2+",
            Self::None => "HTTP",
        }
    }

    /// The kind of peer that calls this interface.
    pub(crate) fn peer(self) -> &'static str {
        match self {
            Self::Es9Plus => "LPA",
            Self::Es2Plus => "operator",
            Self::None => "client",
        }
    }
}

/// A request that is rejected with an HTTP status only.
pub(crate) struct RejectedRequest {
    pub(crate) interface: Interface,
    pub(crate) function: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

/// Determines the called function and decodes the request. Returns an HTTP status if the server has
/// no such function or the caller may not call it.
pub(crate) fn route(config: &Config, request: &Request<Bytes>) -> Result<Call, RejectedRequest> {
    let path = request.uri().path();
    let function = Function::at(path);
    let (interface, name) = match function {
        Some(function) => (function.interface(), function.name()),
        // The ASN.1 binding names its function inside the body, which may be unreadable.
        None if Binding::of(request) == Binding::Asn1 => (Interface::Es9Plus, "asn1"),
        None => (Interface::None, "request"),
    };
    let rejected = |status, why: String| RejectedRequest { interface, function: name, status, why };
    if interface == Interface::None {
        return Err(rejected(StatusCode::NOT_FOUND, format!("there is no function at {path}")));
    }
    if request.method() != Method::POST {
        let why = format!("functions are called with POST, not {}", request.method());
        return Err(rejected(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let Some(function) = function else {
        return route_asn1(config, request).map_err(|(status, why)| rejected(status, why));
    };
    // TLS verifies a client certificate if there is one. This checks that there is one.
    let caller = || {
        let certificate = request.extensions().get::<PeerCertificate>();
        // req: SGP.22-5.3.1-Certificate
        certificate.and_then(es2plus::Caller::of).ok_or_else(|| {
            rejected(
                StatusCode::FORBIDDEN,
                "the caller presented no operator's client certificate".to_owned(),
            )
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
    Ok(call.unwrap_or_else(|refusal| Call::Undecodable(function, refusal)))
}

/// Decodes a request of the ASN.1 binding. This binding has no status codes for an invalid header
/// or body, so these errors are reported as HTTP statuses until the function is known.
fn route_asn1(config: &Config, request: &Request<Bytes>) -> Result<Call, (StatusCode, String)> {
    check_content_type(request.headers(), asn1::CONTENT_TYPE)
        .map_err(|refusal| (StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal.to_string()))?;
    check_protocol(request.headers(), config.lowest_svn)
        .map_err(|refusal| (StatusCode::BAD_REQUEST, refusal.to_string()))?;
    let request = RemoteProfileProvisioningRequest::from_der(request.body()).map_err(|e| {
        (StatusCode::BAD_REQUEST, format!("the body is not a RemoteProfileProvisioningRequest: {e}"))
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
    /// Executes the function and encodes its reply. After a conflict it is called again with a new
    /// transaction.
    pub(crate) async fn execute(
        &self,
        context: &mut Context<'_, '_>,
        encoder: ResponseEncoder,
    ) -> Result<Reply, Fault> {
        match self {
            Self::InitiateAuthentication(request) => encoder.say::<es9::InitiateAuthentication>(
                es9plus::initiate_authentication::execute(context, request).await,
            ),
            Self::AuthenticateClient(request) => encoder.say::<es9::AuthenticateClient>(
                es9plus::authenticate_client::execute(context, request).await,
            ),
            Self::GetBoundProfilePackage(request) => encoder.say::<es9::GetBoundProfilePackage>(
                es9plus::get_bound_profile_package::execute(context, request).await,
            ),
            Self::CancelSession(request) => {
                encoder.say::<es9::CancelSession>(es9plus::cancel_session::execute(context, request).await)
            }
            Self::HandleNotification(request) => {
                encoder.encode_no_content(es9plus::handle_notification::execute(context, request).await)
            }
            Self::DownloadOrder(caller, request) => {
                encoder.encode_json(es2plus::download_order::execute(context, caller, request).await)
            }
            Self::ConfirmOrder(caller, request) => {
                encoder.encode_json(es2plus::confirm_order::execute(context, caller, request).await)
            }
            Self::CancelOrder(caller, request) => {
                encoder.encode_json(es2plus::cancel_order::execute(context, caller, request).await)
            }
            Self::ReleaseProfile(caller, request) => {
                encoder.encode_json(es2plus::release_profile::execute(context, caller, request).await)
            }
            Self::Undecodable(function, refusal) => {
                let mut reply = encoder.encode_json::<()>(Err(refusal.clone().into()))?;
                // The caller only looks at the HTTP status. Any 2xx would acknowledge its
                // notification.
                if *function == Function::HandleNotification {
                    *reply.response.status_mut() = StatusCode::BAD_REQUEST;
                }
                Ok(reply)
            }
        }
    }

    /// The called function.
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
            Self::Undecodable(function, _) => *function,
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

    /// The path of the function in the JSON binding.
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

    /// The name as the standard spells it.
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

    /// The interface that the function belongs to.
    pub(crate) fn interface(self) -> Interface {
        match self {
            Self::DownloadOrder | Self::ConfirmOrder | Self::CancelOrder | Self::ReleaseProfile => {
                Interface::Es2Plus
            }
            _ => Interface::Es9Plus,
        }
    }
}
