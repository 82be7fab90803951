//! The server's shell: one request in, one response out. Load, decide, commit, speak, and nothing spoken before the
//! commit, because there is one place that does all four.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use certs::{Credential, Pki, PkiError, TrustAnchors};
use http::{Request, Response};
use rsp::{ids::SubjectKeyIdentifier, time::Timestamp};
use rsp_server::{
    Reply, ResponseEncoder,
    sessions::{Expires, Sweep},
};
use world::{Event, Events, Fault, Link, LinkFault, Outcome, Records, Tx, World, link_from};

use crate::{
    config::Config,
    context::Context,
    records::{EVENTS, RegisteredEvent, SESSIONS, Session},
    router::{self, Call},
};

/// What the server signs with, and whom it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// CERT.DSauth with its key, by the CI below which it is.
    auth_by_ci: BTreeMap<SubjectKeyIdentifier, Credential>,
    /// CIs whose eUICCs it serves.
    pub(crate) anchors: TrustAnchors,
}

impl Credentials {
    /// Everything that the PKI has for an SM-DS, on every curve.
    ///
    /// # Errors
    /// There is no CI, or no CI has an SM-DS below it.
    pub fn from_pki(pki: &Pki) -> Result<Self, PkiError> {
        let anchors = pki.anchors()?;
        let mut auth_by_ci = BTreeMap::new();
        let mut missing = None;
        for curve in pki.curves() {
            match (pki.ds(curve), pki.ci(curve)?.subject_key_id()) {
                (Ok(ds), Some(ci)) => {
                    auth_by_ci.insert(ci.clone(), ds.auth);
                }
                (Err(e), _) => missing = Some(e),
                (Ok(_), None) => {}
            }
        }
        match missing {
            Some(e) if auth_by_ci.is_empty() => Err(e),
            _ => Ok(Self { auth_by_ci, anchors }),
        }
    }

    /// CERT.DSauth below a CI.
    pub(crate) fn below(&self, ci: &SubjectKeyIdentifier) -> Option<&Credential> {
        self.auth_by_ci.get(ci)
    }
}

/// An SM-DS. A clone is the same server; so is another one on the same records.
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
    /// A server over these records.
    pub fn new(
        config: Config,
        credentials: Credentials,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> Self {
        Self(Arc::new(Inner { config, credentials, records, world, events, sweep: Sweep::default() }))
    }

    /// Every event that waits, eUICC by eUICC.
    ///
    /// # Errors
    /// The records fail.
    pub async fn registered_events(&self) -> Result<Vec<RegisteredEvent>, Fault> {
        let mut tx = Tx::begin(&*self.0.records);
        Ok(tx.list(&EVENTS, "").await?.into_iter().map(|(_, event)| event).collect())
    }

    /// Every session that is kept, by TransactionID.
    ///
    /// # Errors
    /// The records fail.
    pub async fn sessions(&self) -> Result<Vec<(String, Session)>, Fault> {
        Tx::begin(&*self.0.records).list(&SESSIONS, "").await
    }

    /// The server as a link: what a socket, or a client in the same process, asks.
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
        let voice = ResponseEncoder::to(&request, self.0.config.protocol_version);
        let (interface, function, said) = match router::route(&self.0.config, &request) {
            Ok(call) => {
                let function = call.function();
                let said = self.execute(&call, at, voice).await;
                let said = said.unwrap_or_else(|fault| voice.failed(&fault));
                (function.interface(), function.name(), said)
            }
            Err(away) => {
                let outcome = Outcome::Refused(format!("HTTP {}: {}", away.status, away.why));
                (away.interface, away.function, Reply { response: voice.status(away.status), outcome })
            }
        };
        self.0.events.tell(
            Event::new(at, "SM-DS", function)
                .with_peer(interface.name(), interface.peer())
                .with_bytes(said.response.body().len(), received)
                .with_outcome(said.outcome),
        );
        let Inner { records, config, sweep, .. } = &*self.0;
        if let Err(fault) = sweep.run(&**records, &SESSIONS, config.session_lifetime, at).await {
            tracing::warn!(%fault, "expired sessions were left in the records");
        }
        said.response
    }

    /// Load, decide, commit, and only then let the answer go; again from the start when somebody else was faster.
    async fn execute(&self, call: &Call, now: Timestamp, voice: ResponseEncoder) -> Result<Reply, Fault> {
        let Inner { config, credentials, world, records, .. } = &*self.0;
        world::transact(&**records, |tx| {
            Box::pin(async move {
                call.execute(&mut Context { tx, config, credentials, world, now }, voice).await
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
