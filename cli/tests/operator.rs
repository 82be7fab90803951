//! `landfall operator listen`: an operator hears, over mutual TLS, how its downloads go; also of what happened while it
//! was away.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

mod common;

use std::path::Path;

use common::{Running, landfall, succeed};
use serde_json::Value;

/// A server that is stopped with the test, and what it prints.
struct Server {
    running: Running,
    /// What it said after the heading that was waited for.
    said: String,
}

impl Server {
    fn start(folder: &Path, arguments: &[&str], heading: &str) -> Self {
        let running = Running::start(landfall(folder).args(arguments));
        Self { said: running.err.after(heading), running }
    }

    /// One whose `said` is its address.
    fn of_a_party(folder: &Path, arguments: &[&str], heading: &str) -> Self {
        let mut server = Self::start(folder, arguments, heading);
        server.said = server.said.split(' ').next().unwrap().to_owned();
        server
    }

    fn sm_dp(folder: &Path, operator: &str) -> Self {
        let arguments = ["sm-dp", "serve", "--sm-dp", "127.0.0.1:0", "--operator", operator];
        Self::of_a_party(folder, &arguments, "SM-DP+ at ")
    }

    fn listener(folder: &Path, address: &str) -> Self {
        let arguments = ["--json", "operator", "listen", "--address", address];
        Self::start(folder, &arguments, "listening; an SM-DP+ tells it with --operator ")
    }

    /// The next three messages of a profile: notificationPointId and status of each.
    fn hears_of(&self, iccid: &str) -> Vec<(i64, String)> {
        let messages = self.running.out.lines().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        // What was heard but not answered, because the listener was stopped, comes again.
        let of_the_profile = messages.filter(|message| message["iccid"] == iccid).take(3);
        let told = |message: Value| {
            let status = message["notificationPointStatus"]["status"].as_str().unwrap().to_owned();
            (message["notificationPointId"].as_i64().unwrap(), status)
        };
        of_the_profile.map(told).collect()
    }
}

/// Orders a profile of its own; its ICCID and the activation code.
fn order(folder: &Path, number: &str, sm_dp: &str, further: &[&str]) -> (String, String) {
    let file = folder.join(format!("{number}.der"));
    let file = file.to_str().unwrap();
    succeed(landfall(folder).args(["profile", "new", file, "--number", number]));
    let iccid = succeed(landfall(folder).args(["sm-dp", "add", file, "--sm-dp", sm_dp]));
    let code = succeed(
        landfall(folder).args(["operator", "order", "--iccid", iccid.trim(), "--sm-dp", sm_dp]).args(further),
    );
    (iccid.trim().to_owned(), code)
}

#[test]
fn an_operator_hears_how_its_downloads_go_and_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    let done = |point| (point, "Executed-Success".to_owned());
    let listener = Server::listener(folder, "127.0.0.1:0");
    let operator = listener.said.clone();
    let sm_dp = Server::sm_dp(folder, &operator);
    let download = |number: &str| {
        let (iccid, code) = order(folder, number, &sm_dp.said, &[]);
        succeed(landfall(folder).args(["device", "download", code.trim(), "--sm-dp", &sm_dp.said]));
        iccid
    };
    let first = download("1");
    assert_eq!(listener.hears_of(&first), [done(1), done(3), done(4)]);
    drop(listener);
    let second = download("2");
    let (_, address) = operator.rsplit_once('@').unwrap();
    let listener = Server::listener(folder, address);
    assert_eq!(listener.hears_of(&second), [done(1), done(3), done(4)]);
}

#[test]
fn an_order_is_found_through_the_sm_ds_that_the_operator_names_until_it_is_fulfilled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    let sm_ds = Server::of_a_party(folder, &["sm-ds", "serve", "--sm-ds", "127.0.0.1:0"], "SM-DS at ");
    let sm_dp = Server::sm_dp(folder, "2.999.20.1@127.0.0.1:1");
    let list = || {
        let list = succeed(landfall(folder).args(["--json", "sm-ds", "list", "--sm-ds", &sm_ds.said]));
        serde_json::from_str::<Value>(&list).unwrap().as_array().unwrap().len()
    };
    let eid = {
        let info = succeed(landfall(folder).args(["--json", "device", "info"]));
        serde_json::from_str::<Value>(&info).unwrap()["eid"].as_str().unwrap().to_owned()
    };
    order(folder, "1", &sm_dp.said, &["--eid", &eid, "--event-at", &sm_ds.said]);
    assert_eq!(list(), 1);
    let discover = ["device", "discover", &sm_ds.said, "--sm-ds", &sm_ds.said, "--sm-dp", &sm_dp.said];
    succeed(landfall(folder).args(discover));
    // Deleting it is not waited for; each look takes a process.
    assert!((0..200).any(|_| list() == 0), "the event is still there");
}
