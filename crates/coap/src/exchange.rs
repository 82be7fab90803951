//! The mapping between HTTP exchanges and CoAP: RFC 7252 sections 5.10 and 6, with the codes of RFC
//! 8075 section 7 in both directions.
//!
//! CoAP has no headers, so that `X-Admin-Protocol` and `User-Agent` are not sent. The server adds what
//! the binding implies and a router requires: the content type of the ASN.1 binding, the only one over
//! CoAP, and a version.
//!
//! No content format is registered for messages of remote provisioning. A client sends
//! application/octet-stream, and a server accepts this format or none.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rsp::ids::Version;
use rsp::sgp22::headers::{X_ADMIN_PROTOCOL, admin_protocol};
use rsp::sgp32::esipa::asn1::CONTENT_TYPE;

use crate::message::{Code, Options, option};

/// The version in `X-Admin-Protocol` of the requests that a server passes on: that of the SGP.32 whose
/// binding this is.
const PROTOCOL: Version = Version([1, 2, 0]);
/// The content format application/octet-stream.
const OCTET_STREAM: u32 = 42;
/// Maximum length of a segment of a path and of an argument of a query: RFC 7252 section 5.10.
const MAX_SEGMENT: usize = 255;
/// The critical options that a server understands in a request.
const KNOWN_IN_REQUEST: [u16; 7] = [
    option::URI_HOST,
    option::URI_PORT,
    option::URI_PATH,
    option::URI_QUERY,
    option::ACCEPT,
    option::BLOCK1,
    option::BLOCK2,
];

/// Characters that are percent-encoded in a segment of a URI.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// HTTP statuses with the code of the same meaning. A status that is not listed becomes 4.00 or
/// 5.00.
const STATUSES: [(StatusCode, Code); 18] = [
    (StatusCode::OK, Code::CONTENT),
    (StatusCode::NO_CONTENT, Code::CHANGED),
    (StatusCode::BAD_REQUEST, Code::BAD_REQUEST),
    (StatusCode::UNAUTHORIZED, Code::of(4, 1)),
    (StatusCode::FORBIDDEN, Code::of(4, 3)),
    (StatusCode::NOT_FOUND, Code::NOT_FOUND),
    (StatusCode::METHOD_NOT_ALLOWED, Code::METHOD_NOT_ALLOWED),
    (StatusCode::NOT_ACCEPTABLE, Code::of(4, 6)),
    (StatusCode::REQUEST_TIMEOUT, Code::REQUEST_INCOMPLETE),
    (StatusCode::CONFLICT, Code::of(4, 9)),
    (StatusCode::PAYLOAD_TOO_LARGE, Code::REQUEST_TOO_LARGE),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UNSUPPORTED_CONTENT_FORMAT),
    (StatusCode::TOO_MANY_REQUESTS, Code::of(4, 29)),
    (StatusCode::INTERNAL_SERVER_ERROR, Code::INTERNAL_SERVER_ERROR),
    (StatusCode::NOT_IMPLEMENTED, Code::of(5, 1)),
    (StatusCode::BAD_GATEWAY, Code::of(5, 2)),
    (StatusCode::SERVICE_UNAVAILABLE, Code::SERVICE_UNAVAILABLE),
    (StatusCode::GATEWAY_TIMEOUT, Code::of(5, 4)),
];

/// Returns the options of a request for `host`, without those of its blocks.
///
/// # Errors
/// The request cannot be expressed in CoAP. The reason is returned.
pub(crate) fn request_options(request: &Request<Bytes>, host: &str) -> Result<Options, &'static str> {
    if request.method() != Method::POST {
        return Err("only POST is supported over CoAP");
    }
    let mut options = Options::default();
    if host.parse::<IpAddr>().is_err() {
        options.add(option::URI_HOST, Bytes::copy_from_slice(host.as_bytes()));
    }
    let path = request.uri().path().strip_prefix('/').unwrap_or_default();
    for segment in path.split('/').filter(|_| !path.is_empty()) {
        options.add(option::URI_PATH, decoded(segment)?);
    }
    for argument in request.uri().query().into_iter().flat_map(|query| query.split('&')) {
        options.add(option::URI_QUERY, decoded(argument)?);
    }
    if !request.body().is_empty() {
        options.add_uint(option::CONTENT_FORMAT, OCTET_STREAM);
    }
    Ok(options)
}

fn decoded(segment: &str) -> Result<Bytes, &'static str> {
    let octets = Cow::from(percent_decode_str(segment)).into_owned();
    if octets.len() > MAX_SEGMENT {
        Err("a segment of the URI is too long for CoAP")
    } else {
        Ok(octets.into())
    }
}

