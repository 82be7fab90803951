//! Routing of HTTP requests to functions: SGP.22 sections 6.2 to 6.6.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use rsp::{
    der::Asn1,
    sgp22::{
        asn1::{self, RemoteProfileProvisioningRequest},
        es9plus, es11 as ds11, es12 as ds12,
        headers::{check_content_type, check_protocol},
        json,
    },
    status::Refusal,
};
use rsp_server::{Binding, Reply, ResponseEncoder};
use world::{Fault, PeerCertificate};

use crate::{config::Config, context::Context, es11, es12};

/// A function with its request. It can be decided repeatedly, in case of conflicts.
pub(crate) enum Call {
    InitiateAuthentication(ds11::InitiateAuthenticationRequest),
    AuthenticateClient(Box<ds11::AuthenticateClientRequest>),
    RegisterEvent(es12::Caller, ds12::RegisterEventRequest),
    DeleteEvent(es12::Caller, ds12::DeleteEventRequest),
    /// An invalid call of a function, with the refusal to return in the form of that function.
    Invalid(Function, Refusal),
}

/// A function of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    InitiateAuthentication,
    AuthenticateClient,
    RegisterEvent,
    DeleteEvent,
}

/// Interface of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    Es11,
    Es12,
    /// None: the path does not exist.
    None,
}

impl Interface {
    /// Returns the name in the standard's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es11 => "ES11",
            Self::Es12 => "ES12",
            Self::None => "HTTP",
        }
    }

    /// Returns the role of the caller.
    pub(crate) fn peer(self) -> &'static str {
        match self {
            Self::Es11 => "LPA",
            Self::Es12 => "SM-DP+",
            Self::None => "client",
        }
    }
}

