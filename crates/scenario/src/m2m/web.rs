//! The links between operator, EUM, SM-DP and SM-SR, each with what goes wrong on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use certs::Credential;
use http::Request;
use rsp_server::soap::Peers;
use tokio::sync::Notify;
use world::{Fault, Link, LinkFault, LinkFaultKind, link_from};

use crate::play::Way;
use faults::FaultInjector;

/// Whom everybody reaches, by authority, and who is connected with whom. A run holds it; parties, which it holds, only look
/// into it, so that they end with the run.
#[derive(Default)]
pub(super) struct Web(Mutex<State>);

#[derive(Default)]
struct State {
    ways: BTreeMap<&'static str, Arc<dyn Way>>,
    callers: u64,
    /// By caller, and whom it asks.
    connections: BTreeMap<(u64, String), Link>,
}

impl Web {
    pub(super) fn put(&self, authority: &'static str, way: Arc<dyn Way>) {
        self.state().ways.insert(authority, way);
    }

    /// The connection of a caller, who shows this certificate; none if nobody has the name.
    fn connection(&self, caller: u64, shown: &Credential, to: &str) -> Option<Result<Link, Fault>> {
        let mut state = self.state();
        let key = (caller, to.to_owned());
        if let Some(link) = state.connections.get(&key) {
            return Some(Ok(link.clone()));
        }
        let link = state.ways.get(to)?.link(Some(shown));
        if let Ok(link) = &link {
            state.connections.insert(key, link.clone());
        }
        Some(link)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One party, or one process of it, as it asks the others. Its connections end with it.
pub(super) struct Caller {
    web: Weak<Web>,
    number: u64,
    /// What it shows.
    shown: Credential,
    mishaps: FaultInjector,
    woken: Arc<Notify>,
    links: Mutex<BTreeMap<String, Link>>,
}

impl Caller {
    pub(super) fn new(
        web: &Weak<Web>,
        shown: &Credential,
        mishaps: &FaultInjector,
        woken: &Arc<Notify>,
    ) -> Self {
        let number = web.upgrade().map_or(0, |web| {
            let mut state = web.state();
            state.callers += 1;
            state.callers
        });
        Self {
            web: web.clone(),
            number,
            shown: shown.clone(),
            mishaps: mishaps.clone(),
            woken: Arc::clone(woken),
            links: Mutex::default(),
        }
    }

    /// Who is asked may be put there later.
    fn link_to(&self, authority: &str) -> Link {
        let (web, number, shown) = (self.web.clone(), self.number, self.shown.clone());
        let to = authority.to_owned();
        self.mishaps.link(link_from(tower::service_fn(move |request: Request<Bytes>| {
            let fault = |kind, why: String| LinkFault::new(kind, to.clone(), why);
            let connection = web.upgrade().and_then(|web| web.connection(number, &shown, &to));
            let connection = match connection {
                Some(Ok(link)) => Ok(link),
                Some(Err(why)) => Err(fault(LinkFaultKind::Protocol, why.to_string())),
                None => {
                    let why = "nobody in this simulation has the name";
                    Err(fault(LinkFaultKind::Unresolved, why.to_owned()))
                }
            };
            async move { world::send(&connection?, request).await }
        })))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(web) = self.web.upgrade() {
            web.state().connections.retain(|(caller, _), _| *caller != self.number);
        }
    }
}

impl Peers for Caller {
    fn link(&self, authority: &str) -> Result<Link, Fault> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        // The same each time: what one request overtakes on it is another's.
        Ok(links.entry(authority.to_owned()).or_insert_with(|| self.link_to(authority)).clone())
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}