/// Returns the request with these options and this body.
///
/// # Errors
/// The server must reply with this code.
pub(crate) fn http_request(code: Code, options: &Options, body: Bytes) -> Result<Request<Bytes>, Code> {
    check_options(options)?;
    if code != Code::POST {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    let text = |octets: &Bytes| match std::str::from_utf8(octets) {
        Ok(text) if octets.len() <= MAX_SEGMENT => Ok(utf8_percent_encode(text, ENCODED).to_string()),
        _ => Err(Code::BAD_OPTION),
    };
    let joined = |number, separator: &str| -> Result<String, Code> {
        let parts: Vec<_> = options.all(number).map(text).collect::<Result<_, _>>()?;
        Ok(parts.join(separator))
    };
    let (path, query) = (joined(option::URI_PATH, "/")?, joined(option::URI_QUERY, "&")?);
    let uri = if query.is_empty() { format!("/{path}") } else { format!("/{path}?{query}") };
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::try_from(uri).map_err(|_| Code::BAD_REQUEST)?;
    if let Some(host) = options.first(option::URI_HOST) {
        let host = HeaderValue::from_maybe_shared(host.clone()).map_err(|_| Code::BAD_OPTION)?;
        request.headers_mut().insert(header::HOST, host);
    }
    if let Ok(protocol) = HeaderValue::from_str(&admin_protocol(PROTOCOL)) {
        request.headers_mut().insert(X_ADMIN_PROTOCOL, protocol);
    }
    if !request.body().is_empty() {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    }
    Ok(request)
}

/// Checks what applies to each message of a request: its critical options and its format.
///
/// # Errors
/// The server must reply with this code.
pub(crate) fn check_options(options: &Options) -> Result<(), Code> {
    let is_of_proxy = |number| matches!(number, option::PROXY_URI | option::PROXY_SCHEME);
    if options.iter().any(|(number, _)| is_of_proxy(number)) {
        return Err(Code::PROXYING_NOT_SUPPORTED);
    }
    // req: RFC.7252-5.4.1-Critical
    if has_unknown_critical(options, &KNOWN_IN_REQUEST) {
        return Err(Code::BAD_OPTION);
    }
    match options.first(option::CONTENT_FORMAT) {
        Some(_) if options.uint(option::CONTENT_FORMAT) != Some(OCTET_STREAM) => {
            Err(Code::UNSUPPORTED_CONTENT_FORMAT)
        }
        _ => Ok(()),
    }
}

/// Checks what applies to each message of a response.
///
/// # Errors
/// The response must be rejected. The reason is returned.
pub(crate) fn check_response(options: &Options) -> Result<(), &'static str> {
    match has_unknown_critical(options, &[option::BLOCK1, option::BLOCK2]) {
        true => Err("the response has an unknown critical option"),
        false => Ok(()),
    }
}

/// True if there is a critical option that is not listed. Critical options have odd numbers.
fn has_unknown_critical(options: &Options, known: &[u16]) -> bool {
    options.iter().any(|(number, _)| number % 2 == 1 && !known.contains(&number))
}

/// Returns the code and the options of a response, without those of its blocks.
pub(crate) fn response_head(response: &Response<Bytes>) -> (Code, Options) {
    let status = response.status();
    let code = match STATUSES.iter().find(|(listed, _)| *listed == status) {
        Some((StatusCode::OK, _)) if response.body().is_empty() => Code::CHANGED,
        Some((_, code)) => *code,
        None if status.is_success() => Code::CONTENT,
        None if status.is_client_error() => Code::BAD_REQUEST,
        None => Code::INTERNAL_SERVER_ERROR,
    };
    let mut options = Options::default();
    if !response.body().is_empty() && status.is_success() {
        options.add_uint(option::CONTENT_FORMAT, OCTET_STREAM);
    }
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    if let Some(seconds) = retry_after.and_then(|value| value.parse().ok()) {
        options.add_uint(option::MAX_AGE, seconds);
    }
    (code, options)
}

/// Returns the response with this code, these options and this body.
///
/// # Errors
/// The response must be rejected. The reason is returned.
pub(crate) fn http_response(code: Code, options: &Options, body: Bytes) -> Result<Response<Bytes>, String> {
    let listed = STATUSES.iter().find(|(_, listed)| *listed == code).map(|(status, _)| *status);
    // An unknown code counts as the first of its class: RFC 7252 section 5.8.
    let status = listed.or_else(|| StatusCode::from_u16(u16::from(code.class()) * 100).ok());
    let status = status.ok_or_else(|| format!("the response has the code {code}"))?;
    let mut response = Response::new(body);
    *response.status_mut() = match status {
        StatusCode::NO_CONTENT if !response.body().is_empty() => StatusCode::OK,
        status => status,
    };
    let format = options.uint(option::CONTENT_FORMAT);
    if !response.body().is_empty() && format.is_none_or(|format| format == OCTET_STREAM) {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    }
    if code.class() != 2
        && let Some(seconds) = options.uint(option::MAX_AGE)
    {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}
