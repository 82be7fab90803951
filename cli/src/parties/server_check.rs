//! Checks of a TLS peer in addition to the chain check of TLS: its role and its revocation.

use std::sync::Arc;

use certs::{Certificate, Pki, Role};
use net::CertificateCheck;
use world::Fault;

/// Returns a check that the certificate of a peer has one of these roles (empty: any role), and that
/// no revocation list in the folder of the PKI contains it: SGP.22 sections 4.5.2 and 4.6.
///
/// # Errors
/// A file in the folder is not a revocation list.
pub(super) fn of(pki: &Pki, expected: &[Role]) -> Result<Arc<CertificateCheck>, Fault> {
    let lists = pki.revocation_lists().map_err(|why| {
        Fault::usage_caused_by(why, "cannot check revoked certificates", "correct or remove the file")
    })?;
    let expected = expected.to_vec();
    Ok(Arc::new(move |der: &[u8]| {
        let certificate = Certificate::from_der(der.to_vec()).map_err(|why| why.to_string())?;
        let found = certificate.role();
        if !expected.is_empty() && !found.is_some_and(|found| expected.contains(&found)) {
            let found = found.map_or_else(|| "none".to_owned(), |role| role.to_string());
            let expected: Vec<String> = expected.iter().map(Role::to_string).collect();
            return Err(format!("the certificate has the role {found}; required: {}", expected.join(" or ")));
        }
        if lists.iter().any(|list| list.revokes(&certificate)) {
            return Err(
                "the certificate has been revoked: a revocation list of its CI contains it".to_owned()
            );
        }
        Ok(())
    }))
}
