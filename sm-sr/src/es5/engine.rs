//! The shell: something happens, a transaction decides what comes of it, it is committed, and only then something leaves.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crypto::Secret;
use rsp::{ids::Eid, ota::secured_packet::Counter, sgp02::keys::PskIdentity, time::Timestamp};
use rsp_server::due::{Due, WorkQueue};
use world::{
    Arrived, BoxFuture, Event, Events, Fault, MessageId, Records, ShortMessageSink, ShortMessages,
    Submission, SubmitFault, Tx, World,
};

use super::{
    JobId, Procedures,
    held::Held,
    https::{Call, Offer},
    policy::Es5Config,
    records::{CARDS, Card, DUE, key},
};

/// Is told that there is something to do: [`Engine::due`].
pub trait Wake: Send + Sync {
    /// Now, or at another time than it was last said.
    fn wake(&self);
}

/// Brings scripts to cards. A clone is the same engine; so is another one over the same records.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

pub(super) struct Inner {
    records: Arc<dyn Records>,
    pub(super) world: World,
    pub(super) events: Arc<dyn Events>,
    pub(super) config: Es5Config,
    procedures: Arc<dyn Procedures>,
    centre: OnceLock<Arc<dyn ShortMessages>>,
    waker: OnceLock<Arc<dyn Wake>>,
    pub(super) held: Held,
    /// Cards for which something is being done, and what rests.
    lanes: WorkQueue,
}

/// Something that happens.
#[derive(Debug)]
pub(super) enum Happening {
    /// It is time.
    Due(Eid),
    /// The message centre has brought something.
    Arrived(Arrived),
    /// The message centre was given the parts of a packet.
    Submitted(Packet, Vec<Result<MessageId, SubmitFault>>),
    /// A card asks in its session.
    Called(Call),
}

/// A secured packet that was sent for a job.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) id: JobId,
    pub(super) kvn: u8,
    pub(super) counter: Counter,
}

/// A decision about to be taken, and what is to leave after it.
pub(super) struct Context<'a, 'r> {
    pub(super) tx: &'a mut Tx<'r>,
    pub(super) config: &'a Es5Config,
    pub(super) procedures: &'a dyn Procedures,
    pub(super) now: Timestamp,
    leaves: Leaves,
}

/// What leaves after the commit.
#[derive(Default)]
struct Leaves {
    packets: Vec<(Packet, Vec<Submission>)>,
    events: Vec<Event>,
}

impl Context<'_, '_> {
    pub(super) async fn card(&mut self, eid: Eid) -> Result<Card, Fault> {
        Ok(self.tx.get(&CARDS, &key(eid)).await?.unwrap_or_default())
    }

    pub(super) fn put_card(&mut self, eid: Eid, card: &Card) -> Result<(), Fault> {
        self.tx.put(&CARDS, &key(eid), card)
    }

    pub(super) fn send(&mut self, packet: Packet, parts: Vec<Submission>) {
        self.leaves.packets.push((packet, parts));
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.leaves.events.push(event);
    }

    async fn react(&mut self, happening: &Happening) -> Result<Option<Offer>, Fault> {
        match happening {
            Happening::Due(eid) => self.step(*eid).await?,
            Happening::Arrived(arrived) => self.arrived(arrived).await?,
            Happening::Submitted(packet, results) => self.submitted(packet, results).await?,
            Happening::Called(call) => return self.called(call).await.map(Some),
        }
        Ok(None)
    }
}

impl Engine {
    /// An engine over these records, for these procedures.
    pub fn new(
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
        config: Es5Config,
        procedures: Arc<dyn Procedures>,
    ) -> Self {
        let (centre, waker) = (OnceLock::new(), OnceLock::new());
        let (held, lanes) = (Held::default(), WorkQueue::default());
        Self(Arc::new(Inner { records, world, events, config, procedures, centre, waker, held, lanes }))
    }

    /// Gives the engine its way to a message centre. The first one stays.
    #[must_use]
    pub fn with_short_messages(self, centre: Arc<dyn ShortMessages>) -> Self {
        // Until there is one nothing is sent; it waits in its record.
        let _ = self.0.centre.set(centre);
        self
    }

    /// Says who is to be told that there is something to do. The first one stays.
    #[must_use]
    pub fn with_wake(self, waker: Arc<dyn Wake>) -> Self {
        let _ = self.0.waker.set(waker);
        self
    }

    /// Something may have been enqueued or cancelled: sessions that are kept open look, and so does whoever drives
    /// what is [`due`](Self::due).
    pub fn wake(&self) {
        self.0.held.wake();
        self.told_to_wake();
    }

