//! Limits of a server, and its open connections.
//!
//! A server never stops accepting. If a new connection exceeds a limit, the server evicts the
//! connection that has been idle for the longest time, so that silent peers cannot keep others out.
//! A connection is idle here if it has no completely received request: a peer that sends half a
//! request can be evicted. If no connection is idle, the new one is closed at once.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::os::raise_open_files;

/// Maximum number of connections of a port. Further ones replace idle ones or are refused. An idle
/// connection with TLS takes 23 KiB, and one whose peer has sent half a head takes 42 KiB (measured
/// with a debug build). This limit therefore corresponds to 130 MiB at most.
pub const MAX_CONNECTIONS: usize = 3072;
/// Maximum number of connections from one address. One machine can run a whole simulated fleet, so
/// the limit is half of [`MAX_CONNECTIONS`].
pub const MAX_CONNECTIONS_PER_SOURCE: usize = MAX_CONNECTIONS / 2;
/// Maximum number of connections of a port without TLS, half of them from one address. Only programs
/// on the same machine use such a port, and it shares the memory of the process with other ports.
pub const MAX_PLAIN_CONNECTIONS: usize = 1024;
/// Time-out for the TLS handshake. It has four flights at most, and a radio link can lose one.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time in which no request is under way and nothing is sent. It is also the time-out for
/// the first octets and for the head of a request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Age at which a connection accepts no further request, and is closed after the requests under
/// way. Otherwise a peer that keeps its connection busy would keep its place for ever.
pub const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// Time-out for the body of a request, from the end of its head.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of all requests that a port holds at one time, heads and bodies. A request of the
/// maximum size takes 1 MiB, and the usual one a few KiB.
pub const MAX_REQUEST_MEMORY: usize = 32 << 20;
/// Requests above this size leave a quarter of the memory to smaller ones, so that large bodies
/// cannot keep devices out. A request of a device has at most some 10 KiB.
const SMALL_REQUEST: usize = 64 << 10;
/// Length in bits of the prefix of an IPv6 address that identifies a peer. A customer has at least
/// a /64 (RFC 6177) and can use each of its addresses, so all of them count as one.
const IPV6_SOURCE_BITS: u32 = 64;
/// Open files that are kept free for everything but connections: records, logs, listeners, outgoing
/// connections. Of 1024 open files, 900 remain for connections.
const OTHER_FILES: usize = 124;

/// Minimum time between two log lines about the same limit.
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// Limits of a server on one port. The default has the constants of this module.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// See [`MAX_CONNECTIONS`]. The ports of a process share its limit of open files, which can
    /// make the limit of a port lower.
    pub connections: usize,
    /// See [`MAX_CONNECTIONS_PER_SOURCE`].
    pub connections_per_source: usize,
    /// See [`HANDSHAKE_TIMEOUT`].
    pub handshake_timeout: Duration,
    /// See [`IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// See [`MAX_AGE`].
    pub age: Duration,
    /// See [`BODY_READ_TIMEOUT`].
    pub body_timeout: Duration,
    /// See [`MAX_REQUEST_MEMORY`].
    pub request_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            connections_per_source: MAX_CONNECTIONS_PER_SOURCE,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            age: MAX_AGE,
            body_timeout: BODY_READ_TIMEOUT,
            request_memory: MAX_REQUEST_MEMORY,
        }
    }
}

impl Limits {
    /// Returns the default limits with another maximum number of connections, half of them from one
    /// address.
    pub(crate) fn of(connections: usize) -> Self {
        Self { connections, connections_per_source: connections / 2, ..Self::default() }
    }
}

/// Limits how often a condition that lasts is logged.
#[derive(Default)]
pub(crate) struct LogLimit(Option<Instant>);

impl LogLimit {
    /// True if a line may be logged: the first one, and one for each [`LOGGED_EVERY`].
    pub(crate) fn allows(&mut self) -> bool {
        let now = Instant::now();
        let allowed = self.0.is_none_or(|latest| now >= latest + LOGGED_EVERY);
        if allowed {
            self.0 = Some(now);
        }
        allowed
    }
}

/// The open files of a process, which its ports share. Each port has an equal part of them.
#[derive(Debug)]
struct Files {
    /// Maximum number of connections of all ports.
    connections: usize,
    ports: AtomicUsize,
}

