//! The ECASD of an M2M eUICC: SGP.02 section 2.2.1.2. It holds the card's key agreement key and the
//! public key of the CI. No command changes them.

use crypto::{Curve, PublicKey, SecretKey, SharedSecret, Signature};
use profile::Octets;
use rsp::der::{Elements, Reader, Tag, tlv};
use rsp::sgp02::certificate::{CardCertificate, CurveReference, Day, Owner};
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

    /// Verifies a certificate against the CI's key, its validity period and the kind of its owner.
    pub(crate) fn is_valid(
        &self,
        certificate: &CardCertificate,
        signature: &Signature,
        owner: Owner,
        now: Timestamp,
    ) -> bool {
        let contents = certificate.contents();
        let is_valid_on = |today: Day| {
            contents.effective.is_none_or(|effective| effective <= today) && today <= contents.expires
        };
        Day::of(now).is_some_and(is_valid_on)
            && contents.owner == Some(owner)
            && self.ci.verify(certificate.covered(), signature).is_ok()
    }

    /// Key agreement with the card's static key; `None` if the ephemeral key is on another curve.
    pub(crate) fn agree(&self, ephemeral: &PublicKey) -> Option<SharedSecret> {
        self.key.agree(ephemeral).ok()
    }
}

/// Returns the key and the signature of a certificate; `None` if the card cannot decode one of them.
pub(crate) fn key_and_signature(certificate: &CardCertificate) -> Option<(PublicKey, Signature)> {
    let contents = certificate.contents();
    let key = on_p256(&contents.point, contents.curve)?;
    Some((key, Signature::from_slice(certificate.signature()).ok()?))
}

/// Decodes the contents of 7F49: the point, and the parameter reference of its curve.
pub(crate) fn public_key(contents: &[u8]) -> Option<PublicKey> {
    let mut elements = Elements::of("public key", Reader::new(contents)).ok()?;
    let point = elements.contents(Tag(0xB0)).ok()?;
    let [curve] = elements.array(Tag(0xF0), "one octet").ok()?;
    elements.finish();
    on_p256(point, CurveReference(curve))
}

/// Returns the key if it is on NIST P-256, the only supported curve.
fn on_p256(point: &[u8], curve: CurveReference) -> Option<PublicKey> {
    let is_supported = curve == CurveReference::P256 && point.len() == 65;
    is_supported.then(|| PublicKey::from_sec1(Curve::P256, point).ok())?
}

fn fault(what: &str, why: String) -> Fault {
    Fault::new(
        format!("cannot use {what}"),
        why,
        "correct the M2M part of the card's description, or issue its keys and certificates again",
    )
}
