//! Certificates that the CIs and the EUM of a PKI issue.

use crypto::Curve;
use rsp::ids::{Eid, Oid};
use sha2::{Digest, Sha256};

use super::{Credential, EuiccCredentials, Pki, PkiError, keys};
use crate::certificate::{Certificate, Validity};
use crate::chain::ChainError;
use crate::issue::{self, Particulars, Plan, Signer};
use crate::names::ServerName;
use crate::role::Role;

/// A certificate to be issued with a key of its own.
pub(super) struct Request<'a> {
    pub(super) role: Role,
    pub(super) curve: Curve,
    pub(super) subject: Vec<u8>,
    pub(super) validity: Validity,
    /// The label that distinguishes the derived key from others of the same issuer.
    pub(super) label: String,
    pub(super) particulars: Particulars<'a>,
}

impl Pki {
    /// Issues the certificate of an eUICC below the EUM.
    ///
    /// # Errors
    /// The EUM's certificate or key is missing, or the EID is outside its range.
    pub fn issue_euicc(
        &self,
        curve: Curve,
        eid: Eid,
        validity: Validity,
    ) -> Result<EuiccCredentials, PkiError> {
        let eum = self.credential(Role::Eum, curve)?;
        let prefixes: Vec<_> = eum.certificate.eid_range().prefixes().map(str::to_owned).collect();
        if !prefixes.iter().any(|prefix| eid.to_string().starts_with(prefix)) {
            return Err(PkiError::EidOutsideRange { eid, prefixes });
        }
        let organisation = eum.certificate.subject().organisation().unwrap_or_default();
        let euicc = issue_below(
            &eum,
            Request {
                role: Role::Euicc,
                curve,
                subject: issue::euicc_name(organisation, &eid.to_string(), "Test eUICC"),
                validity,
                label: format!("eUICC {eid}"),
                particulars: Particulars::default(),
            },
        )?;
        self.with_issuers(eid, euicc)
    }

    /// Issues an SM-DP+ TLS certificate for these names, with the OID of CERT.DPauth.
    ///
    /// # Errors
    /// The CI's key or CERT.DPauth is missing, or there is no name.
    pub fn issue_dp_tls(&self, names: &[ServerName], validity: Validity) -> Result<Credential, PkiError> {
        self.issue_dp_tls_on(self.tls_curve(), names, validity)
    }

    /// Like [`issue_dp_tls`](Self::issue_dp_tls), on another curve, which not every TLS stack
    /// supports.
    ///
    /// # Errors
    /// The same as those of [`Pki::issue_dp_tls`].
    pub fn issue_dp_tls_on(
        &self,
        curve: Curve,
        names: &[ServerName],
        validity: Validity,
    ) -> Result<Credential, PkiError> {
        self.issue_tls_beside(Role::DpAuth, Role::DpTls, curve, names, validity)
    }

    /// Issues an SM-DS TLS certificate for these names, with the OID of CERT.DSauth.
    ///
    /// # Errors
    /// The CI's key or CERT.DSauth is missing, or there is no name.
    pub fn issue_ds_tls(&self, names: &[ServerName], validity: Validity) -> Result<Credential, PkiError> {
        self.issue_ds_tls_on(self.tls_curve(), names, validity)
    }

    /// Like [`issue_ds_tls`](Self::issue_ds_tls), on another curve.
    ///
    /// # Errors
    /// The same as those of [`Pki::issue_ds_tls`].
    pub fn issue_ds_tls_on(
        &self,
        curve: Curve,
        names: &[ServerName],
        validity: Validity,
    ) -> Result<Credential, PkiError> {
        self.issue_tls_beside(Role::DsAuth, Role::DsTls, curve, names, validity)
    }

    /// Returns the TLS credential of a server. If the PKI does not contain it, a credential for
    /// localhost is issued with the validity period of CERT.CI.
    pub(super) fn tls_credential(&self, auth: Role, tls: Role) -> Result<Credential, PkiError> {
        let curve = self.tls_curve();
        self.credential(tls, curve).or_else(|missing| {
            let validity = self.ci(curve)?.validity();
            let names = [ServerName::Dns("localhost".to_owned())];
            self.issue_tls_beside(auth, tls, curve, &names, validity).map_err(|_| missing)
        })
    }

