//! Certificate revocation lists of a CI: RFC 5280 section 5, with the extensions of SGP.22 section
//! 4.6 for partial lists.

use std::collections::BTreeSet;
use std::ops::Range;

use crypto::{Curve, Signature};
use rsp::der::{Asn1, Tag, tlv_bytes};
use rsp::ids::SubjectKeyIdentifier;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::{ReasonCode, X509Version};

use crate::certificate::{ECDSA_WITH_SHA256, envelope, serial_number};
use crate::issue::{self, AUTHORITY_KEY_ID, bit_string, extension, sequence};
use crate::{Certificate, Credential, Pki, PkiError, Role};

const CRL_NUMBER: &str = "2.5.29.20";
const DELTA_CRL_INDICATOR: &str = "2.5.29.27";
const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";
const REASON_CODE: &str = "2.5.29.21";
const INVALIDITY_DATE: &str = "2.5.29.24";
const TOTAL_PARTIAL_CRL_NUMBER: &str = "2.23.146.1.2.0.2";
const PARTIAL_CRL_NUMBER: &str = "2.23.146.1.2.0.3";

/// A list as it was received. Its signature must be checked with [`Crl::is_signed_by`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// authorityKeyIdentifier: the key identifier of the CI.
    pub issuer_key_id: SubjectKeyIdentifier,
    /// cRLNumber. A later list has a higher number.
    pub number: i64,
    /// deltaCRLIndicator: the number of the list to which this delta list applies.
    pub base: Option<i64>,
    /// The part, if this is a partial list.
    pub part: Option<Part>,
    /// Revoked serial numbers in the format of [`Certificate::serial_number`].
    pub revoked: BTreeSet<String>,
    /// Serial numbers that a delta list removes.
    pub removed: BTreeSet<String>,
    der: Vec<u8>,
    tbs: Range<usize>,
    signature: Signature,
}

/// The position of a partial list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The number of the part, from 1.
    pub number: i64,
    /// The total number of parts.
    pub total: i64,
}

/// The error for octets that are not a usable list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate revocation list: {0}")]
pub struct InvalidCrl(String);

/// The contents of a list to be issued.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrlPlan<'a> {
    /// cRLNumber.
    pub number: i64,
    /// The revoked certificates.
    pub revoked: &'a [&'a Certificate],
    /// deltaCRLIndicator.
    pub base: Option<i64>,
    /// The part, for a partial list.
    pub part: Option<Part>,
}

impl Crl {
    /// Parses a list and keeps its octets.
    ///
    /// # Errors
    /// The octets are not an X.509 version 2 list signed with ECDSA; authorityKeyIdentifier or
    /// cRLNumber is missing; the list does not cover all of its issuer's certificates for all
    /// reasons (section 5.2.5); or the list or an entry has a duplicate extension or an unknown
    /// critical one.
    pub fn from_der(der: Vec<u8>) -> Result<Self, InvalidCrl> {
        let (tbs, signature) = envelope(&der).map_err(|why| InvalidCrl(why.to_string()))?;
        let (_, parsed) =
            CertificateRevocationList::from_der(&der).map_err(|why| InvalidCrl(why.to_string()))?;
        if parsed.version() != Some(X509Version(1)) {
            return Err(InvalidCrl("the version is not 2".to_owned()));
        }
        let extensions = Extensions::read(parsed.extensions())?;
        let mut revoked = BTreeSet::new();
        let mut removed = BTreeSet::new();
        for entry in parsed.iter_revoked_certificates() {
            check_entry(entry.extensions())?;
            let is_removed = entry.reason_code().is_some_and(|(_, why)| why == ReasonCode::RemoveFromCRL);
            let list = if is_removed { &mut removed } else { &mut revoked };
            list.insert(serial_number(entry.raw_serial()));
        }
        let Extensions { issuer_key_id, number, base, part } = extensions;
        drop(parsed);
        Ok(Self { issuer_key_id, number, base, part, revoked, removed, der, tbs, signature })
    }

    /// True if the list contains this certificate of the list's issuer.
    #[must_use]
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        Some(&self.issuer_key_id) == certificate.authority_key_id()
            && self.revoked.contains(certificate.serial_number())
    }

    /// True if this list was signed with the key of `ci`.
    #[must_use]
    pub fn is_signed_by(&self, ci: &Certificate) -> bool {
        let signed = self.der.get(self.tbs.clone());
        signed.is_some_and(|signed| ci.public_key().verify(signed, &self.signature).is_ok())
    }
}

