//! The ES9+ calls of a device, as its SM-DP+ sees them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use faults::{FaultInjector, function_of};
use http::{HeaderMap, Request, Response, header};
use rsp::finding::Finding;
use rsp::sgp22::{es9plus::CancelSessionRequestEs9, es10b::CancelSessionResponse, json};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use world::{Event, Events, Link, LinkFault, link_from};

/// A call and its reply.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Call {
    /// The function, such as `ES9+.GetBoundProfilePackage`.
    pub(crate) function: String,
    /// The reply that the device received.
    pub(crate) reply: Reply,
    /// True if the fault occurred in this call.
    pub(crate) faulty: bool,
    /// The User-Agent header.
    pub(crate) user_agent: Option<String>,
    /// The X-Admin-Protocol header.
    pub(crate) protocol: Option<String>,
    /// The reason of ES9+.CancelSession, in the JSON binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cancel_reason: Option<String>,
    /// Deviations of the device that the SM-DP+ accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
}

/// A deviation of a card.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub(crate) struct CardFinding {
    /// The function in whose response it occurred, such as `ES10c.GetProfilesInfo`.
    pub(crate) function: String,
    pub(crate) finding: Finding,
}

/// The reply to a call.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// The SM-DP+ executed the function.
    Accepted,
    /// The SM-DP+ refused the call, with this status code or message.
    Refused(String),
    /// A reply with another HTTP status.
    Http(u16),
    /// The connection was closed without a reply.
    None,
}

/// Maximum number of calls of a case in the log. A correct device needs about ten for each run; a device
/// that repeats a call without end must not fill the memory.
const MAX_CALLS: usize = 1000;

/// The first [`MAX_CALLS`] calls of one case, in the order of their replies. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct CallLog(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    calls: Vec<Call>,
    /// The findings of the call whose reply has not arrived yet.
    findings: Vec<Finding>,
}

impl Events for CallLog {
    fn emit(&self, event: Event) {
        self.log().findings = event.findings;
    }
}

impl CallLog {
    /// Returns all calls so far.
    pub(crate) fn all(&self) -> Vec<Call> {
        self.log().calls.clone()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, call: Call) {
        let mut log = self.log();
        let findings = std::mem::take(&mut log.findings);
        if log.calls.len() < MAX_CALLS {
            log.calls.push(Call { findings, ..call });
        }
    }

    /// Wraps a server, with its faults, and records each call.
    pub(crate) fn over(&self, server: Link, injector: FaultInjector) -> Link {
        let log = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (log, server, injector) = (log.clone(), server.clone(), injector.clone());
            async move {
                let text = |headers: &HeaderMap, name: &str| {
                    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                };
                let function = function_of(&request)
                    .unwrap_or_else(|| format!("{} {}", request.method(), request.uri().path()));
                let user_agent = text(request.headers(), header::USER_AGENT.as_str());
                let protocol = text(request.headers(), "x-admin-protocol");
                let cancel_reason = cancel_reason(request.body());
                let before = injector.injected_count();
                let answer = world::send(&server, request).await;
                let reply = answer.as_ref().map_or(Reply::None, Reply::of);
                let faulty = injector.injected_count() > before;
                let findings = Vec::new();
                log.keep(Call { function, reply, faulty, user_agent, protocol, cancel_reason, findings });
                answer.map_err(|fault: LinkFault| fault)
            }
        }))
    }
}

fn cancel_reason(body: &[u8]) -> Option<String> {
    let request: CancelSessionRequestEs9 = json::read(body).ok()?;
    match request.cancel_session_response {
        CancelSessionResponse::CancelSessionResponseOk(ok) => {
            Some(ok.euicc_cancel_session_signed.reason.to_string())
        }
        CancelSessionResponse::CancelSessionResponseError(_) => None,
    }
}

impl Reply {
    fn of(answer: &Response<Bytes>) -> Self {
        let status = answer.status().as_u16();
        if !answer.status().is_success() {
            return Self::Http(status);
        }
        let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else { return Self::Accepted };
        let text = |path: &str| body.pointer(path).and_then(Value::as_str);
        if text("/header/functionExecutionStatus/status").is_none_or(|status| status == "Executed-Success") {
            return Self::Accepted;
        }
        let [subject, reason, message] = ["subjectCode", "reasonCode", "message"].map(|key| {
            text(&format!("/header/functionExecutionStatus/statusCodeData/{key}")).unwrap_or_default()
        });
        let code = format!("{subject}/{reason} {message}");
        Self::Refused(code.trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply::of(&Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap())
    }

    #[test]
    fn a_device_that_calls_without_end_does_not_fill_the_log() {
        let log = CallLog::default();
        let call = Call {
            function: "ES9+.InitiateAuthentication".to_owned(),
            reply: Reply::None,
            faulty: false,
            user_agent: None,
            protocol: None,
            cancel_reason: None,
            findings: Vec::new(),
        };
        for _ in 0..=MAX_CALLS {
            log.keep(call.clone());
        }
        assert_eq!(log.all().len(), MAX_CALLS);
    }

    #[test]
    fn a_reply_is_accepted_refused_or_an_http_error() {
        assert_eq!(reply(204, ""), Reply::Accepted);
        assert_eq!(reply(503, ""), Reply::Http(503));
        let done = r#"{"header":{"functionExecutionStatus":{"status":"Executed-Success"}}}"#;
        assert_eq!(reply(200, done), Reply::Accepted);
        let refused = r#"{"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":
            {"subjectCode":"8.2.6","reasonCode":"3.8","message":"unknown MatchingID"}}}}"#;
        assert_eq!(reply(200, refused), Reply::Refused("8.2.6/3.8 unknown MatchingID".to_owned()));
    }
}
