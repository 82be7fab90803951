//! The PKI as a folder with the layout of GSMA's SGP.26 test set. No I/O: this module handles paths
//! and octets only.

use crypto::Curve;

use super::keys::{self, PemItem};
use super::{Entry, Pki, PkiError};
use crate::certificate::Certificate;
use crate::issue::key_id;
use crate::role::Role;

impl Pki {
    /// Reads a PKI from a folder. `listing` contains the paths of its files with `/` as separator,
    /// and `read` returns their octets.
    ///
    /// Certificates are `.der`, `.crt`, `.cer` or `.pem` files. Keys are `.pem` files or lines of a
    /// `.csv` file (`role,name,curve,scalar_hex`). Revocation lists are `.crl` files. Other files are ignored. The order of `listing`
    /// is irrelevant.
    ///
    /// # Errors
    /// A file that should contain a certificate or key does not, or cannot be read. Missing files
    /// are detected only when they are needed.
    pub fn from_files(listing: &[String], read: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Self, PkiError> {
        let mut paths: Vec<_> = listing.iter().collect();
        paths.sort();
        let mut pki = Self::default();
        for path in paths {
            pki.take_file(path, &read).map_err(|why| PkiError::File { file: path.clone(), why })?;
        }
        pki.sort();
        Ok(pki)
    }

    /// Returns every file of the PKI's folder: path and octets. `from_files` restores the same PKI
    /// from them.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let certificates =
            self.entries.iter().map(|entry| (entry.path.clone(), entry.certificate.der().to_vec()));
        let keys = self.keys.iter().map(|(public_key, key)| {
            let fits = |entry: &&Entry| entry.certificate.public_key() == public_key;
            let path = match self.entries.iter().find(fits) {
                Some(entry) => key_path(&entry.path),
                None => format!("SK_{}.pem", key_id(public_key)),
            };
            (path, keys::to_pem(key))
        });
        certificates.chain(keys).collect()
    }

    fn take_file(&mut self, path: &str, read: impl Fn(&str) -> Option<Vec<u8>>) -> Result<(), String> {
        let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let kind = extension.as_deref().unwrap_or_default();
        if !matches!(kind, "der" | "crt" | "cer" | "pem" | "csv" | "crl") {
            return Ok(());
        }
        let bytes = read(path).ok_or("cannot be read; check that the file exists, and its permissions")?;
        match kind {
            "crl" => self.crls.push((path.to_owned(), bytes)),
            "csv" => keys::from_csv(&bytes)?.into_iter().for_each(|key| self.add_key(key)),
            _ if bytes.starts_with(b"-----BEGIN ") || kind == "pem" => {
                for item in keys::from_pem(&bytes)? {
                    match item {
                        PemItem::Key(key) => self.add_key(key),
                        PemItem::Certificate(der) => self.take_certificate(path, der)?,
                    }
                }
            }
            _ => self.take_certificate(path, bytes)?,
        }
        Ok(())
    }

    fn take_certificate(&mut self, path: &str, der: Vec<u8>) -> Result<(), String> {
        let certificate = Certificate::from_der(der).map_err(|e| e.to_string())?;
        // A certificate that was read from PEM is written as DER.
        let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
        self.entries.push(Entry { path: format!("{stem}.der"), certificate });
        Ok(())
    }

    /// Sorts the certificates by role, roots first, and then by path.
    pub(super) fn sort(&mut self) {
        self.entries.sort_by_key(|entry| {
            (entry.certificate.role_or_tls_use().map_or(usize::MAX, |role| role as usize), entry.path.clone())
        });
    }
}

/// Returns the path of a certificate in the folder.
pub(super) fn path_of(certificate: &Certificate) -> String {
    let role = certificate.role_or_tls_use().unwrap_or(Role::SmSrTls);
    let which = match role {
        Role::Euicc => certificate.eid().map(|eid| eid.to_string()),
        Role::OperatorTls => certificate.subject().organisation().map(file_name),
        _ => None,
    };
    path(role, certificate.curve(), &which.unwrap_or_default())
}

/// Returns the path of a certificate of this role. `which` distinguishes eUICCs and operators.
pub(super) fn path(role: Role, curve: Curve, which: &str) -> String {
    let suffix = match curve {
        Curve::P256 => "NIST",
        Curve::BrainpoolP256r1 => "BRP",
    };
    let infix = if which.is_empty() { String::new() } else { format!("_{which}") };
    match role {
        Role::Ci => format!("CertificateIssuer/CERT_CI_ECDSA_{suffix}.der"),
        Role::Eum => format!("EUM/CERT_EUM_ECDSA_{suffix}.der"),
        Role::Euicc => format!("eUICC/CERT_EUICC{infix}_ECDSA_{suffix}.der"),
        Role::DpAuth => format!("DPauth/CERT_S_SM_DPauth_ECDSA_{suffix}.der"),
        Role::DpPb => format!("DPpb/CERT_S_SM_DPpb_ECDSA_{suffix}.der"),
        Role::DpTls => format!("DPtls/CERT_S_SM_DP_TLS_{suffix}.der"),
        Role::DsAuth => format!("DSauth/CERT_S_SM_DSauth_ECDSA_{suffix}.der"),
        Role::DsTls => format!("DStls/CERT_S_SM_DS_TLS_{suffix}.der"),
        Role::OperatorTls => format!("Operator/CERT_OPERATOR{infix}_TLS_{suffix}.der"),
        Role::SmSrTls => format!("SMSR/CERT_SM_SR_TLS_{suffix}.der"),
    }
}

/// Returns the path of the key for the certificate at `path`.
pub(super) fn key_path(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let name = name.strip_suffix(".der").unwrap_or(name);
    let name = name.strip_prefix("CERT_").unwrap_or(name);
    if folder.is_empty() { format!("SK_{name}.pem") } else { format!("{folder}/SK_{name}.pem") }
}

/// Replaces all characters of a name that a file system might not permit.
pub(crate) fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
