//! Helpers to run the `landfall` binary.

#![allow(
    dead_code,
    clippy::panic,
    reason = "each test program uses a part of it, and tests fail by panicking"
)]

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

/// Returns a command for `landfall` without the LANDFALL_* variables of the test's environment.
pub(crate) fn landfall(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANDFALL_")) {
        command.env_remove(name);
    }
    // Tests run concurrently, so that they must not share the default port.
    command.env("LANDFALL_ADMIN", "127.0.0.1:0");
    command.env("LANDFALL_SMSC_PASSWORD", "secret");
    command.arg("--data-dir").arg(data_dir);
    command
}

/// Runs a command that must succeed. Returns its standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", both(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail without a panic. Returns its standard error.
pub(crate) fn fail(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{command:?}\n{}", both(&output));
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A running process. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// Lines of its standard output.
    pub(crate) out: OutputLines,
    /// Lines of its standard error.
    pub(crate) err: OutputLines,
}

/// The longest time without a line from a process that has not ended.
const SILENCE: Duration = Duration::from_secs(120);

/// Output lines of a process. A thread reads them continuously, so that the process never blocks on
/// a full pipe.
pub(crate) struct OutputLines(Receiver<String>);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (
            OutputLines::read(child.stdout.take().unwrap()),
            OutputLines::read(child.stderr.take().unwrap()),
        );
        Self { child, out, err }
    }

    /// Waits for the process to end. Returns its exit status.
    pub(crate) fn status(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Returns the process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the pipe to its standard input, if it has one.
    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        // Errors are ignored: the process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl OutputLines {
    fn read(stream: impl Read + Send + 'static) -> Self {
        let (sender, sent) = mpsc::channel();
        std::thread::spawn(move || {
            // After the end of the test the lines are still read, and discarded.
            BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        Self(sent)
    }

    /// Returns the following lines, until the process ends. Fails if the process stays silent for
    /// `SILENCE`, so that a test that waits for a line with another text does not hang. The lines are
    /// printed for a test that fails.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        std::iter::from_fn(move || match self.0.recv_timeout(SILENCE) {
            Ok(line) => {
                eprintln!("{line}");
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("the process runs and has printed nothing for {SILENCE:?}")
            }
        })
    }

    /// Returns the next line as JSON, such as the announcement of a server that is ready.
    pub(crate) fn json(&self) -> serde_json::Value {
        let line = self.lines().next().unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// Returns the next line, or `None` after a timeout.
    pub(crate) fn next(&self, within: Duration) -> Option<String> {
        self.0.recv_timeout(within).ok()
    }

    /// Returns the lines up to and including the first one with one of these prefixes.
    pub(crate) fn up_to(&self, headings: &[&str]) -> Vec<String> {
        let mut printed = Vec::new();
        for line in self.lines() {
            let is_last = headings.iter().any(|heading| line.starts_with(heading));
            printed.push(line);
            if is_last {
                return printed;
            }
        }
        panic!("the process ended without printing {headings:?}: {printed:?}");
    }

    /// Returns the rest of the first line with this prefix.
    pub(crate) fn after(&self, heading: &str) -> String {
        let printed = self.up_to(&[heading]);
        printed.last().and_then(|line| line.strip_prefix(heading)).unwrap_or_default().to_owned()
    }

    /// Returns the first word of the rest of that line.
    pub(crate) fn word_after(&self, heading: &str) -> String {
        self.after(heading).split([' ', ';']).next().unwrap_or_default().to_owned()
    }
}
