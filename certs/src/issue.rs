//! The certificate builder: DER for both curves, with the extensions of the SGP.26 test
//! certificates.
//!
//! `docs/decisions/0004-certificates.md` explains why rcgen is not used.

use std::net::IpAddr;

use crypto::{Curve, PublicKey, SecretKey};
use rsp::der::{Asn1, BitString, Tag, tlv_bytes};
use rsp::ids::{Oid, SubjectKeyIdentifier};
use rsp::time::Timestamp;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::certificate::{COMMON_NAME, ORGANIZATION_NAME, SERIAL_NUMBER, Validity};
use crate::certificate::{ECDSA_WITH_SHA256, ID_EC_PUBLIC_KEY, PRINTABLE_STRING, named_curve};
use crate::names::ServerName;
use crate::role::Role;

/// A certificate to be signed.
pub(crate) struct Plan {
    pub(crate) subject: Vec<u8>,
    pub(crate) validity: Validity,
    pub(crate) public_key: PublicKey,
    pub(crate) extensions: Vec<Extension>,
}

/// The issuer: its name and its key.
pub(crate) struct Signer<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) key: &'a SecretKey,
}

/// An extension. The value does not include the enclosing OCTET STRING.
#[derive(Clone)]
pub(crate) struct Extension {
    pub(crate) oid: &'static str,
    pub(crate) critical: bool,
    pub(crate) value: Vec<u8>,
}

/// The contents of the extensions that the role does not determine.
#[derive(Default)]
pub(crate) struct Particulars<'a> {
    pub(crate) oid: Option<&'a Oid>,
    pub(crate) names: &'a [ServerName],
    /// The organisation and the EID prefixes for which an EUM is permitted to issue.
    pub(crate) range: Option<(&'a str, &'a [String])>,
}

pub(crate) const AUTHORITY_KEY_ID: &str = "2.5.29.35";
pub(crate) const SUBJECT_KEY_ID: &str = "2.5.29.14";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const CERTIFICATE_POLICIES: &str = "2.5.29.32";
pub(crate) const SUBJECT_ALT_NAME: &str = "2.5.29.17";
pub(crate) const NAME_CONSTRAINTS: &str = "2.5.29.30";
const CRL_DISTRIBUTION_POINTS: &str = "2.5.29.31";
const COUNTRY_NAME: &str = "2.5.4.6";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// Bit numbers of KeyUsage.
pub(crate) const DIGITAL_SIGNATURE: usize = 0;
pub(crate) const KEY_CERT_SIGN: usize = 5;
const CRL_SIGN: usize = 6;

/// The CRL distribution points. GSMA requires them in every certificate of a CI. This program never
/// fetches a list from them.
const CRL_ADDRESSES: [&str; 2] =
    ["http://crl.landfall.example/CRL-A.crl", "http://crl.landfall.example/CRL-B.crl"];

impl Plan {
    /// Returns the signed certificate. Its serial number is a digest of the other contents: equal
    /// contents have equal serial numbers, and different contents have different ones.
    pub(crate) fn sign(&self, signer: &Signer<'_>) -> Vec<u8> {
        let validity = sequence(&[time(self.validity.from), time(self.validity.to)]);
        let extensions: Vec<_> = self.extensions.iter().map(Extension::to_der).collect();
        let rest = [
            ECDSA_WITH_SHA256.to_vec(),
            signer.name.to_vec(),
            validity,
            self.subject.clone(),
            public_key_info(&self.public_key),
            tlv_bytes(Tag::context(3, true), &sequence(&extensions)),
        ]
        .concat();
        let version = tlv_bytes(Tag::context(0, true), &2_i64.to_der());
        let tbs = sequence(&[version, serial_number(&rest), rest]);
        let signature = signer.key.sign(&tbs).to_der();
        sequence(&[tbs, ECDSA_WITH_SHA256.to_vec(), bit_string(&signature)])
    }

    /// Replaces the value of an extension.
    pub(crate) fn replace(&mut self, oid: &str, value: Vec<u8>) {
        for extension in self.extensions.iter_mut().filter(|extension| extension.oid == oid) {
            extension.value.clone_from(&value);
        }
    }

    /// Removes an extension.
    pub(crate) fn remove(&mut self, oid: &str) {
        self.extensions.retain(|extension| extension.oid != oid);
    }
}

