//! Certificates with exactly one defect, for tests of peers that must refuse them.

use crypto::{Curve, SecretKey};
use rsp::ids::{Eid, Oid};
use rsp::time::Timestamp;
use serde::Deserialize;

use super::{Credential, Pki, PkiError, keys, seed};
use crate::certificate::{ORGANIZATION_NAME, SERIAL_NUMBER, Validity};
use crate::ids::numbered_eid;
use crate::issue::{self, Extension, Particulars, Plan, Signer};
use crate::role::Role;

/// The single defect of an otherwise valid certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// Valid in the year 2001 only. Tests that the peer checks `notAfter`.
    Expired,
    /// Valid in the year 9999 only. Tests that the peer checks `notBefore`.
    NotYetValid,
    /// The policy is that of another role (SM-DP+ authentication instead of profile binding, for
    /// example). Tests that the peer checks `certificatePolicies` and does not accept any
    /// certificate of its CI for any purpose.
    WrongRole,
    /// The certificate has no policies. Tests that the peer does not skip the role check in this
    /// case.
    NoRole,
    /// The certificate is issued by a CI of the same name with another key. Tests that the peer
    /// trusts keys, not names.
    StrangerCi,
    /// The issuer is correct, but the signature was made with another key. Tests that the peer
    /// verifies the signature.
    ForgedSignature,
    /// An octet of the subject was changed after signing. Tests that the peer verifies the
    /// signature of the received octets.
    Tampered,
    /// The key usage is wrong: a leaf may sign only certificates, or an EUM may not sign
    /// certificates.
    WrongKeyUsage,
    /// The key usage is missing. Tests that the peer does not treat its absence as a permission.
    NoKeyUsage,
    /// The CA certificate has no basicConstraints. Tests that the peer accepts certificates from
    /// CAs only.
    NotACa,
    /// The authority key identifier is missing. Tests that the peer does not guess the issuer.
    NoAuthorityKeyId,
    /// The registered object identifier differs from the operator's other certificates. Tests that
    /// the peer compares the OIDs of CERT.DPauth and CERT.DPpb.
    OtherOid,
    /// The registered object identifier is missing. Tests that the peer does not treat two missing
    /// OIDs as equal.
    NoOid,
    /// The EID of the eUICC is outside the range of its EUM. Tests that the peer checks name
    /// constraints.
    EidOutsideRange,
    /// The organisation of the eUICC differs from its EUM's. Tests that the peer checks name
    /// constraints.
    OtherOrganisation,
    /// The EUM certificate states no range. Tests that the peer does not treat its absence as a
    /// permission.
    NoEidRange,
    /// The certificate has an unknown critical extension, which the peer must refuse.
    UnknownCriticalExtension,
    /// The key is on a curve other than the CI's. Tests that the peer does not mix curves.
    OtherCurve,
    /// The extended key usage permits only TLS clients. Tests that the peer does not accept the
    /// certificate of a client from a server.
    ClientOnly,
}

/// A certificate with a defect, as octets, because it may be undecodable.
#[derive(Clone, Debug)]
pub struct BrokenCredential {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// The private key: that of the valid certificate's holder, except for [`Defect::OtherCurve`].
    pub key: SecretKey,
}

impl Defect {
    /// All defects.
    pub const ALL: [Self; 19] = [
        Self::Expired,
        Self::NotYetValid,
        Self::WrongRole,
        Self::NoRole,
        Self::StrangerCi,
        Self::ForgedSignature,
        Self::Tampered,
        Self::WrongKeyUsage,
        Self::NoKeyUsage,
        Self::NotACa,
        Self::NoAuthorityKeyId,
        Self::OtherOid,
        Self::NoOid,
        Self::EidOutsideRange,
        Self::OtherOrganisation,
        Self::NoEidRange,
        Self::UnknownCriticalExtension,
        Self::OtherCurve,
        Self::ClientOnly,
    ];

    /// True if a certificate of this role can have this defect.
    #[must_use]
    pub const fn applies_to(self, role: Role) -> bool {
        match self {
            Self::NoRole => !matches!(role, Role::Ci | Role::OperatorTls | Role::SmSrTls),
            Self::NotACa | Self::NoEidRange => matches!(role, Role::Eum),
            Self::OtherOid | Self::NoOid => !matches!(role, Role::Ci | Role::Eum | Role::Euicc),
            Self::EidOutsideRange | Self::OtherOrganisation => matches!(role, Role::Euicc),
            Self::ClientOnly => role.is_tls_server(),
            _ => !matches!(role, Role::Ci),
        }
    }
}

