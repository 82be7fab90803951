//! With what the server proves itself, and whom it trusts.

use certs::TrustAnchors;
use crypto::SecretKey;

/// What the server signs with, and whom it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    anchors: TrustAnchors,
    card_certificate: Vec<u8>,
    card_key: SecretKey,
}

impl Credentials {
    /// The CIs below which EUMs are believed; and, for taking cards over from others, the certificate that cards check
    /// (CERT.SR.ECDSA, the whole TLV `7F21`, signed by the CI) with its key.
    pub fn new(anchors: TrustAnchors, card_certificate: Vec<u8>, card_key: SecretKey) -> Self {
        Self { anchors, card_certificate, card_key }
    }

    pub(crate) fn anchors(&self) -> &TrustAnchors {
        &self.anchors
    }

    /// What a card checks.
    pub(crate) fn card_certificate(&self) -> &[u8] {
        &self.card_certificate
    }

    /// The key in it.
    pub(crate) fn card_key(&self) -> &SecretKey {
        &self.card_key
    }
}
