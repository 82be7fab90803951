//! Error responses of an API.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use rsp::status::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Fault, FaultKind, Outcome};

use crate::decision::Rejection;

/// The body of every error response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The HTTP status of the response.
    #[serde(skip)]
    pub status: StatusCode,
    /// The failed action.
    pub what: String,
    /// The reason.
    pub why: String,
    /// The suggested next step.
    pub next: String,
    /// The methods that the path supports, for 405 responses.
    #[serde(skip)]
    pub(super) allow: Vec<&'static str>,
}

impl Problem {
    /// Creates an error response.
    pub fn new(
        status: StatusCode,
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { status, what: what.into(), why: why.into(), next: next.into(), allow: Vec::new() }
    }

    /// Creates an error response for a fault.
    pub fn because(status: StatusCode, Fault { what, why, next, .. }: Fault) -> Self {
        Self::new(status, what, why, next)
    }

    /// The request is invalid.
    pub fn bad_request(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what, why, next)
    }

    /// The resource in the path does not exist.
    pub fn not_found(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what, why, next)
    }

    /// The request conflicts with existing records.
    pub fn conflict(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, what, why, next)
    }

    /// Returns the outcome for the event of a request with this response.
    pub fn outcome(&self) -> Outcome {
        let text = self.to_string();
        if self.status.is_server_error() { Outcome::Failed(text) } else { Outcome::Refused(text) }
    }

    /// Builds the response.
    pub fn response(&self) -> Response<Bytes> {
        // Serializing three strings never fails.
        let mut response = Response::new(serde_json::to_vec(self).unwrap_or_default().into());
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Method names are always valid header values.
        if let Ok(allow) = HeaderValue::from_str(&self.allow.join(", "))
            && !allow.is_empty()
        {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why, next, .. } = self;
        write!(f, "{what}: {why}; {next}")
    }
}

impl std::error::Error for Problem {}

impl From<Fault> for Problem {
    /// Reports an internal fault. The users of an API may see all of it.
    fn from(fault: Fault) -> Self {
        tracing::error!(%fault, "a request to an API failed");
        Self::because(StatusCode::INTERNAL_SERVER_ERROR, fault)
    }
}

impl From<Problem> for Fault {
    fn from(Problem { status, what, why, next, .. }: Problem) -> Self {
        let kind = match status {
            StatusCode::NOT_FOUND => FaultKind::NotFound,
            status if status.is_client_error() => FaultKind::Usage,
            _ => FaultKind::Internal,
        };
        Self::new(what, why, next).of_kind(kind)
    }
}

impl From<Problem> for Rejection<Problem> {
    fn from(problem: Problem) -> Self {
        Self::Refusal(problem)
    }
}

impl From<Rejection<Problem>> for Problem {
    fn from(rejection: Rejection<Problem>) -> Self {
        match rejection {
            Rejection::Refusal(problem) => problem,
            Rejection::Fault(fault) => fault.into(),
        }
    }
}

impl From<Rejection> for Problem {
    /// Reports the refusal of a protocol function that an API uses.
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Refusal(refusal) => refusal.into(),
            Rejection::Fault(fault) => fault.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::conflict("the server refuses", refusal.to_string(), "list the entries to see their states")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_problem_determines_the_kind_of_the_fault() {
        for (status, kind) in [
            (StatusCode::NOT_FOUND, FaultKind::NotFound),
            (StatusCode::BAD_REQUEST, FaultKind::Usage),
            (StatusCode::CONFLICT, FaultKind::Usage),
            (StatusCode::INTERNAL_SERVER_ERROR, FaultKind::Internal),
            (StatusCode::SERVICE_UNAVAILABLE, FaultKind::Internal),
        ] {
            let fault = Fault::from(Problem::new(status, "cannot list", "it is away", "retry"));
            assert_eq!((fault.kind, fault.what.as_str()), (kind, "cannot list"), "{status}");
        }
    }
}
