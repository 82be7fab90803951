//! The request loop of the server: load, decide, commit, reply. One function does all four steps,
//! so no reply can be sent before the commit.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response};
use rsp::{ids::Iccid, time::Timestamp};
use rsp_server::{
    Reply, ResponseEncoder,
    sessions::{Expires, Sweep},
};
use world::{Event, Events, Fault, Link, LinkFault, Outcome, Records, Tx, World, link_from};

use crate::{
    config::Config,
    context::Context,
    credentials::Credentials,
    event_log::EventLog,
    peers::Peers,
    records::{INSTALLATIONS, Installation, OUTBOX, PROFILES, ProfileRecord, SESSIONS, Session},
    router::{self, Call},
    stock::{self, ProfileOptions},
};

/// An SM-DP+. Clones share one server. Several servers can also share the same records.
#[derive(Clone)]
pub struct SmDpPlus(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    credentials: Credentials,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) world: World,
    pub(crate) events: EventLog,
    /// Links to operators and SM-DSs, if they have been set.
    pub(crate) peers: OnceLock<Arc<dyn Peers>>,
    sweep: Sweep,
}

impl Inner {
    /// Creates the context that a function runs in.
    pub(crate) fn context<'a, 'r>(&'a self, tx: &'a mut Tx<'r>, now: Timestamp) -> Context<'a, 'r> {
        Context { tx, config: &self.config, credentials: &self.credentials, world: &self.world, now }
    }
}

impl SmDpPlus {
    /// Creates a server that keeps its state in `records`.
    pub fn new(
        config: Config,
        credentials: Credentials,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> Self {
        let events = EventLog::over(events);
        Self(Arc::new(Inner {
            config,
            credentials,
            records,
            world,
            events,
            peers: OnceLock::new(),
            sweep: Sweep::default(),
        }))
    }

    pub(crate) fn records(&self) -> &dyn Records {
        &*self.0.records
    }

    /// Adds a profile package (TCA, DER) to the stock.
    ///
    /// # Errors
    /// Fails if `package` is not a profile package, if its ICCID is already in stock, or if the
    /// records fail.
    pub async fn add_profile(&self, package: &[u8], options: &ProfileOptions) -> Result<Iccid, Fault> {
        world::transact(&*self.0.records, |tx| {
            Box::pin(stock::add(tx, self.0.config.address.as_str(), package, options))
        })
        .await
    }

    /// Returns every profile in stock with its order.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn orders(&self) -> Result<Vec<ProfileRecord>, Fault> {
        let mut tx = Tx::begin(&*self.0.records);
        Ok(tx.list(&PROFILES, "").await?.into_iter().map(|(_, profile)| profile.into()).collect())
    }

    /// Returns the installations of a profile on eUICCs.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn installations(&self, iccid: Iccid) -> Result<Vec<Installation>, Fault> {
        let mut tx = Tx::begin(&*self.0.records);
        let all = tx.list(&INSTALLATIONS, &format!("{iccid}/")).await?;
        Ok(all.into_iter().map(|(_, installation)| installation).collect())
    }

    /// Returns every session that has not expired, with its TransactionID.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn sessions(&self) -> Result<Vec<(String, Session)>, Fault> {
        let now = self.0.world.now();
        let mut tx = Tx::begin(&*self.0.records);
        let mut sessions = tx.list(&SESSIONS, "").await?;
        sessions.retain(|(_, session)| session.expires > now);
        Ok(sessions)
    }

    /// Returns a link to the server, for use by a listening socket or by a client in the same
    /// process.
    pub fn link(&self) -> Link {
        let server = self.clone();
        link_from(tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, LinkFault>(server.handle(request).await) }
        }))
    }

    /// Handles one HTTP request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let received = request.body().len();
        let at = self.0.world.now();
        let encoder = ResponseEncoder::to(&request, self.0.config.protocol_version);
        let (interface, function, reply) = match router::route(&self.0.config, &request) {
            Ok(call) => {
                let function = call.function();
                let reply = self.execute(&call, at, encoder).await;
                let reply = reply.unwrap_or_else(|fault| encoder.failed(&fault));
                (function.interface(), function.name(), reply)
            }
            Err(rejected) => {
                let outcome = Outcome::Refused(format!("HTTP {}: {}", rejected.status, rejected.why));
                (
                    rejected.interface,
                    rejected.function,
                    Reply { response: encoder.status(rejected.status), outcome },
                )
            }
        };
        self.0.events.tell(
            Event::new(at, "SM-DP+", function)
                .with_peer(interface.name(), interface.peer())
                .with_bytes(reply.response.body().len(), received)
                .with_outcome(reply.outcome),
        );
        let Inner { records, config, sweep, .. } = &*self.0;
        if let Err(fault) = sweep.run(&**records, &SESSIONS, config.session_lifetime, at).await {
            tracing::warn!(%fault, "cannot delete expired sessions");
        }
        reply.response
    }

    /// Runs the function, commits, and only then returns the reply. Starts again from the beginning
    /// when another transaction committed a conflicting change first.
    async fn execute(&self, call: &Call, now: Timestamp, encoder: ResponseEncoder) -> Result<Reply, Fault> {
        let inner = &*self.0;
        let (reply, posted) = world::transact(&*inner.records, |tx| {
            Box::pin(async move {
                let reply = call.execute(&mut inner.context(tx, now), encoder).await?;
                Ok((reply, tx.written_keys(&OUTBOX)))
            })
        })
        .await?;
        if posted.is_empty() {
            return Ok(reply);
        }
        let registered = self.register_events(&posted).await;
        self.wake();
        match registered? {
            None => Ok(reply),
            Some(refusal) => encoder.encode_json::<()>(Err(refusal.into())),
        }
    }
}

impl Expires for Session {
    fn expires(&self) -> Timestamp {
        self.expires
    }
}
