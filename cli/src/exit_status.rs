//! Exit statuses of the `landfall` binary.

use std::process::ExitCode;

use world::FaultKind;

/// An exit status. The documents and `landfall --help` contain this table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The command succeeded.
    Success,
    /// A failure of this program or its host.
    Internal,
    /// An argument, a file or a setting is invalid or cannot be used. The parser of the arguments
    /// uses this status too.
    Usage,
    /// A peer refused the request.
    Refused,
    /// Something that the command needs does not exist.
    NotFound,
    /// A peer is unreachable or does not answer.
    Unreachable,
    /// A result differs from the expectation of a test.
    Expectation,
    /// An injected fault ended the process, as SIGKILL does.
    Killed,
    /// The reader of standard output closed the pipe, as after SIGPIPE.
    ClosedPipe,
}

impl ExitStatus {
    /// All exit statuses.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Internal,
        Self::Usage,
        Self::Refused,
        Self::NotFound,
        Self::Unreachable,
        Self::Expectation,
        Self::Killed,
        Self::ClosedPipe,
    ];

    /// The status as a number. For a process that ended like one killed by a signal, this is 128
    /// plus the number of the signal.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Unreachable => 5,
            Self::Expectation => 6,
            Self::Killed => 137,
            Self::ClosedPipe => 141,
        }
    }

    /// `error.kind` of the JSON form, if the status is that of a kind of fault.
    pub const fn kind(self) -> Option<FaultKind> {
        match self {
            Self::Internal => Some(FaultKind::Internal),
            Self::Usage => Some(FaultKind::Usage),
            Self::Refused => Some(FaultKind::Refused),
            Self::NotFound => Some(FaultKind::NotFound),
            Self::Unreachable => Some(FaultKind::Unreachable),
            Self::Expectation => Some(FaultKind::Expectation),
            Self::Success | Self::Killed | Self::ClosedPipe => None,
        }
    }

    /// The meaning of the status, for users.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Internal => "internal error",
            Self::Usage => "an argument, a file or a setting is invalid or cannot be used",
            Self::Refused => "a peer refused the request",
            Self::NotFound => "a file, a record or a named object does not exist",
            Self::Unreachable => "a peer is unreachable or does not answer",
            Self::Expectation => "the command ran, and a result differs from the expected one",
            Self::Killed => "an injected fault ended the process",
            Self::ClosedPipe => "the reader of standard output closed the pipe",
        }
    }

    /// Returns [`ExitStatus::Success`], or [`ExitStatus::Expectation`] if a result is not as
    /// expected.
    pub fn expected(is_as_expected: bool) -> ExitCode {
        if is_as_expected { Self::Success.into() } else { Self::Expectation.into() }
    }

    /// Returns all statuses for `landfall --help`.
    pub fn help() -> String {
        let all = Self::ALL.map(|status| format!("{} {}", status.code(), status.meaning()));
        format!("Exit status: {}", all.join("; "))
    }
}

impl From<FaultKind> for ExitStatus {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Usage => Self::Usage,
            FaultKind::Refused => Self::Refused,
            FaultKind::NotFound => Self::NotFound,
            FaultKind::Unreachable => Self::Unreachable,
            FaultKind::Expectation => Self::Expectation,
            FaultKind::Internal => Self::Internal,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
