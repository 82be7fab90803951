//! The certificate parser: x509-parser for the structure, and the strict DER reader of `rsp` for
//! the envelope and the GSMA extension.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crypto::{Curve, PublicKey, Signature};
use rsp::der::{Asn1, DecodeError, Problem, Reader, Tag};
use rsp::ids::{Oid, SubjectKeyIdentifier};
use rsp::time::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, NameConstraints, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name, X509Version};

use super::{
    BasicConstraints, Certificate, CertificateError, EidRange, ExtendedKeyUsage, ExtensionInfo, KeyUsage,
    Name, ORGANIZATION_NAME, PermittedName, SERIAL_NUMBER, Validity,
};
use crate::names::ServerName;
use crate::role::Role;

/// `ecdsa-with-SHA256` as AlgorithmIdentifier. RFC 5758 section 3.2 requires that the parameters
/// are absent.
pub(crate) const ECDSA_WITH_SHA256: [u8; 12] =
    [0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
/// `id-ecPublicKey`.
pub(crate) const ID_EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
/// `permittedEins` of SGP.22 v3.
pub(crate) const PERMITTED_EINS: &str = "2.23.146.1.2.2.0";
/// PrintableString.
pub(crate) const PRINTABLE_STRING: Tag = Tag(0x13);

/// digitalSignature, keyCertSign and cRLSign: bits 0, 5 and 6 of KeyUsage, counted from the least
/// significant bit.
const NAMED_USAGES: u16 = 0b110_0001;

/// Returns the object identifier of a named curve.
pub(crate) const fn named_curve(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "1.2.840.10045.3.1.7",
        Curve::BrainpoolP256r1 => "1.3.36.3.3.2.8.1.1.7",
    }
}

pub(super) fn certificate(der: Vec<u8>) -> Result<Certificate, CertificateError> {
    let (tbs, signature) = envelope(&der)?;
    let (_, parsed) =
        X509Certificate::from_der(&der).map_err(|e| CertificateError::NotX509(e.to_string()))?;
    if parsed.version() != X509Version::V3 {
        return Err(CertificateError::NotX509(format!(
            "the version is {}",
            parsed.version().0.saturating_add(1)
        )));
    }
    let inner = &parsed.tbs_certificate.signature;
    if inner.algorithm.as_bytes() != ECDSA_WITH_SHA256.get(4..).unwrap_or_default()
        || inner.parameters.is_some()
    {
        return Err(CertificateError::SignatureAlgorithm(inner.algorithm.to_id_string()));
    }
    let public_key = public_key(parsed.public_key())?;
    let mut certificate = Certificate {
        serial_number: serial_number(parsed.raw_serial()),
        role: None,
        subject: name(parsed.subject(), "subject")?,
        issuer: name(parsed.issuer(), "issuer")?,
        validity: Validity {
            from: timestamp(&parsed.validity().not_before),
            to: timestamp(&parsed.validity().not_after),
        },
        curve: public_key.curve(),
        public_key,
        policies: Vec::new(),
        subject_key_id: None,
        authority_key_id: None,
        key_usage: None,
        extended_key_usage: None,
        basic_constraints: None,
        eid_range: EidRange::default(),
        registered_ids: Vec::new(),
        server_names: Vec::new(),
        extensions: Vec::new(),
        der: Vec::new(),
        tbs,
        signature,
    };
    for extension in parsed.extensions() {
        certificate.take_extension(extension)?;
    }
    certificate.role = role(&certificate.policies)?;
    drop(parsed);
    certificate.der = der;
    Ok(certificate)
}

/// Parses Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue } strictly.
/// Returns the range of the signed octets, and the signature. Everything that is parsed afterwards
/// is covered by that signature.
pub(crate) fn envelope(der: &[u8]) -> Result<(Range<usize>, Signature), CertificateError> {
    let mut outer = Reader::new(der);
    let mut inside = outer.enter(Tag::SEQUENCE)?;
    outer.finish()?;
    let start = inside.offset();
    if inside.peek()? != Some(Tag::SEQUENCE) {
        return Err(inside.error(Problem::Missing { expected: Tag::SEQUENCE }).into());
    }
    inside.whole_tlv()?;
    let tbs = start..inside.offset();
    let algorithm = inside.whole_tlv()?;
    if algorithm != ECDSA_WITH_SHA256 {
        return Err(CertificateError::SignatureAlgorithm(format!(
            "the identifier {}",
            hex::encode(algorithm)
        )));
    }
    let value = inside.contents(Tag::BIT_STRING)?;
    inside.finish()?;
    let signature = match value {
        [0, signature @ ..] => {
            Signature::from_der(signature).map_err(|e| CertificateError::Signature(e.to_string()))?
        }
        _ => {
            return Err(CertificateError::Signature("the BIT STRING is not a whole number of octets".into()));
        }
    };
    Ok((tbs, signature))
}