    fn issue_tls_beside(
        &self,
        auth: Role,
        tls: Role,
        curve: Curve,
        names: &[ServerName],
        validity: Validity,
    ) -> Result<Credential, PkiError> {
        let auth = self.certificate(auth, curve).ok_or_else(|| self.missing(auth, curve))?;
        let organisation = auth.subject().organisation().unwrap_or_default();
        self.issue_server(tls, curve, organisation, auth.registered_ids().first(), names, validity)
    }

    /// Issues the ES2+ client certificate of an operator. Its OID is 2.999.20 followed by 32 bits
    /// of a digest of the name.
    ///
    /// # Errors
    /// The CI's certificate or key is missing.
    pub fn issue_operator(&self, name: &str, validity: Validity) -> Result<Credential, PkiError> {
        let digest = Sha256::digest(name.as_bytes());
        let number = digest.iter().take(4).fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
        let oid = format!("2.999.20.{number}").parse()?;
        issue_below(
            &self.credential(Role::Ci, self.tls_curve())?,
            Request {
                role: Role::OperatorTls,
                curve: self.tls_curve(),
                subject: issue::organisation_name(name, "ES2+ client"),
                validity,
                label: format!("Operator {name}"),
                particulars: Particulars { oid: Some(&oid), ..Particulars::default() },
            },
        )
    }

    /// Issues a certificate for a server's role below the CI. TLS roles require names; the others
    /// have none.
    pub(super) fn issue_server(
        &self,
        role: Role,
        curve: Curve,
        organisation: &str,
        oid: Option<&Oid>,
        names: &[ServerName],
        validity: Validity,
    ) -> Result<Credential, PkiError> {
        let common_name = match names.first() {
            Some(name) => name.to_string(),
            None if role.is_tls_server() => return Err(PkiError::NoServerName),
            None => role.to_string(),
        };
        let joined = names.iter().map(ServerName::to_string).collect::<Vec<_>>().join(" ");
        issue_below(
            &self.credential(Role::Ci, curve)?,
            Request {
                role,
                curve,
                subject: issue::organisation_name(organisation, &common_name),
                validity,
                label: format!("{role} {joined}"),
                particulars: Particulars { oid, names, range: None },
            },
        )
    }

    /// Issues a plain TLS certificate on this curve for a party that is both server and client. The
    /// label distinguishes its key from others.
    pub(crate) fn issue_plain_tls(
        &self,
        curve: Curve,
        label: &str,
        organisation: &str,
        oid: &Oid,
        names: &[ServerName],
        validity: Validity,
    ) -> Result<Credential, PkiError> {
        let common_name = names.first().ok_or(PkiError::NoServerName)?.to_string();
        issue_below(
            &self.credential(Role::Ci, curve)?,
            Request {
                role: Role::SmSrTls,
                curve,
                subject: issue::organisation_name(organisation, &common_name),
                validity,
                label: format!("plain TLS {label}"),
                particulars: Particulars { oid: Some(oid), names, range: None },
            },
        )
    }
}

/// Issues a certificate below this one.
pub(super) fn issue_below(issuer: &Credential, request: Request<'_>) -> Result<Credential, PkiError> {
    if !issue::can_be_written(request.validity) {
        return Err(PkiError::Validity(request.validity));
    }
    let key = keys::derive(issuer.key.to_bytes().expose(), &request.label, request.curve);
    let public_key = key.public_key();
    let issuer_id = issuer.certificate.subject_key_id().ok_or(ChainError::Ci(crate::Flaw::KeyIdentifier))?;
    let plan = Plan {
        subject: request.subject,
        validity: request.validity,
        extensions: issue::extensions(request.role, &public_key, issuer_id, &request.particulars),
        public_key,
    };
    let signer = Signer { name: issuer.certificate.subject().der(), key: &issuer.key };
    Ok(Credential { certificate: Certificate::from_der(plan.sign(&signer))?, key })
}
