//! The two bindings of ES9+ from the LPA's side: SGP.22 sections 6.5 (JSON) and 6.6 (ASN.1).
//!
//! This code deliberately shares nothing with the server, because a test cannot detect an error in
//! code that both sides use.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use rsp::der::{Asn1, Reader, Tag, tlv, tlv_bytes};
use rsp::ids::Version;
use rsp::sgp22::Function;
use rsp::sgp22::es9plus::{HandleNotification, HandleNotificationRequest};
use rsp::sgp22::json::{self, StatusCodeData};
use rsp::status::Status;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use world::CallError;

use crate::verdict::{Stop, Verdict, ensure};

/// A binding of ES9+.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Each function has a path and a JSON body.
    Json,
    /// All functions have the same path, and the body is a RemoteProfileProvisioningRequest in DER.
    Asn1,
}

/// The path of all functions in the ASN.1 binding, section 6.6.1.
pub(crate) const ASN1_PATH: &str = "/gsma/rsp2/asn1";
/// The media type of the ASN.1 binding, section 6.6.1.
pub(crate) const ASN1_CONTENT_TYPE: &str = "application/x-gsma-rsp-asn1";
/// The User-Agent of an LPAd, section 6.2.
pub(crate) const USER_AGENT: &str = "gsma-rsp-lpad";

/// The tag of RemoteProfileProvisioningRequest and RemoteProfileProvisioningResponse.
const REMOTE_PROFILE_PROVISIONING: Tag = Tag(0xA2);
const OK: Tag = Tag(0xA0);
const ERROR: Tag = Tag(0x81);
/// The tag of pendingNotification in HandleNotification.
const PENDING_NOTIFICATION: Tag = Tag(0xA0);

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Asn1 => "ASN.1",
        })
    }
}

/// A response of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    /// The function was executed.
    Done(T),
    /// The function was refused.
    Refused(Refused),
}

/// The reason of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The subject and reason codes.
    Json(StatusCodeData),
    /// The error code of the function.
    Asn1(i64),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(status) => status.fmt(f),
            Self::Asn1(code) => write!(f, "error {code}"),
        }
    }
}

impl Binding {
    /// Builds the request for a function.
    pub fn request<F: Function>(self, version: Version, body: &F::Request) -> Request<Bytes>
    where
        F::Request: Serialize + Asn1,
    {
        match self {
            Self::Json => self.post(&F::path(), version, json_bytes(body)),
            Self::Asn1 => {
                self.post(ASN1_PATH, version, tlv_bytes(REMOTE_PROFILE_PROVISIONING, &body.to_der()).into())
            }
        }
    }

    /// Builds the request of HandleNotification for the encoding of a notification, which may be
    /// invalid.
    pub fn notification(self, version: Version, notification: &[u8]) -> Request<Bytes> {
        match self {
            Self::Json => {
                let body = json!({ "pendingNotification": BASE64_STANDARD.encode(notification) });
                self.post(&HandleNotification::path(), version, json_bytes(&body))
            }
            Self::Asn1 => {
                let request =
                    tlv_bytes(HandleNotificationRequest::TAG, &tlv_bytes(PENDING_NOTIFICATION, notification));
                self.post(ASN1_PATH, version, tlv_bytes(REMOTE_PROFILE_PROVISIONING, &request).into())
            }
        }
    }

    /// Builds a POST request with the headers of the binding.
    pub fn post(self, path: &str, version: Version, body: Bytes) -> Request<Bytes> {
        let mut request = json::request(path, version, &());
        *request.body_mut() = body;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if self == Self::Asn1 {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ASN1_CONTENT_TYPE));
        }
        request
    }

    /// Decodes the response to a function.
    ///
    /// # Errors
    /// Fails if the response is invalid in this binding.
    pub fn answer<F: Function>(self, response: &Response<Bytes>) -> Result<Answer<F::Reply>, Stop>
    where
        F::Request: Asn1,
        F::Reply: DeserializeOwned + Asn1,
    {
        match self {
            Self::Json => Answer::of::<F>(world::reply(response)),
            Self::Asn1 => asn1_answer::<F>(response)
                .map_err(|stop| stop.during(&format!("{} in the ASN.1 binding", F::NAME))),
        }
    }
}

fn json_bytes(body: &impl Serialize) -> Bytes {
    // Serializing these types never fails.
    serde_json::to_vec(body).unwrap_or_default().into()
}

