//! Finds the programs and data that some tests need and that are not part of the repository.
//!
//! The build script of a crate calls [`declare`] with the prerequisites of its tests. Each
//! prerequisite that is found sets a `cfg`:
//!
//! ```text
//! #[test]
//! #[cfg_attr(not(has_openssl), ignore = "needs openssl")]
//! fn openssl_accepts_the_chain() { ... }
//! ```
//!
//! If the prerequisite is missing, `cargo test` reports the test as ignored, with the reason. With
//! `LANDFALL_REQUIRE=openssl,ts48`, the build fails if one of the two is missing. CI sets this
//! variable.

pub mod postgres;

use std::env;
use std::path::{Path, PathBuf};

/// Something outside the repository that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prerequisite {
    /// Chromium, which shows the report pages (Debian: chromium).
    Chromium,
    /// The schemas of SGP.02, in the folder that `LANDFALL_ESIM_XSD` names.
    EsimXsd,
    /// lpac 2.3 or later, in the PATH or as the program that `LPAC` names.
    Lpac,
    /// ModemManager, with mmcli and a bus (Debian: modemmanager, dbus-daemon, dbus-bin).
    ModemManager,
    /// The `openssl` program.
    Openssl,
    /// osmo-auc-gen, an independent implementation of Milenage (Debian: libosmocore-utils).
    OsmoAucGen,
    /// The server of PostgreSQL 13 or later, in the PATH or in `/usr/lib/postgresql` (Debian:
    /// postgresql).
    Postgres,
    /// A checkout of pySim, in the folder that `LANDFALL_PYSIM` names.
    Pysim,
    /// Python 3.11 or later, with its standard library.
    Python3,
    /// The GSMA's SGP.26 test certificates, in `../shared/data/sgp26` beside the checkout.
    Sgp26,
    /// The ASN.1 modules of SGP.32, in the folder that `LANDFALL_SGP32_ASN` names, for asn1tools.
    Sgp32Asn,
    /// A running third-party SMSC, at the address in `LANDFALL_SMSC`.
    Smsc,
    /// strace, with the permission to trace a child process.
    Strace,
    /// The GSMA's TS.48 test profiles, in `../shared/data/ts48` beside the checkout.
    Ts48,
    /// The Wireshark command line.
    Tshark,
    /// A user without root privileges. File permissions do not apply to root.
    Unprivileged,
}

/// The place of a prerequisite.
enum Source {
    Program(&'static str),
    /// Several programs in the PATH.
    Programs(&'static [&'static str]),
    /// A program in the PATH, or the variable that names the program if it is elsewhere.
    ProgramOrVariable(&'static str, &'static str),
    Variable(&'static str),
    SharedData(&'static str),
    FilePermissions,
    PostgresPrograms,
}

impl Prerequisite {
    /// The name in `LANDFALL_REQUIRE`. The `cfg` is `has_` and this name, with `_` for `-`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::EsimXsd => "esim-xsd",
            Self::Lpac => "lpac",
            Self::ModemManager => "modem-manager",
            Self::Openssl => "openssl",
            Self::OsmoAucGen => "osmo-auc-gen",
            Self::Postgres => "postgres",
            Self::Pysim => "pysim",
            Self::Python3 => "python3",
            Self::Sgp26 => "sgp26",
            Self::Sgp32Asn => "sgp32-asn",
            Self::Smsc => "smsc",
            Self::Strace => "strace",
            Self::Ts48 => "ts48",
            Self::Tshark => "tshark",
            Self::Unprivileged => "unprivileged",
        }
    }

