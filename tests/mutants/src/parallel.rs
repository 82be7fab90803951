//! Work on several threads.

use std::sync::{Mutex, mpsc};
use std::thread;

/// Calls `work` for each item on `jobs` threads, and `done` for each result, with the number of
/// results so far, on this thread. The first error ends the work.
pub(crate) fn in_parallel<T: Send, R: Send>(
    jobs: usize,
    items: Vec<T>,
    work: impl Fn(T) -> Result<R, String> + Sync,
    mut done: impl FnMut(usize, R),
) -> Result<(), String> {
    let items = Mutex::new(items.into_iter());
    let (sender, results) = mpsc::channel();
    let (items, work) = (&items, &work);
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(move || {
                while let Some(item) = items.lock().ok().and_then(|mut items| items.next()) {
                    if sender.send(work(item)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (count, result) in (1..).zip(&results) {
            done(count, result?);
        }
        Ok(())
    })
}
