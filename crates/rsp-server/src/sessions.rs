//! Open sessions: their number is limited, and abandoned ones are deleted when they expire.
//!
//! A server remembers when each session expires, in memory. Expired sessions are deleted in small
//! batches, at most one for each request, so that a flood of abandoned sessions delays no request.
//! A restarted server reads the stored sessions in the same way, one page for each request. The
//! background task of a server deletes the expired sessions of a time without requests.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rsp::time::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use world::{Collection, Fault, Records, Tx};

/// Maximum number of sessions whose client has not authenticated itself. Anyone can open one, and it
/// stays until it expires. A client authenticates itself within seconds, so this is enough for
/// hundreds of new sessions a second.
pub const MAX_UNAUTHENTICATED: usize = 10_000;
/// Divisor of the maximum for one address. All devices of a fleet can have the address of one
/// gateway, so one address can have half of the sessions.
const SOURCES: usize = 2;
/// Maximum number of expired sessions that one request deletes, in one transaction. A request opens
/// at most one session, so sessions are deleted faster than a flood can open them.
const BATCH: usize = 32;
/// Maximum number of stored sessions that one request reads after a restart of the server.
const PAGE: usize = 500;

/// A record of a session.
pub trait Session: Serialize + DeserializeOwned + Send + Sync {
    /// Returns the time of expiry.
    fn expires(&self) -> Timestamp;

    /// True if the client has proved its identity.
    fn is_authenticated(&self) -> bool;
}

/// The open sessions of a server.
#[derive(Debug, Default)]
pub struct OpenSessions(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    sessions: HashMap<String, Entry>,
    by_expiry: BTreeSet<(Timestamp, String)>,
    /// Number of sessions that are not authenticated, by address. `None` if it is unknown.
    unauthenticated: HashMap<Option<IpAddr>, usize>,
    /// Expired sessions that are not deleted yet.
    due: VecDeque<String>,
    /// Progress of the first pass over the records.
    read: Progress,
}

#[derive(Clone, Debug, Default)]
enum Progress {
    #[default]
    NotBegun,
    After(String),
    Done,
}

#[derive(Debug)]
struct Entry {
    expires: Timestamp,
    is_authenticated: bool,
    source: Option<IpAddr>,
}

impl OpenSessions {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if a client at `source` cannot open another session now, because `most` sessions, or
    /// half as many from this address, are not authenticated.
    pub fn is_full(&self, source: Option<IpAddr>, most: usize, now: Timestamp) -> bool {
        let mut index = self.index();
        index.expire(now);
        let total: usize = index.unauthenticated.values().sum();
        let of_source = index.unauthenticated.get(&source).copied().unwrap_or_default();
        total >= most || (source.is_some() && of_source >= most.div_ceil(SOURCES))
    }

    /// Registers the sessions that a committed request of `source` wrote (`Some`) or deleted.
    pub fn committed<T: Session>(&self, changes: Vec<(String, Option<T>)>, source: Option<IpAddr>) {
        let mut index = self.index();
        for (id, session) in changes {
            let source = index.remove(&id).map_or(source, |entry| entry.source);
            if let Some(session) = session {
                index.insert(id, &session, source);
            }
        }
    }

    /// Deletes one batch of expired sessions. Returns true if another batch is left, or another page
    /// of the records of an earlier run.
    ///
    /// # Errors
    /// Returns a fault if the records fail. The sessions are deleted later.
    pub(crate) async fn sweep<T: Session>(
        &self,
        records: &dyn Records,
        collection: &Collection<T>,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        self.read_page(records, collection).await?;
        let (batch, is_more): (Vec<String>, bool) = {
            let mut index = self.index();
            index.expire(now);
            let size = index.due.len().min(BATCH);
            let batch = index.due.drain(..size).collect();
            (batch, !index.due.is_empty() || !matches!(index.read, Progress::Done))
        };
        if batch.is_empty() {
            return Ok(is_more);
        }
        let deleted =
            world::transact(records, |tx| Box::pin(forget_expired(tx, collection, &batch, now))).await;
        if deleted.is_err() {
            self.index().due.extend(batch);
        }
        deleted.map(|()| is_more)
    }

