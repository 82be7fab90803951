//! The keys of an eIM of SGP.32: section 4.5 and 6.1. An eIM has no RSP role, so its certificates are
//! plain ones.

use crypto::{Curve, PublicKey, SecretKey};
use rsp::ids::Oid;
use sha2::{Digest, Sha256};

use crate::issue;
use crate::names::ServerName;
use crate::pki::{Credential, Pki, PkiError, file_name, key_pem};
use crate::role::Role;

/// The arc of the OIDs of eIMs.
const OIDS: &str = "2.999.17";

/// The keys of an eIM.
#[derive(Clone, Debug)]
pub struct EimCredentials {
    /// The keys that sign packages for eUICCs. eUICCs know the first one; the others are for key
    /// rollover, in this order.
    pub signing: Vec<SecretKey>,
    /// The TLS server certificate, which is also the client certificate towards an SM-DP+.
    pub tls: Credential,
}

/// Number of signing keys of an eIM: the present key, and those for a key rollover.
const SIGNING_KEYS: usize = 4;

impl Pki {
    /// Returns the keys of the eIM with this name, derived from the key of the CI. The TLS certificate
    /// is for these server names.
    ///
    /// # Errors
    /// The CI's certificate or key is missing, or there is no server name.
    pub fn eim(&self, name: &str, server_names: &[ServerName]) -> Result<EimCredentials, PkiError> {
        let curve = self.tls_curve();
        let ci = self.credential(Role::Ci, curve)?;
        let signing =
            (1..=SIGNING_KEYS).map(|key| ci.derived_key(&format!("eIM {name} signing {key}"), curve));
        Ok(EimCredentials { signing: signing.collect(), tls: self.eim_tls_on(curve, name, server_names)? })
    }

    /// Returns the TLS certificate of the eIM with this name on this curve. The one on
    /// [`Pki::tls_curve`] is that of [`Pki::eim`].
    ///
    /// # Errors
    /// The CI's certificate or key is missing, or there is no server name.
    pub fn eim_tls_on(
        &self,
        curve: Curve,
        name: &str,
        server_names: &[ServerName],
    ) -> Result<Credential, PkiError> {
        let digest = Sha256::digest(name.as_bytes());
        let number = digest.iter().take(4).fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
        let oid: Oid = format!("{OIDS}.{number}").parse()?;
        let validity = self.ci(curve)?.validity();
        self.issue_plain_tls(curve, &format!("eIM {name}"), name, &oid, server_names, validity)
    }
}

impl EimCredentials {
    /// Returns the files of the eIM with this name as paths and octets: the certificate and the key for
    /// TLS, and each signing key with its public key as in eimPublicKeyData (`.spki`).
    #[must_use]
    pub fn files(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let folder = format!("EIM/{}", file_name(name));
        let mut files = vec![
            (format!("{folder}/CERT_TLS_NIST.der"), self.tls.certificate.der().to_vec()),
            (format!("{folder}/SK_TLS_NIST.pem"), self.tls.key_pem()),
        ];
        for (number, key) in (1..).zip(&self.signing) {
            let public = subject_public_key_info(&key.public_key());
            files.push((format!("{folder}/PK_SIGN_{number}_NIST.spki"), public));
            files.push((format!("{folder}/SK_SIGN_{number}_NIST.pem"), key_pem(key)));
        }
        files
    }
}

/// Encodes a public key as SubjectPublicKeyInfo: RFC 5280 section 4.1.2.7.
#[must_use]
pub fn subject_public_key_info(key: &PublicKey) -> Vec<u8> {
    issue::public_key_info(key)
}
