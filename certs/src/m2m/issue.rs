//! The credentials of the parties of SGP.02, derived from the keys of the CI and the EUM.

use crypto::{Curve, Secret, SecretKey};
use rsp::ids::{Eid, Oid};
use rsp::sgp02::certificate::{Contents, CurveReference, Day, USAGE_OF_ECASDS, USAGE_OF_SERVERS};
use sha2::{Digest, Sha256};

use super::{CardCertificate, CardCredential, IsdRKeys, Owner, ServerCredentials};
use crate::certificate::Validity;
use crate::issue::key_id;
use crate::names::ServerName;
use crate::pki::{Credential, Pki, PkiError};
use crate::role::Role;

/// The curve of card certificates. All implementations of SGP.02 support it.
pub(super) const CURVE: Curve = Curve::P256;

/// The arcs of the parties' object identifiers. The last arc is 32 bits of a digest of the name.
const SM_DP: &str = "2.999.10";
const SM_SR: &str = "2.999.16";
const OPERATOR: &str = "2.999.20";
const EUM: &str = "2.999.5";

fn arc(owner: Owner) -> &'static str {
    match owner {
        Owner::SmDp => SM_DP,
        Owner::SmSr => SM_SR,
    }
}

/// A certificate to be signed.
pub(super) struct Plan {
    pub(super) contents: Contents,
    pub(super) signer: SecretKey,
}

impl Plan {
    pub(super) fn sign(mut self) -> Vec<u8> {
        // The serial number is a digest of the other contents, as in the X.509 certificates:
        // different contents have different numbers.
        self.contents.serial_number =
            Sha256::digest(self.contents.to_be_signed()).iter().take(8).copied().collect();
        let signature = self.signer.sign(&self.contents.to_be_signed());
        self.contents.signed(signature.as_bytes())
    }
}

impl Pki {
    /// Returns the object identifier of the SM-DP or SM-SR with this name: below 2.999.10 or
    /// 2.999.16.
    ///
    /// # Errors
    /// The identifier cannot be encoded, which does not happen in practice.
    pub fn m2m_oid(&self, owner: Owner, name: &str) -> Result<Oid, PkiError> {
        oid_below(arc(owner), name)
    }

    /// Returns the credentials of the SM-DP or SM-SR with this name. The TLS certificate is for
    /// these server names.
    ///
    /// # Errors
    /// The CI's certificate or key on NIST P-256 is missing, or there is no server name.
    pub fn m2m_server(
        &self,
        owner: Owner,
        name: &str,
        server_names: &[ServerName],
    ) -> Result<ServerCredentials, PkiError> {
        let oid = self.m2m_oid(owner, name)?;
        let card = self.m2m_card_credential(owner, name)?;
        let tls = self.m2m_tls_on(self.tls_curve(), owner, name, server_names)?;
        Ok(ServerCredentials { oid, card, tls })
    }

    /// Returns the TLS certificate of the SM-DP or SM-SR with this name on this curve. The one on
    /// [`Pki::tls_curve`] is that of [`Pki::m2m_server`].
    ///
    /// # Errors
    /// The CI's certificate or key is missing, or there is no server name.
    pub fn m2m_tls_on(
        &self,
        curve: Curve,
        owner: Owner,
        name: &str,
        server_names: &[ServerName],
    ) -> Result<Credential, PkiError> {
        self.m2m_tls(curve, &self.m2m_oid(owner, name)?, name, &owner.to_string(), server_names)
    }

    /// Returns only the card certificate of the SM-DP or SM-SR, with its key.
    ///
    /// # Errors
    /// The CI's certificate or key on NIST P-256 is missing.
    pub fn m2m_card_credential(&self, owner: Owner, name: &str) -> Result<CardCredential, PkiError> {
        let (plan, key) = self.m2m_server_plan(owner, name)?;
        credential(plan, key)
    }

    pub(super) fn m2m_server_plan(&self, owner: Owner, name: &str) -> Result<(Plan, SecretKey), PkiError> {
        let ci = self.credential(Role::Ci, CURVE)?;
        let key = ci.derived_key(&format!("{owner} {name} for cards"), CURVE);
        let contents = Contents {
            owner: Some(owner),
            key_usage: USAGE_OF_SERVERS.to_vec(),
            ..contents(&ci, self.m2m_oid(owner, name)?.der_contents(), &key)?
        };
        Ok((Plan { contents, signer: ci.key }, key))
    }

    /// Returns the credential of this card's ECASD: a certificate issued by the EUM, and its key.
    ///
    /// # Errors
    /// The EUM's certificate or key on NIST P-256 is missing, or the EID is outside its range.
    pub fn ecasd(&self, eid: Eid) -> Result<CardCredential, PkiError> {
        let (plan, key) = self.ecasd_plan(eid)?;
        credential(plan, key)
    }

