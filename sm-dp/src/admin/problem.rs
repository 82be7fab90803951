//! Error responses of the admin API. Each one names the failed action, the reason, and the next
//! step.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use rsp::status::Refusal;
use schemars::JsonSchema;
use serde::Serialize;
use world::{Fault, Outcome};

use rsp_server::Rejection;

/// An error response.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The description of the failure, its reason, and the next step.
    pub(super) fault: Fault,
    /// The methods that the path supports, for 405 responses.
    pub(super) allow: Vec<&'static str>,
}

/// The body of every error response.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody<'a> {
    /// The failed action.
    what: &'a str,
    /// The reason.
    why: &'a str,
    /// The suggested next step.
    next: &'a str,
}

impl Problem {
    /// Creates an error response with a status of the caller's choice.
    pub(super) fn new(
        status: StatusCode,
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::because(status, Fault::new(what, why, next))
    }

    /// Creates an error response for a fault.
    pub(super) fn because(status: StatusCode, fault: Fault) -> Self {
        Self { status, fault, allow: Vec::new() }
    }

    /// The request is invalid.
    pub(super) fn bad_request(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what, why, next)
    }

    /// The resource in the path does not exist.
    pub(super) fn not_found(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::NOT_FOUND, what, why, next)
    }

    /// The request conflicts with existing records.
    pub(super) fn conflict(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, what, why, next)
    }

    /// The SM-DS did not accept the event of an order. The profile is unchanged.
    pub(super) fn event_refused(refusal: &Refusal) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "cannot register the event",
            refusal.to_string(),
            "check the SM-DS, or leave smdsAddress out; the profile is unchanged",
        )
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let Fault { what, why, next, .. } = &self.fault;
        // Serializing three strings never fails.
        let body = serde_json::to_vec(&ProblemBody { what, why, next }).unwrap_or_default();
        let mut response = Response::new(body.into());
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

    pub(super) fn outcome(&self) -> Outcome {
        let text = self.fault.to_string();
        if self.status.is_server_error() { Outcome::Failed(text) } else { Outcome::Refused(text) }
    }
}

impl From<Fault> for Problem {
    /// Reports an internal fault. The tester may see all of it.
    fn from(fault: Fault) -> Self {
        tracing::error!(%fault, "a request to the admin API failed");
        Self::because(StatusCode::INTERNAL_SERVER_ERROR, fault)
    }
}

impl From<Rejection> for Problem {
    /// Reports the refusal of a protocol function that the API uses.
    fn from(no: Rejection) -> Self {
        match no {
            Rejection::Refusal(refusal) => Self::conflict(
                "the SM-DP+ refuses",
                refusal.to_string(),
                "GET /admin/v1/stock shows the state of each profile",
            ),
            Rejection::Fault(fault) => fault.into(),
        }
    }
}
