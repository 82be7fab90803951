//! An operator of M2M devices: asks over ES2 and ES4, hears callbacks and notifications (SGP.02 sections 5.3 and 5.5).

#[cfg(test)]
mod tests;
mod tries;

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
    due::Due,
    soap::{Call, Ended, NoAnswer, Party, Peer, Peers, Rejection, Reply, Sender, Soap},
    soap_dispatch,
};
use serde::Serialize;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};
use world::{BoxFuture, Event, Events, Fault, Link, Outcome, Records, Tx, World};

use self::tries::Tries;

/// What may wait to be read of what an operator is told; who tells more is asked to come again.
const MAX_HEARD: usize = 256;

/// Longer than the peer's own validity period, which it is to end itself.
const GRACE: Duration = Duration::from_secs(10);

/// What an operator is told without having asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heard {
    /// The notification, such as `ES2-HandleProfileEnabledNotification`.
    pub notification: String,
    /// Who told it.
    pub from: Oid,
    /// About which eUICC.
    pub eid: Eid,
    /// About which profile, if about one.
    pub iccid: Option<Iccid>,
    /// The SM-SR that manages the eUICC now, when that is what is told.
    pub sm_sr: Option<Oid>,
    /// When it was so.
    pub completed: Timestamp,
}

/// An operator with its ear at [`Operator::link`]; or an EUM, which asks in the same way and is told nothing.
#[derive(Clone)]
pub struct Operator {
    soap: Soap,
    ear: Arc<Ear>,
    tries: Arc<Tries>,
    records: Arc<dyn Records>,
    world: World,
    remark: fn(&str),
}

/// Who waits for the end of a call, by its continuation.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Ended>>>>;

/// What the operator's shell decides with.
struct Ear {
    events: Arc<dyn Events>,
    world: World,
    peers: Mutex<HashMap<String, Peer>>,
    waiting: Waiting,
    heard: mpsc::Sender<Heard>,
    /// What the events call it.
    party: &'static str,
}

