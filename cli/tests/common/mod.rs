//! The binary as a user runs it.

#![allow(dead_code, reason = "each test program uses what it needs")]

use std::{
    path::Path,
    process::{Command, Output},
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
