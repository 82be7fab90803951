//! Protection of an API against web pages. An API has no password, so a page in the user's browser
//! must not be able to use it: neither with a form or a script of another site, nor under a host
//! name that it has pointed at this address (DNS rebinding).

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, StatusCode, header, uri::Authority};

use super::{Api, Problem};

/// Refuses requests that a web page could have caused.
///
/// Anyone can point a host name at this address, so the host must be an IP address, `localhost` or
/// a name for which `is_own_name` returns true. A request with an Origin comes from a web page, and
/// an API serves no pages. A body must be application/json: HTML forms cannot send it, and before a
/// script of another site can send it, the browser asks for a permission (CORS preflight) that an
/// API never grants.
///
/// # Errors
/// The request has another host, an Origin, or a body of another media type.
pub fn check_origin<A: Api>(
    request: &Request<Bytes>,
    is_own_name: impl Fn(&str) -> bool,
) -> Result<(), Problem> {
    let headers = request.headers();
    let forbidden = |why: String| {
        let next = format!(
            "send it from a program and not from a web page, to an IP address as in {}, to localhost or to a name of the server",
            A::SERVER
        );
        Problem::new(StatusCode::FORBIDDEN, "the API refuses the request", why, next)
    };
    let named = headers.get(header::HOST).map(|host| host.to_str().unwrap_or("(not text)"));
    // HTTP/2 has the host in the URI. A caller in the same process sends no host.
    let host = request.uri().authority().map(Authority::as_str).or(named);
    if let Some(host) = host
        && !is_own_host(host, is_own_name)
    {
        return Err(forbidden(format!("the Host of the request, {host:?}, is not a name of this server")));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        return Err(forbidden(format!("the request comes from a web page of {origin:?}")));
    }
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|value| value.split(';').next()).map(str::trim);
    let is_json = media_type.is_some_and(|it| it.eq_ignore_ascii_case("application/json"));
    if request.body().is_empty() || is_json {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "cannot accept the body",
        format!("its Content-Type is {}", given.unwrap_or("not given")),
        "send JSON, with Content-Type: application/json",
    ))
}

fn is_own_host(host: &str, is_own_name: impl Fn(&str) -> bool) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || is_own_name(name)
        || is_own_name(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_own_names_are_accepted_as_hosts() {
        let is_own_name = |name: &str| ["testbed", "smdpp.landfall.example:8443"].contains(&name);
        for accepted in [
            "127.0.0.1",
            "127.0.0.1:8490",
            "[::1]:8490",
            "10.0.0.7:80",
            "LocalHost:1",
            "testbed:8490",
            "smdpp.landfall.example:8443",
        ] {
            assert!(is_own_host(accepted, is_own_name), "{accepted}");
        }
        for refused in ["evil.example", "127.0.0.1.evil.example:8490", "localhost.evil.example", "", "x:y"] {
            assert!(!is_own_host(refused, is_own_name), "{refused}");
        }
    }
}
