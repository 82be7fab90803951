//! Clock, randomness and limits of the operating system.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use rsp::time::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use world::{Clock, Fault, Random};

/// The clock of the operating system, in UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsClock;

impl Clock for OsClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the only use of the system clock; all other code takes a `Clock`"
    )]
    fn now(&self) -> Timestamp {
        // A clock that shows a time before 1970 has not been set. It counts as 1970.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Randomness of the operating system. Each draw is a system call.
///
/// The generator of a TLS library can collect processor jitter before its first draw (AWS-LC does), which
/// takes longer than the rest of a server's start.
#[derive(Clone, Copy, Debug)]
pub struct OsRandom(());

impl OsRandom {
    /// Returns a source that has been tested with one draw, so that a system without randomness is
    /// detected at start.
    pub fn new() -> Result<Self, Fault> {
        getrandom::fill(&mut [0; 32]).map_err(|error| {
            Fault::caused_by(
                error,
                "cannot get random numbers",
                "check that getrandom(2) or /dev/urandom works for this process",
            )
        })?;
        Ok(Self(()))
    }
}

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            // Without randomness there is no safe way to continue: a predictable key would be worse
            // than none.
            tracing::error!("the operating system no longer supplies random numbers; the process stops");
            std::process::abort();
        }
    }
}

/// Creates a folder and the missing folders above it, with access for their owner only.
///
/// # Errors
/// A folder cannot be created.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Raises the limit of open files, including sockets, to the maximum for this process, and returns
/// the limit.
///
/// The usual limit of 1024 protects programs that use select(2), which this program does not.
pub fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    // If the limit cannot be raised, the present one remains.
    let holds = if raised.is_ok() { limit.maximum } else { limit.current };
    // `None` stands for an unlimited number.
    holds.map_or(usize::MAX, |files| files.try_into().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_raised_to_its_maximum() {
        let raised = raise_open_files();
        assert!(raised > 3, "{raised}");
        assert_eq!(raise_open_files(), raised);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }

    #[test]
    fn the_clock_is_later_than_the_date_of_this_test() {
        assert!(OsClock.now() > "2026-11-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn random_numbers_do_not_repeat() {
        let random = OsRandom::new().unwrap();
        let (mut a, mut b) = ([0; 32], [0; 32]);
        random.fill(&mut a);
        random.fill(&mut b);
        assert_ne!(a, b);
    }
}
