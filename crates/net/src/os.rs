//! The operating system's clock, dice and limits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rsp::time::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use world::{Clock, Dice, Fault};

/// The operating system's clock, UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsClock;

impl Clock for OsClock {
    #[allow(clippy::disallowed_methods)] // The one place that asks the operating system; all others take a `Clock`.
    fn now(&self) -> Timestamp {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp(millis(after)),
            Err(before) => Timestamp(-millis(before.duration())),
        }
    }
}

/// The operating system's dice: a system call for each throw.
///
/// TLS has a generator of its own (AWS-LC's), which gathers jitter of the processor's clock before its first throw. That
/// takes longer than everything else that a server does until it listens, so it is left to the first handshake.
#[derive(Clone, Copy, Debug)]
pub struct OsDice(());

impl OsDice {
    /// Dice that have been thrown once, so that a system without randomness is found at the start.
    pub fn new() -> Result<Self, Fault> {
        getrandom::fill(&mut [0; 32]).map_err(|error| {
            Fault::caused_by(
                error,
                "cannot throw dice",
                "check that getrandom(2) or /dev/urandom works for this process",
            )
        })?;
        Ok(Self(()))
    }
}

impl Dice for OsDice {
    fn fill(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            // There is no answer worth giving without randomness: a key of known bytes would be worse than none.
            tracing::error!("the operating system gives no random bytes any more; stopping at once");
            std::process::abort();
        }
    }
}

/// Allows this process as many open files, sockets among them, as it may allow itself; gives their number.
///
/// The usual limit of 1024 is there for programs that count files in a bit set of that size; these do not.
pub fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    // What cannot be raised stays as it is.
    let holds = if raised.is_ok() { limit.maximum } else { limit.current };
    // No number is no limit.
    holds.map_or(usize::MAX, |files| files.try_into().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_raised_once_and_for_all() {
        let raised = raise_open_files();
        assert!(raised > 3, "{raised}");
        assert_eq!(raise_open_files(), raised);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }

    #[test]
    fn the_clock_is_past_the_day_this_was_written() {
        assert!(OsClock.now() > "2026-11-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn the_dice_do_not_repeat() {
        let dice = OsDice::new().unwrap();
        let (mut a, mut b) = ([0; 32], [0; 32]);
        dice.fill(&mut a);
        dice.fill(&mut b);
        assert_ne!(a, b);
    }
}
