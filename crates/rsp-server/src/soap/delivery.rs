//! Delivery from the outbox: messages to one address in order, each retried until the peer accepts
//! it; and the handling of deadlines.
//!
//! A message is deleted only after its peer has accepted it. A message accepted just before a power
//! failure is therefore sent twice, unchanged.

use std::{collections::BTreeSet, sync::PoisonError, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use rsp::{
    sgp02::{
        BaseResponse,
        soap::{self, FaultCode},
    },
    time::Timestamp,
};
use world::{Event, Events as _, Fault, LinkFault, LinkFaultKind, Outcome, Tx};

use super::{
    accepted::Accepted,
    party::CallFailure,
    records::{
        self, ADDRESSEES, ANSWERED, Addressee, CALLS, DUE, OUTBOX, Outgoing, ResponseMessage, SENT_CALLS,
        State, WAITING,
    },
    response::{bare_response, read_response},
    shell::{Inner, Soap},
};
use crate::due::Due;

/// Delay after the first failed delivery. It doubles with each further failure.
pub const FIRST_REDELIVERY: Duration = Duration::from_secs(1);

/// Maximum delay between two attempts. A peer that becomes reachable again gets its messages within
/// this time.
pub const SLOWEST_REDELIVERY: Duration = Duration::from_secs(60);

/// Number of failed attempts after which a rejected message no longer delays the other messages for
/// its peer.
const ATTEMPTS_BEFORE_SKIPPING: u32 = 3;

/// Number of rejected messages after which a peer is treated as rejecting everything.
const MAX_REJECTED: usize = 32;

/// Interval between warnings about a waiting message, for each address; the message must have
/// waited for at least this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(3600);

/// Interval between deletions of old responses.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(3600);

/// Result of a delivery attempt.
enum Delivered {
    /// The peer accepted the message. It may answer later.
    Accepted,
    /// The peer answered.
    Answered(String),
    /// The call has ended without a response.
    Never(CallFailure),
    /// The peer was reached and rejected the message for now. It may accept other messages.
    Rejected(String),
    /// The delivery failed. This message and all others for the peer must wait.
    Failed(String),
}

impl Soap {
    /// Returns all messages that wait to be sent, by address and time.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn outbox(&self) -> Result<Vec<(String, Outgoing)>, Fault> {
        Tx::begin(&*self.0.records).peek_list(&OUTBOX, "").await
    }

    /// Handles expired deadlines and returns the deliveries that are due, one task for each
    /// address, so that an unresponsive peer delays no other. Call it after every wake-up, when
    /// a task has ended, and at the time in its result at which more is due.
    ///
    /// # Errors
    /// Returns a fault if the records fail. An unreadable record is not an error: it is kept and
    /// logged, and the others are processed.
    pub async fn due(&self) -> Result<Due, Fault> {
        let inner = &*self.0;
        let mut due = inner.end_due().await?;
        let now = inner.sender.world.now();
        let mut addressees = Vec::new();
        for (to, _) in Tx::begin(&*inner.records).peek_each(&WAITING, "").await? {
            match inner.addressee(&to).await.next_attempt {
                at if at > now => due.later(at),
                _ => addressees.push(to),
            }
        }
        inner.work_queue.begin(&mut due, addressees, now, |to| {
            let (soap, to) = (self.clone(), to.to_owned());
            async move { soap.deliver_to(&to).await }
        });
        Ok(due)
    }

    /// Runs the due work until no more is due. Returns the time at which more work is due, or `None`.
    ///
    /// # Errors
    /// As [`due`](Self::due).
    pub async fn run_due(&self) -> Result<Option<Timestamp>, Fault> {
        crate::due::run_due(async || self.due().await).await
    }

    /// Sends the messages for an address one after the other until one is not accepted. Messages
    /// that the peer rejects repeatedly let others pass, unless order matters between them.
    async fn deliver_to(&self, to: &str) -> Result<(), Fault> {
        let inner = &*self.0;
        let mut addressee = inner.addressee(to).await;
        let mut rejected = BTreeSet::new();
        loop {
            let waiting = Tx::begin(&*inner.records).peek_each(&OUTBOX, to).await?;
            let (mut sent, mut failure) = (false, None);
            for (key, message) in waiting {
                let sequence =
                    message.as_ref().map_or_else(|_| key.clone(), |message| sequence(&key, message));
                if rejected.contains(&sequence) {
                    continue;
                }
                match inner.deliver_one(&key, message, &mut addressee).await {
                    Ok(Attempt::Settled { answered, reached }) => {
                        sent = true;
                        if reached && rejected.is_empty() {
                            addressee.failures = 0;
                        }
                        if answered {
                            self.wake();
                        }
                    }
                    Ok(Attempt::Rejected)
                        if addressee.failures >= ATTEMPTS_BEFORE_SKIPPING
                            && rejected.len() < MAX_REJECTED =>
                    {
                        rejected.insert(sequence);
                    }
                    Ok(Attempt::Rejected | Attempt::Failed) => {
                        return inner.schedule_retry(to, addressee).await;
                    }
                    // A fault of one record does not affect the others.
                    Err(fault) => {
                        failure.get_or_insert(fault);
                    }
                }
            }
            match failure {
                Some(fault) => return Err(fault),
                None if sent => {}
                None if rejected.is_empty() => return inner.all_sent(to).await,
                None => return inner.schedule_retry(to, addressee).await,
            }
        }
    }
}

