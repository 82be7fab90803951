//! The JSON binding over HTTP: SGP.22 sections 6.2 to 6.5.

mod read;

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::headers::{check_content_type, set_headers_for};
use crate::{
    finding::{FindingKind, report},
    ids::Version,
    status::{Refusal, Status},
};

pub use super::headers::{X_ADMIN_PROTOCOL, admin_protocol, protocol_version};
use read::reporting_unknown;
pub use read::{read, read_part};

/// The content type of the JSON binding, section 6.5.1.
pub const CONTENT_TYPE: &str = "application/json;charset=UTF-8";
/// The media type of the JSON binding. A charset is optional.
const MEDIA_TYPE: &str = "application/json";

/// `header` of a request on ES2+ and ES12, section 6.5.1.3.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RequestHeader {
    /// The OID of the caller, assigned by the callee.
    #[serde(rename = "functionRequesterIdentifier")]
    pub function_requester_identifier: String,
    /// The caller's identifier of the call, the same in a retry.
    #[serde(rename = "functionCallIdentifier")]
    pub function_call_identifier: String,
}

/// The reply of a function without output data. Unknown elements are ignored when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NoOutput;

impl<'de> Deserialize<'de> for NoOutput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = NoOutput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<NoOutput, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(NoOutput)
            }

            // In records it is `null`.
            fn visit_unit<E>(self) -> Result<NoOutput, E> {
                Ok(NoOutput)
            }
        }

        deserializer.deserialize_any(Members)
    }
}

impl RequestHeader {
    /// Creates the header of a call with this caller and call identifier.
    pub fn new(requester: impl Into<String>, call: impl Into<String>) -> Self {
        Self { function_requester_identifier: requester.into(), function_call_identifier: call.into() }
    }
}

/// `header` of a response, section 6.5.1.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHeader {
    /// The execution status of the function.
    #[serde(rename = "functionExecutionStatus")]
    pub function_execution_status: FunctionExecutionStatus,
}

/// The execution status of a function.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FunctionExecutionStatus {
    /// The status.
    pub status: ExecutionStatus,
    /// The reason of a failure.
    #[serde(rename = "statusCodeData", default, skip_serializing_if = "Option::is_none")]
    pub status_code_data: Option<StatusCodeData>,
}

/// The status values of a function execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub enum ExecutionStatus {
    /// The function was executed.
    #[serde(rename = "Executed-Success")]
    ExecutedSuccess,
    /// The function was executed with a warning.
    #[serde(rename = "Executed-WithWarning")]
    ExecutedWithWarning,
    /// The function failed.
    #[serde(rename = "Failed")]
    Failed,
    /// The validity period of the call ended.
    #[serde(rename = "Expired")]
    Expired,
}

/// Subject and reason as transmitted. A peer may send pairs that [`Status`] does not contain.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StatusCodeData {
    /// The dotted subject code.
    #[serde(rename = "subjectCode")]
    pub subject_code: String,
    /// The dotted reason code.
    #[serde(rename = "reasonCode")]
    pub reason_code: String,
    /// The identifier of the subject.
    #[serde(rename = "subjectIdentifier", default, skip_serializing_if = "Option::is_none")]
    pub subject_identifier: Option<String>,
    /// A readable message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl StatusCodeData {
    /// Returns the status with these codes, if the table contains it.
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
    /// Creates a header with status Executed-Success.
    pub fn success() -> Self {
        Self {
            function_execution_status: FunctionExecutionStatus {
                status: ExecutionStatus::ExecutedSuccess,
                status_code_data: None,
            },
        }
    }

    /// Creates a header with status Failed and the reason.
    pub fn failed(refusal: Refusal) -> Self {
        Self {
            function_execution_status: FunctionExecutionStatus {
                status: ExecutionStatus::Failed,
                status_code_data: Some(refusal.into()),
            },
        }
    }
}

/// Creates a POST request with `body`, with the headers that an LPA or an operator sends.
pub fn request<T: Serialize>(path: &str, version: Version, body: &T) -> Request<Bytes> {
    let mut request = Request::new(to_bytes(body));
    *request.method_mut() = Method::POST;
    // The path consists of constant function names and is therefore a valid URI. Only a test could
    // pass another path.
    *request.uri_mut() = path.parse().unwrap_or_default();
    set_headers(request.headers_mut(), version);
    request
}

