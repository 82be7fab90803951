//! Expiry of abandoned sessions.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use rsp::time::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use world::{Collection, Fault, Records, Tx};

/// A record that expires.
pub trait Expires {
    /// Returns the time of expiry.
    fn expires(&self) -> Timestamp;
}

/// Deletes expired sessions. A client that begins a session may never continue it.
///
/// Only the time of the next sweep is remembered, in memory. A restarted server sweeps earlier than
/// necessary.
#[derive(Debug, Default)]
pub struct Sweep {
    due: AtomicI64,
}

impl Sweep {
    /// Deletes expired sessions if `lifetime` has passed since the last sweep.
    ///
    /// # Errors
    /// Returns a fault if the records fail; sessions that are left are deleted by the next sweep.
    pub async fn run<T: Expires + Serialize + DeserializeOwned>(
        &self,
        records: &dyn Records,
        sessions: &Collection<T>,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let due = self.due.load(Ordering::Relaxed);
        let next = now.plus(lifetime).0;
        let is_mine = || self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if now.0 < due || !is_mine() {
            return Ok(());
        }
        // Listed outside of a transaction, so that sessions in use cause no conflicts.
        let found = Tx::begin(records).list(sessions, "").await?;
        for (id, _) in found.iter().filter(|(_, session)| session.expires() <= now) {
            world::transact(records, |tx| Box::pin(forget_if_expired(tx, sessions, id, now))).await?;
        }
        Ok(())
    }
}

async fn forget_if_expired<T: Expires + Serialize + DeserializeOwned>(
    tx: &mut Tx<'_>,
    sessions: &Collection<T>,
    id: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    if tx.get(sessions, id).await?.is_some_and(|session| session.expires() <= now) {
        tx.delete(sessions, id);
    }
    Ok(())
}
