//! The fault that reports a bug of the runner.

use world::Fault;

/// A fault that can only be caused by a bug.
pub(super) fn bug(why: &str) -> Fault {
    Fault::new("cannot play the scenario", why, "report this")
}
