//! `landfall up`, started again: what it says of the profile that it kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
};

use common::{landfall, succeed};

/// A bench without a card, on free ports.
struct Up {
    child: Child,
    /// Everything it says, up to what it says of its profile.
    said: Vec<String>,
}

impl Up {
    fn start(folder: &Path) -> Self {
        let mut child = landfall(folder)
            .args([
                "up",
                "--no-card",
                "--sm-dp",
                "127.0.0.1:0",
                "--network",
                "127.0.0.1:0",
                "--sm-ds",
                "127.0.0.1:0",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said = Vec::new();
        for line in lines.by_ref() {
            let last = line.starts_with("profile ") || line.starts_with("  landfall device ");
            said.push(line);
            if last {
                break;
            }
        }
        // Somebody must read on, or the server waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, said }
    }

    /// Where it says its SM-DP+ is.
    fn address(&self, name: &str) -> String {
        let line = self.said.iter().find(|line| line.starts_with(name)).unwrap();
        let (_, address) = line.split_once("://").unwrap();
        address.split_whitespace().next().unwrap().to_owned()
    }

    fn code(&self) -> String {
        self.said.iter().find(|line| line.starts_with("LPA:1$")).unwrap().clone()
    }

    fn stop(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_kept_profile_is_offered_while_it_waits_and_said_to_be_installed_once_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let up = Up::start(folder);
    let first = up.code();
    assert!(up.said.iter().any(|line| line.starts_with("admin     http://127.0.0.1:")), "{:?}", up.said);
    up.stop();

    let up = Up::start(folder);
    let matching_id = |code: &str| code.rsplit('$').next().unwrap().to_owned();
    assert_eq!(matching_id(&up.code()), matching_id(&first));
    let address = up.address("SM-DP+");
    succeed(landfall(folder).args(["device", "download", &up.code(), "--sm-dp", &address]));
    up.stop();

    let up = Up::start(folder);
    let standing = up.said.last().unwrap();
    assert!(standing.contains("is installed on eUICC"), "{standing}");
    assert!(standing.contains(&up.address("admin")), "{standing}");
    up.stop();
}
