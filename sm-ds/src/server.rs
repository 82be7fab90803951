//! The server's shell: loads records, decides, commits, and then sends the response. One function
//! does all four, so that no response is sent before the commit.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use rsp::time::Timestamp;
use rsp_server::{
    Reply, ResponseEncoder,
    sessions::{Expires, Sweep},
};
use world::{Event, Events, Fault, Link, LinkFault, Outcome, Records, Tx, World, link_from};

use crate::{
    config::Config,
    context::Context,
    credentials::Credentials,
    records::{EVENTS, RegisteredEvent, SESSIONS, Session},
    router::{self, Call},
};

/// An SM-DS. Clones share their state, and several servers can use the same records.
#[derive(Clone)]
pub struct SmDs(Arc<Inner>);

struct Inner {
    config: Config,
    credentials: Credentials,
    records: Arc<dyn Records>,
    world: World,
    events: Arc<dyn Events>,
    sweep: Sweep,
}

impl SmDs {
    /// Creates a server on these records.
    pub fn new(
        config: Config,
        credentials: Credentials,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> Self {
        Self(Arc::new(Inner { config, credentials, records, world, events, sweep: Sweep::default() }))
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
        let server = self.clone();
        link_from(tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, LinkFault>(server.handle(request).await) }
        }))
    }

    /// Answers one request.
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
            Event::new(at, "SM-DS", function)
                .with_peer(interface.name(), interface.peer())
                .with_bytes(reply.response.body().len(), received)
                .with_outcome(reply.outcome),
        );
        let Inner { records, config, sweep, .. } = &*self.0;
        if let Err(fault) = sweep.run(&**records, &SESSIONS, config.session_lifetime, at).await {
            tracing::warn!(%fault, "cannot delete expired sessions from the records");
        }
        reply.response
    }

    /// Loads, decides and commits, and then returns the response. Repeats all of it after a
    /// conflict.
    async fn execute(&self, call: &Call, now: Timestamp, encoder: ResponseEncoder) -> Result<Reply, Fault> {
        let Inner { config, credentials, world, records, .. } = &*self.0;
        world::transact(&**records, |tx| {
            Box::pin(async move {
                call.execute(&mut Context { tx, config, credentials, world, now }, encoder).await
            })
        })
        .await
    }
}

impl Expires for Session {
    fn expires(&self) -> Timestamp {
        self.expires
    }
}
