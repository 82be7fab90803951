//! Error responses of the platform.

use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use world::{BoxFuture, Fault, Records, Tx, transact};

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

/// Reason why a transaction has no result.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// The records failed.
    Fault(Fault),
    /// The caller asked for something impossible.
    Refused(Problem),
}

impl From<Fault> for Rejected {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Problem> for Rejected {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Fault(fault) => fault.into(),
            Rejected::Refused(problem) => problem,
        }
    }
}

/// Runs a transaction that can refuse. It must refuse before it writes. A refusal is based on
/// unchanged records, because a conflict repeats the transaction.
pub(crate) async fn decide<'r, T: Send + 'static>(
    records: &'r dyn Records,
    mut decide: impl for<'t> FnMut(&'t mut Tx<'r>) -> BoxFuture<'t, Result<T, Rejected>>,
) -> Result<T, Problem> {
    let decided = transact(records, |tx| {
        let decided = decide(tx);
        Box::pin(async move {
            match decided.await {
                Ok(value) => Ok(Ok(value)),
                Err(Rejected::Refused(problem)) => Ok(Err(problem)),
                Err(Rejected::Fault(fault)) => Err(fault),
            }
        })
    });
    match decided.await {
        Ok(result) => result,
        Err(fault) => Err(fault.into()),
    }
}
