//! Result of a function, and the two ways in which a function fails.

use rsp::{sgp02, status::Refusal};
use world::Fault;

/// Result of a function: its reply or its rejection.
pub type Decision<T> = Result<T, Rejection>;

/// Reason why a function has no reply. The refusals of SGP.22 and SGP.02 have different types.
#[derive(Debug)]
pub enum Rejection<R = Refusal> {
    /// Refusal by the protocol. Changes are committed: a counted attempt, an ended order or an
    /// ended session.
    Refusal(R),
    /// Internal fault. Nothing is committed.
    Fault(Fault),
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<sgp02::status::Refusal> for Rejection<sgp02::status::Refusal> {
    fn from(refusal: sgp02::status::Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl<R> From<Fault> for Rejection<R> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Separates an internal fault from a decision, so that the reply or refusal can be encoded.
///
/// # Errors
/// Returns the fault of the decision.
pub fn without_fault<T>(decision: Decision<T>) -> Result<Result<T, Refusal>, Fault> {
    match decision {
        Ok(reply) => Ok(Ok(reply)),
        Err(Rejection::Refusal(refusal)) => Ok(Err(refusal)),
        Err(Rejection::Fault(fault)) => Err(fault),
    }
}
