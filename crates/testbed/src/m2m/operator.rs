//! An operator of M2M devices: calls functions over ES2 and ES4, and receives callbacks and
//! notifications (SGP.02 sections 5.3 and 5.5).

mod deliveries;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{
        BaseRequest, BaseResponse, Function, Namespace, Pattern, Request as _, Response as _, eis::Eis, es2,
        es4, status::Status,
    },
    time::Timestamp,
};
use rsp_server::{
    AllowedAddresses,
    due::Due,
    soap::{Call, CallFailure, Ended, Party, Peer, Peers, Rejection, Reply, Sender, Soap},
    soap_dispatch,
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};
use world::{BoxFuture, Event, Events, Fault, FaultKind, Link, Outcome, Records, Tx, World};

use self::deliveries::Deliveries;

/// Maximum number of notifications that wait to be read. Further notifications are refused, and the
/// peer retries.
const MAX_UNREAD_NOTIFICATIONS: usize = 256;

/// Extra time after the validity period. The peer ends the function at the end of that period, and
/// its answer still has to arrive.
const GRACE: Duration = Duration::from_secs(10);

/// A notification that the operator received.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ReceivedNotification {
    /// The name of the notification, such as `ES2-HandleProfileEnabledNotification`.
    pub notification: String,
    /// The sender.
    pub from: Oid,
    /// The eUICC.
    pub eid: Eid,
    /// The profile, if the notification concerns one.
    pub iccid: Option<Iccid>,
    /// The SM-SR that now manages the eUICC, if the notification reports a change.
    pub sm_sr: Option<Oid>,
    /// The completion time.
    pub completed: Timestamp,
}

/// An operator or an EUM. Both call functions; only an operator receives messages, at
/// [`Operator::link`].
#[derive(Clone)]
pub struct Operator {
    soap: Soap,
    inbox: Arc<Inbox>,
    deliveries: Arc<Deliveries>,
    records: Arc<dyn Records>,
    world: World,
    remark: fn(&str),
}

/// The callers that wait for the end of a call, by continuation.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Ended>>>>;

/// The message handler of the operator.
struct Inbox {
    events: Arc<dyn Events>,
    world: World,
    peers: Mutex<HashMap<String, Peer>>,
    waiting: Waiting,
    notifications: mpsc::Sender<ReceivedNotification>,
    /// Name of the party in events.
    party: &'static str,
}

