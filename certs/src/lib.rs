//! The test PKI and certificate validation: GSMA roles, chain checks, CRLs, and a complete PKI from
//! a seed. No I/O.
//!
//! | Module | Contents | Clause |
//! |---|---|---|
//! | [`certificate`](Certificate) | a certificate with its received octets and the fields read from them | RFC 5280, SGP.22 section 4.5.2 |
//! | [`chain`](check_server) | chain checks up to the [`TrustAnchors`] | SGP.22 section 4.5.2.2 |
//! | [`crl`](Crl) | certificate revocation lists | RFC 5280 section 5, SGP.22 section 4.6 |
//! | [`listing`](Pki::check_entries) | the check of every certificate of a PKI | SGP.22 section 4.5.2.2 |
//! | [`m2m`] | card certificates of SGP.02 and the keys of an M2M card | SGP.02 |
//! | [`pki`](Pki) | issues certificates, from a seed ([`Pki::from_seed`]) or from a folder of certificates and keys ([`Pki::from_files`]) such as the GSMA's test set | SGP.26 |
//! | [`role`](Role) | the roles of certificates | SGP.22 annex H |
//!
//! Only [`check_server`], [`check_euicc`], [`check_eum`] and the checks in [`m2m`] construct a
//! [`Verified`] certificate. A function that needs a verified certificate takes a `Verified`. A
//! [`Crl`] is usable only after the caller has checked its signature with [`Crl::is_signed_by`].

mod certificate;
mod chain;
mod crl;
mod eim;
mod ids;
mod issue;
mod listing;
pub mod m2m;
mod names;
mod pki;
mod role;

pub use certificate::{
    BasicConstraints, Certificate, CertificateError, EidRange, ExtendedKeyUsage, ExtensionInfo, KeyUsage,
    Name, PermittedName, Validity, public_key_of,
};
pub use chain::{
    ChainError, EuiccCertificate, Flaw, ServerCertificate, TrustAnchors, Verified, check_euicc, check_eum,
    check_server, same_operator,
};
pub use crl::{Crl, CrlPlan, InvalidCrl, Part};
pub use eim::{EimCredentials, subject_public_key_info};
pub use ids::numbered_eid;
pub use listing::InvalidEntry;
pub use names::{InvalidServerName, ServerName};
pub use pki::{
    BrokenCredential, Credential, Defect, DpCredentials, DsCredentials, Entry, EuiccCredentials, Pki,
    PkiError, PkiOptions,
};
pub use role::Role;

#[cfg(test)]
mod tests;
