//! The ASN.1 binding and its HTTP dress: SGP.22 sections 6.2, 6.3 and 6.6.
//!
//! Every function is a POST to one path; which one it is, the tag inside the body says. A refusal is an INTEGER of the
//! function's own and nothing else: subject, reason and message exist in the JSON binding only.

use std::fmt;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};

use super::{es9plus, headers::check_content_type, json::dress_as};
use crate::{
    choice,
    der::{Asn1, DecodeError, Problem, Reader, Tag, tlv_bytes, write_tlv},
    ids::Version,
    status::{Refusal, Status},
};

/// Content type of the ASN.1 binding, section 6.6.1.
pub const CONTENT_TYPE: &str = "application/x-gsma-rsp-asn1";

/// Path of every function in the ASN.1 binding, section 6.6.1.
pub const PATH: &str = "/gsma/rsp2/asn1";

/// RemoteProfileProvisioningRequest and RemoteProfileProvisioningResponse.
const MESSAGE: Tag = RemoteProfileProvisioningRequest::TAG;
/// The first alternative of every response: what was asked for.
const OK: Tag = Tag(0xA0);
/// The second: why not.
const ERROR: Tag = Tag(0x81);

choice! {
    /// RemoteProfileProvisioningRequest: section 6.6.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum RemoteProfileProvisioningRequest = 0xA2 {
        /// ES9+.InitiateAuthentication.
        InitiateAuthentication(es9plus::InitiateAuthenticationRequest) = 0xBF39,
        /// ES9+.AuthenticateClient.
        AuthenticateClient(Box<es9plus::AuthenticateClientRequest>) = 0xBF3B,
        /// ES9+.GetBoundProfilePackage.
        GetBoundProfilePackage(es9plus::GetBoundProfilePackageRequest) = 0xBF3A,
        /// ES9+.CancelSession.
        CancelSession(es9plus::CancelSessionRequestEs9) = 0xBF41,
        /// ES9+.HandleNotification.
        HandleNotification(Box<es9plus::HandleNotificationRequest>) = 0xBF3D,
    }
}

/// A function that has a response in the ASN.1 binding (HandleNotification has none).
pub trait Exchange: es9plus::Function<Request: Asn1, Reply: Asn1> {
    /// The function's alternative in RemoteProfileProvisioningResponse.
    const RESPONSE: Tag;
    /// The function's INTEGER for each status of the JSON binding.
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

/// A POST of a function's request, dressed as an LPA does it.
pub fn request<T: Asn1>(version: Version, body: &T) -> Request<Bytes> {
    let mut request = Request::new(tlv_bytes(MESSAGE, &body.to_der()).into());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(PATH);
    dress_as(request.headers_mut(), CONTENT_TYPE, version);
    request
}

/// The response to a function: HTTP 200 whether it went well or was refused (section 6.3).
pub fn response<F: Exchange>(version: Version, outcome: Result<&F::Reply, &Refusal>) -> Response<Bytes> {
    let mut alternative = Vec::new();
    match outcome {
        Ok(reply) => reply.encode_as(OK, &mut alternative),
        Err(refusal) => F::Error::from(refusal.status).encode_as(ERROR, &mut alternative),
    }
    let mut body = Vec::new();
    write_tlv(MESSAGE, &tlv_bytes(F::RESPONSE, &alternative), &mut body);
    let mut response = Response::new(body.into());
    dress_as(response.headers_mut(), CONTENT_TYPE, version);
    response
}

/// What a server's answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T, E> {
    /// The function was executed.
    Done(T),
    /// The server said no.
    Refused(E),
}

/// The answer is not one of the ASN.1 binding.
#[derive(Debug, thiserror::Error)]
pub enum NotAnAnswer {
    /// The status line is not one that the binding uses.
    #[error("HTTP status {0}: the server did not take the request as one of this function")]
    HttpStatus(StatusCode),
    /// It does not say that it is of the binding: a page of something on the way, perhaps.
    #[error("{0}")]
    ContentType(Refusal),
    /// The body is not the function's.
    #[error("the body is not the response of this function: {0}")]
    Asn1(#[from] DecodeError),
}

/// Reads the response to a function.
///
/// # Errors
/// The response is not of the ASN.1 binding.
pub fn answer<F: Exchange>(response: &Response<Bytes>) -> Result<Answer<F::Reply, F::Error>, NotAnAnswer> {
    if response.status() != StatusCode::OK {
        return Err(NotAnAnswer::HttpStatus(response.status()));
    }
    check_content_type(response.headers(), CONTENT_TYPE).map_err(NotAnAnswer::ContentType)?;
    let mut body = Reader::new(response.body());
    let mut message = body.enter(MESSAGE)?;
    body.finish()?;
    let mut alternative = message.enter(F::RESPONSE)?;
    message.finish()?;
    let answer = match alternative.peek()? {
        Some(OK) => F::Reply::decode_as(OK, &mut alternative).map(Answer::Done)?,
        Some(ERROR) => F::Error::decode_as(ERROR, &mut alternative).map(Answer::Refused)?,
        Some(found) => return Err(alternative.error(Problem::NoSuchAlternative { found }).into()),
        None => return Err(alternative.error(Problem::Missing { expected: OK }).into()),
    };
    alternative.finish()?;
    Ok(answer)
}