/// Creates the JSON response of a function. The HTTP status is 200 for success and for a refusal
/// (section 6.3).
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
    set_headers(response.headers_mut(), version);
    response
}

/// Creates the response to an accepted notification: HTTP status 204.
pub fn no_content(version: Version) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set_headers(response.headers_mut(), version);
    response
}

fn to_bytes<T: Serialize>(body: &T) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}

fn set_headers(headers: &mut HeaderMap, version: Version) {
    set_headers_for(headers, CONTENT_TYPE, version);
}

/// The contents of a server's response.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    /// The function was executed.
    Done(T),
    /// The server refused the request.
    Refused(StatusCodeData),
}

/// The response is not a valid response of the JSON binding.
#[derive(Debug, thiserror::Error)]
pub enum InvalidResponse {
    /// The server failed: HTTP status 5xx.
    #[error("HTTP status {status}: the server failed{}", .report.as_ref().map(|report| format!(": {report}")).unwrap_or_default())]
    ServerFailed {
        /// The HTTP status.
        status: StatusCode,
        /// The failure, if the server reported it.
        report: Option<String>,
    },
    /// The HTTP status is not one that the binding uses.
    #[error("HTTP status {0}: the server did not accept the request as a call of this function")]
    HttpStatus(StatusCode),
    /// The content type is not JSON. The response may come from an intermediary.
    #[error("{0}")]
    ContentType(Refusal),
    /// The body is not the response of the function.
    #[error("the body is not the JSON response of this function: {0}")]
    Json(#[from] serde_json::Error),
    /// The status is `Failed`, but the status code is missing.
    #[error("the function failed and the response has no status code")]
    NoStatusCode,
}

impl InvalidResponse {
    /// True if the server failed while it executed the function. A retry may succeed.
    pub fn is_server_failure(&self) -> bool {
        matches!(self, Self::ServerFailed { .. })
    }

    fn of_status(response: &Response<Bytes>) -> Self {
        let status = response.status();
        match status.is_server_error() {
            true => Self::ServerFailed { status, report: failure_report(response.body()) },
            false => Self::HttpStatus(status),
        }
    }
}

/// Maximum number of characters of a failure report.
const MAX_REPORT: usize = 300;

/// Reads the members `what` and `why` of the body of a server failure. Other servers than those of
/// this project use other bodies, or none.
fn failure_report(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Report {
        what: String,
        why: String,
    }

    let Report { what, why } = serde_json::from_slice(body).ok()?;
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    Some(format!("{what}: {why}").chars().take(MAX_REPORT).map(printable).collect())
}

/// Decodes the response of a function.
///
/// # Errors
/// The response is not a valid response of the JSON binding.
pub fn answer<T: DeserializeOwned>(response: &Response<Bytes>) -> Result<Answer<T>, InvalidResponse> {
    #[derive(Deserialize)]
    struct WithHeader {
        header: ResponseHeader,
    }

    if !response.status().is_success() {
        return Err(InvalidResponse::of_status(response));
    }
    let content_type = check_content_type(response.headers(), MEDIA_TYPE);
    let with_header: WithHeader =
        match (reporting_unknown(response.body(), |path| path.starts_with("header.")), content_type) {
            (with_header, Ok(())) => with_header?,
            (Ok(with_header), Err(refusal)) => {
                report_content_type(&refusal);
                with_header
            }
            (Err(_), Err(refusal)) => return Err(InvalidResponse::ContentType(refusal)),
        };
    report_status(response, StatusCode::OK);
    // The response of another version.
    protocol_version(response.headers());
    let status = with_header.header.function_execution_status;
    match status.status {
        ExecutionStatus::ExecutedSuccess | ExecutionStatus::ExecutedWithWarning => {
            Ok(Answer::Done(reporting_unknown(response.body(), |path| path != "header")?))
        }
        ExecutionStatus::Failed | ExecutionStatus::Expired => {
            status.status_code_data.map(Answer::Refused).ok_or(InvalidResponse::NoStatusCode)
        }
    }
}

/// Decodes the response of a function without output data, whose HTTP status is 204 (section 6.3).
/// Returns the status code if the server refused.
///
/// # Errors
/// The HTTP status is not a 2xx status.
pub fn acknowledgement(response: &Response<Bytes>) -> Result<Answer<()>, InvalidResponse> {
    if !response.status().is_success() {
        return Err(InvalidResponse::of_status(response));
    }
    report_status(response, StatusCode::NO_CONTENT);
    if response.body().is_empty() {
        return Ok(Answer::Done(()));
    }
    match answer::<IgnoredAny>(response) {
        Ok(Answer::Refused(status)) => Ok(Answer::Refused(status)),
        // A body has no meaning here, so it may be anything.
        Ok(Answer::Done(_)) | Err(_) => Ok(Answer::Done(())),
    }
}

/// Reports an HTTP status other than the expected one, and a body of a response with status 204.
pub fn report_status(response: &Response<Bytes>, expected: StatusCode) {
    let status = response.status();
    let has_body = !response.body().is_empty();
    if status != expected || expected == StatusCode::NO_CONTENT && has_body {
        let body = if has_body { "with a body" } else { "without a body" };
        report(FindingKind::HttpStatus, || {
            format!("{} {body}, instead of {}", status.as_u16(), expected.as_u16())
        });
    }
}

/// Reports the content type of a response.
pub(crate) fn report_content_type(refusal: &Refusal) {
    report(FindingKind::ContentType, || refusal.subject_identifier.clone().unwrap_or_default());
}

/// Serde functions that encode octets as base64 text.
pub mod base64_octets {
    use base64::{
        Engine,
        alphabet::STANDARD,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
        prelude::BASE64_STANDARD,
    };
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::finding::{FindingKind, report};

