//! The result of a case.

use std::fmt::{Debug, Display};

use world::{Fault, LinkFault};

/// The result of a case. A case that runs to its end has passed.
pub type Verdict = Result<(), Stop>;

/// The reason why a case stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The server violated the standard. The text names the expected and the received value.
    Failed(String),
    /// A need of the case is not met, so nothing is known about the server.
    NotRun(String),
}

impl Stop {
    /// Creates a violation by the server.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    /// Creates the result of a case that cannot run because `what` is not available.
    pub fn needs(what: impl Display) -> Self {
        Self::NotRun(format!("needs {what}"))
    }

    /// Adds the name of a step to the reason.
    #[must_use]
    pub fn during(self, step: &str) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(format!("{step}: {why}")),
            Self::NotRun(why) => Self::NotRun(format!("{step}: {why}")),
        }
    }
}

impl From<LinkFault> for Stop {
    /// A server that does not respond violates the standard.
    fn from(fault: LinkFault) -> Self {
        Self::failed(format!("no response from {fault}"))
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::NotRun(fault.to_string())
    }
}

impl From<certs::PkiError> for Stop {
    /// The certificates belong to the tester. Without them nothing is known about the server.
    fn from(error: certs::PkiError) -> Self {
        Self::needs(format!("certificates: {error}"))
    }
}

/// Checks a condition.
///
/// # Errors
/// Fails with the text of `otherwise` if the condition is false.
pub fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if is_so { Ok(()) } else { Err(Stop::Failed(otherwise())) }
}

/// Checks that a received value is the expected one.
///
/// # Errors
/// Fails if the values differ.
pub fn equal<T: PartialEq + Debug>(what: &str, received: &T, expected: &T) -> Verdict {
    ensure(received == expected, || format!("{what} is {received:?}, expected {expected:?}"))
}

/// Adds the name of a step to its failure.
pub trait During<T> {
    /// Names the step.
    ///
    /// # Errors
    /// Fails with the failure of the step.
    fn during(self, step: &str) -> Result<T, Stop>;
}

impl<T> During<T> for Result<T, Stop> {
    fn during(self, step: &str) -> Self {
        self.map_err(|stop| stop.during(step))
    }
}