/// A request that is answered with an HTTP status only.
pub(crate) struct RejectedRequest {
    pub(crate) interface: Interface,
    pub(crate) function: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

/// Finds the function of a request. A request to an unknown function, or one that the caller is not
/// allowed to call, gets an HTTP status.
pub(crate) fn route(config: &Config, request: &Request<Bytes>) -> Result<Call, RejectedRequest> {
    let path = request.uri().path();
    let function = Function::at(path);
    let (interface, name) = match function {
        Some(function) => (function.interface(), function.name()),
        // The ASN.1 binding names its function inside the body, which may be unreadable.
        None if Binding::of(request) == Binding::Asn1 => (Interface::Es11, "asn1"),
        None => (Interface::None, "request"),
    };
    let rejected = |status, why: String| RejectedRequest { interface, function: name, status, why };
    if interface == Interface::None {
        return Err(rejected(StatusCode::NOT_FOUND, format!("there is no function at {path}")));
    }
    if request.method() != Method::POST {
        let why = format!("functions must be called with POST, not {}", request.method());
        return Err(rejected(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let Some(function) = function else {
        return route_asn1(config, request).map_err(|(status, why)| rejected(status, why));
    };
    // TLS has verified the certificate, if there is one. This server must check that it is an
    // SM-DP+'s.
    let caller = || {
        let certificate = request.extensions().get::<PeerCertificate>();
        certificate.and_then(es12::Caller::of).ok_or_else(|| {
            rejected(StatusCode::FORBIDDEN, "the caller has no TLS certificate of an SM-DP+".to_owned())
        })
    };
    let body = request.body();
    let call = match function {
        Function::InitiateAuthentication => json::read(body).map(Call::InitiateAuthentication),
        Function::AuthenticateClient => {
            json::read(body).map(|request| Call::AuthenticateClient(Box::new(request)))
        }
        Function::RegisterEvent => {
            let caller = caller()?;
            json::read(body).map(|request| Call::RegisterEvent(caller, request))
        }
        Function::DeleteEvent => {
            let caller = caller()?;
            json::read(body).map(|request| Call::DeleteEvent(caller, request))
        }
    };
    let headers = check_content_type(request.headers(), "application/json");
    let call = headers.and_then(|()| check_protocol(request.headers(), config.lowest_svn)).and(call);
    Ok(call.unwrap_or_else(|refusal| Call::Invalid(function, refusal)))
}

/// Routes a request in the ASN.1 binding. This binding has no status code for an invalid header or
/// body, so those requests get an HTTP status until the function is known.
fn route_asn1(config: &Config, request: &Request<Bytes>) -> Result<Call, (StatusCode, String)> {
    check_content_type(request.headers(), asn1::CONTENT_TYPE)
        .map_err(|refusal| (StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal.to_string()))?;
    check_protocol(request.headers(), config.lowest_svn)
        .map_err(|refusal| (StatusCode::BAD_REQUEST, refusal.to_string()))?;
    match RemoteProfileProvisioningRequest::from_der(request.body()) {
        Ok(RemoteProfileProvisioningRequest::InitiateAuthentication(it)) => {
            Ok(Call::InitiateAuthentication(it.into()))
        }
        Ok(RemoteProfileProvisioningRequest::AuthenticateClient(it)) => Ok(Call::AuthenticateClient(it)),
        Ok(_) => Err((StatusCode::BAD_REQUEST, "an SM-DS does not have this function".to_owned())),
        Err(e) => Err((
            StatusCode::BAD_REQUEST,
            format!("the body is not a valid RemoteProfileProvisioningRequest: {e}"),
        )),
    }
}

impl Call {
    /// Decides on the call and encodes the reply. It can run again in a fresh transaction after a
    /// conflict.
    pub(crate) async fn execute(
        &self,
        context: &mut Context<'_, '_>,
        encoder: ResponseEncoder,
    ) -> Result<Reply, Fault> {
        match self {
            Self::InitiateAuthentication(request) => encoder.say::<ds11::InitiateAuthentication>(
                es11::initiate_authentication::execute(context, request).await,
            ),
            Self::AuthenticateClient(request) => encoder
                .say::<ds11::AuthenticateClient>(es11::authenticate_client::execute(context, request).await),
            Self::RegisterEvent(caller, request) => {
                encoder.encode_json(es12::register_event::execute(context, caller, request).await)
            }
            Self::DeleteEvent(caller, request) => {
                encoder.encode_json(es12::delete_event::execute(context, caller, request).await)
            }
            Self::Invalid(_, refusal) => encoder.encode_json::<()>(Err(refusal.clone().into())),
        }
    }

    /// Returns the function that is called.
    pub(crate) fn function(&self) -> Function {
        match self {
            Self::InitiateAuthentication(_) => Function::InitiateAuthentication,
            Self::AuthenticateClient(_) => Function::AuthenticateClient,
            Self::RegisterEvent(..) => Function::RegisterEvent,
            Self::DeleteEvent(..) => Function::DeleteEvent,
            Self::Invalid(function, _) => *function,
        }
    }
}

impl Function {
    const ALL: [Self; 4] =
        [Self::InitiateAuthentication, Self::AuthenticateClient, Self::RegisterEvent, Self::DeleteEvent];

    /// Returns the function at a path of the JSON binding.
    fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| match function {
            Self::InitiateAuthentication => is_es11::<ds11::InitiateAuthentication>(path),
            Self::AuthenticateClient => is_es11::<ds11::AuthenticateClient>(path),
            Self::RegisterEvent => path == ds12::path("registerEvent"),
            Self::DeleteEvent => path == ds12::path("deleteEvent"),
        })
    }

    /// Returns the name in the standard's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InitiateAuthentication => "InitiateAuthentication",
            Self::AuthenticateClient => "AuthenticateClient",
            Self::RegisterEvent => "RegisterEvent",
            Self::DeleteEvent => "DeleteEvent",
        }
    }

    /// Returns the interface of the function.
    pub(crate) fn interface(self) -> Interface {
        match self {
            Self::InitiateAuthentication | Self::AuthenticateClient => Interface::Es11,
            Self::RegisterEvent | Self::DeleteEvent => Interface::Es12,
        }
    }
}

fn is_es11<F: es9plus::Function>(path: &str) -> bool {
    path == es9plus::path(F::NAME) || path == ds11::path(F::NAME)
}
