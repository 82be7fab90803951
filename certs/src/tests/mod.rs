//! Tests of the crate with its own PKI, the SGP.26 test set, OpenSSL and rustls.

mod chain;
mod m2m;
mod openssl;
mod pki;
mod sgp26;
mod tls;

use std::path::{Path, PathBuf};

use crypto::Curve;
use rsp::time::Timestamp;

use crate::{Certificate, Pki, PkiOptions};

const CURVES: [Curve; 2] = [Curve::P256, Curve::BrainpoolP256r1];

/// Returns the PKI that most tests share.
fn pki() -> Pki {
    Pki::from_seed(b"certs tests", &PkiOptions::default()).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Returns a time at which all certificates of the shared PKI are valid.
fn now() -> Timestamp {
    at("2026-11-21T08:00:00Z")
}

fn read(der: Vec<u8>) -> Certificate {
    Certificate::from_der(der).unwrap()
}

/// Returns the GSMA's SGP.26 test certificates, which are next to the checkout. Tests that need them
/// are ignored without `has_sgp26`.
fn sgp26() -> Pki {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sgp26"))
}

/// Reads a PKI from a folder on disk, as a program with I/O would.
fn load(folder: &Path) -> Pki {
    let mut listing = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                listing.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    Pki::from_files(&listing, |path| std::fs::read(folder.join(path)).ok()).unwrap()
}

/// Writes a file below `folder`, and creates the intermediate folders.
fn write(folder: &Path, path: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}
