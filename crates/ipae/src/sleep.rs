//! Delays. A card has no clock, so the terminal measures them with its timers (TS 102 223 section
//! 6.4.21) or by the STATUS commands that it sends.

use std::future::poll_fn;
use std::task::Poll;

use device::Pause;
use world::BoxFuture;

use crate::toolkit::{Id, SharedToolkit};

/// Waits for this number of seconds. If the future is dropped, the timer is stopped.
pub(crate) async fn sleep(toolkit: &SharedToolkit, seconds: u64) {
    let timer = Running { toolkit, id: toolkit.lock().start_timer(seconds) };
    poll_fn(|_| match toolkit.lock().is_over(timer.id) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

struct Running<'a> {
    toolkit: &'a SharedToolkit,
    id: Id,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.toolkit.lock().stop_timer(self.id);
    }
}

/// The delay of the IPA between two attempts.
pub(crate) struct TerminalPause {
    pub(crate) toolkit: SharedToolkit,
    pub(crate) seconds: u64,
}

impl Pause for TerminalPause {
    fn before(&self, _: u32) -> BoxFuture<'_, ()> {
        Box::pin(sleep(&self.toolkit, self.seconds))
    }
}
