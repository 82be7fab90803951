//! Protection of the API against web pages. The API has no password, so a web page in the owner's
//! browser must not be able to use it.

use bytes::Bytes;
use http::{Request, StatusCode, header};

use crate::problem::Problem;

/// Refuses requests that a web page could have caused. The API serves no pages, so a request with
/// an Origin header is never legitimate, and HTML forms cannot send the media type
/// application/json.
pub(super) fn check(request: &Request<Bytes>) -> Result<(), Problem> {
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the platform's API refuses this caller",
            format!("the request comes from a web page of {origin:?}, and the API serves no web pages"),
            "send the request from a program instead of a web page",
        ));
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| !is_address(host)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the platform's API refuses this caller",
            "the Host header is a host name, which a third party could control",
            "use an IP address, such as http://127.0.0.1:8491",
        ));
    }
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|value| value.split(';').next()).map(str::trim);
    let is_json = media_type.is_some_and(|it| it.eq_ignore_ascii_case("application/json"));
    if request.body().is_empty() || is_json {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "cannot accept the request body",
        format!("its Content-Type is {}", given.unwrap_or("not given")),
        "send JSON, with Content-Type: application/json",
    ))
}

fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    name.parse::<std::net::IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(name: header::HeaderName, value: &str) -> Option<StatusCode> {
        let request = Request::post("/v1/campaigns").header(name, value).body(Bytes::from_static(b"{}"));
        check(&request.unwrap()).err().map(|problem| problem.status)
    }

    #[test]
    fn requests_from_web_pages_are_refused() {
        assert_eq!(status_of(header::ORIGIN, "https://evil.example"), Some(StatusCode::FORBIDDEN));
        assert_eq!(status_of(header::HOST, "evil.example:8491"), Some(StatusCode::FORBIDDEN));
        assert_eq!(status_of(header::CONTENT_TYPE, "text/plain"), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(status_of(header::CONTENT_TYPE, "application/json; charset=utf-8"), None);
        for host in ["127.0.0.1:8491", "[::1]:80", "localhost"] {
            let request = Request::get("/v1/devices").header(header::HOST, host).body(Bytes::new()).unwrap();
            assert!(check(&request).is_ok(), "{host}");
        }
    }
}
