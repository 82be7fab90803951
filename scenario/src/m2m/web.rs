//! The links between operator, EUM, SM-DP and SM-SR, each with what goes wrong on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::Request;
use rsp_server::soap::Peers;
use tokio::sync::Notify;
use world::{Fault, Link, LinkFault, LinkFaultKind, PeerCertificate, link_from};

use crate::faults::Mishaps;

/// Whom everybody reaches, by authority. A run holds it; parties, which it holds, only look into it, so that they end with the run.
#[derive(Default)]
pub(super) struct Web(Mutex<BTreeMap<&'static str, Link>>);

impl Web {
    pub(super) fn put(&self, authority: &'static str, link: Link) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(authority, link);
    }

    fn at(&self, authority: &str) -> Option<Link> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(authority).cloned()
    }
}

/// The way of one party to the others.
pub(super) struct Way {
    web: Weak<Web>,
    /// Which it shows.
    certificate: Vec<u8>,
    mishaps: Mishaps,
    woken: Arc<Notify>,
    links: Mutex<BTreeMap<String, Link>>,
}

impl Way {
    pub(super) fn new(web: Weak<Web>, certificate: &[u8], mishaps: &Mishaps, woken: &Arc<Notify>) -> Self {
        Self {
            web,
            certificate: certificate.to_vec(),
            mishaps: mishaps.clone(),
            woken: Arc::clone(woken),
            links: Mutex::default(),
        }
    }

    fn link_to(&self, authority: &str) -> Link {
        let (web, certificate, to) = (self.web.clone(), self.certificate.clone(), authority.to_owned());
        self.mishaps.link(link_from(tower::service_fn(move |mut request: Request<Bytes>| {
            let peer = web.upgrade().and_then(|web| web.at(&to));
            let unknown = || {
                let why = "nobody in this simulation has the name";
                LinkFault::new(LinkFaultKind::Unresolved, to.clone(), why)
            };
            let peer = peer.ok_or_else(unknown);
            request.extensions_mut().insert(PeerCertificate(certificate.clone()));
            async move { world::send(&peer?, request).await }
        })))
    }
}

impl Peers for Way {
    fn link(&self, authority: &str) -> Result<Link, Fault> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        // The same each time: what one request overtakes on it is another's.
        Ok(links.entry(authority.to_owned()).or_insert_with(|| self.link_to(authority)).clone())
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}
