//! The server: connects web services, procedures and ES5. Each of the three commits its own
//! transactions.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use rsp::{
    ids::{Eid, Iccid, Oid},
    ota::secured_packet::Counter,
    sgp02::{
        eis::{AuditTrailRecord, Eis},
        notification::DefaultNotification,
    },
    time::Timestamp,
};
use rsp_server::{
    due::{Due, WorkQueue},
    soap::{self, Call, Ended, Reply, Sender, Soap, Ticket},
};
use world::{BoxFuture, Events, Fault, Link, PhoneNumber, Records, Tx, World};

use crate::{
    audit,
    config::Config,
    context::Context,
    credentials::Credentials,
    es5::{Bearer, CardAccess, Engine, Es5Config, Job, JobId, JobOutcome, Procedures, PskKey, Scp80KeySet},
    procedures,
    records::{ADDRESSES, CARDS, Card, DEADLINES, Keys, OPERATIONS, PEERS, Peer, due_at, of_card},
    router,
    state::{Function, MasterDeleteToken, Operation},
};

/// An SM-SR. Clones share their state, and several servers can use the same records.
#[derive(Clone)]
pub struct SmSr(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    records: Arc<dyn Records>,
    soap: Soap,
    engine: Engine,
    /// Deadlines that wait for a retry after a fault.
    work_queue: WorkQueue,
}

/// Decisions on calls and on events of cards.
struct Core {
    config: Config,
    credentials: Credentials,
    sender: Sender,
    world: World,
}

impl Core {
    fn context<'a, 'r>(&'a self, tx: &'a mut Tx<'r>, now: Timestamp) -> Context<'a, 'r> {
        let Self { config, credentials, sender, world } = self;
        Context { tx, config, credentials, sender, world, now }
    }
}

impl soap::Party for Core {
    fn peer<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        id: &'a Oid,
    ) -> BoxFuture<'a, Result<Option<soap::Peer>, Fault>> {
        Box::pin(async move {
            let peer = tx.get(&PEERS, &id.to_string()).await?;
            // A peer without endpoint can still call; its responses go to the address in its
            // message.
            Ok(peer.map(|peer| soap::Peer {
                endpoint: peer.endpoint.unwrap_or_default(),
                id: peer.id,
                namespace: peer.namespace,
            }))
        })
    }

    fn decide<'a>(&'a self, tx: &'a mut Tx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move { router::decide(&mut self.context(tx, call.received), call).await })
    }

    fn resumed<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        ended: &'a Ended,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { procedures::resumed(&mut self.context(tx, now), ended).await })
    }

    /// Does nothing: a function ends at its own deadline, because its script may have to be cancelled
    /// first.
    fn expired<'a>(
        &'a self,
        _: &'a mut Tx<'_>,
        _: Timestamp,
        _: &'a Ticket,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

impl Procedures for Core {
    fn card<'a>(&'a self, tx: &'a mut Tx<'_>, eid: Eid) -> BoxFuture<'a, Result<Option<CardAccess>, Fault>> {
        Box::pin(async move {
            let card = tx.get(&CARDS, &eid.to_string()).await?;
            // If another SM-SR may manage the card already, nothing is sent to it, and its messages
            // are ignored.
            let card = card.filter(|card| card.handed_to.is_none());
            card.map(|card| access(&card)).transpose()
        })
    }

    fn card_at<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        address: &'a PhoneNumber,
    ) -> BoxFuture<'a, Result<Option<Eid>, Fault>> {
        Box::pin(async move {
            let Some(eid) = tx.get(&ADDRESSES, address.digits()).await? else { return Ok(None) };
            let card = tx.get(&CARDS, &eid.to_string()).await?;
            Ok(card.filter(|card| card.has_address(address.digits())).map(|_| eid))
        })
    }

    fn job_ended<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        _: &'a JobId,
        job: &'a Job,
        outcome: JobOutcome,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { procedures::job_ended(&mut self.context(tx, now), job, outcome).await })
    }

    fn notified<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        eid: Eid,
        notification: DefaultNotification,
        via: Bearer,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(
            async move { procedures::notified(&mut self.context(tx, now), eid, notification, via).await },
        )
    }
}

/// Returns the current access parameters of a card.
fn access(card: &Card) -> Result<CardAccess, Fault> {
    let msisdn = card.enabled().and_then(|profile| profile.subscription_address.msisdn.as_ref());
    let address = msisdn.and_then(|msisdn| PhoneNumber::international(msisdn.as_str()).ok());
    let mut access = CardAccess {
        address,
        scp80: Vec::new(),
        scp81: Vec::new(),
        https: card.eis.eum_signed_info.euicc_capabilities.http_support,
    };
    // The newest key set comes first, because the first one is used for sending.
    let mut sets: Vec<_> = card.keys.iter().collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.version));
    for set in sets {
        match &set.keys {
            Keys::Scp80 { kic, kid, dek: _, counter } => access.scp80.push(Scp80KeySet {
                kvn: set.version,
                kic: kic.aes128()?,
                kid: kid.aes128()?,
                initial_counter: Counter::new(*counter).unwrap_or(Counter::MAX),
            }),
            Keys::Scp81 { psk, dek: _ } => access.scp81.push(PskKey {
                kvn: set.version,
                key_id: 1,
                key: crypto::Secret::new(psk.expose().to_vec()),
            }),
        }
    }
    Ok(access)
}

