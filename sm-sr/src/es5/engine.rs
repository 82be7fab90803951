//! The ES5 engine: handles each event in a transaction, commits, and only then sends.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crypto::Secret;
use rsp::{
    finding::{self, Finding},
    ids::Eid,
    sgp02::keys::PskIdentity,
    time::Timestamp,
};
use rsp_server::due::{Due, WorkQueue};
use world::{
    BoxFuture, Event, Events, Fault, IncomingDelivery, MessageId, Records, ShortMessageSink, ShortMessages,
    Submission, SubmitFault, Tx, World,
};

use super::{
    Procedures, PskKey,
    context::{Context, Outbound, Packet},
    long_polls::LongPolls,
    policy::Es5Config,
    records::DUE,
    sessions::{Call, Offer},
};

/// Receiver of the signal that [`Engine::due`] has work.
pub trait Wake: Send + Sync {
    /// Signals that work is due now, or that the time returned last has changed.
    fn wake(&self);
}

/// Transports scripts to cards. Clones share their state, and several engines can use the same
/// records.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

pub(super) struct Inner {
    records: Arc<dyn Records>,
    pub(super) world: World,
    pub(super) events: Arc<dyn Events>,
    pub(super) config: Es5Config,
    procedures: Arc<dyn Procedures>,
    smsc: OnceLock<Arc<dyn ShortMessages>>,
    waker: OnceLock<Arc<dyn Wake>>,
    pub(super) long_polls: LongPolls,
    /// Cards with work in progress, and work that waits for a retry.
    work_queue: WorkQueue,
}

/// An event that the engine handles.
#[derive(Debug)]
pub(super) enum EngineEvent {
    /// A deadline of a card.
    Due(Eid),
    /// Something arrived from the SMSC.
    IncomingDelivery(IncomingDelivery),
    /// The parts of a packet were submitted to the SMSC, with the results.
    Submitted(Packet, Vec<Result<MessageId, SubmitFault>>),
    /// A request of a card in its HTTPS session.
    Called(Call),
}

impl Context<'_, '_> {
    async fn dispatch(&mut self, engine_event: &EngineEvent) -> Result<Option<Offer>, Fault> {
        match engine_event {
            EngineEvent::Due(eid) => self.step(*eid).await?,
            EngineEvent::IncomingDelivery(arrived) => self.arrived(arrived).await?,
            EngineEvent::Submitted(packet, results) => self.submitted(packet, results).await?,
            EngineEvent::Called(call) => return self.handle_call(call).await.map(Some),
        }
        Ok(None)
    }
}

impl Engine {
    /// Creates an engine on these records. `procedures` receives the results of jobs.
    pub fn new(
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
        config: Es5Config,
        procedures: Arc<dyn Procedures>,
    ) -> Self {
        let (smsc, waker) = (OnceLock::new(), OnceLock::new());
        let (long_polls, work_queue) = (LongPolls::default(), WorkQueue::default());
        Self(Arc::new(Inner {
            records,
            world,
            events,
            config,
            procedures,
            smsc,
            waker,
            long_polls,
            work_queue,
        }))
    }

    /// Sets the connection to an SMSC. Has no effect if it has been set before.
    #[must_use]
    pub fn with_short_messages(self, smsc: Arc<dyn ShortMessages>) -> Self {
        // Without an SMSC nothing is sent; the jobs wait in their records.
        let _ = self.0.smsc.set(smsc);
        self
    }

    /// Sets the receiver of the signal that work is due. Has no effect if it has been set before.
    #[must_use]
    pub fn with_wake(self, waker: Arc<dyn Wake>) -> Self {
        let _ = self.0.waker.set(waker);
        self
    }

    /// Signals to open sessions, and to the caller of [`due`](Self::due), that jobs may have been
    /// enqueued or cancelled.
    pub fn wake(&self) {
        self.0.long_polls.wake();
        self.signal_work();
    }

    pub(super) fn signal_work(&self) {
        if let Some(waker) = self.0.waker.get() {
            waker.wake();
        }
    }

    /// Returns the work that is due, one task for each card, so that a slow or unreachable SMSC
    /// delays nothing else. Call it after every wake-up, at the time that it returns, and when a
    /// task has ended.
    ///
    /// # Errors
    /// Returns a fault if the records fail. A fault that concerns a single card is logged, and its
    /// work is retried later.
    pub async fn due(&self) -> Result<Due, Fault> {
        let inner = &*self.0;
        let now = inner.world.now();
        let mut due = Due { next: inner.long_polls.tick(now), ..Due::default() };
        let mut cards = Vec::new();
        for (name, at) in Tx::begin(&*inner.records).peek_each(&DUE, "").await? {
            if let Ok(at) = at
                && at > now
            {
                due.later(at);
                continue;
            }
            // An unreadable time is treated as due. The card's record then shows the fault.
            cards.push(name);
        }
        inner.work_queue.begin(&mut due, cards, now, |name| {
            let (engine, eid) = (self.clone(), name.parse::<Eid>());
            async move {
                let eid = eid.map_err(|error| {
                    let next = "restore the records from a copy";
                    Fault::caused_by(error, "cannot read the EID of a card with work due", next)
                })?;
                engine.handle(EngineEvent::Due(eid)).await?;
                // A waiting session can be given the job.
                engine.0.long_polls.wake();
                Ok(())
            }
        });
        Ok(due)
    }