impl Files {
    fn new(files: usize) -> Self {
        Self { connections: files.saturating_sub(OTHER_FILES), ports: AtomicUsize::new(0) }
    }

    /// Returns the files of this process.
    fn of_process() -> Arc<Self> {
        static OF_PROCESS: LazyLock<Arc<Files>> = LazyLock::new(|| Arc::new(Files::new(raise_open_files())));
        Arc::clone(&OF_PROCESS)
    }

    /// Returns the number of connections that one port may have now.
    fn share(&self) -> usize {
        (self.connections / self.ports.load(Ordering::Relaxed).max(1)).max(2)
    }
}

/// The open connections of a port.
pub(crate) struct Connections {
    limits: Limits,
    files: Arc<Files>,
    memory: Arc<Semaphore>,
    open: Mutex<Open>,
}

/// The open connections, ordered by the times of their last events. A time can be older than that of
/// the [`Activity`], which changes without this index. Eviction corrects the times that it reads.
#[derive(Default)]
struct Open {
    latest: u64,
    connections: HashMap<u64, Connection>,
    by_time: BTreeSet<(Instant, u64)>,
    by_time_of_source: HashMap<IpAddr, BTreeSet<(Instant, u64)>>,
}

struct Connection {
    activity: Arc<Activity>,
    source: IpAddr,
    /// Its time in the index.
    time: Instant,
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Self::sharing(limits, Files::of_process())
    }

    fn sharing(limits: Limits, files: Arc<Files>) -> Arc<Self> {
        files.ports.fetch_add(1, Ordering::Relaxed);
        let memory = Arc::new(Semaphore::new(limits.request_memory));
        Arc::new(Self { limits, files, memory, open: Mutex::default() })
    }

    /// Admits a connection from this address. If a limit is reached, the connection that has been
    /// idle for the longest time is evicted. Returns `None` if none is idle.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let source = source_of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let share = self.files.share();
        let connections = self.limits.connections.min(share);
        let per_source = self.limits.connections_per_source.min(share / 2);
        let crowded_source =
            open.by_time_of_source.get(&source).is_some_and(|of_source| of_source.len() >= per_source);
        if crowded_source || open.connections.len() >= connections {
            open.evict(crowded_source.then_some(source))?;
        }
        open.latest += 1;
        let id = open.latest;
        let activity = Activity::new(Some(source), self.limits, Arc::clone(&self.memory));
        open.insert(id, Connection { activity: Arc::clone(&activity), source, time: activity.latest() });
        Some(Admitted { id, connections: Arc::clone(self), activity })
    }

    /// Evicts the connection that has been idle for the longest time, for example because no file
    /// descriptor is left.
    pub(crate) fn evict(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).evict(None);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.files.ports.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Open {
    fn insert(&mut self, id: u64, connection: Connection) {
        let place = (connection.time, id);
        self.by_time.insert(place);
        self.by_time_of_source.entry(connection.source).or_default().insert(place);
        self.connections.insert(id, connection);
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        let place = (connection.time, id);
        self.by_time.remove(&place);
        if let Some(of_source) = self.by_time_of_source.get_mut(&connection.source) {
            of_source.remove(&place);
            if of_source.is_empty() {
                self.by_time_of_source.remove(&connection.source);
            }
        }
        Some(connection)
    }

    /// Evicts the connection that has been idle for the longest time: among those of `source`, or
    /// among all if it is `None`. Returns `None` if none is idle.
    fn evict(&mut self, source: Option<IpAddr>) -> Option<()> {
        let mut busy = Vec::new();
        let evicted = loop {
            let by_time = match &source {
                Some(source) => self.by_time_of_source.get(source),
                None => Some(&self.by_time),
            };
            let Some((_, id)) = by_time.and_then(BTreeSet::first).copied() else { break None };
            let Some(connection) = self.remove(id) else { break None };
            let latest = connection.activity.latest();
            if connection.activity.executing.load(Ordering::Relaxed) > 0 {
                busy.push((id, Connection { time: Instant::now(), ..connection }));
            } else if latest > connection.time {
                self.insert(id, Connection { time: latest, ..connection });
            } else {
                break Some(connection);
            }
        };
        for (id, connection) in busy {
            self.insert(id, connection);
        }
        evicted?.activity.evicted.notify_one();
        Some(())
    }
}

