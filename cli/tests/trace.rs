//! `--trace` in its three formats, and `landfall trace`, which reads traces.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use common::{fail, landfall, succeed};

#[test]
fn the_file_extension_selects_the_trace_format_and_traces_can_be_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["trace.txt", "trace.jsonl", "trace.pcapng"] {
        succeed(landfall(folder.path()).args(["device", "info", "--trace", &path(name)]));
    }
    let text = std::fs::read_to_string(path("trace.txt")).unwrap();
    assert!(text.contains("SELECT by name A0000005591010FFFFFFFF8900000100: ISD-R -> 61"), "{text}");
    assert!(text.contains("STORE DATA ES10b.GetEUICCInfo2, last block 0 -> 61"), "{text}");
    assert!(std::fs::read(path("trace.pcapng")).unwrap().starts_with(&[0x0A, 0x0D, 0x0D, 0x0A]));

    let shown = succeed(landfall(folder.path()).args(["trace", &path("trace.jsonl")]));
    let without_times = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest).to_owned()).collect()
    };
    // The challenges vary between runs, the functions do not.
    let functions = |text: &str| -> Vec<String> {
        without_times(text).into_iter().filter(|line| !line.starts_with(' ')).collect()
    };
    assert_eq!(functions(&shown), functions(&text));
    succeed(landfall(folder.path()).args(["trace", &path("trace.jsonl"), "--to", &path("again.txt")]));
    assert_eq!(std::fs::read_to_string(path("again.txt")).unwrap(), shown);
}

#[test]
fn a_trace_with_secrets_is_readable_by_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mode = |name: &str| std::fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    for name in ["older.jsonl", "plain.txt"] {
        std::fs::write(path(name), "an older one").unwrap();
        std::fs::set_permissions(path(name), Permissions::from_mode(0o644)).unwrap();
    }
    for name in ["older.jsonl", "new.jsonl"] {
        let arguments = ["device", "--trace-secrets", "info", "--trace", &path(name)];
        succeed(landfall(folder.path()).args(arguments));
        assert_eq!(mode(name), 0o600);
    }
    let again = |name: &str, more: &[&str]| {
        let arguments = ["trace", &path("new.jsonl"), "--to", &path(name)];
        succeed(landfall(folder.path()).args(arguments).args(more));
        mode(name)
    };
    assert_eq!(again("again.txt", &["--secrets"]), 0o600);
    assert_eq!(again("plain.txt", &[]), 0o644);

    let errors = fail(landfall(folder.path()).args(["device", "info", "--trace-secrets"]));
    assert!(errors.contains("--trace-secrets is given without --trace"), "{errors}");
    let errors = fail(landfall(folder.path()).args(["trace", &path("new.jsonl"), "--to", &path("new.pcap")]));
    assert!(errors.contains("use .txt, .jsonl or .pcapng"), "{errors}");
}

#[test]
fn hex_traces_are_shown_and_invalid_lines_are_refused_with_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines.hex");
    std::fs::write(
        &file,
        "# a card\nreset > 3B00\n00A4040007A0000000871002 > 6121\n0020000108 31323334FFFFFFFF>63C2\n",
    )
    .unwrap();
    let shown = succeed(landfall(folder.path()).arg("trace").arg(&file));
    assert!(
        shown.contains("[0] SELECT by name A0000000871002: ADF.USIM -> 6121 ok, 33 octets available"),
        "{shown}"
    );
    assert!(shown.contains("VERIFY PIN PIN 1 (P2 01) -> 63C2") && !shown.contains("31323334"), "{shown}");
    let shown = succeed(landfall(folder.path()).arg("trace").arg(&file).arg("--secrets"));
    assert!(shown.contains("31323334"), "{shown}");

    // Hidden secrets cannot be restored.
    std::fs::write(&file, "00A40004023F00 > 9000\n0020000108****************>63C2\n").unwrap();
    let shown = succeed(landfall(folder.path()).arg("trace").arg(&file));
    assert!(shown.contains("> 0020000108****************\n"), "{shown}");
    let errors = fail(landfall(folder.path()).arg("trace").arg(&file).arg("--secrets"));
    assert!(errors.contains("line 2 of ") && errors.contains("hides codes or keys"), "{errors}");

    std::fs::write(&file, "00A40004023F00 > 9000\n00A4\n").unwrap();
    let errors = fail(landfall(folder.path()).arg("trace").arg(&file));
    assert!(errors.contains("line 2 of ") && errors.contains("no > between"), "{errors}");
}

#[test]
fn traces_of_wireshark_and_of_other_programs_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let show = |name: &str| succeed(landfall(folder.path()).args(["trace", &path(name)]));
    for name in ["trace.pcapng", "trace.txt"] {
        succeed(landfall(folder.path()).args(["device", "info", "--trace", &path(name)]));
        let shown = show(name);
        assert!(shown.contains("SELECT by name A0000005591010FFFFFFFF8900000100: ISD-R"), "{shown}");
        assert!(shown.contains("STORE DATA ES10b.GetEUICCInfo2, last block 0"), "{shown}");
    }
    let at = "AT+CSIM=22,\"81E2910006BF3E035C015A\"\r\n+CSIM: 4,\"6A88\"\r\nOK\r\n";
    let lpac = concat!(
        r#"{"type":"apdu","payload":{"func":"transmit","param":"81E2910006BF3E035C015A"}}"#,
        "\n",
        r#"{"type":"apdu","payload":{"ecode":0,"data":"6A88"}}"#,
        "\n"
    );
    for log in [at, lpac, "> 81E2910006BF3E035C015A\n< 6A88\n"] {
        std::fs::write(path("log"), log).unwrap();
        let shown = show("log");
        assert!(shown.contains("STORE DATA ES10c.GetEID, last block 0 -> 6A88"), "{shown}");
        assert!(shown.contains("application: ISD-R, assumed because"), "{shown}");
    }
    let pcapng = std::fs::read(path("trace.pcapng")).unwrap();
    std::fs::write(path("cut.pcapng"), &pcapng[..pcapng.len() - 1]).unwrap();
    let errors = fail(landfall(folder.path()).args(["trace", &path("cut.pcapng")]));
    assert!(errors.contains("block ") && errors.contains("the block is truncated"), "{errors}");
}
