//! The ECASD of an M2M eUICC: SGP.02 section 2.2.1.2. It holds the card's key agreement key and the
//! public key of the CI. No command changes them.

use crypto::{Curve, PublicKey, SecretKey, SharedSecret, Signature};
use profile::Octets;
use rsp::der::{Tag, tlv};
use rsp::time::Timestamp;
use world::Fault;

use super::description::M2mDescription;

/// The keys and the certificate, parsed and checked against each other.
#[derive(Debug)]
pub(crate) struct M2mEcasd {
    ci: PublicKey,
    key: SecretKey,
    certificate: Octets,
}

/// The role of a certificate's owner, from its discretionary data: tag C8 in 73.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The owner may establish keys of an ISD-P.
    SmDp = 0x01,
    /// The owner may establish keys of the ISD-R.
    SmSr = 0x02,
}

/// A certificate in the format of GlobalPlatform: 7F21.
#[derive(Debug)]
pub(crate) struct ServerCertificate<'a> {
    /// The signed part: all elements before the signature.
    covered: &'a [u8],
    effective: Option<&'a [u8]>,
    expires: &'a [u8],
    discretionary: &'a [u8],
    key: PublicKey,
    signature: Signature,
}

/// Parameter reference of NIST P-256, the only supported curve.
const P256: [u8; 1] = [0x00];

/// The elements of a certificate. Each occurs once, in this order. Tag 95 is not evaluated:
/// implementations assign two different values to it, and no available text confirms either.
const ELEMENTS: [(Tag, Presence); 9] = [
    (Tag(0x93), Presence::Mandatory),
    (Tag(0x42), Presence::Mandatory),
    (Tag(0x5F20), Presence::Mandatory),
    (Tag(0x95), Presence::Mandatory),
    (Tag(0x5F25), Presence::Optional),
    (Tag(0x5F24), Presence::Mandatory),
    (Tag(0x73), Presence::Mandatory),
    (Tag(0x7F49), Presence::Mandatory),
    (Tag(0x5F37), Presence::Mandatory),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Mandatory,
    Optional,
}

impl M2mEcasd {
    /// Takes the key out of the description.
    ///
    /// # Errors
    /// Fails if a key cannot be read or does not match the certificate.
    pub(crate) fn take(description: &mut M2mDescription) -> Result<Self, Fault> {
        let ci = PublicKey::from_sec1(Curve::P256, &description.ci_public_key)
            .map_err(|why| fault("the public key of the CI", why.to_string()))?;
        let octets = std::mem::take(&mut description.ecasd_key);
        let key = <[u8; 32]>::try_from(octets.expose())
            .map_err(|_| fault("the key of the ECASD", "it does not have 32 octets".to_owned()))?;
        let key = SecretKey::from_bytes(Curve::P256, &key)
            .map_err(|why| fault("the key of the ECASD", why.to_string()))?;
        let certificate = description.ecasd_certificate.clone();
        let contents = match tlv::split(&certificate) {
            Some((Tag(0x7F21), contents)) => contents,
            _ => {
                return Err(fault(
                    "the certificate of the ECASD",
                    "it does not consist of one TLV 7F21".to_owned(),
                ));
            }
        };
        let certified = tlv::find(contents, Tag(0x7F49)).ok().flatten().and_then(tlv::split);
        if certified.and_then(|(_, contents)| public_key(contents)) != Some(key.public_key()) {
            return Err(fault("the certificate of the ECASD", "the key does not match it".to_owned()));
        }
        Ok(Self { ci, key, certificate })
    }

    /// CERT.ECASD.ECKA, 7F21.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Verifies a certificate against the CI's key, its validity period and the role of its owner.
    /// Returns the certified key.
    pub(crate) fn check(
        &self,
        certificate: &ServerCertificate<'_>,
        owner: Owner,
        now: Timestamp,
    ) -> Option<PublicKey> {
        let today = digits_of(now);
        let has_begun = certificate.effective.is_none_or(|effective| hex::encode(effective) <= today);
        let is_valid_today = has_begun && today <= hex::encode(certificate.expires);
        let is_owner = tlv::find(certificate.discretionary, Tag(0xC8)).ok()?.and_then(tlv::split)
            == Some((Tag(0xC8), &[owner as u8]));
        let is_signed = self.ci.verify(certificate.covered, &certificate.signature).is_ok();
        (is_valid_today && is_owner && is_signed).then(|| certificate.key.clone())
    }

    /// Key agreement with the card's static key; `None` if the ephemeral key is on another curve.
    pub(crate) fn agree(&self, ephemeral: &PublicKey) -> Option<SharedSecret> {
        self.key.agree(ephemeral).ok()
    }
}

impl<'a> ServerCertificate<'a> {
    /// Parses a TLV 7F21.
    pub(crate) fn read(octets: &'a [u8]) -> Option<Self> {
        let Some((Tag(0x7F21), contents)) = tlv::split(octets) else { return None };
        let mut elements = tlv::each(contents).ok()?.into_iter().peekable();
        let mut found = [None; ELEMENTS.len()];
        for (place, (tag, presence)) in found.iter_mut().zip(ELEMENTS) {
            let element =
                elements.next_if(|element| tlv::split(element).is_some_and(|(found, _)| found == tag));
            *place = element;
            if element.is_none() && presence == Presence::Mandatory {
                return None;
            }
        }
        let [serial, ca, subject, usage, effective, expires, discretionary, key, signature] = found;
        let contents_of =
            |element: Option<&'a [u8]>| element.and_then(tlv::split).map(|(_, contents)| contents);
        let identifier = |element| contents_of(element).is_some_and(|found| (1..=16).contains(&found.len()));
        let is_date =
            |date: &&[u8]| date.len() == 4 && hex::encode(date).bytes().all(|digit| digit.is_ascii_digit());
        let is_valid = [serial, ca, subject].into_iter().all(identifier)
            && contents_of(usage).is_some_and(|usage| (1..=2).contains(&usage.len()))
            && contents_of(effective).is_none_or(|date| is_date(&date));
        let signature_element = signature?;
        let covered =
            contents.len().checked_sub(signature_element.len()).and_then(|at| contents.get(..at))?;
        (is_valid && elements.next().is_none()).then_some(Self {
            covered,
            effective: contents_of(effective),
            expires: contents_of(expires).filter(is_date)?,
            discretionary: contents_of(discretionary)?,
            key: public_key(contents_of(key)?)?,
            signature: Signature::from_slice(contents_of(signature)?).ok()?,
        })
    }
}

/// Decodes the contents of 7F49 in a certificate: the point, and the parameter reference of its
/// curve.
pub(crate) fn public_key(contents: &[u8]) -> Option<PublicKey> {
    let elements = tlv::each(contents).ok()?;
    match elements.as_slice() {
        [point, curve] => match (tlv::split(point)?, tlv::split(curve)?) {
            ((Tag(0xB0), point), (Tag(0xF0), curve)) if curve == P256 && point.len() == 65 => {
                PublicKey::from_sec1(Curve::P256, point).ok()
            }
            _ => None,
        },
        _ => None,
    }
}

/// The date in the format of certificates: eight digits, which sort in the order of dates.
fn digits_of(now: Timestamp) -> String {
    now.to_string().chars().take(10).filter(char::is_ascii_digit).collect()
}

fn fault(what: &str, why: String) -> Fault {
    Fault::new(
        format!("cannot use {what}"),
        why,
        "correct the M2M part of the card's description, or issue its keys and certificates again",
    )
}
