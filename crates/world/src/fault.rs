//! The error type for internal failures.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A failure inside this system: a disk, a socket, a configuration. Refusals of a protocol and
/// malformed input of a peer have error types of their own.
///
/// A fault contains what failed, why, and what to do next. `{}` prints them on one line, `{:#}` on
/// three. The JSON form is an object with the three members.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// The operation that failed: "cannot listen on 127.0.0.1:8443".
    pub what: String,
    /// The reason: "the address is already in use".
    pub why: String,
    /// Advice to the reader: "stop the other program, or choose another port".
    pub next: String,
    #[serde(skip)]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Fault {
    /// Creates a fault without an underlying error.
    pub fn new(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), next: next.into(), source: None }
    }

    /// Creates a fault caused by `cause`. The cause is kept as the source, and its text becomes the
    /// reason.
    pub fn caused_by(
        cause: impl Error + Send + Sync + 'static,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self { source: Some(Arc::new(cause)), ..Self::new(what, "", next) }.with_why_from_source()
    }

    fn with_why_from_source(mut self) -> Self {
        let mut cause = self.source.as_deref().map(|source| source as &(dyn Error + 'static));
        let mut parts: Vec<String> = Vec::new();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors repeat their source in their own text, so a text that is already there is
            // not added again.
            if !parts.iter().any(|part| part.contains(&text)) {
                parts.push(text);
            }
            cause = error.source();
        }
        self.why = parts.join(": ");
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why, next, source: _ } = self;
        if f.alternate() {
            write!(f, "{what}\n  why:  {why}\n  next: {next}")
        } else {
            write!(f, "{what}: {why}; {next}")
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_prints_what_why_and_next_and_keeps_its_source() {
        let cause = std::io::Error::new(std::io::ErrorKind::NotFound, "no such thing");
        let fault = Fault::caused_by(cause, "cannot open x", "create it");
        assert_eq!(fault.to_string(), "cannot open x: no such thing; create it");
        assert_eq!(format!("{fault:#}"), "cannot open x\n  why:  no such thing\n  next: create it");
        let json =
            serde_json::json!({ "what": "cannot open x", "why": "no such thing", "next": "create it" });
        assert_eq!(serde_json::to_value(&fault).unwrap(), json);
        assert!(fault.source().is_some());
        assert!(Fault::new("a", "b", "c").source().is_none());
    }
}
