//! ES9+ from the LPA's side: SGP.22 sections 5.6 and 6.5, JSON binding.

use http::header::{HeaderValue, USER_AGENT};
use rsp::ids::Version;
use rsp::sgp22::Function;
use rsp::sgp22::es9plus::HandleNotification;
use rsp::sgp22::json::{self, InvalidResponse, StatusCodeData};
use rsp::status::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;
use world::{Call, CallError, Link, LinkFault};

use super::requests::HandleNotificationRequest;
use crate::EventSource;

/// The User-Agent of an LPA in the device: SGP.22 section 6.2.
pub const USER_AGENT_LPAD: &str = "gsma-rsp-lpad";

/// A client of one SM-DP+ or SM-DS, over one link.
pub(super) struct Es9Plus<'a> {
    pub(super) link: Link,
    pub(super) address: String,
    pub(super) version: Version,
    pub(super) user_agent: &'static str,
    /// Maximum attempts for a request that gets no response.
    pub(super) tries: u32,
    pub(super) events: &'a EventSource,
    pub(super) traffic: &'a mut HttpTraffic,
}

/// The number of requests to servers and the octets of their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpTraffic {
    /// Requests sent, including repetitions.
    pub requests: u64,
    /// Octets of request bodies.
    pub sent: u64,
    /// Octets of response bodies.
    pub received: u64,
}

/// The reason why a request to a server failed, with advice. The variant identifies the party at
/// fault.
#[derive(Debug, thiserror::Error)]
pub enum Es9Error {
    /// There was no response.
    #[error("{function}: {fault}; {}", .fault.next())]
    Link {
        /// The function.
        function: &'static str,
        /// The reason.
        fault: LinkFault,
    },
    /// The server refused.
    #[error("{function}: the server refused with {status}; {}", advice(.status))]
    Refused {
        /// The function.
        function: &'static str,
        /// The subject code and reason code.
        status: StatusCodeData,
    },
    /// The response is not a valid ES9+ response.
    #[error("{function}: {why}; {}", advice_on_invalid(.why))]
    Answer {
        /// The function.
        function: &'static str,
        /// The violation.
        why: InvalidResponse,
    },
}

impl Es9Error {
    /// Returns the status table entry, if the server refused with one.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Refused { status, .. } => status.status(),
            Self::Link { .. } | Self::Answer { .. } => None,
        }
    }

    fn new(function: &'static str, error: CallError) -> Self {
        match error {
            CallError::Link(fault) => Self::Link { function, fault },
            CallError::Refused(status) => Self::Refused { function, status },
            CallError::Invalid(why) => Self::Answer { function, why },
        }
    }
}

impl Es9Plus<'_> {
    /// Calls a function whose response has a body.
    pub(super) async fn call<F: Function>(&mut self, request: &impl Serialize) -> Result<F::Reply, Es9Error>
    where
        F::Reply: DeserializeOwned,
    {
        self.send::<F, _>(request, world::reply).await
    }

    /// Calls ES9+.HandleNotification. The notification is accepted if the response has a 2xx status
    /// and does not contain a refusal.
    pub(super) async fn handle_notification(
        &mut self,
        request: &HandleNotificationRequest,
    ) -> Result<(), Es9Error> {
        self.send::<HandleNotification, _>(request, world::acknowledgement).await
    }

    /// Sends the same octets until there is a response, at most [`Self::tries`] times.
    async fn send<F: Function, T>(
        &mut self,
        request: &impl Serialize,
        read: impl Fn(&http::Response<bytes::Bytes>) -> Result<T, CallError>,
    ) -> Result<T, Es9Error> {
        let mut tries_left = self.tries.max(1);
        loop {
            tries_left = tries_left.saturating_sub(1);
            let mut http = json::request(&F::path(), self.version, request);
            http.headers_mut().insert(USER_AGENT, HeaderValue::from_static(self.user_agent));
            let call = Call::send(&self.link, http).await.read(&read);
            self.traffic.count(call.sent, call.received);
            let event = self.events.event(F::title()).with_peer("ES9+", self.address.clone());
            let event = event.with_bytes(call.sent, call.received).with_outcome(call.outcome());
            self.events.emit(event.with_findings(call.findings));
            match call.result {
                Err(CallError::Link(_)) if tries_left > 0 => {}
                result => return result.map_err(|error| Es9Error::new(F::NAME, error)),
            }
        }
    }
}

impl HttpTraffic {
    /// Counts a request with the octets of both bodies.
    pub(crate) fn count(&mut self, sent: usize, received: usize) {
        self.requests = self.requests.saturating_add(1);
        self.sent = self.sent.saturating_add(octets(sent));
        self.received = self.received.saturating_add(octets(received));
    }
}

