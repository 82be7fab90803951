//! Chain checks up to a trusted CI: SGP.22 section 4.5.2.2 and RFC 5280 section 6.
//!
//! A check fails if the certificate lacks a field that the check requires. Only the functions here
//! construct a [`Verified`], so a function that takes one cannot be called with an unchecked
//! certificate.

use std::collections::BTreeMap;
use std::ops::Deref;

use crypto::PublicKey;
use rsp::ids::{Eid, Oid, SubjectKeyIdentifier};
use rsp::time::Timestamp;

use crate::certificate::{Certificate, PermittedName};
use crate::role::Role;

/// The trusted CI certificates, by key identifier.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors(BTreeMap<SubjectKeyIdentifier, Certificate>);

/// A value that has passed a check. Only the checks of this crate construct it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

/// A verified certificate of a server (or an operator).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// The role for which it was checked.
    pub role: Role,
    /// The registered object identifier; for an SM-DP+ the SM-DP+ OID.
    pub oid: Oid,
    /// The key identifier of the CI at the root of the chain.
    pub ci_key_id: SubjectKeyIdentifier,
}

/// A verified certificate of an eUICC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EuiccCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// The EID.
    pub eid: Eid,
    /// The eUICC's public key.
    pub public_key: PublicKey,
    /// The key identifier of the CI at the root of the chain.
    pub ci_key_id: SubjectKeyIdentifier,
}

/// The reason why a chain is invalid. The variant names the certificate at fault, and the [`Flaw`]
/// the defect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain does not end at a trusted CI.
    #[error("no trusted CI has the key identifier {}; add the CI with this key identifier to the trusted CIs, or use a certificate that a trusted CI issued",
        .key_id.as_ref().map_or_else(|| "(missing in the certificate)".to_owned(), SubjectKeyIdentifier::to_string))]
    UnknownCi {
        /// The authority key identifier, which belongs to no trusted CI; `None` if it is missing.
        key_id: Option<SubjectKeyIdentifier>,
    },
    /// The certificate of the CI is invalid.
    #[error("the CI certificate {0}")]
    Ci(Flaw),
    /// The certificate of a sub-CA between a server and the CI is invalid.
    #[error("the sub-CA certificate {0}")]
    SubCa(Flaw),
    /// The certificate of the EUM is invalid.
    #[error("the EUM certificate {0}")]
    Eum(Flaw),
    /// The certificate of the eUICC is invalid.
    #[error("the eUICC certificate {0}")]
    Euicc(Flaw),
    /// The certificate of the server (or operator) is invalid.
    #[error("the {0} certificate {1}")]
    Server(Role, Flaw),
    /// Two certificates that should belong to one operator have different object identifiers.
    #[error("the certificates belong to different operators, {0} and {1}")]
    OtherOperator(Oid, Oid),
}

