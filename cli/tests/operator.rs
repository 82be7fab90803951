//! `landfall operator listen`: an operator receives progress reports over mutual TLS, including
//! those from the time when it was unreachable.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{Running, fail, landfall, succeed};
use serde_json::Value;

/// A server process, killed when this is dropped, and its output.
struct Server {
    running: Running,
    /// Rest of the line after the heading.
    rest: String,
}

impl Server {
    fn start(folder: &Path, arguments: &[&str], heading: &str) -> Self {
        let running = Running::start(landfall(folder).args(arguments));
        Self { rest: running.err.after(heading), running }
    }

    /// Starts a server and keeps the address after the heading.
    fn of_a_party(folder: &Path, arguments: &[&str], heading: &str) -> Self {
        let mut server = Self::start(folder, arguments, heading);
        server.rest = server.rest.split(' ').next().unwrap().to_owned();
        server
    }

    fn sm_dp(folder: &Path, operator: &str) -> Self {
        let arguments = ["sm-dp", "serve", "--listen", "127.0.0.1:0", "--operator", operator];
        Self::of_a_party(folder, &arguments, "SM-DP+ at ")
    }

    fn listener(folder: &Path, address: &str) -> Self {
        let arguments = ["--json", "operator", "listen", "--listen", address];
        Self::start(folder, &arguments, "listening; start the SM-DP+ with --operator ")
    }

    /// Waits for the next three reports about a profile. Returns notificationPointId and status
    /// of each.
    fn hears_of(&self, iccid: &str) -> Vec<(i64, String)> {
        let messages = self.running.out.lines().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        // A report that was printed but not acknowledged before the listener stopped is
        // sent again.
        let of_the_profile = messages.filter(|message| message["iccid"] == iccid).take(3);
        let parse = |message: Value| {
            let status = message["notificationPointStatus"]["status"].as_str().unwrap().to_owned();
            (message["notificationPointId"].as_i64().unwrap(), status)
        };
        of_the_profile.map(parse).collect()
    }
}

/// Creates and orders a profile. Returns its ICCID and activation code.
fn order(folder: &Path, number: &str, sm_dp: &str, further: &[&str]) -> (String, String) {
    let file = folder.join(format!("{number}.der"));
    let file = file.to_str().unwrap();
    succeed(landfall(folder).args(["profile", "new", file, "--number", number]));
    let iccid = succeed(landfall(folder).args(["sm-dp", "add", file, "--sm-dp", sm_dp]));
    let code =
        succeed(landfall(folder).args(["operator", "order", iccid.trim(), "--sm-dp", sm_dp]).args(further));
    (iccid.trim().to_owned(), code)
}

#[test]
fn an_operator_receives_current_and_missed_progress_reports() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    let done = |point| (point, "Executed-Success".to_owned());
    let listener = Server::listener(folder, "127.0.0.1:0");
    let operator = listener.rest.clone();
    let sm_dp = Server::sm_dp(folder, &operator);
    let download = |number: &str| {
        let (iccid, code) = order(folder, number, &sm_dp.rest, &[]);
        succeed(landfall(folder).args(["device", "download", code.trim(), "--sm-dp", &sm_dp.rest]));
        iccid
    };
    let first = download("1");
    assert_eq!(listener.hears_of(&first), [done(1), done(3), done(4)]);
    drop(listener);
    let second = download("2");
    // An operator that the flag does not list cannot order.
    let refused =
        fail(landfall(folder).args(["operator", "--name", "Other", "order", "--sm-dp", &sm_dp.rest, &first]));
    assert!(refused.contains("1.1/1.1"), "{refused}");
    let (_, address) = operator.rsplit_once('@').unwrap();
    let listener = Server::listener(folder, address);
    assert_eq!(listener.hears_of(&second), [done(1), done(3), done(4)]);
}

#[test]
fn an_order_is_registered_at_its_sm_ds_until_the_profile_is_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    let sm_ds = Server::of_a_party(folder, &["sm-ds", "serve", "--listen", "127.0.0.1:0"], "SM-DS at ");
    let arguments = ["sm-dp", "serve", "--listen", "127.0.0.1:0", "--sm-ds", &sm_ds.rest];
    let sm_dp = Server::of_a_party(folder, &arguments, "SM-DP+ at ");
    let list = || {
        let list = succeed(landfall(folder).args(["--json", "sm-ds", "list"]));
        serde_json::from_str::<Value>(&list).unwrap().as_array().unwrap().len()
    };
    let eid = {
        let info = succeed(landfall(folder).args(["--json", "device", "info"]));
        serde_json::from_str::<Value>(&info).unwrap()["eid"].as_str().unwrap().to_owned()
    };
    order(folder, "1", &sm_dp.rest, &["--eid", &eid, "--sm-ds", &sm_ds.rest]);
    assert_eq!(list(), 1);
    let discover = ["device", "discover", &sm_ds.rest, "--sm-ds", &sm_ds.rest, "--sm-dp", &sm_dp.rest];
    succeed(landfall(folder).args(discover));
    // The event is deleted in the background. Each of these checks takes the time of a process
    // start.
    assert!((0..200).any(|_| list() == 0), "the event is still there");
}
