//! The server, its stock, and read access to its state.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response};
use rsp::ids::Iccid;
use rsp_server::{
    Core,
    api::{EventLog, Waits, WatchedRecords},
};
use world::{Events, Fault, Link, Records, Tx, World};

use crate::{
    config::Config,
    credentials::Credentials,
    peers::Peers,
    records::{INSTALLATIONS, Installation, PROFILES, ProfileRecord, SESSIONS, Session},
    stock::{self, ProfileOptions},
};

/// An SM-DP+. Clones share one server. Several servers can also share the same records.
#[derive(Clone)]
pub struct SmDpPlus(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) core: Core<Config, Credentials>,
    pub(crate) log: Arc<EventLog>,
    /// The requests to the admin API that wait for a change.
    pub(crate) waits: Arc<Waits>,
    /// Links to operators and SM-DSs, if they have been set.
    pub(crate) peers: OnceLock<Arc<dyn Peers>>,
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
        let waits = Arc::<Waits>::default();
        let log = Arc::new(EventLog::over(events, Arc::clone(&waits)));
        let records = Arc::new(WatchedRecords::new(records, Arc::clone(&waits)));
        let core = Core::new(config, credentials, records, world, log.clone());
        Self(Arc::new(Inner { core, log, waits, peers: OnceLock::new() }))
    }

    /// Ends the requests to the admin API that wait, so that the server can stop.
    pub fn end_waits(&self) {
        self.0.waits.end();
    }

    pub(crate) fn records(&self) -> &dyn Records {
        &*self.0.core.records
    }

    /// Adds a profile package (TCA, DER) to the stock.
    ///
    /// # Errors
    /// Fails if `package` is not a profile package, if its ICCID is already in stock, or if the
    /// records fail.
    pub async fn add_profile(&self, package: &[u8], options: &ProfileOptions) -> Result<Iccid, Fault> {
        world::transact(&*self.0.core.records, |tx| {
            Box::pin(stock::add(tx, self.0.core.config.server.address.as_str(), package, options))
        })
        .await
    }

    /// Returns every profile in stock with its order.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn orders(&self) -> Result<Vec<ProfileRecord>, Fault> {
        let mut tx = Tx::begin(&*self.0.core.records);
        Ok(tx.list(&PROFILES, "").await?.into_iter().map(|(_, profile)| profile.into()).collect())
    }

    /// Returns the installations of a profile on eUICCs.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn installations(&self, iccid: Iccid) -> Result<Vec<Installation>, Fault> {
        let mut tx = Tx::begin(&*self.0.core.records);
        let all = tx.list(&INSTALLATIONS, &format!("{iccid}/")).await?;
        Ok(all.into_iter().map(|(_, installation)| installation).collect())
    }

    /// Returns every session that has not expired, with its TransactionID.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn sessions(&self) -> Result<Vec<(String, Session)>, Fault> {
        let now = self.0.core.world.now();
        let mut tx = Tx::begin(&*self.0.core.records);
        let mut sessions = tx.list(&SESSIONS, "").await?;
        sessions.retain(|(_, session)| session.expires > now);
        Ok(sessions)
    }

    /// Returns a link to the server, for use by a listening socket or by a client in the same
    /// process.
    pub fn link(&self) -> Link {
        rsp_server::link(self)
    }

    /// Handles one HTTP request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        rsp_server::handle(self, request).await
    }
}
