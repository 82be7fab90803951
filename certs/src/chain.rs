//! Checking a chain up to a trusted CI: SGP.22 section 4.5.2.2 and RFC 5280 section 6.
//!
//! Every check is made on what must be there; what is absent fails. Only the functions here can make a
//! [`Verified`], so a function that takes one cannot be reached with an unchecked certificate.

use std::collections::BTreeMap;
use std::ops::Deref;

use crypto::PublicKey;
use rsp::ids::{Eid, Oid, SubjectKeyIdentifier};
use rsp::time::Timestamp;

use crate::certificate::{Certificate, PermittedName};
use crate::role::Role;

/// CI certificates that are trusted, by key identifier.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors(BTreeMap<SubjectKeyIdentifier, Certificate>);

/// Something that has been checked, by the only code that can say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

/// A server's (or an operator's) certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// The role it was checked for.
    pub role: Role,
    /// Its registered object identifier, for an SM-DP+ the SM-DP+ OID.
    pub oid: Oid,
    /// The CI that vouches for it.
    pub ci_key_id: SubjectKeyIdentifier,
}

/// An eUICC's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EuiccCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// Which eUICC it is.
    pub eid: Eid,
    /// What it signs with.
    pub public_key: PublicKey,
    /// The CI that vouches for its manufacturer.
    pub ci_key_id: SubjectKeyIdentifier,
}

/// Why a chain does not hold. The variant says whose certificate is at fault, the [`Flaw`] what is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain does not end at a CI that is trusted here.
    #[error("no trusted CI has the key {}; trust that CI, or use a certificate that one of the trusted CIs issued",
        .key_id.as_ref().map_or_else(|| "(none is named)".to_owned(), SubjectKeyIdentifier::to_string))]
    UnknownCi {
        /// The authority key identifier that leads nowhere, when there is one.
        key_id: Option<SubjectKeyIdentifier>,
    },
    /// The CI's certificate.
    #[error("the CI certificate {0}")]
    Ci(Flaw),
    /// A sub-CA's certificate between a server and the CI.
    #[error("the sub-CA certificate {0}")]
    SubCa(Flaw),
    /// The EUM's certificate.
    #[error("the EUM certificate {0}")]
    Eum(Flaw),
    /// The eUICC's certificate.
    #[error("the eUICC certificate {0}")]
    Euicc(Flaw),
    /// The server's (or operator's) certificate.
    #[error("the {0} certificate {1}")]
    Server(Role, Flaw),
    /// Two certificates that should be one operator's have different object identifiers.
    #[error("the certificates belong to different operators, {0} and {1}")]
    OtherOperator(Oid, Oid),
}

/// What is wrong with one certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is no longer valid.
    #[error("expired at {0}; issue a new one, or check the clock")]
    Expired(Timestamp),
    /// It is not valid yet.
    #[error("is valid from {0} only; wait, or check the clock")]
    NotYetValid(Timestamp),
    /// Its issuer did not sign it.
    #[error("was not signed by its issuer")]
    BadSignature,
    /// Its certificate policies give it another role, or none.
    #[error("is for {} where {expected} is needed", .found.map_or_else(|| "no RSP role".to_owned(), |r| r.to_string()))]
    WrongRole {
        /// The role that is needed.
        expected: Role,
        /// The role that it has.
        found: Option<Role>,
    },
    /// The key usage is absent, lacks the bit that the role needs, or has one that it must not have.
    #[error("has the wrong key usage for its role")]
    KeyUsage,
    /// The extended key usage lacks what the role needs, or stands where none may.
    #[error("has the wrong extended key usage for its role")]
    ExtendedKeyUsage,
    /// It issues certificates without being a CA.
    #[error("is not a CA's (basicConstraints)")]
    NotACa,
    /// It is a CA's where a leaf is needed.
    #[error("is a CA's (basicConstraints) where a leaf is needed")]
    IsACa,
    /// More certificates follow it than its path length allows.
    #[error("does not allow so long a chain below it (pathLenConstraint)")]
    PathLength,
    /// Its issuer's name is not the subject of the certificate above it.
    #[error("names another issuer than the certificate above it")]
    IssuerName,
    /// Subject or authority key identifier are absent or do not lead to the certificate above it.
    #[error("has key identifiers that are absent or do not lead to its issuer")]
    KeyIdentifier,
    /// Its key is on another curve than the CI's.
    #[error("has a key on another curve than its issuer")]
    CurveMismatch,
    /// It has name constraints that only an EUM certificate may have.
    #[error("has name constraints, which are understood in an EUM certificate only")]
    NameConstraints,
    /// It says of no EID that it may be issued for.
    #[error("permits no EIDs (neither nameConstraints with organisation and serialNumber nor permittedEins)")]
    NoEidRange,
    /// Its subject has no well-formed EID.
    #[error("has no well-formed EID as its subject's serialNumber")]
    NoEid,
    /// The EUM may not issue for this EID.
    #[error("is for EID {0}, which lies outside its manufacturer's range")]
    EidOutsideRange(Eid),
    /// The organisation in the subject is not the one the EUM may issue for.
    #[error("names another organisation than its manufacturer")]
    OrganisationMismatch,
    /// The subjectAltName does not have exactly one registered object identifier.
    #[error("does not have exactly one registered object identifier (subjectAltName)")]
    NoRegisteredId,
}

