//! From an HTTP request to the function it calls: SGP.22 sections 6.2 to 6.6.

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

/// A function with its request, ready to be decided as often as conflicts ask for it.
pub(crate) enum Call {
    InitiateAuthentication(ds11::InitiateAuthenticationRequest),
    AuthenticateClient(Box<ds11::AuthenticateClientRequest>),
    RegisterEvent(es12::Caller, ds12::RegisterEventRequest),
    DeleteEvent(es12::Caller, ds12::DeleteEventRequest),
    /// A call of that function that cannot be understood; answered in the function's own form.
    Misunderstood(Function, Refusal),
}

/// A function of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    InitiateAuthentication,
    AuthenticateClient,
    RegisterEvent,
    DeleteEvent,
}

/// Which interface a call came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    Es11,
    Es12,
    /// A path at which there is nothing.
    None,
}

impl Interface {
    /// In the standard's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Es11 => "ES11",
            Self::Es12 => "ES12",
            Self::None => "HTTP",
        }
    }

    /// Who calls over it.
    pub(crate) fn peer(self) -> &'static str {
        match self {
            Self::Es11 => "LPA",
            Self::Es12 => "SM-DP+",
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
        None if Binding::of(request) == Binding::Asn1 => (Interface::Es11, "asn1"),
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
    // TLS has verified the certificate, if there is one; that it is an SM-DP+'s is for us to ask.
    let caller = || {
        let certificate = request.extensions().get::<PeerCertificate>();
        certificate.and_then(es12::Caller::of).ok_or_else(|| {
            away(StatusCode::FORBIDDEN, "the caller shows no TLS certificate of an SM-DP+".to_owned())
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
    Ok(call.unwrap_or_else(|refusal| Call::Misunderstood(function, refusal)))
}

/// The ASN.1 binding has no status codes of the kind that could say what is wrong with a header or a body: until the
/// function is understood, HTTP has to say it.
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
        Ok(_) => Err((StatusCode::BAD_REQUEST, "an SM-DS has no such function".to_owned())),
        Err(e) => {
            Err((StatusCode::BAD_REQUEST, format!("the body is no RemoteProfileProvisioningRequest: {e}")))
        }
    }
}

impl Call {
    /// Decides, and says it. May be asked again after a conflict, with a fresh transaction.
    pub(crate) async fn execute(
        &self,
        context: &mut Context<'_, '_>,
        voice: ResponseEncoder,
    ) -> Result<Reply, Fault> {
        match self {
            Self::InitiateAuthentication(request) => voice.say::<ds11::InitiateAuthentication>(
                es11::initiate_authentication::execute(context, request).await,
            ),
            Self::AuthenticateClient(request) => voice
                .say::<ds11::AuthenticateClient>(es11::authenticate_client::execute(context, request).await),
            Self::RegisterEvent(caller, request) => {
                voice.say_json(es12::register_event::execute(context, caller, request).await)
            }
            Self::DeleteEvent(caller, request) => {
                voice.say_json(es12::delete_event::execute(context, caller, request).await)
            }
            Self::Misunderstood(_, refusal) => voice.say_json::<()>(Err(refusal.clone().into())),
        }
    }

    /// Which function is called.
    pub(crate) fn function(&self) -> Function {
        match self {
            Self::InitiateAuthentication(_) => Function::InitiateAuthentication,
            Self::AuthenticateClient(_) => Function::AuthenticateClient,
            Self::RegisterEvent(..) => Function::RegisterEvent,
            Self::DeleteEvent(..) => Function::DeleteEvent,
            Self::Misunderstood(function, _) => *function,
        }
    }
}

impl Function {
    const ALL: [Self; 4] =
        [Self::InitiateAuthentication, Self::AuthenticateClient, Self::RegisterEvent, Self::DeleteEvent];

    /// The function at a path of the JSON binding.
    fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| match function {
            Self::InitiateAuthentication => is_es11::<ds11::InitiateAuthentication>(path),
            Self::AuthenticateClient => is_es11::<ds11::AuthenticateClient>(path),
            Self::RegisterEvent => path == ds12::path("registerEvent"),
            Self::DeleteEvent => path == ds12::path("deleteEvent"),
        })
    }

    /// In the standard's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InitiateAuthentication => "InitiateAuthentication",
            Self::AuthenticateClient => "AuthenticateClient",
            Self::RegisterEvent => "RegisterEvent",
            Self::DeleteEvent => "DeleteEvent",
        }
    }

    /// Which interface it is of.
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
