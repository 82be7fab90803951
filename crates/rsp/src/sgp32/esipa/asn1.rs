//! The ASN.1 binding of ESipa over HTTP: SGP.32 section 6.3. A body over CoAP is the same message.
//!
//! Every function is a POST to the same path; the tag of the message identifies the function.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::USER_AGENT};

use super::{super::Version, MessageFromEim, MessageFromIpa, Reply};
use crate::{
    der::{DecodeError, Problem, Reader, Tag},
    ids,
    sgp22::{
        asn1::InvalidResponse,
        headers::{check_content_type, set_headers_for},
        json::{report_content_type, report_status},
    },
};

pub use crate::sgp22::asn1::{CONTENT_TYPE, PATH};

/// Creates the HTTP request of an IPA to an eIM of `peer`. `protocol` is the version in
/// `X-Admin-Protocol`. `user_agent` begins with [`USER_AGENT_IPAD`](super::USER_AGENT_IPAD) or
/// [`USER_AGENT_IPAE`](super::USER_AGENT_IPAE).
pub fn request(
    protocol: ids::Version,
    peer: Version,
    user_agent: &str,
    message: &MessageFromIpa,
) -> Request<Bytes> {
    let mut request = Request::new(message.to_der_for(peer).into());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(PATH);
    set_headers_for(request.headers_mut(), CONTENT_TYPE, protocol);
    if let Ok(value) = HeaderValue::from_str(user_agent) {
        request.headers_mut().insert(USER_AGENT, value);
    }
    request
}

/// Returns the tag of the function whose message `body` is.
///
/// # Errors
/// The body does not begin with a tag.
pub fn function_tag(body: &[u8]) -> Result<Tag, DecodeError> {
    let reader = Reader::new(body);
    reader.peek()?.ok_or_else(|| reader.error(Problem::Missing { expected: Tag::CHOICE }))
}

/// Creates the HTTP response of an eIM to an IPA of `peer`.
pub fn response(protocol: ids::Version, peer: Version, message: &MessageFromEim) -> Response<Bytes> {
    let mut response = Response::new(message.to_der_for(peer).into());
    set_headers_for(response.headers_mut(), CONTENT_TYPE, protocol);
    response
}

/// Creates the response to an accepted notification: HTTP status 204.
pub fn no_content(protocol: ids::Version) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set_headers_for(response.headers_mut(), CONTENT_TYPE, protocol);
    response
}

/// Decodes the body of a response: a reply to one function.
///
/// # Errors
/// The body is not a reply of this function.
pub fn read_reply<R: Reply>(body: &[u8]) -> Result<R, DecodeError> {
    let is_empty = body.is_empty() || Reader::new(body).enter(R::TAG).is_ok_and(|inner| inner.is_empty());
    match R::of_nothing().filter(|_| is_empty) {
        Some(reply) => Ok(reply),
        None => R::from_peer(body),
    }
}

/// Decodes the response of a function.
///
/// # Errors
/// The response is not a valid response of the ASN.1 binding.
pub fn answer<R: Reply>(response: &Response<Bytes>) -> Result<R, InvalidResponse> {
    if !response.status().is_success() {
        return Err(InvalidResponse::HttpStatus(response.status()));
    }
    let content_type = check_content_type(response.headers(), CONTENT_TYPE);
    match (read_reply(response.body()), content_type) {
        (reply, Ok(())) => {
            report_status(response, StatusCode::OK);
            Ok(reply?)
        }
        (Ok(reply), Err(refusal)) => {
            if !response.body().is_empty() {
                report_content_type(&refusal);
            }
            report_status(response, StatusCode::OK);
            Ok(reply)
        }
        (Err(_), Err(refusal)) => Err(InvalidResponse::ContentType(refusal)),
    }
}