/// Effect of an attempt on the outbox.
enum Attempt {
    /// The message left the outbox. `answered`: the peer answered it. `reached`: the peer was
    /// reachable.
    Settled { answered: bool, reached: bool },
    /// The message waits, and others can be sent.
    Rejected,
    /// The message waits, and so do all others for the peer.
    Failed,
}

/// Returns the name of the sequence in which a message must stay in order. Notifications of one
/// kind form a sequence. Calls and responses are independent, because each has its own waiting
/// party.
fn sequence(key: &str, message: &Outgoing) -> String {
    let is_notification = message.call.is_none() && message.answers.is_none();
    if is_notification { message.element.clone() } else { key.to_owned() }
}

impl Inner {
    /// Returns the delivery state of an addressee. An unreadable record is treated as a state
    /// without failures.
    async fn addressee(&self, to: &str) -> Addressee {
        Tx::begin(&*self.records).get(&ADDRESSEES, to).await.ok().flatten().unwrap_or_default()
    }

    async fn deliver_one(
        &self,
        key: &str,
        message: Result<Outgoing, Fault>,
        addressee: &mut Addressee,
    ) -> Result<Attempt, Fault> {
        let message = message?;
        let delivered = self.deliver(&message).await?;
        let now = self.sender.world.now();
        let end = match delivered {
            Delivered::Failed(why) if now < message.until => {
                log_failure(&message, &why, addressee, now);
                return Ok(Attempt::Failed);
            }
            Delivered::Rejected(why) if now < message.until => {
                log_failure(&message, &why, addressee, now);
                return Ok(Attempt::Rejected);
            }
            Delivered::Failed(why) | Delivered::Rejected(why) => Some(Err(CallFailure::Unreachable(why))),
            Delivered::Accepted => None,
            Delivered::Answered(text) => Some(Ok(text)),
            Delivered::Never(why) => Some(Err(why)),
        };
        let reached = !matches!(end, Some(Err(CallFailure::Unreachable(_))));
        let answered = matches!(end, Some(Ok(_)));
        self.settle(key, &message, end).await?;
        Ok(Attempt::Settled { answered, reached })
    }

    async fn schedule_retry(&self, to: &str, addressee: Addressee) -> Result<(), Fault> {
        let failures = addressee.failures;
        let next_attempt = self.sender.world.now().plus(wait_after(failures));
        let addressee = Addressee { failures: failures.saturating_add(1), next_attempt, ..addressee };
        world::transact(&*self.records, |tx| {
            let put = tx.put(&ADDRESSEES, to, &addressee);
            Box::pin(async { put })
        })
        .await
    }

    /// Marks an address as done, unless a new message has arrived for it.
    async fn all_sent(&self, to: &str) -> Result<(), Fault> {
        world::transact(&*self.records, |tx| {
            Box::pin(async move {
                if tx.list(&OUTBOX, to).await?.is_empty() {
                    tx.delete(&WAITING, to);
                    tx.delete(&ADDRESSEES, to);
                }
                Ok(())
            })
        })
        .await
    }

    /// Handles the deadlines that have passed and returns the time of the next one.
    async fn end_due(&self) -> Result<Due, Fault> {
        self.delete_old_responses().await?;
        let mut due = Due::default();
        for (key, record) in Tx::begin(&*self.records).peek_each(&DUE, "").await? {
            let now = self.sender.world.now();
            if let Some(at) = records::time_of(&key).filter(|at| *at > now) {
                due.later(at);
                break;
            }
            let end = async {
                let record = record?;
                let (key, record) = (&key, &record);
                world::transact(&*self.records, |tx| Box::pin(self.end_one(tx, now, key, record))).await
            };
            self.work_queue.at_once(&mut due, &key, now, end).await;
        }
        Ok(due)
    }