/// Parses a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) with a key on a supported curve.
///
/// # Errors
/// The octets are not a SubjectPublicKeyInfo, or the key is not supported.
pub fn public_key_of(info: &[u8]) -> Result<PublicKey, CertificateError> {
    match SubjectPublicKeyInfo::from_der(info) {
        Ok(([], info)) => public_key(&info),
        Ok(_) => Err(CertificateError::UnsupportedKey("followed by other octets".into())),
        Err(why) => Err(CertificateError::NotX509(why.to_string())),
    }
}

fn public_key(info: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, CertificateError> {
    let unsupported = |what: String| CertificateError::UnsupportedKey(what);
    let algorithm = info.algorithm.algorithm.to_id_string();
    if algorithm != ID_EC_PUBLIC_KEY {
        return Err(unsupported(format!("of algorithm {algorithm}")));
    }
    let parameters = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let named = parameters.map(|oid| oid.to_id_string()).unwrap_or_default();
    let curve = [Curve::P256, Curve::BrainpoolP256r1]
        .into_iter()
        .find(|curve| named == named_curve(*curve))
        .ok_or_else(|| unsupported(format!("on curve {named:?}")))?;
    if info.subject_public_key.unused_bits != 0 {
        return Err(unsupported("not a whole number of octets".into()));
    }
    Ok(PublicKey::from_sec1(curve, &info.subject_public_key.data)?)
}

fn name(name: &X509Name<'_>, whose: &'static str) -> Result<Name, CertificateError> {
    Ok(Name {
        der: name.as_raw().to_vec(),
        attributes: attributes(name).ok_or(CertificateError::Name(whose))?,
        text: name.to_string(),
    })
}

fn attributes(name: &X509Name<'_>) -> Option<Vec<(Oid, String)>> {
    name.iter_attributes()
        .map(|attribute| Some((oid(attribute.attr_type())?, attribute.as_str().ok()?.to_owned())))
        .collect()
}

/// Formats a serial number without the leading zero octet of a positive INTEGER.
pub(crate) fn serial_number(integer: &[u8]) -> String {
    match integer {
        [0, magnitude @ ..] if !magnitude.is_empty() => hex::encode_upper(magnitude),
        _ => hex::encode_upper(integer),
    }
}

fn oid(parsed: &x509_parser::der_parser::Oid<'_>) -> Option<Oid> {
    Oid::from_der_contents(parsed.as_bytes()).ok()
}

fn timestamp(time: &ASN1Time) -> Timestamp {
    Timestamp::from_seconds(time.timestamp())
}

/// Returns the RSP role in the policies, of which there must be at most one. Other policies are
/// ignored.
fn role(policies: &[Oid]) -> Result<Option<Role>, CertificateError> {
    let mut roles = policies.iter().filter_map(|policy| Role::from_policy(&policy.to_string()));
    let first = roles.next();
    match (first, roles.find(|role| Some(*role) != first)) {
        (Some(first), Some(second)) => Err(CertificateError::TwoRoles(first, second)),
        _ => Ok(first),
    }
}

impl Certificate {
    fn take_extension(&mut self, extension: &X509Extension<'_>) -> Result<(), CertificateError> {
        let oid = oid(&extension.oid)
            .ok_or_else(|| CertificateError::NotX509("an extension's identifier is malformed".into()))?;
        let malformed = |why| CertificateError::Extension { oid: oid.clone(), why };
        if self.extensions.iter().any(|seen| seen.oid == oid) {
            return Err(CertificateError::DuplicateExtension(oid));
        }
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => {
                self.subject_key_id = Some(SubjectKeyIdentifier(id.0.to_vec()))
            }
            ParsedExtension::AuthorityKeyIdentifier(authority) => {
                self.authority_key_id =
                    authority.key_identifier.as_ref().map(|id| SubjectKeyIdentifier(id.0.to_vec()));
            }
            ParsedExtension::KeyUsage(usage) => {
                self.key_usage = Some(KeyUsage {
                    digital_signature: usage.digital_signature(),
                    key_cert_sign: usage.key_cert_sign(),
                    crl_sign: usage.crl_sign(),
                    other: usage.flags & !NAMED_USAGES != 0,
                });
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                self.extended_key_usage =
                    Some(ExtendedKeyUsage { server_auth: usage.server_auth, client_auth: usage.client_auth });
            }
            ParsedExtension::BasicConstraints(constraints) => {
                self.basic_constraints = Some(BasicConstraints {
                    ca: constraints.ca,
                    path_length: constraints.path_len_constraint,
                });
            }
            ParsedExtension::CertificatePolicies(policies) => {
                for policy in policies.iter() {
                    let id = Oid::from_der_contents(policy.policy_id.as_bytes());
                    self.policies.push(id.map_err(|_| malformed("a policy is not an object identifier"))?);
                }
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    self.take_alternative_name(name).map_err(malformed)?;
                }
            }
            ParsedExtension::NameConstraints(constraints) => {
                self.eid_range.permitted_names = Some(permitted_names(constraints).map_err(malformed)?);
            }
            // The distribution points are ignored: chain checks do not fetch revocation lists.
            ParsedExtension::CRLDistributionPoints(_) if !extension.critical => {}
            ParsedExtension::UnsupportedExtension { .. } if oid.to_string() == PERMITTED_EINS => {
                let eins = permitted_eins(extension.value);
                self.eid_range.permitted_eins =
                    Some(eins.map_err(|_| malformed("permittedEins is not a SEQUENCE OF PrintableString"))?);
            }
            ParsedExtension::ParseError { .. } => return Err(malformed("the contents cannot be decoded")),
            _ if extension.critical => return Err(CertificateError::UnknownCriticalExtension(oid)),
            _ => {}
        }
        self.extensions.push(ExtensionInfo { oid, critical: extension.critical });
        Ok(())
    }

    fn take_alternative_name(&mut self, name: &GeneralName<'_>) -> Result<(), &'static str> {
        match name {
            GeneralName::RegisteredID(id) => {
                self.registered_ids.push(oid(id).ok_or("a registeredID is not an object identifier")?);
            }
            GeneralName::DNSName(name) => self.server_names.push(ServerName::Dns(name.to_ascii_lowercase())),
            GeneralName::IPAddress(octets) => {
                let address = ip_address(octets).ok_or("an iPAddress has neither 4 nor 16 octets")?;
                self.server_names.push(ServerName::Ip(address));
            }
            GeneralName::Invalid(..) => return Err("a name cannot be decoded"),
            _ => {}
        }
        Ok(())
    }
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()),
        _ => None,
    }
}

