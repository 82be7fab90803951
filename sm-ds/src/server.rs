//! The server's shell: one request in, one response out. Load, decide, commit, speak, and nothing spoken before the
//! commit, because there is one place that does all four.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use certs::{Credential, Pki, PkiError, TrustAnchors};
use http::{Request, Response, StatusCode};
use rsp::{
    ids::{SubjectKeyIdentifier, Version},
    sgp22::json,
    time::Timestamp,
};
use world::{Committed, Event, Events, Fault, Link, LinkFault, Outcome, Records, Tx, World, link_from};

use crate::{
    answer::{Said, Voice},
    config::Config,
    decision::Context,
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
    /// When expired sessions are looked for next, by this server; a forgetful one only looks earlier.
    next_sweep: AtomicI64,
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
        Self(Arc::new(Inner { config, credentials, records, world, events, next_sweep: AtomicI64::new(0) }))
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
        let voice = Voice { binding: router::binding(&request), version: self.version_for(&request) };
        let (interface, function, said) = match router::route(&self.0.config, &request) {
            Ok(call) => {
                let function = call.function();
                (function.interface(), function.name(), self.execute(&call, at, voice).await)
            }
            Err(away) => {
                let outcome = Outcome::Refused(format!("HTTP {}: {}", away.status, away.why));
                (away.interface, away.function, Said { response: voice.status(away.status), outcome })
            }
        };
        self.0.events.tell(
            Event::new(at, "SM-DS", function)
                .with_peer(interface.name(), interface.peer())
                .with_bytes(said.response.body().len(), received)
                .with_outcome(said.outcome),
        );
        if let Err(fault) = self.sweep(at).await {
            tracing::warn!(%fault, "expired sessions were left in the records");
        }
        said.response
    }

    /// Deletes sessions that have expired, once in a session's lifetime: whoever begins a session need not come back.
    async fn sweep(&self, now: Timestamp) -> Result<(), Fault> {
        let inner = &*self.0;
        let due = inner.next_sweep.load(Ordering::Relaxed);
        if now.0 < due {
            return Ok(());
        }
        let next = now.plus(inner.config.session_lifetime).0;
        if inner.next_sweep.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Ok(());
        }
        // Looked through outside of a transaction, so that sessions that begin meanwhile are no conflict; and a session
        // never comes back to life, so those found need no second look.
        let mut expired = Tx::begin(&*inner.records).list(&SESSIONS, "").await?;
        expired.retain(|(_, session)| session.expires <= now);
        let mut tx = Tx::begin(&*inner.records);
        for (id, _) in &expired {
            tx.delete(&SESSIONS, id);
        }
        tx.commit().await.map(|_| ())
    }

    /// Load, decide, commit, and only then let the answer go; again from the start when somebody else was faster.
    async fn execute(&self, call: &Call, now: Timestamp, voice: Voice) -> Said {
        let inner = &*self.0;
        for _ in 0..world::MAX_ATTEMPTS {
            let mut tx = Tx::begin(&*inner.records);
            let mut context = Context {
                tx: &mut tx,
                config: &inner.config,
                credentials: &inner.credentials,
                world: &inner.world,
                now,
            };
            let said = match call.execute(&mut context, voice).await {
                Ok(said) => said,
                Err(fault) => return failed(voice, &fault),
            };
            match tx.commit().await {
                Ok(Committed::Yes) => return said,
                Ok(Committed::Conflict) => {}
                Err(fault) => return failed(voice, &fault),
            }
        }
        let fault = Fault::new(
            "cannot write the records of this request",
            format!("what it read was changed by others {} times in a row", world::MAX_ATTEMPTS),
            "ask again; if it stays, too many requests change the same record",
        );
        failed(voice, &fault)
    }

    /// The version the answer speaks: the client's own when it is older than ours (section 6.2).
    fn version_for(&self, request: &Request<Bytes>) -> Version {
        let own = self.0.config.protocol_version;
        json::protocol_version(request.headers()).map_or(own, |theirs| theirs.min(own))
    }
}

/// A fault is ours: it is logged, and the peer learns only that it may ask again.
fn failed(voice: Voice, fault: &Fault) -> Said {
    tracing::error!(%fault, "a request could not be answered");
    let response = voice.status(StatusCode::INTERNAL_SERVER_ERROR);
    Said { response, outcome: Outcome::Failed(fault.to_string()) }
}