/// Returns advice for the user about an invalid response.
fn advice_on_invalid(why: &InvalidResponse) -> &'static str {
    match why.is_server_failure() {
        true => "try again; if it fails again, correct the problem at the server, whose log has the details",
        false => "check that the address is that of an SM-DP+ or SM-DS, and check the server's log",
    }
}

/// Returns advice for the user about a refusal.
fn advice(refusal: &StatusCodeData) -> &'static str {
    match refusal.status() {
        Some(Status::MatchingIdRefused | Status::SmdpAddressRefused) => {
            "check the activation code, or ask the operator for another"
        }
        Some(Status::EidNotAllowed | Status::EidAssociation) => {
            "use the device that the profile was ordered for, or have the profile ordered for this device"
        }
        Some(Status::ConfirmationCodeMissing | Status::ConfirmationCodeRefused) => {
            "try again with the confirmation code that the operator gave"
        }
        Some(Status::ProfileNotReleased) => "try again later, or have the operator release the profile",
        Some(
            Status::ConfirmationCodeRetriesExceeded
            | Status::OrderExpired
            | Status::DownloadAttemptsExceeded
            | Status::ProfileUnavailable,
        ) => "have the operator order the profile again",
        Some(Status::ProfileNotEligible) => "have the operator order a profile that suits this device",
        Some(Status::EuiccInsufficientMemory) => "delete a profile from the card, and try again",
        Some(
            Status::CiForSigningUnsupported
            | Status::CiForVerificationUnavailable
            | Status::SmdsCiForSigningUnsupported
            | Status::SmdsCiForVerificationUnavailable
            | Status::CiUnknown,
        ) => "use a card and a server that share a CI",
        Some(Status::SmdsAddressRefused) => "check the address of the SM-DS",
        Some(Status::EventUnknown) => "repeat the event retrieval from the SM-DS",
        Some(Status::TransactionUnknown) => "restart the download",
        _ => "see the server's log for details",
    }
}

fn octets(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

impl std::ops::Add for HttpTraffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            sent: self.sent.saturating_add(other.sent),
            received: self.received.saturating_add(other.received),
        }
    }
}

impl std::ops::Sub for HttpTraffic {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            sent: self.sent.saturating_sub(other.sent),
            received: self.received.saturating_sub(other.received),
        }
    }
}

#[cfg(test)]
mod tests {
    use world::LinkFaultKind;

    use super::*;

    #[test]
    fn every_error_contains_advice() {
        let function = "authenticateClient";
        let refused = |code: &str, reason: &str| Es9Error::Refused {
            function,
            status: StatusCodeData {
                subject_code: code.to_owned(),
                reason_code: reason.to_owned(),
                subject_identifier: None,
                message: None,
            },
        };
        let fault = LinkFault::new(LinkFaultKind::Refused, "smdp.example.com", "no listener");
        for (error, next) in [
            (Es9Error::Link { function, fault: fault.clone() }, fault.next()),
            (refused("8.2.6", "3.8"), "check the activation code, or ask the operator for another"),
            (
                refused("8.1.1", "3.8"),
                "use the device that the profile was ordered for, or have the profile ordered for this device",
            ),
            (
                refused("8.1.1", "3.10"),
                "use the device that the profile was ordered for, or have the profile ordered for this device",
            ),
            (refused("8.2.7", "2.2"), "try again with the confirmation code that the operator gave"),
            (refused("8.2.7", "3.8"), "try again with the confirmation code that the operator gave"),
            (refused("8.2", "1.2"), "try again later, or have the operator release the profile"),
            (refused("8.2.7", "6.4"), "have the operator order the profile again"),
            (refused("8.8.5", "4.10"), "have the operator order the profile again"),
            (refused("8.8.5", "6.4"), "have the operator order the profile again"),
            (refused("8.2", "3.7"), "have the operator order the profile again"),
            (refused("8.2.5", "4.3"), "have the operator order a profile that suits this device"),
            (refused("8.1", "4.8"), "delete a profile from the card, and try again"),
            (refused("8.8.2", "3.1"), "use a card and a server that share a CI"),
            (refused("8.9.1", "3.8"), "check the address of the SM-DS"),
            (refused("8.9.5", "3.9"), "repeat the event retrieval from the SM-DS"),
            (refused("8.10.1", "3.9"), "restart the download"),
            (refused("9.9", "9.9"), "see the server's log for details"),
            (
                Es9Error::Answer { function, why: InvalidResponse::NoStatusCode },
                "check that the address is that of an SM-DP+ or SM-DS, and check the server's log",
            ),
            (
                Es9Error::Answer {
                    function,
                    why: InvalidResponse::ServerFailed {
                        status: http::StatusCode::INTERNAL_SERVER_ERROR,
                        report: None,
                    },
                },
                "try again; if it fails again, correct the problem at the server, whose log has the details",
            ),
        ] {
            assert!(error.to_string().ends_with(&format!("; {next}")), "{error}");
        }
    }
}
