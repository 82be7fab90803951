//! The credentials of the SM-DP+ and its trust anchors.

use std::collections::BTreeMap;

use certs::{ChainError, DpCredentials, Pki, PkiError, TrustAnchors};
use rsp::ids::{Oid, SubjectKeyIdentifier};

/// The certificates and keys that the server signs with, and the CIs that it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The certificates and keys of this server, by the CI that issued them.
    by_ci: BTreeMap<SubjectKeyIdentifier, DpCredentials>,
    /// The CIs whose eUICCs this server accepts.
    pub(crate) anchors: TrustAnchors,
}

impl Credentials {
    /// Returns all SM-DP+ credentials of the PKI, on every curve.
    ///
    /// # Errors
    /// Fails if the PKI has no CI, or if no CI has issued SM-DP+ certificates.
    pub fn from_pki(pki: &Pki) -> Result<Self, PkiError> {
        let anchors = pki.anchors()?;
        let mut by_ci = BTreeMap::new();
        let mut missing = None;
        for curve in pki.curves() {
            match (pki.dp(curve), pki.ci(curve)?.subject_key_id()) {
                (Ok(dp), Some(ci)) => {
                    by_ci.insert(ci.clone(), dp);
                }
                (Err(e), _) => missing = Some(e),
                (Ok(_), None) => {}
            }
        }
        match missing {
            Some(e) if by_ci.is_empty() => Err(e),
            _ => Ok(Self { by_ci, anchors }),
        }
    }

    /// Adds the credentials of another PKI and trusts its CIs too. Several CIs can be on the same
    /// curve.
    ///
    /// # Errors
    /// Fails if a CI of either PKI cannot be a trust anchor.
    pub fn and(mut self, other: Self) -> Result<Self, ChainError> {
        let anchors = self.anchors.certificates().chain(other.anchors.certificates()).cloned();
        self.anchors = TrustAnchors::new(anchors.collect::<Vec<_>>())?;
        self.by_ci.extend(other.by_ci);
        Ok(self)
    }

    /// The server's credentials that were issued below `ci`.
    pub(crate) fn below(&self, ci: &SubjectKeyIdentifier) -> Option<&DpCredentials> {
        self.by_ci.get(ci)
    }

    /// The SM-DP+ OID that identifies this server to operators and SM-DSs.
    pub(crate) fn own_oid(&self) -> Option<&Oid> {
        self.by_ci.values().find_map(|dp| dp.auth.certificate.registered_ids().first())
    }

    /// The SM-DP+ OID in CERT.DPauth and CERT.DPpb below a CI.
    pub(crate) fn smdp_oid(&self, ci: &SubjectKeyIdentifier) -> Option<&Oid> {
        self.below(ci)?.auth.certificate.registered_ids().first()
    }
}

#[cfg(test)]
mod tests {
    use certs::{PkiOptions, Role};
    use crypto::Curve;

    use super::*;

    #[test]
    fn a_pki_without_certificates_of_an_sm_dp_plus_is_refused() {
        let whole = Pki::from_seed(b"credentials", &PkiOptions::default()).unwrap();
        assert_eq!(Credentials::from_pki(&whole).unwrap().by_ci.len(), whole.curves().len());
        let mut only_ci = Pki::default();
        only_ci.add(whole.credential(Role::Ci, Curve::P256).unwrap());
        assert!(Credentials::from_pki(&only_ci).is_err());
        // One CI with certificates of an SM-DP+ is enough.
        for role in [Role::DpAuth, Role::DpPb, Role::DpTls] {
            only_ci.add(whole.credential(role, Curve::P256).unwrap());
        }
        only_ci.add(whole.credential(Role::Ci, Curve::BrainpoolP256r1).unwrap());
        assert_eq!(Credentials::from_pki(&only_ci).unwrap().by_ci.len(), 1);
    }
}
