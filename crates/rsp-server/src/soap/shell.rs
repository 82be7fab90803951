//! The shell: decodes a request, lets the party decide, commits, and then sends the response.
//! Nothing is sent before the commit.

use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use rsp::{
    finding::Finding,
    ids::Oid,
    sgp02::{
        addressing::{Endpoint, MessageId},
        soap::{self, SoapFault},
    },
    time::Timestamp,
};
use world::{Event, Events, Fault, Link, LinkFault, Outcome, Records, Tx, link_from};

use super::{
    accepted::Accepted,
    call::{Call, InvalidRequest, Kind, Reply},
    party::{Ended, Party, Peers},
    records::{CALLS, DUE, Due, OUTBOX, ReceivedCall, ResponseMessage, SENT_CALLS, State},
    sender::{Sender, call_key, keep_answered},
};
use crate::due::WorkQueue;

/// Web services of a party. Clones share their state, and several shells can serve the same
/// records.
#[derive(Clone)]
pub struct Soap(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) sender: Sender,
    pub(super) records: Arc<dyn Records>,
    pub(super) events: Arc<dyn Events>,
    pub(super) party: Arc<dyn Party>,
    /// Name of the party in events.
    pub(super) name: &'static str,
    pub(super) peers: OnceLock<Arc<dyn Peers>>,
    /// Addressees with a delivery in progress, and work that waits for a retry.
    pub(super) work_queue: WorkQueue,
    /// Time of the next deletion of old responses.
    pub(super) next_cleanup: Mutex<Timestamp>,
}

/// HTTP response to a call.
enum HttpReply {
    /// HTTP 200 with a message.
    Message(ResponseMessage, Outcome),
    /// HTTP 202 without a message.
    Accepted(Outcome),
    /// A SOAP fault.
    Fault(InvalidRequest),
}

impl Soap {
    /// Creates the web services of `party`. `name` is its name in events.
    pub fn new(
        sender: Sender,
        records: Arc<dyn Records>,
        events: Arc<dyn Events>,
        party: Arc<dyn Party>,
        name: &'static str,
    ) -> Self {
        let (peers, work_queue, next_cleanup) = (OnceLock::new(), WorkQueue::default(), Mutex::default());
        Self(Arc::new(Inner { sender, records, events, party, name, peers, work_queue, next_cleanup }))
    }

    /// Sets the connections to peers. Has no effect if they have been set before.
    #[must_use]
    pub fn with_peers(self, peers: Arc<dyn Peers>) -> Self {
        // Another value would have missed the wake-ups that the first value received.
        let _ = self.0.peers.set(peers);
        self
    }

    /// Returns the sender, for messages that the party puts into the outbox in its own
    /// transactions. The party calls [`wake`](Self::wake) after them.
    pub fn sender(&self) -> &Sender {
        &self.0.sender
    }

    /// Signals that the outbox may have new messages.
    pub fn wake(&self) {
        if let Some(peers) = self.0.peers.get() {
            peers.wake();
        }
    }

    /// Returns a link to these web services, for a socket or a client in the same process.
    pub fn link(&self) -> Link {
        let soap = self.clone();
        link_from(tower::service_fn(move |request| {
            let soap = soap.clone();
            async move { Ok::<_, LinkFault>(soap.handle(request).await) }
        }))
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.open(&request) {
            Ok(call) => self.execute(call).await,
            Err(response) => *response,
        }
    }

    /// Decodes a request, for a party that answers some functions without a transaction by
    /// [`respond`](Self::respond) and the others by [`execute`](Self::execute).
    ///
    /// # Errors
    /// Returns the response to a request that is not a valid call.
    pub fn open(&self, request: &Request<Bytes>) -> Result<Call, Box<Response<Bytes>>> {
        let now = self.0.sender.world.now();
        Call::read(&self.0.sender.own, request, now).map_err(|invalid| {
            let response = fault_response(&invalid);
            self.0.events.emit(
                Event::new(now, self.0.name, "invalid message")
                    .with_bytes(response.body().len(), request.body().len())
                    .with_outcome(Outcome::Refused(invalid.fault.to_string())),
            );
            Box::new(response)
        })
    }

