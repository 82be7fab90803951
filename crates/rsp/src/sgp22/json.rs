//! The JSON binding and its HTTP dress: SGP.22 sections 6.2 to 6.5.

mod read;

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::headers::check_content_type;
use crate::{
    ids::Version,
    status::{Refusal, Status},
};

pub use read::read;

/// Content type of the JSON binding, section 6.5.1.
pub const CONTENT_TYPE: &str = "application/json;charset=UTF-8";
/// The same without a charset, which need not be named.
const MEDIA_TYPE: &str = "application/json";

/// Header in which both sides say which protocol version they speak, section 6.2.
pub const X_ADMIN_PROTOCOL: &str = "x-admin-protocol";

/// Value of `X-Admin-Protocol` for a version of SGP.22.
pub fn admin_protocol(version: Version) -> String {
    format!("gsma/rsp/v{version}")
}

/// The version that a message's `X-Admin-Protocol` names; `None` when there is none or it names no version.
pub fn protocol_version(headers: &HeaderMap) -> Option<Version> {
    headers.get(X_ADMIN_PROTOCOL)?.to_str().ok()?.trim().strip_prefix("gsma/rsp/v")?.parse().ok()
}

/// `header` of a request on ES2+ and ES12, section 6.5.1.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHeader {
    /// OID of the caller, given out by the callee.
    #[serde(rename = "functionRequesterIdentifier")]
    pub function_requester_identifier: String,
    /// The caller's name of this call, the same in a retry.
    #[serde(rename = "functionCallIdentifier")]
    pub function_call_identifier: String,
}

/// `header` of a response, section 6.5.1.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHeader {
    /// How the function ended.
    #[serde(rename = "functionExecutionStatus")]
    pub function_execution_status: FunctionExecutionStatus,
}

/// How a function ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionExecutionStatus {
    /// The outcome in one word.
    pub status: ExecutionStatus,
    /// Why, when it failed.
    #[serde(rename = "statusCodeData", default, skip_serializing_if = "Option::is_none")]
    pub status_code_data: Option<StatusCodeData>,
}

/// The outcome in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecutionStatus {
    /// Done.
    #[serde(rename = "Executed-Success")]
    ExecutedSuccess,
    /// Done, but.
    #[serde(rename = "Executed-WithWarning")]
    ExecutedWithWarning,
    /// Not done.
    #[serde(rename = "Failed")]
    Failed,
    /// Not done in time.
    #[serde(rename = "Expired")]
    Expired,
}

/// Subject and reason as they travel; a peer may send pairs that our table does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCodeData {
    /// Dotted subject code.
    #[serde(rename = "subjectCode")]
    pub subject_code: String,
    /// Dotted reason code.
    #[serde(rename = "reasonCode")]
    pub reason_code: String,
    /// Which subject.
    #[serde(rename = "subjectIdentifier", default, skip_serializing_if = "Option::is_none")]
    pub subject_identifier: Option<String>,
    /// For a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl StatusCodeData {
    /// The row of our table, if it has one for the pair.
    pub fn status(&self) -> Option<Status> {
        Status::from_codes(&self.subject_code, &self.reason_code)
    }
}

impl From<Refusal> for StatusCodeData {
    fn from(refusal: Refusal) -> Self {
        Self {
            subject_code: refusal.status.subject().to_owned(),
            reason_code: refusal.status.reason().to_owned(),
            subject_identifier: refusal.subject_identifier,
            message: Some(refusal.message),
        }
    }
}

impl fmt::Display for StatusCodeData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subject_code, self.reason_code)?;
        if let Some(subject) = &self.subject_identifier {
            write!(f, " {subject}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

impl ResponseHeader {
    /// Executed-Success.
    pub fn success() -> Self {
        Self {
            function_execution_status: FunctionExecutionStatus {
                status: ExecutionStatus::ExecutedSuccess,
                status_code_data: None,
            },
        }
    }

    /// Failed, and why.
    pub fn failed(refusal: Refusal) -> Self {
        Self {
            function_execution_status: FunctionExecutionStatus {
                status: ExecutionStatus::Failed,
                status_code_data: Some(refusal.into()),
            },
        }
    }
}

/// A POST of `body` to `path`, dressed as an LPA or an operator does it.
pub fn request<T: Serialize>(path: &str, version: Version, body: &T) -> Request<Bytes> {
    let mut request = Request::new(to_bytes(body));
    *request.method_mut() = Method::POST;
    // A path is made of the constant names of functions; one that is no URI would only ever be a test's own.
    *request.uri_mut() = path.parse().unwrap_or_default();
    dress(request.headers_mut(), version);
    request
}

/// The JSON response to a function: HTTP 200 whether it went well or was refused (section 6.3).
pub fn response<T: Serialize>(version: Version, outcome: Result<&T, Refusal>) -> Response<Bytes> {
    let (header, body) = match outcome {
        Ok(reply) => (ResponseHeader::success(), serde_json::to_value(reply).unwrap_or(Value::Null)),
        Err(refusal) => (ResponseHeader::failed(refusal), Value::Null),
    };
    let mut object = serde_json::Map::new();
    object.insert("header".into(), serde_json::to_value(header).unwrap_or(Value::Null));
    if let Value::Object(fields) = body {
        object.extend(fields);
    }
    let mut response = Response::new(to_bytes(&object));
    dress(response.headers_mut(), version);
    response
}

/// HTTP 204: a notification was taken.
pub fn no_content(version: Version) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    dress(response.headers_mut(), version);
    response
}

fn to_bytes<T: Serialize>(body: &T) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}

