//! What the SM-DP shows to cards, and whom it trusts.

use certs::{Certificate, TrustAnchors};
use crypto::SecretKey;

/// Certificates and keys of the M2M kind. Those for TLS are the sockets' business.
#[derive(Clone, Debug)]
pub struct Credentials {
    card_certificate: Vec<u8>,
    card_key: SecretKey,
    anchors: TrustAnchors,
    eums: Vec<Certificate>,
}

impl Credentials {
    /// CERT.DP.ECDSA (the whole of 7F21) with its key, the CIs that are trusted, and certificates of EUMs whose EIS do not
    /// bring them along.
    pub fn new(
        card_certificate: Vec<u8>,
        card_key: SecretKey,
        anchors: TrustAnchors,
        eums: Vec<Certificate>,
    ) -> Self {
        Self { card_certificate, card_key, anchors, eums }
    }

    pub(crate) fn card_certificate(&self) -> &[u8] {
        &self.card_certificate
    }

    pub(crate) fn card_key(&self) -> &SecretKey {
        &self.card_key
    }

    pub(crate) fn anchors(&self) -> &TrustAnchors {
        &self.anchors
    }

    pub(crate) fn eums(&self) -> &[Certificate] {
        &self.eums
    }
}
