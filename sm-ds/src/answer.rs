//! A decision in the words of the binding that it was asked in: SGP.22 sections 6.3, 6.5 and 6.6.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use rsp::{
    der::Asn1,
    ids::Version,
    sgp22::{
        asn1::{self, Exchange},
        json,
    },
    status::Refusal,
};
use serde::Serialize;
use world::{Fault, Outcome};

use crate::decision::{Decision, No};

/// How the caller put its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Json,
    Asn1,
}

/// How the caller is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    pub(crate) binding: Binding,
    /// The version that the answer names in `X-Admin-Protocol`.
    pub(crate) version: Version,
}

/// An answer that is ready to leave, and what the timeline says of it.
pub(crate) struct Said {
    pub(crate) response: Response<Bytes>,
    pub(crate) outcome: Outcome,
}

impl Voice {
    /// A function of ES11, which both bindings have.
    pub(crate) fn say<F>(self, decision: Decision<F::Reply>) -> Result<Said, Fault>
    where
        F: Exchange,
        F::Reply: Serialize + Asn1,
    {
        let decision = without_fault(decision)?;
        let response = match self.binding {
            Binding::Json => json::response(self.version, decision.as_ref().map_err(Clone::clone)),
            Binding::Asn1 => asn1::response::<F>(self.version, decision.as_ref()),
        };
        Ok(Said { response, outcome: outcome(decision.as_ref().err()) })
    }

    /// A function of ES12, which answers in JSON and with a header alone.
    pub(crate) fn say_done(self, decision: Decision<()>) -> Result<Said, Fault> {
        let decision = without_fault(decision)?;
        let response = json::response(self.version, decision.as_ref().map_err(Clone::clone));
        Ok(Said { response, outcome: outcome(decision.as_ref().err()) })
    }

    /// What is no call of a function, or cannot be answered as one: an HTTP status alone.
    pub(crate) fn status(self, status: StatusCode) -> Response<Bytes> {
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

/// A refusal is an answer; a fault is none.
fn without_fault<T>(decision: Decision<T>) -> Result<Result<T, Refusal>, Fault> {
    match decision {
        Ok(reply) => Ok(Ok(reply)),
        Err(No::Refusal(refusal)) => Ok(Err(refusal)),
        Err(No::Fault(fault)) => Err(fault),
    }
}

fn outcome(refusal: Option<&Refusal>) -> Outcome {
    refusal.map_or(Outcome::Done, |refusal| Outcome::Refused(refusal.to_string()))
}
