//! Results of the latest deliveries to each peer. Events with findings are passed on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use rsp::ids::Oid;
use tokio::sync::Notify;
use world::{Event, Events, Outcome};

/// The reason why the latest delivery to a peer failed. Peers whose latest delivery succeeded have
/// no entry.
pub(super) struct Deliveries {
    /// The events of the operator.
    events: Arc<dyn Events>,
    failed: Mutex<BTreeMap<String, String>>,
    updated: Notify,
}

impl Deliveries {
    /// Creates a record of deliveries that passes events with findings on to `events`.
    pub(super) fn new(events: Arc<dyn Events>) -> Self {
        Self { events, failed: Mutex::default(), updated: Notify::new() }
    }

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
        if !event.findings.is_empty() {
            self.events.emit(event.clone());
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match event.outcome {
            Outcome::Failed(why) => drop(failed.insert(event.peer.into_owned(), why)),
            Outcome::Done | Outcome::Refused(_) => drop(failed.remove(&*event.peer)),
        }
        self.updated.notify_waiters();
    }
}
