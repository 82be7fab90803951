//! What has become of the last try to bring a message to a peer.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use rsp::ids::Oid;
use tokio::sync::Notify;
use world::{Event, Events, Outcome};

/// Why the last message did not come through, by whom it was for; nothing of those whose last message did.
#[derive(Default)]
pub(super) struct Tries {
    failed: Mutex<BTreeMap<String, String>>,
    news: Notify,
}

impl Tries {
    /// What happened before is no trouble of what is asked now.
    pub(super) fn begin(&self, peer: &Oid) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer.to_string());
    }

    /// Why the last try has failed, if it has.
    pub(super) fn last(&self, peer: &Oid) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get(&peer.to_string()).cloned()
    }

    /// Waits until one has failed.
    pub(super) async fn failed(&self, peer: &Oid) -> String {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if let Some(why) = self.last(peer) {
                return why;
            }
            news.await;
        }
    }
}

impl Events for Tries {
    fn tell(&self, event: Event) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match event.outcome {
            Outcome::Failed(why) => drop(failed.insert(event.peer.into_owned(), why)),
            Outcome::Done | Outcome::Refused(_) => drop(failed.remove(&*event.peer)),
        }
        self.news.notify_waiters();
    }
}
