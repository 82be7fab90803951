//! The client of all functions in the JSON binding: SGP.22 section 6.5.

use bytes::Bytes;
use http::{Request, Response};
use rsp::finding::{self, Finding};
use rsp::ids::Version;
use rsp::sgp22::Function;
use rsp::sgp22::json::{self, Answer, InvalidResponse, StatusCodeData};
use serde::{Serialize, de::DeserializeOwned};

use crate::events::Outcome;
use crate::link::{Link, LinkFault, send};

/// A finished call of a function.
#[derive(Debug)]
pub struct Call<T> {
    /// Octets of the request body.
    pub sent: usize,
    /// Octets of the response body; 0 without a response.
    pub received: usize,
    /// The reply, or the reason why there is none.
    pub result: Result<T, CallError>,
    /// Deviations of the response that were accepted.
    pub findings: Vec<Finding>,
}

/// The reason why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There was no response.
    #[error(transparent)]
    Link(#[from] LinkFault),
    /// The server refused the call.
    #[error("{0}")]
    Refused(StatusCodeData),
    /// The response is not a valid response of the function.
    #[error(transparent)]
    Invalid(#[from] InvalidResponse),
}

/// Calls a function.
pub async fn call<F>(link: &Link, version: Version, request: &F::Request) -> Call<F::Reply>
where
    F: Function<Request: Serialize, Reply: DeserializeOwned>,
{
    Call::send(link, json::request(&F::path(), version, request)).await.read(reply)
}

/// Decodes the response of a function that has a reply.
///
/// # Errors
/// The server refused the call, or the response is invalid.
pub fn reply<T: DeserializeOwned>(response: &Response<Bytes>) -> Result<T, CallError> {
    match json::answer(response)? {
        Answer::Done(reply) => Ok(reply),
        Answer::Refused(status) => Err(CallError::Refused(status)),
    }
}

/// Decodes the response of a function without output data.
///
/// # Errors
/// The server refused the call, or the response is invalid.
pub fn acknowledgement(response: &Response<Bytes>) -> Result<(), CallError> {
    match json::acknowledgement(response)? {
        Answer::Done(()) => Ok(()),
        Answer::Refused(status) => Err(CallError::Refused(status)),
    }
}

impl Call<Response<Bytes>> {
    /// Sends any request, which need not be a valid request of a function.
    pub async fn send(link: &Link, request: Request<Bytes>) -> Self {
        let sent = request.body().len();
        let result = send(link, request).await;
        let received = result.as_ref().map_or(0, |response| response.body().len());
        Self { sent, received, result: result.map_err(CallError::Link), findings: Vec::new() }
    }

    /// Decodes the response with `read`.
    pub fn read<T>(self, read: impl FnOnce(&Response<Bytes>) -> Result<T, CallError>) -> Call<T> {
        let Self { sent, received, result, mut findings } = self;
        let (result, found) = finding::collect(|| result.and_then(|response| read(&response)));
        findings.extend(found);
        Call { sent, received, result, findings }
    }
}

impl<T> Call<T> {
    /// Returns the outcome for an event.
    pub fn outcome(&self) -> Outcome {
        match &self.result {
            Ok(_) => Outcome::Done,
            Err(CallError::Refused(status)) => Outcome::Refused(status.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }
}

impl CallError {
    /// True if the server may have executed the function nevertheless.
    pub fn may_have_been_executed(&self) -> bool {
        use crate::LinkFaultKind as Kind;
        match self {
            Self::Link(fault) => {
                !matches!(fault.kind, Kind::Unresolved | Kind::Refused | Kind::Unreachable | Kind::Tls)
            }
            Self::Refused(_) => false,
            Self::Invalid(_) => true,
        }
    }
}