    pub(super) fn told_to_wake(&self) {
        if let Some(waker) = self.0.waker.get() {
            waker.wake();
        }
    }

    /// What is due, a task for each card, so that a message centre that is slow or away holds up nothing but what is for
    /// it. To be asked after every wake, at the time that it says, and when a task has ended.
    ///
    /// # Errors
    /// The records fail. What could not be done for one card alone is said, stays due, and is tried again later.
    pub async fn due(&self) -> Result<Due, Fault> {
        let inner = &*self.0;
        let now = inner.world.now();
        let mut due = Due { next: inner.held.tick(now), ..Due::default() };
        let mut cards = Vec::new();
        for (name, at) in Tx::begin(&*inner.records).glance_each(&DUE, "").await? {
            if let Ok(at) = at
                && at > now
            {
                due.later(at);
                continue;
            }
            // When something is due that cannot be understood is found out by looking at the card.
            cards.push(name);
        }
        inner.lanes.begin(&mut due, cards, now, |name| {
            let (engine, eid) = (self.clone(), name.parse::<Eid>());
            async move {
                let eid = eid.map_err(|error| {
                    let next = "restore the records from a copy";
                    Fault::caused_by(error, "cannot tell for which card something is due", next)
                })?;
                engine.happens(Happening::Due(eid)).await?;
                // A session that is kept open may be given what is to be done.
                engine.0.held.wake();
                Ok(())
            }
        });
        Ok(due)
    }

    /// Does all that is due, to its end, by itself. Says when something is due next; `None` when nothing waits.
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

    /// The key for TLS of who calls himself so at the door for cards; `None` if there is no such card, or it has no such key.
    ///
    /// # Errors
    /// The records fail.
    pub async fn psk(&self, identity: &str) -> Result<Option<Secret<Vec<u8>>>, Fault> {
        let Ok(identity) = identity.parse::<PskIdentity>() else { return Ok(None) };
        let mut tx = Tx::begin(&*self.0.records);
        let card = self.0.procedures.card(&mut tx, identity.eid).await?;
        let keys = card.map(|card| card.scp81).unwrap_or_default();
        let is_it =
            |key: &super::PskKey| (key.kvn, key.key_id) == (identity.key_version.0, identity.key_identifier);
        Ok(keys.into_iter().find(is_it).map(|key| key.key))
    }

    /// Takes what the message centre brings. Once this has returned it is written down.
    ///
    /// # Errors
    /// The records fail; nothing of it has been taken.
    pub async fn short_message(&self, arrived: Arrived) -> Result<(), Fault> {
        self.happens(Happening::Arrived(arrived)).await?;
        // There may be another time at which something is due.
        self.told_to_wake();
        Ok(())
    }

    /// Load, decide, commit; then let go what the decision was to let go.
    pub(super) async fn happens(&self, happening: Happening) -> Result<Option<Offer>, Fault> {
        let mut happening = happening;
        let mut more = Vec::new();
        let mut offer = None;
        loop {
            let (offered, leaves) = self.decide(&happening).await?;
            offer = offer.or(offered);
            for event in leaves.events {
                self.0.events.tell(event);
            }
            for (packet, parts) in leaves.packets {
                let results = self.submit(parts).await;
                more.push(Happening::Submitted(packet, results));
            }
            match more.pop() {
                Some(next) => happening = next,
                None => return Ok(offer),
            }
        }
    }

    async fn decide(&self, happening: &Happening) -> Result<(Option<Offer>, Leaves), Fault> {
        let inner = &*self.0;
        let now = inner.world.now();
        world::transact(&*inner.records, |tx| {
            Box::pin(async move {
                let mut context = Context {
                    tx,
                    config: &inner.config,
                    procedures: &*inner.procedures,
                    now,
                    leaves: Leaves::default(),
                };
                let offer = context.react(happening).await?;
                Ok((offer, context.leaves))
            })
        })
        .await
    }

    /// Hands the parts of a packet over, one after the other, until one is not taken: without it the others are of no use.
    async fn submit(&self, parts: Vec<Submission>) -> Vec<Result<MessageId, SubmitFault>> {
        let mut results = Vec::with_capacity(parts.len());
        for part in parts {
            let result = match self.0.centre.get() {
                Some(centre) => centre.submit(part).await,
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

impl ShortMessageSink for Engine {
    fn take(&self, arrived: Arrived) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.short_message(arrived))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.0.config.address)
    }
}