impl Pki {
    /// Issues the certificate of this role's holder with a defect, for the holder's key.
    ///
    /// # Errors
    /// The credential of the role or of its issuer is missing, or the defect does not apply to the
    /// role.
    pub fn issue_with(&self, defect: Defect, role: Role, curve: Curve) -> Result<BrokenCredential, PkiError> {
        if !defect.applies_to(role) {
            return Err(PkiError::DefectDoesNotApply { defect, role });
        }
        self.issue_like(&self.credential(role, curve)?, defect)
    }

    /// Issues a certificate that equals `good` except for a defect, for the same key.
    ///
    /// # Errors
    /// The issuer's credential is missing, or the defect does not apply to the role of `good`.
    pub fn issue_like(&self, good: &Credential, defect: Defect) -> Result<BrokenCredential, PkiError> {
        let curve = good.certificate.curve();
        let role = good.certificate.role_or_tls_use().unwrap_or(Role::SmSrTls);
        if !defect.applies_to(role) {
            return Err(PkiError::DefectDoesNotApply { defect, role });
        }
        let issuer = self.credential(if role == Role::Euicc { Role::Eum } else { Role::Ci }, curve)?;
        let mut key = good.key.clone();
        if defect == Defect::OtherCurve {
            let other = match curve {
                Curve::P256 => Curve::BrainpoolP256r1,
                Curve::BrainpoolP256r1 => Curve::P256,
            };
            key = keys::derive(good.key.to_bytes().expose(), "other curve", other);
        }
        let mut plan = plan_of(good, &issuer, role, &key);
        let stranger = seed::make_ci(
            keys::derive(issuer.key.to_bytes().expose(), "stranger", curve),
            issuer.certificate.validity(),
        )?;
        apply_defect(&mut plan, defect, good, &stranger)?;
        let by_stranger = matches!(defect, Defect::StrangerCi | Defect::ForgedSignature);
        let signer = Signer {
            name: issuer.certificate.subject().der(),
            key: if by_stranger { &stranger.key } else { &issuer.key },
        };
        let mut der = plan.sign(&signer);
        if defect == Defect::Tampered {
            flip_last_octet_of(&plan.subject, &mut der);
        }
        Ok(BrokenCredential { der, key })
    }
}

/// Returns the plan of a certificate that equals the existing one.
fn plan_of(good: &Credential, issuer: &Credential, role: Role, key: &SecretKey) -> Plan {
    let certificate = &good.certificate;
    let prefixes: Vec<_> = certificate.eid_range().prefixes().map(str::to_owned).collect();
    let particulars = Particulars {
        oid: certificate.registered_ids().first(),
        names: certificate.server_names(),
        range: Some((certificate.subject().organisation().unwrap_or_default(), &prefixes)),
    };
    let public_key = key.public_key();
    let issuer_id = issuer.certificate.subject_key_id().cloned();
    let issuer_id = issuer_id.unwrap_or_else(|| issue::key_id(issuer.certificate.public_key()));
    let mut plan = Plan {
        subject: certificate.subject().der().to_vec(),
        validity: certificate.validity(),
        extensions: issue::extensions(role, &public_key, &issuer_id, &particulars),
        public_key,
    };
    // The holder's other certificates refer to its existing key identifier, however that was
    // computed.
    if let (Some(own), true) = (certificate.subject_key_id(), good.key.curve() == key.curve()) {
        plan.replace(issue::SUBJECT_KEY_ID, issue::subject_key_id(own));
    }
    plan
}

