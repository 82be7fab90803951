//! The ECASD of a consumer card, which holds the card's own keys and the CI keys: SGP.22 section 2.4.2.

use std::mem;
use std::sync::Arc;

use certs::TrustAnchors;
use crypto::{SecretKey, Signature};
use profile::Octets;
use rsp::ids::{CertificateDer, SubjectKeyIdentifier};
use world::Fault;

use super::description::{CardCredential, CardDescription};
use super::shared::Shared;
use super::trust::{Trust, certificate, fault};

/// The keys and certificates of the card, parsed and checked against each other.
#[derive(Debug)]
pub(crate) struct Ecasd {
    preferred: Credential,
    others: Vec<Credential>,
    trust: Arc<Trust>,
}

/// A private key of the card with its certificates.
#[derive(Debug)]
pub(crate) struct Credential {
    /// The CI above CERT.EUM.
    pub(crate) ci: SubjectKeyIdentifier,
    euicc_certificate: Octets,
    eum_certificate: Arc<Vec<u8>>,
    key: SecretKey,
}

impl Ecasd {
    /// Takes the keys and certificates out of the description.
    ///
    /// # Errors
    /// Fails if a certificate cannot be read, belongs to another card, or does not match its key.
    pub(crate) fn take(description: &mut CardDescription, shared: &Shared) -> Result<Self, Fault> {
        let trust = shared.trust(mem::take(&mut description.trusted_cis), Trust::load)?;
        let eid = description.eid.to_string();
        let credentials = mem::take(&mut description.credentials);
        let mut credentials =
            credentials.into_iter().map(|credential| Credential::load(credential, &eid, shared));
        let preferred = credentials
            .next()
            .ok_or_else(|| fault("the card's own certificates", "the description has none".to_owned()))??;
        let others = credentials.collect::<Result<_, _>>()?;
        Ok(Self { preferred, others, trust })
    }

    /// The trusted CIs.
    pub(crate) fn anchors(&self) -> &TrustAnchors {
        &self.trust.anchors
    }

    /// euiccCiPKIdListForVerification.
    pub(crate) fn ids_for_verification(&self) -> Vec<SubjectKeyIdentifier> {
        self.trust.ids.clone()
    }

    /// euiccCiPKIdListForSigning.
    pub(crate) fn ids_for_signing(&self) -> Vec<SubjectKeyIdentifier> {
        self.credentials().map(|credential| credential.ci.clone()).collect()
    }

    /// The key whose certificate chain ends at this CI.
    pub(crate) fn credential(&self, ci: &SubjectKeyIdentifier) -> Option<&Credential> {
        self.credentials().find(|credential| credential.ci == *ci)
    }

    /// The key for this CI, or the preferred key if the description no longer contains that CI.
    pub(crate) fn credential_or_preferred(&self, ci: &SubjectKeyIdentifier) -> &Credential {
        self.credential(ci).unwrap_or(&self.preferred)
    }

    /// The key for this CI, or the preferred key if no CI is given.
    pub(crate) fn credential_for(&self, ci: Option<&SubjectKeyIdentifier>) -> Option<&Credential> {
        ci.map_or(Some(&self.preferred), |ci| self.credential(ci))
    }

    fn credentials(&self) -> impl Iterator<Item = &Credential> {
        std::iter::once(&self.preferred).chain(&self.others)
    }
}

impl Credential {
    fn load(description: CardCredential, eid: &str, shared: &Shared) -> Result<Self, Fault> {
        const WHAT: &str = "the card's own certificate";
        let euicc = certificate(&description.euicc_certificate, WHAT)?;
        let eum = certificate(&description.eum_certificate, "the EUM certificate")?;
        if euicc.eid().is_none_or(|found| found.to_string() != eid) {
            return Err(fault(WHAT, format!("it is not issued for EID {eid}")));
        }
        let octets: [u8; 32] = description
            .euicc_key
            .expose()
            .try_into()
            .map_err(|_| fault("the card's key", "it does not have 32 octets".to_owned()))?;
        let key = SecretKey::from_bytes(euicc.curve(), &octets)
            .map_err(|why| fault("the card's key", why.to_string()))?;
        if key.public_key() != *euicc.public_key() {
            return Err(fault(WHAT, "the key does not match it".to_owned()));
        }
        let ci = eum
            .authority_key_id()
            .ok_or_else(|| fault("the EUM certificate", "it has no authority key identifier".to_owned()))?;
        Ok(Self {
            ci: SubjectKeyIdentifier(ci.0.clone()),
            euicc_certificate: description.euicc_certificate,
            eum_certificate: shared.octets(description.eum_certificate.0),
            key,
        })
    }

    /// CERT.EUICC.ECDSA.
    pub(crate) fn euicc_certificate(&self) -> CertificateDer {
        CertificateDer(self.euicc_certificate.to_vec())
    }

    /// CERT.EUM.ECDSA.
    pub(crate) fn eum_certificate(&self) -> CertificateDer {
        CertificateDer(self.eum_certificate.to_vec())
    }

    /// Signs with the private key. All signatures of the card are made by this function.
    pub(crate) fn sign(&self, octets: &[u8]) -> Signature {
        self.key.sign(octets)
    }
}

#[cfg(test)]
mod tests {
    use certs::{Pki, PkiOptions};
    use crypto::Curve;

    use super::*;

    fn own(ecasd: &Ecasd) -> &Credential {
        &ecasd.preferred
    }

    #[test]
    fn cards_share_the_certificates_of_their_cis_and_eums() {
        let pki = Pki::from_seed(b"ecasd", &PkiOptions::default()).unwrap();
        let credentials = [Curve::P256, Curve::BrainpoolP256r1]
            .map(|curve| pki.euicc(curve, pki.eids(Curve::P256)[0]).unwrap());
        let shared = Shared::default();
        let [one, other, trusts_one] = [2, 2, 1].map(|cis| {
            let mut description = CardDescription::default_for(pki.eids(Curve::P256)[0], &credentials);
            description.trusted_cis.truncate(cis);
            Ecasd::take(&mut description, &shared).unwrap()
        });
        assert!(Arc::ptr_eq(&one.trust, &other.trust));
        assert!(Arc::ptr_eq(&own(&one).eum_certificate, &own(&other).eum_certificate));
        assert_eq!(own(&one).eum_certificate().0, credentials[0].eum.der());
        assert_eq!(own(&one).euicc_certificate().0, credentials[0].euicc.certificate.der());

        assert_eq!(one.ids_for_verification().len(), 2);
        assert_eq!(trusts_one.ids_for_verification(), one.ids_for_verification()[..1]);
        assert!(trusts_one.anchors().find(&one.ids_for_verification()[1]).is_none());

        let trust = Arc::downgrade(&one.trust);
        drop(([one, other], shared));
        assert!(trust.upgrade().is_none());
    }
}
