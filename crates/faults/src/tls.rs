//! Faults of TLS certificates. Only servers with sockets use TLS, so these faults do not exist in the
//! simulation. The server asks the injector at each handshake, and presents the substitute.

use std::collections::BTreeSet;

use certs::{
    BrokenCredential, Certificate, Credential, CrlPlan, Defect, Pki, PkiError, Role, ServerName, Validity,
};

use super::acts::TlsAct;
use super::catalogue::FaultId;
use super::{FaultInjector, FaultSpec};

/// The name in a certificate of another server.
const OTHER_SERVER: &str = "other-server.landfall.example";

/// A certificate that replaces the certificate of a server.
#[derive(Clone, Debug)]
pub struct TlsSubstitute {
    /// The certificate and its key.
    pub credential: Credential,
    /// The revocation list (DER) that contains the certificate.
    pub crl: Option<Vec<u8>>,
}

impl FaultInjector {
    /// Registers a TLS handshake at a server (`sm-dp`, `sm-ds`), and returns the fault that happens,
    /// if any.
    pub fn next_tls_fault(&self, server: &str) -> Option<TlsAct> {
        let concerns = |spec: &FaultSpec| matches!(spec.id(), FaultId::Tls(_)) && spec.is_at(&[server]);
        match self.next_fault(concerns)?.id() {
            FaultId::Tls(act) => Some(act),
            _ => None,
        }
    }

    /// Returns the faults of the TLS certificate of this server that are installed.
    pub fn tls_faults(&self, server: &str) -> BTreeSet<TlsAct> {
        let installed = self.injected_counts().into_iter().filter(|(spec, _)| spec.is_at(&[server]));
        installed
            .filter_map(|(spec, _)| match spec.id() {
                FaultId::Tls(act) => Some(act),
                _ => None,
            })
            .collect()
    }
}

impl TlsSubstitute {
    /// Issues the certificate of a fault. Apart from the fault, it equals the certificate `served`
    /// of an SM-DP+ or SM-DS of this PKI.
    ///
    /// # Errors
    /// The key of the CI is missing.
    pub fn issue(act: TlsAct, pki: &Pki, served: &Credential) -> Result<Self, PkiError> {
        let defect = match act {
            TlsAct::Expired => Defect::Expired,
            TlsAct::NotYetValid => Defect::NotYetValid,
            TlsAct::UnknownCi => Defect::StrangerCi,
            TlsAct::WrongRole => Defect::WrongRole,
            TlsAct::ClientOnly => Defect::ClientOnly,
            TlsAct::WrongName => {
                let other = [ServerName::Dns(OTHER_SERVER.to_owned())];
                let credential = issue(pki, served, &other, served.certificate.validity())?;
                return Ok(Self { credential, crl: None });
            }
            TlsAct::Revoked => {
                // The other begin of the validity makes another serial number, so that the list does
                // not contain the certificate that the server normally presents.
                let Validity { from, to } = served.certificate.validity();
                let from = from.plus(std::time::Duration::from_secs(1));
                let names = served.certificate.server_names();
                let revoked = issue(pki, served, names, Validity { from, to })?;
                let crl = pki.crl(
                    revoked.certificate.curve(),
                    &CrlPlan { number: 1, revoked: &[&revoked.certificate], ..CrlPlan::default() },
                )?;
                return Ok(Self { credential: revoked, crl: Some(crl) });
            }
        };
        let BrokenCredential { der, key } = pki.issue_like(served, defect)?;
        Ok(Self { credential: Credential { certificate: Certificate::from_der(der)?, key }, crl: None })
    }
}

fn issue(
    pki: &Pki,
    served: &Credential,
    names: &[ServerName],
    validity: Validity,
) -> Result<Credential, PkiError> {
    match served.certificate.role() {
        Some(Role::DsTls) => pki.issue_ds_tls(names, validity),
        _ => pki.issue_dp_tls(names, validity),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use certs::{PkiOptions, TrustAnchors, check_server};
    use crypto::Curve;

    use super::*;

    #[test]
    fn every_substitute_differs_from_the_certificate_of_the_server_in_one_point() {
        let pki = Pki::from_seed(b"substitutes", &PkiOptions::default()).unwrap();
        let anchors: TrustAnchors = pki.anchors().unwrap();
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        let served = [pki.dp(Curve::P256).unwrap().tls, pki.ds(Curve::P256).unwrap().tls];
        for (served, role) in served.iter().zip([Role::DpTls, Role::DsTls]) {
            for entry in crate::catalogue::all() {
                let FaultId::Tls(act) = entry.id else { continue };
                let substitute = TlsSubstitute::issue(act, &pki, served).unwrap();
                let certificate = &substitute.credential.certificate;
                // Names and revocation lists are not part of the chain.
                let is_chain_valid = check_server(&anchors, certificate, &[], role, now).is_ok();
                assert_eq!(is_chain_valid, matches!(act, TlsAct::WrongName | TlsAct::Revoked), "{act:?}");
                let is_same_name = certificate.server_names() == served.certificate.server_names();
                assert_eq!(is_same_name, act != TlsAct::WrongName, "{act:?}");
                assert_eq!(substitute.crl.is_some(), act == TlsAct::Revoked);
                assert_eq!(certificate.public_key(), &substitute.credential.key.public_key());
            }
        }
    }

    #[test]
    fn a_list_in_the_folder_of_the_pki_revokes_its_certificate_only() {
        let pki = Pki::from_seed(b"substitutes", &PkiOptions::default()).unwrap();
        let served = pki.dp(Curve::P256).unwrap().tls;
        let substitute = TlsSubstitute::issue(TlsAct::Revoked, &pki, &served).unwrap();
        let mut files = pki.files();
        files.push(("CRL.crl".to_owned(), substitute.crl.unwrap()));
        let listing: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
        let files = Arc::new(files);
        let read =
            |path: &str| files.iter().find(|(other, _)| other == path).map(|(_, octets)| octets.clone());
        let pki = Pki::from_files(&listing, read).unwrap();
        let lists = pki.revocation_lists().unwrap();
        assert_eq!(lists.len(), 1);
        assert!(lists[0].revokes(&substitute.credential.certificate));
        assert!(!lists[0].revokes(&served.certificate));
    }
}