/// A defect of one certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The validity period is over.
    #[error("expired at {0}; issue a new one, or check the clock")]
    Expired(Timestamp),
    /// The validity period has not begun.
    #[error("is not valid before {0}; wait, or check the clock")]
    NotYetValid(Timestamp),
    /// The signature is not that of the issuer.
    #[error("was not signed by its issuer")]
    BadSignature,
    /// The certificate policies contain another role, or none.
    #[error("is for {} where {expected} is needed", .found.map_or_else(|| "no RSP role".to_owned(), |r| r.to_string()))]
    WrongRole {
        /// The required role.
        expected: Role,
        /// The role in the certificate.
        found: Option<Role>,
    },
    /// The key usage is missing, lacks the bit that the role requires, or has a forbidden bit.
    #[error("has the wrong key usage for its role")]
    KeyUsage,
    /// The extended key usage lacks a required purpose, or is present where it is forbidden.
    #[error("has the wrong extended key usage for its role")]
    ExtendedKeyUsage,
    /// The certificate is used as an issuer but is not that of a CA.
    #[error("is not a CA certificate (basicConstraints)")]
    NotACa,
    /// The certificate is that of a CA where a leaf is required.
    #[error("is a CA certificate (basicConstraints) where a leaf is needed")]
    IsACa,
    /// The chain below the certificate is longer than its path length constraint.
    #[error("does not permit a chain of this length below it (pathLenConstraint)")]
    PathLength,
    /// The issuer name is not the subject of the issuer's certificate.
    #[error("has an issuer name that is not the subject name of its issuer's certificate")]
    IssuerName,
    /// The subject or authority key identifier is missing or does not match the issuer's
    /// certificate.
    #[error("has key identifiers that are missing or do not match its issuer")]
    KeyIdentifier,
    /// The key is on a curve other than the CI's.
    #[error("has a key on another curve than its issuer")]
    CurveMismatch,
    /// The certificate has name constraints, which only an EUM certificate can have.
    #[error("has name constraints, which are supported in an EUM certificate only")]
    NameConstraints,
    /// The EUM certificate permits no EIDs.
    #[error("permits no EIDs (neither nameConstraints with organisation and serialNumber nor permittedEins)")]
    NoEidRange,
    /// The subject contains no well-formed EID.
    #[error("has no well-formed EID as its subject's serialNumber")]
    NoEid,
    /// The EUM is not permitted to issue for this EID.
    #[error("is for EID {0}, which is outside its manufacturer's range")]
    EidOutsideRange(Eid),
    /// The organisation in the subject is not the one for which the EUM is permitted to issue.
    #[error("has an organisation for which its manufacturer is not permitted to issue")]
    OrganisationMismatch,
    /// The subjectAltName does not contain exactly one registered object identifier.
    #[error("does not have exactly one registered object identifier (subjectAltName)")]
    NoRegisteredId,
}

/// Maximum certificates between leaf and root in a server's chain of SGP.22 (variant C: the sub-CA
/// of the CI and that of the SM-DP+ or SM-DS). The limit also stops a circular chain.
const MAX_SUB_CAS: usize = 2;

/// Checks that `leaf` is a valid certificate for `role` (any role but CI, EUM and eUICC), and that
/// its chain leads to a trusted CI. `intermediates` can be in any order.
///
/// # Errors
/// The first check that fails.
pub fn check_server(
    anchors: &TrustAnchors,
    leaf: &Certificate,
    intermediates: &[Certificate],
    role: Role,
    now: Timestamp,
) -> Result<Verified<ServerCertificate>, ChainError> {
    let server = |flaw| ChainError::Server(role, flaw);
    check_role(leaf, role).map_err(server)?;
    let mut below = leaf;
    let mut sub_cas = Vec::new();
    let ci = loop {
        if let Some(ci) = anchors.issuer_of(below) {
            break ci;
        }
        let next = intermediates.iter().find(|sub_ca| is_named_by(sub_ca, below));
        match next {
            Some(sub_ca) if sub_cas.len() < MAX_SUB_CAS => sub_cas.push(sub_ca),
            // req: SGP.22-4.5.2-UnknownCi
            _ => return Err(ChainError::UnknownCi { key_id: below.authority_key_id().cloned() }),
        }
        below = sub_cas.last().copied().unwrap_or(leaf);
    };
    check_ci(ci, sub_cas.len(), now)?;
    let mut issuer = ci;
    for (depth, sub_ca) in sub_cas.iter().enumerate().rev() {
        check_sub_ca(sub_ca, role, depth).map_err(ChainError::SubCa)?;
        check_link(sub_ca, issuer, now).map_err(ChainError::SubCa)?;
        issuer = sub_ca;
    }
    check_link(leaf, issuer, now).map_err(server)?;
    check_leaf(leaf, role).map_err(server)?;
    let [oid] = leaf.registered_ids() else { return Err(server(Flaw::NoRegisteredId)) };
    Ok(Verified(ServerCertificate {
        certificate: leaf.clone(),
        role,
        oid: oid.clone(),
        ci_key_id: ci.subject_key_id().cloned().ok_or(ChainError::Ci(Flaw::KeyIdentifier))?,
    }))
}

