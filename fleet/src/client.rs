//! The device's side of a check-in: sends the report and reads the instruction.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use world::{Link, LinkFault};

use crate::{
    api::CHECK_IN,
    check_in::{CheckIn, Instruction},
};

/// Retry delays in seconds, by the number of failed attempts. The last one repeats.
const RETRY_DELAYS: [u64; 6] = [60, 300, 900, 3600, 3600, 6 * 3600];

/// A check-in without an instruction.
#[derive(Debug)]
pub enum CheckInError {
    /// The platform did not answer.
    Link(LinkFault),
    /// The platform refused the check-in.
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The body, a [`Problem`](rsp_server::api::Problem) as JSON.
        body: Bytes,
    },
    /// The request or the answer is invalid.
    Invalid(String),
}

impl fmt::Display for CheckInError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(fault) => fault.fmt(f),
            Self::Refused { status, body } => write!(f, "{status}: {}", String::from_utf8_lossy(body)),
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CheckInError {}

/// Sends a check-in over a link to the platform at `host:port`, with the token of the device if the
/// platform requires one.
///
/// # Errors
/// The platform does not answer, or refuses the check-in.
pub async fn send_check_in(
    link: &Link,
    authority: &str,
    token: Option<&str>,
    check_in: &CheckIn,
) -> Result<Instruction, CheckInError> {
    let invalid = |why: &dyn fmt::Display| CheckInError::Invalid(why.to_string());
    let body = serde_json::to_vec(check_in).map_err(|error| invalid(&error))?;
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() =
        Uri::try_from(format!("https://{authority}{CHECK_IN}")).map_err(|error| invalid(&error))?;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Some(token) = token {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| invalid(&error))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let answer = world::send(link, request).await.map_err(CheckInError::Link)?;
    if answer.status() != StatusCode::OK {
        return Err(CheckInError::Refused { status: answer.status(), body: answer.into_body() });
    }
    serde_json::from_slice(answer.body()).map_err(|error| invalid(&error))
}

/// Returns the delay before the next check-in after this number of consecutive failures.
pub fn retry_delay(failures: u32) -> Duration {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::from_secs(RETRY_DELAYS.get(place).or(RETRY_DELAYS.last()).copied().unwrap_or(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_increases_with_each_failure_up_to_six_hours() {
        let minutes = [1, 1, 5, 15, 60, 60, 360, 360].map(|minutes| Duration::from_secs(60 * minutes));
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(retry_delay), minutes);
        assert_eq!(retry_delay(u32::MAX), Duration::from_secs(6 * 3600));
    }

    #[test]
    fn a_failed_check_in_has_the_reason() {
        let fault = LinkFault::new(world::LinkFaultKind::Refused, "platform", "not started");
        let body = Bytes::from_static(b"unknown device");
        let refused = CheckInError::Refused { status: StatusCode::NOT_FOUND, body };
        assert_eq!(refused.to_string(), "404 Not Found: unknown device");
        assert_eq!(CheckInError::Invalid("no JSON".to_owned()).to_string(), "no JSON");
        assert_eq!(CheckInError::Link(fault.clone()).to_string(), fault.to_string());
    }
}
