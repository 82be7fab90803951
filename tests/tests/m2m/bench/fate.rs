//! What goes wrong once, and the counts by which it is told when: a message between servers, or a party that is stopped at
//! one of its commits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;
use world::{BoxFuture, ChangeSet, Committed, Fault, MemoryRecords, Records, Stored};

/// What happens to the messages between parties, and to their records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The n-th message between servers is lost on its way.
    LostRequest(usize),
    /// It arrives, and nobody hears of it.
    LostResponse(usize),
    /// It arrives twice.
    Doubled(usize),
    /// The party is stopped at its n-th commit, before it is made, and started again on its records.
    RestartBefore(Who, usize),
    /// The same, after the commit, before anything is said.
    RestartAfter(Who, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    SmDp,
    SmSr,
}

/// Counts, and the mishap that is to come.
#[derive(Default)]
pub(super) struct Fate {
    pub(super) mishap: Mutex<Option<Mishap>>,
    pub(super) messages: Mutex<usize>,
    pub(super) commits: Mutex<BTreeMap<&'static str, usize>>,
    pub(super) restart: Notify,
}

/// Records that die with their party.
pub(super) struct Mortal {
    inner: Arc<MemoryRecords>,
    who: Who,
    fate: Arc<Fate>,
    /// Whether the party on them has been stopped.
    dead: Mutex<bool>,
}

impl Mortal {
    pub(super) fn new(inner: Arc<MemoryRecords>, who: Who, fate: Arc<Fate>) -> Self {
        Self { inner, who, fate, dead: Mutex::new(false) }
    }

    fn fault() -> Fault {
        Fault::new("the process has ended", "the test has stopped it", "start it again")
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
            let number = {
                let mut commits = self.fate.commits.lock().unwrap();
                let name = if self.who == Who::SmDp { "SM-DP" } else { "SM-SR" };
                let count = commits.entry(name).or_default();
                *count += 1;
                *count
            };
            let mishap = *self.fate.mishap.lock().unwrap();
            let die = |mortal: &Self| {
                *mortal.dead.lock().unwrap() = true;
                *mortal.fate.mishap.lock().unwrap() = None;
                mortal.fate.restart.notify_one();
                Err(Self::fault())
            };
            match mishap {
                Some(Mishap::RestartBefore(who, at)) if (who, at) == (self.who, number) => die(self),
                Some(Mishap::RestartAfter(who, at)) if (who, at) == (self.who, number) => {
                    let _committed = self.inner.commit(changes).await?;
                    die(self)
                }
                _ => self.inner.commit(changes).await,
            }
        })
    }
}
