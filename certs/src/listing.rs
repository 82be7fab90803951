//! The check of every certificate in the folder of a PKI.

use rsp::time::Timestamp;

use crate::certificate::Certificate;
use crate::chain::{self, ChainError, TrustAnchors};
use crate::crl::Crl;
use crate::pki::{Entry, Pki};
use crate::role::Role;

/// The reason why a certificate of a PKI is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    /// Its chain is invalid.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Its issuer is neither a valid CI nor an EUM of the PKI.
    #[error("the PKI does not contain the certificate of its issuer")]
    NoIssuer,
    /// It is the certificate of neither a party nor a CA.
    #[error(
        "it has no role: neither a certificate policy of an RSP role, nor the key usage of a CA or a TLS client"
    )]
    NoRole,
    /// It or its issuer has been revoked.
    #[error("it has been revoked: a revocation list of the PKI contains it or its issuer")]
    Revoked,
}

impl Pki {
    /// Checks each certificate: signature, validity at this time, names, key identifiers, role and
    /// key usage of its chain, and these revocation lists.
    pub fn check_entries<'a>(
        &'a self,
        crls: &'a [Crl],
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Entry, Result<(), InvalidEntry>)> {
        let all = Listing { entries: self.entries(), anchors: self.valid_anchors(), crls, now };
        self.entries().iter().map(move |entry| (entry, all.check(&entry.certificate)))
    }

    /// Returns the CIs that can be trust anchors. An invalid CI does not affect the chains below
    /// other CIs.
    fn valid_anchors(&self) -> TrustAnchors {
        let is_anchor = |ci: &Certificate| TrustAnchors::new([ci.clone()]).is_ok();
        let all = self.entries().iter().map(|entry| &entry.certificate);
        TrustAnchors::new(all.filter(|ci| is_anchor(ci)).cloned()).unwrap_or_default()
    }
}

struct Listing<'a> {
    entries: &'a [Entry],
    anchors: TrustAnchors,
    crls: &'a [Crl],
    now: Timestamp,
}

