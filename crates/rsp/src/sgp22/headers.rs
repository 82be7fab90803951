//! The HTTP headers of requests and responses in both bindings, and their checks: SGP.22 sections
//! 6.2 to 6.6.

use http::{HeaderMap, HeaderValue, header};

use crate::{
    finding::{FindingKind, report},
    ids::Version,
    status::{Refusal, Status},
};

/// The header with which both sides indicate their protocol version, section 6.2.
pub const X_ADMIN_PROTOCOL: &str = "x-admin-protocol";

/// Returns the value of `X-Admin-Protocol` for a version of SGP.22.
pub fn admin_protocol(version: Version) -> String {
    format!("gsma/rsp/v{version}")
}

/// Returns the version in `X-Admin-Protocol`, or `None` if the header is missing or invalid. A
/// version of more or fewer than three numbers is a finding.
pub fn protocol_version(headers: &HeaderMap) -> Option<Version> {
    const PREFIX: &str = "gsma/rsp/v";
    let value = headers.get(X_ADMIN_PROTOCOL)?.to_str().ok()?.trim();
    let (prefix, numbers) = value.split_at_checked(PREFIX.len())?;
    if let (PREFIX, Ok(version)) = (prefix, numbers.parse()) {
        return Some(version);
    }
    let numbers: Vec<u8> =
        numbers.split('.').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    if !prefix.eq_ignore_ascii_case(PREFIX) || numbers.len() > 8 {
        return None;
    }
    report(FindingKind::VersionForm, || value.to_owned());
    let number = |index| numbers.get(index).copied().unwrap_or(0);
    Some(Version([number(0), number(1), number(2)]))
}

/// Sets the headers used by both bindings: sections 6.2 and 6.3.
pub(crate) fn set_headers_for(headers: &mut HeaderMap, content_type: &'static str, version: Version) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(value) = HeaderValue::from_str(&admin_protocol(version)) {
        headers.insert(X_ADMIN_PROTOCOL, value);
    }
}

/// Checks the Content-Type: sections 6.2, 6.5.1 and 6.6.1. If it specifies a charset, the charset
/// must be UTF-8.
///
/// # Errors
/// Status 1.2.1/2.1.
pub fn check_content_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = content_type.unwrap_or_default().split(';').map(str::trim);
    let is_expected = parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case(expected));
    let is_utf8 = parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if is_expected && is_utf8 {
        return Ok(());
    }
    // req: SGP.22-6.2-Headers
    Err(Status::ContentTypeInvalid
        .because(format!("Content-Type must be {expected}, and a charset must be UTF-8"))
        .about(content_type.unwrap_or("(none)")))
}

/// Checks X-Admin-Protocol: section 6.2. Only the major version of `lowest` is compared. A later
/// version than the server's own is accepted; the server responds with its own version.
///
/// # Errors
/// Status 1.2.2/2.1.
pub fn check_protocol(headers: &HeaderMap, lowest: Version) -> Result<(), Refusal> {
    match protocol_version(headers) {
        Some(version) if version.0.first() >= lowest.0.first() => Ok(()),
        // req: SGP.22-6.2-Headers
        Some(version) => Err(Status::ProtocolInvalid.because("the version is not supported").about(version)),
        None => Err(Status::ProtocolInvalid
            .because("X-Admin-Protocol must be gsma/rsp/v followed by a version such as 2.2.0")),
    }
}
