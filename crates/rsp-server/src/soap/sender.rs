//! Sending to peers: every message goes into the outbox, in the transaction that caused it.

use std::time::Duration;

use rsp::{
    ids::Oid,
    sgp02::{
        Function, Message, Notification, Pattern, Request as _, Response as _,
        addressing::{Endpoint, Header, MessageId},
        soap,
    },
    time::Timestamp,
};
use world::{Fault, Tx, World};

use super::{
    decision::Peer,
    records::{
        ANSWERED, CALLS, DUE, Due, OUTBOX, Outgoing, ReceivedCall, ResponseMessage, SENT_CALLS, SentCall,
        State, Ticket, WAITING, at_time,
    },
};
use crate::outgoing::AllowedAddresses;

/// Time for which delivery of a notification or a callback is attempted. After a week the peer has
/// to query the state instead.
pub const DELIVERY_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Time for which the response to a call is kept, so that a repeated call gets the same response.
pub const ANSWERS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The sending party.
#[derive(Clone, Debug)]
pub struct Sender {
    /// OID of this party, as in its TLS certificate.
    pub own: Oid,
    /// Name of this party in From.
    pub name: Option<String>,
    /// URI at which this party receives messages.
    pub address: String,
    /// Source of unique identifiers.
    pub world: World,
    /// Addresses that a caller may name in ReplyTo, beside its own endpoint.
    pub reply_addresses: AllowedAddresses,
}

impl Sender {
    /// Sends a request to a peer. The request is repeated until the peer has answered or `until` is
    /// reached; then [`Party::resumed`](super::Party::resumed) gets the outcome together with
    /// `continuation`. A request without functionCallIdentifier gets one.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn call<F: Function>(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        peer: &Peer,
        mut request: F::Request,
        until: Timestamp,
        continuation: impl Into<String> + Send,
    ) -> Result<(), Fault> {
        let unique = self.unique();
        let identifier = &mut request.base_mut().function_call_identifier;
        if identifier.is_empty() {
            identifier.clone_from(&unique);
        }
        let mut header = self.header(now, peer, F::request_action(), &unique);
        header.message_id.transaction_id = Some(unique.clone());
        if F::PATTERN == Pattern::Asynchronous {
            header.reply_to = Some(Endpoint::new(self.address.clone(), Some(self.own.clone())));
        }
        let message = Outgoing {
            since: now,
            to: peer.id.clone(),
            endpoint: peer.endpoint.clone(),
            element: F::Request::ELEMENT.to_owned(),
            action: header.action.clone(),
            text: soap::envelope(&header, peer.namespace, &request),
            call: Some(unique.clone()),
            answers: None,
            until,
        };
        let outgoing = enqueue(tx, now, &message).await?;
        let due = Due::GiveUp(unique.clone());
        let sent_call = SentCall {
            continuation: continuation.into(),
            function: F::NAME.to_owned(),
            peer: peer.id.clone(),
            is_synchronous: F::PATTERN == Pattern::Synchronous,
            due: due.key(until),
            outgoing,
        };
        tx.put(&DUE, &sent_call.due, &due)?;
        tx.put(&SENT_CALLS, &unique, &sent_call)
    }

    /// Sends a notification to a peer.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn notify<N: Notification>(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        peer: &Peer,
        notification: &N,
    ) -> Result<(), Fault> {
        let header = self.header(now, peer, N::action(), &self.unique());
        let message = Outgoing {
            since: now,
            to: peer.id.clone(),
            endpoint: peer.endpoint.clone(),
            element: N::ELEMENT.to_owned(),
            action: header.action.clone(),
            text: soap::envelope(&header, peer.namespace, notification),
            call: None,
            answers: None,
            until: now.plus(DELIVERY_LIFETIME),
        };
        enqueue(tx, now, &message).await?;
        Ok(())
    }

    /// Answers a call. Does nothing if the call has been answered already or its record has been
    /// deleted.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn answer<F: Function>(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        ticket: &Ticket,
        mut response: F::Response,
    ) -> Result<(), Fault> {
        let base = response.base_mut();
        base.processing_start.get_or_insert(ticket.received);
        base.processing_end.get_or_insert(now);
        let response =
            ResponseMessage { action: F::response_action(), message: response.to_xml(ticket.namespace) };
        self.answer_with(tx, now, ticket, response).await
    }

    pub(super) async fn answer_with(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        ticket: &Ticket,
        response: ResponseMessage,
    ) -> Result<(), Fault> {
        let key = call_key(&ticket.caller, &ticket.function_call_identifier);
        let Some(mut received) = tx.get(&CALLS, &key).await? else { return Ok(()) };
        // The stored ticket is that of the latest repetition of the call.
        let State::Pending(ticket) = received.state.clone() else { return Ok(()) };
        self.call_back(tx, now, &mut received, &ticket, &response).await?;
        received.state = State::CalledBack(ticket, response);
        keep_answered(tx, now, &key, received)
    }

    /// Puts the response to a call into the outbox. It replaces an earlier copy that still waits
    /// there.
    pub(super) async fn call_back(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        received: &mut ReceivedCall,
        ticket: &Ticket,
        response: &ResponseMessage,
    ) -> Result<(), Fault> {
        let to = Endpoint::new(ticket.reply_to.clone(), Some(ticket.caller.clone()));
        let mut header = self.header_to(now, to, response.action.clone(), &self.unique());
        header.relates_to = Some(ticket.message_id.clone());
        header.message_id.transaction_id.clone_from(&ticket.transaction_id);
        let message = Outgoing {
            since: now,
            to: ticket.caller.clone(),
            endpoint: ticket.reply_to.clone(),
            element: format!("{}Response", ticket.function),
            action: response.action.clone(),
            text: soap::enclose(&header, &response.message),
            call: None,
            answers: Some(call_key(&ticket.caller, &ticket.function_call_identifier)),
            until: now.plus(DELIVERY_LIFETIME),
        };
        if let Some(before) = &received.outgoing
            && tx.get(&OUTBOX, before).await?.is_some_and(|waiting| waiting.answers == message.answers)
        {
            tx.delete(&OUTBOX, before);
        }
        received.outgoing = Some(enqueue(tx, now, &message).await?);
        Ok(())
    }

    /// Returns the header of a message to a peer.
    pub(super) fn header(&self, now: Timestamp, peer: &Peer, action: String, unique: &str) -> Header {
        self.header_to(now, Endpoint::new(peer.endpoint.clone(), Some(peer.id.clone())), action, unique)
    }

    pub(super) fn header_to(&self, now: Timestamp, to: Endpoint, action: String, unique: &str) -> Header {
        Header {
            from: Endpoint {
                entity_name: self.name.clone(),
                ..Endpoint::new(self.address.clone(), Some(self.own.clone()))
            },
            to,
            message_id: MessageId {
                uri: format!("//{}/{unique}", self.own),
                transaction_id: None,
                context_id: None,
                message_date: Some(Timestamp::from_seconds(now.seconds())),
            },
            action,
            relates_to: None,
            reply_to: None,
        }
    }

    pub(super) fn unique(&self) -> String {
        hex::encode(self.world.random::<16>())
    }
}