impl SmSr {
    /// Creates a server on these records. `address` is the URI at which it receives messages; `es5`
    /// configures the access to cards.
    pub fn new(
        config: Config,
        credentials: Credentials,
        address: String,
        es5: Es5Config,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> Self {
        let sender = Sender {
            own: config.id.clone(),
            name: Some(config.name.clone()),
            address,
            world: world.clone(),
            reply_addresses: config.reply_addresses.clone(),
        };
        let core = Arc::new(Core { config, credentials, sender: sender.clone(), world: world.clone() });
        let party: Arc<dyn soap::Party> = core.clone();
        let cards: Arc<dyn Procedures> = core.clone();
        let soap = Soap::new(sender, Arc::clone(&records), Arc::clone(&events), party, "SM-SR");
        let engine = Engine::new(Arc::clone(&records), world, events, es5, cards);
        Self(Arc::new(Inner { core, records, soap, engine, work_queue: WorkQueue::default() }))
    }

    /// Sets the connections to peers. Has no effect if they have been set before.
    #[must_use]
    pub fn with_peers(self, peers: Arc<dyn soap::Peers>) -> Self {
        // All clones of the web services share the connections.
        let _ = self.0.soap.clone().with_peers(peers);
        self
    }

    /// Returns the ES5 engine.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Returns a link to the web services, for a socket or a peer in the same process.
    pub fn link(&self) -> Link {
        let server = self.clone();
        world::link_from(tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, world::LinkFault>(server.handle(request).await) }
        }))
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let response = self.0.soap.handle(request).await;
        // The request may have created a job for a card.
        self.0.engine.wake();
        response
    }

    /// Handles expired deadlines and returns the work that is due, one task for each card and for
    /// each peer. Call it after every wake-up, at the time that it returns, and when a task has
    /// ended.
    ///
    /// # Errors
    /// Returns a fault if the records fail. An unreadable record is not an error: it is kept and
    /// logged, and all other work continues.
    pub async fn due(&self) -> Result<Due, Fault> {
        let deadlines = self.end_due().await?;
        Ok(deadlines.and(self.0.engine.due().await?).and(self.0.soap.due().await?))
    }

    /// Runs the due work until no more is due. Returns the time at which more work is due, or `None`.
    ///
    /// # Errors
    /// As [`due`](Self::due).
    pub async fn run_due(&self) -> Result<Option<Timestamp>, Fault> {
        rsp_server::due::run_due(async || self.due().await).await
    }

    async fn end_due(&self) -> Result<Due, Fault> {
        let Inner { core, records, work_queue, .. } = &*self.0;
        let now = core.world.now();
        let mut due = Due::default();
        for (key, deadline) in Tx::begin(&**records).peek_each(&DEADLINES, "").await? {
            if let Some(at) = due_at(&key).filter(|at| *at > now) {
                due.later(at);
                break;
            }
            let end = async {
                let deadline = deadline?;
                world::transact(&**records, |tx| {
                    let (key, deadline) = (&key, &deadline);
                    Box::pin(async move {
                        if tx.get(&DEADLINES, key).await?.is_none() {
                            return Ok(());
                        }
                        tx.delete(&DEADLINES, key);
                        procedures::run_deadline(&mut core.context(tx, now), deadline).await
                    })
                })
                .await
            };
            work_queue.at_once(&mut due, &key, now, end).await;
        }
        Ok(due)
    }

    /// Registers a peer or replaces its registration. The registration is persistent.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn register_peer(&self, peer: &Peer) -> Result<(), Fault> {
        world::transact(&*self.0.records, |tx| {
            let put = tx.put(&PEERS, &peer.id.to_string(), peer);
            Box::pin(async { put })
        })
        .await
    }

    /// Returns all cards.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn cards(&self) -> Result<Vec<Card>, Fault> {
        let all = Tx::begin(&*self.0.records).list(&CARDS, "").await?;
        Ok(all.into_iter().map(|(_, card)| card).collect())
    }

    /// Returns the current EIS of a card, without key values.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn eis(&self, eid: Eid) -> Result<Option<Eis>, Fault> {
        let card = Tx::begin(&*self.0.records).get(&CARDS, &eid.to_string()).await?;
        Ok(card.map(|card| card.eis))
    }

    /// Returns the audit trail of a card.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn audit_trail(&self, eid: Eid) -> Result<Vec<AuditTrailRecord>, Fault> {
        audit::trail(&mut Tx::begin(&*self.0.records), eid).await
    }

    /// Returns the functions of a card that have not ended, in order.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn operations(&self, eid: Eid) -> Result<Vec<Operation>, Fault> {
        let all = Tx::begin(&*self.0.records).list(&OPERATIONS, &of_card(eid)).await?;
        Ok(all.into_iter().map(|(_, operation)| operation).collect())
    }

    /// Returns the callbacks of the ES5 engine, for a test card without a bearer.
    #[cfg(test)]
    pub(crate) fn procedures(&self) -> Arc<dyn Procedures> {
        self.0.core.clone()
    }

    /// Deletes a profile regardless of its policy rules, with the token of its SM-DP: SGP.02
    /// section 3.10. No interface has a function for it, so the operator of this server starts it.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn master_delete(&self, eid: Eid, iccid: Iccid, token: MasterDeleteToken) -> Result<(), Fault> {
        let Inner { core, records, .. } = &*self.0;
        let now = core.world.now();
        let until = now.plus(core.config.default_validity);
        world::transact(&**records, |tx| {
            let function = Function::MasterDelete { iccid, token: token.clone() };
            Box::pin(async move {
                procedures::submit(&mut core.context(tx, now), eid, function, None, until).await
            })
        })
        .await?;
        self.0.engine.wake();
        Ok(())
    }
}
