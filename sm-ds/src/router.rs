//! From an HTTP request to the function it calls: SGP.22 sections 6.2 to 6.5.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use rsp::{
    sgp22::{es9plus, es11 as es11_types, es12 as es12_types, json},
    status::{Refusal, Status},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use world::{Fault, PeerCertificate};

use crate::{
    config::Config,
    decision::{Context, Decision},
    es11, es12,
};

/// A function with its request, ready to be decided as often as conflicts ask for it.
pub(crate) enum Call {
    InitiateAuthentication(es11_types::InitiateAuthenticationRequest),
    AuthenticateClient(Box<es11_types::AuthenticateClientRequest>),
    RegisterEvent(es12::Caller, es12_types::RegisterEventRequest),
    DeleteEvent(es12::Caller, es12_types::DeleteEventRequest),
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

/// Finds the function. What is not a function of this server, or not allowed to be called, gets that HTTP status.
pub(crate) fn route(config: &Config, request: &Request<Bytes>) -> Result<Call, StatusCode> {
    let function = Function::at(request.uri().path()).ok_or(StatusCode::NOT_FOUND)?;
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    // TLS has verified the certificate, if there is one; that it is an SM-DP+'s is for us to ask.
    let caller = || {
        let certificate = request.extensions().get::<PeerCertificate>();
        certificate.and_then(es12::Caller::of).ok_or(StatusCode::FORBIDDEN)
    };
    let body = request.body();
    let call = match function {
        Function::InitiateAuthentication => parse(body).map(Call::InitiateAuthentication),
        Function::AuthenticateClient => {
            parse(body).map(|request| Call::AuthenticateClient(Box::new(request)))
        }
        Function::RegisterEvent => {
            let caller = caller()?;
            parse(body).map(|request| Call::RegisterEvent(caller, request))
        }
        Function::DeleteEvent => {
            let caller = caller()?;
            parse(body).map(|request| Call::DeleteEvent(caller, request))
        }
    };
    let call = check_headers(config, request).and(call);
    Ok(call.unwrap_or_else(|refusal| Call::Misunderstood(function, refusal)))
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

fn said<T: Serialize>(reply: &T) -> Decision<Value> {
    serde_json::to_value(reply).map_err(|e| {
        Fault::caused_by(e, "cannot write the reply as JSON", "report this: a reply does not fit JSON").into()
    })
}

impl Call {
    /// Decides, and says what is in the reply besides its header. May be asked again after a conflict, with a fresh
    /// transaction.
    pub(crate) async fn execute(&self, context: &mut Context<'_, '_>) -> Decision<Value> {
        match self {
            Self::InitiateAuthentication(request) => {
                said(&es11::initiate_authentication::execute(context, request).await?)
            }
            Self::AuthenticateClient(request) => {
                said(&es11::authenticate_client::execute(context, request).await?)
            }
            Self::RegisterEvent(caller, request) => {
                es12::register_event::execute(context, caller, request).await?;
                Ok(Value::Null)
            }
            Self::DeleteEvent(caller, request) => {
                es12::delete_event::execute(context, caller, request).await?;
                Ok(Value::Null)
            }
            Self::Misunderstood(_, refusal) => Err(refusal.clone().into()),
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
            Self::InitiateAuthentication => is_es11::<es11_types::InitiateAuthentication>(path),
            Self::AuthenticateClient => is_es11::<es11_types::AuthenticateClient>(path),
            Self::RegisterEvent => path == es12_types::path("registerEvent"),
            Self::DeleteEvent => path == es12_types::path("deleteEvent"),
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

    /// The interface in the standard's spelling, and who calls over it.
    pub(crate) fn interface_and_peer(self) -> (&'static str, &'static str) {
        match self {
            Self::InitiateAuthentication | Self::AuthenticateClient => ("ES11", "LPA"),
            Self::RegisterEvent | Self::DeleteEvent => ("ES12", "SM-DP+"),
        }
    }
}

fn is_es11<F: es9plus::Function>(path: &str) -> bool {
    path == es9plus::path(F::NAME) || path == es11_types::path(F::NAME)
}
