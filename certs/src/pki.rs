//! A complete PKI: certificates and their keys, from a seed or from a folder, and the means to
//! issue more.
//!
//! Certificates are identified by their contents, and keys by the certificate they match, never by
//! file names. Every key below a CI or an EUM is derived from that issuer's private key. A PKI made
//! from a seed and the same PKI read back from its folder therefore issue the same certificates.

mod defect;
mod files;
mod issuing;
mod keys;
mod seed;

use crypto::{Curve, PublicKey, SecretKey};
use rsp::ids::{Eid, InvalidId, Oid};
use serde::Serialize;

use crate::certificate::{Certificate, CertificateError, Validity};
use crate::chain::{ChainError, TrustAnchors};
use crate::names::ServerName;
use crate::role::Role;

pub use defect::{BrokenCredential, Defect};
pub(crate) use files::file_name;
pub(crate) use keys::to_pem as key_pem;

/// A test PKI. Its keys protect nothing.
#[derive(Clone, Debug, Default)]
pub struct Pki {
    entries: Vec<Entry>,
    /// Each private key with its public key. The public key is stored, because it is needed for
    /// every credential and expensive to compute.
    keys: Vec<(PublicKey, SecretKey)>,
    /// The path and the octets of each revocation list in the folder.
    crls: Vec<(String, Vec<u8>)>,
}

/// A certificate of a PKI and its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The path relative to the PKI's folder.
    pub path: String,
    /// The certificate.
    pub certificate: Certificate,
}

/// A certificate with its private key.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The certificate.
    pub certificate: Certificate,
    /// The private key.
    pub key: SecretKey,
}

/// The credentials of an SM-DP+ below one CI.
#[derive(Clone, Debug)]
pub struct DpCredentials {
    /// CERT.DPauth and its key.
    pub auth: Credential,
    /// CERT.DPpb and its key.
    pub pb: Credential,
    /// CERT.DP.TLS and its key, on [`Pki::tls_curve`].
    pub tls: Credential,
}

/// The credentials of an SM-DS below one CI.
#[derive(Clone, Debug)]
pub struct DsCredentials {
    /// CERT.DSauth and its key.
    pub auth: Credential,
    /// CERT.DS.TLS and its key, on [`Pki::tls_curve`].
    pub tls: Credential,
}

/// The credentials of an eUICC below one CI.
#[derive(Clone, Debug)]
pub struct EuiccCredentials {
    /// The EID.
    pub eid: Eid,
    /// CERT.EUICC and its key.
    pub euicc: Credential,
    /// CERT.EUM.
    pub eum: Certificate,
    /// CERT.CI. Its key identifier is part of the eUICC's lists of CI keys.
    pub ci: Certificate,
}

/// The contents of a PKI made from a seed. The default is sufficient for an SM-DP+, an SM-DS, an
/// SM-SR and two eUICCs.
#[derive(Clone, Debug)]
pub struct PkiOptions {
    /// Curves of the RSP roles. An empty list stands for NIST P-256.
    pub curves: Vec<Curve>,
    /// The validity period of all certificates.
    pub validity: Validity,
    /// The SM-DP+ OID, in DPauth, DPpb and DP TLS.
    pub smdp_oid: Oid,
    /// Host names and addresses of the SM-DP+.
    pub smdp_names: Vec<ServerName>,
    /// The SM-DS OID.
    pub smds_oid: Oid,
    /// Host names and addresses of the SM-DS.
    pub smds_names: Vec<ServerName>,
    /// The SM-SR OID.
    pub smsr_oid: Oid,
    /// Host names and addresses of the SM-SR.
    pub smsr_names: Vec<ServerName>,
    /// Organisation of the EUM and its eUICCs.
    pub eum_organisation: String,
    /// The first digits of the EIDs for which the EUM is permitted to issue.
    pub eid_prefix: String,
    /// The eUICCs that have certificates from the start. More can be issued at any time.
    pub eids: Vec<Eid>,
    /// Operators that have ES2+ client certificates from the start.
    pub operators: Vec<String>,
}

/// The reason why a PKI cannot fulfil a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    /// A certificate or key is missing.
    #[error("the PKI has no {what}; put it into {file}, or {next}")]
    Missing {
        /// The missing object.
        what: String,
        /// The file in which it is expected.
        file: String,
        /// Advice to the reader.
        next: &'static str,
    },
    /// A file of the PKI's folder cannot be used.
    #[error("{file} of the PKI: {why}")]
    File {
        /// The path of the file.
        file: String,
        /// The reason.
        why: String,
    },
    /// The EUM is not permitted to issue for this EID.
    #[error("the EUM of this PKI is not permitted to issue for EID {eid}; its EIDs begin with {}", .prefixes.join(" or "))]
    EidOutsideRange {
        /// The requested EID.
        eid: Eid,
        /// The permitted EID prefixes.
        prefixes: Vec<String>,
    },
    /// A TLS server certificate was requested without a name.
    #[error("a TLS server certificate needs at least one name or address; specify the name that clients use")]
    NoServerName,
    /// The dates cannot be encoded in a certificate, or end before they begin.
    #[error("a certificate cannot be valid from {from} to {to}; choose dates from 1950 to 9999, the first before the second",
        from = .0.from, to = .0.to)]
    Validity(Validity),
    /// An identifier is malformed.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The CIs of this PKI are not valid trust anchors.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A certificate that was issued here cannot be parsed, which is a bug.
    #[error("the PKI has issued a malformed certificate: {0}; report this as a bug")]
    Issued(#[from] CertificateError),
    /// The defect does not apply to the role.
    #[error("{defect:?} does not apply to {role} certificates")]
    DefectDoesNotApply {
        /// The requested defect.
        defect: Defect,
        /// The requested role.
        role: Role,
    },
}