impl Listing<'_> {
    fn check(&self, certificate: &Certificate) -> Result<(), InvalidEntry> {
        let (anchors, now) = (&self.anchors, self.now);
        match certificate.role_or_tls_use() {
            Some(Role::Ci) => {
                TrustAnchors::new([certificate.clone()])?;
                chain::check_ci(certificate, 0, now)?;
            }
            Some(Role::Eum) => drop(chain::check_eum(anchors, certificate, now)?),
            Some(Role::Euicc) => self.check_euicc(certificate)?,
            Some(role) => {
                let sub_cas: Vec<_> = self.sub_cas().cloned().collect();
                chain::check_server(anchors, certificate, &sub_cas, role, now)?;
            }
            None if is_ca(certificate) => self.check_sub_ca(certificate)?,
            None => return Err(InvalidEntry::NoRole),
        }
        self.check_revocation(certificate)
    }

    fn check_euicc(&self, euicc: &Certificate) -> Result<(), InvalidEntry> {
        let mut why = InvalidEntry::NoIssuer;
        for eum in self.issuers_of(euicc).filter(|eum| eum.role() == Some(Role::Eum)) {
            let checked = chain::check_euicc(&self.anchors, euicc, eum, self.now);
            match checked.map_err(InvalidEntry::from).and_then(|_| self.check_revocation(eum)) {
                Ok(()) => return Ok(()),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn check_sub_ca(&self, sub_ca: &Certificate) -> Result<(), InvalidEntry> {
        let mut why = InvalidEntry::NoIssuer;
        for issuer in self.issuers_of(sub_ca).filter(|issuer| is_ca(issuer) && *issuer != sub_ca) {
            match chain::check_link(sub_ca, issuer, self.now) {
                Ok(()) => return self.check_revocation(issuer),
                Err(flaw) => why = ChainError::SubCa(flaw).into(),
            }
        }
        Err(why)
    }

    fn check_revocation(&self, certificate: &Certificate) -> Result<(), InvalidEntry> {
        match self.crls.iter().any(|crl| crl.revokes(certificate)) {
            true => Err(InvalidEntry::Revoked),
            false => Ok(()),
        }
    }

    fn sub_cas(&self) -> impl Iterator<Item = &Certificate> {
        let all = self.entries.iter().map(|entry| &entry.certificate);
        all.filter(|certificate| certificate.role_or_tls_use().is_none() && is_ca(certificate))
    }

    fn issuers_of<'a>(&'a self, subject: &'a Certificate) -> impl Iterator<Item = &'a Certificate> {
        let all = self.entries.iter().map(|entry| &entry.certificate);
        all.filter(|issuer| {
            issuer.subject_key_id().is_some() && issuer.subject_key_id() == subject.authority_key_id()
        })
    }
}

fn is_ca(certificate: &Certificate) -> bool {
    certificate.basic_constraints().is_some_and(|constraints| constraints.ca)
}

#[cfg(test)]
mod tests {
    use crypto::Curve;

    use crate::{CrlPlan, Flaw, PkiOptions};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-25T00:00:00Z".parse().unwrap()
    }

    /// Checks the PKI after a change of the octets of its files. Returns the paths of the invalid
    /// certificates, each with the reason.
    fn invalid(change: impl Fn(&str, &mut Vec<u8>), now: Timestamp) -> Vec<(String, InvalidEntry)> {
        let pki = Pki::from_seed(b"listing", &PkiOptions::default()).unwrap();
        let files = pki.files();
        let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        let read = |wanted: &str| {
            let (name, octets) = files.iter().find(|(name, _)| name == wanted)?;
            let mut octets = octets.clone();
            change(name, &mut octets);
            Some(octets)
        };
        let pki = Pki::from_files(&names, read).unwrap();
        let checked = pki.check_entries(&[], now);
        checked.filter_map(|(entry, result)| Some((entry.path.clone(), result.err()?))).collect()
    }

    #[test]
    fn every_certificate_of_a_new_pki_is_valid() {
        assert_eq!(invalid(|_, _| {}, now()), []);
    }

    #[test]
    fn a_flipped_bit_in_a_signature_makes_the_certificate_and_those_below_it_invalid() {
        let flip = |name: &str, octets: &mut Vec<u8>| {
            if name == "EUM/CERT_EUM_ECDSA_NIST.der" {
                *octets.last_mut().unwrap() ^= 1;
            }
        };
        let found = invalid(flip, now());
        assert!(found.len() > 1 && found.iter().all(|(path, _)| path.ends_with("_NIST.der")), "{found:?}");
        assert!(found.iter().all(|(path, _)| path.starts_with("EUM/") || path.starts_with("eUICC/")));
        let bad = InvalidEntry::Chain(ChainError::Eum(Flaw::BadSignature));
        assert!(found.iter().all(|(_, why)| *why == bad), "{found:?}");
    }

    #[test]
    fn expired_certificates_are_invalid() {
        let found = invalid(|_, _| {}, "2200-01-01T00:00:00Z".parse().unwrap());
        assert!(matches!(found[0].1, InvalidEntry::Chain(ChainError::Ci(Flaw::Expired(_)))), "{found:?}");
    }

    #[test]
    fn a_revoked_eum_makes_its_euiccs_invalid() {
        let pki = Pki::from_seed(b"listing", &PkiOptions::default()).unwrap();
        let eum = pki.eum(Curve::P256).unwrap();
        let plan = CrlPlan { number: 1, revoked: &[eum], ..CrlPlan::default() };
        let crl = Crl::from_der(pki.crl(Curve::P256, &plan).unwrap()).unwrap();
        let crls = [crl];
        let checked = pki.check_entries(&crls, now());
        let revoked: Vec<_> = checked.filter(|(_, result)| *result == Err(InvalidEntry::Revoked)).collect();
        let roles: Vec<_> = revoked.iter().map(|(entry, _)| entry.certificate.role().unwrap()).collect();
        assert!(roles.contains(&Role::Eum) && roles.contains(&Role::Euicc), "{roles:?}");
    }
}