    /// Lets the party decide on a call, commits, and returns the response.
    pub async fn execute(&self, call: Call) -> Response<Bytes> {
        let inner = &*self.0;
        let transaction = world::transact(&*inner.records, |tx| {
            let call = call.clone();
            Box::pin(async move {
                let reply = inner.decide(tx, call).await?;
                Ok((reply, !tx.written_keys(&OUTBOX).is_empty()))
            })
        });
        let decided = call.accepted.collect_from(transaction).await;
        if matches!(decided, Ok((_, true))) {
            self.wake();
        }
        self.respond_and_report(&call, decided.map(|(reply, _)| reply))
    }

    /// Answers a call with a reply that was made without a transaction. The call is not recorded: a
    /// repeated call is decided again.
    pub fn respond(&self, call: &Call, reply: Result<Reply, Fault>) -> Response<Bytes> {
        let reply = reply.map(|Reply(kind)| match kind {
            Kind::Now(response, outcome) => HttpReply::Message(response, outcome),
            Kind::Accepted(outcome) => HttpReply::Accepted(outcome),
            Kind::Fault(fault) => HttpReply::Fault(fault.into()),
            Kind::CallBack(..) | Kind::Later(_) => HttpReply::Fault(
                SoapFault::receiver(format!("{} cannot be answered without a record", call.element)).into(),
            ),
        });
        self.respond_and_report(call, reply)
    }

    fn respond_and_report(&self, call: &Call, reply: Result<HttpReply, Fault>) -> Response<Bytes> {
        let (response, outcome) = match reply {
            Ok(HttpReply::Message(response, outcome)) => (self.message_response(call, &response), outcome),
            Ok(HttpReply::Accepted(outcome)) => (accepted(), outcome),
            Ok(HttpReply::Fault(invalid)) => {
                (fault_response(&invalid), Outcome::Refused(invalid.fault.to_string()))
            }
            Err(fault) => {
                tracing::error!(%fault, "cannot answer a call because of an internal fault");
                let response = SoapFault::receiver("the server cannot answer now; try again later");
                (fault_response(&response.into()), Outcome::Failed(fault.to_string()))
            }
        };
        let (interface, function) = call.element.split_once('-').unwrap_or(("", &call.element));
        self.0.events.emit(
            Event::new(call.received, self.0.name, function.to_owned())
                .with_peer(interface.to_owned(), call.caller.to_string())
                .with_bytes(response.body().len(), call.length())
                .with_outcome(outcome)
                .with_findings(self.0.log_findings(&call.accepted, &call.caller)),
        );
        response
    }

    /// Returns a response message in the HTTP response.
    fn message_response(&self, call: &Call, response: &ResponseMessage) -> Response<Bytes> {
        let sender = &self.0.sender;
        let from = &call.header.from;
        let to = Endpoint::new(from.address.clone(), Some(call.caller.clone()));
        let mut header = sender.header_to(call.received, to, response.action.clone(), &sender.unique());
        header.relates_to = Some(call.header.message_id.to_uri());
        header.message_id.transaction_id.clone_from(&call.header.message_id.transaction_id);
        xml_response(StatusCode::OK, &response.action, soap::enclose(&header, &response.message))
    }
}

impl Inner {
    async fn decide(&self, tx: &mut Tx<'_>, call: Call) -> Result<HttpReply, Fault> {
        let Some(peer) = self.party.peer(tx, &call.caller).await? else {
            let reason = format!("the function requester {} is not known here", call.caller);
            let fault = SoapFault::sender(reason);
            return Ok(HttpReply::Fault(InvalidRequest { status: StatusCode::FORBIDDEN, fault }));
        };
        let call = match call.with_peer(&peer, &self.sender.reply_addresses) {
            Ok(call) => call,
            Err(fault) => {
                return Ok(HttpReply::Fault(InvalidRequest { status: StatusCode::FORBIDDEN, fault }));
            }
        };
        if call.element.ends_with("Response") {
            self.handle_callback(tx, &call).await
        } else if let Some((identifier, expires)) = &call.request {
            let key = call_key(&call.caller, identifier);
            match tx.get(&CALLS, &key).await? {
                Some(received) => self.handle_repeated_call(tx, &call, &key, received).await,
                None => {
                    let due =
                        expires.map(|at| (Due::Expires(key.clone()).key(at), Due::Expires(key.clone())));
                    if let Some((at, due)) = &due {
                        tx.put(&DUE, at, due)?;
                    }
                    let received = ReceivedCall {
                        digest: call.digest.clone(),
                        state: State::Pending(call.ticket()),
                        due: due.map(|(at, _)| at),
                        outgoing: None,
                    };
                    // Stored before the decision, because the decision may already answer by the
                    // ticket.
                    tx.put(&CALLS, &key, &received)?;
                    self.handle_first_call(tx, &call, &key, received).await
                }
            }
        } else {
            self.handle_notification(tx, &call).await
        }
    }