impl Pki {
    /// Returns all certificates, roots first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the path and the octets of each revocation list in the PKI's folder.
    pub(crate) fn crl_files(&self) -> &[(String, Vec<u8>)] {
        &self.crls
    }

    /// Returns the CIs as trust anchors.
    ///
    /// # Errors
    /// There is no CI certificate, or one is invalid.
    pub fn anchors(&self) -> Result<TrustAnchors, PkiError> {
        if self.curves().is_empty() {
            return Err(self.missing(Role::Ci, self.tls_curve()));
        }
        let is_ci = |entry: &&Entry| entry.certificate.role() == Some(Role::Ci);
        Ok(TrustAnchors::new(self.entries.iter().filter(is_ci).map(|entry| entry.certificate.clone()))?)
    }

    /// Returns the curves for which there is a CI.
    #[must_use]
    pub fn curves(&self) -> Vec<Curve> {
        [Curve::P256, Curve::BrainpoolP256r1]
            .into_iter()
            .filter(|curve| self.certificate(Role::Ci, *curve).is_some())
            .collect()
    }

    /// Returns the curve of the TLS certificates: NIST P-256, which every TLS stack supports, unless
    /// the PKI has no CI on it.
    #[must_use]
    pub fn tls_curve(&self) -> Curve {
        self.curves().first().copied().unwrap_or(Curve::P256)
    }

    /// Returns the credentials of the SM-DP+ below the CI of this curve.
    ///
    /// # Errors
    /// A certificate or its key is missing.
    pub fn dp(&self, curve: Curve) -> Result<DpCredentials, PkiError> {
        Ok(DpCredentials {
            auth: self.credential(Role::DpAuth, curve)?,
            pb: self.credential(Role::DpPb, curve)?,
            tls: self.tls_credential(Role::DpAuth, Role::DpTls)?,
        })
    }

    /// Returns the credentials of the SM-DS below the CI of this curve.
    ///
    /// # Errors
    /// A certificate or its key is missing.
    pub fn ds(&self, curve: Curve) -> Result<DsCredentials, PkiError> {
        Ok(DsCredentials {
            auth: self.credential(Role::DsAuth, curve)?,
            tls: self.tls_credential(Role::DsAuth, Role::DsTls)?,
        })
    }

    /// Returns the TLS credential of the SM-SR. If the folder contains several, returns that of the
    /// PKI's own SM-SR.
    ///
    /// # Errors
    /// The certificate or its key is missing.
    pub fn sm_sr(&self) -> Result<Credential, PkiError> {
        let path = files::path(Role::SmSrTls, self.tls_curve(), "");
        let own = self.entries.iter().find(|entry| entry.path == path).map(|entry| &entry.certificate);
        match own.and_then(|certificate| Some((certificate, self.key_of(certificate)?))) {
            Some((certificate, key)) => Ok(Credential { certificate: certificate.clone(), key: key.clone() }),
            None => self.credential(Role::SmSrTls, self.tls_curve()),
        }
    }

    /// Returns CERT.EUM of this curve.
    ///
    /// # Errors
    /// The certificate is missing.
    pub fn eum(&self, curve: Curve) -> Result<&Certificate, PkiError> {
        self.certificate(Role::Eum, curve).ok_or_else(|| self.missing(Role::Eum, curve))
    }

    /// Returns CERT.CI of this curve.
    ///
    /// # Errors
    /// The certificate is missing.
    pub fn ci(&self, curve: Curve) -> Result<&Certificate, PkiError> {
        self.certificate(Role::Ci, curve).ok_or_else(|| self.missing(Role::Ci, curve))
    }

    /// Returns the EIDs of the eUICCs with a certificate and a key on this curve.
    #[must_use]
    pub fn eids(&self, curve: Curve) -> Vec<Eid> {
        let mut eids: Vec<_> =
            self.held(Role::Euicc, curve).filter_map(|credential| credential.certificate.eid()).collect();
        eids.dedup();
        eids
    }

    /// Returns the credentials of this eUICC. If the PKI has no certificate of this eUICC, one is
    /// issued with the validity period of CERT.EUM.
    ///
    /// # Errors
    /// The EUM's certificate or key is missing, or the EID is outside its range.
    pub fn euicc(&self, curve: Curve, eid: Eid) -> Result<EuiccCredentials, PkiError> {
        let own = self.held(Role::Euicc, curve).filter(|held| held.certificate.eid() == Some(eid)).last();
        match own {
            Some(euicc) => self.with_issuers(eid, euicc),
            None => self.issue_euicc(curve, eid, self.eum(curve)?.validity()),
        }
    }