impl Operator {
    /// A party of this OID that takes messages at `address`, and what it will hear. The events call it `party`.
    pub fn new(
        id: Oid,
        name: &str,
        party: &'static str,
        address: String,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> (Self, mpsc::Receiver<Heard>) {
        let (heard, hears) = mpsc::channel(MAX_HEARD);
        let ear = Arc::new(Ear {
            events: Arc::clone(&events),
            world: world.clone(),
            peers: Mutex::default(),
            waiting: Waiting::default(),
            heard,
            party,
        });
        let sender = Sender { own: id, name: Some(name.to_owned()), address, world: world.clone() };
        let shell = Arc::clone(&ear) as Arc<dyn Party>;
        let tries = Arc::new(Tries::default());
        // Its events are told by itself, in its own words.
        let tried = Arc::clone(&tries) as Arc<dyn Events>;
        let soap = Soap::new(sender, Arc::clone(&records), tried, shell, party);
        (Self { soap, ear, tries, records, world, remark: |_| {} }, hears)
    }

    /// Gives it its way to others.
    #[must_use]
    pub fn with_peers(self, peers: Arc<dyn Peers>) -> Self {
        Self { soap: self.soap.with_peers(peers), ..self }
    }

    /// The same; a person who waits for it is told by this that a peer is not there.
    #[must_use]
    pub fn with_remarks(self, remark: fn(&str)) -> Self {
        Self { remark, ..self }
    }

    /// Its OID.
    pub fn id(&self) -> &Oid {
        &self.soap.sender().own
    }

    /// Where it takes messages.
    pub fn address(&self) -> &str {
        &self.soap.sender().address
    }

    /// Whom it speaks with: an SM-DP or an SM-SR.
    pub fn knows(&self, peer: Peer) {
        let mut peers = self.ear.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.insert(peer.id.to_string(), peer);
    }

    /// Where callbacks and notifications come in.
    pub fn link(&self) -> Link {
        self.soap.link()
    }

    /// What is due; see [`Soap::due`].
    ///
    /// # Errors
    /// The records fail.
    pub async fn due(&self) -> Result<Due, Fault> {
        self.soap.due().await
    }

    /// Asks for a function, and waits for its answer however it comes. A refusal is an answer. A peer that is not there is
    /// asked again until the time is over, if the function is one that is answered later; that is said at once. Whoever does
    /// not wait to the end is not told, and the call goes on: what has left cannot be taken back.
    ///
    /// # Errors
    /// The peer is not known, cannot be reached, or does not answer in the validity period.
    pub async fn ask<F: Function>(
        &self,
        peer: &Oid,
        mut request: F::Request,
        validity: Duration,
    ) -> Result<F::Response, Fault>
    where
        F::Request: Clone + Send,
    {
        let known =
            self.ear.peers.lock().unwrap_or_else(PoisonError::into_inner).get(&peer.to_string()).cloned();
        let known = known.ok_or_else(|| {
            Fault::new(format!("cannot ask {peer}"), "where it is is not known", "say where it is")
        })?;
        let begun = self.world.now();
        let answer = match F::PATTERN {
            Pattern::Synchronous => timeout(validity, self.soap.call::<F>(&known, request))
                .await
                .unwrap_or(Err(NoAnswer::Expired)),
            Pattern::Asynchronous => {
                request.base_mut().validity_period = Some(validity.as_secs().max(1));
                let until = begun.plus(validity).plus(GRACE);
                let ended = self.ask_later::<F>(&known, request, until).await?;
                ended.response::<F>().map_err(|no| match (no, self.tries.last(peer)) {
                    (NoAnswer::Expired, Some(why)) => NoAnswer::Unreachable(why),
                    (no, _) => no,
                })
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
        self.ear.events.tell(
            Event::new(self.world.now(), self.ear.party, function)
                .with_peer(interface, peer.to_string())
                .with_outcome(outcome)
                .with_note(note),
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
        let mut waiter = Waiter::among(&self.ear.waiting, &continuation);
        let now = self.world.now();
        self.tries.begin(&peer.id);
        world::transact(&*self.records, |tx| {
            let (request, continuation) = (request.clone(), continuation.clone());
            Box::pin(
                async move { self.soap.sender().ask::<F>(tx, now, peer, request, until, continuation).await },
            )
        })
        .await?;
        self.soap.wake();
        let told = tokio::select! {
            told = &mut waiter.told => told,
            why = self.tries.failed(&peer.id) => {
                (self.remark)(&format!("{} has not taken {}: {why}; tried again until {until}", peer.id, F::NAME));
                (&mut waiter.told).await
            }
        };
        told.map_err(|e| {
            Fault::caused_by(
                e,
                format!("the answer to {} was lost", F::NAME),
                "ask again; this operator was stopped",
            )
        })
    }
}

/// One who waits for the end of a call, until this is dropped.
struct Waiter {
    waiting: Waiting,
    continuation: String,
    told: oneshot::Receiver<Ended>,
}

impl Waiter {
    fn among(waiting: &Waiting, continuation: &str) -> Self {
        let (tell, told) = oneshot::channel();
        waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(continuation.to_owned(), tell);
        Self { waiting: Arc::clone(waiting), continuation: continuation.to_owned(), told }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.continuation);
    }
}

fn unanswered(function: &str, peer: &Oid, no: &NoAnswer) -> Fault {
    let next = match no {
        NoAnswer::Unreachable(_) => format!("start {peer}, or correct its address"),
        NoAnswer::Expired => format!("ask again, with more time; the log of {peer} has what it waits for"),
        NoAnswer::Fault(_) => {
            format!("correct OID and address of {peer}, and make it know who asks (--peer, --m2m-operator)")
        }
        NoAnswer::Malformed(_) => format!("check that what is there is {peer}"),
    };
    Fault::new(format!("no usable answer to {function}"), no.to_string(), next)
}

impl Ear {
    /// Tells of it, once it is written down that it has come.
    fn hear(
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
        let heard = Heard {
            notification: call.function().to_owned(),
            from: call.caller.clone(),
            eid,
            iccid,
            sm_sr,
            completed,
        };
        let place = match self.heard.clone().try_reserve_owned() {
            Ok(place) => Some(place),
            // Where nobody listens any more nobody wants to know.
            Err(TrySendError::Closed(_)) => None,
            Err(TrySendError::Full(_)) => {
                return Err(Fault::new(
                    "a notification was not taken",
                    format!("{MAX_HEARD} others wait to be read"),
                    "tell it again later",
                ));
            }
        };
        let events = Arc::clone(&self.events);
        tx.after_commit(move || {
            if let Some(place) = place {
                place.send(heard);
            }
            events.tell(event);
        });
        Ok(())
    }
}

/// Notifications about a profile.
macro_rules! dispatch {
    ($self:ident, $tx:ident, $call:ident, [$($profile:ty),* $(,)?], [$($change:ty),* $(,)?] $(,)?) => {
        soap_dispatch!($call, {}, {
            $( $profile => |told| {
                $self.hear($tx, $call, told.eid, Some(told.iccid), None, told.completion_timestamp).map_err(Rejection::Fault)
            }, )*
            $( $change => |told| {
                let sm_sr = Some(told.eis.smsr_id.clone());
                let eid = told.eis.eum_signed_info.eid;
                $self.hear($tx, $call, eid, None, sm_sr, told.completion_timestamp).map_err(Rejection::Fault)
            }, )*
        })
    };
}

impl Party for Ear {
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
                // Whoever asked has given up meanwhile.
                let _ = waiter.send(ended);
            }
        });
        Box::pin(async { Ok(()) })
    }
}

/// The base of a request that is not sent yet: identifier and validity are filled in when it is.
pub fn blank() -> BaseRequest {
    BaseRequest::new("")
}

/// A peer at `host:port`.
pub fn peer(id: Oid, authority: &str) -> Peer {
    Peer { id, endpoint: format!("https://{authority}{SOAP_PATH}"), namespace: Namespace::V3 }
}

/// Where our parties take messages in SOAP.
pub const SOAP_PATH: &str = "/sgp02";

/// What an operator reads in an answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// How it ended.
    pub status: String,
    /// Whether it was done.
    pub done: bool,
    /// Where it was not: the dotted subject code (SGP.02 section 5.1.6.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Where it was not: the dotted reason code (SGP.02 section 5.1.6.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The profile it was about, if the answer says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iccid: Option<Iccid>,
    /// The EIS, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eis: Option<Eis>,
}

impl Answer {
    /// Of a response's base.
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

    /// The row of the table of refusals, if it is one of them.
    pub fn refusal(&self) -> Option<Status> {
        Status::from_codes(self.subject.as_deref()?, self.reason.as_deref()?)
    }
}
