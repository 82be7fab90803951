//! An order survives kill -9 of the SM-DP+ after its acknowledgement.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{Running, landfall, succeed};
use serde_json::Value;

/// Starts the SM-DP+ on a free port. Returns it with its address.
fn serve(folder: &Path) -> (Running, String) {
    let running = Running::start(landfall(folder).args(["sm-dp", "serve", "--listen", "127.0.0.1:0"]));
    let address = running.err.word_after("SM-DP+ at ");
    (running, address)
}

fn orders(folder: &Path) -> Value {
    serde_json::from_str(&succeed(landfall(folder).args(["--json", "sm-dp", "list"]))).unwrap()
}

#[test]
fn an_acknowledged_order_survives_and_can_be_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let package = folder.join("own.der");
    succeed(landfall(folder).args(["profile", "new"]).arg(&package));
    succeed(landfall(folder).args(["sm-dp", "add"]).arg(&package));
    let iccid = orders(folder)[0]["iccid"].as_str().unwrap().to_owned();

    let (server, address) = serve(folder);
    let code = succeed(landfall(folder).args(["operator", "order", &iccid, "--sm-dp", &address]));
    drop(server);
    assert_eq!(orders(folder)[0]["state"], "Released");

    let (server, address) = serve(folder);
    // The activation code contains the address, whose port changes with the restart.
    let matching_id = code.trim().rsplit('$').next().unwrap();
    let code = format!("LPA:1${address}${matching_id}");
    succeed(landfall(folder).args(["device", "download", &code, "--sm-dp", &address]));
    drop(server);
    assert_eq!(orders(folder)[0]["state"], "Installed");
    assert!(succeed(landfall(folder).args(["device", "list"])).contains(&iccid));
}