impl Operator {
    /// Creates a party with this OID that receives messages at `address`, and the channel of its
    /// notifications. `party` is its name in events.
    pub fn new(
        id: Oid,
        name: &str,
        party: &'static str,
        address: String,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> (Self, mpsc::Receiver<ReceivedNotification>) {
        let (notifications, received) = mpsc::channel(MAX_UNREAD_NOTIFICATIONS);
        let inbox = Arc::new(Inbox {
            events: Arc::clone(&events),
            world: world.clone(),
            peers: Mutex::default(),
            waiting: Waiting::default(),
            notifications,
            party,
        });
        let sender = Sender {
            own: id,
            name: Some(name.to_owned()),
            address,
            world: world.clone(),
            reply_addresses: AllowedAddresses::default(),
        };
        let shell = Arc::clone(&inbox) as Arc<dyn Party>;
        let deliveries = Arc::new(Deliveries::new(events));
        // The operator reports its events itself. The SOAP layer only records failed deliveries and
        // reports findings.
        let tried = Arc::clone(&deliveries) as Arc<dyn Events>;
        let soap = Soap::new(sender, Arc::clone(&records), tried, shell, party);
        (Self { soap, inbox, deliveries, records, world, remark: |_| {} }, received)
    }

    /// Sets how the operator connects to its peers.
    #[must_use]
    pub fn with_peers(self, peers: Arc<dyn Peers>) -> Self {
        Self { soap: self.soap.with_peers(peers), ..self }
    }

    /// Sets a callback for messages to the user, for example that a peer is unreachable.
    #[must_use]
    pub fn with_remarks(self, remark: fn(&str)) -> Self {
        Self { remark, ..self }
    }

    /// The OID of this party.
    pub fn id(&self) -> &Oid {
        &self.soap.sender().own
    }

    /// The address at which this party receives messages.
    pub fn address(&self) -> &str {
        &self.soap.sender().address
    }

    /// Adds a peer: an SM-DP or an SM-SR.
    pub fn knows(&self, peer: Peer) {
        let mut peers = self.inbox.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.insert(peer.id.to_string(), peer);
    }

    /// The link at which callbacks and notifications arrive.
    pub fn link(&self) -> Link {
        self.soap.link()
    }

    /// The due background tasks; see [`Soap::due`].
    ///
    /// # Errors
    /// The records fail.
    pub async fn due(&self) -> Result<Due, Fault> {
        self.soap.due().await
    }

    /// Calls a function and waits for its answer, which may be synchronous or a callback. A refusal
    /// is an answer. While the peer is unreachable, a call of an asynchronous function is retried
    /// until its validity period ends; the first failure is reported at once. If the caller stops
    /// waiting, the call still continues, because a sent request cannot be withdrawn.
    ///
    /// # Errors
    /// The peer is unknown, unreachable, or does not answer within the validity period.
    pub async fn call<F: Function>(
        &self,
        peer: &Oid,
        mut request: F::Request,
        validity: Duration,
    ) -> Result<F::Response, Fault>
    where
        F::Request: Clone + Send,
    {
        let known =
            self.inbox.peers.lock().unwrap_or_else(PoisonError::into_inner).get(&peer.to_string()).cloned();
        let known = known.ok_or_else(|| {
            Fault::new(
                format!("cannot call {peer}"),
                "its address is unknown",
                "add the peer with its address",
            )
        })?;
        let begun = self.world.now();
        let mut findings = Vec::new();
        let answer = match F::PATTERN {
            Pattern::Synchronous => timeout(validity, self.soap.call::<F>(&known, request))
                .await
                .unwrap_or(Err(CallFailure::Expired)),
            Pattern::Asynchronous => {
                request.base_mut().validity_period = Some(validity.as_secs().max(1));
                let until = begun.plus(validity).plus(GRACE);
                let ended = self.ask_later::<F>(&known, request, until).await?;
                let answer = ended.response::<F>().map_err(|no| match (no, self.deliveries.last(peer)) {
                    (CallFailure::Expired, Some(why)) => CallFailure::Unreachable(why),
                    (no, _) => no,
                });
                findings = ended.findings();
                answer
            }
        };
        let (outcome, note) = match &answer {
            Ok(response) => {
                let status = response.base().function_execution_status.to_string();
                match response.base().is_done() {
                    true => (Outcome::Done, status),
                    false => (Outcome::Refused(status), String::new()),
                }
            }
            Err(no) => (Outcome::Failed(no.to_string()), String::new()),
        };
        let (interface, function) = F::NAME.split_once('-').unwrap_or(("", F::NAME));
        self.inbox.events.emit(
            Event::new(self.world.now(), self.inbox.party, function)
                .with_peer(interface, peer.to_string())
                .with_outcome(outcome)
                .with_note(note)
                .with_findings(findings),
        );
        answer.map_err(|no| unanswered(F::NAME, peer, &no))
    }

    async fn ask_later<F: Function>(
        &self,
        peer: &Peer,
        request: F::Request,
        until: Timestamp,
    ) -> Result<Ended, Fault>
    where
        F::Request: Clone + Send,
    {
        let continuation = hex::encode(self.world.random::<16>());
        let mut waiter = Waiter::among(&self.inbox.waiting, &continuation);
        let now = self.world.now();
        self.deliveries.begin(&peer.id);
        world::transact(&*self.records, |tx| {
            let (request, continuation) = (request.clone(), continuation.clone());
            Box::pin(async move {
                self.soap.sender().call::<F>(tx, now, peer, request, until, continuation).await
            })
        })
        .await?;
        self.soap.wake();
        let ended = tokio::select! {
            ended = &mut waiter.ended => ended,
            why = self.deliveries.failed(&peer.id) => {
                (self.remark)(&format!("{} did not accept {}: {why}; retrying until {until}", peer.id, F::NAME));
                (&mut waiter.ended).await
            }
        };
        ended.map_err(|e| {
            Fault::caused_by(
                e,
                format!("the answer to {} was lost", F::NAME),
                "repeat the call; this operator was stopped",
            )
        })
    }
}

/// A registration for the end of a call, which is removed when it is dropped.
struct Waiter {
    waiting: Waiting,
    continuation: String,
    ended: oneshot::Receiver<Ended>,
}

impl Waiter {
    fn among(waiting: &Waiting, continuation: &str) -> Self {
        let (sender, ended) = oneshot::channel();
        waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(continuation.to_owned(), sender);
        Self { waiting: Arc::clone(waiting), continuation: continuation.to_owned(), ended }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.continuation);
    }
}

