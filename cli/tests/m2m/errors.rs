//! What a person who got something wrong is told.

use std::net::TcpListener;

use crate::{
    common::{self, Running, landfall, succeed},
    stage::{Stage, free},
};

#[test]
fn what_goes_wrong_is_said_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    succeed(landfall(data).args(["certs", "init"]));
    let first = data.join("first.der");
    succeed(landfall(data).args(["profile", "new"]).arg(&first));
    let register =
        ["eum", "register", "--msisdn", "+447700910007", "--eid", "89033023422222222222222222222285"];
    let eid = "89049032000000000000000000000163";
    let nobody = "2.999.16.1@127.0.0.1:1";
    let ear = free();
    let ask = ["operator", "m2m", "--listen", &ear, "get-eis", "--es4", "--eid", eid, "--sm-sr", nobody];
    let _networks = {
        let running = Running::start(landfall(data).args(["--network", &free(), "network"]));
        running.err.up_to(&["networks at"]);
        running
    };
    let other = free();
    // What is answered later is tried again until its time is over: that is said when it begins.
    let later = ["operator", "m2m", "--listen", &free(), "audit", "--es4", "--eid", eid, "--sm-sr", nobody];
    let waits = Running::start(landfall(data).args(later));
    let said = waits.err.after("2.999.16.1 did not accept ES4-AuditEIS: 127.0.0.1:1: connection refused");
    assert!(said.contains("; retrying until 20"), "{said}");
    // A call that waits has the port at which it is answered.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let on_it = ["operator", "m2m", "--listen", &port, "get-eis", "--es4", "--eid", eid, "--sm-sr", nobody];
    let neither = ["operator", "m2m", "download", "--eid", eid, "--sm-sr", nobody];
    for (command, helps) in [
        (landfall(data).args(register).arg("--profile").arg(&first), "give an EID of this EUM"),
        (landfall(data).args(ask), "start 2.999.16.1, or correct its address"),
        (landfall(data).args(on_it), "--listen gives this call another"),
        (landfall(data).args(neither), "<--iccid <ICCID>|--type <TYPE>>"),
        (landfall(data).args(["sm-sr", "--name", "Nobody", "list"]), "correct --name or --data-dir"),
        (landfall(data).args(["--network", &other, "network"]), "(--data-dir)"),
    ] {
        let errors = common::fail(command);
        assert!(errors.contains(helps), "{helps}: {errors}");
    }
    let number = ["device", "run", "--first-profile", "x.der", "--sm-sr-number", "abc"];
    let errors = common::fail(landfall(data).args(number));
    assert!(errors.contains("country code first"), "{errors}");
    // Looking makes no records.
    let names = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name());
    let records: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".sqlite")).collect();
    assert!(records.is_empty(), "{records:?}");
}

#[test]
fn a_card_that_is_there_is_not_made_anew_nor_taken_for_one_of_another_kind() {
    let stage = Stage::new();
    let _networks = stage.networks(&[]);
    let mut device = stage.device(&[]);
    device.err.lines().find(|line| line.contains("registered")).unwrap();
    device.kill();
    for (procedure, helps) in [
        ("list", "it is an M2M card, which has no LPA: `landfall sm-sr eis` shows its profiles"),
        ("run", "it is an M2M card: give --first-profile and --sm-sr-number"),
    ] {
        let errors = common::fail(stage.run(&["device", "--eid", &stage.eid.to_string()]).arg(procedure));
        assert!(errors.contains(helps), "{errors}");
    }
    let again = stage.device(&[]);
    let said = again.err.up_to(&["device with card"]).join("\n");
    assert!(said.contains("was there before and is as it was left: --first-profile"), "{said}");
}
