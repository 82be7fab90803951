//! `landfall network add|list|remove`: subscribers of running networks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{Running, fail, landfall, succeed};
use serde_json::Value;

const K: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";
const OPC: &str = "cd63cb71954a9f4e48a5994e37a02baf";

fn started(folder: &Path) -> (Running, String) {
    let running = Running::start(landfall(folder).args(["--json", "network", "--listen", "127.0.0.1:0"]));
    let address = running.out.json()["addresses"]["network"].as_str().unwrap().to_owned();
    (running, address)
}

/// A card with the enabled profile of subscriber 1, and the package of the profile.
fn card_with_profile(folder: &Path) -> String {
    let sm_dp = Running::start(landfall(folder).args(["sm-dp", "serve", "--listen", "127.0.0.1:0"]));
    let sm_dp_at = sm_dp.err.word_after("SM-DP+ at ");
    let package = folder.join("package.der").to_str().unwrap().to_owned();
    succeed(landfall(folder).args(["profile", "new", &package, "--number", "1"]));
    let at = ["--sm-dp", &sm_dp_at];
    let iccid = succeed(landfall(folder).args(["sm-dp", "add", &package]).args(at));
    let code = succeed(landfall(folder).args(["operator", "order", iccid.trim()]).args(at));
    succeed(landfall(folder).args(["device", "download", code.trim()]).args(at));
    succeed(landfall(folder).args(["device", "enable", iccid.trim()]).args(at));
    package
}

#[test]
fn a_subscriber_added_to_running_networks_can_register_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let package = card_with_profile(folder);
    let (networks, address) = started(folder);
    let at = ["--network", &*address];
    let network = |arguments: &[&str]| succeed(landfall(folder).arg("network").args(arguments).args(at));
    let device = ["device", "register", "--visible", "724-99"];

    let errors = fail(landfall(folder).args(device).args(at));
    assert!(errors.contains("landfall network list networks"), "no such network yet: {errors}");
    let added = network(&["add", &package]);
    assert!(added.starts_with("subscriber 724990000000001 at home in 724-99"), "{added}");
    succeed(landfall(folder).args(device).args(at));
    let listed = network(&["list"]);
    assert!(listed.contains("724990000000001") && listed.contains("milenage"), "{listed}");
    assert!(network(&["list", "networks"]).contains("724-99"));

    // The subscriber is kept, and is there after a restart.
    drop(networks);
    let (networks, address) = started(folder);
    let at = ["--network", &*address];
    succeed(landfall(folder).args(device).args(at));
    succeed(landfall(folder).args(["network", "remove", "724990000000001"]).args(at));
    let errors = fail(landfall(folder).args(device).args(at));
    assert!(errors.contains("landfall network add PACKAGE"), "{errors}");
    drop(networks);
}

#[test]
fn a_subscriber_is_added_from_imsi_and_keys_which_no_output_contains() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut networks, address) = started(folder);
    let at = ["--network", &*address, "--json"];
    let network = |arguments: &[&str]| -> Value {
        let printed = succeed(landfall(folder).arg("network").args(arguments).args(at));
        assert!(!printed.contains(K) && !printed.contains(OPC), "{printed}");
        serde_json::from_str(&printed).unwrap()
    };
    let keys_file = |name: &str, k: &str, opc: Option<&str>| {
        let file = folder.join(name);
        let opc = opc.map(|opc| format!("opc = \"{opc}\"\n")).unwrap_or_default();
        std::fs::write(&file, format!("k = \"{k}\"\n{opc}")).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let milenage_keys = keys_file("milenage", K, Some(OPC));
    let keys = ["--keys", &milenage_keys];
    let milenage = ["add", "--imsi", "001010000000001", "--home", "001-01", "--msisdn", "+4915100000001"];
    let added = network(&[&milenage[..], &keys].concat());
    assert_eq!((&added[0]["home"], &added[0]["msisdn"]), (&"001-01".into(), &"+4915100000001".into()));
    // The network is known now, so that --home is not needed.
    let topc = K.repeat(2);
    let tuak_keys = keys_file("tuak", K, Some(&topc));
    let tuak = ["add", "--imsi", "001010000000002", "--algorithm", "tuak", "--keys", &tuak_keys];
    assert_eq!(network(&tuak)[0]["algorithm"], "tuak");
    let k_only = keys_file("k-only", K, None);
    let test = ["add", "--imsi", "001010000000003", "--algorithm", "usim-test", "--keys", &k_only];
    assert_eq!(network(&test)[0]["algorithm"], "usim_test");
    assert_eq!(network(&["list"]).as_array().unwrap().len(), 3);

    let refused = |arguments: &[&str], word: &str| {
        let errors = fail(landfall(folder).arg("network").args(arguments).args(["--network", &address]));
        assert!(errors.contains(word) && !errors.contains("465b"), "{word}: {errors}");
    };
    refused(&[&["add", "--imsi", "262010000000001"][..], &keys].concat(), "give the home network");
    refused(&["add", "--imsi", "001010000000001", "--keys", &k_only], "the algorithm needs OPc");
    for (k, why) in [("465b5ce8", "wrong length"), ("465bx", "hexadecimal digits"), ("465b\"", "line 1")] {
        let keys = keys_file("invalid", k, Some(OPC));
        refused(&["add", "--imsi", "001010000000001", "--keys", &keys], why);
    }
    refused(&["add"], "PACKAGE");
    refused(&["remove", "001010000000009"], "landfall network list");
    networks.kill();
    for line in networks.out.lines().chain(networks.err.lines()) {
        assert!(!line.to_lowercase().contains("465b"), "{line}");
    }
    refused(&["list"], "start it with `landfall network`");
}
