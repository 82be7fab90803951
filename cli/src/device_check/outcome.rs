//! The outcome of a case. The SM-DP+ and the card decide it, not the exit status of the device alone.

use std::fmt;

use faults::{FalseStatement, FaultId, LinkAct};
use schemars::JsonSchema;
use serde::Serialize;
use sm_dp::ProfileState;

use super::{
    calls::{Call, CardFinding, Reply},
    cases::{Case, HANDSHAKE},
    command::Run,
};

/// The outcome of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The first run installed the profile.
    RecoveredDirectly,
    /// A later run installed the profile.
    RecoveredAfterRetry,
    /// The device refused a tampered or damaged message and reported this, which ends the order.
    Refused,
    /// The fault did not occur.
    NotReached,
    /// The order is usable, but the profile is not installed after the last retry.
    NotRecovered,
    /// The profile is not on the device, and the SM-DP+ has no usable order any more.
    OrderLost,
    /// The device accepted a tampered message.
    WronglyAccepted,
    /// A run did not end in time.
    Stuck,
}

impl Outcome {
    /// All outcomes, good ones first.
    pub(crate) const ALL: [Self; 8] = [
        Self::RecoveredDirectly,
        Self::RecoveredAfterRetry,
        Self::Refused,
        Self::NotReached,
        Self::NotRecovered,
        Self::OrderLost,
        Self::WronglyAccepted,
        Self::Stuck,
    ];

    /// True if the device failed the case.
    pub(crate) const fn is_failure(self) -> bool {
        matches!(self, Self::NotRecovered | Self::OrderLost | Self::WronglyAccepted | Self::Stuck)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RecoveredDirectly => "recovered directly",
            Self::RecoveredAfterRetry => "recovered after retry",
            Self::Refused => "refused",
            Self::NotReached => "not reached",
            Self::NotRecovered => "not recovered",
            Self::OrderLost => "order lost",
            Self::WronglyAccepted => "wrongly accepted",
            Self::Stuck => "stuck",
        })
    }
}

/// The observations of a case so far.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The runs of the command.
    pub(crate) runs: Vec<Run>,
    /// The calls of each run.
    pub(crate) calls: Vec<Vec<Call>>,
    /// The state of the ordered profile at the SM-DP+.
    pub(crate) state: ProfileState,
    /// True if the profile is on the card; `None` if the card cannot be read.
    pub(crate) on_card: Option<bool>,
    /// Number of pending notifications on the card, if it can be read.
    pub(crate) pending_notifications: Option<usize>,
    /// Number of times that the fault occurred.
    pub(crate) injected: u32,
    /// Deviations of the card that the LPA accepted.
    pub(crate) card_findings: Vec<CardFinding>,
}

impl Evidence {
    /// True if the profile is installed, as far as can be observed.
    pub(crate) fn is_installed(&self) -> bool {
        let delivered = self.state == ProfileState::Downloaded && self.runs.iter().any(Run::succeeded);
        self.on_card.unwrap_or(delivered) || self.state == ProfileState::Installed
    }

