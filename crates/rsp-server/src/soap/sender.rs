//! Writing to others: everything goes into the outbox, in the transaction that made it so.

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
    party::Peer,
    records::{
        ANSWERED, ASKED, Asked, CALLS, DUE, Due, OUTBOX, Outgoing, Said, State, Taken, Ticket, WAITING,
        at_time,
    },
};

/// How long a notification or a callback is tried. After a week without it the peer has other ways to ask.
pub const DELIVERY_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the answer to a call is known, so that the call can be made again.
pub const ANSWERS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Who writes.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Our own OID, that of our TLS certificate.
    pub own: Oid,
    /// Our name in From.
    pub name: Option<String>,
    /// Where we take messages: a URI.
    pub address: String,
    /// For what must be unique.
    pub world: World,
}

impl Sender {
    /// Asks a peer for a function, synchronous or not. It is asked until it has answered or `until` has come; then
    /// [`Party::resumed`](super::Party::resumed) hears of it, with `continuation`. A request without
    /// functionCallIdentifier gets one.
    ///
    /// # Errors
    /// The records fail.
    pub async fn ask<F: Function>(
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
            asked: Some(unique.clone()),
            answers: None,
            until,
        };
        let outgoing = post(tx, now, &message).await?;
        let due = Due::GiveUp(unique.clone());
        let asked = Asked {
            continuation: continuation.into(),
            function: F::NAME.to_owned(),
            peer: peer.id.clone(),
            is_synchronous: F::PATTERN == Pattern::Synchronous,
            due: due.key(until),
            outgoing,
        };
        tx.put(&DUE, &asked.due, &due)?;
        tx.put(&ASKED, &unique, &asked)
    }

    /// Tells a peer.
    ///
    /// # Errors
    /// The records fail.
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
            asked: None,
            answers: None,
            until: now.plus(DELIVERY_LIFETIME),
        };
        post(tx, now, &message).await?;
        Ok(())
    }

    /// Answers a call. One that is answered already, or so long ago that nothing is known of it, is left as it is.
    ///
    /// # Errors
    /// The records fail.
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
        let said = Said { action: F::response_action(), message: response.to_xml(ticket.namespace) };
        self.answer_with(tx, now, ticket, said).await
    }

    pub(super) async fn answer_with(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        ticket: &Ticket,
        said: Said,
    ) -> Result<(), Fault> {
        let key = call_key(&ticket.caller, &ticket.function_call_identifier);
        let Some(mut taken) = tx.get(&CALLS, &key).await? else { return Ok(()) };
        // The record's ticket is of the last time that it was asked.
        let State::Pending(ticket) = taken.state.clone() else { return Ok(()) };
        self.call_back(tx, now, &mut taken, &ticket, &said).await?;
        taken.state = State::CalledBack(ticket, said);
        keep(tx, now, &key, taken)
    }

    /// Puts the answer to a call into the outbox, in place of the one that may still wait there.
    pub(super) async fn call_back(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        taken: &mut Taken,
        ticket: &Ticket,
        said: &Said,
    ) -> Result<(), Fault> {
        let to = Endpoint::new(ticket.reply_to.clone(), Some(ticket.caller.clone()));
        let mut header = self.header_to(now, to, said.action.clone(), &self.unique());
        header.relates_to = Some(ticket.message_id.clone());
        header.message_id.transaction_id.clone_from(&ticket.transaction_id);
        let message = Outgoing {
            since: now,
            to: ticket.caller.clone(),
            endpoint: ticket.reply_to.clone(),
            element: format!("{}Response", ticket.function),
            action: said.action.clone(),
            text: soap::enclose(&header, &said.message),
            asked: None,
            answers: Some(call_key(&ticket.caller, &ticket.function_call_identifier)),
            until: now.plus(DELIVERY_LIFETIME),
        };
        if let Some(before) = &taken.outgoing
            && tx.get(&OUTBOX, before).await?.is_some_and(|waiting| waiting.answers == message.answers)
        {
            tx.delete(&OUTBOX, before);
        }
        taken.outgoing = Some(post(tx, now, &message).await?);
        Ok(())
    }

    /// Of a message to a peer.
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

/// The key of a call.
pub(super) fn call_key(caller: &Oid, function_call_identifier: &str) -> String {
    format!("{caller}/{function_call_identifier}")
}

/// Keeps a call that has been answered until nobody needs the answer.
pub(super) fn keep(tx: &mut Tx<'_>, now: Timestamp, key: &str, mut taken: Taken) -> Result<(), Fault> {
    let at = at_time(now.plus(ANSWERS_KEPT), key);
    if let Some(before) = taken.due.replace(at.clone()) {
        // It is in one of them.
        tx.delete(&DUE, &before);
        tx.delete(&ANSWERED, &before);
    }
    tx.put(&ANSWERED, &at, &key.to_owned())?;
    tx.put(&CALLS, key, &taken)
}

/// Puts a message after all others for the same address; those of one transaction stay in their order.
async fn post(tx: &mut Tx<'_>, now: Timestamp, message: &Outgoing) -> Result<String, Fault> {
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

/// What the keys of the messages to an address begin with. The length tells where it ends, whatever is in it.
fn addressee(endpoint: &str) -> String {
    format!("{}:{endpoint}/", endpoint.len())
}
