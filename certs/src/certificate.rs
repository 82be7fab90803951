//! A certificate with its received octets and the fields read from them: RFC 5280, profiled by
//! SGP.22 section 4.5.2.

mod parse;

use std::fmt;
use std::ops::Range;

use crypto::{Curve, KeyError, PublicKey, Signature};
use rsp::der::DecodeError;
use rsp::ids::{Eid, Oid, SubjectKeyIdentifier};
use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::names::ServerName;
use crate::role::Role;

pub use parse::public_key_of;
pub(crate) use parse::{
    ECDSA_WITH_SHA256, ID_EC_PUBLIC_KEY, PRINTABLE_STRING, envelope, named_curve, serial_number,
};

/// A well-formed certificate. Its contents must not be trusted before a chain check.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Certificate {
    #[serde(skip)]
    pub(crate) der: Vec<u8>,
    #[serde(skip)]
    pub(crate) tbs: Range<usize>,
    #[serde(skip)]
    pub(crate) signature: Signature,
    pub(crate) serial_number: String,
    pub(crate) role: Option<Role>,
    #[schemars(with = "String")]
    pub(crate) subject: Name,
    #[schemars(with = "String")]
    pub(crate) issuer: Name,
    pub(crate) validity: Validity,
    #[serde(serialize_with = "as_hex")]
    #[schemars(with = "String")]
    pub(crate) public_key: PublicKey,
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub(crate) curve: Curve,
    pub(crate) policies: Vec<Oid>,
    pub(crate) subject_key_id: Option<SubjectKeyIdentifier>,
    pub(crate) authority_key_id: Option<SubjectKeyIdentifier>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) extended_key_usage: Option<ExtendedKeyUsage>,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) eid_range: EidRange,
    pub(crate) registered_ids: Vec<Oid>,
    #[schemars(with = "Vec<String>")]
    pub(crate) server_names: Vec<ServerName>,
    pub(crate) extensions: Vec<ExtensionInfo>,
}

/// The reason why a certificate cannot be used in RSP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The outer structure is not DER.
    #[error(
        "not a certificate: {0}; pass one X.509 certificate in DER (`openssl x509 -outform der` makes it)"
    )]
    Der(#[from] DecodeError),
    /// The structure is DER, but not an X.509 version 3 certificate.
    #[error("not an X.509 version 3 certificate: {0}")]
    NotX509(String),
    /// The signature algorithm is not ECDSA with SHA-256, or the two fields that contain it
    /// disagree.
    #[error(
        "the signature algorithm is {0}; RSP certificates are signed by ecdsa-with-SHA256 (1.2.840.10045.4.3.2)"
    )]
    SignatureAlgorithm(String),
    /// The signature value is not a DER-encoded ECDSA signature.
    #[error("the signature value is malformed: {0}")]
    Signature(String),
    /// The public key is not on a curve that RSP uses.
    #[error("the public key is {0}; RSP uses EC keys on the named curves NIST P-256 and brainpoolP256r1")]
    UnsupportedKey(String),
    /// The public key is not a point on its curve.
    #[error("the public key is unusable: {0}")]
    PublicKey(#[from] KeyError),
    /// A critical extension is unknown. Such a certificate must be refused (RFC 5280 section 4.2).
    #[error("extension {0} is critical and unknown, so the certificate cannot be checked")]
    UnknownCriticalExtension(Oid),
    /// A known extension has malformed contents.
    #[error("extension {oid} is malformed: {why}")]
    Extension {
        /// The extension.
        oid: Oid,
        /// The violation.
        why: &'static str,
    },
    /// An extension occurs twice (forbidden by RFC 5280 section 4.2).
    #[error("extension {0} occurs more than once")]
    DuplicateExtension(Oid),
    /// A name contains an attribute that is not text.
    #[error("the {0} name has an attribute that is not text")]
    Name(&'static str),
    /// The certificate policies contain more than one RSP role.
    #[error("the certificate policies contain more than one role ({0} and {1}); a certificate has one role")]
    TwoRoles(Role, Role),
}

/// A distinguished name: its octets, which are used for comparisons, and its text for display.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Name {
    #[serde(skip)]
    pub(crate) der: Vec<u8>,
    #[serde(skip)]
    pub(crate) attributes: Vec<(Oid, String)>,
    pub(crate) text: String,
}

/// The validity period of a certificate, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Validity {
    /// `notBefore`.
    pub from: Timestamp,
    /// `notAfter`.
    pub to: Timestamp,
}

