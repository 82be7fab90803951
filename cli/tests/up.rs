//! `landfall up`, started again: what it says of the profile that it kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

mod common;

use std::path::Path;

use common::{Running, landfall, succeed};

/// A bench without a card, on free ports.
struct Up {
    running: Running,
    /// Everything it says, up to what it says of its profile.
    said: Vec<String>,
}

impl Up {
    fn start(folder: &Path) -> Self {
        let free = "127.0.0.1:0";
        let up = ["up", "--no-card", "--sm-dp", free, "--network", free, "--sm-ds", free];
        let running = Running::start(landfall(folder).args(up));
        Self { said: running.out.up_to(&["profile ", "  landfall device "]), running }
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
        self.running.kill();
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
