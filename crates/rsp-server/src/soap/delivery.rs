//! Sends what waits in the outbox, each address's messages in their order, and again until they are taken; ends what
//! has run out of time.
//!
//! A message is deleted only after its peer has taken it, so one that was taken just before a power cut is sent twice,
//! as the same message.

use std::{collections::BTreeSet, sync::PoisonError, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use rsp::{
    sgp02::{
        BaseResponse,
        addressing::MessageId,
        soap::{self, Envelope, FaultCode, Received},
        xml,
    },
    time::Timestamp,
};
use world::{Event, Events as _, Fault, LinkFault, LinkFaultKind, Outcome, Tx};

use super::{
    client::bare_response,
    party::NoAnswer,
    records::{
        self, ADDRESSEES, ANSWERED, ASKED, Addressee, CALLS, DUE, OUTBOX, Outgoing, Said, State, WAITING,
    },
    shell::{Inner, Soap},
};
use crate::due::Due;

/// How long to wait after the first failed delivery; each further failure doubles it.
pub const FIRST_REDELIVERY: Duration = Duration::from_secs(1);

/// The longest wait between two attempts: a peer that comes back has its messages within this.
pub const SLOWEST_REDELIVERY: Duration = Duration::from_secs(60);

/// After how many attempts in vain what a peer turns down holds up the others for it no longer.
const PATIENCE: u32 = 3;

/// How many messages a peer may turn down before it is taken for one that takes nothing.
const MOST_TURNED_DOWN: usize = 32;

/// How often it is said that something has waited for so long, for each address.
const LONG: Duration = Duration::from_secs(3600);

/// How often is looked which answers need not be known any more.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// What became of a message.
enum Delivered {
    /// The peer has taken it, and answers later if at all.
    Taken,
    /// The peer has answered.
    Answered(String),
    /// The peer never will.
    Never(NoAnswer),
    /// The peer was there and did not take it, which it may do later. Others it may take now.
    TurnedDown(String),
    /// It must be tried again, and so must all else for the peer.
    Not(String),
}

impl Soap {
    /// Everything that waits to be sent, by address and time.
    ///
    /// # Errors
    /// The records fail.
    pub async fn outbox(&self) -> Result<Vec<(String, Outgoing)>, Fault> {
        Tx::begin(&*self.0.records).glance(&OUTBOX, "").await
    }

    /// What is due: what waits, a task for each address, so that who is slow or dead holds up nobody else. What has run out
    /// of time is ended before that. To be asked after every wake, at the time that it says, and when a task has ended.
    ///
    /// # Errors
    /// The records fail. A record that cannot be understood is none: it is left, and said, and the others go on.
    pub async fn due(&self) -> Result<Due, Fault> {
        let inner = &*self.0;
        let mut due = inner.end_due().await?;
        let now = inner.sender.world.now();
        let mut addressees = Vec::new();
        for (to, _) in Tx::begin(&*inner.records).glance_each(&WAITING, "").await? {
            match inner.addressee(&to).await.next_attempt {
                at if at > now => due.later(at),
                _ => addressees.push(to),
            }
        }
        inner.lanes.begin(&mut due, addressees, now, |to| {
            let (soap, to) = (self.clone(), to.to_owned());
            async move { soap.deliver_to(&to).await }
        });
        Ok(due)
    }

    /// Does all that is due, to its end, by itself. Says when something is due next; `None` when nothing is.
    ///
    /// # Errors
    /// As [`due`](Self::due).
    pub async fn run_due(&self) -> Result<Option<Timestamp>, Fault> {
        loop {
            let due = self.due().await?;
            if due.tasks.is_empty() {
                return Ok(due.next);
            }
            due.run().await;
        }
    }

    /// Sends what waits for an address, one after the other, until something is not taken. What the peer turns down again
    /// and again lets the others pass, as far as they have no order among them.
    async fn deliver_to(&self, to: &str) -> Result<(), Fault> {
        let inner = &*self.0;
        let mut addressee = inner.addressee(to).await;
        let mut turned_down = BTreeSet::new();
        loop {
            let waiting = Tx::begin(&*inner.records).glance_each(&OUTBOX, to).await?;
            let (mut sent, mut trouble) = (false, None);
            for (key, message) in waiting {
                let line = message.as_ref().map_or_else(|_| key.clone(), |message| line(&key, message));
                if turned_down.contains(&line) {
                    continue;
                }
                match inner.deliver_one(&key, message, &mut addressee).await {
                    Ok(Sent::Settled { answered, reached }) => {
                        sent = true;
                        if reached && turned_down.is_empty() {
                            addressee.failures = 0;
                        }
                        if answered {
                            self.wake();
                        }
                    }
                    Ok(Sent::TurnedDown)
                        if addressee.failures >= PATIENCE && turned_down.len() < MOST_TURNED_DOWN =>
                    {
                        turned_down.insert(line);
                    }
                    Ok(Sent::TurnedDown | Sent::Not) => return inner.try_again(to, addressee).await,
                    // One record's trouble is not that of the others.
                    Err(fault) => {
                        trouble.get_or_insert(fault);
                    }
                }
            }
            match trouble {
                Some(fault) => return Err(fault),
                None if sent => {}
                None if turned_down.is_empty() => return inner.all_sent(to).await,
                None => return inner.try_again(to, addressee).await,
            }
        }
    }
}

/// What came of a message.
enum Sent {
    /// It is out of the outbox; whether it was answered, and whether its peer was there.
    Settled { answered: bool, reached: bool },
    /// It waits, and others need not.
    TurnedDown,
    /// It waits, and so do all others.
    Not,
}

/// What stays in its order at an address, by name: notifications of one kind do. Calls and answers each stand alone, for
/// somebody waits for each.
fn line(key: &str, message: &Outgoing) -> String {
    let is_notification = message.asked.is_none() && message.answers.is_none();
    if is_notification { message.element.clone() } else { key.to_owned() }
}

impl Inner {
    /// How it stands with an addressee. What cannot be understood of that is not worth a message.
    async fn addressee(&self, to: &str) -> Addressee {
        Tx::begin(&*self.records).get(&ADDRESSEES, to).await.ok().flatten().unwrap_or_default()
    }

    async fn deliver_one(
        &self,
        key: &str,
        message: Result<Outgoing, Fault>,
        addressee: &mut Addressee,
    ) -> Result<Sent, Fault> {
        let message = message?;
        let delivered = self.deliver(&message).await?;
        let now = self.sender.world.now();
        let end = match delivered {
            Delivered::Not(why) if now < message.until => {
                still_waits(&message, &why, addressee, now);
                return Ok(Sent::Not);
            }
            Delivered::TurnedDown(why) if now < message.until => {
                still_waits(&message, &why, addressee, now);
                return Ok(Sent::TurnedDown);
            }
            Delivered::Not(why) | Delivered::TurnedDown(why) => Some(Err(NoAnswer::Unreachable(why))),
            Delivered::Taken => None,
            Delivered::Answered(text) => Some(Ok(text)),
            Delivered::Never(why) => Some(Err(why)),
        };
        let reached = !matches!(end, Some(Err(NoAnswer::Unreachable(_))));
        let answered = matches!(end, Some(Ok(_)));
        self.settle(key, &message, end).await?;
        Ok(Sent::Settled { answered, reached })
    }

    async fn try_again(&self, to: &str, addressee: Addressee) -> Result<(), Fault> {
        let failures = addressee.failures;
        let next_attempt = self.sender.world.now().plus(wait_after(failures));
        let addressee = Addressee { failures: failures.saturating_add(1), next_attempt, ..addressee };
        world::transact(&*self.records, |tx| {
            let put = tx.put(&ADDRESSEES, to, &addressee);
            Box::pin(async { put })
        })
        .await
    }

    /// Nothing waits for an address any more, unless something has come just now.
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

    /// Ends what has run out of time, and says when the next thing does.
    async fn end_due(&self) -> Result<Due, Fault> {
        self.forget_old().await?;
        let mut due = Due::default();
        for (key, record) in Tx::begin(&*self.records).glance_each(&DUE, "").await? {
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
            self.lanes.at_once(&mut due, &key, now, end).await;
        }
        Ok(due)
    }

    /// Forgets the answers that nobody needs any more, now and then.
    async fn forget_old(&self) -> Result<(), Fault> {
        let now = self.sender.world.now();
        {
            let mut next = self.forgets_at.lock().unwrap_or_else(PoisonError::into_inner);
            if *next > now {
                return Ok(());
            }
            *next = now.plus(FORGET_EVERY);
        }
        let all = Tx::begin(&*self.records).glance_each(&ANSWERED, "").await?;
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
                Err(fault) => tracing::error!(%fault, "an answer is not forgotten"),
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
            records::Due::GiveUp(unique) => self.end(tx, now, unique, Err(NoAnswer::Expired)).await?,
            records::Due::Expires(key) => {
                let Some(taken) = tx.get(&CALLS, key).await? else { return Ok(()) };
                let State::Pending(ticket) = taken.state else { return Ok(()) };
                if self.party.expired(tx, now, &ticket).await? {
                    let mut base = BaseResponse::expired(None, "the validity period has run out");
                    base.processing_start = Some(ticket.received);
                    base.processing_end = Some(now);
                    let message = bare_response(&ticket.function, ticket.namespace, &base);
                    let said = Said { action: ticket.response_action.clone(), message };
                    self.sender.answer_with(tx, now, &ticket, said).await?;
                }
            }
        }
        Ok(())
    }

    /// Tries once.
    async fn deliver(&self, message: &Outgoing) -> Result<Delivered, Fault> {
        let asked = match &message.asked {
            Some(unique) => match Tx::begin(&*self.records).get(&ASKED, unique).await? {
                Some(asked) => Some(asked),
                // Answered meanwhile, or given up.
                None => return Ok(Delivered::Taken),
            },
            None => None,
        };
        let sent = self.send(&message.endpoint, &message.action, message.text.clone()).await;
        let delivered = match &sent {
            Err(fault) => Delivered::Not(fault.to_string()),
            Ok(response) => {
                let expected = asked.as_ref().map(|asked| format!("{}Response", asked.function));
                let is_synchronous = asked.as_ref().is_some_and(|asked| asked.is_synchronous);
                judge(response, expected.as_deref(), is_synchronous, message.asked.as_deref())
            }
        };
        let outcome = match &delivered {
            Delivered::Taken | Delivered::Answered(_) => Outcome::Done,
            Delivered::Never(why) => Outcome::Refused(why.to_string()),
            Delivered::Not(why) | Delivered::TurnedDown(why) => Outcome::Failed(why.clone()),
        };
        let (interface, function) = message.element.split_once('-').unwrap_or(("", &message.element));
        let received = sent.map_or(0, |response| response.body().len());
        self.events.tell(
            Event::new(self.sender.world.now(), self.name, function.to_owned())
                .with_peer(interface.to_owned(), message.to.to_string())
                .with_bytes(message.text.len(), received)
                .with_outcome(outcome),
        );
        Ok(delivered)
    }

    /// Posts an envelope.
    pub(super) async fn send(
        &self,
        endpoint: &str,
        action: &str,
        text: String,
    ) -> Result<Response<Bytes>, LinkFault> {
        let unreachable = |why: String| LinkFault::new(LinkFaultKind::Unreachable, endpoint.to_owned(), why);
        let uri: Uri = endpoint.parse().map_err(|_| unreachable("its address is no URI".to_owned()))?;
        let authority = uri.authority().ok_or_else(|| unreachable("its address names no host".to_owned()))?;
        let peers = self.peers.get();
        let peers = peers.ok_or_else(|| unreachable("this server was given no way to others".to_owned()))?;
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

    /// Takes a message out of the outbox, and tells the party if it was a call that has ended with it.
    async fn settle(
        &self,
        key: &str,
        message: &Outgoing,
        end: Option<Result<String, NoAnswer>>,
    ) -> Result<(), Fault> {
        if let (None, Some(Err(why))) = (&message.asked, &end) {
            tracing::warn!(%why, element = message.element, endpoint = message.endpoint, "a message is given up");
        }
        world::transact(&*self.records, |tx| {
            let end = end.clone();
            Box::pin(async move {
                tx.delete(&OUTBOX, key);
                match (&message.asked, end) {
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

/// What an HTTP response says about a message of ours.
fn judge(
    response: &Response<Bytes>,
    expected: Option<&str>,
    is_synchronous: bool,
    unique: Option<&str>,
) -> Delivered {
    let status = response.status();
    if status == StatusCode::ACCEPTED && !is_synchronous {
        // The answer comes by itself; what some say of it here means nothing.
        return Delivered::Taken;
    }
    if status == StatusCode::FORBIDDEN && unique.is_none() {
        // Who does not know us may come to, and what is told is told once. Who asks is told so at once.
        let why = "HTTP 403: the peer does not know this server, or does not take this from it";
        return Delivered::TurnedDown(why.to_owned());
    }
    match read_response(response, expected, unique) {
        Some(Err(NoAnswer::Fault(fault))) if fault.code == FaultCode::Receiver => {
            not_taken(status, fault.to_string())
        }
        Some(Err(why)) if !status.is_success() && !is_final(status) => not_taken(status, why.to_string()),
        Some(Err(why)) => Delivered::Never(why),
        Some(Ok(text)) if expected.is_some() => Delivered::Answered(text),
        Some(Ok(_)) => Delivered::Taken,
        None if status.is_success() && is_synchronous => {
            Delivered::Never(NoAnswer::Malformed(format!("HTTP {status} without a message")))
        }
        None if status.is_success() => Delivered::Taken,
        None if is_final(status) => Delivered::Never(NoAnswer::Malformed(format!("HTTP {status}"))),
        None => not_taken(status, format!("HTTP {status}")),
    }
}

/// Not taken for now: because of this message, as far as the status can tell, or because of the time.
fn not_taken(status: StatusCode, why: String) -> Delivered {
    if status == StatusCode::INTERNAL_SERVER_ERROR || status.is_success() {
        Delivered::TurnedDown(why)
    } else {
        Delivered::Not(why)
    }
}

/// Somebody should know of what waits for long.
fn still_waits(message: &Outgoing, why: &str, addressee: &mut Addressee, now: Timestamp) {
    let Outgoing { endpoint, element, since, until, .. } = message;
    if now.since(*since) >= LONG && now.since(addressee.said) >= LONG {
        tracing::warn!(%why, endpoint, element, %since, %until, "a message is still not taken; it is tried until then: ask its peer, or correct the address");
        addressee.said = now;
    } else {
        tracing::debug!(%why, endpoint, element, "a message was not taken");
    }
}

/// The message, or the fault, in the answer to an HTTP request; `None` when its body is empty.
pub(super) fn read_response(
    response: &Response<Bytes>,
    expected: Option<&str>,
    unique: Option<&str>,
) -> Option<Result<String, NoAnswer>> {
    if response.body().is_empty() {
        return None;
    }
    // Who only wants to say that it has taken a message may say it with anything.
    let wanted = expected?;
    let read = || {
        let malformed = |why: String| NoAnswer::Malformed(format!("HTTP {}: {why}", response.status()));
        let text = soap::text(response.body()).map_err(|e| malformed(e.to_string()))?;
        let document = xml::parse(text).map_err(|e| malformed(e.to_string()))?;
        match Envelope::receive(&document).map_err(|e| malformed(e.to_string()))? {
            Received::Fault(fault) => Err(NoAnswer::Fault(fault)),
            Received::Message(envelope) if envelope.element() == wanted => {
                let related = envelope.header.relates_to.as_deref().map(MessageId::key);
                match (related.and_then(|uri| uri.rsplit('/').next()), unique) {
                    (Some(theirs), Some(ours)) if theirs != ours => {
                        Err(malformed("it relates to another message".to_owned()))
                    }
                    _ => Ok(envelope.canonical()),
                }
            }
            Received::Message(envelope) => {
                Err(malformed(format!("{} where {wanted} belongs", envelope.element())))
            }
        }
    };
    Some(read())
}

/// Whether a status is about the message itself, and not about the time at which it came.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// How long to wait after that many failures before.
fn wait_after(failures: u32) -> Duration {
    FIRST_REDELIVERY.saturating_mul(2u32.saturating_pow(failures)).min(SLOWEST_REDELIVERY)
}