/// Returns the extensions of a role, in the order of the SGP.26 certificates (variant O).
pub(crate) fn extensions(
    role: Role,
    own: &PublicKey,
    issuer: &SubjectKeyIdentifier,
    what: &Particulars<'_>,
) -> Vec<Extension> {
    let authority = extension(AUTHORITY_KEY_ID, false, authority_key_id(issuer));
    let subject = extension(SUBJECT_KEY_ID, false, subject_key_id(&key_id(own)));
    let usage = |bits: &[usize]| extension(KEY_USAGE, true, BitString::of(bits).to_der());
    let constraints = |path_length| extension(BASIC_CONSTRAINTS, true, basic_constraints(path_length));
    let names = extension(SUBJECT_ALT_NAME, false, subject_alt_name(what.names, what.oid));
    let crls = extension(CRL_DISTRIBUTION_POINTS, false, crl_distribution_points());
    let policy = |critical| {
        role.policy().map(|policy| extension(CERTIFICATE_POLICIES, critical, certificate_policies(&policy)))
    };
    let in_order = match role {
        Role::Ci => vec![
            Some(subject),
            Some(constraints(None)),
            policy(true),
            Some(usage(&[KEY_CERT_SIGN, CRL_SIGN])),
            Some(names),
            Some(crls),
        ],
        Role::Eum => vec![
            Some(authority),
            Some(subject),
            Some(usage(&[KEY_CERT_SIGN])),
            policy(true),
            Some(names),
            Some(constraints(Some(0))),
            Some(crls),
            what.range.map(|(o, prefixes)| extension(NAME_CONSTRAINTS, true, name_constraints(o, prefixes))),
        ],
        Role::Euicc => vec![Some(authority), Some(subject), Some(usage(&[DIGITAL_SIGNATURE])), policy(true)],
        Role::DpAuth | Role::DpPb | Role::DsAuth => vec![
            Some(authority),
            Some(subject),
            Some(names),
            Some(usage(&[DIGITAL_SIGNATURE])),
            policy(true),
            Some(crls),
        ],
        Role::DpTls | Role::DsTls | Role::OperatorTls | Role::SmSrTls => vec![
            Some(usage(&[DIGITAL_SIGNATURE])),
            Some(extension(EXTENDED_KEY_USAGE, true, extended_key_usage(role))),
            policy(false),
            Some(subject),
            Some(authority),
            Some(names),
            Some(crls),
        ],
    };
    in_order.into_iter().flatten().collect()
}

pub(crate) fn extension(oid: &'static str, critical: bool, value: Vec<u8>) -> Extension {
    Extension { oid, critical, value }
}

impl Extension {
    pub(crate) fn to_der(&self) -> Vec<u8> {
        let critical = if self.critical { true.to_der() } else { Vec::new() };
        sequence(&[oid(self.oid), critical, self.value.to_der()])
    }
}

/// Computes the identifier of a key: the leftmost 160 bits of SHA-256 of the point (RFC 7093 method
/// 1). Readers only compare it.
pub(crate) fn key_id(key: &PublicKey) -> SubjectKeyIdentifier {
    SubjectKeyIdentifier(Sha256::digest(key.to_sec1()).iter().take(20).copied().collect())
}

pub(crate) fn subject_key_id(key_id: &SubjectKeyIdentifier) -> Vec<u8> {
    key_id.0.to_der()
}

pub(crate) fn authority_key_id(key_id: &SubjectKeyIdentifier) -> Vec<u8> {
    sequence(&[tlv_bytes(Tag::context(0, false), &key_id.0)])
}

pub(crate) fn certificate_policies(policy: &str) -> Vec<u8> {
    sequence(&[sequence(&[oid(policy)])])
}

pub(crate) fn key_usage(bits: &[usize]) -> Vec<u8> {
    BitString::of(bits).to_der()
}

/// `SEQUENCE { cA TRUE, pathLenConstraint OPTIONAL }`
pub(crate) fn basic_constraints(path_length: Option<u32>) -> Vec<u8> {
    sequence(&[true.to_der(), path_length.map(|length| length.to_der()).unwrap_or_default()])
}

pub(crate) fn subject_alt_name(names: &[ServerName], registered_id: Option<&Oid>) -> Vec<u8> {
    let names = names.iter().map(|name| match name {
        ServerName::Dns(name) => tlv_bytes(Tag::context(2, false), name.as_bytes()),
        ServerName::Ip(IpAddr::V4(address)) => tlv_bytes(Tag::context(7, false), &address.octets()),
        ServerName::Ip(IpAddr::V6(address)) => tlv_bytes(Tag::context(7, false), &address.octets()),
    });
    let registered_id = registered_id.map(|id| tlv_bytes(Tag::context(8, false), id.der_contents()));
    sequence(&names.chain(registered_id).collect::<Vec<_>>())
}

/// Encodes permitted directory names of organisation and EID prefix: SGP.22 section 4.5.2.1.0.3.
fn name_constraints(organisation: &str, prefixes: &[String]) -> Vec<u8> {
    let subtrees = prefixes.iter().map(|prefix| {
        let permitted = name(&[(ORGANIZATION_NAME, organisation), (SERIAL_NUMBER, prefix)]);
        sequence(&[tlv_bytes(Tag::context(4, true), &permitted)])
    });
    sequence(&[tlv_bytes(Tag::context(0, true), &subtrees.collect::<Vec<_>>().concat())])
}