    /// Returns the time at which the first open session expires, or `None` if none is open.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.index().by_expiry.first().map(|(expires, _)| *expires)
    }

    /// Reads a page of the sessions that were open when the server started.
    async fn read_page<T: Session>(
        &self,
        records: &dyn Records,
        collection: &Collection<T>,
    ) -> Result<(), Fault> {
        let progress = self.index().read.clone();
        let after = match &progress {
            Progress::Done => return Ok(()),
            Progress::NotBegun => None,
            Progress::After(id) => Some(id.as_str()),
        };
        let page = Tx::begin(records).peek_page(collection, after, PAGE).await?;
        let mut index = self.index();
        index.read = match page.last() {
            Some((last, ..)) if page.len() == PAGE => Progress::After(last.clone()),
            _ => Progress::Done,
        };
        for (id, _, session) in page {
            if !index.sessions.contains_key(&id) {
                index.insert(id, &session, None);
            }
        }
        Ok(())
    }
}

impl Index {
    fn insert<T: Session>(&mut self, id: String, session: &T, source: Option<IpAddr>) {
        let entry =
            Entry { expires: session.expires(), is_authenticated: session.is_authenticated(), source };
        if !entry.is_authenticated {
            *self.unauthenticated.entry(source).or_default() += 1;
        }
        self.by_expiry.insert((entry.expires, id.clone()));
        self.sessions.insert(id, entry);
    }

    fn remove(&mut self, id: &str) -> Option<Entry> {
        let entry = self.sessions.remove(id)?;
        self.by_expiry.remove(&(entry.expires, id.to_owned()));
        if !entry.is_authenticated
            && let Some(count) = self.unauthenticated.get_mut(&entry.source)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.unauthenticated.remove(&entry.source);
            }
        }
        Some(entry)
    }

    /// Moves expired sessions to those that are due for deletion.
    fn expire(&mut self, now: Timestamp) {
        while let Some((expires, id)) = self.by_expiry.first().cloned()
            && expires <= now
        {
            self.remove(&id);
            self.due.push_back(id);
        }
    }
}

