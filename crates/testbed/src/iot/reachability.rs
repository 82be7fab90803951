//! The servers of a device are in reach only while one of its subscriptions has service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use device::ipa::Connection;
use network::Networks;
use rsp::ids::Imsi;
use tower::{Service, ServiceExt};
use world::{Link, LinkFault, LinkFaultKind, link_from};

/// The connection between a device and its servers. Clones are the same connection.
#[derive(Clone)]
pub(super) struct Reachability {
    networks: Arc<Networks>,
    imsis: Arc<[Imsi]>,
    /// True if the device needs service.
    is_cellular: Arc<AtomicBool>,
}

impl Reachability {
    pub(super) fn new(networks: Arc<Networks>, imsis: &[Imsi], connection: Connection) -> Self {
        let is_cellular = Arc::new(AtomicBool::new(connection == Connection::Cellular));
        Self { networks, imsis: imsis.into(), is_cellular }
    }

    pub(super) fn set_connection(&self, connection: Connection) {
        self.is_cellular.store(connection == Connection::Cellular, Ordering::Relaxed);
    }

    /// Wraps a link to a server. A request without service fails.
    pub(super) fn link(&self, server: Link) -> Link {
        let reachability = self.clone();
        link_from(tower::service_fn(move |request| {
            let (reachability, mut server) = (reachability.clone(), server.clone());
            async move {
                if !reachability.has_service() {
                    let why = "the device has no service";
                    return Err(LinkFault::new(LinkFaultKind::Unreachable, "server", why));
                }
                server.ready().await?.call(request).await
            }
        }))
    }

    fn has_service(&self) -> bool {
        if !self.is_cellular.load(Ordering::Relaxed) {
            return true;
        }
        let networks = self.networks.all();
        self.imsis
            .iter()
            .filter_map(|imsi| self.networks.place_of(*imsi))
            .any(|plmn| networks.iter().any(|network| network.plmn == plmn && network.coverage))
    }
}