pub(crate) fn extended_key_usage(role: Role) -> Vec<u8> {
    let server = role.is_tls_server().then(|| oid(SERVER_AUTH));
    let client = role.is_tls_client().then(|| oid(CLIENT_AUTH));
    sequence(&server.into_iter().chain(client).collect::<Vec<_>>())
}

fn crl_distribution_points() -> Vec<u8> {
    let points = CRL_ADDRESSES.map(|address| {
        let uri = tlv_bytes(Tag::context(6, false), address.as_bytes());
        let full_name = tlv_bytes(Tag::context(0, true), &uri);
        sequence(&[tlv_bytes(Tag::context(0, true), &full_name)])
    });
    sequence(&points)
}

/// Encodes a distinguished name. Country and serial number are PrintableString, all others
/// UTF8String (RFC 5280 appendix A.1).
pub(crate) fn name(attributes: &[(&str, &str)]) -> Vec<u8> {
    let rdns: Vec<_> = attributes
        .iter()
        .map(|(kind, value)| {
            let tag = match *kind {
                COUNTRY_NAME | SERIAL_NUMBER => PRINTABLE_STRING,
                _ => Tag::UTF8_STRING,
            };
            tlv_bytes(Tag(0x31), &sequence(&[oid(kind), tlv_bytes(tag, value.as_bytes())]))
        })
        .collect();
    sequence(&rdns)
}

/// Encodes the subject of every party except an eUICC: `O`, `CN`.
pub(crate) fn organisation_name(organisation: &str, common_name: &str) -> Vec<u8> {
    name(&[(ORGANIZATION_NAME, organisation), (COMMON_NAME, common_name)])
}

/// Encodes the subject of an eUICC: `O`, `serialNumber`, `CN`.
pub(crate) fn euicc_name(organisation: &str, eid: &str, common_name: &str) -> Vec<u8> {
    name(&[(ORGANIZATION_NAME, organisation), (SERIAL_NUMBER, eid), (COMMON_NAME, common_name)])
}

pub(crate) fn public_key_info(key: &PublicKey) -> Vec<u8> {
    sequence(&[algorithm(key.curve()), bit_string(&key.to_sec1())])
}

/// Encodes the AlgorithmIdentifier of an EC key.
pub(crate) fn algorithm(curve: Curve) -> Vec<u8> {
    sequence(&[oid(ID_EC_PUBLIC_KEY), oid(named_curve(curve))])
}

pub(crate) fn bit_string(octets: &[u8]) -> Vec<u8> {
    tlv_bytes(Tag::BIT_STRING, &[&[0], octets].concat())
}

/// Computes a serial number of eight octets that is positive and not zero.
fn serial_number(rest: &[u8]) -> Vec<u8> {
    let digest = Sha256::digest(rest);
    let number = digest.iter().take(8).fold(0_i64, |number, octet| number << 8 | i64::from(*octet));
    (number & i64::MAX).max(1).to_der()
}

/// True if a certificate can contain this validity period: years 1950 to 9999, and the end not
/// before the beginning.
pub(crate) fn can_be_written(validity: Validity) -> bool {
    let year_is_good = |at: Timestamp| {
        OffsetDateTime::from_unix_timestamp(at.seconds()).is_ok_and(|at| (1950..=9999).contains(&at.year()))
    };
    validity.from <= validity.to && year_is_good(validity.from) && year_is_good(validity.to)
}

/// Encodes a time as UTCTime until 2049 and as GeneralizedTime after that (RFC 5280 section
/// 4.1.2.5), in whole seconds.
pub(crate) fn time(at: Timestamp) -> Vec<u8> {
    // The caller has checked `can_be_written`, so the fallback is never reached.
    let at = OffsetDateTime::from_unix_timestamp(at.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    if (1950..2050).contains(&at.year()) {
        tlv_bytes(Tag(0x17), format!("{:02}{rest}", at.year() % 100).as_bytes())
    } else {
        tlv_bytes(Tag(0x18), format!("{:04}{rest}", at.year()).as_bytes())
    }
}

fn oid(dotted: &str) -> Vec<u8> {
    dotted.parse::<Oid>().map(|oid| oid.to_der()).unwrap_or_default()
}

pub(crate) fn sequence<T: AsRef<[u8]>>(elements: &[T]) -> Vec<u8> {
    let contents: Vec<u8> = elements.iter().flat_map(AsRef::as_ref).copied().collect();
    tlv_bytes(Tag::SEQUENCE, &contents)
}
