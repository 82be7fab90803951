//! Error responses of the platform.

use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use world::Fault;

/// An error: what failed, why, what to do, and the HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// HTTP status of the response.
    #[serde(skip)]
    pub status: StatusCode,
    /// What failed.
    pub what: String,
    /// Why it failed.
    pub why: String,
    /// The suggested remedy.
    pub next: String,
    /// Methods that the path accepts, for status 405.
    #[serde(skip)]
    pub(crate) allow: String,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { status, what: what.into(), why: why.into(), next: next.into(), allow: String::new() }
    }

    pub(crate) fn not_found(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::NOT_FOUND, what, why, next)
    }

    pub(crate) fn bad_request(
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what, why, next)
    }

    pub(crate) fn conflict(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, what, why, next)
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
    fn from(Fault { what, why, next, .. }: Fault) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, what, why, next)
    }
}

impl From<Problem> for Fault {
    fn from(Problem { what, why, next, .. }: Problem) -> Self {
        Self::new(what, why, next)
    }
}
