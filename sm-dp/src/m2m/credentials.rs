//! The credentials that the SM-DP presents to cards, and its trust anchors.

use certs::{Certificate, TrustAnchors};
use crypto::SecretKey;

/// M2M certificates and keys. The sockets have the TLS certificates.
#[derive(Clone, Debug)]
pub struct Credentials {
    card_certificate: Vec<u8>,
    card_key: SecretKey,
    anchors: TrustAnchors,
    eums: Vec<Certificate>,
}

impl Credentials {
    /// Takes CERT.DP.ECDSA (the whole of 7F21) with its key, the trusted CIs, and the certificates
    /// of EUMs whose EIS do not contain them.
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