    /// Deletes old responses, at most once every [`CLEANUP_INTERVAL`].
    async fn delete_old_responses(&self) -> Result<(), Fault> {
        let now = self.sender.world.now();
        {
            let mut next = self.next_cleanup.lock().unwrap_or_else(PoisonError::into_inner);
            if *next > now {
                return Ok(());
            }
            *next = now.plus(CLEANUP_INTERVAL);
        }
        let all = Tx::begin(&*self.records).peek_each(&ANSWERED, "").await?;
        let old = all.into_iter().take_while(|(at, _)| records::time_of(at).is_none_or(|at| at <= now));
        for (at, call) in old {
            match call {
                Ok(call) => {
                    world::transact(&*self.records, |tx| {
                        tx.delete(&ANSWERED, &at);
                        tx.delete(&CALLS, &call);
                        Box::pin(async { Ok(()) })
                    })
                    .await?;
                }
                Err(fault) => tracing::error!(%fault, "cannot delete an old response"),
            }
        }
        Ok(())
    }

    async fn end_one(
        &self,
        tx: &mut Tx<'_>,
        now: Timestamp,
        at: &str,
        due: &records::Due,
    ) -> Result<(), Fault> {
        if tx.get(&DUE, at).await?.is_none() {
            return Ok(());
        }
        tx.delete(&DUE, at);
        match due {
            records::Due::GiveUp(unique) => self.end(tx, now, unique, Err(CallFailure::Expired)).await?,
            records::Due::Expires(key) => {
                let Some(received) = tx.get(&CALLS, key).await? else { return Ok(()) };
                let State::Pending(ticket) = received.state else { return Ok(()) };
                if self.party.expired(tx, now, &ticket).await? {
                    let mut base = BaseResponse::expired(None, "the validity period has run out");
                    base.processing_start = Some(ticket.received);
                    base.processing_end = Some(now);
                    let message = bare_response(&ticket.function, ticket.namespace, &base);
                    let response = ResponseMessage { action: ticket.response_action.clone(), message };
                    self.sender.answer_with(tx, now, &ticket, response).await?;
                }
            }
        }
        Ok(())
    }

    /// Attempts one delivery.
    async fn deliver(&self, message: &Outgoing) -> Result<Delivered, Fault> {
        let sent_call = match &message.call {
            Some(unique) => match Tx::begin(&*self.records).get(&SENT_CALLS, unique).await? {
                Some(sent_call) => Some(sent_call),
                // The call has been answered or given up meanwhile.
                None => return Ok(Delivered::Accepted),
            },
            None => None,
        };
        let sent = self.send(&message.endpoint, &message.action, message.text.clone()).await;
        let accepted = Accepted::default();
        let delivered = match &sent {
            Err(fault) => Delivered::Failed(fault.to_string()),
            Ok(response) => {
                let expected = sent_call.as_ref().map(|sent_call| format!("{}Response", sent_call.function));
                let is_synchronous = sent_call.as_ref().is_some_and(|sent_call| sent_call.is_synchronous);
                let unique = message.call.as_deref();
                accepted.collect(|| classify_response(response, expected.as_deref(), is_synchronous, unique))
            }
        };
        let outcome = match &delivered {
            Delivered::Accepted | Delivered::Answered(_) => Outcome::Done,
            Delivered::Never(why) => Outcome::Refused(why.to_string()),
            Delivered::Failed(why) | Delivered::Rejected(why) => Outcome::Failed(why.clone()),
        };
        let (interface, function) = message.element.split_once('-').unwrap_or(("", &message.element));
        let received = sent.map_or(0, |response| response.body().len());
        self.events.emit(
            Event::new(self.sender.world.now(), self.name, function.to_owned())
                .with_peer(interface.to_owned(), message.to.to_string())
                .with_bytes(message.text.len(), received)
                .with_outcome(outcome)
                .with_findings(self.log_findings(&accepted, &message.to)),
        );
        Ok(delivered)
    }

