//! The trust: GSMA roles, chain checking, a whole test PKI from a seed. No I/O.
//!
//! - [`Certificate`] owns the octets that were received and the facts read from them.
//! - [`check_server`] and [`check_euicc`] check a chain up to the [`TrustAnchors`]; only they make a
//!   [`Verified`] certificate, and whoever needs a checked certificate takes a `Verified`.
//! - [`m2m`] has what SGP.02 adds: certificates that cards read, and who holds them.
//! - [`Crl`] is what a CI has revoked, once somebody has asked who signed it.
//! - [`Pki`] issues: from a seed ([`Pki::from_seed`]) or from a folder of certificates and keys
//!   ([`Pki::from_files`]), such as the GSMA's published test set of SGP.26.

mod certificate;
mod chain;
mod crl;
mod ids;
mod issue;
pub mod m2m;
mod names;
mod pki;
mod role;

pub use certificate::{
    BasicConstraints, Certificate, CertificateError, EidRange, ExtendedKeyUsage, ExtensionSeen, KeyUsage,
    Name, PermittedName, Validity,
};
pub use chain::{
    ChainError, EuiccCertificate, Flaw, ServerCertificate, TrustAnchors, Verified, check_euicc, check_eum,
    check_server, same_operator,
};
pub use crl::{Crl, CrlPlan, NotACrl, Part};
pub use ids::numbered_eid;
pub use names::{NotAServerName, ServerName};
pub use pki::{
    BrokenCredential, Credential, Defect, DpCredentials, DsCredentials, Entry, EuiccCredentials, Pki,
    PkiError, PkiOptions,
};
pub use role::Role;

#[cfg(test)]
mod tests;
