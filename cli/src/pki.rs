//! The folder of the PKI: certificates and keys.

use std::{fs, io, path::Path};

use certs::{Pki, PkiError, PkiOptions, ServerName};
use world::Fault;

use crate::settings::Settings;

/// Loads the PKI from the folder of the settings. If the folder does not exist, creates it with a
/// PKI from the seed.
///
/// # Errors
/// The folder cannot be read or written, or does not contain a PKI.
pub fn load_or_init(settings: &Settings) -> Result<Pki, Fault> {
    if settings.pki.exists() {
        return load(&settings.pki);
    }
    match init(settings) {
        // Another process has created it at the same time.
        Err(_) if settings.pki.exists() => load(&settings.pki),
        created => created,
    }
}

/// Loads the PKI from a folder: a generated one, or the GSMA's SGP.26 test PKI as published.
///
/// # Errors
/// The folder cannot be read, or does not contain a PKI.
pub fn load(folder: &Path) -> Result<Pki, Fault> {
    let mut listing = Vec::new();
    list(folder, "", &mut listing).map_err(|e| unreadable(folder, e))?;
    listing.sort();
    Pki::from_files(&listing, |name| fs::read(folder.join(name)).ok()).map_err(|e| {
        Fault::usage_caused_by(
            e,
            format!("cannot use the PKI in {}", folder.display()),
            "correct the file, or create a new PKI in another folder with `landfall certs init --pki DIR`",
        )
    })
}

/// Creates a PKI from the seed and writes it into the folder, which must not exist.
///
/// # Errors
/// The folder exists or cannot be written.
pub fn init(settings: &Settings) -> Result<Pki, Fault> {
    if settings.pki.exists() {
        return Err(Fault::usage(
            format!("cannot create a PKI in {}", settings.pki.display()),
            "the folder exists already, and its keys may be in use",
            "choose another folder with --pki, or remove this one",
        ));
    }
    let pki = Pki::from_seed(settings.seed.as_bytes(), &options(settings)?)
        .map_err(|e| Fault::usage_caused_by(e, "cannot create the PKI", "correct the setting named above"))?;
    // Written to another folder first, so that a process that starts at the same time never loads a
    // part of it.
    let part = settings.pki.with_added_extension(format!("part-{}", std::process::id()));
    write(&part, &pki.files())?;
    fs::rename(&part, &settings.pki).map_err(|e| {
        // The folder that another process has created has the same contents.
        let _ = fs::remove_dir_all(&part);
        let what = format!("cannot create a PKI in {}", settings.pki.display());
        Fault::usage_caused_by(e, what, "choose a writable folder with --data-dir or --pki")
    })?;
    Ok(pki)
}

/// Fault of a party whose certificate is not in the PKI.
pub fn missing_certificate(cause: PkiError, what: impl Into<String>) -> Fault {
    Fault::usage_caused_by(cause, what, "create a PKI with `landfall certs init`")
}

/// Writes PKI files below `folder`. Private keys are readable by their owner only.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Fault> {
    for (name, content) in files {
        let path = folder.join(name);
        write_one(&path, content, name.contains("SK_")).map_err(|e| {
            Fault::usage_caused_by(
                e,
                format!("cannot write {}", path.display()),
                "choose a writable folder with --data-dir or --pki",
            )
        })?;
    }
    Ok(())
}

fn write_one(path: &Path, content: &[u8], secret: bool) -> io::Result<()> {
    use std::{
        io::Write as _,
        os::unix::fs::{OpenOptionsExt, PermissionsExt},
    };
    if let Some(parent) = path.parent() {
        net::create_private_folder(parent)?;
    }
    let mode = if secret { 0o600 } else { 0o644 };
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The mode above applies to new files only.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)
}

/// Returns the names of the SM-DP+ for its certificate: its listening address and the names of the
/// settings.
///
/// # Errors
/// A name is neither a host name nor an IP address.
pub fn server_names(settings: &Settings) -> Result<Vec<ServerName>, Fault> {
    names_of(&settings.sm_dp, &settings.sm_dp_names)
}

/// Returns the names of a server for its certificate: its listening address, the loopback names,
/// and `further`.
///
/// # Errors
/// A name is neither a host name nor an IP address.
pub fn names_of(listens: &str, further: &[String]) -> Result<Vec<ServerName>, Fault> {
    let host = listens.rsplit_once(':').map_or(listens, |(host, _)| host);
    let mut names: Vec<ServerName> = Vec::new();
    let all = ["localhost", "127.0.0.1", host].into_iter().chain(further.iter().map(String::as_str));
    for name in all {
        let name = name.trim_matches(['[', ']']).parse().map_err(|e| {
            Fault::usage_caused_by(
                e,
                format!("{name:?} is not valid in a certificate"),
                "use a host name or an IP address",
            )
        })?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn options(settings: &Settings) -> Result<PkiOptions, Fault> {
    Ok(PkiOptions {
        smdp_names: server_names(settings)?,
        smds_names: names_of(&settings.sm_ds, &settings.sm_ds_names)?,
        ..PkiOptions::default()
    })
}

fn list(folder: &Path, prefix: &str, listing: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), listing)?;
        } else {
            listing.push(name);
        }
    }
    Ok(())
}

fn unreadable(folder: &Path, error: io::Error) -> Fault {
    Fault::usage_caused_by(
        error,
        format!("cannot read the PKI in {}", folder.display()),
        "correct --pki, or create a PKI there with `landfall certs init`",
    )
}
