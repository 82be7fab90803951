//! Reads the SOAP message in an HTTP response, and writes a response that has only the common part
//! of all responses ([`BaseResponse`]).

use bytes::Bytes;
use http::{Response, StatusCode, header};
use rsp::finding::{self, FindingKind};
use rsp::sgp02::{
    BaseResponse, Namespace,
    addressing::MessageId,
    soap::{self, Envelope, Received},
    xml::{self, Parts as _, Prefix, Writer},
};

use super::party::CallFailure;

/// Returns the message or the fault in an HTTP response; `None` if its body is empty or no response
/// message is expected.
pub(super) fn read_response(
    response: &Response<Bytes>,
    expected: Option<&str>,
    unique: Option<&str>,
) -> Option<Result<String, CallFailure>> {
    if response.body().is_empty() {
        return None;
    }
    // A peer may acknowledge a notification or a callback with any body.
    let expected = expected?;
    let read = || {
        let malformed = |why: String| CallFailure::Malformed(format!("HTTP {}: {why}", response.status()));
        let text = soap::text(response.body()).map_err(|e| malformed(e.to_string()))?;
        let document = xml::parse(text).map_err(|e| malformed(e.to_string()))?;
        match Envelope::receive(&document).map_err(|e| malformed(e.to_string()))? {
            Received::Fault(fault) => Err(CallFailure::Fault(fault)),
            Received::Message(envelope) if envelope.element() == expected => {
                report_http_deviations(response);
                let related = envelope.header.relates_to.as_deref().map(MessageId::key);
                match (related.and_then(|uri| uri.rsplit('/').next()), unique) {
                    (Some(theirs), Some(ours)) if theirs != ours => {
                        Err(malformed("RelatesTo names another message".to_owned()))
                    }
                    _ => Ok(envelope.canonical()),
                }
            }
            Received::Message(envelope) => {
                Err(malformed(format!("{} instead of {expected}", envelope.element())))
            }
        }
    };
    Some(read())
}

/// Reports the deviations of the HTTP header of a response that has the expected message.
fn report_http_deviations(response: &Response<Bytes>) {
    let status = response.status();
    if status.is_success() && status != StatusCode::OK {
        finding::report(FindingKind::HttpStatus, || status.to_string());
    }
    let value = response.headers().get(header::CONTENT_TYPE);
    let value = value.map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    if !soap::is_content_type(&value) {
        finding::report(FindingKind::ContentType, || value.into_owned());
    }
}

/// Returns the response of a function that is known by name only. The response has only the common
/// part of all responses.
pub(super) fn bare_response(function: &str, namespace: Namespace, base: &BaseResponse) -> String {
    let mut out = Writer::new(namespace);
    out.element(Prefix::Rps, &format!("{function}Response"), &[], |out| base.write_parts(out));
    out.into_text()
}
