//! Who may come in at the owner's door. There is no password, so a page in the owner's browser must not be able to drive it.

use bytes::Bytes;
use http::{Request, StatusCode, header};

use crate::problem::Problem;

/// No page is served here, so none that names its origin asks rightly; and what HTML forms can send is never
/// application/json.
pub(super) fn check(request: &Request<Bytes>) -> Result<(), Problem> {
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the platform's API does not answer this caller",
            format!("a page of {origin:?} asks, and no page is served here"),
            "ask from a program rather than from a page",
        ));
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| !is_address(host)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the platform's API does not answer this caller",
            "the Host of the request is a name that may be anybody's",
            "ask by address, such as http://127.0.0.1:8491",
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
        "cannot take the body",
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

    fn asked(name: header::HeaderName, value: &str) -> Option<StatusCode> {
        let request = Request::post("/v1/campaigns").header(name, value).body(Bytes::from_static(b"{}"));
        check(&request.unwrap()).err().map(|problem| problem.status)
    }

    #[test]
    fn a_page_in_a_browser_does_not_come_in() {
        assert_eq!(asked(header::ORIGIN, "https://evil.example"), Some(StatusCode::FORBIDDEN));
        assert_eq!(asked(header::HOST, "evil.example:8491"), Some(StatusCode::FORBIDDEN));
        assert_eq!(asked(header::CONTENT_TYPE, "text/plain"), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(asked(header::CONTENT_TYPE, "application/json; charset=utf-8"), None);
        for ours in ["127.0.0.1:8491", "[::1]:80", "localhost"] {
            let request = Request::get("/v1/devices").header(header::HOST, ours).body(Bytes::new()).unwrap();
            assert!(check(&request).is_ok(), "{ours}");
        }
    }
}
