//! Background work of a party, such as deliveries and deadlines.

use std::sync::Arc;
use std::time::Duration;

use rsp_server::due::Due;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use world::{BoxFuture, Clock, Fault};

/// Delay before background work is retried after a failure of the records.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Minimum delay before the next query for due work. It lets other tasks run first.
const MIN_DELAY: Duration = Duration::from_millis(1);

/// Runs the background work of a party without end. `due` is called at once, whenever `woken` is
/// notified, after the end of each task, and at the time that its previous call returned. Its tasks
/// run concurrently, so that a slow peer delays only its own messages. If the records fail,
/// `report` is called and the work is retried.
pub async fn run(
    woken: Arc<Notify>,
    clock: impl Clock,
    due: impl Fn() -> BoxFuture<'static, Result<Due, Fault>>,
    report: impl Fn(Fault),
) {
    let mut under_way = JoinSet::new();
    loop {
        let wait = match due().await {
            Ok(Due { tasks, next }) => {
                for task in tasks {
                    under_way.spawn(task);
                }
                next.map(|next| next.since(clock.now()))
            }
            Err(fault) => {
                report(fault);
                Some(RETRY_DELAY)
            }
        };
        let until = async {
            match wait {
                Some(wait) => sleep(wait.max(MIN_DELAY)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = woken.notified() => {}
            Some(_) = under_way.join_next() => {}
            () = until => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::mpsc;
    use world::ManualClock;

    use super::*;

    #[tokio::test]
    async fn a_slow_task_does_not_delay_other_tasks() {
        let (sender, mut received) = mpsc::unbounded_channel();
        let (woken, calls) = (Arc::new(Notify::new()), AtomicUsize::new(0));
        let clock = ManualClock::at(rsp::time::Timestamp::default());
        let due = move || -> BoxFuture<'static, Result<Due, Fault>> {
            let (call, sender) = (calls.fetch_add(1, Ordering::Relaxed), sender.clone());
            let task: BoxFuture<'static, ()> = match call {
                0 => Box::pin(std::future::pending()),
                _ => Box::pin(async move { sender.send(call).unwrap() }),
            };
            let tasks = if call < 3 { vec![task] } else { Vec::new() };
            Box::pin(async move { Ok(Due { tasks, next: None }) })
        };
        let _running = tokio::spawn(run(Arc::clone(&woken), clock, due, |_| ()));
        woken.notify_one();
        assert_eq!(received.recv().await, Some(1));
        assert_eq!(received.recv().await, Some(2), "the due work is queried again after a task has ended");
    }
}
