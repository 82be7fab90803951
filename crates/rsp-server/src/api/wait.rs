//! Requests that wait for a change (long polling).

use std::{str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};
use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, Records, Stored};

use super::Problem;

/// Maximum number of requests of a server that wait at the same time.
pub const MAX_WAITS: usize = 64;
/// Maximum time that a request can wait.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that a request waits if it has no `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The query of a request that waits for an entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiting<F> {
    /// The entries to wait for.
    #[serde(flatten)]
    pub filter: F,
    /// Only entries that changed after this number: the `revision` or the `number` of an earlier
    /// reply. Default: 0, so that an entry that matches already is returned at once.
    #[serde(default)]
    pub after: u64,
    /// Maximum time to wait, such as 10s or 500ms. Default: 10s; maximum: 60s.
    #[serde(default)]
    pub timeout: Timeout,
}

/// The value of `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Timeout(pub Duration);

rsp::text_schemas! {
    Timeout: pattern = "^[0-9]+(s|ms)$";
}

impl Default for Timeout {
    fn default() -> Self {
        Self(DEFAULT_TIMEOUT)
    }
}

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(number), _) => number.parse().map(Duration::from_millis),
            (None, Some(number)) => number.parse().map(Duration::from_secs),
            (None, None) => return Err(format!("timeout {text:?} has no unit; write it as 10s or 500ms")),
        };
        match parsed {
            Ok(timeout) if timeout <= MAX_TIMEOUT => Ok(Self(timeout)),
            Ok(_) => Err(format!("timeout {text} is longer than {} s", MAX_TIMEOUT.as_secs())),
            Err(_) => Err(format!("timeout {text:?} is not a number with a unit; write it as 10s or 500ms")),
        }
    }
}

impl TryFrom<String> for Timeout {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The requests of a server that wait. A change wakes all of them, and each executes its function
/// again.
pub struct Waits {
    /// The value is true after the server has stopped.
    changed: watch::Sender<bool>,
    free: Semaphore,
}

impl Default for Waits {
    fn default() -> Self {
        Self { changed: watch::Sender::new(false), free: Semaphore::new(MAX_WAITS) }
    }
}

impl Waits {
    /// Wakes all waiting requests.
    pub fn wake(&self) {
        self.changed.send_modify(|_| {});
    }

    /// Ends all waiting requests, now and from now on, so that the server can stop.
    pub fn end(&self) {
        self.changed.send_modify(|ended| *ended = true);
    }

    /// Executes a function until it has a reply with content, at most for `timeout`. Without a
    /// timeout the function is executed once. After the timeout the function is executed once more,
    /// because another process may have changed the records.
    ///
    /// # Errors
    /// Too many requests wait, or the function fails.
    pub async fn answer<'a>(
        &self,
        timeout: Option<Duration>,
        mut execute: impl FnMut() -> BoxFuture<'a, Result<Response<Bytes>, Problem>>,
    ) -> Result<Response<Bytes>, Problem> {
        let Some(timeout) = timeout else { return execute().await };
        let _place = self.free.try_acquire().map_err(|_| too_many())?;
        let deadline = Instant::now() + timeout;
        let mut changes = self.changed.subscribe();
        loop {
            // A change during the execution must execute the function again.
            let is_ended = *changes.borrow_and_update();
            let response = execute().await?;
            if response.status() != StatusCode::NO_CONTENT || is_ended {
                return Ok(response);
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return execute().await;
            }
        }
    }
}

fn too_many() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "cannot wait",
        format!("{MAX_WAITS} requests wait already"),
        "retry when another request has ended, or list the entries",
    )
}

/// Records whose commits wake the waiting requests.
pub struct WatchedRecords {
    inner: Arc<dyn Records>,
    waits: Arc<Waits>,
}

impl WatchedRecords {
    /// Returns the records. Each commit that changes them wakes `waits`.
    pub fn new(inner: Arc<dyn Records>, waits: Arc<Waits>) -> Self {
        Self { inner, waits }
    }
}

