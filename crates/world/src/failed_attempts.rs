//! A limit for failed attempts of a peer, in memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rsp::time::Timestamp;

/// Maximum number of failed attempts of a peer in [`WINDOW`]. A person who mistypes a secret needs a
/// few; a program that guesses secrets needs thousands.
pub const MAX_FAILED_ATTEMPTS: u32 = 30;
/// Time for which failed attempts count, from the first one.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of peers whose failed attempts are kept. A new peer replaces the one whose first
/// failed attempt is the oldest.
const MAX_PEERS: usize = 10_000;

/// The failed attempts of each peer. `K` identifies a peer, for example by its EID.
#[derive(Debug)]
pub struct FailedAttempts<K>(Mutex<HashMap<K, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Timestamp,
    count: u32,
}

impl<K> Default for FailedAttempts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> FailedAttempts<K> {
    /// True if the peer has failed too often. The caller refuses its attempts without checking
    /// them.
    pub fn is_blocked(&self, peer: &K, now: Timestamp) -> bool {
        let peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(peer).is_some_and(|failures| failures.counts(now) && failures.count >= MAX_FAILED_ATTEMPTS)
    }

    /// Counts a failed attempt.
    pub fn failed(&self, peer: &K, now: Timestamp) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !peers.contains_key(peer) && peers.len() >= MAX_PEERS {
            peers.retain(|_, failures| failures.counts(now));
            if peers.len() >= MAX_PEERS
                && let Some(oldest) = peers.iter().min_by_key(|(_, failures)| failures.since)
            {
                let oldest = oldest.0.clone();
                peers.remove(&oldest);
            }
        }
        let failures = peers.entry(peer.clone()).or_insert(Failures { since: now, count: 0 });
        if !failures.counts(now) {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count = failures.count.saturating_add(1);
    }
}

impl Failures {
    fn counts(self, now: Timestamp) -> bool {
        (self.since..self.since.plus(WINDOW)).contains(&now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn a_peer_that_failed_too_often_is_blocked_for_a_while() {
        let attempts = FailedAttempts::default();
        for _ in 0..MAX_FAILED_ATTEMPTS {
            assert!(!attempts.is_blocked(&"a", NOW));
            attempts.failed(&"a", NOW);
        }
        assert!(attempts.is_blocked(&"a", NOW) && !attempts.is_blocked(&"b", NOW));
        let later = NOW.plus(WINDOW);
        assert!(attempts.is_blocked(&"a", Timestamp(later.0 - 1)) && !attempts.is_blocked(&"a", later));
        attempts.failed(&"a", later);
        assert!(!attempts.is_blocked(&"a", later));
    }

    #[test]
    fn the_number_of_remembered_peers_is_limited() {
        let attempts = FailedAttempts::default();
        for peer in 0..=MAX_PEERS {
            attempts.failed(&peer, Timestamp(i64::try_from(peer).unwrap()));
        }
        let peers = attempts.0.lock().unwrap();
        assert_eq!((peers.len(), peers.contains_key(&0)), (MAX_PEERS, false));
    }
}
