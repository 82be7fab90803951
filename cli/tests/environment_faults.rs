//! Faulty environments: each problem leads to a clear message and a non-zero exit status, and loses
//! no data.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
};

use common::{fail, landfall, succeed};

#[test]
fn the_error_names_a_port_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let errors = fail(landfall(folder.path()).args(["sm-dp", "serve", "--listen", &address]));
    assert!(errors.contains(&address) && errors.contains("choose another port"), "{errors}");
}

#[test]
fn the_error_names_a_folder_that_is_not_writable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let errors = fail(landfall(&file.join("below")).args(["certs", "init"]));
    assert!(errors.contains("below") && errors.contains("next:"), "{errors}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "in the way");
}

#[test]
fn a_damaged_database_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("own.der");
    succeed(landfall(folder.path()).args(["profile", "new"]).arg(&package));
    succeed(landfall(folder.path()).args(["sm-dp", "add"]).arg(&package));
    let records = folder.path().join("sm-dp.sqlite");
    damage(&records);
    let damaged = std::fs::read(&records).unwrap();
    let errors = fail(landfall(folder.path()).args(["sm-dp", "list"]));
    assert!(errors.contains("sm-dp.sqlite") && errors.contains("next:"), "{errors}");
    assert_eq!(std::fs::read(&records).unwrap(), damaged);
}

#[test]
fn a_damaged_card_memory_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    let file = write_to_card(folder.path());
    damage(&file);
    let damaged = std::fs::read(&file).unwrap();
    let errors = fail(landfall(folder.path()).args(["device", "list"]));
    assert!(errors.contains(".card") && errors.contains("next:"), "{errors}");
    assert_eq!(std::fs::read(&file).unwrap(), damaged);
}

/// Runs ES10a.SetDefaultDpAddress on the first card of the folder. Returns the path of its memory.
fn write_to_card(folder: &Path) -> PathBuf {
    let (world, _) = cli::parties::os_world().unwrap();
    let pki = cli::pki::load(&folder.join("pki")).unwrap();
    let eid = cli::parties::default_eid(&pki).unwrap();
    let memory = net::FileMemory::open(cli::parties::card_path(folder, eid)).unwrap();
    let description = cli::parties::card_description(&pki, eid).unwrap();
    let mut card = euicc_sim::Card::open(description, memory, world).unwrap();
    let select = [&[0x01, 0xA4, 0x04, 0x00, 0x10], rsp::ids::Aid::ISD_R.as_slice()].concat();
    for command in [
        [0x00, 0x70, 0x00, 0x00, 0x01].as_slice(),
        &select,
        &[0x81, 0xE2, 0x91, 0x00, 0x06, 0xBF, 0x3F, 0x03, 0x80, 0x01, b'a'],
    ] {
        let answer = card.transmit(command);
        assert!(matches!(answer.as_slice(), [.., 0x90, 0x00] | [.., 0x61, _]), "{answer:02X?}");
    }
    cli::parties::card_path(folder, eid)
}

#[test]
fn the_error_names_an_unknown_setting() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("landfall.toml"), "sm-pd = '127.0.0.1:1'").unwrap();
    let errors = fail(landfall(folder.path()).args(["certs", "show"]));
    assert!(errors.contains("sm-pd") && errors.contains("landfall.toml"), "{errors}");
}

#[test]
fn a_pki_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    let errors = fail(landfall(folder.path()).args(["certs", "init", "--seed", "another"]));
    assert!(errors.contains("exists already"), "{errors}");
}

/// Commands that print something without another party.
const PRINTING: [&[&str]; 6] = [
    &["faults"],
    &["localize", "rules"],
    &["--json", "localize", "rules"],
    &["certs", "show"],
    &["--json", "device", "info"],
    &["sm-dp", "list"],
];

#[test]
fn a_full_disk_at_standard_output_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    for command in PRINTING {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = landfall(folder.path()).args(command).stdout(full).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {errors}");
        assert!(errors.contains("standard output") && errors.contains("next:"), "{command:?}: {errors}");
    }
}

#[test]
fn a_closed_pipe_ends_the_command_without_a_message() {
    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    for command in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = landfall(folder.path()).args(command).stdout(writer).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        // The status that a shell reports for a program killed by SIGPIPE.
        assert_eq!(output.status.code(), Some(141), "{command:?}: {errors}");
        assert!(!errors.contains("landfall:"), "{command:?}: {errors}");
    }
}

#[test]
fn a_standard_error_that_cannot_be_written_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let done = landfall(folder.path()).args(["certs", "init"]).stderr(full()).output().unwrap();
    assert!(done.status.success());
    let refused = landfall(folder.path()).args(["certs", "init", "--seed", "b"]).stderr(full()).status();
    assert_eq!(refused.unwrap().code(), Some(2), "the status is not that of a panic");
}

/// Corrupts the first octets of a file.
fn damage(file: &Path) {
    let mut octets = std::fs::read(file).unwrap();
    octets.iter_mut().take(64).for_each(|octet| *octet ^= 0x5A);
    std::fs::write(file, octets).unwrap();
}
