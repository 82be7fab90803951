//! Progress display on standard error.

use std::{
    io::{IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Minimum interval between two updates of a terminal line.
const PERIOD: Duration = Duration::from_millis(100);

/// Counter of completed tasks. A terminal shows one changing line; otherwise one line is printed
/// per tenth.
pub struct Progress {
    what: &'static str,
    total: usize,
    began: Instant,
    terminal: bool,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    done: usize,
    failed: usize,
    shown: Option<Instant>,
}

impl Progress {
    /// Creates a counter at zero.
    pub fn new(what: &'static str, total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { what, total, began: Instant::now(), terminal, counted: Mutex::default() }
    }

    /// Counts one completed task, successful or not.
    pub fn step(&self, well: bool) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.tenths(counted.done);
        counted.done += 1;
        counted.failed += usize::from(!well);
        let now = Instant::now();
        let is_last = counted.done == self.total;
        let is_due = match self.terminal {
            true => counted.shown.is_none_or(|shown| now.duration_since(shown) >= PERIOD),
            false => self.tenths(counted.done) > before,
        };
        if is_due || is_last {
            counted.shown = Some(now);
            self.show(&counted, is_last);
        }
    }

    fn tenths(&self, done: usize) -> usize {
        (done * 10).checked_div(self.total).unwrap_or_default()
    }

    fn show(&self, counted: &Counted, is_last: bool) {
        let seconds = self.began.elapsed().as_secs_f64();
        let failed = match counted.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let line = format!("{}: {} of {}{failed}, {seconds:.1} s", self.what, counted.done, self.total);
        let mut out = std::io::stderr().lock();
        // A closed standard error is ignored.
        let _ = match (self.terminal, is_last) {
            (true, false) => write!(out, "\r\x1b[K{line}"),
            (true, true) => writeln!(out, "\r\x1b[K{line}"),
            (false, _) => writeln!(out, "{line}"),
        };
    }
}
