//! The error type for internal failures.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use rsp::sgp22::json::StatusCodeData;
use schemars::JsonSchema;
use serde::Serialize;

/// A failure inside this system: a disk, a socket, a configuration. Refusals of a protocol and
/// malformed input of a peer have error types of their own.
///
/// A fault contains what failed, why, and what to do next. `{}` prints them on one line, `{:#}` on
/// three. The JSON form is an object with the three members.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// The kind of failure, for programs.
    #[serde(skip)]
    pub kind: FaultKind,
    /// The status code of the peer, if it refused with one.
    #[serde(skip)]
    pub status: Option<Box<PeerStatus>>,
    /// The operation that failed: "cannot listen on 127.0.0.1:8443".
    pub what: String,
    /// The reason: "the address is already in use".
    pub why: String,
    /// Advice to the reader: "stop the other program, or choose another port".
    pub next: String,
    #[serde(skip)]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kinds of faults, by the side that has to act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// An argument, a file or a setting is invalid or cannot be used.
    Usage,
    /// The peer received the request and refused it.
    Refused,
    /// A file, a record or a named object does not exist.
    NotFound,
    /// The peer cannot be reached or does not answer.
    Unreachable,
    /// A result differs from the expectation of a test.
    Expectation,
    /// Any other failure of this program or its host.
    #[default]
    Internal,
}

/// The status code with which a peer refused a request: SGP.22 section 5.2.6, SGP.02 section
/// 5.1.6.5.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct PeerStatus {
    /// The dotted subject code.
    pub subject: String,
    /// The dotted reason code.
    pub reason: String,
    /// The message of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl From<StatusCodeData> for PeerStatus {
    fn from(status: StatusCodeData) -> Self {
        let StatusCodeData { subject_code, reason_code, subject_identifier: _, message } = status;
        Self { subject: subject_code, reason: reason_code, message }
    }
}

impl Fault {
    /// Creates a fault without an underlying error, of the kind [`FaultKind::Internal`].
    pub fn new(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        let (what, why, next) = (what.into(), why.into(), next.into());
        Self { kind: FaultKind::Internal, status: None, what, why, next, source: None }
    }

    /// Creates a fault without an underlying error, of the kind [`FaultKind::Usage`].
    pub fn usage(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(what, why, next).of_kind(FaultKind::Usage)
    }

    /// Creates a fault caused by `cause`. The cause is kept as the source, and its text becomes the
    /// reason. The first error in the chain of causes that has a kind decides the kind.
    pub fn caused_by(
        cause: impl Error + Send + Sync + 'static,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        let kind = kind_of(&cause).unwrap_or_default();
        Self { source: Some(Arc::new(cause)), ..Self::new(what, "", next).of_kind(kind) }
            .with_why_from_source()
    }

    /// Creates a fault caused by `cause`, as [`Fault::caused_by`]. Its kind is
    /// [`FaultKind::Usage`] if no error in the chain of causes has a kind.
    pub fn usage_caused_by(
        cause: impl Error + Send + Sync + 'static,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        let fault = Self::caused_by(cause, what, next);
        match fault.kind {
            FaultKind::Internal => fault.of_kind(FaultKind::Usage),
            _ => fault,
        }
    }

    /// Keeps `cause` as the source. Its text is not added to the reason.
    #[must_use]
    pub fn with_source(self, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(cause)), ..self }
    }

    /// Changes the kind.
    #[must_use]
    pub fn of_kind(self, kind: FaultKind) -> Self {
        Self { kind, ..self }
    }

    /// Changes the kind to [`FaultKind::Refused`], and adds the status code of the peer.
    #[must_use]
    pub fn refused_with(self, status: Option<PeerStatus>) -> Self {
        Self { kind: FaultKind::Refused, status: status.map(Box::new), ..self }
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

/// Returns the kind of the first error in the chain that has one.
fn kind_of(cause: &(dyn Error + 'static)) -> Option<FaultKind> {
    let mut next = Some(cause);
    while let Some(error) = next {
        let of_io = error.downcast_ref::<io::Error>().and_then(|error| kind_of_io(error.kind()));
        let kind = of_io.or_else(|| error.downcast_ref::<Fault>().map(|fault| fault.kind));
        if kind.is_some() {
            return kind;
        }
        next = error.source();
    }
    None
}

/// Returns the kind of an error of the operating system. An address or a path that cannot be used
/// is a usage fault, because the caller can choose another.
fn kind_of_io(kind: io::ErrorKind) -> Option<FaultKind> {
    use io::ErrorKind::{
        AddrInUse, AddrNotAvailable, AlreadyExists, ConnectionAborted, ConnectionRefused, ConnectionReset,
        HostUnreachable, IsADirectory, NetworkUnreachable, NotADirectory, NotFound, PermissionDenied,
        TimedOut,
    };
    match kind {
        NotFound => Some(FaultKind::NotFound),
        ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable
        | TimedOut => Some(FaultKind::Unreachable),
        AddrInUse | AddrNotAvailable | AlreadyExists | IsADirectory | NotADirectory | PermissionDenied => {
            Some(FaultKind::Usage)
        }
        _ => None,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why, next, kind: _, status: _, source: _ } = self;
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

    #[test]
    fn the_chain_of_causes_decides_the_kind() {
        let kind = |kind| Fault::usage_caused_by(io::Error::from(kind), "cannot open x", "create it").kind;
        assert_eq!(kind(io::ErrorKind::NotFound), FaultKind::NotFound);
        assert_eq!(kind(io::ErrorKind::ConnectionRefused), FaultKind::Unreachable);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), FaultKind::Usage);
        assert_eq!(kind(io::ErrorKind::InvalidData), FaultKind::Usage);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Fault::caused_by(full, "cannot write x", "free some space").kind, FaultKind::Internal);
        let inner = Fault::usage("a", "b", "c");
        assert_eq!(Fault::caused_by(inner, "d", "e").kind, FaultKind::Usage);
    }
}