/// Parses name constraints. GSMA uses permitted directory names only. Other constraints would go
/// unchecked, so they are refused.
fn permitted_names(constraints: &NameConstraints<'_>) -> Result<Vec<PermittedName>, &'static str> {
    if constraints.excluded_subtrees.is_some() {
        return Err("excluded subtrees are not supported");
    }
    constraints
        .permitted_subtrees
        .iter()
        .flatten()
        .map(|subtree| match &subtree.base {
            GeneralName::DirectoryName(name) => permitted_name(name),
            _ => Err("a permitted subtree is not a directory name"),
        })
        .collect()
}

fn permitted_name(name: &X509Name<'_>) -> Result<PermittedName, &'static str> {
    let mut permitted = PermittedName { organisation: None, eid_prefix: None, others: Vec::new() };
    for (kind, value) in attributes(name).ok_or("a permitted name has an attribute that is not text")? {
        match kind.to_string().as_str() {
            ORGANIZATION_NAME if permitted.organisation.is_none() => permitted.organisation = Some(value),
            SERIAL_NUMBER if permitted.eid_prefix.is_none() => permitted.eid_prefix = Some(value),
            _ => permitted.others.push((kind, value)),
        }
    }
    Ok(permitted)
}

/// Parses PermittedEins ::= SEQUENCE OF PrintableString.
fn permitted_eins(value: &[u8]) -> Result<Vec<String>, DecodeError> {
    let mut outer = Reader::new(value);
    let mut inside = outer.enter(Tag::SEQUENCE)?;
    outer.finish()?;
    let mut eins = Vec::new();
    while !inside.is_empty() {
        eins.push(String::decode_as(PRINTABLE_STRING, &mut inside)?);
    }
    Ok(eins)
}