    /// Returns the ES2+ client credential of an operator. If the PKI has no certificate of this
    /// operator, one is issued with the validity period of CERT.CI.
    ///
    /// # Errors
    /// The CI's certificate or key is missing.
    pub fn operator(&self, name: &str) -> Result<Credential, PkiError> {
        let own = self
            .held(Role::OperatorTls, self.tls_curve())
            .filter(|held| held.certificate.subject().organisation() == Some(name))
            .last();
        match own {
            Some(operator) => Ok(operator),
            None => self.issue_operator(name, self.ci(self.tls_curve())?.validity()),
        }
    }

    /// Adds an issued credential to the PKI. A credential with the same path is replaced. Returns
    /// the two files (certificate, private key) to be written.
    pub fn add(&mut self, credential: Credential) -> Vec<(String, Vec<u8>)> {
        let path = files::path_of(&credential.certificate);
        let written = vec![
            (path.clone(), credential.certificate.der().to_vec()),
            (files::key_path(&path), keys::to_pem(&credential.key)),
        ];
        self.entries.retain(|entry| entry.path != path);
        self.entries.push(Entry { path, certificate: credential.certificate });
        self.add_key(credential.key);
        written
    }

    /// Returns one line per certificate: its path, the presence of its key, and its description.
    #[must_use]
    pub fn describe(&self) -> String {
        let line = |entry: &Entry| {
            let key = if self.key_of(&entry.certificate).is_some() { "with key" } else { "no key" };
            format!("{} ({key}): {}\n", entry.path, entry.certificate)
        };
        self.entries.iter().map(line).collect()
    }

    /// True if the PKI has the private key of this certificate.
    #[must_use]
    pub fn has_key(&self, certificate: &Certificate) -> bool {
        self.key_of(certificate).is_some()
    }

    fn with_issuers(&self, eid: Eid, euicc: Credential) -> Result<EuiccCredentials, PkiError> {
        let curve = euicc.certificate.curve();
        Ok(EuiccCredentials { eid, euicc, eum: self.eum(curve)?.clone(), ci: self.ci(curve)?.clone() })
    }

    /// Returns all credentials of this role and curve.
    fn held(&self, role: Role, curve: Curve) -> impl Iterator<Item = Credential> {
        self.of_role(role, curve).filter_map(|certificate| {
            Some(Credential { certificate: certificate.clone(), key: self.key_of(certificate)?.clone() })
        })
    }

    /// Returns the credential of this role and curve that is valid for the longest time.
    ///
    /// # Errors
    /// The certificate or its key is missing.
    pub fn credential(&self, role: Role, curve: Curve) -> Result<Credential, PkiError> {
        self.held(role, curve)
            .max_by_key(|held| held.certificate.validity().to)
            .ok_or_else(|| self.missing(role, curve))
    }

    fn certificate(&self, role: Role, curve: Curve) -> Option<&Certificate> {
        self.of_role(role, curve).max_by_key(|certificate| certificate.validity().to)
    }

    fn of_role(&self, role: Role, curve: Curve) -> impl Iterator<Item = &Certificate> {
        self.entries.iter().map(|entry| &entry.certificate).filter(move |certificate| {
            certificate.curve() == curve && certificate.role_or_tls_use() == Some(role)
        })
    }

    fn key_of(&self, certificate: &Certificate) -> Option<&SecretKey> {
        let fitting = self.keys.iter().find(|(public, _)| public == certificate.public_key());
        fitting.map(|(_, key)| key)
    }

    fn add_key(&mut self, key: SecretKey) {
        self.keys.push((key.public_key(), key));
    }

    fn missing(&self, role: Role, curve: Curve) -> PkiError {
        let has_certificate = self.certificate(role, curve).is_some();
        let certificate = files::path(role, curve, "");
        PkiError::Missing {
            what: match has_certificate {
                true => format!("private key for its {role} certificate on {curve}"),
                false => format!("{role} certificate on {curve}"),
            },
            file: if has_certificate { files::key_path(&certificate) } else { certificate },
            next: match role {
                Role::DpTls | Role::DsTls | Role::OperatorTls | Role::Euicc => {
                    "issue one (`landfall certs issue`)"
                }
                _ => "make a whole PKI from a seed (`landfall certs init`)",
            },
        }
    }
}

impl Credential {
    /// Returns the private key as PKCS#8 (`PrivateKeyInfo`) in DER, for TLS stacks.
    #[must_use]
    pub fn key_pkcs8(&self) -> Vec<u8> {
        keys::to_pkcs8(&self.key)
    }

    /// Derives the key with this label from this one.
    pub(crate) fn derived_key(&self, label: &str, curve: Curve) -> SecretKey {
        keys::derive(self.key.to_bytes().expose(), label, curve)
    }

    /// Returns the private key in PEM (`EC PRIVATE KEY`).
    #[must_use]
    pub fn key_pem(&self) -> Vec<u8> {
        keys::to_pem(&self.key)
    }
}
