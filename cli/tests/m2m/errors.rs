//! Error messages of the M2M commands.

use std::net::TcpListener;

use crate::{
    common::{self, Running, landfall, succeed},
    testbed::{Testbed, free},
};

#[test]
fn errors_of_m2m_commands_contain_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    succeed(landfall(data).args(["certs", "init"]));
    let first = data.join("first.der");
    succeed(landfall(data).args(["profile", "new"]).arg(&first));
    let register = ["eum", "register", "--msisdn", "+447700910007", "89033023422222222222222222222285"];
    let eid = "89049032000000000000000000000163";
    let nobody = "2.999.16.1@127.0.0.1:1";
    let ear = free();
    let ask = ["operator", "m2m", "--listen", &ear, "get-eis", "--es4", eid, "--sm-sr", nobody];
    let _networks = {
        let running = Running::start(landfall(data).args(["network", "--listen", &free()]));
        running.err.up_to(&["networks at"]);
        running
    };
    let other = free();
    // A call with an asynchronous response is retried until the end of its validity period. The
    // message about its first failure says until when.
    let later = ["operator", "m2m", "--listen", &free(), "audit", "--es4", eid, "--sm-sr", nobody];
    let waits = Running::start(landfall(data).args(later));
    let printed = waits.err.after("2.999.16.1 did not accept ES4-AuditEIS: 127.0.0.1:1: connection refused");
    assert!(printed.contains("; retrying until 20"), "{printed}");
    // A waiting call occupies the port for its response.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let on_it = ["operator", "m2m", "--listen", &port, "get-eis", "--es4", eid, "--sm-sr", nobody];
    let neither = ["operator", "m2m", "download", "--eid", eid, "--sm-sr", nobody];
    for (command, helps) in [
        (landfall(data).args(register).arg("--profile").arg(&first), "give an EID of this EUM"),
        (landfall(data).args(ask), "start 2.999.16.1, or correct its address"),
        (landfall(data).args(on_it), "choose another port; --listen sets the address"),
        (landfall(data).args(neither), "<ICCID|--type <TYPE>>"),
        (landfall(data).args(["sm-sr", "--name", "Nobody", "list"]), "correct --name or --data-dir"),
        (landfall(data).args(["network", "--listen", &other]), "choose another folder with --data-dir"),
    ] {
        let errors = common::fail(command);
        assert!(errors.contains(helps), "{helps}: {errors}");
    }
    let number = ["device", "run", "--first-profile", "x.der", "--sm-sr-number", "abc"];
    let errors = common::fail(landfall(data).args(number));
    assert!(errors.contains("country code first"), "{errors}");
    // Read-only commands create no records.
    let names = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name());
    let records: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".sqlite")).collect();
    assert!(records.is_empty(), "{records:?}");
}

#[test]
fn an_existing_card_is_neither_recreated_nor_used_as_another_kind() {
    let testbed = Testbed::new();
    let _networks = testbed.networks(&[]);
    let mut device = testbed.device(&[]);
    device.err.lines().find(|line| line.contains("registered")).unwrap();
    device.kill();
    for (procedure, helps) in [
        ("list", "this is an M2M card, which has no LPA: `landfall sm-sr eis` shows its profiles"),
        ("run", "this is an M2M card: give --first-profile and --sm-sr-number"),
    ] {
        let errors = common::fail(testbed.run(&["device", "--eid", &testbed.eid.to_string()]).arg(procedure));
        assert!(errors.contains(helps), "{errors}");
    }
    let again = testbed.device(&[]);
    let printed = again.err.up_to(&["device with card"]).join("\n");
    assert!(printed.contains("exists already and keeps its state: --first-profile"), "{printed}");
}