fn apply_defect(
    plan: &mut Plan,
    defect: Defect,
    good: &Credential,
    stranger: &Credential,
) -> Result<(), PkiError> {
    let certificate = &good.certificate;
    let role = certificate.role();
    match defect {
        Defect::Expired => plan.validity = year(978_307_200),
        Defect::NotYetValid => plan.validity = year(253_370_764_800),
        Defect::WrongRole => change_role(plan, role),
        Defect::NoRole => plan.remove(issue::CERTIFICATE_POLICIES),
        Defect::StrangerCi => {
            let id = issue::key_id(stranger.certificate.public_key());
            plan.replace(issue::AUTHORITY_KEY_ID, issue::authority_key_id(&id));
        }
        Defect::WrongKeyUsage => {
            let wrong = if role == Some(Role::Eum) { issue::DIGITAL_SIGNATURE } else { issue::KEY_CERT_SIGN };
            plan.replace(issue::KEY_USAGE, issue::key_usage(&[wrong]));
        }
        Defect::NoKeyUsage => plan.remove(issue::KEY_USAGE),
        Defect::NotACa => plan.remove(issue::BASIC_CONSTRAINTS),
        Defect::NoAuthorityKeyId => plan.remove(issue::AUTHORITY_KEY_ID),
        Defect::OtherOid => {
            let other: Oid = "2.999.66".parse()?;
            let names = issue::subject_alt_name(certificate.server_names(), Some(&other));
            plan.replace(issue::SUBJECT_ALT_NAME, names);
        }
        Defect::NoOid if certificate.server_names().is_empty() => plan.remove(issue::SUBJECT_ALT_NAME),
        Defect::NoOid => {
            plan.replace(issue::SUBJECT_ALT_NAME, issue::subject_alt_name(certificate.server_names(), None));
        }
        Defect::EidOutsideRange => {
            let foreign = foreign_eid(certificate.eid())?.to_string();
            plan.subject = with_attribute(certificate, SERIAL_NUMBER, &foreign);
        }
        Defect::OtherOrganisation => {
            plan.subject = with_attribute(certificate, ORGANIZATION_NAME, "Somebody Else")
        }
        Defect::NoEidRange => plan.remove(issue::NAME_CONSTRAINTS),
        Defect::UnknownCriticalExtension => plan.extensions.push(unknown_critical_extension()),
        Defect::ClientOnly => {
            plan.replace(issue::EXTENDED_KEY_USAGE, issue::extended_key_usage(Role::OperatorTls));
        }
        Defect::ForgedSignature | Defect::Tampered | Defect::OtherCurve => {}
    }
    Ok(())
}

fn year(first_second: i64) -> Validity {
    let from = Timestamp::from_seconds(first_second);
    Validity { from, to: Timestamp::from_seconds(first_second.saturating_add(365 * 86_400 - 1)) }
}

/// Replaces the role by a similar one. A plain TLS certificate gets the policy of an SM-DS.
fn change_role(plan: &mut Plan, role: Option<Role>) {
    let other = match role {
        Some(Role::DpAuth) => Role::DpPb,
        Some(Role::DpPb) => Role::DpAuth,
        Some(Role::DpTls) => Role::DsTls,
        Some(Role::DsTls) => Role::DpTls,
        Some(Role::DsAuth) => Role::DsTls,
        Some(Role::Euicc) => Role::Eum,
        Some(Role::Eum) => Role::Ci,
        _ => Role::DsAuth,
    };
    let policies = issue::certificate_policies(&other.policy().unwrap_or_default());
    if role.is_some() {
        plan.replace(issue::CERTIFICATE_POLICIES, policies);
    } else {
        plan.extensions.push(issue::extension(issue::CERTIFICATE_POLICIES, false, policies));
    }
}

/// Returns the first EID of another manufacturer.
fn foreign_eid(own: Option<Eid>) -> Result<Eid, PkiError> {
    let begins_alike = |prefix: &str| own.is_some_and(|eid| eid.to_string().starts_with(prefix));
    let prefix = if begins_alike("89033023") { "89044045" } else { "89033023" };
    Ok(numbered_eid(prefix, 1)?)
}

/// Returns the subject with another value of one attribute.
fn with_attribute(certificate: &crate::Certificate, attribute: &str, value: &str) -> Vec<u8> {
    let kinds: Vec<_> = certificate.subject().attributes.iter().map(|(kind, _)| kind.to_string()).collect();
    let pairs = kinds.iter().zip(&certificate.subject().attributes).map(|(kind, (_, old))| {
        let value = if kind == attribute { value } else { old.as_str() };
        (kind.as_str(), value)
    });
    issue::name(&pairs.collect::<Vec<_>>())
}

/// Returns the extension 2.999.99 with a NULL as value.
fn unknown_critical_extension() -> Extension {
    issue::extension("2.999.99", true, vec![0x05, 0x00])
}

fn flip_last_octet_of(subject: &[u8], der: &mut [u8]) {
    let at = der.windows(subject.len()).position(|window| window == subject);
    let last = at.and_then(|at| at.checked_add(subject.len())?.checked_sub(1));
    if let Some(octet) = last.and_then(|last| der.get_mut(last)) {
        *octet ^= 0x01;
    }
}
