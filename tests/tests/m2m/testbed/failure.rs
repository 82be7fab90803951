//! Injection of one failure (a lost or duplicated message between servers, or a restart of a party
//! at one of its commits), and the counters that determine when it occurs.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use world::{BoxFuture, ChangeSet, Committed, Fault, MemoryRecords, Records, Stored};

/// A failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The n-th message between servers is lost.
    LostRequest(usize),
    /// The response to the n-th message is lost.
    LostResponse(usize),
    /// The n-th message arrives twice.
    Doubled(usize),
    /// The party stops before its n-th commit, and restarts on its records.
    RestartBefore(Who, usize),
    /// The party stops after its n-th commit, before it sends anything, and restarts on its
    /// records.
    RestartAfter(Who, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    SmDp,
    SmSr,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Messages between servers.
    pub(crate) messages: usize,
    /// Commits of the SM-DP.
    pub(crate) sm_dp: usize,
    /// Commits of the SM-SR.
    pub(crate) sm_sr: usize,
}

/// The failure to inject, and the counters that determine when.
#[derive(Default)]
pub(super) struct Fate {
    mishap: Mutex<Option<Mishap>>,
    counted: Mutex<Counted>,
    /// The party that was stopped and has to be restarted.
    stopped: Mutex<Option<Who>>,
    has_stopped: Notify,
}

impl Fate {
    /// Sets the failure to inject, once. Resets the counters.
    pub(super) fn expect(&self, mishap: Option<Mishap>) {
        *self.mishap.lock().unwrap() = mishap;
        *self.counted.lock().unwrap() = Counted::default();
    }

    pub(super) fn counted(&self) -> Counted {
        *self.counted.lock().unwrap()
    }

    pub(super) fn is_still_to_come(&self) -> bool {
        self.mishap.lock().unwrap().is_some()
    }

    /// Waits until a party has been stopped, and returns it.
    pub(super) async fn stopped(&self) -> Who {
        loop {
            if let Some(who) = self.stopped.lock().unwrap().take() {
                return who;
            }
            self.has_stopped.notified().await;
        }
    }

    /// Counts a message between servers. Returns the failure if it affects this message.
    pub(super) fn of_next_message(&self) -> Option<Mishap> {
        let mut counted = self.counted.lock().unwrap();
        counted.messages += 1;
        let at = counted.messages;
        self.happens(|mishap| {
            [Mishap::LostRequest(at), Mishap::LostResponse(at), Mishap::Doubled(at)].contains(&mishap)
        })
    }

    /// Counts a commit of a party. Returns the failure if it affects this commit.
    fn of_next_commit(&self, who: Who) -> Option<Mishap> {
        let mut counted = self.counted.lock().unwrap();
        let commits = match who {
            Who::SmDp => &mut counted.sm_dp,
            Who::SmSr => &mut counted.sm_sr,
        };
        *commits += 1;
        let at = *commits;
        self.happens(|mishap| {
            [Mishap::RestartBefore(who, at), Mishap::RestartAfter(who, at)].contains(&mishap)
        })
    }

    fn happens(&self, now: impl FnOnce(Mishap) -> bool) -> Option<Mishap> {
        self.mishap.lock().unwrap().take_if(|mishap| now(*mishap))
    }
}

/// Records that fail after their party has been stopped.
pub(super) struct Mortal {
    inner: Arc<MemoryRecords>,
    who: Who,
    fate: Arc<Fate>,
    /// True if the party has been stopped.
    dead: Mutex<bool>,
}

impl Mortal {
    pub(super) fn new(inner: Arc<MemoryRecords>, who: Who, fate: Arc<Fate>) -> Self {
        Self { inner, who, fate, dead: Mutex::new(false) }
    }

    fn die(&self) -> Fault {
        *self.dead.lock().unwrap() = true;
        *self.fate.stopped.lock().unwrap() = Some(self.who);
        self.fate.has_stopped.notify_one();
        Self::fault()
    }

    fn fault() -> Fault {
        Fault::new("the process has ended", "the test stopped it", "restart it")
    }
}

impl Records for Mortal {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        match *self.dead.lock().unwrap() {
            true => Box::pin(async { Err(Self::fault()) }),
            false => self.inner.read(collection, key),
        }
    }

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        match *self.dead.lock().unwrap() {
            true => Box::pin(async { Err(Self::fault()) }),
            false => self.inner.list(collection, prefix),
        }
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            if *self.dead.lock().unwrap() {
                return Err(Self::fault());
            }
            if changes.changes.is_empty() {
                return self.inner.commit(changes).await;
            }
            let mishap = self.fate.of_next_commit(self.who);
            if let Some(Mishap::RestartBefore(..)) = mishap {
                return Err(self.die());
            }
            let committed = self.inner.commit(changes).await?;
            match mishap {
                Some(_) => Err(self.die()),
                None => Ok(committed),
            }
        })
    }
}