    fn source(self) -> Source {
        match self {
            Self::Chromium => Source::Program("chromium"),
            Self::EsimXsd => Source::Variable("LANDFALL_ESIM_XSD"),
            Self::Lpac => Source::ProgramOrVariable("lpac", "LPAC"),
            Self::ModemManager => Source::Programs(&["ModemManager", "mmcli", "dbus-daemon", "dbus-send"]),
            Self::Openssl => Source::Program("openssl"),
            Self::OsmoAucGen => Source::Program("osmo-auc-gen"),
            Self::Postgres => Source::PostgresPrograms,
            Self::Pysim => Source::Variable("LANDFALL_PYSIM"),
            Self::Python3 => Source::Program("python3"),
            Self::Sgp26 => Source::SharedData("sgp26"),
            Self::Sgp32Asn => Source::Variable("LANDFALL_SGP32_ASN"),
            Self::Smsc => Source::Variable("LANDFALL_SMSC"),
            Self::Strace => Source::Program("strace"),
            Self::Ts48 => Source::SharedData("ts48"),
            Self::Tshark => Source::Program("tshark"),
            Self::Unprivileged => Source::FilePermissions,
        }
    }
}

/// Sets `has_NAME` for each prerequisite that is found. Only a build script can call this function.
///
/// # Errors
/// A missing prerequisite that `LANDFALL_REQUIRE` lists.
pub fn declare(prerequisites: &[Prerequisite]) -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LANDFALL_REQUIRE");
    let required = env::var("LANDFALL_REQUIRE").unwrap_or_default();
    for prerequisite in prerequisites {
        let name = prerequisite.name();
        let cfg = format!("has_{}", name.replace('-', "_"));
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if is_present(&prerequisite.source()) {
            println!("cargo::rustc-cfg={cfg}");
        } else if required.split(',').any(|listed| listed.trim() == name) {
            return Err(format!("{name} is missing, and LANDFALL_REQUIRE lists it; see CONTRIBUTING.md"));
        }
    }
    Ok(())
}

fn is_present(source: &Source) -> bool {
    match source {
        Source::Program(program) => {
            println!("cargo::rerun-if-env-changed=PATH");
            let path = env::var_os("PATH").unwrap_or_default();
            let folders: Vec<PathBuf> = env::split_paths(&path).filter(|folder| folder.is_dir()).collect();
            let found = folders.iter().map(|folder| folder.join(program)).find(|file| file.is_file());
            // If the program is installed later, its folder changes, and the build script runs
            // again.
            for watched in found.as_ref().map_or(folders.as_slice(), std::slice::from_ref) {
                println!("cargo::rerun-if-changed={}", watched.display());
            }
            found.is_some()
        }
        Source::PostgresPrograms => {
            let folder = postgres::programs();
            let watched = folder.as_deref().unwrap_or(Path::new(postgres::DEBIAN));
            println!("cargo::rerun-if-env-changed=PATH");
            println!("cargo::rerun-if-changed={}", watched.display());
            folder.is_some()
        }
        Source::Programs(programs) => programs.iter().all(|program| is_present(&Source::Program(program))),
        // The PATH is searched even if the variable is set, so that the build script runs again
        // when the program appears in the PATH.
        Source::ProgramOrVariable(program, variable) => {
            is_present(&Source::Program(program)) | is_present(&Source::Variable(variable))
        }
        Source::Variable(variable) => {
            println!("cargo::rerun-if-env-changed={variable}");
            env::var_os(variable).is_some_and(|value| !value.is_empty())
        }
        Source::SharedData(folder) => {
            let Some(path) = shared_data() else { return false };
            // The parent folder is watched, because it changes when the data appears or is removed.
            println!("cargo::rerun-if-changed={}", path.display());
            path.join(folder).is_dir()
        }
        Source::FilePermissions => {
            let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
            let effective = status.lines().find_map(|line| line.strip_prefix("Uid:"));
            effective.and_then(|ids| ids.split_whitespace().nth(1)).is_some_and(|id| id != "0")
        }
    }
}

/// The folder of third-party test data beside the checkout.
fn shared_data() -> Option<PathBuf> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let root = manifest.ancestors().find(|folder| folder.join("Cargo.lock").is_file())?;
    Some(root.parent()?.join("shared/data"))
}
