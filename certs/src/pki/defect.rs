//! Certificates that are wrong in one way each. What they test is the peer: it has to refuse them.

use crypto::{Curve, SecretKey};
use rsp::ids::{Eid, Oid};
use rsp::time::Timestamp;

use super::{Credential, Pki, PkiError, keys, seed};
use crate::certificate::{ORGANIZATION_NAME, SERIAL_NUMBER, Validity};
use crate::ids::numbered_eid;
use crate::issue::{self, Extension, Particulars, Plan, Signer};
use crate::role::Role;

/// One thing that is wrong with a certificate, all else being right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// Valid for the year 2001 only: the peer checks `notAfter`.
    Expired,
    /// Valid in the year 9999 only: the peer checks `notBefore`.
    NotYetValid,
    /// Its policy is that of another role (SM-DP+ authentication for profile binding, and so on): the peer checks
    /// `certificatePolicies` and does not take any certificate of its CI for any purpose.
    WrongRole,
    /// It has no certificate policies: the peer does not skip the role check when there is nothing to check.
    NoRole,
    /// Issued by a CI of the same name with another key: the peer chains to keys that it trusts, not to names.
    StrangerCi,
    /// Names the right issuer, but somebody else signed: the peer verifies the signature.
    ForgedSignature,
    /// An octet of the subject was changed after signing: the peer verifies the signature over what it received.
    Tampered,
    /// The key usage is that of the other kind: a leaf that may sign certificates only, an EUM that may not.
    WrongKeyUsage,
    /// No key usage at all: absence is no permission.
    NoKeyUsage,
    /// A CA without basicConstraints: the peer takes certificates from CAs only.
    NotACa,
    /// No authority key identifier: the peer does not guess who issued it.
    NoAuthorityKeyId,
    /// Another registered object identifier than the rest of its operator's certificates: the peer compares the
    /// OIDs of CERT.DPauth and CERT.DPpb.
    OtherOid,
    /// No registered object identifier: two absent OIDs are not equal.
    NoOid,
    /// An eUICC's EID outside the range of its EUM: the peer checks name constraints.
    EidOutsideRange,
    /// An eUICC of another organisation than its EUM: the peer checks name constraints.
    OtherOrganisation,
    /// An EUM whose range is not stated: absence is no permission.
    NoEidRange,
    /// A critical extension that nobody knows: the peer refuses what it does not understand.
    UnknownCriticalExtension,
    /// Its key is on the other curve than its CI's: the peer does not mix curves.
    OtherCurve,
}

/// A certificate with a defect. It may be so wrong that it cannot be read, so it is octets.
#[derive(Clone, Debug)]
pub struct BrokenCredential {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// The key that fits it: the right one of its holder, except for [`Defect::OtherCurve`].
    pub key: SecretKey,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 18] = [
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
    ];

    /// Whether a certificate of this role can have it.
    #[must_use]
    pub const fn applies_to(self, role: Role) -> bool {
        match self {
            Self::NoRole => !matches!(role, Role::Ci | Role::OperatorTls | Role::SmSrTls),
            Self::NotACa | Self::NoEidRange => matches!(role, Role::Eum),
            Self::OtherOid | Self::NoOid => !matches!(role, Role::Ci | Role::Eum | Role::Euicc),
            Self::EidOutsideRange | Self::OtherOrganisation => matches!(role, Role::Euicc),
            _ => !matches!(role, Role::Ci),
        }
    }
}

impl Pki {
    /// The certificate that the holder of this role has, with a defect, on the key the holder has.
    ///
    /// # Errors
    /// The role's credential or its issuer's is missing, or the role's certificate cannot have this defect.
    pub fn issue_with(&self, defect: Defect, role: Role, curve: Curve) -> Result<BrokenCredential, PkiError> {
        if !defect.applies_to(role) {
            return Err(PkiError::DefectDoesNotApply { defect, role });
        }
        let good = self.credential(role, curve)?;
        let issuer = self.credential(if role == Role::Euicc { Role::Eum } else { Role::Ci }, curve)?;
        let mut key = good.key.clone();
        if defect == Defect::OtherCurve {
            let other = match curve {
                Curve::P256 => Curve::BrainpoolP256r1,
                Curve::BrainpoolP256r1 => Curve::P256,
            };
            key = keys::derive(good.key.to_bytes().expose(), "other curve", other);
        }
        let mut plan = plan_again(&good, &issuer, role, &key);
        let stranger = seed::make_ci(
            keys::derive(issuer.key.to_bytes().expose(), "stranger", curve),
            issuer.certificate.validity(),
        )?;
        spoil(&mut plan, defect, &good, &stranger)?;
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

/// What would be signed if the certificate were issued anew.
fn plan_again(good: &Credential, issuer: &Credential, role: Role, key: &SecretKey) -> Plan {
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
    // The holder's own certificates already chain by the identifier it has, however that was computed.
    if let (Some(own), true) = (certificate.subject_key_id(), good.key.curve() == key.curve()) {
        plan.replace(issue::SUBJECT_KEY_ID, issue::subject_key_id(own));
    }
    plan
}

fn spoil(plan: &mut Plan, defect: Defect, good: &Credential, stranger: &Credential) -> Result<(), PkiError> {
    let certificate = &good.certificate;
    let role = certificate.role();
    match defect {
        Defect::Expired => plan.validity = year(978_307_200),
        Defect::NotYetValid => plan.validity = year(253_370_764_800),
        Defect::WrongRole => give_another_role(plan, role),
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
            plan.subject = renamed(certificate, SERIAL_NUMBER, &foreign);
        }
        Defect::OtherOrganisation => plan.subject = renamed(certificate, ORGANIZATION_NAME, "Somebody Else"),
        Defect::NoEidRange => plan.remove(issue::NAME_CONSTRAINTS),
        Defect::UnknownCriticalExtension => plan.extensions.push(unknown_critical_extension()),
        Defect::ForgedSignature | Defect::Tampered | Defect::OtherCurve => {}
    }
    Ok(())
}

fn year(first_second: i64) -> Validity {
    let from = Timestamp::from_seconds(first_second);
    Validity { from, to: Timestamp::from_seconds(first_second.saturating_add(365 * 86_400 - 1)) }
}

/// The role next to its own where there is one; plain TLS gets the policy of an SM-DS.
fn give_another_role(plan: &mut Plan, role: Option<Role>) {
    let other = match role {
        Some(Role::DpAuth) => Role::DpPb,
        Some(Role::DpPb) => Role::DpAuth,
        Some(Role::DpTls) => Role::DpAuth,
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

/// Another manufacturer's first EID.
fn foreign_eid(own: Option<Eid>) -> Result<Eid, PkiError> {
    let begins_alike = |prefix: &str| own.is_some_and(|eid| eid.to_string().starts_with(prefix));
    let prefix = if begins_alike("89033023") { "89044045" } else { "89033023" };
    Ok(numbered_eid(prefix, 1)?)
}

/// The subject with another value for one attribute.
fn renamed(certificate: &crate::Certificate, attribute: &str, value: &str) -> Vec<u8> {
    let kinds: Vec<_> = certificate.subject().attributes.iter().map(|(kind, _)| kind.to_string()).collect();
    let pairs = kinds.iter().zip(&certificate.subject().attributes).map(|(kind, (_, old))| {
        let value = if kind == attribute { value } else { old.as_str() };
        (kind.as_str(), value)
    });
    issue::name(&pairs.collect::<Vec<_>>())
}

/// 2.999.99, a NULL.
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
