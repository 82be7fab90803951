//! Results of the latest deliveries to each peer.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use rsp::ids::Oid;
use tokio::sync::Notify;
use world::{Event, Events, Outcome};

/// The reason why the latest delivery to a peer failed. Peers whose latest delivery succeeded have
/// no entry.
#[derive(Default)]
pub(super) struct Deliveries {
    failed: Mutex<BTreeMap<String, String>>,
    updated: Notify,
}

impl Deliveries {
    /// Discards the results of earlier deliveries before a new call.
    pub(super) fn begin(&self, peer: &Oid) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer.to_string());
    }

    /// The reason why the latest delivery failed, if it failed.
    pub(super) fn last(&self, peer: &Oid) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get(&peer.to_string()).cloned()
    }

    /// Waits until a delivery has failed.
    pub(super) async fn failed(&self, peer: &Oid) -> String {
        loop {
            let mut updated = std::pin::pin!(self.updated.notified());
            updated.as_mut().enable();
            if let Some(why) = self.last(peer) {
                return why;
            }
            updated.await;
        }
    }
}

impl Events for Deliveries {
    fn emit(&self, event: Event) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match event.outcome {
            Outcome::Failed(why) => drop(failed.insert(event.peer.into_owned(), why)),
            Outcome::Done | Outcome::Refused(_) => drop(failed.remove(&*event.peer)),
        }
        self.updated.notify_waiters();
    }
}
