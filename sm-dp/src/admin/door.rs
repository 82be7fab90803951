//! Who may come in. There is no password, so a page in the browser of whoever runs the bench must not be able to drive
//! the API: neither by a form or a script of another site, nor under a name of its own that it has pointed at this
//! address.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, StatusCode, header};

use super::Problem;
use crate::config::Config;

/// Host and Origin. A name that anybody can point here proves nothing, so the host is an address, `localhost` or a
/// name of this server; and a page that names its origin was served from here, which none is.
pub(super) fn check(config: &Config, request: &Request<Bytes>) -> Result<(), Problem> {
    let headers = request.headers();
    let named = headers.get(header::HOST).map(|host| host.to_str().unwrap_or("(not text)"));
    // HTTP/2 has the host in the URI; a caller within the process has none.
    let host = request.uri().authority().map(http::uri::Authority::as_str).or(named);
    if let Some(host) = host
        && !is_ours(config, host)
    {
        return Err(forbidden(format!("the Host of the request, {host:?}, may be anybody's")));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        return Err(forbidden(format!("a page of {origin:?} asks, and no page is served here")));
    }
    Ok(())
}

/// What HTML forms can send is never application/json, and before a script of another site may send that the browser
/// asks for a permission which is never given.
pub(super) fn check_content_type(request: &Request<Bytes>) -> Result<(), Problem> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = given.and_then(|value| value.split(';').next()).map(str::trim);
    if media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "cannot take the body",
        format!("its Content-Type is {}", given.unwrap_or("not given")),
        "send JSON, with Content-Type: application/json",
    ))
}

fn is_ours(config: &Config, host: &str) -> bool {
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
        "the admin API does not answer this caller",
        why,
        "ask by address, such as http://127.0.0.1:8490, from a program rather than from a page; \
         a name that leads here is made known with --sm-dp-name",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_localhost_and_own_names() {
        let mut config = Config::new("smdpp.landfall.example:8443".parse().unwrap());
        config.other_addresses.push("bench".parse().unwrap());
        for ours in [
            "127.0.0.1",
            "127.0.0.1:8490",
            "[::1]:8490",
            "10.0.0.7:80",
            "LocalHost:1",
            "bench:8490",
            "smdpp.landfall.example:8443",
        ] {
            assert!(is_ours(&config, ours), "{ours}");
        }
        for theirs in ["evil.example", "127.0.0.1.evil.example:8490", "localhost.evil.example", "", "x:y"] {
            assert!(!is_ours(&config, theirs), "{theirs}");
        }
    }
}
