//! The JSON binding of ESipa over HTTP: SGP.32 section 6.4.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::USER_AGENT};
use serde::{Serialize, de::Error as _};

use super::Reply;
use crate::{
    ids::Version,
    sgp22::{
        Function,
        json::{self, InvalidResponse},
    },
    status::Refusal,
};

pub use crate::sgp22::json::{CONTENT_TYPE, acknowledgement, no_content, read};

/// Creates the HTTP request of a function. `user_agent` begins with
/// [`USER_AGENT_IPAD`](super::USER_AGENT_IPAD) or [`USER_AGENT_IPAE`](super::USER_AGENT_IPAE).
pub fn request<F: Function<Request: Serialize>>(
    version: Version,
    user_agent: &str,
    body: &F::Request,
) -> Request<Bytes> {
    let mut request = json::request(&F::path(), version, body);
    if let Ok(value) = HeaderValue::from_str(user_agent) {
        request.headers_mut().insert(USER_AGENT, value);
    }
    request
}

/// Creates the HTTP response of a function. The HTTP status is 200 for success and for a refusal.
pub fn response<R: Reply>(version: Version, outcome: Result<R, Refusal>) -> Response<Bytes> {
    match outcome.and_then(Reply::into_output) {
        Ok(output) => json::response(version, Ok(&output)),
        Err(refusal) => json::response::<R::Output>(version, Err(refusal)),
    }
}

/// Decodes the response of a function.
///
/// # Errors
/// The response is not a valid response of the JSON binding.
pub fn answer<R: Reply>(response: &Response<Bytes>) -> Result<R, InvalidResponse> {
    if response.status().is_success()
        && response.body().is_empty()
        && let Some(reply) = R::of_nothing()
    {
        json::report_status(response, StatusCode::NO_CONTENT);
        return Ok(reply);
    }
    match json::answer::<R::Output>(response)? {
        json::Answer::Done(output) => Ok(R::of_output(output).map_err(serde_json::Error::custom)?),
        json::Answer::Refused(status) => Ok(R::of_status(status.status())),
    }
}
