//! Sets the version that the binary prints, and a `cfg` for each prerequisite of the tests that is present.

use std::{env, process::Command};

use prerequisites::Prerequisite::{Chromium, Lpac, ModemManager, Openssl, Postgres, Sgp26, Ts48};

fn main() -> Result<(), String> {
    println!("cargo::rustc-env=LANDFALL_VERSION={}", version());
    prerequisites::declare(&[Chromium, Lpac, ModemManager, Openssl, Postgres, Sgp26, Ts48])
}

/// The version of the package. Release builds of a git checkout add the commit. Debug builds do not, because
/// every commit would recompile this crate and its tests.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    if env::var("PROFILE").as_deref() != Ok("release") {
        return version.to_owned();
    }
    // Every commit and every checkout adds a line to this log, so that its change shows that the
    // commit may be another one.
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=10", "HEAD"])
        .map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"))
}

/// Returns the output of a git command, or `None` if it fails, as it does outside a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
