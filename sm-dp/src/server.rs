//! The server's shell: one request in, one response out. Load, decide, commit, speak, and nothing spoken before the
//! commit, because there is one place that does all four.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use certs::{ChainError, DpCredentials, Pki, PkiError, TrustAnchors};
use http::{Request, Response, StatusCode};
use rsp::{
    ids::{Iccid, Oid, SubjectKeyIdentifier, Version},
    sgp22::json,
    time::Timestamp,
};
use world::{Committed, Event, Events, Fault, Link, LinkFault, Outcome, Records, Tx, World, link_from};

use crate::{
    answer::{Said, Voice},
    config::Config,
    decision::Context,
    delivery::Peers,
    event_log::EventLog,
    records::{INSTALLATIONS, Installation, OUTBOX, PROFILES, Profile, SESSIONS, Session},
    router::{self, Call},
    stock::{self, ProfileOptions},
};

/// What the server signs with, and whom it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The server's own, by the CI below which they are.
    by_ci: BTreeMap<SubjectKeyIdentifier, DpCredentials>,
    /// CIs whose eUICCs it serves.
    pub(crate) anchors: TrustAnchors,
}

impl Credentials {
    /// Everything that the PKI has for an SM-DP+, on every curve.
    ///
    /// # Errors
    /// There is no CI, or no CI has an SM-DP+ below it.
    pub fn from_pki(pki: &Pki) -> Result<Self, PkiError> {
        let anchors = pki.anchors()?;
        let mut by_ci = BTreeMap::new();
        let mut missing = None;
        for curve in pki.curves() {
            match (pki.dp(curve), pki.ci(curve)?.subject_key_id()) {
                (Ok(dp), Some(ci)) => {
                    by_ci.insert(ci.clone(), dp);
                }
                (Err(e), _) => missing = Some(e),
                (Ok(_), None) => {}
            }
        }
        match missing {
            Some(e) if by_ci.is_empty() => Err(e),
            _ => Ok(Self { by_ci, anchors }),
        }
    }

    /// These and another PKI's; its CIs are trusted too. Several CIs may be on the same curve.
    ///
    /// # Errors
    /// A CI of either cannot be an anchor.
    pub fn and(mut self, other: Self) -> Result<Self, ChainError> {
        let anchors = self.anchors.certificates().chain(other.anchors.certificates()).cloned();
        self.anchors = TrustAnchors::new(anchors.collect::<Vec<_>>())?;
        self.by_ci.extend(other.by_ci);
        Ok(self)
    }

    /// What the server has below a CI.
    pub(crate) fn below(&self, ci: &SubjectKeyIdentifier) -> Option<&DpCredentials> {
        self.by_ci.get(ci)
    }

    /// The SM-DP+ OID by which it is known to operators and SM-DSs.
    pub(crate) fn own_oid(&self) -> Option<&Oid> {
        self.by_ci.values().find_map(|dp| dp.auth.certificate.registered_ids().first())
    }

    /// The SM-DP+ OID in CERT.DPauth and CERT.DPpb below a CI.
    pub(crate) fn smdp_oid(&self, ci: &SubjectKeyIdentifier) -> Option<&Oid> {
        self.below(ci)?.auth.certificate.registered_ids().first()
    }
}

/// An SM-DP+. A clone is the same server; so is another one on the same records.
#[derive(Clone)]
pub struct SmDpPlus(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    credentials: Credentials,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) world: World,
    pub(crate) events: EventLog,
    /// The way to operators and SM-DSs, once there is one.
    pub(crate) peers: OnceLock<Arc<dyn Peers>>,
    /// When expired sessions are looked for next, by this server; a forgetful one only looks earlier.
    next_sweep: AtomicI64,
}

impl Inner {
    /// What a function decides with.
    pub(crate) fn context<'a, 'r>(&'a self, tx: &'a mut Tx<'r>, now: Timestamp) -> Context<'a, 'r> {
        Context { tx, config: &self.config, credentials: &self.credentials, world: &self.world, now }
    }
}