    /// True if the order has ended without an installation.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, ProfileState::Error | ProfileState::Unavailable)
    }

    /// True if a run did not end in time.
    pub(crate) fn is_stuck(&self) -> bool {
        self.runs.iter().any(|run| run.timed_out)
    }

    /// True if no retry is needed. `reports` is true if the command delivers the installation result
    /// when no fault occurs.
    pub(crate) fn is_done(&self, reports: bool) -> bool {
        self.is_installed() && (!reports || self.state == ProfileState::Installed)
    }

    /// The calls of the session in which the fault occurred, from the faulty call on.
    fn faulty_session(&self) -> Option<(&[Call], &[Call])> {
        let calls = self.calls.iter().find(|calls| calls.iter().any(|call| call.faulty))?;
        let at = calls.iter().position(|call| call.faulty)?;
        let after = calls.get(at + 1..)?;
        let end = after.iter().position(|call| call.function == "ES9+.InitiateAuthentication");
        Some((after.get(..end.unwrap_or(after.len()))?, after.get(end.unwrap_or(after.len())..)?))
    }

    /// True if the device accepted the tampered message: the profile was installed in that session,
    /// or the LPA continued a session that it had to end itself.
    pub(crate) fn is_wrongly_accepted(&self, case: &Case) -> bool {
        let act = match case.entry.id {
            FaultId::Tamper(act) => act,
            // The certificate is invalid in all connections of the first run.
            FaultId::Tls(_) => return self.calls.first().is_some_and(|calls| !calls.is_empty()),
            _ => return false,
        };
        let Some((session, later)) = self.faulty_session() else { return false };
        let is_continued =
            |function| session.iter().any(|call| call.function == function && call.reply == Reply::Accepted);
        let is_by_lpa = case.entry.peer == "LPA";
        match case.function {
            "ES9+.InitiateAuthentication" if is_by_lpa && is_continued("ES9+.AuthenticateClient") => true,
            // False metadata can be detected only when the package arrives.
            "ES9+.AuthenticateClient"
                if is_by_lpa
                    && !matches!(act, FalseStatement::Metadata(_))
                    && is_continued("ES9+.GetBoundProfilePackage") =>
            {
                true
            }
            _ => later.is_empty() && self.runs.len() == 1 && self.is_installed(),
        }
    }

    /// The reply with which the SM-DP+ refused a call of the last run, if it did. A refusal in the run
    /// of the fault can be a consequence of the fault, so only a retry counts.
    fn last_refusal(&self) -> Option<(&str, &str)> {
        let calls = self.calls.last().filter(|calls| calls.iter().all(|call| !call.faulty))?;
        calls.iter().rev().find_map(|call| match &call.reply {
            Reply::Refused(code) => Some((call.function.as_str(), code.as_str())),
            _ => None,
        })
    }

    /// True if the device ended the order because it refused the changed message. A message that the
    /// link damaged ends an order only through an installation error of the eUICC; an LPA that cannot
    /// read a reply has to try again.
    fn ended_by_device(&self, case: &Case) -> bool {
        // After a failure of the card, the LPA cancels the session with loadBppExecutionError, which
        // ends the order: SGP.22 section 5.7.14.
        if let FaultId::Apdu(_) = case.entry.id {
            let mut calls = self.calls.iter().flatten();
            return calls.any(|call| call.function == "ES9+.CancelSession" && call.reply == Reply::Accepted);
        }
        let functions: &[&str] = match case.entry.id {
            FaultId::Tamper(_) => &["ES9+.CancelSession", "ES9+.HandleNotification"],
            FaultId::Link(LinkAct::CorruptAnswer | LinkAct::TruncateAnswer) => &["ES9+.HandleNotification"],
            _ => &[],
        };
        let ends = |call: &Call| functions.contains(&call.function.as_str()) && call.reply == Reply::Accepted;
        self.faulty_session().is_some_and(|(session, _)| session.iter().any(ends))
    }

    /// Decides the outcome, and describes it.
    pub(crate) fn decide(&self, case: &Case, reports: bool) -> (Outcome, String) {
        let outcome = self.outcome(case, reports);
        (outcome, self.detail(case, outcome))
    }

    fn outcome(&self, case: &Case, reports: bool) -> Outcome {
        if self.is_stuck() {
            Outcome::Stuck
        } else if self.is_wrongly_accepted(case) {
            Outcome::WronglyAccepted
        } else if self.is_done(reports) {
            match self.runs.len() {
                _ if self.injected == 0 => Outcome::NotReached,
                1 => Outcome::RecoveredDirectly,
                _ => Outcome::RecoveredAfterRetry,
            }
        } else if self.is_closed() && self.ended_by_device(case) {
            Outcome::Refused
        } else if !self.is_installed() && (self.is_closed() || self.last_refusal().is_some()) {
            Outcome::OrderLost
        } else {
            Outcome::NotRecovered
        }
    }

    /// The reason why the order is not usable, as far as the calls show it.
    fn why_lost(&self) -> String {
        let accepted = |function| {
            let mut calls = self.calls.iter().flatten();
            calls.find(move |call| call.function == function && call.reply == Reply::Accepted)
        };
        if self.state == ProfileState::Error {
            if let Some(call) = accepted("ES9+.CancelSession") {
                let reason = call.cancel_reason.as_deref().unwrap_or("without a readable reason");
                return format!("the device cancelled the session: {reason}");
            }
            if accepted("ES9+.HandleNotification").is_some() {
                return "the device reported an installation error".to_owned();
            }
        }
        let refusal = self.last_refusal();
        refusal.map_or_else(String::new, |(function, code)| format!("{function} is refused: {code}"))
    }

    fn detail(&self, case: &Case, outcome: Outcome) -> String {
        match outcome {
            Outcome::RecoveredDirectly => String::new(),
            Outcome::RecoveredAfterRetry => format!("retry {}", self.runs.len() - 1),
            Outcome::Refused if matches!(case.entry.id, FaultId::Apdu(_)) => {
                "the LPA cancelled the session, which ends the order".to_owned()
            }
            Outcome::Refused => "the device reported the refusal, which ends the order".to_owned(),
            Outcome::NotReached if case.function == HANDSHAKE => "the device did not connect".to_owned(),
            Outcome::NotReached => {
                let called = self.calls.iter().flatten().any(|call| call.function == case.function);
                match called {
                    true => {
                        format!("{} was called, but not with a message that can be changed", case.function)
                    }
                    false => format!("the device did not call {}", case.function),
                }
            }
            Outcome::NotRecovered if self.is_installed() => {
                "the profile is installed, but its installation result was not delivered".to_owned()
            }
            Outcome::NotRecovered | Outcome::OrderLost => {
                let state = format!("the profile is {} at the SM-DP+", self.state);
                match self.why_lost().as_str() {
                    "" => state,
                    why => format!("{state}; {why}"),
                }
            }
            Outcome::WronglyAccepted if matches!(case.entry.id, FaultId::Tls(_)) => {
                let first = self.calls.iter().flatten().next();
                let function = first.map_or_else(String::new, |call| call.function.clone());
                format!("the device called {function}; required: {}", case.entry.requirement)
            }
            Outcome::WronglyAccepted if self.is_installed() => {
                format!("the profile was installed; required: {}", case.entry.requirement)
            }
            Outcome::WronglyAccepted => {
                format!("the session went on; required: {}", case.entry.requirement)
            }
            Outcome::Stuck => "the command was stopped after --timeout".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::{self, Subject};
    use super::*;

    fn case(name: &str) -> Case {
        cases::select(Subject::Device, &[name.to_owned()]).unwrap().remove(0)
    }

    fn run(exit_status: i32) -> Run {
        Run { exit_status: Some(exit_status), timed_out: false, seconds: 1.0, output: String::new() }
    }

    /// A call; the fault occurs in a call whose name ends with `!`.
    fn call(name: &str, reply: Reply) -> Call {
        let function = format!("ES9+.{}", name.trim_end_matches('!'));
        let faulty = name.ends_with('!');
        Call {
            function,
            reply,
            faulty,
            user_agent: None,
            protocol: None,
            cancel_reason: None,
            findings: vec![],
        }
    }

    fn evidence(calls: Vec<Vec<Call>>, state: ProfileState, on_card: bool) -> Evidence {
        let runs = calls.iter().map(|_| run(i32::from(!on_card))).collect();
        let injected = calls.iter().flatten().filter(|call| call.faulty).count();
        let injected = u32::try_from(injected).unwrap();
        let (on_card, card_findings) = (Some(on_card), Vec::new());
        Evidence { runs, calls, state, on_card, pending_notifications: None, injected, card_findings }
    }

    const OFFER: &str = "tamper/transaction@ES9+.AuthenticateClient#1";
    const METADATA: &str = "tamper/metadata-name@ES9+.AuthenticateClient#1";
    const RESET: &str = "link/reset@ES9+.GetBoundProfilePackage#1";

    #[test]
    fn a_session_that_goes_on_after_a_tampered_message_is_wrongly_accepted() {
        let accepted = |name| call(name, Reply::Accepted);
        let calls = || vec![accepted("AuthenticateClient!"), accepted("GetBoundProfilePackage")];
        let open = evidence(vec![calls()], ProfileState::Downloaded, false);
        assert_eq!(open.decide(&case(OFFER), true).0, Outcome::WronglyAccepted);
        // False metadata is detected in the package.
        assert_ne!(open.decide(&case(METADATA), true).0, Outcome::WronglyAccepted);
        let installed = evidence(vec![calls()], ProfileState::Installed, true);
        assert_eq!(installed.decide(&case(METADATA), true).0, Outcome::WronglyAccepted);
        // A new session without the fault may install the profile.
        let again = vec![
            accepted("AuthenticateClient!"),
            accepted("InitiateAuthentication"),
            accepted("AuthenticateClient"),
            accepted("GetBoundProfilePackage"),
        ];
        let again = evidence(vec![again], ProfileState::Installed, true);
        assert_eq!(again.decide(&case(METADATA), true).0, Outcome::RecoveredDirectly);
    }

    #[test]
    fn an_order_that_the_device_ends_after_a_link_fault_is_lost() {
        let lost = vec![call("GetBoundProfilePackage!", Reply::None), call("CancelSession", Reply::Accepted)];
        let (outcome, detail) =
            evidence(vec![lost.clone()], ProfileState::Error, false).decide(&case(RESET), true);
        assert_eq!(outcome, Outcome::OrderLost);
        assert!(detail.contains("the device cancelled the session"), "{detail}");
        // The same end is a correct refusal of a tampered message.
        let refused = vec![call("AuthenticateClient!", Reply::Accepted), lost[1].clone()];
        let refused = evidence(vec![refused], ProfileState::Error, false);
        assert_eq!(refused.decide(&case(OFFER), true).0, Outcome::Refused);
        // A retry that the SM-DP+ refuses means that the order is not usable.
        let refusal = call("AuthenticateClient", Reply::Refused("8.2.6/3.8".to_owned()));
        let retried = evidence(vec![lost[..1].to_vec(), vec![refusal]], ProfileState::Downloaded, false);
        assert_eq!(retried.decide(&case(RESET), true).0, Outcome::OrderLost);
    }

    #[test]
    fn a_run_that_does_not_end_and_a_fault_that_does_not_occur_are_reported() {
        let mut stuck = evidence(vec![vec![]], ProfileState::Released, false);
        stuck.runs[0].timed_out = true;
        assert_eq!(stuck.decide(&case(RESET), true).0, Outcome::Stuck);
        let calls = vec![vec![call("GetBoundProfilePackage", Reply::Accepted)]];
        let installed = evidence(calls, ProfileState::Downloaded, true);
        assert_eq!(installed.decide(&case(RESET), false).0, Outcome::NotReached);
        // Without the fault, the command delivers the result.
        assert_eq!(installed.decide(&case(RESET), true).0, Outcome::NotRecovered);
    }
}
