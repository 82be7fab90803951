//! What is asked of the headers of a request, and of an answer, in either binding: SGP.22 sections 6.2 to 6.6.

use http::{HeaderMap, header};

use super::json::protocol_version;
use crate::{
    ids::Version,
    status::{Refusal, Status},
};

/// Content-Type, sections 6.2, 6.5.1 and 6.6.1. A charset may be named, and then it is UTF-8.
///
/// # Errors
/// 1.2.1/2.1.
pub fn check_content_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = content_type.unwrap_or_default().split(';').map(str::trim);
    let is_wanted = parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case(wanted));
    let is_utf8 = parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if is_wanted && is_utf8 {
        return Ok(());
    }
    Err(Status::ContentTypeInvalid
        .because(format!("Content-Type must be {wanted}, in UTF-8 if a charset is named"))
        .about(content_type.unwrap_or("(none)")))
}

/// X-Admin-Protocol, section 6.2. Of `lowest` the major version counts; a later version than the server's own is answered
/// with that.
///
/// # Errors
/// 1.2.2/2.1.
pub fn check_protocol(headers: &HeaderMap, lowest: Version) -> Result<(), Refusal> {
    match protocol_version(headers) {
        Some(version) if version.0.first() >= lowest.0.first() => Ok(()),
        Some(version) => {
            Err(Status::ProtocolInvalid.because("this version is not spoken here").about(version))
        }
        None => Err(Status::ProtocolInvalid
            .because("X-Admin-Protocol must be gsma/rsp/v and a version such as 2.2.0")),
    }
}
