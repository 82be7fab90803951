//! Credentials of SGP.02 as files below the PKI's folder, for third-party programs. Programs of
//! this project derive the credentials instead.

use rsp::ids::Eid;

use super::{CardCredential, Owner, ServerCredentials};
use crate::pki::{file_name, key_pem};

impl ServerCredentials {
    /// Returns the files of a server as paths and octets: the certificate and the key for TLS, and
    /// the certificate (`.7f21`, as sent to a card) and the key for cards.
    #[must_use]
    pub fn files(&self, owner: Owner, name: &str) -> Vec<(String, Vec<u8>)> {
        let folder = format!("M2M/{}_{}", owner.to_string().replace('-', "_"), file_name(name));
        let mut files = vec![
            (format!("{folder}/CERT_TLS_NIST.der"), self.tls.certificate.der().to_vec()),
            (format!("{folder}/SK_TLS_NIST.pem"), self.tls.key_pem()),
        ];
        files.extend(self.card.files(&folder, "CARD"));
        files
    }
}

impl CardCredential {
    /// Returns the files of this card's ECASD as paths and octets.
    #[must_use]
    pub fn ecasd_files(&self, eid: Eid) -> Vec<(String, Vec<u8>)> {
        self.files("M2M/ECASD", &eid.to_string())
    }

    fn files(&self, folder: &str, name: &str) -> Vec<(String, Vec<u8>)> {
        vec![
            (format!("{folder}/CERT_{name}_ECDSA_NIST.7f21"), self.certificate.octets().to_vec()),
            (format!("{folder}/SK_{name}_ECDSA_NIST.pem"), key_pem(&self.key)),
        ]
    }
}