/// `keyUsage`, the bits that RSP uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct KeyUsage {
    /// May sign messages.
    pub digital_signature: bool,
    /// May sign certificates.
    pub key_cert_sign: bool,
    /// May sign revocation lists.
    pub crl_sign: bool,
    /// Any of the other six bits is set.
    pub other: bool,
}

/// `extKeyUsage`, the purposes that TLS uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ExtendedKeyUsage {
    /// TLS server.
    pub server_auth: bool,
    /// TLS client.
    pub client_auth: bool,
}

/// `basicConstraints`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct BasicConstraints {
    /// May issue certificates.
    pub ca: bool,
    /// Maximum number of CA certificates between this one and a leaf.
    pub path_length: Option<u32>,
}

/// The eUICCs for which an EUM is permitted to issue certificates: `nameConstraints` in SGP.22 v2,
/// `permittedEins` since v3.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct EidRange {
    /// The permitted subtrees of `nameConstraints`; `None` without the extension.
    pub permitted_names: Option<Vec<PermittedName>>,
    /// `permittedEins`; `None` without the extension.
    pub permitted_eins: Option<Vec<String>>,
}

/// A permitted subtree. The subject must match all of these attributes.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct PermittedName {
    /// `organizationName`, which must be equal.
    pub organisation: Option<String>,
    /// `serialNumber`, the prefix of the EID.
    pub eid_prefix: Option<String>,
    /// Further attributes, which must be equal.
    pub others: Vec<(Oid, String)>,
}

/// An extension of the certificate.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ExtensionInfo {
    /// The object identifier.
    pub oid: Oid,
    /// True if a reader that does not know the extension must refuse the certificate.
    pub critical: bool,
}

impl Certificate {
    /// Parses one certificate and keeps its octets.
    ///
    /// # Errors
    /// See [`CertificateError`]. Unknown critical extensions are an error.
    pub fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        parse::certificate(der)
    }

    /// Returns the received octets.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the role in the certificate policies, or `None` for plain TLS and sub-CA
    /// certificates.
    #[must_use]
    pub const fn role(&self) -> Option<Role> {
        self.role
    }

    /// Returns the role, including the plain TLS roles, which are derived from the extended key
    /// usage. Use it only to list and to find certificates: a certificate can be trusted only after
    /// a chain check for a role.
    #[must_use]
    pub fn role_or_tls_use(&self) -> Option<Role> {
        let usage = self.extended_key_usage.unwrap_or_default();
        let plain_tls = match (usage.server_auth, usage.client_auth) {
            (false, true) => Some(Role::OperatorTls),
            (true, true) => Some(Role::SmSrTls),
            _ => None,
        };
        self.role.or(plain_tls)
    }

    /// Returns all certificate policies.
    #[must_use]
    pub fn policies(&self) -> &[Oid] {
        &self.policies
    }

    /// Returns the curve of the public key.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// Returns the public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns the `subjectKeyIdentifier`.
    #[must_use]
    pub const fn subject_key_id(&self) -> Option<&SubjectKeyIdentifier> {
        self.subject_key_id.as_ref()
    }

    /// Returns the key identifier in `authorityKeyIdentifier`.
    #[must_use]
    pub const fn authority_key_id(&self) -> Option<&SubjectKeyIdentifier> {
        self.authority_key_id.as_ref()
    }

    /// Returns the subject.
    #[must_use]
    pub const fn subject(&self) -> &Name {
        &self.subject
    }

    /// Returns the issuer.
    #[must_use]
    pub const fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// Returns the validity period.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// Returns the serial number in hexadecimal, two digits per octet.
    #[must_use]
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }

    /// Returns the `registeredID`s of the subjectAltName, such as the SM-DP+ OID.
    #[must_use]
    pub fn registered_ids(&self) -> &[Oid] {
        &self.registered_ids
    }

    /// Returns the DNS names and IP addresses of the subjectAltName.
    #[must_use]
    pub fn server_names(&self) -> &[ServerName] {
        &self.server_names
    }

    /// Returns the EID in the subject's `serialNumber`, if this is a certificate of an eUICC and
    /// the EID is valid.
    #[must_use]
    pub fn eid(&self) -> Option<Eid> {
        match self.role {
            Some(Role::Euicc) => self.subject.only(SERIAL_NUMBER)?.parse().ok(),
            _ => None,
        }
    }

    /// Returns the eUICCs for which an EUM is permitted to issue certificates.
    #[must_use]
    pub const fn eid_range(&self) -> &EidRange {
        &self.eid_range
    }

    /// Returns `keyUsage`.
    #[must_use]
    pub const fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    /// Returns `extKeyUsage`.
    #[must_use]
    pub const fn extended_key_usage(&self) -> Option<ExtendedKeyUsage> {
        self.extended_key_usage
    }

    /// Returns `basicConstraints`.
    #[must_use]
    pub const fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.basic_constraints
    }

    /// Returns all extensions in their order.
    #[must_use]
    pub fn extensions(&self) -> &[ExtensionInfo] {
        &self.extensions
    }

    /// True if this certificate was signed with the key of `issuer`.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &PublicKey) -> bool {
        self.der.get(self.tbs.clone()).is_some_and(|tbs| issuer.verify(tbs, &self.signature).is_ok())
    }

    /// Returns a text of several lines with all fields that a chain check uses.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut lines = vec![
            format!("{self}"),
            format!("  subject     {}", self.subject.text),
            format!("  issuer      {}", self.issuer.text),
            format!("  serial      {}", self.serial_number),
            format!("  valid       {} to {}", self.validity.from, self.validity.to),
            format!("  curve       {}", self.curve),
        ];
        let mut also = |label: &str, values: Vec<String>| {
            if !values.is_empty() {
                lines.push(format!("  {label:<11} {}", values.join(", ")));
            }
        };
        also("key id", self.subject_key_id.iter().map(SubjectKeyIdentifier::to_string).collect());
        also("issuer key", self.authority_key_id.iter().map(SubjectKeyIdentifier::to_string).collect());
        also("policies", self.policies.iter().map(Oid::to_string).collect());
        also("usage", self.usages());
        also("names", self.server_names.iter().map(ServerName::to_string).collect());
        also("OID", self.registered_ids.iter().map(Oid::to_string).collect());
        also("EIDs", self.eid_range.prefixes().map(|prefix| format!("{prefix}...")).collect());
        lines.join("\n")
    }

    fn usages(&self) -> Vec<String> {
        let key = self.key_usage.unwrap_or_default();
        let extended = self.extended_key_usage.unwrap_or_default();
        let constraints = self.basic_constraints.unwrap_or(BasicConstraints { ca: false, path_length: None });
        let named = [
            (key.digital_signature, "digitalSignature"),
            (key.key_cert_sign, "keyCertSign"),
            (key.crl_sign, "cRLSign"),
            (extended.server_auth, "serverAuth"),
            (extended.client_auth, "clientAuth"),
            (constraints.ca, "CA"),
        ];
        let mut usages: Vec<String> =
            named.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_owned()).collect();
        usages.extend(constraints.path_length.map(|length| format!("path length {length}")));
        usages
    }
}