struct Extensions {
    issuer_key_id: SubjectKeyIdentifier,
    number: i64,
    base: Option<i64>,
    part: Option<Part>,
}

impl Extensions {
    fn read(extensions: &[X509Extension<'_>]) -> Result<Self, InvalidCrl> {
        let (mut issuer_key_id, mut number, mut base) = (None, None, None);
        let (mut part, mut total) = (None, None);
        check_once(extensions)?;
        for extension in extensions {
            match extension.oid.to_id_string().as_str() {
                AUTHORITY_KEY_ID => {
                    if let ParsedExtension::AuthorityKeyIdentifier(key) = extension.parsed_extension() {
                        issuer_key_id =
                            key.key_identifier.as_ref().map(|id| SubjectKeyIdentifier(id.0.to_vec()));
                    }
                }
                CRL_NUMBER => number = Some(integer(extension)?),
                DELTA_CRL_INDICATOR => base = Some(integer(extension)?),
                PARTIAL_CRL_NUMBER => part = Some(integer(extension)?),
                TOTAL_PARTIAL_CRL_NUMBER => total = Some(integer(extension)?),
                ISSUING_DISTRIBUTION_POINT => check_scope(extension)?,
                other if extension.critical => return Err(not_understood(other)),
                _ => {}
            }
        }
        let part = match (part, total) {
            (None, None) => None,
            (Some(number), Some(total)) if (1..=total).contains(&number) => Some(Part { number, total }),
            _ => return Err(InvalidCrl("the numbers of the partial list are inconsistent".to_owned())),
        };
        Ok(Self {
            issuer_key_id: issuer_key_id
                .ok_or(InvalidCrl("the authorityKeyIdentifier is missing".to_owned()))?,
            number: number.ok_or(InvalidCrl("the cRLNumber is missing".to_owned()))?,
            base,
            part,
        })
    }
}

/// Checks the extensions of an entry: sections 5.3.1 and 5.3.2. The only entry extension that a
/// reader must process is certificateIssuer, which occurs in indirect lists.
fn check_entry(extensions: &[X509Extension<'_>]) -> Result<(), InvalidCrl> {
    check_once(extensions)?;
    let understood = |oid: &str| [REASON_CODE, INVALIDITY_DATE].contains(&oid);
    let mut critical = extensions
        .iter()
        .filter(|extension| extension.critical)
        .map(|extension| extension.oid.to_id_string());
    match critical.find(|oid| !understood(oid)) {
        Some(other) => Err(not_understood(&other)),
        None => Ok(()),
    }
}

/// Checks that no extension occurs twice: RFC 5280 section 4.2.
fn check_once(extensions: &[X509Extension<'_>]) -> Result<(), InvalidCrl> {
    let mut seen = BTreeSet::new();
    match extensions
        .iter()
        .map(|extension| extension.oid.to_id_string())
        .find(|oid| !seen.insert(oid.clone()))
    {
        Some(twice) => Err(InvalidCrl(format!("extension {twice} occurs twice"))),
        None => Ok(()),
    }
}

/// Checks issuingDistributionPoint: section 5.2.5. Certificates of servers are user certificates. A
/// list that omits some of them, or some reasons, could be mistaken for a list on which they are
/// not revoked.
fn check_scope(extension: &X509Extension<'_>) -> Result<(), InvalidCrl> {
    let ParsedExtension::IssuingDistributionPoint(point) = extension.parsed_extension() else {
        return Err(InvalidCrl("the issuingDistributionPoint cannot be decoded".to_owned()));
    };
    let is_partial = point.only_contains_ca_certs
        || point.only_contains_attribute_certs
        || point.only_some_reasons.is_some();
    match (point.indirect_crl, is_partial) {
        (false, false) => Ok(()),
        (true, _) => Err(InvalidCrl("indirect lists are not supported".to_owned())),
        (_, true) => Err(InvalidCrl("the list does not cover all certificates of servers".to_owned())),
    }
}

fn not_understood(oid: &str) -> InvalidCrl {
    InvalidCrl(format!("extension {oid} is critical and unknown"))
}

fn integer(extension: &X509Extension<'_>) -> Result<i64, InvalidCrl> {
    let number = <i64 as Asn1>::from_der(extension.value).ok().filter(|number| *number >= 0);
    number.ok_or_else(|| InvalidCrl(format!("extension {} is not a number", extension.oid)))
}

impl Pki {
    /// Returns the revocation lists in the PKI's folder that a CI of the PKI has signed.
    ///
    /// # Errors
    /// A file is not a revocation list.
    pub fn revocation_lists(&self) -> Result<Vec<Crl>, PkiError> {
        let mut lists = Vec::new();
        for (file, der) in self.crl_files() {
            let unreadable = |why: InvalidCrl| PkiError::File { file: file.clone(), why: why.to_string() };
            lists.push(Crl::from_der(der.clone()).map_err(unreadable)?);
        }
        lists.retain(|list| {
            let mut cis = self.curves().into_iter().filter_map(|curve| self.ci(curve).ok());
            cis.any(|ci| ci.subject_key_id() == Some(&list.issuer_key_id) && list.is_signed_by(ci))
        });
        Ok(lists)
    }

    /// Issues a list of the CI, in DER.
    ///
    /// # Errors
    /// The CI's certificate or key is missing.
    pub fn crl(&self, curve: Curve, plan: &CrlPlan<'_>) -> Result<Vec<u8>, PkiError> {
        let ci = self.credential(Role::Ci, curve)?;
        let mut extensions = vec![
            extension(AUTHORITY_KEY_ID, false, issue::authority_key_id(&key_id(&ci))),
            extension(CRL_NUMBER, false, plan.number.to_der()),
        ];
        extensions.extend(plan.base.map(|base| extension(DELTA_CRL_INDICATOR, true, base.to_der())));
        if let Some(part) = plan.part {
            extensions.push(extension(TOTAL_PARTIAL_CRL_NUMBER, false, part.total.to_der()));
            extensions.push(extension(PARTIAL_CRL_NUMBER, false, part.number.to_der()));
        }
        Ok(signed_list(&ci, plan.revoked, &[], &extensions))
    }
}

fn key_id(ci: &Credential) -> SubjectKeyIdentifier {
    let certificate = &ci.certificate;
    certificate.subject_key_id().cloned().unwrap_or_else(|| issue::key_id(certificate.public_key()))
}

/// Builds and signs a list. `of_entry` contains the extensions of each entry.
fn signed_list(
    ci: &Credential,
    revoked: &[&Certificate],
    of_entry: &[issue::Extension],
    extensions: &[issue::Extension],
) -> Vec<u8> {
    let all = |extensions: &[issue::Extension]| -> Vec<Vec<u8>> {
        extensions.iter().map(issue::Extension::to_der).collect()
    };
    let or_nothing = |list: &[Vec<u8>]| if list.is_empty() { Vec::new() } else { sequence(list) };
    let since = issue::time(ci.certificate.validity().from);
    let entry = |certificate: &&Certificate| {
        sequence(&[serial_number_in_der(certificate), since.clone(), or_nothing(&all(of_entry))])
    };
    let entries: Vec<_> = revoked.iter().map(entry).collect();
    let tbs = sequence(&[
        1_i64.to_der(),
        ECDSA_WITH_SHA256.to_vec(),
        ci.certificate.subject().der().to_vec(),
        since.clone(),
        or_nothing(&entries),
        tlv_bytes(Tag::context(0, true), &sequence(&all(extensions))),
    ]);
    let signature = ci.key.sign(&tbs).to_der();
    sequence(&[tbs, ECDSA_WITH_SHA256.to_vec(), bit_string(&signature)])
}

fn serial_number_in_der(certificate: &Certificate) -> Vec<u8> {
    let mut octets = hex::decode(certificate.serial_number()).unwrap_or_default();
    if octets.first().is_some_and(|first| first & 0x80 != 0) {
        octets.insert(0, 0);
    }
    tlv_bytes(Tag::INTEGER, &octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PkiOptions;

    #[test]
    fn an_issued_list_round_trips_and_only_its_ci_has_signed_it() {
        let pki = Pki::from_seed(b"lists", &PkiOptions::default()).unwrap();
        for curve in [Curve::P256, Curve::BrainpoolP256r1] {
            let dp = pki.dp(curve).unwrap();
            let plan = CrlPlan {
                number: 300,
                revoked: &[&dp.auth.certificate, &dp.pb.certificate],
                base: Some(7),
                part: Some(Part { number: 2, total: 3 }),
            };
            let list = Crl::from_der(pki.crl(curve, &plan).unwrap()).unwrap();
            let ci = pki.ci(curve).unwrap();
            assert_eq!(Some(&list.issuer_key_id), ci.subject_key_id());
            assert_eq!((list.number, list.base, list.part), (300, Some(7), plan.part));
            let serials = [&dp.auth, &dp.pb].map(|each| each.certificate.serial_number().to_owned());
            assert_eq!(list.revoked, BTreeSet::from(serials));
            assert!(list.is_signed_by(ci));
            assert!(!list.is_signed_by(&dp.auth.certificate));
        }
    }

    #[test]
    fn malformed_lists_are_refused() {
        let pki = Pki::from_seed(b"lists", &PkiOptions::default()).unwrap();
        let plan = CrlPlan { number: 1, part: Some(Part { number: 4, total: 3 }), ..CrlPlan::default() };
        assert!(Crl::from_der(pki.crl(Curve::P256, &plan).unwrap()).is_err());
        assert!(Crl::from_der(pki.ci(Curve::P256).unwrap().der().to_vec()).is_err());
        let good = pki.crl(Curve::P256, &CrlPlan { number: 1, ..CrlPlan::default() }).unwrap();
        assert!(Crl::from_der(good.clone()).is_ok());
        for length in 0..good.len() {
            assert!(Crl::from_der(good[..length].to_vec()).is_err(), "{length} octets");
        }
    }

    /// Parses a list with one entry that has these extensions in addition to the mandatory ones.
    fn read(of_entry: &[issue::Extension], more: &[issue::Extension]) -> Result<Crl, InvalidCrl> {
        let pki = Pki::from_seed(b"lists", &PkiOptions::default()).unwrap();
        let ci = pki.credential(Role::Ci, Curve::P256).unwrap();
        let always = [
            extension(AUTHORITY_KEY_ID, false, issue::authority_key_id(&key_id(&ci))),
            extension(CRL_NUMBER, false, 7_i64.to_der()),
        ];
        let revoked = &[&pki.dp(Curve::P256).unwrap().auth.certificate];
        Crl::from_der(signed_list(&ci, revoked, of_entry, &[&always[..], more].concat()))
    }

    #[test]
    fn a_list_that_does_not_cover_all_servers_is_refused() {
        let scope = |tag, contents: &[u8]| {
            let field = tlv_bytes(Tag::context(tag, tag == 0), contents);
            read(&[], &[extension(ISSUING_DISTRIBUTION_POINT, true, sequence(&[field]))]).is_ok()
        };
        let name =
            tlv_bytes(Tag::context(0, true), &tlv_bytes(Tag::context(6, false), b"http://ci.example/crl"));
        assert!(scope(0, &name), "distributionPoint");
        assert!(scope(1, &[0xFF]), "onlyContainsUserCerts");
        assert!(!scope(2, &[0xFF]), "onlyContainsCACerts");
        assert!(!scope(3, &[6, 0x40]), "onlySomeReasons");
        assert!(!scope(4, &[0xFF]), "indirectCRL");
        assert!(!scope(5, &[0xFF]), "onlyContainsAttributeCerts");
        assert!(read(&[], &[extension(ISSUING_DISTRIBUTION_POINT, true, vec![4, 0])]).is_err());
    }

    #[test]
    fn unknown_critical_and_duplicate_extensions_are_refused() {
        const OTHER: &str = "2.5.29.29";
        let of = |oid, critical| extension(oid, critical, vec![0x30, 0]);
        let reason = |critical| extension(REASON_CODE, critical, vec![0x0A, 1, 1]);
        assert!(read(&[of(OTHER, false)], &[of(OTHER, false)]).is_ok());
        assert!(read(&[reason(true)], &[]).is_ok());
        assert!(read(&[of(OTHER, true)], &[]).is_err());
        assert!(read(&[], &[of(OTHER, true)]).is_err());
        assert!(read(&[reason(false), reason(false)], &[]).is_err());
        assert!(read(&[], &[extension(CRL_NUMBER, false, 8_i64.to_der())]).is_err());
    }
}