    pub(super) fn ecasd_plan(&self, eid: Eid) -> Result<(Plan, SecretKey), PkiError> {
        let eum = self.credential(Role::Eum, CURVE)?;
        let prefixes: Vec<_> = eum.certificate.eid_range().prefixes().map(str::to_owned).collect();
        if !prefixes.iter().any(|prefix| eid.to_string().starts_with(prefix)) {
            return Err(PkiError::EidOutsideRange { eid, prefixes });
        }
        let key = eum.derived_key(&format!("ECASD {eid}"), CURVE);
        let contents = Contents { key_usage: USAGE_OF_ECASDS.to_vec(), ..contents(&eum, &eid.0, &key)? };
        Ok((Plan { contents, signer: eum.key }, key))
    }

    /// Returns the keys of the ISD-R that the EUM stores on this card and sends to its first SM-SR.
    ///
    /// # Errors
    /// The EUM's key on NIST P-256 is missing.
    pub fn isd_r_keys(&self, eid: Eid) -> Result<IsdRKeys, PkiError> {
        let eum = self.credential(Role::Eum, CURVE)?;
        let key = |which: &str| {
            let derived = eum.derived_key(&format!("ISD-R {eid} {which}"), CURVE).to_bytes();
            // The key is the first half of a pseudorandom number of 32 octets.
            Secret::new(derived.expose().first_chunk().copied().unwrap_or([0; 16]))
        };
        Ok(IsdRKeys {
            kic: key("KIc"),
            kid: key("KID"),
            dek: key("DEK"),
            psk: key("PSK"),
            psk_dek: key("PSK DEK"),
        })
    }

    /// Returns the TLS credential of an operator, for both client and server (asynchronous
    /// responses). The object identifier is that of [`Pki::issue_operator`].
    ///
    /// # Errors
    /// The CI's certificate or key on NIST P-256 is missing, or there is no server name.
    pub fn m2m_operator(&self, name: &str, server_names: &[ServerName]) -> Result<Credential, PkiError> {
        self.m2m_tls(self.tls_curve(), &oid_below(OPERATOR, name)?, name, "operator", server_names)
    }

    /// Returns the TLS credential of the EUM, the client on ES1. An EIS is signed with another key,
    /// that of CERT.EUM.
    ///
    /// # Errors
    /// The EUM's or the CI's certificate or key on NIST P-256 is missing, or there is no server
    /// name.
    pub fn m2m_eum(&self, server_names: &[ServerName]) -> Result<Credential, PkiError> {
        let eum = self.eum(CURVE)?;
        let organisation = eum.subject().organisation().unwrap_or_default().to_owned();
        let oid = match eum.registered_ids().first() {
            Some(oid) => oid.clone(),
            None => EUM.parse()?,
        };
        self.m2m_tls(self.tls_curve(), &oid, &organisation, "EUM", server_names)
    }

    fn m2m_tls(
        &self,
        curve: Curve,
        oid: &Oid,
        name: &str,
        part: &str,
        server_names: &[ServerName],
    ) -> Result<Credential, PkiError> {
        let validity = self.ci(curve)?.validity();
        self.issue_plain_tls(curve, &format!("{part} {name}"), name, oid, server_names, validity)
    }
}

fn oid_below(arc: &str, name: &str) -> Result<Oid, PkiError> {
    let digest = Sha256::digest(name.as_bytes());
    let number = digest.iter().take(4).fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
    Ok(format!("{arc}.{number}").parse()?)
}

/// Returns the common contents of a certificate. Its validity period is that of the issuer's
/// certificate.
fn contents(issuer: &Credential, subject: &[u8], key: &SecretKey) -> Result<Contents, PkiError> {
    let Validity { from, to } = issuer.certificate.validity();
    let id = issuer.certificate.subject_key_id().cloned();
    let id = id.unwrap_or_else(|| key_id(issuer.certificate.public_key()));
    let authority = issuer.certificate.registered_ids().first().map(|oid| oid.der_contents().to_vec());
    Ok(Contents {
        serial_number: vec![1],
        authority: authority.unwrap_or_else(|| id.0.iter().take(16).copied().collect()),
        subject: subject.to_vec(),
        key_usage: Vec::new(),
        effective: Day::of(from),
        expires: Day::of(to).ok_or(PkiError::Validity(Validity { from, to }))?,
        owner: None,
        authority_key: Some(id.0),
        point: key.public_key().to_sec1().to_vec(),
        curve: CurveReference::P256,
    })
}

fn credential(plan: Plan, key: SecretKey) -> Result<CardCredential, PkiError> {
    let certificate = CardCertificate::parse(&plan.sign()).map_err(crate::CertificateError::from)?;
    Ok(CardCredential { certificate, key })
}