impl fmt::Display for Certificate {
    /// Prints one line: role, subject, curve, end of validity, key identifier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role_or_tls_use() {
            Some(role) => write!(f, "{role}")?,
            None => f.write_str("certificate without RSP role")?,
        }
        write!(f, " | {} | {} | until {}", self.subject.text, self.curve, self.validity.to)?;
        match &self.subject_key_id {
            Some(id) => write!(f, " | key {id}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

/// `organizationName`.
pub(crate) const ORGANIZATION_NAME: &str = "2.5.4.10";
/// `commonName`.
pub(crate) const COMMON_NAME: &str = "2.5.4.3";
/// `serialNumber`.
pub(crate) const SERIAL_NUMBER: &str = "2.5.4.5";

impl Name {
    /// Returns the DER of the name.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the `organizationName`, if there is exactly one.
    #[must_use]
    pub fn organisation(&self) -> Option<&str> {
        self.only(ORGANIZATION_NAME)
    }

    /// Returns the `commonName`, if there is exactly one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.only(COMMON_NAME)
    }

    /// Returns the value of an attribute that occurs exactly once.
    pub(crate) fn only(&self, oid: &str) -> Option<&str> {
        let mut values = self.attributes.iter().filter(|(kind, _)| kind.to_string() == oid);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.text)
    }
}

impl EidRange {
    /// Returns the EID prefixes that either extension permits.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        let names = self.permitted_names.iter().flatten().filter_map(|name| name.eid_prefix.as_deref());
        names.chain(self.permitted_eins.iter().flatten().map(String::as_str))
    }
}

impl Validity {
    /// True if `now` is within the validity period.
    #[must_use]
    pub fn contains(&self, now: Timestamp) -> bool {
        self.from <= now && now <= self.to
    }
}

fn as_hex<S: Serializer>(key: &PublicKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(key.to_sec1()))
}

fn as_text<S: Serializer, T: fmt::Display>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