/// Checks the chain of CERT.EUICC and CERT.EUM up to a trusted CI. Also checks that the EUM is
/// permitted to issue a certificate for the EID.
///
/// # Errors
/// The first check that fails.
pub fn check_euicc(
    anchors: &TrustAnchors,
    euicc: &Certificate,
    eum: &Certificate,
    now: Timestamp,
) -> Result<Verified<EuiccCertificate>, ChainError> {
    let ci = check_eum_below(anchors, eum, now)?;
    check_role(euicc, Role::Euicc).map_err(ChainError::Euicc)?;
    check_link(euicc, eum, now).map_err(ChainError::Euicc)?;
    check_leaf(euicc, Role::Euicc).map_err(ChainError::Euicc)?;
    // req: SGP.22-4.5.2-Eid
    let eid = euicc.eid().ok_or(ChainError::Euicc(Flaw::NoEid))?;
    check_eid(euicc, eid, eum)?;
    Ok(Verified(EuiccCertificate {
        certificate: euicc.clone(),
        eid,
        public_key: euicc.public_key().clone(),
        ci_key_id: ci.subject_key_id().cloned().ok_or(ChainError::Ci(Flaw::KeyIdentifier))?,
    }))
}

/// Checks the chain of CERT.EUM alone, up to a trusted CI. In SGP.02 its key signs the EIS and the
/// certificate of the ECASD.
///
/// # Errors
/// The first check that fails.
pub fn check_eum(
    anchors: &TrustAnchors,
    eum: &Certificate,
    now: Timestamp,
) -> Result<Verified<Certificate>, ChainError> {
    check_eum_below(anchors, eum, now)?;
    Ok(Verified(eum.clone()))
}

/// Checks CERT.EUM and returns the CI that has issued it.
fn check_eum_below<'a>(
    anchors: &'a TrustAnchors,
    eum: &Certificate,
    now: Timestamp,
) -> Result<&'a Certificate, ChainError> {
    let ci = anchors
        .issuer_of(eum)
        .ok_or_else(|| ChainError::UnknownCi { key_id: eum.authority_key_id().cloned() })?;
    check_ci(ci, 1, now)?;
    check_role(eum, Role::Eum).map_err(ChainError::Eum)?;
    check_link(eum, ci, now).map_err(ChainError::Eum)?;
    check_ca(eum, 0).map_err(ChainError::Eum)?;
    Ok(ci)
}

/// Checks that CERT.DPauth and CERT.DPpb belong to the same SM-DP+: the same OID, below the same CI
/// (SGP.22 section 5.7.5).
///
/// # Errors
/// [`ChainError::OtherOperator`], or [`ChainError::UnknownCi`] if the second one is below another
/// CI.
pub fn same_operator(
    auth: &Verified<ServerCertificate>,
    pb: &Verified<ServerCertificate>,
) -> Result<(), ChainError> {
    if auth.oid != pb.oid {
        // req: SGP.22-4.5.2-SameOperator
        return Err(ChainError::OtherOperator(auth.oid.clone(), pb.oid.clone()));
    }
    if auth.ci_key_id != pb.ci_key_id {
        return Err(ChainError::UnknownCi { key_id: Some(pb.ci_key_id.clone()) });
    }
    Ok(())
}

impl TrustAnchors {
    /// Creates the set of these trusted CIs. Each must be a self-signed CI certificate. Its
    /// validity period is checked with each chain.
    ///
    /// # Errors
    /// [`ChainError::Ci`] if a certificate is not that of a CI.
    pub fn new(certificates: impl IntoIterator<Item = Certificate>) -> Result<Self, ChainError> {
        let mut anchors = BTreeMap::new();
        for ci in certificates {
            check_anchor(&ci).map_err(ChainError::Ci)?;
            let key_id = ci.subject_key_id().cloned().ok_or(ChainError::Ci(Flaw::KeyIdentifier))?;
            anchors.insert(key_id, ci);
        }
        Ok(Self(anchors))
    }

