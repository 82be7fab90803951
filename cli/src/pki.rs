//! The folder of certificates and keys.

use std::{fs, io, path::Path};

use certs::{Pki, PkiOptions, ServerName};
use world::Fault;

use crate::settings::Settings;

/// The PKI in the folder of the settings; made from their seed, and written there, when the folder does not exist.
///
/// # Errors
/// The folder cannot be read or written, or what is in it is not a PKI.
pub fn load_or_init(settings: &Settings) -> Result<Pki, Fault> {
    if settings.pki.exists() { load(&settings.pki) } else { init(settings) }
}

/// The PKI in a folder: one of ours, or the GSMA's SGP.26 test set as it is published.
///
/// # Errors
/// The folder cannot be read, or what is in it is not a PKI.
pub fn load(folder: &Path) -> Result<Pki, Fault> {
    let mut listing = Vec::new();
    list(folder, "", &mut listing).map_err(|e| unreadable(folder, e))?;
    listing.sort();
    Pki::from_files(&listing, |name| fs::read(folder.join(name)).ok()).map_err(|e| {
        Fault::caused_by(
            e,
            format!("cannot use the PKI in {}", folder.display()),
            "repair the file, or make a new PKI in another folder with `landfall certs init --pki DIR`",
        )
    })
}

/// Makes a PKI from the seed and writes it into the folder, which must not hold one yet.
///
/// # Errors
/// The folder exists already or cannot be written.
pub fn init(settings: &Settings) -> Result<Pki, Fault> {
    if settings.pki.exists() {
        return Err(Fault::new(
            format!("cannot make a PKI in {}", settings.pki.display()),
            "the folder exists already, and its keys may be in use",
            "choose another folder with --pki, or remove this one",
        ));
    }
    let pki = Pki::from_seed(settings.seed.as_bytes(), &options(settings)?)
        .map_err(|e| Fault::caused_by(e, "cannot make the PKI", "correct the setting that is named"))?;
    write(&settings.pki, &pki.files())?;
    Ok(pki)
}

/// Writes files of a PKI below `folder`; private keys are for the owner alone.
///
/// # Errors
/// One of them cannot be written.
pub fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Fault> {
    for (name, content) in files {
        let path = folder.join(name);
        write_one(&path, content, name.contains("SK_")).map_err(|e| {
            Fault::caused_by(
                e,
                format!("cannot write {}", path.display()),
                "give a folder that can be written with --data-dir or --pki",
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
        fs::create_dir_all(parent)?;
    }
    let mode = if secret { 0o600 } else { 0o644 };
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The mode above counts only for a new file.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)
}

/// The names by which the SM-DP+ is reached: where it listens, and what the settings add.
///
/// # Errors
/// One of them is neither a host name nor an address.
pub fn server_names(settings: &Settings) -> Result<Vec<ServerName>, Fault> {
    names_of(&settings.sm_dp, &settings.sm_dp_names)
}

/// The names by which a server is reached that listens there and is known by further names.
///
/// # Errors
/// One of them is neither a host name nor an address.
pub fn names_of(listens: &str, further: &[String]) -> Result<Vec<ServerName>, Fault> {
    let host = listens.rsplit_once(':').map_or(listens, |(host, _)| host);
    let mut names: Vec<ServerName> = Vec::new();
    let all = ["localhost", "127.0.0.1", host].into_iter().chain(further.iter().map(String::as_str));
    for name in all {
        let name = name.trim_matches(['[', ']']).parse().map_err(|e| {
            Fault::caused_by(
                e,
                format!("{name:?} cannot stand in a certificate"),
                "give a host name or an IP address",
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
    Fault::caused_by(
        error,
        format!("cannot read the PKI in {}", folder.display()),
        "correct --pki, or make a PKI there with `landfall certs init`",
    )
}
