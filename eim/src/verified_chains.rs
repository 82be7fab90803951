//! Certificate chains of eUICCs that this process has verified. A chain takes two signatures, and a
//! device sends many results with the same chain. A process without the chain verifies it again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use certs::{Certificate, ChainError, EuiccCertificate, TrustAnchors, Validity, Verified, check_euicc};
use rsp::time::Timestamp;
use sha2::{Digest, Sha256};

/// Maximum number of chains. When there are more, all are forgotten.
const MAX_CHAINS: usize = 4096;

/// Chains that verified against one set of trust anchors.
#[derive(Debug, Default)]
pub(crate) struct VerifiedChains(Mutex<HashMap<[u8; 32], Chain>>);

#[derive(Clone, Debug)]
struct Chain {
    euicc: Verified<EuiccCertificate>,
    /// The period in which CERT.EUICC, CERT.EUM and the certificate of the CI are valid.
    validity: Validity,
}

impl VerifiedChains {
    /// Verifies a chain, or finds that it was verified before. The validity periods are always checked.
    ///
    /// # Errors
    /// The first check that fails.
    pub(crate) fn verify(
        &self,
        anchors: &TrustAnchors,
        euicc: &Certificate,
        eum: &Certificate,
        now: Timestamp,
    ) -> Result<Verified<EuiccCertificate>, ChainError> {
        let key = digest(euicc, eum);
        if let Some(chain) = self.chains().get(&key)
            && (chain.validity.from..=chain.validity.to).contains(&now)
        {
            return Ok(chain.euicc.clone());
        }
        let verified = check_euicc(anchors, euicc, eum, now)?;
        let ci = anchors.find(&verified.ci_key_id).map(Certificate::validity);
        let validity = [Some(euicc.validity()), Some(eum.validity()), ci]
            .into_iter()
            .flatten()
            .reduce(|one, other| Validity { from: one.from.max(other.from), to: one.to.min(other.to) });
        if let Some(validity) = validity {
            let mut chains = self.chains();
            if chains.len() >= MAX_CHAINS {
                chains.clear();
            }
            chains.insert(key, Chain { euicc: verified.clone(), validity });
        }
        Ok(verified)
    }

    fn chains(&self) -> MutexGuard<'_, HashMap<[u8; 32], Chain>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of both certificates, with the length of the first.
fn digest(euicc: &Certificate, eum: &Certificate) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(euicc.der().len().to_be_bytes());
    digest.update(euicc.der());
    digest.update(eum.der());
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use certs::{Pki, PkiOptions};
    use crypto::Curve;

    use super::*;

    #[test]
    fn a_known_chain_is_still_refused_outside_its_validity() {
        let pki = Pki::from_seed(b"chains", &PkiOptions::default()).unwrap();
        let (anchors, eid) = (pki.anchors().unwrap(), pki.eids(Curve::P256)[0]);
        let credentials = pki.euicc(Curve::P256, eid).unwrap();
        let (euicc, eum) = (&credentials.euicc.certificate, &credentials.eum);
        let chains = VerifiedChains::default();
        let validity = euicc.validity();
        for _ in 0..2 {
            assert_eq!(chains.verify(&anchors, euicc, eum, validity.from).unwrap().eid, eid);
        }
        assert_eq!(chains.chains().len(), 1);
        let late = Timestamp(validity.to.0 + 1);
        assert!(chains.verify(&anchors, euicc, eum, late).is_err());
    }

    #[test]
    fn a_known_certificate_with_another_issuer_is_verified_and_refused() {
        let pki = Pki::from_seed(b"chains", &PkiOptions::default()).unwrap();
        let (anchors, eid) = (pki.anchors().unwrap(), pki.eids(Curve::P256)[0]);
        let credentials = pki.euicc(Curve::P256, eid).unwrap();
        let other = Pki::from_seed(b"other", &PkiOptions::default()).unwrap();
        let other = other.euicc(Curve::P256, other.eids(Curve::P256)[0]).unwrap();
        let (euicc, chains) = (&credentials.euicc.certificate, VerifiedChains::default());
        let now = euicc.validity().from;
        chains.verify(&anchors, euicc, &credentials.eum, now).unwrap();
        assert!(chains.verify(&anchors, euicc, &other.eum, now).is_err());
        assert!(chains.verify(&anchors, &other.euicc.certificate, &credentials.eum, now).is_err());
        assert_eq!(chains.chains().len(), 1);
    }
}
