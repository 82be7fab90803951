//! Kinds of the failures of a device, for the exit status and the JSON form of the error.

use std::fmt::Display;

use device::{
    CardError, DownloadError, Ending, Es10Error, NotRegistered, Rejected,
    es10::ResultCode,
    lpa::{Cancelled, ChangeError, Es9Error, SessionError},
    modem::NoService,
    usim::UsimError,
};
use network::EmmCause;
use rsp::sgp22::CancelSessionReason;
use world::{Fault, FaultKind, LinkFaultKind, PeerStatus};

use crate::advice::Server;

/// A failure of a procedure.
pub(super) trait Failure: Display {
    /// Returns the kind of the failure.
    fn kind(&self) -> FaultKind;

    /// Returns the status code of the server, if it refused with one.
    fn peer_status(&self) -> Option<PeerStatus> {
        None
    }

    /// Returns advice that names a command or an option, if there is one for this failure.
    fn next(&self) -> Option<String> {
        None
    }
}

/// Returns the fault of a failed procedure.
pub(super) fn failed(failure: &impl Failure, what: &str) -> Fault {
    let next = failure.next().unwrap_or_else(|| "see the failed step in the timeline above".to_owned());
    let fault = Fault::new(what, failure.to_string(), next);
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

    fn next(&self) -> Option<String> {
        match self {
            Self::Interface { .. } => Some(
                "serve the card with `landfall euicc serve` or `landfall up`, or correct --card".to_owned(),
            ),
            Self::Status { .. } | Self::Answer { .. } => None,
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

    fn next(&self) -> Option<String> {
        match self {
            Self::Card(error) => error.next(),
            Self::Refused { .. } if self.kind() == FaultKind::NotFound => Some(
                "`landfall device list` lists the profiles of the card; --eid or --serial chooses another card"
                    .to_owned(),
            ),
            Self::Refused { .. } => None,
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

    fn next(&self) -> Option<String> {
        match self {
            Self::Es10(error) => error.next(),
            Self::UnexpectedState { .. } => None,
        }
    }
}

/// Advice if the card and the server have different CIs.
const OTHER_PKI: &str = "use one PKI for the card and the server: the same folder with --pki, or folders that were \
     created with the same --seed; `landfall certs show` lists the certificates";

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

    fn next(&self) -> Option<String> {
        match self {
            Self::Link { fault, .. } => Some(Server::OfProfile.next(fault.kind)),
            Self::Refused { status, .. } => {
                let (subject, reason) = (&status.subject_code, &status.reason_code);
                Some(match subject.as_str() {
                    // CI public key, EUM certificate, eUICC certificate.
                    "8.8.2" | "8.1.2" | "8.1.3" => OTHER_PKI.to_owned(),
                    "8.2.7" => "give the confirmation code of the order with --confirmation-code-file".to_owned(),
                    "8.2" | "8.2.5" | "8.2.6" | "8.1.1" => {
                        "`landfall sm-dp list` lists the orders with their MatchingIDs; `landfall operator order` \
                         orders a profile"
                            .to_owned()
                    }
                    _ => format!("`landfall explain {subject}/{reason}` explains the code"),
                })
            }
            Self::Answer { .. } => Some(Server::OfProfile.next(LinkFaultKind::Protocol)),
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

    fn next(&self) -> Option<String> {
        match self {
            Self::Setup(fault) => Some(fault.next.clone()),
            Self::Card(error) => error.next(),
            Self::Server(error) => error.next(),
            Self::ServerFlaw(_) | Self::ServerNotAuthenticated(_) => Some(OTHER_PKI.to_owned()),
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

    fn next(&self) -> Option<String> {
        match self {
            Self::Session(error) => error.next(),
            Self::Cancelled(Cancelled { reason: CancelSessionReason::POSTPONED, .. }) => Some(
                "the order stays usable: delete the profile of the card with `landfall device delete ICCID`, or \
                 give the confirmation code with --confirmation-code-file"
                    .to_owned(),
            ),
            Self::NotPrepared(_) | Self::Cancelled(_) | Self::NotInstalled { .. } => None,
        }
    }
}

impl Failure for NotRegistered {
    fn kind(&self) -> FaultKind {
        match self.why {
            NoService::Card(_) => FaultKind::NotFound,
            NoService::NoCoverage | NoService::Lost(_) => FaultKind::Unreachable,
            NoService::Refused(_) | NoService::Forbidden(_) => FaultKind::Refused,
        }
    }

    fn next(&self) -> Option<String> {
        Some(match &self.why {
            NoService::Card(UsimError::NoUsim) => {
                "enable a profile with `landfall device enable ICCID`; `landfall \
                 device list` lists them, and `landfall device download` downloads one"
                    .to_owned()
            }
            NoService::Card(_) => return None,
            NoService::NoCoverage if self.tried.is_empty() => {
                "give the networks in reach with --visible, such as \
                 --visible 724-99; `landfall network list networks` lists them"
                    .to_owned()
            }
            NoService::NoCoverage => {
                "correct --visible: `landfall network list networks` lists the networks and \
                 their coverage; `landfall network add PACKAGE` adds a subscriber and its home network"
                    .to_owned()
            }
            NoService::Refused(EmmCause::IMSI_UNKNOWN_IN_HSS) => {
                "add the subscriber with `landfall network add \
                 PACKAGE`, or start the networks with --subscriber PACKAGE"
                    .to_owned()
            }
            NoService::Refused(cause) => cause.next()?.to_owned(),
            NoService::Forbidden(_) => {
                "change the policy of the network, and try again after T3247 (45 minutes), or register in a \
                 network that has not refused the device"
                    .to_owned()
            }
            NoService::Lost(_) => Server::Networks.next(LinkFaultKind::Refused),
        })
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

    fn next(&self) -> Option<String> {
        match self {
            Self::NotEnabled(error) => error.next(),
            Self::NotRegistered(error) => error.next(),
            Self::NoSuchProfile => None,
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

    fn next(&self) -> Option<String> {
        match self.0 {
            Ending::CameBack { why, .. } | Ending::Stranded { why, .. } => why.next(),
            Ending::NotInstalled(error) => error.next(),
            Ending::Fault(fault) => Some(fault.next.clone()),
            Ending::Moved(_) => None,
        }
    }
}