    /// Sends an envelope by HTTP POST.
    pub(super) async fn send(
        &self,
        endpoint: &str,
        action: &str,
        text: String,
    ) -> Result<Response<Bytes>, LinkFault> {
        let unreachable = |why: String| LinkFault::new(LinkFaultKind::Unreachable, endpoint.to_owned(), why);
        let uri: Uri =
            endpoint.parse().map_err(|_| unreachable("its address is not a valid URI".to_owned()))?;
        let authority = uri.authority().ok_or_else(|| unreachable("its address has no host".to_owned()))?;
        let peers = self.peers.get();
        let peers = peers.ok_or_else(|| unreachable("this server has no connections to peers".to_owned()))?;
        let link = peers.link(authority.as_str()).map_err(|fault| unreachable(fault.to_string()))?;
        let mut request = Request::new(Bytes::from(text));
        *request.method_mut() = Method::POST;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().unwrap_or_default();
        if let Ok(content_type) = HeaderValue::from_str(&soap::content_type(action)) {
            request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        world::send(&link, request).await
    }

    /// Deletes a message from the outbox. If it was a call that has ended, reports the end to the
    /// party.
    async fn settle(
        &self,
        key: &str,
        message: &Outgoing,
        end: Option<Result<String, CallFailure>>,
    ) -> Result<(), Fault> {
        if let (None, Some(Err(why))) = (&message.call, &end) {
            tracing::warn!(%why, element = message.element, endpoint = message.endpoint, "giving up delivery of a message");
        }
        world::transact(&*self.records, |tx| {
            let end = end.clone();
            Box::pin(async move {
                tx.delete(&OUTBOX, key);
                match (&message.call, end) {
                    (Some(unique), Some(outcome)) => {
                        self.end(tx, self.sender.world.now(), unique, outcome).await
                    }
                    _ => Ok(()),
                }
            })
        })
        .await
    }
}

/// Determines the result of a delivery from the HTTP response.
fn classify_response(
    response: &Response<Bytes>,
    expected: Option<&str>,
    is_synchronous: bool,
    unique: Option<&str>,
) -> Delivered {
    let status = response.status();
    if status == StatusCode::ACCEPTED && !is_synchronous {
        // The response comes as a callback. A body beside HTTP 202 has no meaning.
        return Delivered::Accepted;
    }
    if status == StatusCode::FORBIDDEN && unique.is_none() {
        // A peer that does not know this server yet may know it later, so a notification is
        // retried. A call fails at once.
        let why = "HTTP 403: the peer does not know this server or does not allow it to send this message";
        return Delivered::Rejected(why.to_owned());
    }
    match read_response(response, expected, unique) {
        Some(Err(CallFailure::Fault(fault))) if fault.code == FaultCode::Receiver => {
            temporary_failure(status, fault.to_string())
        }
        Some(Err(why)) if !status.is_success() && !is_final(status) => {
            temporary_failure(status, why.to_string())
        }
        Some(Err(why)) => Delivered::Never(why),
        Some(Ok(text)) => Delivered::Answered(text),
        None if status.is_success() && is_synchronous => {
            Delivered::Never(CallFailure::Malformed(format!("HTTP {status} without a message")))
        }
        None if status.is_success() => Delivered::Accepted,
        None if is_final(status) => Delivered::Never(CallFailure::Malformed(format!("HTTP {status}"))),
        None => temporary_failure(status, format!("HTTP {status}")),
    }
}

/// Classifies a temporary failure by the status: either the peer rejects this message or it accepts
/// nothing.
fn temporary_failure(status: StatusCode, why: String) -> Delivered {
    if status == StatusCode::INTERNAL_SERVER_ERROR || status.is_success() {
        Delivered::Rejected(why)
    } else {
        Delivered::Failed(why)
    }
}

/// Logs a failed delivery. If the message has waited for a long time, the log entry is a warning.
fn log_failure(message: &Outgoing, why: &str, addressee: &mut Addressee, now: Timestamp) {
    let Outgoing { endpoint, element, since, until, .. } = message;
    if now.since(*since) >= WARNING_INTERVAL && now.since(addressee.last_warning) >= WARNING_INTERVAL {
        tracing::warn!(%why, endpoint, element, %since, %until, "the peer does not accept a message; delivery is retried until the given time: check the peer or correct its address");
        addressee.last_warning = now;
    } else {
        tracing::debug!(%why, endpoint, element, "a delivery failed");
    }
}

/// Returns true if repeating the message cannot change the status.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// Returns the delay after the given number of earlier failures.
fn wait_after(failures: u32) -> Duration {
    FIRST_REDELIVERY.saturating_mul(2u32.saturating_pow(failures)).min(SLOWEST_REDELIVERY)
}