    /// Returns the CI with this key identifier.
    #[must_use]
    pub fn find(&self, key_id: &SubjectKeyIdentifier) -> Option<&Certificate> {
        self.0.get(key_id)
    }

    /// Returns the key identifiers of all CIs, in order.
    pub fn key_ids(&self) -> impl Iterator<Item = &SubjectKeyIdentifier> {
        self.0.keys()
    }

    /// Returns the certificates of all CIs.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.0.values()
    }

    fn issuer_of(&self, certificate: &Certificate) -> Option<&Certificate> {
        self.0.get(certificate.authority_key_id()?)
    }
}

impl<T> Verified<T> {
    /// Marks a value as verified. Call it only for a value that has passed the checks.
    pub(crate) const fn of(checked: T) -> Self {
        Self(checked)
    }

    /// Returns the value. The proof of its verification is lost.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

fn is_named_by(issuer: &Certificate, subject: &Certificate) -> bool {
    issuer.subject_key_id().is_some() && issuer.subject_key_id() == subject.authority_key_id()
}

fn check_anchor(ci: &Certificate) -> Result<(), Flaw> {
    check_role(ci, Role::Ci)?;
    if ci.subject().der() != ci.issuer().der() {
        return Err(Flaw::IssuerName);
    }
    // A root may omit its authority key identifier. If present, it must be the root's own.
    if ci.authority_key_id().is_some_and(|id| Some(id) != ci.subject_key_id()) {
        return Err(Flaw::KeyIdentifier);
    }
    if !ci.is_signed_by(ci.public_key()) {
        return Err(Flaw::BadSignature);
    }
    check_ca(ci, 0)?;
    check_no_name_constraints(ci)
}

pub(crate) fn check_ci(ci: &Certificate, cas_below: usize, now: Timestamp) -> Result<(), ChainError> {
    check_dates(ci, now).and_then(|()| check_ca(ci, cas_below)).map_err(ChainError::Ci)
}

fn check_sub_ca(sub_ca: &Certificate, role: Role, cas_below: usize) -> Result<(), Flaw> {
    if !sub_ca.policies().iter().any(|policy| role.permits_issuer_policy(&policy.to_string())) {
        return Err(Flaw::WrongRole { expected: Role::Ci, found: sub_ca.role() });
    }
    check_ca(sub_ca, cas_below)?;
    check_no_name_constraints(sub_ca)
}

/// Checks a certificate against that of its issuer (names, key identifiers, curve, signature), and
/// its validity period.
pub(crate) fn check_link(
    certificate: &Certificate,
    issuer: &Certificate,
    now: Timestamp,
) -> Result<(), Flaw> {
    if certificate.issuer().der() != issuer.subject().der() {
        return Err(Flaw::IssuerName);
    }
    if !is_named_by(issuer, certificate) || certificate.subject_key_id().is_none() {
        return Err(Flaw::KeyIdentifier);
    }
    if certificate.curve() != issuer.curve() {
        return Err(Flaw::CurveMismatch);
    }
    if !certificate.is_signed_by(issuer.public_key()) {
        // req: SGP.22-4.5.2-Signature
        return Err(Flaw::BadSignature);
    }
    check_dates(certificate, now)
}

fn check_dates(certificate: &Certificate, now: Timestamp) -> Result<(), Flaw> {
    let validity = certificate.validity();
    match () {
        // req: SGP.22-4.5.2-Validity
        () if now < validity.from => Err(Flaw::NotYetValid(validity.from)),
        () if now > validity.to => Err(Flaw::Expired(validity.to)),
        () => Ok(()),
    }
}

/// Checks the role in the certificate policies. Plain TLS certificates must have no RSP policy.
fn check_role(certificate: &Certificate, role: Role) -> Result<(), Flaw> {
    let needed = role.policy().map(|_| role);
    if certificate.role() == needed {
        Ok(())
    } else {
        // req: SGP.22-4.5.2-Role
        Err(Flaw::WrongRole { expected: role, found: certificate.role() })
    }
}

fn check_ca(ca: &Certificate, cas_below: usize) -> Result<(), Flaw> {
    let usage = ca.key_usage().ok_or(Flaw::KeyUsage)?;
    if !usage.key_cert_sign || usage.digital_signature || usage.other {
        return Err(Flaw::KeyUsage);
    }
    let constraints = ca.basic_constraints().filter(|constraints| constraints.ca).ok_or(Flaw::NotACa)?;
    let allowed =
        constraints.path_length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(usize::MAX));
    // req: SGP.22-4.5.2-PathLength
    if cas_below > allowed { Err(Flaw::PathLength) } else { Ok(()) }
}