fn asn1_answer<F: Function>(response: &Response<Bytes>) -> Result<Answer<F::Reply>, Stop>
where
    F::Request: Asn1,
    F::Reply: Asn1,
{
    ensure(response.status().is_success(), || format!("HTTP status {}", response.status()))?;
    json::report_status(response, StatusCode::OK);
    let unlike = |what: &str| Stop::failed(format!("the response {what}"));
    let inner = match tlv::split(response.body()) {
        Some((REMOTE_PROFILE_PROVISIONING, inner)) => inner,
        _ => return Err(unlike("is not a RemoteProfileProvisioningResponse (one TLV with tag A2)")),
    };
    let alternatives = match tlv::split(inner) {
        // The request and the response of a function have the same tag.
        Some((tag, alternatives)) if tag == F::Request::TAG => alternatives,
        Some((tag, _)) => return Err(unlike(&format!("has tag {tag}, expected {}", F::Request::TAG))),
        None => return Err(unlike("does not contain exactly one function response")),
    };
    let mut alternatives = Reader::new(alternatives);
    let answer = match alternatives.peek() {
        Ok(Some(OK)) => F::Reply::decode_as(OK, &mut alternatives)
            .map(Answer::Done)
            .map_err(|error| unlike(&format!("is not valid DER of the function: {error}")))?,
        Ok(Some(ERROR)) => i64::decode_as(ERROR, &mut alternatives)
            .map(|code| Answer::Refused(Refused::Asn1(code)))
            .map_err(|error| unlike(&format!("has an invalid error code: {error}")))?,
        _ => return Err(unlike("is neither OK (A0) nor an error code (81)")),
    };
    alternatives
        .skip_unknown(F::NAME)
        .map_err(|error| unlike(&format!("has invalid further elements: {error}")))?;
    Ok(answer)
}

/// The error code of a function in the ASN.1 binding for a refusal, section 6.6.2. A status without
/// an error code is mapped to undefinedError.
pub(crate) fn error_code(function: &str, status: Status) -> i64 {
    const UNDEFINED_ERROR: i64 = 127;
    match (function, status) {
        ("initiateAuthentication", Status::SmdpAddressRefused) => 1,
        ("initiateAuthentication", Status::SvnUnsupported) => 2,
        (
            "initiateAuthentication",
            Status::CiForSigningUnsupported | Status::CiForVerificationUnavailable,
        ) => 3,
        ("authenticateClient", Status::EumCertificateVerificationFailed) => 1,
        ("authenticateClient", Status::EumCertificateExpired) => 2,
        ("authenticateClient", Status::EuiccCertificateVerificationFailed) => 3,
        ("authenticateClient", Status::EuiccCertificateExpired) => 4,
        ("authenticateClient", Status::EuiccVerificationFailed) => 5,
        ("authenticateClient", Status::MatchingIdRefused) => 6,
        ("authenticateClient", Status::EidNotAllowed) => 7,
        ("authenticateClient", Status::ProfileNotEligible) => 8,
        ("authenticateClient", Status::CiUnknown) => 9,
        ("authenticateClient", Status::TransactionUnknown) => 10,
        ("authenticateClient", Status::EuiccInsufficientMemory) => 11,
        ("authenticateClient", Status::OrderExpired) => 18,
        ("getBoundProfilePackage", Status::EuiccVerificationFailed) => 1,
        ("getBoundProfilePackage", Status::ConfirmationCodeMissing) => 2,
        ("getBoundProfilePackage", Status::ConfirmationCodeRefused) => 3,
        ("getBoundProfilePackage", Status::ConfirmationCodeRetriesExceeded) => 4,
        ("getBoundProfilePackage", Status::ProfileUnavailable) => 5,
        ("getBoundProfilePackage", Status::TransactionUnknown) => 95,
        ("cancelSession", Status::TransactionUnknown) => 1,
        ("cancelSession", Status::EuiccVerificationFailed) => 2,
        _ => UNDEFINED_ERROR,
    }
}

impl<T> Answer<T> {
    /// Converts the result of a call in the JSON binding.
    ///
    /// # Errors
    /// Fails if there is no response, or an invalid one.
    pub fn of<F: Function>(result: Result<T, CallError>) -> Result<Self, Stop> {
        match result {
            Ok(reply) => Ok(Self::Done(reply)),
            Err(CallError::Refused(status)) => Ok(Self::Refused(Refused::Json(status))),
            Err(CallError::Link(fault)) => Err(fault.into()),
            Err(CallError::Invalid(error)) => Err(Stop::failed(format!("{}: {error}", F::NAME))),
        }
    }

    /// Returns the reply.
    ///
    /// # Errors
    /// Fails if the server refused.
    pub fn done(self) -> Result<T, Stop> {
        match self {
            Self::Done(reply) => Ok(reply),
            Self::Refused(why) => Err(Stop::failed(format!("refused with {why}, expected success"))),
        }
    }

    /// Checks that the server refused with this status.
    ///
    /// # Errors
    /// Fails if it did not refuse, or refused with another status.
    pub fn refused(self, function: &str, status: Status) -> Verdict {
        match self {
            Self::Done(_) => Err(Stop::failed(format!("succeeded, expected {status}"))),
            Self::Refused(Refused::Json(received)) => ensure(
                received.subject_code == status.subject() && received.reason_code == status.reason(),
                || format!("refused with {received}, expected {status}"),
            ),
            Self::Refused(Refused::Asn1(received)) => {
                let expected = error_code(function, status);
                ensure(received == expected, || {
                    format!("refused with error {received}, expected {expected} (for {status})")
                })
            }
        }
    }
}