fn unanswered(function: &str, peer: &Oid, no: &CallFailure) -> Fault {
    let next = match no {
        CallFailure::Unreachable(_) => format!("start {peer}, or correct its address"),
        CallFailure::Expired => {
            format!("call again with more time; the log of {peer} shows what it waits for")
        }
        CallFailure::Fault(_) => {
            format!(
                "correct the OID and the address of {peer}, and register the caller there (--peer, --m2m-operator)"
            )
        }
        CallFailure::Malformed(_) => format!("check that the server at this address is {peer}"),
    };
    let kind = match no {
        CallFailure::Unreachable(_) | CallFailure::Expired => FaultKind::Unreachable,
        CallFailure::Fault(_) => FaultKind::Refused,
        CallFailure::Malformed(_) => FaultKind::Internal,
    };
    Fault::new(format!("no usable answer to {function}"), no.to_string(), next).of_kind(kind)
}

impl Inbox {
    /// Reports the notification after the commit that records it.
    fn report(
        &self,
        tx: &mut Tx<'_>,
        call: &Call,
        eid: Eid,
        iccid: Option<Iccid>,
        sm_sr: Option<Oid>,
        completed: Timestamp,
    ) -> Result<(), Fault> {
        let (interface, function) = call.function().split_once('-').unwrap_or(("", call.function()));
        let note = match (&iccid, &sm_sr) {
            (Some(iccid), _) => format!("{iccid} on {eid}"),
            (None, Some(sm_sr)) => format!("{eid} is managed by {sm_sr}"),
            (None, None) => eid.to_string(),
        };
        let event = Event::new(self.world.now(), self.party, function.to_owned())
            .with_peer(interface.to_owned(), call.caller.to_string())
            .with_note(note);
        let received = ReceivedNotification {
            notification: call.function().to_owned(),
            from: call.caller.clone(),
            eid,
            iccid,
            sm_sr,
            completed,
        };
        let place = match self.notifications.clone().try_reserve_owned() {
            Ok(place) => Some(place),
            // If the receiver was dropped, nobody reads the notification.
            Err(TrySendError::Closed(_)) => None,
            Err(TrySendError::Full(_)) => {
                return Err(Fault::new(
                    "a notification was not accepted",
                    format!("{MAX_UNREAD_NOTIFICATIONS} notifications wait to be read"),
                    "send it again later",
                ));
            }
        };
        let events = Arc::clone(&self.events);
        tx.after_commit(move || {
            if let Some(place) = place {
                place.send(received);
            }
            events.emit(event);
        });
        Ok(())
    }
}

/// Dispatches notifications about profiles and about changes of the SM-SR.
macro_rules! dispatch {
    ($self:ident, $tx:ident, $call:ident, [$($profile:ty),* $(,)?], [$($change:ty),* $(,)?] $(,)?) => {
        soap_dispatch!($call, {}, {
            $( $profile => |request| {
                $self.report($tx, $call, request.eid, Some(request.iccid), None, request.completion_timestamp).map_err(Rejection::Fault)
            }, )*
            $( $change => |request| {
                let sm_sr = Some(request.eis.smsr_id.clone());
                let eid = request.eis.eum_signed_info.eid;
                $self.report($tx, $call, eid, None, sm_sr, request.completion_timestamp).map_err(Rejection::Fault)
            }, )*
        })
    };
}