async fn forget_expired<T: Session>(
    tx: &mut Tx<'_>,
    sessions: &Collection<T>,
    ids: &[String],
    now: Timestamp,
) -> Result<(), Fault> {
    for id in ids {
        if tx.get(sessions, id).await?.is_some_and(|session| session.expires() <= now) {
            tx.delete(sessions, id);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use world::MemoryRecords;

    use super::*;

    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Simple {
        expires: Timestamp,
        is_authenticated: bool,
    }

    impl Session for Simple {
        fn expires(&self) -> Timestamp {
            self.expires
        }

        fn is_authenticated(&self) -> bool {
            self.is_authenticated
        }
    }

    const SESSIONS: Collection<Simple> = Collection::new("sessions");
    const A: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const B: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));
    const NOW: Timestamp = Timestamp(1000);

    fn opened(open: &OpenSessions, ids: std::ops::Range<usize>, source: Option<IpAddr>) {
        let session = Simple { expires: Timestamp(2000), is_authenticated: false };
        let changes = ids.map(|id| (id.to_string(), Some(session.clone()))).collect();
        open.committed(changes, source);
    }

    #[test]
    fn one_address_cannot_open_all_sessions() {
        let open = OpenSessions::default();
        opened(&open, 0..4, A);
        assert!(!open.is_full(A, 10, NOW));
        opened(&open, 4..5, A);
        assert!(open.is_full(A, 10, NOW) && !open.is_full(B, 10, NOW));
        // A session that ends, or whose client authenticates itself, makes room for another one.
        open.committed(vec![("0".into(), None::<Simple>)], A);
        assert!(!open.is_full(A, 10, NOW));
    }

    #[test]
    fn the_number_of_sessions_is_limited_and_authenticated_ones_do_not_count() {
        let open = OpenSessions::default();
        opened(&open, 0..10, None);
        assert!(open.is_full(B, 10, NOW) && open.is_full(None, 10, NOW));
        let authenticated = Simple { expires: Timestamp(2000), is_authenticated: true };
        open.committed(vec![("7".into(), Some(authenticated))], B);
        assert!(!open.is_full(B, 10, NOW));
        opened(&open, 10..11, A);
        assert!(open.is_full(B, 10, NOW));
        assert!(!open.is_full(B, 10, Timestamp(2000)), "expired sessions do not count");
    }

    #[tokio::test]
    async fn a_request_deletes_a_batch_of_expired_sessions_of_this_server_and_of_its_predecessor() {
        let records = MemoryRecords::default();
        let total = PAGE + 10;
        let mut tx = Tx::begin(&records);
        for id in 0..total {
            let expires = Timestamp(if id == 0 { 5000 } else { 900 });
            let session = Simple { expires, is_authenticated: id % 2 == 0 };
            tx.put(&SESSIONS, &format!("{id:05}"), &session).unwrap();
        }
        assert_eq!(tx.commit().await.unwrap(), world::Committed::Yes);
        let open = OpenSessions::default();
        open.read_page(&records, &SESSIONS).await.unwrap();
        let left = async || records.list(SESSIONS.name(), "").await.unwrap().len();
        for sweeps in 1..=total.div_ceil(BATCH) {
            let is_more = open.sweep(&records, &SESSIONS, NOW).await.unwrap();
            assert_eq!(left().await, total.saturating_sub(sweeps * BATCH).max(1), "sweep {sweeps}");
            assert_eq!(is_more, sweeps * BATCH < total - 1, "sweep {sweeps}");
        }
        assert_eq!(left().await, 1, "the session that has not expired is left");
    }

    #[tokio::test]
    async fn the_pages_of_an_earlier_run_are_read_even_if_no_session_of_the_first_one_has_expired() {
        let records = MemoryRecords::default();
        let mut tx = Tx::begin(&records);
        for id in 0..=PAGE {
            let session = Simple { expires: Timestamp(5000), is_authenticated: true };
            tx.put(&SESSIONS, &format!("{id:05}"), &session).unwrap();
        }
        assert_eq!(tx.commit().await.unwrap(), world::Committed::Yes);
        let open = OpenSessions::default();
        assert!(open.sweep(&records, &SESSIONS, NOW).await.unwrap());
        assert!(!open.sweep(&records, &SESSIONS, NOW).await.unwrap());
    }

    #[tokio::test]
    async fn a_renewed_session_is_not_deleted() {
        let records = MemoryRecords::default();
        let open = OpenSessions::default();
        opened(&open, 0..1, A);
        let renewed = Simple { expires: Timestamp(3000), is_authenticated: true };
        let mut tx = Tx::begin(&records);
        tx.put(&SESSIONS, "0", &renewed).unwrap();
        assert_eq!(tx.commit().await.unwrap(), world::Committed::Yes);
        // The index of this server still has the former time.
        open.sweep(&records, &SESSIONS, Timestamp(2500)).await.unwrap();
        assert_eq!(records.list(SESSIONS.name(), "").await.unwrap().len(), 1);
        // A session has expired at the time `expires`, not only after it.
        open.committed(vec![("0".into(), Some(renewed))], A);
        for (now, left) in [(2999, 1), (3000, 0)] {
            open.sweep(&records, &SESSIONS, Timestamp(now)).await.unwrap();
            assert_eq!(records.list(SESSIONS.name(), "").await.unwrap().len(), left, "at {now}");
        }
    }
}
