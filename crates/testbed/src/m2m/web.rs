//! The links between operator, EUM, SM-DP and SM-SR, with injected faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use certs::Credential;
use http::Request;
use rsp_server::soap::Peers;
use tokio::sync::Notify;
use world::{Fault, Link, LinkFault, LinkFaultKind, link_from};

use super::recording::Recording;
use crate::transport::Transport;
use faults::FaultInjector;

/// The servers by authority, and the open connections. The run owns this value. This value owns the
/// parties in turn. The parties hold only weak references to it, so that they end with the run.
#[derive(Default)]
pub(super) struct Web(Mutex<State>);

#[derive(Default)]
struct State {
    transports: BTreeMap<&'static str, Arc<dyn Transport>>,
    callers: u64,
    /// Open connections by caller and authority.
    connections: BTreeMap<(u64, String), Link>,
}

impl Web {
    pub(super) fn put(&self, authority: &'static str, transport: Arc<dyn Transport>) {
        self.state().transports.insert(authority, transport);
    }

    /// The connection of a caller that presents this certificate. `None` if no server has the name.
    fn connection(&self, caller: u64, shown: &Credential, to: &str) -> Option<Result<Link, Fault>> {
        let mut state = self.state();
        let key = (caller, to.to_owned());
        if let Some(link) = state.connections.get(&key) {
            return Some(Ok(link.clone()));
        }
        let link = state.transports.get(to)?.link(Some(shown));
        if let Ok(link) = &link {
            state.connections.insert(key, link.clone());
        }
        Some(link)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client side of one party, or of one process of it. Its connections are closed when it is
/// dropped.
pub(super) struct Caller {
    web: Weak<Web>,
    number: u64,
    /// The certificate that it presents.
    shown: Credential,
    faults: FaultInjector,
    recording: Option<Recording>,
    woken: Arc<Notify>,
    links: Mutex<BTreeMap<String, Link>>,
}

impl Caller {
    pub(super) fn new(
        web: &Weak<Web>,
        shown: &Credential,
        faults: &FaultInjector,
        recording: Option<&Recording>,
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
            faults: faults.clone(),
            recording: recording.cloned(),
            woken: Arc::clone(woken),
            links: Mutex::default(),
        }
    }

    /// Creates a link to an authority. The server may be added later.
    fn link_to(&self, authority: &str) -> Link {
        let (web, number, shown) = (self.web.clone(), self.number, self.shown.clone());
        let to = authority.to_owned();
        let link = link_from(tower::service_fn(move |request: Request<Bytes>| {
            let fault = |kind, why: String| LinkFault::new(kind, to.clone(), why);
            let connection = web.upgrade().and_then(|web| web.connection(number, &shown, &to));
            let connection = match connection {
                Some(Ok(link)) => Ok(link),
                Some(Err(why)) => Err(fault(LinkFaultKind::Protocol, why.to_string())),
                None => {
                    let why = "no server in this simulation has this name";
                    Err(fault(LinkFaultKind::Unresolved, why.to_owned()))
                }
            };
            async move { world::send(&connection?, request).await }
        }));
        self.faults.link(match &self.recording {
            Some(recording) => recording.of_servers(link),
            None => link,
        })
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
        // Each call returns the same link, because the reordering fault needs the requests of one
        // link.
        Ok(links.entry(authority.to_owned()).or_insert_with(|| self.link_to(authority)).clone())
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}
