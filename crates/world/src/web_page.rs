//! Protection against web pages. A server without TLS and passwords trusts the programs of its
//! machine. A page in the user's browser must not be able to use it: neither with a form or a script
//! of another site, nor under a host name that it has pointed at this address (DNS rebinding).

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header, uri::Authority};

/// The reason why a request may come from a web page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebPageRefusal {
    /// The host of the request is not a name of the server.
    #[error("the Host of the request, {0:?}, is not a name of this server")]
    Host(String),
    /// A page of this origin has sent the request.
    #[error("the request comes from a web page of {0:?}")]
    Origin(String),
    /// The media type of the body, which is not application/json. A page can send some other types
    /// without a CORS preflight.
    #[error("its Content-Type is {}", .0.as_deref().unwrap_or("not given"))]
    MediaType(Option<String>),
}

impl WebPageRefusal {
    /// Returns the HTTP status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) | Self::Origin(_) => StatusCode::FORBIDDEN,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Refuses requests that a web page could have caused. Every server without TLS calls it before
/// anything else.
///
/// Anyone can point a host name at this address, so each host that the request names must be an IP
/// address, `localhost` or a name for which `is_own_name` returns true. A request with an Origin, or
/// from another site, comes from a web page. A body must be application/json: HTML forms cannot send
/// it, and before a script of another site can send it, the browser asks for a permission (CORS
/// preflight) that these servers never grant.
///
/// A caller in the same process sends no host and needs none.
///
/// # Errors
/// The request has another host, comes from a page, or has a body of another media type.
pub fn refuse_web_pages(
    request: &Request<Bytes>,
    is_own_name: impl Fn(&str) -> bool,
) -> Result<(), WebPageRefusal> {
    let headers = request.headers();
    // HTTP/2 and proxies have the host in the URI. The header can differ from it.
    let named = request.uri().authority().map(|authority| authority.as_str().to_owned());
    for host in named.into_iter().chain(headers.get_all(header::HOST).iter().map(text)) {
        if !is_own_host(&host, &is_own_name) {
            return Err(WebPageRefusal::Host(host));
        }
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        return Err(WebPageRefusal::Origin(text(origin)));
    }
    // Browsers also send this header with requests without Origin. Its values `same-site` and
    // `cross-site` mean that a page has sent the request.
    if let Some(site) = headers.get("sec-fetch-site").map(text)
        && site.contains("-site")
    {
        return Err(WebPageRefusal::Origin(site));
    }
    let mut given = headers.get_all(header::CONTENT_TYPE).iter().map(text);
    let (media_type, another) = (given.next(), given.next());
    let is_json = media_type.as_deref().is_some_and(is_json) && another.is_none();
    if request.body().is_empty() || is_json { Ok(()) } else { Err(WebPageRefusal::MediaType(media_type)) }
}

/// Returns a header as text. Octets outside of ASCII are replaced, so they are equal to no name.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn is_json(value: &str) -> bool {
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn is_own_host(host: &str, is_own_name: impl Fn(&str) -> bool) -> bool {
    // User information has no place in a Host and would hide the name.
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    !host.contains('@')
        && (name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || is_own_name(name)
            || is_own_name(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str) -> bool {
        ["testbed", "smdpp.landfall.example:8443"].contains(&name)
    }

    fn check(headers: &[(&str, &[u8])], body: &str) -> Result<(), WebPageRefusal> {
        let mut request = Request::post("/x").body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        refuse_web_pages(&request, own)
    }

    #[test]
    fn addresses_localhost_and_own_names_are_accepted_as_hosts() {
        for accepted in [
            "127.0.0.1",
            "127.0.0.1:8490",
            "[::1]:8490",
            "10.0.0.7:80",
            "LocalHost:1",
            "testbed:8490",
            "smdpp.landfall.example:8443",
        ] {
            assert_eq!(check(&[("host", accepted.as_bytes())], ""), Ok(()), "{accepted}");
        }
        for refused in [
            &b"evil.example"[..],
            b"127.0.0.1.evil.example:8490",
            b"localhost.evil.example",
            b"",
            b"x:y",
            b"127.0.0.1@evil.example",
            b"evil.example@127.0.0.1",
            "evil.ex\u{e4}mple".as_bytes(),
            b"localhost\xff",
        ] {
            let seen = check(&[("host", refused)], "");
            assert!(matches!(seen, Err(WebPageRefusal::Host(_))), "{refused:?}: {seen:?}");
        }
    }

    #[test]
    fn every_host_of_a_request_is_checked() {
        let seen = check(&[("host", b"127.0.0.1"), ("host", b"evil.example")], "");
        assert_eq!(seen, Err(WebPageRefusal::Host("evil.example".into())));
        for (uri, host) in [("http://evil.example/x", "127.0.0.1"), ("http://127.0.0.1/x", "evil.example")] {
            let request = Request::get(uri).header(header::HOST, host).body(Bytes::new()).unwrap();
            let seen = refuse_web_pages(&request, own);
            assert_eq!(seen, Err(WebPageRefusal::Host("evil.example".into())), "{uri}");
        }
    }

    #[test]
    fn requests_of_pages_are_refused() {
        for origin in [&b"http://evil.example"[..], b"null", b"http://127.0.0.1:8490", b"\xe4"] {
            let seen = check(&[("host", b"localhost"), ("origin", origin)], "");
            assert!(matches!(seen, Err(WebPageRefusal::Origin(_))), "{origin:?}");
        }
        for (site, is_accepted) in
            [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
        {
            assert_eq!(check(&[("sec-fetch-site", site.as_bytes())], "").is_ok(), is_accepted, "{site}");
        }
    }

    #[test]
    fn a_body_must_be_json() {
        for accepted in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(check(&[("content-type", accepted.as_bytes())], "{}"), Ok(()), "{accepted}");
        }
        for refused in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/jsonp",
            "",
        ] {
            let seen = check(&[("content-type", refused.as_bytes())], "{}");
            assert_eq!(seen, Err(WebPageRefusal::MediaType(Some(refused.into()))));
        }
        assert_eq!(check(&[], "{}"), Err(WebPageRefusal::MediaType(None)));
        let two: [(&str, &[u8]); 2] =
            [("content-type", b"application/json"), ("content-type", b"text/plain")];
        assert!(check(&two, "{}").is_err());
    }
}
