//! The queue of commits that wait for the one writer of a store, and that it combines into groups.

use tokio::sync::{mpsc, oneshot};
use world::{ChangeSet, Committed, Fault};

/// Maximum number of waiting commits. Further callers wait for a place.
pub(crate) const QUEUE: usize = 1024;
/// Maximum number of commits in a group. The limit is far above what waits in practice, and bounds
/// the delay of the first commit.
pub(crate) const MAX_GROUP: usize = 256;

/// A commit that waits, and the place for its outcome.
pub(crate) struct Waiting {
    pub(crate) changes: ChangeSet,
    pub(crate) answer: oneshot::Sender<Result<Committed, Fault>>,
}

/// Puts a commit into the queue and waits for its outcome. Returns `None` if the writer has ended.
pub(crate) async fn submit(
    queue: &mpsc::Sender<Waiting>,
    changes: ChangeSet,
) -> Option<Result<Committed, Fault>> {
    let (answer, answered) = oneshot::channel();
    queue.send(Waiting { changes, answer }).await.ok()?;
    answered.await.ok()
}

/// Adds waiting commits to a group, up to the limit. An empty group waits for its first commit; it
/// stays empty if the queue is closed.
pub(crate) async fn fill(group: &mut Vec<Waiting>, queue: &mut mpsc::Receiver<Waiting>) {
    if group.is_empty() {
        group.extend(queue.recv().await);
    }
    while group.len() < MAX_GROUP
        && let Ok(next) = queue.try_recv()
    {
        group.push(next);
    }
}

/// Reports the outcomes of a group. A caller that no longer waits misses its own; its commit
/// remains.
pub(crate) fn answer(
    group: Vec<oneshot::Sender<Result<Committed, Fault>>>,
    outcomes: Result<Vec<Committed>, Fault>,
) {
    match outcomes {
        Ok(outcomes) => {
            for (answer, outcome) in group.into_iter().zip(outcomes) {
                let _ = answer.send(Ok(outcome));
            }
        }
        Err(fault) => {
            for answer in group {
                let _ = answer.send(Err(fault.clone()));
            }
        }
    }
}
