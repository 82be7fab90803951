//! Sessions that nobody came back for.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use rsp::time::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use world::{Collection, Fault, Records, Tx};

/// Something that is forgotten after a time.
pub trait Expires {
    /// When.
    fn expires(&self) -> Timestamp;
}

/// Deletes sessions that have expired: whoever begins one need not come back.
///
/// It remembers only when to look next, so a server that forgets it looks earlier than it must.
#[derive(Debug, Default)]
pub struct Sweep {
    due: AtomicI64,
}

impl Sweep {
    /// Looks for expired sessions, if `lifetime` has passed since somebody last did.
    ///
    /// # Errors
    /// The records fail; what was left is found the next time.
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
        // Looked through outside of a transaction, so that sessions that go on meanwhile are no conflict.
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
