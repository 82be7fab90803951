//! HTTP requests that wait for a script (long polls). They are kept in memory only, because a
//! request ends anyway when its server stops.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use rsp::time::Timestamp;

#[derive(Default)]
pub(super) struct LongPolls(Mutex<State>);

#[derive(Default)]
struct State {
    /// Incremented by every [`LongPolls::wake`]. A request that has seen a lower value looks for a
    /// script again.
    generation: u64,
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    until: Timestamp,
    is_over: bool,
    waker: Option<Waker>,
}

impl LongPolls {
    /// Returns the generation. The caller must read it before it looks for a script.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Lets all waiting requests look for a script.
    pub(super) fn wake(&self) {
        let mut state = self.lock();
        state.generation = state.generation.wrapping_add(1);
        let wakers: Vec<Waker> = state.waiting.values_mut().filter_map(|each| each.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends the requests whose time is over. Returns the next time at which one ends.
    pub(super) fn tick(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.lock();
        let mut wakers = Vec::new();
        let mut next = None;
        for each in state.waiting.values_mut() {
            if each.until <= now {
                each.is_over = true;
                wakers.extend(each.waker.take());
            } else {
                next = [next, Some(each.until)].into_iter().flatten().min();
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        next
    }

    /// Waits until [`wake`](Self::wake) has been called since `generation`, or [`tick`](Self::tick)
    /// with a time not before `until`.
    pub(super) fn wait(&self, generation: u64, until: Timestamp) -> Wait<'_> {
        let mut state = self.lock();
        let number = state.next;
        state.next = state.next.wrapping_add(1);
        state.waiting.insert(number, Waiting { until, is_over: false, waker: None });
        drop(state);
        Wait { long_polls: self, number, generation }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Wait<'a> {
    long_polls: &'a LongPolls,
    number: u64,
    generation: u64,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.long_polls.lock();
        let is_woken = state.generation != self.generation;
        match state.waiting.get_mut(&self.number) {
            Some(waiting) if !is_woken && !waiting.is_over => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.long_polls.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_is_dropped_has_no_time() {
        let long_polls = LongPolls::default();
        let wait = long_polls.wait(0, Timestamp(5));
        assert_eq!(long_polls.tick(Timestamp(0)), Some(Timestamp(5)));
        drop(wait);
        assert_eq!(long_polls.tick(Timestamp(0)), None);
    }
}
