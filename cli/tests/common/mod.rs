//! The binary as a user runs it.

#![allow(dead_code, clippy::panic, reason = "each test program uses what it needs, and says no by panicking")]

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

/// `landfall` with nothing of this machine's settings in its environment.
pub(crate) fn landfall(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landfall"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANDFALL_")) {
        command.env_remove(name);
    }
    // Test programs run side by side: the default port is one for all.
    command.env("LANDFALL_ADMIN", "127.0.0.1:0");
    command.arg("--data-dir").arg(data_dir);
    command
}

/// Standard output of a run that must succeed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", both(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a run that must fail without a panic.
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

/// A run that goes on until it is killed, as it is at the latest with the test.
pub(crate) struct Running {
    child: Child,
    /// Its standard output.
    pub(crate) out: Said,
    /// Its standard error.
    pub(crate) err: Said,
}

/// The lines that a run prints. They are read also when nobody asks, or it would wait for a reader.
pub(crate) struct Said(Receiver<String>);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (Said::by(child.stdout.take().unwrap()), Said::by(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    /// The status with which it ends by itself.
    pub(crate) fn status(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// kill -9
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Said {
    fn by(stream: impl Read + Send + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // When the test has ended nobody listens, and the rest is read all the same.
            BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
        });
        Self(told)
    }

    /// The next lines, one after the other, until the run ends.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter()
    }

    /// The next line, if one comes in this time.
    pub(crate) fn next(&self, within: Duration) -> Option<String> {
        self.0.recv_timeout(within).ok()
    }

    /// The lines up to the first that begins in one of these ways, with it.
    pub(crate) fn up_to(&self, headings: &[&str]) -> Vec<String> {
        let mut said = Vec::new();
        for line in self.lines() {
            let is_last = headings.iter().any(|heading| line.starts_with(heading));
            said.push(line);
            if is_last {
                return said;
            }
        }
        panic!("it ended without saying {headings:?}: {said:?}");
    }

    /// What the first line that begins so says after that.
    pub(crate) fn after(&self, heading: &str) -> String {
        let said = self.up_to(&[heading]);
        said.last().and_then(|line| line.strip_prefix(heading)).unwrap_or_default().to_owned()
    }

    /// The first word of it, without what separates it from the rest.
    pub(crate) fn word_after(&self, heading: &str) -> String {
        self.after(heading).split([' ', ';']).next().unwrap_or_default().to_owned()
    }
}
