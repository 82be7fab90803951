//! Certificate revocation lists of a CI: RFC 5280 section 5, with the extensions of SGP.22 section 4.6 that cut one list
//! into partial ones.

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
use crate::{Certificate, Pki, PkiError, Role};

const CRL_NUMBER: &str = "2.5.29.20";
const DELTA_CRL_INDICATOR: &str = "2.5.29.27";
const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";
const TOTAL_PARTIAL_CRL_NUMBER: &str = "2.23.146.1.2.0.2";
const PARTIAL_CRL_NUMBER: &str = "2.23.146.1.2.0.3";

/// A list as it was received. Nobody has checked yet who signed it: [`Crl::is_signed_by`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// authorityKeyIdentifier: the key of the CI.
    pub issuer_key_id: SubjectKeyIdentifier,
    /// cRLNumber; a later list has a higher one.
    pub number: i64,
    /// deltaCRLIndicator: the number of the list that this one adds to.
    pub base: Option<i64>,
    /// Which part of the list this is.
    pub part: Option<Part>,
    /// Serial numbers as [`Certificate::serial_number`] writes them.
    pub revoked: BTreeSet<String>,
    /// Serial numbers that a delta list takes off the list again.
    pub removed: BTreeSet<String>,
    der: Vec<u8>,
    tbs: Range<usize>,
    signature: Signature,
}

/// One of several parts of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: i64,
    /// How many there are.
    pub total: i64,
}

/// The octets are no list that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate revocation list: {0}")]
pub struct NotACrl(String);

/// What a list is to say.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrlPlan<'a> {
    /// cRLNumber.
    pub number: i64,
    /// The certificates on it.
    pub revoked: &'a [&'a Certificate],
    /// deltaCRLIndicator.
    pub base: Option<i64>,
    /// For a partial list.
    pub part: Option<Part>,
}

impl Crl {
    /// Reads one list and keeps its octets.
    ///
    /// # Errors
    /// It is not an X.509 version 2 list signed with ECDSA, has no authorityKeyIdentifier or cRLNumber, or has a critical
    /// extension that is not understood.
    pub fn from_der(der: Vec<u8>) -> Result<Self, NotACrl> {
        let (tbs, signature) = envelope(&der).map_err(|why| NotACrl(why.to_string()))?;
        let (_, parsed) =
            CertificateRevocationList::from_der(&der).map_err(|why| NotACrl(why.to_string()))?;
        if parsed.version() != Some(X509Version(1)) {
            return Err(NotACrl("it is not of version 2".to_owned()));
        }
        let extensions = Extensions::read(parsed.extensions())?;
        let mut revoked = BTreeSet::new();
        let mut removed = BTreeSet::new();
        for entry in parsed.iter_revoked_certificates() {
            let is_removed = entry.reason_code().is_some_and(|(_, why)| why == ReasonCode::RemoveFromCRL);
            let list = if is_removed { &mut removed } else { &mut revoked };
            list.insert(serial_number(entry.raw_serial()));
        }
        let Extensions { issuer_key_id, number, base, part } = extensions;
        drop(parsed);
        Ok(Self { issuer_key_id, number, base, part, revoked, removed, der, tbs, signature })
    }

    /// Whether the holder of `ci` signed the octets of this list.
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
    fn read(extensions: &[X509Extension<'_>]) -> Result<Self, NotACrl> {
        let (mut issuer_key_id, mut number, mut base) = (None, None, None);
        let (mut part, mut total) = (None, None);
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
                ISSUING_DISTRIBUTION_POINT => {}
                other if extension.critical => {
                    return Err(NotACrl(format!("extension {other} is critical and not understood")));
                }
                _ => {}
            }
        }
        let part = match (part, total) {
            (None, None) => None,
            (Some(number), Some(total)) if (1..=total).contains(&number) => Some(Part { number, total }),
            _ => return Err(NotACrl("it is no part of a whole".to_owned())),
        };
        Ok(Self {
            issuer_key_id: issuer_key_id.ok_or(NotACrl("it does not name its issuer's key".to_owned()))?,
            number: number.ok_or(NotACrl("it has no number".to_owned()))?,
            base,
            part,
        })
    }
}

fn integer(extension: &X509Extension<'_>) -> Result<i64, NotACrl> {
    let number = <i64 as Asn1>::from_der(extension.value).ok().filter(|number| *number >= 0);
    number.ok_or_else(|| NotACrl(format!("extension {} is no number", extension.oid)))
}

impl Pki {
    /// A list of the CI, in DER.
    ///
    /// # Errors
    /// The CI's certificate or key is missing.
    pub fn crl(&self, curve: Curve, plan: &CrlPlan<'_>) -> Result<Vec<u8>, PkiError> {
        let ci = self.credential(Role::Ci, curve)?;
        let key_id = ci.certificate.subject_key_id().cloned();
        let key_id = key_id.unwrap_or_else(|| issue::key_id(ci.certificate.public_key()));
        let since = issue::time(ci.certificate.validity().from);
        let mut extensions = vec![
            extension(AUTHORITY_KEY_ID, false, issue::authority_key_id(&key_id)),
            extension(CRL_NUMBER, false, plan.number.to_der()),
        ];
        extensions.extend(plan.base.map(|base| extension(DELTA_CRL_INDICATOR, true, base.to_der())));
        if let Some(part) = plan.part {
            extensions.push(extension(TOTAL_PARTIAL_CRL_NUMBER, false, part.total.to_der()));
            extensions.push(extension(PARTIAL_CRL_NUMBER, false, part.number.to_der()));
        }
        let extensions: Vec<_> = extensions.iter().map(issue::Extension::to_der).collect();
        let entries: Vec<_> = plan
            .revoked
            .iter()
            .map(|certificate| sequence(&[serial_number_in_der(certificate), since.clone()]))
            .collect();
        let entries = if entries.is_empty() { Vec::new() } else { sequence(&entries) };
        let tbs = sequence(&[
            1_i64.to_der(),
            ECDSA_WITH_SHA256.to_vec(),
            ci.certificate.subject().der().to_vec(),
            since,
            entries,
            tlv_bytes(Tag::context(0, true), &sequence(&extensions)),
        ]);
        let signature = ci.key.sign(&tbs).to_der();
        Ok(sequence(&[tbs, ECDSA_WITH_SHA256.to_vec(), bit_string(&signature)]))
    }
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
    fn a_list_is_read_as_it_was_made_and_only_its_ci_signed_it() {
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
    fn what_is_no_list_is_refused() {
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
}
