//! The ASN.1 binding over HTTP: SGP.22 sections 6.2, 6.3 and 6.6.
//!
//! Every function is a POST to the same path; the tag inside the body identifies the function. A
//! refusal consists only of an INTEGER specific to the function. Subject, reason and message exist
//! only in the JSON binding.

use std::fmt;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};

use super::{
    es9plus,
    headers::{check_content_type, set_headers_for},
    json::{report_content_type, report_status},
};
use crate::{
    der::{Asn1, DecodeError, Problem, Reader, Tag, tlv_bytes, write_tlv},
    ids::Version,
    status::{Refusal, Status},
};

/// The content type of the ASN.1 binding, section 6.6.1.
pub const CONTENT_TYPE: &str = "application/x-gsma-rsp-asn1";

/// The path of every function in the ASN.1 binding, section 6.6.1.
pub const PATH: &str = "/gsma/rsp2/asn1";

/// The tag of RemoteProfileProvisioningRequest and RemoteProfileProvisioningResponse.
const MESSAGE: Tag = Tag(0xA2);
/// The first alternative of every response: success.
const OK: Tag = Tag(0xA0);
/// The second alternative of every response: the error.
const ERROR: Tag = Tag(0x81);

/// A function that has a response in the ASN.1 binding (HandleNotification has none).
pub trait Exchange: super::Function<Request: Asn1, Reply: Asn1> {
    /// The tag of the function in RemoteProfileProvisioningResponse.
    const RESPONSE: Tag;
    /// The function's error INTEGER, convertible from the statuses of the JSON binding.
    type Error: Asn1 + Copy + fmt::Debug + fmt::Display + PartialEq + From<Status>;
}

macro_rules! exchanges {
    ($( $name:ident = $tag:literal, $error:ident );+ $(;)?) => { $(
        impl Exchange for es9plus::$name {
            const RESPONSE: Tag = Tag($tag);
            type Error = es9plus::$error;
        }
    )+ };
}

exchanges! {
    InitiateAuthentication = 0xBF39, InitiateAuthenticationError;
    AuthenticateClient = 0xBF3B, AuthenticateClientError;
    GetBoundProfilePackage = 0xBF3A, GetBoundProfilePackageError;
    CancelSession = 0xBF41, CancelSessionError;
}

/// Creates the HTTP request of a function, with the headers that an LPA sends.
pub fn request<T: Asn1>(version: Version, body: &T) -> Request<Bytes> {
    let mut request = Request::new(tlv_bytes(MESSAGE, &body.to_der()).into());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(PATH);
    set_headers_for(request.headers_mut(), CONTENT_TYPE, version);
    request
}

/// Returns the tag of the function in the RemoteProfileProvisioningRequest that `body` contains:
/// section 6.6.2.
///
/// # Errors
/// The body has another tag or names no function.
pub fn function_tag(body: &[u8]) -> Result<Tag, DecodeError> {
    let message = Reader::new(body).enter(MESSAGE)?;
    message.peek()?.ok_or_else(|| message.error(Problem::Missing { expected: MESSAGE }))
}

/// Decodes the request of a function from the RemoteProfileProvisioningRequest in `body`.
///
/// # Errors
/// The body is not a request of this function.
pub fn read<T: Asn1>(body: &[u8]) -> Result<T, DecodeError> {
    let mut body = Reader::new(body);
    let mut message = body.enter(MESSAGE)?;
    body.report_trailing();
    let request = T::decode_as(T::TAG, &mut message)?;
    message.skip_unknown("RemoteProfileProvisioningRequest")?;
    Ok(request)
}

/// True if the body is a complete RemoteProfileProvisioningRequest with the request of one function,
/// whether or not the elements of the request can be decoded.
pub fn is_complete(body: &[u8]) -> bool {
    let mut body = Reader::new(body);
    let Ok(mut message) = body.enter(MESSAGE) else { return false };
    message.whole_tlv().is_ok() && message.is_empty() && body.is_empty()
}

/// Creates the HTTP response of a function. The HTTP status is 200 for success and for a refusal
/// (section 6.3).
pub fn response<F: Exchange>(version: Version, outcome: Result<&F::Reply, &Refusal>) -> Response<Bytes> {
    let mut alternative = Vec::new();
    match outcome {
        Ok(reply) => reply.encode_as(OK, &mut alternative),
        Err(refusal) => F::Error::from(refusal.status).encode_as(ERROR, &mut alternative),
    }
    let mut body = Vec::new();
    write_tlv(MESSAGE, &tlv_bytes(F::RESPONSE, &alternative), &mut body);
    let mut response = Response::new(body.into());
    set_headers_for(response.headers_mut(), CONTENT_TYPE, version);
    response
}

/// The contents of a server's response.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T, E> {
    /// The function was executed.
    Done(T),
    /// The server refused the request.
    Refused(E),
}

/// The response is not a valid response of the ASN.1 binding.
#[derive(Debug, thiserror::Error)]
pub enum InvalidResponse {
    /// The HTTP status is not one that the binding uses.
    #[error("HTTP status {0}: the server did not accept the request as a call of this function")]
    HttpStatus(StatusCode),
    /// The content type is not that of the binding. The response may come from an intermediary.
    #[error("{0}")]
    ContentType(Refusal),
    /// The body is not the response of the function.
    #[error("the body is not the response of this function: {0}")]
    Asn1(#[from] DecodeError),
}

/// Decodes the response of a function.
///
/// # Errors
/// The response is not a valid response of the ASN.1 binding.
pub fn answer<F: Exchange>(
    response: &Response<Bytes>,
) -> Result<Answer<F::Reply, F::Error>, InvalidResponse> {
    if !response.status().is_success() {
        return Err(InvalidResponse::HttpStatus(response.status()));
    }
    let mut body = Reader::new(response.body());
    let content_type = check_content_type(response.headers(), CONTENT_TYPE);
    let mut message = match (body.enter(MESSAGE), content_type) {
        (message, Ok(())) => message?,
        (Ok(message), Err(refusal)) => {
            report_content_type(&refusal);
            message
        }
        (Err(_), Err(refusal)) => return Err(InvalidResponse::ContentType(refusal)),
    };
    report_status(response, StatusCode::OK);
    body.report_trailing();
    let mut alternative = message.enter(F::RESPONSE)?;
    message.skip_unknown("RemoteProfileProvisioningResponse")?;
    let answer = match alternative.peek()? {
        Some(OK) => F::Reply::decode_as(OK, &mut alternative).map(Answer::Done)?,
        Some(ERROR) => F::Error::decode_as(ERROR, &mut alternative).map(Answer::Refused)?,
        Some(found) => return Err(alternative.error(Problem::NoSuchAlternative { found }).into()),
        None => return Err(alternative.error(Problem::Missing { expected: OK }).into()),
    };
    alternative.skip_unknown(F::NAME)?;
    Ok(answer)
}