impl Records for WatchedRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        self.inner.read(collection, key)
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.inner.first(collection, keys, most)
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            let is_change = !changes.changes.is_empty();
            let committed = self.inner.commit(changes).await?;
            if is_change && committed == Committed::Yes {
                self.waits.wake();
            }
            Ok(committed)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use world::{Collection, MemoryRecords, Tx};

    use super::*;

    const FLAG: Collection<()> = Collection::new("flag");

    struct Server {
        waits: Arc<Waits>,
        records: WatchedRecords,
        executed: AtomicUsize,
    }

    impl Server {
        fn new() -> Arc<Self> {
            let waits = Arc::new(Waits::default());
            let records = WatchedRecords::new(Arc::new(MemoryRecords::default()), Arc::clone(&waits));
            Arc::new(Self { waits, records, executed: AtomicUsize::new(0) })
        }

        /// Waits until the flag is set.
        async fn wait(&self, timeout: &str) -> Result<StatusCode, Problem> {
            let Timeout(timeout) = timeout.parse().unwrap();
            let response = self.waits.answer(Some(timeout), || {
                Box::pin(async {
                    self.executed.fetch_add(1, Ordering::Relaxed);
                    let is_set = Tx::begin(&self.records).get(&FLAG, "flag").await?.is_some();
                    let mut response = Response::default();
                    *response.status_mut() = if is_set { StatusCode::OK } else { StatusCode::NO_CONTENT };
                    Ok(response)
                })
            });
            Ok(response.await?.status())
        }

        /// Starts a wait, and returns when it is waiting.
        async fn waiting(self: &Arc<Self>) -> tokio::task::JoinHandle<Result<StatusCode, Problem>> {
            let (server, before) = (Arc::clone(self), self.executed.load(Ordering::Relaxed));
            let wait = tokio::spawn(async move { server.wait("60s").await });
            while self.executed.load(Ordering::Relaxed) == before {
                tokio::task::yield_now().await;
            }
            wait
        }

        async fn write(&self, key: &str) {
            let mut tx = Tx::begin(&self.records);
            tx.put(&FLAG, key, &()).unwrap();
            assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_wakes_the_waits_and_only_the_awaited_change_ends_them() {
        let (server, begun) = (Server::new(), Instant::now());
        let wait = server.waiting().await;
        server.write("another").await;
        while server.executed.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(!wait.is_finished());
        server.write("flag").await;
        assert_eq!(wait.await.unwrap().unwrap(), StatusCode::OK);
        assert_eq!(server.wait("0s").await.unwrap(), StatusCode::OK, "it matches already");
        assert_eq!(begun.elapsed(), Duration::ZERO, "no wait ended because of its timeout");
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_changes_nothing_wakes_no_wait() {
        let server = Server::new();
        let wait = server.waiting().await;
        // The second transaction has read what the first one changes, so it conflicts.
        let mut late = Tx::begin(&server.records);
        assert!(late.get(&FLAG, "another").await.unwrap().is_none());
        late.put(&FLAG, "another", &()).unwrap();
        server.write("another").await;
        while server.executed.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        assert_ne!(late.commit().await.unwrap(), Committed::Yes);
        let mut reads_only = Tx::begin(&server.records);
        reads_only.get(&FLAG, "another").await.unwrap();
        assert_eq!(reads_only.commit().await.unwrap(), Committed::Yes);
        let nothing = ChangeSet::default();
        assert_eq!(server.records.commit(nothing).await.unwrap(), Committed::Yes);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.executed.load(Ordering::Relaxed), 2, "only the change has woken the wait");
        server.waits.end();
        assert_eq!(wait.await.unwrap().unwrap(), StatusCode::NO_CONTENT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_without_content_after_its_timeout() {
        let (server, begun) = (Server::new(), Instant::now());
        assert_eq!(server.wait("1500ms").await.unwrap(), StatusCode::NO_CONTENT);
        assert!((1500..1510).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        assert_eq!(server.executed.load(Ordering::Relaxed), 2, "once at the beginning, once at the end");
    }

    #[tokio::test(start_paused = true)]
    async fn the_waits_end_when_the_server_stops() {
        let (server, begun) = (Server::new(), Instant::now());
        let wait = server.waiting().await;
        server.waits.end();
        assert_eq!(wait.await.unwrap().unwrap(), StatusCode::NO_CONTENT);
        assert_eq!(server.wait("60s").await.unwrap(), StatusCode::NO_CONTENT);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_above_the_limit_is_refused() {
        let server = Server::new();
        let mut waits = Vec::new();
        for _ in 0..MAX_WAITS {
            waits.push(server.waiting().await);
        }
        assert_eq!(server.wait("1s").await.unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
        server.waits.end();
        for wait in waits {
            wait.await.unwrap().unwrap();
        }
        assert_eq!(server.wait("1s").await.unwrap(), StatusCode::NO_CONTENT);
    }

    #[test]
    fn a_timeout_has_a_unit_and_a_maximum() {
        assert_eq!("60s".parse::<Timeout>().unwrap().0, MAX_TIMEOUT);
        assert_eq!("0ms".parse::<Timeout>().unwrap().0, Duration::ZERO);
        for invalid in ["10", "61s", "60001ms", "s", "-1s", "1m", "", "99999999999999999999s"] {
            assert!(invalid.parse::<Timeout>().is_err(), "{invalid}");
        }
    }
}
