//! What a shell and `man` need: completion scripts, manual pages and the version.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::fs;

use common::{fail, landfall, succeed};

#[test]
fn completion_scripts_complete_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeed(landfall(folder.path()).args(["completions", shell]));
        for word in ["sm-dp", "download", "confirmation-code"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    succeed(landfall(folder.path()).arg("man").arg(&pages));
    let help = succeed(landfall(folder.path()).args(["device", "--help"]));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<_> = commands.take_while(|line| !line.is_empty()).collect();
    assert!(commands.len() > 10, "{help}");
    for line in commands {
        let Some(name) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) else { continue };
        let name = name.split(' ').next().unwrap();
        let page = pages.join(format!("landfall-device-{name}.1"));
        assert!(
            name == "help" || fs::read_to_string(&page).unwrap().contains(".SH SYNOPSIS"),
            "{}",
            page.display()
        );
    }
    assert!(
        fail(landfall(folder.path()).args(["man", "/dev/null/man1"]))
            .contains("cannot write the manual pages")
    );
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = succeed(landfall(&std::env::temp_dir()).arg("--version"));
    assert!(version.starts_with(concat!("landfall ", env!("CARGO_PKG_VERSION"))), "{version}");
}
