//! ES9+ from the LPA's side: SGP.22 sections 5.6 and 6.5, JSON binding.

use http::header::{HeaderValue, USER_AGENT};
use rsp::ids::Version;
use rsp::sgp22::es9plus::{Function, HandleNotification, HandleNotificationRequest, path};
use rsp::sgp22::json::{self, Answer, NotAnAnswer, StatusCodeData};
use rsp::status::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;
use world::{Link, LinkFault, Outcome};

use crate::Teller;

/// How an LPA in the device names itself: SGP.22 section 6.2.
const LPAD: HeaderValue = HeaderValue::from_static("gsma-rsp-lpad");

/// One SM-DP+ or SM-DS, asked over one link.
pub(super) struct Es9Plus<'a> {
    pub(super) link: Link,
    pub(super) address: String,
    pub(super) version: Version,
    /// How often a request is sent when no answer comes.
    pub(super) tries: u32,
    pub(super) teller: &'a Teller,
    pub(super) traffic: &'a mut HttpTraffic,
}

/// Requests to servers and the octets of their bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpTraffic {
    /// Requests sent, repetitions included.
    pub requests: u64,
    /// Octets of request bodies.
    pub sent: u64,
    /// Octets of response bodies.
    pub received: u64,
}

/// Why a server did not do what it was asked, and what can be done. The variant says where the fault lies.
#[derive(Debug, thiserror::Error)]
pub enum Es9Error {
    /// No answer came.
    #[error("{function}: {fault}; {}", .fault.next())]
    Link {
        /// What was asked.
        function: &'static str,
        /// Why no answer came.
        fault: LinkFault,
    },
    /// The server refused.
    #[error("{function}: the server refused with {status}; {}", after(.status))]
    Refused {
        /// What was asked.
        function: &'static str,
        /// Subject and reason.
        status: StatusCodeData,
    },
    /// The answer is not one of ES9+.
    #[error("{function}: {why}; check that the address is an SM-DP+'s or SM-DS's, and look at its log")]
    Answer {
        /// What was asked.
        function: &'static str,
        /// What is wrong with it.
        why: NotAnAnswer,
    },
}

impl Es9Error {
    /// The row of the status table, if the server refused with one.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Refused { status, .. } => status.status(),
            Self::Link { .. } | Self::Answer { .. } => None,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Refused { status, .. } => Outcome::Refused(status.to_string()),
            Self::Link { fault, .. } => Outcome::Failed(fault.to_string()),
            Self::Answer { why, .. } => Outcome::Failed(why.to_string()),
        }
    }
}

impl Es9Plus<'_> {
    /// Calls a function whose answer has a body.
    pub(super) async fn call<F: Function>(&mut self, request: &F::Request) -> Result<F::Reply, Es9Error>
    where
        F::Request: Serialize,
        F::Reply: DeserializeOwned,
    {
        self.send(F::NAME, request, |response| match json::answer(response) {
            Ok(Answer::Done(reply)) => Ok(reply),
            Ok(Answer::Refused(status)) => Err(Es9Error::Refused { function: F::NAME, status }),
            Err(why) => Err(Es9Error::Answer { function: F::NAME, why }),
        })
        .await
    }

    /// ES9+.HandleNotification: taken when the answer is 204, or 200 without a refusal in it.
    pub(super) async fn handle_notification(
        &mut self,
        request: &HandleNotificationRequest,
    ) -> Result<(), Es9Error> {
        const FUNCTION: &str = HandleNotification::NAME;
        self.send(FUNCTION, request, |response| {
            let status = response.status();
            if status == http::StatusCode::NO_CONTENT || status.is_success() && response.body().is_empty() {
                return Ok(());
            }
            match json::answer::<serde_json::Value>(response) {
                Ok(Answer::Done(_)) => Ok(()),
                Ok(Answer::Refused(status)) => Err(Es9Error::Refused { function: FUNCTION, status }),
                Err(why) => Err(Es9Error::Answer { function: FUNCTION, why }),
            }
        })
        .await
    }

    /// Sends until an answer comes, at most [`Self::tries`] times, the same octets each time.
    async fn send<Request: Serialize, T>(
        &mut self,
        function: &'static str,
        request: &Request,
        read: impl Fn(&http::Response<bytes::Bytes>) -> Result<T, Es9Error>,
    ) -> Result<T, Es9Error> {
        let mut tries_left = self.tries.max(1);
        loop {
            tries_left = tries_left.saturating_sub(1);
            let mut http = json::request(&path(function), self.version, request);
            http.headers_mut().insert(USER_AGENT, LPAD);
            let sent = http.body().len();
            self.traffic.requests = self.traffic.requests.saturating_add(1);
            self.traffic.sent = self.traffic.sent.saturating_add(octets(sent));
            let response = world::send(&self.link, http).await;
            let received = response.as_ref().map_or(0, |response| response.body().len());
            self.traffic.received = self.traffic.received.saturating_add(octets(received));
            let result = match &response {
                Ok(response) => read(response),
                Err(fault) => Err(Es9Error::Link { function, fault: fault.clone() }),
            };
            let outcome = result.as_ref().map_or_else(Es9Error::outcome, |_| Outcome::Done);
            let event = self.teller.event(spelled(function)).with_peer("ES9+", self.address.clone());
            self.teller.tell(event.with_bytes(sent, received).with_outcome(outcome));
            match result {
                Err(Es9Error::Link { .. }) if tries_left > 0 => {}
                result => return result,
            }
        }
    }
}

/// What the user of an LPA can do about a refusal.
fn after(refusal: &StatusCodeData) -> &'static str {
    match refusal.status() {
        Some(Status::MatchingIdRefused | Status::SmdpAddressRefused) => {
            "check the activation code, or ask the operator for another"
        }
        Some(Status::EidNotAllowed | Status::EidAssociation) => {
            "use the device that the profile was ordered for, or have it ordered for this one"
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
        ) => "have the operator order the profile anew",
        Some(Status::ProfileNotEligible) => "have the operator order a profile that suits this device",
        Some(Status::EuiccInsufficientMemory) => "delete a profile from the card, and try again",
        Some(
            Status::CiForSigningUnsupported
            | Status::CiForVerificationUnavailable
            | Status::SmdsCiForSigningUnsupported
            | Status::SmdsCiForVerificationUnavailable
            | Status::CiUnknown,
        ) => "use a card and a server below the same CI",
        Some(Status::SmdsAddressRefused) => "check the address of the SM-DS",
        Some(Status::EventUnknown) => "ask the SM-DS for everything that waits",
        Some(Status::TransactionUnknown) => "begin the download again",
        _ => "the server's log says more",
    }
}

/// The standard's spelling of a function's name in a path.
fn spelled(function: &'static str) -> String {
    let mut letters = function.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn octets(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
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
    fn every_error_says_what_to_do_next() {
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
        let fault = LinkFault::new(LinkFaultKind::Refused, "smdp.example.com", "nobody listens");
        for (error, next) in [
            (Es9Error::Link { function, fault: fault.clone() }, fault.next()),
            (refused("8.2.6", "3.8"), "check the activation code, or ask the operator for another"),
            (refused("9.9", "9.9"), "the server's log says more"),
            (
                Es9Error::Answer { function, why: NotAnAnswer::NoStatusCode },
                "check that the address is an SM-DP+'s or SM-DS's, and look at its log",
            ),
        ] {
            assert!(error.to_string().ends_with(&format!("; {next}")), "{error}");
        }
    }
}
