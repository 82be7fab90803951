//! Encodes decisions as HTTP responses in the binding of the request: SGP.22 sections 6.3, 6.5 and
//! 6.6.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use rsp::{
    der::Asn1,
    finding::{Finding, FindingKind},
    ids::Version,
    sgp22::{
        asn1::{self, Exchange},
        json,
    },
    status::Refusal,
};
use serde::Serialize;
use world::{Fault, Outcome};

use crate::{
    decision::{Decision, without_fault},
    namespace::Namespace,
};

/// Seconds after which a caller that was refused because of a limit can retry. The clients of open
/// sessions usually authenticate themselves sooner.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// Binding of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// JSON, section 6.5.
    Json,
    /// ASN.1, section 6.6.
    Asn1,
}

impl Binding {
    /// Returns the binding of a request, which its path determines.
    pub fn of(request: &Request<Bytes>) -> Self {
        if request.uri().path() == asn1::PATH { Self::Asn1 } else { Self::Json }
    }
}

/// Encoder of the response to one request.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEncoder {
    /// Binding of the request, which the response uses too.
    pub binding: Binding,
    /// Version in the `X-Admin-Protocol` header of the response.
    pub version: Version,
}

/// HTTP response, with its outcome for the timeline.
#[derive(Debug)]
pub struct Reply {
    /// Response to the caller.
    pub response: Response<Bytes>,
    /// Outcome for the timeline.
    pub outcome: Outcome,
    /// Namespace of the records that the request was about, for the timeline.
    pub namespace: Namespace,
    /// Accepted deviations of the caller, for the timeline.
    pub findings: Vec<Finding>,
}

impl Reply {
    /// Creates a reply without accepted deviations, in the default namespace.
    pub fn new(response: Response<Bytes>, outcome: Outcome) -> Self {
        Self { response, outcome, namespace: Namespace::default(), findings: Vec::new() }
    }
}

impl Reply {
    /// Adds deviations of the caller that were accepted.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings.extend(findings);
        self
    }
}

impl ResponseEncoder {
    /// Creates the encoder for the caller of `request`. `own` is the version of this server.
    pub fn to(request: &Request<Bytes>, own: Version) -> Self {
        // The client's own version if it is older than the server's (section 6.2).
        let version = json::protocol_version(request.headers()).map_or(own, |theirs| theirs.min(own));
        Self { binding: Binding::of(request), version }
    }

    /// Encodes the reply of a function that exists in both bindings.
    ///
    /// # Errors
    /// Returns the fault of the decision.
    pub fn encode<F>(self, decision: Decision<F::Reply>) -> Result<Reply, Fault>
    where
        F: Exchange,
        F::Reply: Serialize + Asn1,
    {
        match self.binding {
            Binding::Json => self.encode_json(decision),
            Binding::Asn1 => {
                let decision = without_fault(decision)?;
                Ok(Reply::new(
                    asn1::response::<F>(self.version, decision.as_ref()),
                    outcome(decision.as_ref().err()),
                ))
            }
        }
    }

    /// Encodes the reply of a function that exists in the JSON binding only.
    ///
    /// # Errors
    /// Returns the fault of the decision.
    pub fn encode_json<T: Serialize>(self, decision: Decision<T>) -> Result<Reply, Fault> {
        let decision = without_fault(decision)?;
        let outcome = outcome(decision.as_ref().err());
        let response = match &decision {
            Ok(reply) => json::response(self.version, Ok(reply)),
            Err(refusal) => json::response::<()>(self.version, Err(refusal.clone())),
        };
        Ok(Reply::new(response, outcome))
    }

    /// Encodes the reply of a function whose only response is HTTP 204. A refusal is reported in
    /// the outcome and not to the caller.
    ///
    /// # Errors
    /// Returns the fault of the decision.
    pub fn encode_no_content(self, decision: Decision<Result<(), Refusal>>) -> Result<Reply, Fault> {
        let refusal = without_fault(decision)?.and_then(|accepted| accepted).err();
        Ok(Reply::new(json::no_content(self.version), outcome(refusal.as_ref())))
    }

    /// Acknowledges a notification that cannot be decoded. `why` is the error of the decoder.
    pub fn acknowledged(self, why: String) -> Reply {
        Reply {
            response: json::no_content(self.version),
            outcome: Outcome::Refused(format!("the notification cannot be decoded: {why}")),
            namespace: Namespace::default(),
            findings: vec![Finding::new(FindingKind::NotificationUnreadable, why)],
        }
    }

    /// Rejects a request with an HTTP status and no body. The reason is only in the outcome.
    pub fn rejected(self, status: StatusCode, why: String) -> Reply {
        Reply::new(self.status(status), Outcome::Refused(format!("HTTP {status}: {why}")))
    }

    /// Rejects a request with HTTP 503, because a limit is reached. The body is `why` as a text. The
    /// caller can retry later.
    pub fn busy(self, why: &str) -> Reply {
        let mut reply = self.rejected(StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
        *reply.response.body_mut() = Bytes::copy_from_slice(why.as_bytes());
        let headers = reply.response.headers_mut();
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        reply
    }

    /// Logs an internal fault and returns HTTP 500, with the fault as a JSON object in the body. The
    /// caller can retry.
    pub(crate) fn failed(self, fault: &Fault) -> Reply {
        tracing::error!(%fault, "cannot answer a request because of an internal fault");
        let mut response = self.status(StatusCode::INTERNAL_SERVER_ERROR);
        // Serializing three strings never fails.
        *response.body_mut() = serde_json::to_vec(fault).unwrap_or_default().into();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Reply::new(response, Outcome::Failed(fault.to_string()))
    }

    /// Returns a response with an HTTP status and no body, for requests that are not function calls
    /// or cannot be answered as such.
    fn status(self, status: StatusCode) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        if let Ok(version) = HeaderValue::from_str(&json::admin_protocol(self.version)) {
            response.headers_mut().insert(json::X_ADMIN_PROTOCOL, version);
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

fn outcome(refusal: Option<&Refusal>) -> Outcome {
    refusal.map_or(Outcome::Done, |refusal| Outcome::Refused(refusal.to_string()))
}
