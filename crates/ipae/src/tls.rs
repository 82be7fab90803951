//! The TLS configuration for an eIM.

use std::sync::Arc;

use net::ClientTls;
use rsp::sgp32::{EimConfigurationData, KeyOrCertificate};
use world::{Clock, Fault};

/// Returns the TLS configuration for an eIM: its pinned key or certificate (SGP.32 section
/// 2.11.1.1.2), or else `otherwise`.
///
/// # Errors
/// The pinned certificate is unusable.
pub fn tls_of(
    eim: &EimConfigurationData,
    otherwise: &ClientTls,
    clock: &Arc<dyn Clock>,
) -> Result<ClientTls, Fault> {
    match &eim.trusted_public_key_data_tls {
        Some(KeyOrCertificate::PublicKey(key)) => ClientTls::pinning(key.0.clone(), Arc::clone(clock)),
        Some(KeyOrCertificate::Certificate(root)) => {
            ClientTls::new(std::slice::from_ref(&root.0), None, Arc::clone(clock))
        }
        None => Ok(otherwise.clone()),
    }
}
