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
    /// A function that both bindings have.
    pub(crate) fn say<F>(self, decision: Decision<F::Reply>) -> Result<Said, Fault>
    where
        F: Exchange,
        F::Reply: Serialize + Asn1,
    {
        match self.binding {
            Binding::Json => self.say_json(decision),
            Binding::Asn1 => {
                let decision = without_fault(decision)?;
                Ok(Said {
                    response: asn1::response::<F>(self.version, decision.as_ref()),
                    outcome: outcome(decision.as_ref().err()),
                })
            }
        }
    }

    /// A function that the JSON binding alone has.
    pub(crate) fn say_json<T: Serialize>(self, decision: Decision<T>) -> Result<Said, Fault> {
        let decision = without_fault(decision)?;
        let outcome = outcome(decision.as_ref().err());
        let response = match &decision {
            Ok(reply) => json::response(self.version, Ok(reply)),
            Err(refusal) => json::response::<()>(self.version, Err(refusal.clone())),
        };
        Ok(Said { response, outcome })
    }

    /// A function that has no answer but HTTP 204: what could not be believed is told to the log, not to the caller.
    pub(crate) fn say_nothing(self, decision: Decision<Result<(), Refusal>>) -> Result<Said, Fault> {
        let disbelieved = without_fault(decision)?.and_then(|believed| believed).err();
        Ok(Said { response: json::no_content(self.version), outcome: outcome(disbelieved.as_ref()) })
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
