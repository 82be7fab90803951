//! How a case ends.

use std::fmt::{Debug, Display};

use world::{Fault, LinkFault};

/// A case that ran to its end has passed; else it says why not.
pub type Verdict = Result<(), Stop>;

/// Why a case ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The server did something else than the standard says: what was expected, and what came.
    Failed(String),
    /// What the case needs cannot be had: nothing is known of the server.
    NotRun(String),
}

impl Stop {
    /// The server is at fault.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    /// The tester lacks something.
    pub fn needs(what: impl Display) -> Self {
        Self::NotRun(format!("needs {what}"))
    }

    /// The same, said of a step of the case.
    #[must_use]
    pub fn during(self, step: &str) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(format!("{step}: {why}")),
            Self::NotRun(why) => Self::NotRun(format!("{step}: {why}")),
        }
    }
}

impl From<LinkFault> for Stop {
    /// A server that does not answer has not done what the standard says.
    fn from(fault: LinkFault) -> Self {
        Self::failed(format!("no answer from {fault}"))
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::NotRun(fault.to_string())
    }
}

impl From<certs::PkiError> for Stop {
    /// Certificates are the tester's own; without them nothing is known of the server.
    fn from(error: certs::PkiError) -> Self {
        Self::needs(format!("certificates: {error}"))
    }
}

/// The case goes on if it is so.
///
/// # Errors
/// It is not so.
pub(crate) fn ensure(is_so: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if is_so { Ok(()) } else { Err(Stop::Failed(otherwise())) }
}

/// The case goes on if what came is what the standard says.
///
/// # Errors
/// It is something else.
pub(crate) fn equal<T: PartialEq + Debug>(what: &str, came: &T, expected: &T) -> Verdict {
    ensure(came == expected, || format!("{what} is {came:?}, expected {expected:?}"))
}

/// Adds to a step's failure which step it was.
pub(crate) trait During<T> {
    /// Names the step.
    ///
    /// # Errors
    /// The step's own.
    fn during(self, step: &str) -> Result<T, Stop>;
}

impl<T> During<T> for Result<T, Stop> {
    fn during(self, step: &str) -> Self {
        self.map_err(|stop| stop.during(step))
    }
}
