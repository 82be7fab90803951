//! Faults of stored records, as a wrapper around a store, and a handle that represents the end of
//! the process that uses it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::Notify;
use world::{
    BoxFuture, ChangeSet, Committed, Fault, KeyRange, Link, LinkFault, LinkFaultKind, Records, Stored,
    link_from,
};

use super::acts::RecordsAct;
use super::catalogue::FaultId;
use super::{FaultInjector, FaultSpec, InjectedFault};

/// A handle of one process, which is running at first and ends once. Clones share their state.
#[derive(Clone, Default)]
pub struct ProcessHandle(Arc<ProcessState>);

#[derive(Default)]
struct ProcessState {
    has_ended: AtomicBool,
    notify: Notify,
    /// Delay before the process is restarted.
    away: Mutex<Duration>,
    by: Mutex<Option<FaultSpec>>,
}

impl ProcessHandle {
    /// True if the process has ended.
    pub fn is_over(&self) -> bool {
        self.0.has_ended.load(Ordering::SeqCst)
    }

    /// Waits for the end of the process. Returns the delay before the process is restarted.
    pub async fn over(&self) -> Duration {
        loop {
            let notified = self.0.notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.is_over() {
                return self.away();
            }
            notified.await;
        }
    }

    /// The delay before the process is restarted, once it has ended.
    pub fn away(&self) -> Duration {
        *self.0.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that ended the process, if a fault did.
    pub fn ended_by(&self) -> Option<FaultSpec> {
        self.0.by.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wraps the link to a party of this process. After the end of the process, the party does not
    /// answer any more.
    pub fn link(&self, party: Link) -> Link {
        let process = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (process, party) = (process.clone(), party.clone());
            async move {
                let name = request.uri().authority().map_or_else(|| "server".to_owned(), ToString::to_string);
                let answer: Result<Response<Bytes>, LinkFault> = tokio::select! {
                    biased;
                    _ = process.over() => return Err(over(name)),
                    answer = world::send(&party, request) => answer,
                };
                if process.is_over() { Err(over(name)) } else { answer }
            }
        }))
    }

    fn end_by(&self, injected: &InjectedFault) {
        *self.0.by.lock().unwrap_or_else(PoisonError::into_inner) = Some(injected.spec().clone());
        self.end(injected.time());
    }

    /// Ends the process. It is to be restarted after `away`.
    pub fn end(&self, away: Duration) {
        *self.0.away.lock().unwrap_or_else(PoisonError::into_inner) = away;
        self.0.has_ended.store(true, Ordering::SeqCst);
        self.0.notify.notify_waiters();
    }
}

fn over(peer: String) -> LinkFault {
    LinkFault::new(LinkFaultKind::Reset, peer, "the process has ended")
}

/// The records of a party with injected faults. They fail once the process has ended.
pub struct FaultyRecords {
    party: String,
    inner: Arc<dyn Records>,
    faults: FaultInjector,
    process: ProcessHandle,
}

impl FaultyRecords {
    /// Wraps the records of `party`, which runs in the process `process`. After the end of the
    /// process, nothing is read or written.
    pub fn new(
        party: impl Into<String>,
        inner: Arc<dyn Records>,
        faults: FaultInjector,
        process: ProcessHandle,
    ) -> Self {
        Self { party: party.into(), inner, faults, process }
    }

    fn is_alive(&self) -> Result<(), Fault> {
        let is_over = self.process.is_over();
        let fault =
            || Fault::new("cannot use the records", "the process has ended", "wait until it is restarted");
        if is_over { Err(fault()) } else { Ok(()) }
    }

    fn may_read(&self, collection: &str) -> Result<(), Fault> {
        self.is_alive()?;
        let reads = |act| matches!(act, RecordsAct::ReadFails);
        match self.next_fault(reads, [collection].into_iter()) {
            None => Ok(()),
            Some(injected) => Err(self.fault(&injected, "cannot read a record")),
        }
    }

    fn next_fault<'c>(
        &self,
        kind: impl Fn(RecordsAct) -> bool,
        collections: impl Iterator<Item = &'c str>,
    ) -> Option<InjectedFault> {
        let mut here = vec![self.party.clone()];
        here.extend(collections.map(|collection| format!("{}:{collection}", self.party)));
        self.faults.next_fault(|spec: &FaultSpec| {
            matches!(spec.id(), FaultId::Records(act) if kind(act)) && spec.is_at(&here)
        })
    }

    fn fault(&self, injected: &InjectedFault, what: &str) -> Fault {
        Fault::new(format!("{what} of {}", self.party), injected.spec().to_string(), "remove the fault")
    }

    async fn commit_with(
        &self,
        injected: &InjectedFault,
        mut changes: ChangeSet,
    ) -> Result<Committed, Fault> {
        let FaultId::Records(act) = injected.id() else { return self.inner.commit(changes).await };
        match act {
            RecordsAct::CommitFails | RecordsAct::ReadFails => {
                Err(self.fault(injected, "cannot write the records"))
            }
            RecordsAct::TornWrite => {
                changes.changes.truncate(changes.changes.len() / 2);
                let _torn = self.inner.commit(changes).await?;
                Err(self.fault(injected, "cannot write the records"))
            }
            RecordsAct::LostWrite => Ok(Committed::Yes),
            RecordsAct::Conflict => Ok(Committed::Conflict),
            RecordsAct::CrashBeforeCommit => {
                self.process.end_by(injected);
                Err(self.fault(injected, "cannot write the records"))
            }
            RecordsAct::CrashAfterCommit => {
                let _committed = self.inner.commit(changes).await?;
                self.process.end_by(injected);
                Err(self.fault(injected, "the process ended after the commit"))
            }
        }
    }
}

impl Records for FaultyRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        match self.may_read(collection) {
            Ok(()) => self.inner.read(collection, key),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        match self.may_read(collection) {
            Ok(()) => self.inner.first(collection, keys, most),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    /// An occasion is a commit that changes at least one record.
    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            self.is_alive()?;
            if changes.changes.is_empty() {
                return self.inner.commit(changes).await;
            }
            let writes = |act| !matches!(act, RecordsAct::ReadFails);
            let injected = self.next_fault(writes, changes.changes.iter().map(|change| change.collection));
            match injected {
                None => self.inner.commit(changes).await,
                Some(injected) => self.commit_with(&injected, changes).await,
            }
        })
    }
}
