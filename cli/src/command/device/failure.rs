//! Kinds of the failures of a device, for the exit status and the JSON form of the error.

use std::fmt::Display;

use device::{
    CardError, DownloadError, Ending, Es10Error, NotRegistered, Rejected,
    es10::ResultCode,
    lpa::{ChangeError, Es9Error, SessionError},
    modem::NoService,
};
use world::{Fault, FaultKind, PeerStatus};

/// A failure of a procedure.
pub(super) trait Failure: Display {
    /// Returns the kind of the failure.
    fn kind(&self) -> FaultKind;

    /// Returns the status code of the server, if it refused with one.
    fn peer_status(&self) -> Option<PeerStatus> {
        None
    }
}

/// Returns the fault of a failed procedure.
pub(super) fn failed(failure: &impl Failure, what: &str) -> Fault {
    let fault = Fault::new(what, failure.to_string(), "see the failed step in the timeline above");
    match failure.kind() {
        FaultKind::Refused => fault.refused_with(failure.peer_status()),
        kind => fault.of_kind(kind),
    }
}

impl Failure for CardError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Interface { .. } => FaultKind::Unreachable,
            Self::Status { .. } => FaultKind::Refused,
            Self::Answer { .. } => FaultKind::Internal,
        }
    }
}

/// Result code `iccidOrAidNotFound` of the functions in [`ON_A_PROFILE`] (SGP.22 sections 5.7.16 to
/// 5.7.18).
const ICCID_NOT_FOUND: i64 = 1;
const ON_A_PROFILE: [&str; 3] = ["EnableProfile", "DisableProfile", "DeleteProfile"];

impl Failure for Es10Error {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Card(error) => error.kind(),
            Self::Refused { function, code: ResultCode { number: ICCID_NOT_FOUND, .. } }
                if ON_A_PROFILE.contains(function) =>
            {
                FaultKind::NotFound
            }
            Self::Refused { .. } => FaultKind::Refused,
        }
    }
}

impl Failure for ChangeError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Es10(error) => error.kind(),
            Self::UnexpectedState { .. } => FaultKind::Internal,
        }
    }
}

impl Failure for Es9Error {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Link { .. } => FaultKind::Unreachable,
            Self::Refused { .. } => FaultKind::Refused,
            Self::Answer { .. } => FaultKind::Internal,
        }
    }

    fn peer_status(&self) -> Option<PeerStatus> {
        match self {
            Self::Refused { status, .. } => Some(status.clone().into()),
            Self::Link { .. } | Self::Answer { .. } => None,
        }
    }
}

impl Failure for SessionError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Setup(fault) => fault.kind,
            Self::Card(error) => error.kind(),
            Self::Server(error) => error.kind(),
            Self::ServerFlaw(_) | Self::ServerNotAuthenticated(_) => FaultKind::Refused,
        }
    }

    fn peer_status(&self) -> Option<PeerStatus> {
        match self {
            Self::Server(error) => error.peer_status(),
            Self::Setup(_) | Self::Card(_) | Self::ServerFlaw(_) | Self::ServerNotAuthenticated(_) => None,
        }
    }
}

impl Failure for DownloadError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Session(error) => error.kind(),
            Self::NotPrepared(_) | Self::Cancelled(_) | Self::NotInstalled { .. } => FaultKind::Refused,
        }
    }

    fn peer_status(&self) -> Option<PeerStatus> {
        match self {
            Self::Session(error) => error.peer_status(),
            Self::NotPrepared(_) | Self::Cancelled(_) | Self::NotInstalled { .. } => None,
        }
    }
}

impl Failure for NotRegistered {
    fn kind(&self) -> FaultKind {
        match self.why {
            NoService::Card(_) => FaultKind::NotFound,
            NoService::NoCoverage | NoService::Lost(_) => FaultKind::Unreachable,
            NoService::Refused(_) => FaultKind::Refused,
        }
    }
}

impl Failure for Rejected {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NotEnabled(error) => error.kind(),
            Self::NotRegistered(error) => error.kind(),
            Self::NoSuchProfile => FaultKind::NotFound,
        }
    }
}

/// The end of a move that failed.
pub(super) struct FailedMove<'a>(pub(super) &'a Ending);

impl Display for FailedMove<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::demo::in_words(self.0))
    }
}

impl Failure for FailedMove<'_> {
    fn kind(&self) -> FaultKind {
        match self.0 {
            Ending::CameBack { why, .. } | Ending::Stranded { why, .. } => why.kind(),
            Ending::NotInstalled(error) => error.kind(),
            Ending::Fault(fault) => fault.kind,
            Ending::Moved(_) => FaultKind::Internal,
        }
    }

    fn peer_status(&self) -> Option<PeerStatus> {
        match self.0 {
            Ending::NotInstalled(error) => error.peer_status(),
            _ => None,
        }
    }
}