    /// Decodes base64 without the restrictions on its form.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );

    fn decode(text: &str) -> Option<Vec<u8>> {
        if let Ok(octets) = BASE64_STANDARD.decode(text) {
            return Some(octets);
        }
        let usual = |symbol: u8| match symbol {
            b'-' => b'+',
            b'_' => b'/',
            symbol => symbol,
        };
        let symbols: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).map(usual).collect();
        let octets = LENIENT.decode(symbols).ok()?;
        report(FindingKind::Base64Form, || text.chars().take(64).collect());
        Some(octets)
    }

    /// Serialises octets as base64.
    ///
    /// # Errors
    /// The serializer failed.
    pub fn serialize<S: Serializer>(
        octets: &(impl AsRef<[u8]> + ?Sized),
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(octets.as_ref()))
    }

    /// Deserialises octets from base64.
    ///
    /// # Errors
    /// The text is not base64, or the octets do not have the length of the type.
    pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octets = decode(&text).ok_or_else(|| Error::custom("the text is not base64"))?;
        octets.try_into().map_err(|_| Error::custom("the octets have the wrong length"))
    }
}

/// Serde functions that encode a value as the base64 of its DER.
pub mod base64_der {
    use serde::{Deserializer, Serializer, de::Error};

    use super::base64_octets;
    use crate::der::Asn1;

    /// Serialises the DER as base64.
    ///
    /// # Errors
    /// The serializer failed.
    pub fn serialize<S: Serializer, T: Asn1>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        base64_octets::serialize(&value.to_der(), serializer)
    }

    /// Deserialises the DER from base64.
    ///
    /// # Errors
    /// The text is not base64, or the octets are not DER of the type.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Asn1>(deserializer: D) -> Result<T, D::Error> {
        let octets: Vec<u8> = base64_octets::deserialize(deserializer)?;
        T::from_peer(&octets).map_err(Error::custom)
    }
}

/// Serde functions that encode a signature as the base64 of its whole TLV `5F37 40 ...`, the
/// encoding of ASN.1 data objects in section 6.5.2.
pub mod signature {
    use serde::{Deserializer, Serializer, de::Error};

    use super::base64_octets;
    use crate::der::{Tag, tlv, tlv_bytes};

    const SIGNATURE: Tag = Tag(0x5F37);

    /// Serialises the TLV as base64.
    ///
    /// # Errors
    /// The serializer failed.
    pub fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        base64_octets::serialize(&tlv_bytes(SIGNATURE, octets), serializer)
    }

    /// Deserialises the TLV from base64.
    ///
    /// # Errors
    /// The text is not base64, or the octets are not the TLV.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let octets: Vec<u8> = base64_octets::deserialize(deserializer)?;
        match tlv::split(&octets) {
            Some((SIGNATURE, signature)) => Ok(signature.to_vec()),
            _ => Err(Error::custom("the octets are not a signature with tag 5F37")),
        }
    }
}
