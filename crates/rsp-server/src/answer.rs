//! A decision in the words of the binding that it was asked in: SGP.22 sections 6.3, 6.5 and 6.6.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
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

use crate::decision::{Decision, without_fault};

/// How the caller put its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Section 6.5.
    Json,
    /// Section 6.6.
    Asn1,
}

impl Binding {
    /// That of a request, by its path.
    pub fn of(request: &Request<Bytes>) -> Self {
        if request.uri().path() == asn1::PATH { Self::Asn1 } else { Self::Json }
    }
}

/// How the caller is answered.
#[derive(Clone, Copy, Debug)]
pub struct ResponseEncoder {
    /// As it asked.
    pub binding: Binding,
    /// The version that the answer names in `X-Admin-Protocol`.
    pub version: Version,
}

/// An answer that is ready to leave, and what the timeline says of it.
#[derive(Debug)]
pub struct Reply {
    /// To the caller.
    pub response: Response<Bytes>,
    /// To the timeline.
    pub outcome: Outcome,
}

impl ResponseEncoder {
    /// For the caller of a request; `own` is the version that the server speaks.
    pub fn to(request: &Request<Bytes>, own: Version) -> Self {
        // The client's own version when it is older than ours (section 6.2).
        let version = json::protocol_version(request.headers()).map_or(own, |theirs| theirs.min(own));
        Self { binding: Binding::of(request), version }
    }

    /// A function that both bindings have.
    ///
    /// # Errors
    /// The decision's own fault.
    pub fn say<F>(self, decision: Decision<F::Reply>) -> Result<Reply, Fault>
    where
        F: Exchange,
        F::Reply: Serialize + Asn1,
    {
        match self.binding {
            Binding::Json => self.say_json(decision),
            Binding::Asn1 => {
                let decision = without_fault(decision)?;
                Ok(Reply {
                    response: asn1::response::<F>(self.version, decision.as_ref()),
                    outcome: outcome(decision.as_ref().err()),
                })
            }
        }
    }

    /// A function that the JSON binding alone has.
    ///
    /// # Errors
    /// The decision's own fault.
    pub fn say_json<T: Serialize>(self, decision: Decision<T>) -> Result<Reply, Fault> {
        let decision = without_fault(decision)?;
        let outcome = outcome(decision.as_ref().err());
        let response = match &decision {
            Ok(reply) => json::response(self.version, Ok(reply)),
            Err(refusal) => json::response::<()>(self.version, Err(refusal.clone())),
        };
        Ok(Reply { response, outcome })
    }

    /// A function that has no answer but HTTP 204: what could not be believed is told to the log, not to the caller.
    ///
    /// # Errors
    /// The decision's own fault.
    pub fn say_nothing(self, decision: Decision<Result<(), Refusal>>) -> Result<Reply, Fault> {
        let disbelieved = without_fault(decision)?.and_then(|believed| believed).err();
        Ok(Reply { response: json::no_content(self.version), outcome: outcome(disbelieved.as_ref()) })
    }

    /// A fault is ours: it is logged, and the peer learns only that it may ask again.
    pub fn failed(self, fault: &Fault) -> Reply {
        tracing::error!(%fault, "a request could not be answered");
        Reply {
            response: self.status(StatusCode::INTERNAL_SERVER_ERROR),
            outcome: Outcome::Failed(fault.to_string()),
        }
    }

    /// What is no call of a function, or cannot be answered as one: an HTTP status alone.
    pub fn status(self, status: StatusCode) -> Response<Bytes> {
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