/// The longest chain of a server in SGP.22 has two certificates between leaf and root (variant C: the sub-CA of the CI and
/// that of the SM-DP+ or SM-DS). The limit also ends a chain that leads back to itself.
const MAX_SUB_CAS: usize = 2;

/// Checks a server's chain: `leaf` for `role` (any but CI, EUM, eUICC), `intermediates` in any order, up to a CI.
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

/// Checks CERT.EUICC and CERT.EUM up to a CI, and that the EID is one of those the EUM may issue for.
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
    let eid = euicc.eid().ok_or(ChainError::Euicc(Flaw::NoEid))?;
    check_eid(euicc, eid, eum)?;
    Ok(Verified(EuiccCertificate {
        certificate: euicc.clone(),
        eid,
        public_key: euicc.public_key().clone(),
        ci_key_id: ci.subject_key_id().cloned().ok_or(ChainError::Ci(Flaw::KeyIdentifier))?,
    }))
}

/// Checks CERT.EUM alone, up to a CI: it signs what SGP.02 has of an eUICC (the EIS and the certificate of the ECASD).
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

/// The CI that has issued CERT.EUM.
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

/// CERT.DPauth and CERT.DPpb must belong to one SM-DP+: the same OID, below the same CI (SGP.22 section 5.7.5).
///
/// # Errors
/// [`ChainError::OtherOperator`], or [`ChainError::UnknownCi`] when the second one hangs below another CI.
pub fn same_operator(
    auth: &Verified<ServerCertificate>,
    pb: &Verified<ServerCertificate>,
) -> Result<(), ChainError> {
    if auth.oid != pb.oid {
        return Err(ChainError::OtherOperator(auth.oid.clone(), pb.oid.clone()));
    }
    if auth.ci_key_id != pb.ci_key_id {
        return Err(ChainError::UnknownCi { key_id: Some(pb.ci_key_id.clone()) });
    }
    Ok(())
}

impl TrustAnchors {
    /// Trusts these CIs. Each must be a self-signed CI certificate; its dates are looked at when a chain is checked.
    ///
    /// # Errors
    /// [`ChainError::Ci`] for a certificate that is none.
    pub fn new(certificates: impl IntoIterator<Item = Certificate>) -> Result<Self, ChainError> {
        let mut anchors = BTreeMap::new();
        for ci in certificates {
            check_anchor(&ci).map_err(ChainError::Ci)?;
            let key_id = ci.subject_key_id().cloned().ok_or(ChainError::Ci(Flaw::KeyIdentifier))?;
            anchors.insert(key_id, ci);
        }
        Ok(Self(anchors))
    }

    /// The CI with this key identifier.
    #[must_use]
    pub fn find(&self, key_id: &SubjectKeyIdentifier) -> Option<&Certificate> {
        self.0.get(key_id)
    }

    /// The key identifiers of all CIs, in order.
    pub fn key_ids(&self) -> impl Iterator<Item = &SubjectKeyIdentifier> {
        self.0.keys()
    }

    /// The certificates of all CIs.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.0.values()
    }

    fn issuer_of(&self, certificate: &Certificate) -> Option<&Certificate> {
        self.0.get(certificate.authority_key_id()?)
    }
}

impl<T> Verified<T> {
    /// For the checks of this crate, once they have been made.
    pub(crate) const fn of(checked: T) -> Self {
        Self(checked)
    }

    /// The checked thing, no longer known to be checked.
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
    // A root may leave out its authority key identifier; one that it has must be its own.
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
    if !sub_ca.policies().iter().any(|policy| role.may_hang_below(&policy.to_string())) {
        return Err(Flaw::WrongRole { expected: Role::Ci, found: sub_ca.role() });
    }
    check_ca(sub_ca, cas_below)?;
    check_no_name_constraints(sub_ca)
}

/// What holds between a certificate and the one above it: names, key identifiers, curve, signature; and its dates.
fn check_link(certificate: &Certificate, issuer: &Certificate, now: Timestamp) -> Result<(), Flaw> {
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
        return Err(Flaw::BadSignature);
    }
    check_dates(certificate, now)
}

fn check_dates(certificate: &Certificate, now: Timestamp) -> Result<(), Flaw> {
    let validity = certificate.validity();
    match () {
        () if now < validity.from => Err(Flaw::NotYetValid(validity.from)),
        () if now > validity.to => Err(Flaw::Expired(validity.to)),
        () => Ok(()),
    }
}

/// The policy says so; for plain TLS, there is no RSP policy.
fn check_role(certificate: &Certificate, role: Role) -> Result<(), Flaw> {
    let needed = role.policy().map(|_| role);
    if certificate.role() == needed {
        Ok(())
    } else {
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

/// Every range the EUM certificate states must permit the EID, and it must state one.
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
