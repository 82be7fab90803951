//! Rules of HTTP that the servers of all interfaces have in common: SGP.22 sections 6.2 and 6.5,
//! SGP.32 sections 6.3 and 6.4.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use rsp::sgp22::json::{self, X_ADMIN_PROTOCOL};

use crate::binding::{ASN1_CONTENT_TYPE, Binding};
use crate::verdict::{During, Stop, Verdict, ensure};

/// A server under test, and one of its functions that a case can call at any time.
pub trait HttpServer: Sync {
    /// The binding of the case.
    fn binding(&self) -> Binding;

    /// Builds a valid request of the function.
    fn request(&self) -> Request<Bytes>;

    /// Sends a request.
    ///
    /// # Errors
    /// There is no response.
    fn send(&self, request: Request<Bytes>) -> impl Future<Output = Result<Response<Bytes>, Stop>> + Send;

    /// Checks that a response is that of the executed function.
    ///
    /// # Errors
    /// It is another one.
    fn executed(&self, response: &Response<Bytes>) -> Verdict;

    /// True if a response with a status of success says that no function was executed.
    fn is_refusal(&self, response: &Response<Bytes>) -> bool;

    /// Returns two paths that the interface does not have.
    fn unknown_paths(&self) -> [&'static str; 2];

    /// Returns invalid bodies of the interface, with a description of each.
    fn invalid_bodies(&self) -> Vec<(&'static str, Bytes)>;
}

/// A rule of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpRule {
    /// The headers of responses.
    ResponseHeaders,
    /// The media type of a request is compared without parameters and without regard to case.
    ContentTypes,
    /// The media type of a request is checked.
    OtherContentType,
    /// Other paths are not found.
    UnknownPath,
    /// Other methods are refused.
    OtherMethods,
    /// Invalid bodies are refused.
    InvalidBody,
}

impl HttpRule {
    /// Returns the requirement in one sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::ResponseHeaders => "the response has the binding's Content-Type and X-Admin-Protocol",
            Self::ContentTypes => "parameters and case of the Content-Type may vary",
            Self::OtherContentType => "a request with another Content-Type is not executed",
            Self::UnknownPath => "an unknown path is not found",
            Self::OtherMethods => "only POST requests are executed",
            Self::InvalidBody => "a request with an invalid body is not executed",
        }
    }

    /// Checks the rule.
    ///
    /// # Errors
    /// The server violates it.
    pub async fn check(self, server: &impl HttpServer) -> Verdict {
        execute(server, server.request()).await.during("with a correct request")?;
        match self {
            Self::ResponseHeaders => response_headers(server).await,
            Self::ContentTypes => content_types(server).await,
            Self::OtherContentType => other_content_type(server).await,
            Self::UnknownPath => unknown_path(server).await,
            Self::OtherMethods => other_methods(server).await,
            Self::InvalidBody => invalid_body(server).await,
        }
    }
}

/// Sends a request, which must be executed.
async fn execute(server: &impl HttpServer, request: Request<Bytes>) -> Verdict {
    server.executed(&server.send(request).await?)
}

/// Sends a request, which must not be executed: the response is an error of the client or a refusal
/// of the function.
///
/// # Errors
/// The request is executed, or the server fails.
pub async fn expect_refusal(server: &impl HttpServer, request: Request<Bytes>) -> Verdict {
    let response = server.send(request).await?;
    let status = response.status();
    ensure(!status.is_server_error(), || format!("HTTP status {status}, expected a refusal"))?;
    ensure(status.is_client_error() || server.is_refusal(&response), || {
        "the function was executed, expected a refusal".to_owned()
    })
}

/// Replaces a header of a request.
#[must_use]
pub fn with_header(mut request: Request<Bytes>, name: HeaderName, value: &'static str) -> Request<Bytes> {
    request.headers_mut().insert(name, HeaderValue::from_static(value));
    request
}

async fn response_headers(server: &impl HttpServer) -> Verdict {
    let response = server.send(server.request()).await?;
    let text = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let expected = match server.binding() {
        Binding::Json => "application/json",
        Binding::Asn1 => ASN1_CONTENT_TYPE,
    };
    let content_type = text("content-type");
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ensure(media_type.eq_ignore_ascii_case(expected), || {
        format!("Content-Type is {content_type:?}, expected {expected}")
    })?;
    ensure(json::protocol_version(response.headers()).is_some(), || {
        let found = text(X_ADMIN_PROTOCOL);
        format!("X-Admin-Protocol is {found:?}, expected gsma/rsp/v followed by a version")
    })
}

async fn content_types(server: &impl HttpServer) -> Verdict {
    let content_type = match server.binding() {
        Binding::Json => "Application/JSON; charset=utf-8",
        Binding::Asn1 => "Application/X-GSMA-RSP-ASN1",
    };
    let request = with_header(server.request(), header::CONTENT_TYPE, content_type);
    execute(server, request).await.during(content_type)
}

async fn other_content_type(server: &impl HttpServer) -> Verdict {
    for content_type in ["text/plain", "application/octet-stream"] {
        let request = with_header(server.request(), header::CONTENT_TYPE, content_type);
        expect_refusal(server, request).await.during(content_type)?;
    }
    Ok(())
}

async fn unknown_path(server: &impl HttpServer) -> Verdict {
    for path in server.unknown_paths() {
        let mut request = server.request();
        *request.uri_mut() = http::Uri::from_static(path);
        let status = server.send(request).await?.status();
        ensure(status == StatusCode::NOT_FOUND, || format!("{path}: HTTP status {status}, expected 404"))?;
    }
    Ok(())
}

async fn other_methods(server: &impl HttpServer) -> Verdict {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let mut request = server.request();
        *request.method_mut() = method.clone();
        let status = server.send(request).await?.status();
        let is_refused = status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NOT_FOUND;
        ensure(is_refused, || format!("{method}: HTTP status {status}, expected 405"))?;
    }
    Ok(())
}

async fn invalid_body(server: &impl HttpServer) -> Verdict {
    let whole = server.request().into_body();
    let half = whole.slice(..whole.len() / 2);
    let mut bodies = vec![("an empty body", Bytes::new()), ("half a request", half)];
    bodies.extend(server.invalid_bodies());
    for (what, body) in bodies {
        let mut request = server.request();
        *request.body_mut() = body;
        expect_refusal(server, request).await.during(what)?;
    }
    // The server must still be working.
    execute(server, server.request()).await.during("afterwards")
}
