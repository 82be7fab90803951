//! Certificates and keys of the server, and the CIs that it trusts.

use std::collections::BTreeMap;

use certs::{Credential, Pki, PkiError, TrustAnchors};
use rsp::ids::SubjectKeyIdentifier;

/// Certificates and keys of the server, and the CIs that it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// CERT.DSauth with its key, by the CI that issued it.
    auth_by_ci: BTreeMap<SubjectKeyIdentifier, Credential>,
    /// CIs whose eUICCs the server accepts.
    pub(crate) anchors: TrustAnchors,
}

impl Credentials {
    /// Takes the SM-DS credentials of the PKI, on every curve.
    ///
    /// # Errors
    /// Fails if the PKI has no CI, or if no CI has issued a certificate to an SM-DS.
    pub fn from_pki(pki: &Pki) -> Result<Self, PkiError> {
        let anchors = pki.anchors()?;
        let mut auth_by_ci = BTreeMap::new();
        let mut missing = None;
        for curve in pki.curves() {
            match (pki.ds(curve), pki.ci(curve)?.subject_key_id()) {
                (Ok(ds), Some(ci)) => {
                    auth_by_ci.insert(ci.clone(), ds.auth);
                }
                (Err(e), _) => missing = Some(e),
                (Ok(_), None) => {}
            }
        }
        match missing {
            Some(e) if auth_by_ci.is_empty() => Err(e),
            _ => Ok(Self { auth_by_ci, anchors }),
        }
    }

    /// Returns CERT.DSauth issued by a CI.
    pub(crate) fn below(&self, ci: &SubjectKeyIdentifier) -> Option<&Credential> {
        self.auth_by_ci.get(ci)
    }
}
