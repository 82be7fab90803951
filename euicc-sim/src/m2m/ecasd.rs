//! The ECASD of an M2M eUICC: SGP.02 section 2.2.1.2. It keeps the card's key for key agreement and the key of the CI, and
//! no command changes anything of it.

use crypto::{Curve, PublicKey, SecretKey, SharedSecret, Signature};
use profile::Octets;
use rsp::der::{Tag, tlv};
use rsp::time::Timestamp;
use world::Fault;

use super::description::M2mDescription;

/// Keys and the certificate, read and found to fit each other.
#[derive(Debug)]
pub(crate) struct M2mEcasd {
    ci: PublicKey,
    key: SecretKey,
    certificate: Octets,
}

/// Whose certificate it is, by its discretionary data: tag C8 in 73.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// May establish keys of an ISD-P.
    SmDp = 0x01,
    /// May establish keys of the ISD-R.
    SmSr = 0x02,
}

/// A certificate in the format of GlobalPlatform: 7F21.
#[derive(Debug)]
pub(crate) struct ServerCertificate<'a> {
    /// Everything before the signature.
    covered: &'a [u8],
    effective: Option<&'a [u8]>,
    expires: &'a [u8],
    discretionary: &'a [u8],
    key: PublicKey,
    signature: Signature,
}

/// Parameter reference of NIST P-256, which is the one curve here.
const P256: [u8; 1] = [0x00];

/// The elements of a certificate, each once, in this order. What 95 says is not looked at: of the two meanings that it
/// is given in the field, neither is in a text that can be read.
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
    /// Takes the key out of a description.
    ///
    /// # Errors
    /// A key cannot be read, or does not fit the certificate.
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
            _ => return Err(fault("the certificate of the ECASD", "it is not one TLV 7F21".to_owned())),
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

    /// The key in a certificate that the CI vouches for, if it holds now and is of such a server.
    pub(crate) fn check(
        &self,
        certificate: &ServerCertificate<'_>,
        owner: Owner,
        now: Timestamp,
    ) -> Option<PublicKey> {
        let today = digits_of(now);
        let begins = certificate.effective.is_none_or(|effective| hex::encode(effective) <= today);
        let holds = begins && today <= hex::encode(certificate.expires);
        let is_owner = tlv::find(certificate.discretionary, Tag(0xC8)).ok()?.and_then(tlv::split)
            == Some((Tag(0xC8), &[owner as u8]));
        let is_signed = self.ci.verify(certificate.covered, &certificate.signature).is_ok();
        (holds && is_owner && is_signed).then(|| certificate.key.clone())
    }

    /// Key agreement with the card's one key; none with a key on another curve.
    pub(crate) fn agree(&self, ephemeral: &PublicKey) -> Option<SharedSecret> {
        self.key.agree(ephemeral).ok()
    }
}

impl<'a> ServerCertificate<'a> {
    /// Takes 7F21 apart.
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
        let is_well = [serial, ca, subject].into_iter().all(identifier)
            && contents_of(usage).is_some_and(|usage| (1..=2).contains(&usage.len()))
            && contents_of(effective).is_none_or(|date| is_date(&date));
        let signature_element = signature?;
        let covered =
            contents.len().checked_sub(signature_element.len()).and_then(|at| contents.get(..at))?;
        (is_well && elements.next().is_none()).then_some(Self {
            covered,
            effective: contents_of(effective),
            expires: contents_of(expires).filter(is_date)?,
            discretionary: contents_of(discretionary)?,
            key: public_key(contents_of(key)?)?,
            signature: Signature::from_slice(contents_of(signature)?).ok()?,
        })
    }
}

/// The contents of 7F49 in a certificate: the point, and the curve on which it is.
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

/// The day as certificates write it: eight digits, which are ordered as the days are.
fn digits_of(now: Timestamp) -> String {
    now.to_string().chars().take(10).filter(char::is_ascii_digit).collect()
}

fn fault(what: &str, why: String) -> Fault {
    Fault::new(
        format!("cannot use {what}"),
        why,
        "put right the M2M part of the card's description, or issue its keys and certificates again",
    )
}