impl Party for Inbox {
    fn peer<'a>(&'a self, _: &'a mut Tx<'_>, id: &'a Oid) -> BoxFuture<'a, Result<Option<Peer>, Fault>> {
        let peer = self.peers.lock().unwrap_or_else(PoisonError::into_inner).get(&id.to_string()).cloned();
        Box::pin(async { Ok(peer) })
    }

    fn decide<'a>(&'a self, tx: &'a mut Tx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move {
            dispatch!(
                self,
                tx,
                call,
                [
                    es2::HandleProfileEnabledNotification,
                    es2::HandleProfileDisabledNotification,
                    es2::HandleProfileDeletedNotification,
                    es2::HandleProfileDownloadedNotification,
                    es2::HandleFallBackAttributeSetNotification,
                    es2::HandleFallBackAttributeUnsetNotification,
                    es2::HandleEmergencyProfileAttributeSetNotification,
                    es2::HandleEmergencyProfileAttributeUnsetNotification,
                    es2::HandleProfilePol2UpdatedNotification,
                    es4::HandleProfileEnabledNotification,
                    es4::HandleProfileDisabledNotification,
                    es4::HandleProfileDeletedNotification,
                    es4::HandleProfileDownloadedNotification,
                    es4::HandleFallBackAttributeSetNotification,
                    es4::HandleFallBackAttributeUnsetNotification,
                    es4::HandleEmergencyProfileAttributeSetNotification,
                    es4::HandleEmergencyProfileAttributeUnsetNotification,
                    es4::HandleProfilePol2UpdatedNotification,
                ],
                [es2::HandleSmsrChangeNotification, es4::HandleSmsrChangeNotification],
            )
        })
    }

    fn resumed<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        _: Timestamp,
        ended: &'a Ended,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        let (waiting, ended) = (Arc::clone(&self.waiting), ended.clone());
        tx.after_commit(move || {
            let waiter = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&ended.continuation);
            if let Some(waiter) = waiter {
                // An error means that the caller has stopped waiting.
                let _ = waiter.send(ended);
            }
        });
        Box::pin(async { Ok(()) })
    }
}

/// The common part of a request before it is sent. Identifier and validity period are filled in
/// when the request is sent.
pub fn blank() -> BaseRequest {
    BaseRequest::new("")
}

/// A peer at `host:port`.
pub fn peer(id: Oid, authority: &str) -> Peer {
    Peer { id, endpoint: format!("https://{authority}{SOAP_PATH}"), namespace: Namespace::V3 }
}

/// The path at which the simulated parties receive SOAP messages.
pub const SOAP_PATH: &str = "/sgp02";

/// The answer of a function, as shown to an operator.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Answer {
    /// The execution status as text.
    pub status: String,
    /// True if the function was executed.
    pub done: bool,
    /// The dotted subject code, if the function failed (SGP.02 section 5.1.6.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The dotted reason code, if the function failed (SGP.02 section 5.1.6.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The profile, if the answer names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iccid: Option<Iccid>,
    /// The EIS, if it was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eis: Option<Eis>,
}

impl Answer {
    /// Converts the common part of a response.
    pub fn of(base: &BaseResponse) -> Self {
        let codes = base.function_execution_status.status_code_data.as_ref();
        Self {
            status: base.function_execution_status.to_string(),
            done: base.is_done(),
            subject: codes.map(|codes| codes.subject.clone()),
            reason: codes.map(|codes| codes.reason.clone()),
            iccid: None,
            eis: None,
        }
    }

    /// The refusal from the table of status codes, if it is one of them.
    pub fn refusal(&self) -> Option<Status> {
        Status::from_codes(self.subject.as_deref()?, self.reason.as_deref()?)
    }
}
