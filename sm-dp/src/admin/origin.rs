//! Protection of the admin API against web pages. The API has no password, so a page in the
//! tester's browser must not be able to use it: neither with a form or a script of another site,
//! nor under a host name of its own that it has pointed at this address (DNS rebinding).

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, StatusCode, header};

use super::Problem;
use crate::config::Config;

/// Checks Host and Origin. Anyone can point a host name at this address, so the host must be an IP
/// address, `localhost` or a name of this server. A request with an Origin comes from a web page.
/// This server serves no pages, so the request is refused.
pub(super) fn check(config: &Config, request: &Request<Bytes>) -> Result<(), Problem> {
    let headers = request.headers();
    let named = headers.get(header::HOST).map(|host| host.to_str().unwrap_or("(not text)"));
    // HTTP/2 has the host in the URI. A caller in the same process sends none.
    let host = request.uri().authority().map(http::uri::Authority::as_str).or(named);
    if let Some(host) = host
        && !is_own_host(config, host)
    {
        return Err(forbidden(format!("the Host of the request, {host:?}, is not a name of this server")));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        return Err(forbidden(format!("the request comes from a web page of {origin:?}")));
    }
    Ok(())
}

/// Requires application/json. HTML forms cannot send it, and before a script of another site can
/// send it, the browser asks for a permission (CORS preflight) that this server never grants.
pub(super) fn check_content_type(request: &Request<Bytes>) -> Result<(), Problem> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|value| value.split(';').next()).map(str::trim);
    if media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "cannot accept the body",
        format!("its Content-Type is {}", given.unwrap_or("not given")),
        "send JSON, with Content-Type: application/json",
    ))
}

fn is_own_host(config: &Config, host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || config.own_address(name).is_some()
        || config.own_address(host).is_some()
}

fn forbidden(why: String) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "the admin API refused the request",
        why,
        "use an address such as http://127.0.0.1:8490, from a program and not from a web page; \
         use --sm-dp-name to add a name of this server",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_localhost_and_own_names() {
        let mut config = Config::new("smdpp.landfall.example:8443".parse().unwrap());
        config.other_addresses.push("testbed".parse().unwrap());
        for accepted in [
            "127.0.0.1",
            "127.0.0.1:8490",
            "[::1]:8490",
            "10.0.0.7:80",
            "LocalHost:1",
            "testbed:8490",
            "smdpp.landfall.example:8443",
        ] {
            assert!(is_own_host(&config, accepted), "{accepted}");
        }
        for refused in ["evil.example", "127.0.0.1.evil.example:8490", "localhost.evil.example", "", "x:y"] {
            assert!(!is_own_host(&config, refused), "{refused}");
        }
    }
}