/// Returns the key of a received call.
pub(super) fn call_key(caller: &Oid, function_call_identifier: &str) -> String {
    format!("{caller}/{function_call_identifier}")
}

/// Stores an answered call until its response is no longer needed.
pub(super) fn keep_answered(
    tx: &mut Tx<'_>,
    now: Timestamp,
    key: &str,
    mut received: ReceivedCall,
) -> Result<(), Fault> {
    let at = at_time(now.plus(ANSWERS_KEPT), key);
    if let Some(before) = received.due.replace(at.clone()) {
        // The previous key is in one of the two collections.
        tx.delete(&DUE, &before);
        tx.delete(&ANSWERED, &before);
    }
    tx.put(&ANSWERED, &at, &key.to_owned())?;
    tx.put(&CALLS, key, &received)
}

/// Puts a message behind all others for the same address. Messages of one transaction keep their
/// order.
async fn enqueue(tx: &mut Tx<'_>, now: Timestamp, message: &Outgoing) -> Result<String, Fault> {
    let to = addressee(&message.endpoint);
    let mut number = 0;
    loop {
        let key = format!("{to}{:015}/{number:03}", now.0.max(0));
        if tx.get(&OUTBOX, &key).await?.is_none() {
            tx.put(&OUTBOX, &key, message)?;
            tx.put(&WAITING, &to, &())?;
            return Ok(key);
        }
        number += 1;
    }
}

/// Returns the key prefix of the messages to an address. It starts with the length of the address,
/// so that no prefix is the beginning of another one, whatever characters the address contains.
fn addressee(endpoint: &str) -> String {
    format!("{}:{endpoint}/", endpoint.len())
}