    /// Handles the first call of a function.
    async fn handle_first_call(
        &self,
        tx: &mut Tx<'_>,
        call: &Call,
        key: &str,
        mut received: ReceivedCall,
    ) -> Result<HttpReply, Fault> {
        let Reply(kind) = self.party.decide(tx, call).await?;
        match kind {
            Kind::Now(response, outcome) => {
                received.state = State::Answered(response.clone());
                keep_answered(tx, call.received, key, received)?;
                Ok(HttpReply::Message(response, outcome))
            }
            Kind::CallBack(response, outcome) => {
                let ticket = call.ticket();
                self.sender.call_back(tx, call.received, &mut received, &ticket, &response).await?;
                received.state = State::CalledBack(ticket, response);
                keep_answered(tx, call.received, key, received)?;
                Ok(HttpReply::Accepted(outcome))
            }
            Kind::Later(action) => {
                // The decision may have answered by the ticket already.
                if let Some(ReceivedCall { state: State::Pending(mut ticket), .. }) =
                    tx.get(&CALLS, key).await?
                {
                    ticket.response_action = action;
                    received.state = State::Pending(ticket);
                    tx.put(&CALLS, key, &received)?;
                }
                Ok(HttpReply::Accepted(Outcome::Done))
            }
            Kind::Accepted(outcome) => {
                delete_call(tx, key, &received);
                Ok(HttpReply::Accepted(outcome))
            }
            Kind::Fault(fault) => {
                delete_call(tx, key, &received);
                Ok(HttpReply::Fault(fault.into()))
            }
        }
    }

    /// Handles a repeated call. It gets the same response as before.
    async fn handle_repeated_call(
        &self,
        tx: &mut Tx<'_>,
        call: &Call,
        key: &str,
        mut received: ReceivedCall,
    ) -> Result<HttpReply, Fault> {
        // req: SGP.02-5.1.1-Repeated
        if received.digest != call.digest {
            let reason = "the functionCallIdentifier belongs to another call";
            return Ok(HttpReply::Fault(SoapFault::sender(reason).into()));
        }
        match received.state {
            State::Answered(response) => Ok(HttpReply::Message(response, Outcome::Done)),
            State::Pending(_) => {
                received.state = State::Pending(renewed_ticket(received.state, call));
                tx.put(&CALLS, key, &received)?;
                Ok(HttpReply::Accepted(Outcome::Done))
            }
            State::CalledBack(_, ref response) => {
                let response = response.clone();
                let ticket = renewed_ticket(received.state.clone(), call);
                self.sender.call_back(tx, call.received, &mut received, &ticket, &response).await?;
                tx.put(&CALLS, key, &received)?;
                Ok(HttpReply::Accepted(Outcome::Done))
            }
        }
    }

    /// Handles a notification. A repeated message is not passed to the party again.
    async fn handle_notification(&self, tx: &mut Tx<'_>, call: &Call) -> Result<HttpReply, Fault> {
        let key = call_key(&call.caller, MessageId::key(&call.header.message_id.uri));
        let known = tx.get(&CALLS, &key).await?;
        if known.as_ref().is_some_and(|known| known.digest == call.digest) {
            return Ok(HttpReply::Accepted(Outcome::Done));
        }
        let Reply(kind) = self.party.decide(tx, call).await?;
        match kind {
            Kind::Accepted(outcome) => {
                let received = ReceivedCall {
                    digest: call.digest.clone(),
                    state: State::Answered(ResponseMessage { action: String::new(), message: String::new() }),
                    due: known.and_then(|known| known.due),
                    outgoing: None,
                };
                keep_answered(tx, call.received, &key, received)?;
                Ok(HttpReply::Accepted(outcome))
            }
            Kind::Fault(fault) => Ok(HttpReply::Fault(fault.into())),
            Kind::Now(..) | Kind::CallBack(..) | Kind::Later(_) => {
                let reason = format!("{} is a notification but was answered like a function", call.element);
                Ok(HttpReply::Fault(SoapFault::receiver(reason).into()))
            }
        }
    }

