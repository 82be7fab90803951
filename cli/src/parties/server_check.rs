//! The check of a TLS server that the chain check of TLS does not make: its role and its revocation.

use std::sync::Arc;

use certs::{Certificate, Pki, Role};
use net::CertificateCheck;

/// Returns a check that the certificate of a server has this role (`None`: any role), and that no
/// revocation list in the folder of the PKI contains it: SGP.22 sections 4.5.2 and 4.6.
pub(super) fn of(pki: &Pki, expected: Option<Role>) -> Arc<CertificateCheck> {
    let pki = pki.clone();
    Arc::new(move |der: &[u8]| {
        let certificate = Certificate::from_der(der.to_vec()).map_err(|why| why.to_string())?;
        let found = certificate.role();
        if let Some(expected) = expected.filter(|expected| found != Some(*expected)) {
            let found = found.map_or_else(|| "none".to_owned(), |role| role.to_string());
            return Err(format!("the certificate has the role {found}; required: {expected}"));
        }
        if pki.has_revoked(&certificate) {
            return Err(
                "the certificate has been revoked: a revocation list of its CI contains it".to_owned()
            );
        }
        Ok(())
    })
}