fn dress(headers: &mut HeaderMap, version: Version) {
    dress_as(headers, CONTENT_TYPE, version);
}

/// The headers that both bindings share, section 6.2 and 6.3.
pub(super) fn dress_as(headers: &mut HeaderMap, content_type: &'static str, version: Version) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(value) = HeaderValue::from_str(&admin_protocol(version)) {
        headers.insert(X_ADMIN_PROTOCOL, value);
    }
}

/// What a server's answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    /// The function was executed.
    Done(T),
    /// The server said no.
    Refused(StatusCodeData),
}

/// The answer is not one of the JSON binding.
#[derive(Debug, thiserror::Error)]
pub enum NotAnAnswer {
    /// The status line is not one that the binding uses.
    #[error("HTTP status {0}: the server did not take the request as one of this function")]
    HttpStatus(StatusCode),
    /// It does not say that it is JSON: a page of something on the way, perhaps.
    #[error("{0}")]
    ContentType(Refusal),
    /// The body is not the function's.
    #[error("the body is not the JSON of this function: {0}")]
    Json(#[from] serde_json::Error),
    /// `Failed` without saying why.
    #[error("the function failed and the server gives no status code")]
    NoStatusCode,
}

/// Reads the response to a function.
///
/// # Errors
/// The response is not of the JSON binding.
pub fn answer<T: DeserializeOwned>(response: &Response<Bytes>) -> Result<Answer<T>, NotAnAnswer> {
    #[derive(Deserialize)]
    struct Headed {
        header: ResponseHeader,
    }

    if response.status() != StatusCode::OK {
        return Err(NotAnAnswer::HttpStatus(response.status()));
    }
    check_content_type(response.headers(), MEDIA_TYPE).map_err(NotAnAnswer::ContentType)?;
    let headed: Headed = serde_json::from_slice(response.body())?;
    let status = headed.header.function_execution_status;
    match status.status {
        ExecutionStatus::ExecutedSuccess | ExecutionStatus::ExecutedWithWarning => {
            Ok(Answer::Done(serde_json::from_slice(response.body())?))
        }
        ExecutionStatus::Failed | ExecutionStatus::Expired => {
            status.status_code_data.map(Answer::Refused).ok_or(NotAnAnswer::NoStatusCode)
        }
    }
}

/// Serde for octets as base64 text.
pub mod base64_octets {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// As base64.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(
        octets: &(impl AsRef<[u8]> + ?Sized),
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(octets.as_ref()))
    }

    /// From base64.
    ///
    /// # Errors
    /// The text is not base64, or of another length than the type has.
    pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octets =
            BASE64_STANDARD.decode(text.trim_ascii()).map_err(|_| Error::custom("the text is not base64"))?;
        octets.try_into().map_err(|_| Error::custom("the octets are of another length than expected"))
    }
}

/// Serde for a type as the base64 of its DER.
pub mod base64_der {
    use serde::{Deserializer, Serializer, de::Error};

    use super::base64_octets;
    use crate::der::Asn1;

    /// As the base64 of the DER.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer, T: Asn1>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        base64_octets::serialize(&value.to_der(), serializer)
    }

    /// From the base64 of the DER.
    ///
    /// # Errors
    /// The text is not base64 or the octets are not DER of the type.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Asn1>(deserializer: D) -> Result<T, D::Error> {
        let octets: Vec<u8> = base64_octets::deserialize(deserializer)?;
        T::from_der(&octets).map_err(Error::custom)
    }
}

/// Serde for a signature: the base64 of its whole TLV `5F37 40 ...`, as section 6.5.2 has ASN.1 data objects.
pub mod signature {
    use serde::{Deserializer, Serializer, de::Error};

    use super::base64_octets;
    use crate::der::{Tag, tlv, tlv_bytes};

    const SIGNATURE: Tag = Tag(0x5F37);

    /// As the base64 of the TLV.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        base64_octets::serialize(&tlv_bytes(SIGNATURE, octets), serializer)
    }

    /// From the base64 of the TLV.
    ///
    /// # Errors
    /// The text is not base64 or the octets are not the TLV.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let octets: Vec<u8> = base64_octets::deserialize(deserializer)?;
        match tlv::split(&octets) {
            Some((SIGNATURE, signature)) => Ok(signature.to_vec()),
            _ => Err(Error::custom("the octets are not a signature under tag 5F37")),
        }
    }
}
