//! Why the admin API does not do what was asked: what, why, and what to do next.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use rsp::status::Refusal;
use schemars::JsonSchema;
use serde::Serialize;
use world::{Fault, Outcome};

use rsp_server::Rejection;

/// The answer when nothing was done.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// Whose fault it is, in the words of HTTP.
    pub(super) status: StatusCode,
    /// What, why and what next.
    pub(super) fault: Fault,
    /// The methods of the path, when the one that was used is none of them.
    pub(super) allow: Vec<&'static str>,
}

/// The body of every response that is not 2xx.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody<'a> {
    /// What could not be done.
    what: &'a str,
    /// Why.
    why: &'a str,
    /// What to do about it.
    next: &'a str,
}

impl Problem {
    /// Nothing was done, because of the caller.
    pub(super) fn new(
        status: StatusCode,
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::because(status, Fault::new(what, why, next))
    }

    /// Nothing was done, for this reason.
    pub(super) fn because(status: StatusCode, fault: Fault) -> Self {
        Self { status, fault, allow: Vec::new() }
    }

    /// The request says something that cannot be.
    pub(super) fn bad_request(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what, why, next)
    }

    /// What the path names is not there.
    pub(super) fn not_found(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::NOT_FOUND, what, why, next)
    }

    /// What is there already is in the way.
    pub(super) fn conflict(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, what, why, next)
    }

    /// The SM-DS has not taken the event of an order, which stands as before.
    pub(super) fn of_the_sm_ds(refusal: &Refusal) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "cannot have the event registered",
            refusal.to_string(),
            "look at the SM-DS, or leave smdsAddress out; the profile stands as before",
        )
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let Fault { what, why, next, .. } = &self.fault;
        // Three strings always fit JSON.
        let body = serde_json::to_vec(&ProblemBody { what, why, next }).unwrap_or_default();
        let mut response = Response::new(body.into());
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Names of methods always fit a header.
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
    /// A fault of ours. The operator of the bench may know all of it.
    fn from(fault: Fault) -> Self {
        tracing::error!(%fault, "a request of the admin API could not be answered");
        Self::because(StatusCode::INTERNAL_SERVER_ERROR, fault)
    }
}

impl From<Rejection> for Problem {
    /// A refusal of a protocol's function, where the API uses one.
    fn from(no: Rejection) -> Self {
        match no {
            Rejection::Refusal(refusal) => Self::conflict(
                "the SM-DP+ refuses",
                refusal.to_string(),
                "GET /admin/v1/stock shows how each profile stands",
            ),
            Rejection::Fault(fault) => fault.into(),
        }
    }
}
