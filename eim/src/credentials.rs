//! The keys of the eIM, and the CIs that it trusts.

use std::sync::Arc;

use certs::{EimCredentials, Pki, PkiError, ServerName, TrustAnchors};
use crypto::{PublicKey, SecretKey};

use crate::verified_chains::VerifiedChains;

/// The keys of the eIM, and the CIs that it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The keys that sign packages. A device has the number of the one that its eUICC knows.
    signing: Vec<SecretKey>,
    /// The key of the TLS certificate, which IPAs pin.
    tls: PublicKey,
    /// CIs whose eUICCs the eIM accepts.
    pub(crate) anchors: TrustAnchors,
    /// Chains that verified against these CIs.
    pub(crate) chains: Arc<VerifiedChains>,
}

impl Credentials {
    /// Creates credentials from the keys of an eIM.
    pub fn new(keys: EimCredentials, anchors: TrustAnchors) -> Self {
        Self {
            signing: keys.signing,
            tls: keys.tls.certificate.public_key().clone(),
            anchors,
            chains: Arc::default(),
        }
    }

    /// Takes the keys of the eIM with this name from the test PKI.
    ///
    /// # Errors
    /// A certificate or key of the PKI is missing, or there is no server name.
    pub fn from_pki(pki: &Pki, name: &str, server_names: &[ServerName]) -> Result<Self, PkiError> {
        Ok(Self::new(pki.eim(name, server_names)?, pki.anchors()?))
    }

    /// Returns a signing key.
    pub(crate) fn signing(&self, number: usize) -> Option<&SecretKey> {
        self.signing.get(number)
    }

    /// Returns the key that IPAs pin in TLS.
    pub(crate) fn tls(&self) -> &PublicKey {
        &self.tls
    }
}