impl SmDpPlus {
    /// A server over these records.
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
            next_sweep: AtomicI64::new(0),
        }))
    }

    pub(crate) fn records(&self) -> &dyn Records {
        &*self.0.records
    }

    /// Puts a profile package (TCA, DER) into stock.
    ///
    /// # Errors
    /// It is not a package, its ICCID is in stock already, or the records fail.
    pub async fn add_profile(&self, package: &[u8], options: &ProfileOptions) -> Result<Iccid, Fault> {
        world::transact(&*self.0.records, |tx| {
            Box::pin(stock::add(tx, self.0.config.address.as_str(), package, options))
        })
        .await
    }

    /// Every profile in stock with its order.
    ///
    /// # Errors
    /// The records fail.
    pub async fn orders(&self) -> Result<Vec<Profile>, Fault> {
        let mut tx = Tx::begin(&*self.0.records);
        Ok(tx.list(&PROFILES, "").await?.into_iter().map(|(_, profile)| profile).collect())
    }

    /// The eUICCs that have a profile.
    ///
    /// # Errors
    /// The records fail.
    pub async fn installations(&self, iccid: Iccid) -> Result<Vec<Installation>, Fault> {
        let mut tx = Tx::begin(&*self.0.records);
        let all = tx.list(&INSTALLATIONS, &format!("{iccid}/")).await?;
        Ok(all.into_iter().map(|(_, installation)| installation).collect())
    }

    /// Every session that has not expired, by TransactionID.
    ///
    /// # Errors
    /// The records fail.
    pub async fn sessions(&self) -> Result<Vec<(String, Session)>, Fault> {
        let now = self.0.world.now();
        let mut tx = Tx::begin(&*self.0.records);
        let mut sessions = tx.list(&SESSIONS, "").await?;
        sessions.retain(|(_, session)| session.expires > now);
        Ok(sessions)
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
            Ok(call) => (call.interface(), call.function(), self.execute(&call, at, voice).await),
            Err(away) => {
                let outcome = Outcome::Refused(format!("HTTP {}: {}", away.status, away.why));
                (away.interface, away.function, Said { response: voice.status(away.status), outcome })
            }
        };
        self.0.events.tell(
            Event::new(at, "SM-DP+", function)
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
        let is_mine =
            inner.next_sweep.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !is_mine {
            return Ok(());
        }
        // Looked through outside of a transaction, so that sessions that go on meanwhile are no conflict.
        let expired: Vec<_> = Tx::begin(&*inner.records)
            .list(&SESSIONS, "")
            .await?
            .into_iter()
            .filter(|(_, session)| session.expires <= now)
            .map(|(id, _)| id)
            .collect();
        for id in &expired {
            world::transact(&*inner.records, |tx| Box::pin(forget_if_expired(tx, id, now))).await?;
        }
        Ok(())
    }

    /// Load, decide, commit, and only then let the answer go; again from the start when somebody else was faster.
    async fn execute(&self, call: &Call, now: Timestamp, voice: Voice) -> Said {
        let inner = &*self.0;
        for _ in 0..world::MAX_ATTEMPTS {
            let mut tx = Tx::begin(&*inner.records);
            let mut context = inner.context(&mut tx, now);
            let said = match call.execute(&mut context, voice).await {
                Ok(said) => said,
                Err(fault) => return failed(voice, &fault),
            };
            let posted = tx.written_keys(&OUTBOX);
            match tx.commit().await {
                Ok(Committed::Yes) if posted.is_empty() => return said,
                Ok(Committed::Yes) => {
                    let registered = self.register_events(&posted).await;
                    self.wake();
                    return match registered {
                        Ok(None) => said,
                        Ok(Some(refusal)) => voice
                            .say_json::<()>(Err(refusal.into()))
                            .unwrap_or_else(|fault| failed(voice, &fault)),
                        Err(fault) => failed(voice, &fault),
                    };
                }
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
    Said {
        response: voice.status(StatusCode::INTERNAL_SERVER_ERROR),
        outcome: Outcome::Failed(fault.to_string()),
    }
}

async fn forget_if_expired(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<(), Fault> {
    if tx.get(&SESSIONS, id).await?.is_some_and(|session| session.expires <= now) {
        tx.delete(&SESSIONS, id);
    }
    Ok(())
}
