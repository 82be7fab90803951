//! Certificates and keys of the server, and the CIs that it trusts.

use certs::TrustAnchors;
use crypto::SecretKey;

/// Certificates and keys of the server, and the CIs that it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    anchors: TrustAnchors,
    card_certificate: Vec<u8>,
    card_key: SecretKey,
}

impl Credentials {
    /// Creates the credentials. `anchors` are the CIs whose EUMs are trusted. `card_certificate`
    /// and `card_key` are for taking over cards from other SM-SRs: the certificate that cards check
    /// (CERT.SR.ECDSA, the complete TLV `7F21`, signed by the CI) and its key.
    pub fn new(anchors: TrustAnchors, card_certificate: Vec<u8>, card_key: SecretKey) -> Self {
        Self { anchors, card_certificate, card_key }
    }

    pub(crate) fn anchors(&self) -> &TrustAnchors {
        &self.anchors
    }

    /// Returns the certificate that cards check.
    pub(crate) fn card_certificate(&self) -> &[u8] {
        &self.card_certificate
    }

    /// Returns the private key of [`card_certificate`](Self::card_certificate).
    pub(crate) fn card_key(&self) -> &SecretKey {
        &self.card_key
    }
}
