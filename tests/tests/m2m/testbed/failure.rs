//! Injection of one failure (a lost or duplicated message between servers, or a restart of a party
//! at one of its commits), and the counters that determine when it occurs.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use world::{BoxFuture, ChangeSet, Committed, Fault, MemoryRecords, Records, Stored};

/// A failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The n-th message between servers is lost.
    LostRequest(usize),
    /// The response to the n-th message is lost.
    LostResponse(usize),
    /// The n-th message arrives twice.
    Duplicated(usize),
    /// The party stops before its n-th commit, and restarts on its records.
    RestartBefore(Party, usize),
    /// The party stops after its n-th commit, before it sends anything, and restarts on its
    /// records.
    RestartAfter(Party, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    SmDp,
    SmSr,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Messages between servers.
    pub(crate) messages: usize,
    /// Commits of the SM-DP.
    pub(crate) sm_dp: usize,
    /// Commits of the SM-SR.
    pub(crate) sm_sr: usize,
}

/// The failure to inject, and the counters that determine when.
#[derive(Default)]
pub(super) struct FailurePlan {
    failure: Mutex<Option<Failure>>,
    counters: Mutex<Counters>,
    /// The party that was stopped and has to be restarted.
    stopped: Mutex<Option<Party>>,
    has_stopped: Notify,
}

impl FailurePlan {
    /// Sets the failure, which is then injected once. Resets the counters.
    pub(super) fn expect(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap() = failure;
        *self.counters.lock().unwrap() = Counters::default();
    }

    pub(super) fn counters(&self) -> Counters {
        *self.counters.lock().unwrap()
    }

    pub(super) fn is_still_to_come(&self) -> bool {
        self.failure.lock().unwrap().is_some()
    }

    /// Waits until a party has been stopped, and returns it.
    pub(super) async fn stopped(&self) -> Party {
        loop {
            if let Some(party) = self.stopped.lock().unwrap().take() {
                return party;
            }
            self.has_stopped.notified().await;
        }
    }

    /// Counts a message between servers. Returns the failure if it affects this message.
    pub(super) fn of_next_message(&self) -> Option<Failure> {
        let mut counters = self.counters.lock().unwrap();
        counters.messages += 1;
        let at = counters.messages;
        self.happens(|failure| {
            [Failure::LostRequest(at), Failure::LostResponse(at), Failure::Duplicated(at)].contains(&failure)
        })
    }

    /// Counts a commit of a party. Returns the failure if it affects this commit.
    fn of_next_commit(&self, party: Party) -> Option<Failure> {
        let mut counters = self.counters.lock().unwrap();
        let commits = match party {
            Party::SmDp => &mut counters.sm_dp,
            Party::SmSr => &mut counters.sm_sr,
        };
        *commits += 1;
        let at = *commits;
        self.happens(|failure| {
            [Failure::RestartBefore(party, at), Failure::RestartAfter(party, at)].contains(&failure)
        })
    }

    fn happens(&self, now: impl FnOnce(Failure) -> bool) -> Option<Failure> {
        self.failure.lock().unwrap().take_if(|failure| now(*failure))
    }
}

/// Records that fail after their party has been stopped.
pub(super) struct StoppableRecords {
    inner: Arc<MemoryRecords>,
    party: Party,
    failures: Arc<FailurePlan>,
    /// True if the party has been stopped.
    stopped_now: Mutex<bool>,
}

impl StoppableRecords {
    pub(super) fn new(inner: Arc<MemoryRecords>, party: Party, failures: Arc<FailurePlan>) -> Self {
        Self { inner, party, failures, stopped_now: Mutex::new(false) }
    }

    fn stop(&self) -> Fault {
        *self.stopped_now.lock().unwrap() = true;
        *self.failures.stopped.lock().unwrap() = Some(self.party);
        self.failures.has_stopped.notify_one();
        Self::fault()
    }

    fn fault() -> Fault {
        Fault::new("the process has ended", "the test stopped it", "restart it")
    }
}

impl Records for StoppableRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        match *self.stopped_now.lock().unwrap() {
            true => Box::pin(async { Err(Self::fault()) }),
            false => self.inner.read(collection, key),
        }
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        match *self.stopped_now.lock().unwrap() {
            true => Box::pin(async { Err(Self::fault()) }),
            false => self.inner.first(collection, prefix, most),
        }
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            if *self.stopped_now.lock().unwrap() {
                return Err(Self::fault());
            }
            if changes.changes.is_empty() {
                return self.inner.commit(changes).await;
            }
            let failure = self.failures.of_next_commit(self.party);
            if let Some(Failure::RestartBefore(..)) = failure {
                return Err(self.stop());
            }
            let committed = self.inner.commit(changes).await?;
            match failure {
                Some(_) => Err(self.stop()),
                None => Ok(committed),
            }
        })
    }
}