/// Returns the part of an address that stands for one peer.
pub(crate) fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::MAX << (Ipv6Addr::BITS - IPV6_SOURCE_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & prefix))
        }
        v4 => v4,
    }
}

/// The place of an open connection. Dropping it frees the place.
pub(crate) struct Admitted {
    id: u64,
    connections: Arc<Connections>,
    pub(crate) activity: Arc<Activity>,
}

impl Admitted {
    /// Completes when the connection has lost its place to another one.
    pub(crate) async fn evicted(&self) {
        self.activity.evicted.notified().await;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(self.id);
    }
}

/// The work of a connection, and the limits for it.
pub(crate) struct Activity {
    /// The peer, if its address is known.
    source: Option<IpAddr>,
    pub(crate) limits: Limits,
    memory: Arc<Semaphore>,
    /// Time of the last event: the start of the connection, the begin or end of a request, or sent
    /// octets.
    latest: Mutex<Instant>,
    /// Requests whose head has been received, and that are not answered.
    under_way: AtomicUsize,
    /// Requests that have been received completely, and that are not answered.
    executing: AtomicUsize,
    evicted: Notify,
}

impl Activity {
    fn new(source: Option<IpAddr>, limits: Limits, memory: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self {
            source,
            limits,
            memory,
            latest: Mutex::new(Instant::now()),
            under_way: AtomicUsize::new(0),
            executing: AtomicUsize::new(0),
            evicted: Notify::new(),
        })
    }

    /// The activity of a connection that the caller has accepted.
    pub(crate) fn of_single_connection() -> Arc<Self> {
        let limits = Limits::default();
        Self::new(None, limits, Arc::new(Semaphore::new(limits.request_memory)))
    }

    /// Returns the address that stands for the peer.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.source
    }

    fn latest(&self) -> Instant {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Begins a request.
    pub(crate) fn begin(self: &Arc<Self>) -> Work {
        self.touch();
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Work { activity: Arc::clone(self), is_executing: false, memory: None }
    }

    /// Completes when the connection has been idle for the idle time-out.
    pub(crate) async fn idle(&self) {
        loop {
            let is_working = self.under_way.load(Ordering::Relaxed) > 0;
            let since = if is_working { Instant::now() } else { self.latest() };
            let deadline = since + self.limits.idle_timeout;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

/// A request under way, or a session that is not idle.
pub(crate) struct Work {
    activity: Arc<Activity>,
    is_executing: bool,
    memory: Option<OwnedSemaphorePermit>,
}

impl Work {
    /// Returns the address that stands for the peer.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.activity.source()
    }

    /// Time-out for the body of the request.
    pub(crate) fn body_timeout(&self) -> Duration {
        self.activity.limits.body_timeout
    }

    /// Marks the request as completely received. From now on its connection is not evicted.
    pub(crate) fn execute(&mut self) {
        if !self.is_executing {
            self.is_executing = true;
            self.activity.executing.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reserves memory for more octets of the request. Returns false if not enough memory is left.
    pub(crate) fn reserve(&mut self, octets: usize) -> bool {
        let Ok(permits) = u32::try_from(octets) else { return false };
        let total = octets.saturating_add(self.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let reserve = if total > SMALL_REQUEST { self.activity.limits.request_memory / 4 } else { 0 };
        let memory = &self.activity.memory;
        if memory.available_permits() < octets.saturating_add(reserve) {
            return false;
        }
        let Ok(more) = Arc::clone(memory).try_acquire_many_owned(permits) else { return false };
        match &mut self.memory {
            Some(memory) => memory.merge(more),
            none => *none = Some(more),
        }
        true
    }

    /// Returns the reserved memory, because the request is dropped.
    pub(crate) fn release(&mut self) {
        self.memory = None;
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.is_executing {
            self.activity.executing.fetch_sub(1, Ordering::Relaxed);
        }
        self.activity.touch();
        self.activity.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose sent octets count as activity: a slow peer may need minutes for a long response.
pub(crate) struct Observed<S> {
    inner: S,
    activity: Arc<Activity>,
}

impl<S> Observed<S> {
    pub(crate) fn new(inner: S, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, octets);
        if written.is_ready() {
            this.activity.touch();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        if written.is_ready() {
            this.activity.touch();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
