//! The server, and the functions that return parts of its state.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use rsp_server::Core;
use world::{Events, Fault, Link, Records, Tx, World};

use crate::{
    config::Config,
    credentials::Credentials,
    records::{EVENTS, RegisteredEvent, SESSIONS, Session},
};

/// An SM-DS. Clones share their state, and several servers can use the same records.
#[derive(Clone)]
pub struct SmDs(pub(crate) Arc<Core<Config, Credentials>>);

impl SmDs {
    /// Creates a server on these records.
    pub fn new(
        config: Config,
        credentials: Credentials,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> Self {
        Self(Arc::new(Core::new(config, credentials, records, world, events)))
    }

    /// Returns all registered events, ordered by eUICC.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn registered_events(&self) -> Result<Vec<RegisteredEvent>, Fault> {
        let mut tx = Tx::begin(&*self.0.records);
        Ok(tx.list(&EVENTS, "").await?.into_iter().map(|(_, event)| event).collect())
    }

    /// Returns all stored sessions with their TransactionIDs.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    pub async fn sessions(&self) -> Result<Vec<(String, Session)>, Fault> {
        Tx::begin(&*self.0.records).list(&SESSIONS, "").await
    }

    /// Returns a link to the server, for a socket or a client in the same process.
    pub fn link(&self) -> Link {
        rsp_server::link(self)
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        rsp_server::handle(self, request).await
    }
}
