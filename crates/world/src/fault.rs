//! The "no" that is ours.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Something of ours failed: a disk, a socket, a configuration. Not a protocol's refusal, and not a peer's bad bytes.
///
/// It says what could not be done, why, and what to do next. `{}` puts that on one line, `{:#}` on three.
/// As JSON it is an object of the three.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// What could not be done: "cannot listen on 127.0.0.1:8443".
    pub what: String,
    /// Why: "the address is already in use".
    pub why: String,
    /// What the reader can do about it: "stop the other program, or choose another port".
    pub next: String,
    #[serde(skip)]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault whose cause is known in words.
    pub fn new(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), next: next.into(), source: None }
    }

    /// A fault caused by `cause`, which is kept, and whose text is the why.
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
            // Many errors repeat their source in their own text.
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
    fn what_why_and_next_are_all_printed_and_the_source_is_kept() {
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