    /// Runs the due work until no more is due. Returns the time at which more work is due, or `None`.
    ///
    /// # Errors
    /// As [`due`](Self::due).
    pub async fn run_due(&self) -> Result<Option<Timestamp>, Fault> {
        rsp_server::due::run_due(async || self.due().await).await
    }

    /// Returns the TLS key for a PSK identity at the HTTPS endpoint for cards; `None` if the card
    /// is unknown or has no such key.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn psk(&self, identity: &str) -> Result<Option<Secret<Vec<u8>>>, Fault> {
        let Ok(identity) = identity.parse::<PskIdentity>() else { return Ok(None) };
        let mut tx = Tx::begin(&*self.0.records);
        let card = self.0.procedures.card(&mut tx, identity.eid).await?;
        let keys = card.map(|card| card.scp81).unwrap_or_default();
        let is_it = |key: &PskKey| (key.kvn, key.key_id) == (identity.key_version.0, identity.key_identifier);
        Ok(keys.into_iter().find(is_it).map(|key| key.key))
    }

    /// Processes a message from the SMSC. It is stored when this function has returned.
    ///
    /// # Errors
    /// Returns a fault if the records fail; nothing is stored.
    pub async fn short_message(&self, arrived: IncomingDelivery) -> Result<(), Fault> {
        self.handle(EngineEvent::IncomingDelivery(arrived)).await?;
        // The time of the next work may have changed.
        self.signal_work();
        Ok(())
    }

    /// Loads, decides and commits; then sends the messages of the decision.
    pub(super) async fn handle(&self, engine_event: EngineEvent) -> Result<Option<Offer>, Fault> {
        let mut engine_event = engine_event;
        let mut more = Vec::new();
        let mut offer = None;
        loop {
            let (offered, outbound) = self.decide(&engine_event).await?;
            offer = offer.or(offered);
            for event in outbound.events {
                self.0.events.emit(event);
            }
            for (packet, parts) in outbound.packets {
                let results = self.submit(parts).await;
                more.push(EngineEvent::Submitted(packet, results));
            }
            match more.pop() {
                Some(next) => engine_event = next,
                None => return Ok(offer),
            }
        }
    }

    async fn decide(&self, engine_event: &EngineEvent) -> Result<(Option<Offer>, Outbound), Fault> {
        let inner = &*self.0;
        let now = inner.world.now();
        let transaction = world::transact(&*inner.records, |tx| {
            Box::pin(async move {
                let mut context = Context {
                    tx,
                    config: &inner.config,
                    procedures: &*inner.procedures,
                    now,
                    outbound: Outbound::default(),
                };
                let offer = context.dispatch(engine_event).await?;
                Ok((offer, context.outbound))
            })
        });
        let (decided, findings) = finding::collect_from(transaction).await;
        let (offer, mut outbound) = decided?;
        if !findings.is_empty() {
            let peer = outbound.card.map(|eid| eid.to_string()).unwrap_or_default();
            outbound.events.push(
                Event::new(now, "SM-SR", "message of card")
                    .with_peer("ES5", peer.clone())
                    .with_findings(log_findings(&peer, findings)),
            );
        }
        Ok((offer, outbound))
    }

    /// Submits the parts of a packet one after the other until one is rejected, because the other
    /// parts are useless without it.
    async fn submit(&self, parts: Vec<Submission>) -> Vec<Result<MessageId, SubmitFault>> {
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            let result = match self.0.smsc.get() {
                Some(smsc) => smsc.submit(part).await,
                None => Err(SubmitFault::Unbound),
            };
            let is_taken = result.is_ok();
            results.push(result);
            if !is_taken {
                break;
            }
        }
        results
    }
}

/// Logs the deviations of a card's message, and returns them.
pub(super) fn log_findings(eid: &str, findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &findings {
        tracing::info!(server = "SM-SR", eid, %finding, "accepted a deviation");
    }
    findings
}

impl ShortMessageSink for Engine {
    fn take(&self, arrived: IncomingDelivery) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.short_message(arrived))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.0.config.address)
    }
}