    /// Handles the response to a sent call.
    async fn handle_callback(&self, tx: &mut Tx<'_>, call: &Call) -> Result<HttpReply, Fault> {
        for unique in call.answers() {
            let Some(sent_call) =
                tx.get(&SENT_CALLS, unique).await?.filter(|sent_call| sent_call.peer == call.caller)
            else {
                continue;
            };
            if sent_call.function != call.function() {
                let reason = format!("{} does not answer {}", call.element, sent_call.function);
                return Ok(HttpReply::Fault(SoapFault::sender(reason).into()));
            }
            if let Err(error) = call.response() {
                return Ok(HttpReply::Fault(error.into()));
            }
            self.end(tx, call.received, unique, Ok(call.canonical())).await?;
            return Ok(HttpReply::Accepted(Outcome::Done));
        }
        // The call has been answered or given up. The callback is accepted so that the peer does
        // not repeat it.
        Ok(HttpReply::Accepted(Outcome::Refused("no call waits for this response".to_owned())))
    }

    /// Reports the end of a sent call to the party, unless it has ended before.
    pub(super) async fn end(
        &self,
        tx: &mut Tx<'_>,
        now: rsp::time::Timestamp,
        unique: &str,
        outcome: Result<String, super::CallFailure>,
    ) -> Result<(), Fault> {
        let Some(sent_call) = tx.get(&SENT_CALLS, unique).await? else { return Ok(()) };
        tx.delete(&SENT_CALLS, unique);
        tx.delete(&DUE, &sent_call.due);
        tx.delete(&OUTBOX, &sent_call.outgoing);
        let ended = Ended {
            continuation: sent_call.continuation,
            function: sent_call.function,
            peer: sent_call.peer,
            outcome,
            accepted: Accepted::default(),
        };
        let resumed = ended.accepted.collect_from(self.party.resumed(tx, now, &ended)).await;
        self.report_response(now, &ended.function, &ended.peer, &ended.accepted);
        resumed
    }

    /// Reports the deviations of a response, if there are any.
    pub(super) fn report_response(
        &self,
        now: rsp::time::Timestamp,
        function: &str,
        peer: &Oid,
        accepted: &Accepted,
    ) {
        let findings = self.log_findings(accepted, peer);
        if !findings.is_empty() {
            let (interface, function) = function.split_once('-').unwrap_or(("", function));
            self.events.emit(
                Event::new(now, self.name, format!("response to {function}"))
                    .with_peer(interface.to_owned(), peer.to_string())
                    .with_findings(findings),
            );
        }
    }

    /// Logs the deviations of a message, and returns them.
    pub(super) fn log_findings(&self, accepted: &Accepted, peer: &Oid) -> Vec<Finding> {
        let findings = accepted.all();
        for finding in &findings {
            tracing::info!(server = self.name, %peer, %finding, "accepted a deviation");
        }
        findings
    }
}

/// Returns the ticket of a repeated call. The response is sent to the reply address of the latest
/// repetition.
fn renewed_ticket(state: State, call: &Call) -> super::Ticket {
    let ticket = call.ticket();
    match state {
        State::Pending(first) | State::CalledBack(first, _) => super::Ticket {
            reply_to: ticket.reply_to,
            message_id: ticket.message_id,
            transaction_id: ticket.transaction_id,
            namespace: ticket.namespace,
            ..first
        },
        State::Answered(_) => ticket,
    }
}

fn delete_call(tx: &mut Tx<'_>, key: &str, received: &ReceivedCall) {
    tx.delete(&CALLS, key);
    if let Some(due) = &received.due {
        tx.delete(&DUE, due);
    }
}

fn accepted() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn fault_response(invalid: &InvalidRequest) -> Response<Bytes> {
    let mut response = xml_response(invalid.status, super::FAULT_ACTION, invalid.fault.to_xml());
    if invalid.status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn xml_response(status: StatusCode, action: &str, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    if let Ok(content_type) = HeaderValue::from_str(&soap::content_type(action)) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}
