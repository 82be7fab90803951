//! How TLS recognises an eIM.

use std::sync::Arc;

use net::ServerTrust;
use rsp::sgp32::{EimConfigurationData, KeyOrCertificate};

/// Returns how TLS and DTLS recognise an eIM: by its pinned key or certificate (SGP.32 section
/// 2.11.1.1.2), or else as `otherwise`.
pub fn trust_of(eim: &EimConfigurationData, otherwise: &ServerTrust) -> ServerTrust {
    // req: SGP.32-6.1-Key
    match &eim.trusted_public_key_data_tls {
        Some(KeyOrCertificate::PublicKey(key)) => ServerTrust::PinnedKey(key.0.clone()),
        Some(KeyOrCertificate::Certificate(root)) => {
            ServerTrust::Certificates { anchors: vec![root.0.clone()], check: Arc::new(|_| Ok(())) }
        }
        None => otherwise.clone(),
    }
}
