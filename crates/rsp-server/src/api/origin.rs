//! Protection of an API against web pages, which [`world::refuse_web_pages`] explains.

use bytes::Bytes;
use http::Request;
use world::WebPageRefusal;

use super::{Api, Problem};

/// Refuses requests that a web page could have caused.
///
/// # Errors
/// The request has a host that is neither an address nor a name for which `is_own_name` returns
/// true, comes from a page, or has a body of another media type than JSON.
pub fn check_origin<A: Api>(
    request: &Request<Bytes>,
    is_own_name: impl Fn(&str) -> bool,
) -> Result<(), Problem> {
    world::refuse_web_pages(request, is_own_name).map_err(|refusal| {
        let (what, next) = match &refusal {
            WebPageRefusal::Host(_) | WebPageRefusal::Origin(_) => (
                "the API refuses the request",
                format!(
                    "send it from a program and not from a web page, to an IP address as in {}, to localhost or to a name of the server",
                    A::SERVER
                ),
            ),
            WebPageRefusal::MediaType(_) => {
                ("cannot accept the body", "send JSON, with Content-Type: application/json".to_owned())
            }
        };
        Problem::new(refusal.status(), what, refusal.to_string(), next)
    })
}
