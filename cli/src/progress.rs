//! Progress display on standard error.

use std::{
    io::{IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rsp::time::Timestamp;
use serde::Serialize;
use world::Clock as _;

/// Minimum interval between two updates of a terminal line.
const PERIOD: Duration = Duration::from_millis(100);
/// Time without lines at the start of a command that is usually short, if standard error is not a
/// terminal.
const SHORT: Duration = Duration::from_secs(10);

/// Moves the cursor to the start of the line and clears the line.
const CLEAR: &str = "\r\x1b[K";

/// Counter of completed tasks. A terminal shows one changing line; otherwise one line is printed
/// per tenth.
pub struct Progress {
    what: &'static str,
    total: usize,
    began: Timestamp,
    output: Output,
    counted: Mutex<Counted>,
}

#[derive(Clone, Copy, PartialEq)]
enum Output {
    /// A changing line, which stays at the end.
    Terminal,
    /// A changing line, which is removed when the counter is dropped.
    Transient,
    /// A line per tenth, after this time.
    Lines(Duration),
    /// A line of JSON per tenth.
    JsonLines,
    Nothing,
}

/// A line of JSON.
#[derive(Serialize)]
struct Line {
    progress: &'static str,
    done: usize,
    total: usize,
    failed: usize,
    seconds: f64,
}

#[derive(Default)]
struct Counted {
    done: usize,
    failed: usize,
    shown: Option<Timestamp>,
}

impl Progress {
    /// Creates a counter at zero. With `json` its lines are JSON.
    pub fn new(what: &'static str, total: usize, json: bool) -> Self {
        let output = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Output::JsonLines,
            (false, true) => Output::Terminal,
            (false, false) => Output::Lines(Duration::ZERO),
        };
        Self { what, total, began: net::OsClock.now(), output, counted: Mutex::default() }
    }

    /// Creates a counter for a command that is usually short and prints a result at the end. The
    /// line on a terminal disappears at the end. With `json` nothing is printed.
    pub fn transient(what: &'static str, total: usize, json: bool) -> Self {
        let output = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Output::Nothing,
            (false, true) => Output::Transient,
            (false, false) => Output::Lines(SHORT),
        };
        Self { what, total, began: net::OsClock.now(), output, counted: Mutex::default() }
    }

    /// Counts one completed task, successful or not.
    pub fn step(&self, well: bool) {
        self.count(|counted| {
            counted.done += 1;
            counted.failed += usize::from(!well);
        });
    }

    /// Sets the number of completed tasks.
    pub fn set(&self, done: usize) {
        self.count(|counted| counted.done = done);
    }

    fn count(&self, change: impl FnOnce(&mut Counted)) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = self.counted_at(net::OsClock.now(), &mut counted, change) {
            // A closed standard error is ignored.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
    }

    /// Changes the counter, and returns the text to print, if it is time to print.
    fn counted_at(
        &self,
        now: Timestamp,
        counted: &mut Counted,
        change: impl FnOnce(&mut Counted),
    ) -> Option<String> {
        let before = counted.done;
        change(counted);
        let is_last = counted.done == self.total && before != self.total;
        let is_period_over = counted.shown.is_none_or(|shown| now.since(shown) >= PERIOD);
        let is_due = match self.output {
            Output::Terminal => is_period_over || is_last,
            Output::Transient => is_period_over,
            Output::Lines(after) => {
                self.tenths(counted.done) > self.tenths(before) && now.since(self.began) >= after
            }
            Output::JsonLines => self.tenths(counted.done) > self.tenths(before),
            Output::Nothing => false,
        };
        if !is_due {
            return None;
        }
        counted.shown = Some(now);
        let seconds = now.since(self.began).as_secs_f64();
        if self.output == Output::JsonLines {
            let Counted { done, failed, .. } = *counted;
            let line = Line { progress: self.what, done, total: self.total, failed, seconds };
            return serde_json::to_string(&line).ok().map(|line| line + "\n");
        }
        let failed = match counted.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let line = format!("{}: {} of {}{failed}, {seconds:.1} s", self.what, counted.done, self.total);
        Some(match (self.output, is_last) {
            (Output::Terminal, true) => format!("{CLEAR}{line}\n"),
            (Output::Terminal | Output::Transient, _) => format!("{CLEAR}{line}"),
            (Output::Lines(_) | Output::JsonLines | Output::Nothing, _) => format!("{line}\n"),
        })
    }

    fn tenths(&self, done: usize) -> usize {
        (done * 10).checked_div(self.total).unwrap_or_default()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let counted = self.counted.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.output == Output::Transient && counted.shown.is_some() {
            let _ = std::io::stderr().lock().write_all(CLEAR.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a counter of 20 tasks, of which one is completed each second.
    fn texts(output: Output) -> Vec<String> {
        let began = net::OsClock.now();
        let progress = Progress { what: "days", total: 20, began, output, counted: Mutex::default() };
        let mut counted = Counted::default();
        let text = |done: u64| {
            let now = began.plus(Duration::from_secs(done));
            progress.counted_at(now, &mut counted, |counted| counted.done += 1)
        };
        (1..=20).filter_map(text).collect()
    }

    #[test]
    fn a_terminal_has_one_changing_line_and_a_file_at_most_ten_lines() {
        let terminal = texts(Output::Terminal);
        assert_eq!(terminal.len(), 20);
        assert_eq!(terminal.first().unwrap(), "\r\x1b[Kdays: 1 of 20, 1.0 s");
        assert_eq!(terminal.last().unwrap(), "\r\x1b[Kdays: 20 of 20, 20.0 s\n");
        assert!(texts(Output::Transient).iter().all(|text| !text.ends_with('\n')));
        let lines = texts(Output::Lines(Duration::ZERO));
        assert_eq!(lines.len(), 10);
        assert_eq!(lines.first().unwrap(), "days: 2 of 20, 2.0 s\n");
    }

    #[test]
    fn a_short_run_has_no_progress() {
        assert_eq!(texts(Output::Lines(SHORT)).first().unwrap(), "days: 10 of 20, 10.0 s\n");
        assert!(texts(Output::Nothing).is_empty());
    }

    #[test]
    fn with_json_each_line_is_a_document() {
        let lines = texts(Output::JsonLines);
        assert_eq!(lines.len(), 10);
        let first = "{\"progress\":\"days\",\"done\":2,\"total\":20,\"failed\":0,\"seconds\":2.0}\n";
        assert_eq!(lines.first().unwrap(), first);
    }
}