fn check_leaf(leaf: &Certificate, role: Role) -> Result<(), Flaw> {
    let usage = leaf.key_usage().ok_or(Flaw::KeyUsage)?;
    if !usage.digital_signature || usage.key_cert_sign || usage.crl_sign {
        return Err(Flaw::KeyUsage);
    }
    if leaf.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Err(Flaw::IsACa);
    }
    check_no_name_constraints(leaf)?;
    let extended = leaf.extended_key_usage();
    let is_tls = role.is_tls_client() || role.is_tls_server();
    let suits = match extended {
        None => !is_tls,
        Some(usage) => {
            is_tls
                && (usage.server_auth || !role.is_tls_server())
                && (usage.client_auth || !role.is_tls_client())
        }
    };
    if suits { Ok(()) } else { Err(Flaw::ExtendedKeyUsage) }
}

fn check_no_name_constraints(certificate: &Certificate) -> Result<(), Flaw> {
    let range = certificate.eid_range();
    if range.permitted_names.is_some() || range.permitted_eins.is_some() {
        return Err(Flaw::NameConstraints);
    }
    Ok(())
}

/// Checks that the EUM certificate states at least one range, and that every stated range permits
/// the EID.
fn check_eid(euicc: &Certificate, eid: Eid, eum: &Certificate) -> Result<(), ChainError> {
    let range = eum.eid_range();
    if range.permitted_names.is_none() && range.permitted_eins.is_none() {
        return Err(ChainError::Eum(Flaw::NoEidRange));
    }
    let digits = eid.to_string();
    let covers = |prefix: &str| !prefix.is_empty() && digits.starts_with(prefix);
    if let Some(eins) = &range.permitted_eins
        && !eins.iter().any(|ein| covers(ein))
    {
        return Err(ChainError::Euicc(Flaw::EidOutsideRange(eid)));
    }
    let organisation = euicc.subject().organisation();
    if organisation.is_none() || organisation != eum.subject().organisation() {
        return Err(ChainError::Euicc(Flaw::OrganisationMismatch));
    }
    let Some(names) = &range.permitted_names else { return Ok(()) };
    let complete = |name: &&PermittedName| name.organisation.is_some() && name.eid_prefix.is_some();
    let names: Vec<_> = names.iter().filter(complete).collect();
    if names.is_empty() {
        return Err(ChainError::Eum(Flaw::NoEidRange));
    }
    let in_range: Vec<_> =
        names.into_iter().filter(|name| name.eid_prefix.as_deref().is_some_and(covers)).collect();
    if in_range.is_empty() {
        return Err(ChainError::Euicc(Flaw::EidOutsideRange(eid)));
    }
    let same_names = |name: &&PermittedName| {
        name.organisation.as_deref() == organisation
            && name.others.iter().all(|(kind, value)| euicc.subject().only(&kind.to_string()) == Some(value))
    };
    if in_range.iter().any(same_names) { Ok(()) } else { Err(ChainError::Euicc(Flaw::OrganisationMismatch)) }
}
