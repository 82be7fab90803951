//! Outgoing messages, and the responses to them, through the outbox of [`rsp_server::soap`].

use rsp::{
    ids::Eid,
    sgp02::{BaseRequest, Function, Notification},
    time::Timestamp,
};
use rsp_server::soap::{self, Ticket};
use serde::{Deserialize, Serialize};
use world::Fault;

use crate::{context::Context, records::Peer};

/// Action to continue with when a sent call has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Continuation {
    /// ES7.HandoverEUICC, sent for the function that hands over a card.
    Handover {
        /// EID of the card.
        eid: Eid,
        /// Number of the function.
        number: u64,
    },
    /// ES7.AuthenticateSMSR, for a card that is being taken over.
    Challenge(Eid),
    /// ES7.CreateAdditionalKeySet, for a card that is being taken over.
    Receipt(Eid),
}

/// Sends a notification to a peer. Does nothing if the peer has no endpoint.
pub(crate) async fn send_notification<N: Notification>(
    context: &mut Context<'_, '_>,
    to: &Peer,
    message: &N,
) -> Result<(), Fault> {
    let Some(to) = to.endpoint() else { return Ok(()) };
    context.sender.notify(context.tx, context.now, &to, message).await
}

/// Sends a call to a peer. `procedures::resumed` handles its end.
pub(crate) async fn send_call<F: Function>(
    context: &mut Context<'_, '_>,
    to: &soap::Peer,
    request: F::Request,
    continuation: &Continuation,
    until: Timestamp,
) -> Result<(), Fault> {
    let continuation = to_text(continuation)?;
    context.sender.call::<F>(context.tx, context.now, to, request, until, continuation).await
}

/// Answers a call that was accepted earlier.
pub(crate) async fn reply<F: Function>(
    context: &mut Context<'_, '_>,
    ticket: &Ticket,
    response: F::Response,
) -> Result<(), Fault> {
    context.sender.answer::<F>(context.tx, context.now, ticket, response).await
}

/// Returns the base of a sent request. Its functionCallIdentifier is set when it is put into the
/// outbox.
pub(crate) fn base_request(context: &Context<'_, '_>, until: Timestamp) -> BaseRequest {
    BaseRequest { validity_period: Some(until.since(context.now).as_secs()), ..BaseRequest::new("") }
}

/// Serializes a value that another component stores as text.
pub(crate) fn to_text<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| {
        Fault::caused_by(
            e,
            "cannot store a continuation",
            "report this bug: the value cannot be written as JSON",
        )
    })
}

/// Deserializes a value written by [`to_text`].
pub(crate) fn from_text<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|e| {
        Fault::caused_by(
            e,
            "cannot read a stored continuation",
            "the store was written by another version or damaged; restore a copy of it, or start with an empty one",
        )
    })
}
