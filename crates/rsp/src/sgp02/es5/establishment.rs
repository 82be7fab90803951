//! Key establishment by scenario #3: SGP.02 sections 4.1.1.8 and 4.1.3.1, GlobalPlatform Amendments
//! A and E.
//!
//! The procedure is the same for the ISD-R (with an SM-SR) and, after INSTALL [for
//! personalization], for an ISD-P (with an SM-DP). This module determines which octets are sent,
//! which are signed and which the receipt covers. The caller supplies the cryptography.

use serde::{Deserialize, Serialize};

use super::{LAST_WITH_ANSWER, MORE_WITH_ANSWER, apdu, data_group, group};
use crate::{
    der::{DecodeError, Elements, Problem, Reader, Tag, tlv, tlv_bytes},
    sgp02::{Octets, keys::KeyVersion},
};

/// The tag of the card's challenge and of the derivation random.
pub const DERIVATION_RANDOM_TAG: Tag = Tag(0x85);
/// The tag of the card's receipt.
pub const RECEIPT_TAG: Tag = Tag(0x86);

const CERTIFICATE: Tag = Tag(0x7F21);
const PUBLIC_KEY: Tag = Tag(0x7F49);
const SIGNATURE: Tag = Tag(0x5F37);
const CONTROL_REFERENCE: Tag = Tag(0xA6);

/// The first STORE DATA: a certificate (the whole TLV 7F21). [`random_challenge`] decodes the
/// response.
pub fn store_certificate(certificate: &[u8]) -> Vec<u8> {
    apdu([0x80, 0xE2, MORE_WITH_ANSWER, 0x00], &data_group(group::CERTIFICATE, certificate), true)
}

/// True if the octets are a single certificate in GlobalPlatform's format.
pub fn is_certificate(octets: &[u8]) -> bool {
    matches!(tlv::split(octets), Some((CERTIFICATE, _)))
}

/// Decodes the card's challenge, 16 or 32 octets.
///
/// # Errors
/// There is no challenge, or it has another size.
pub fn random_challenge(answer: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut elements = Elements::of("RandomChallenge", Reader::new(answer))?;
    let challenge = elements.require(DERIVATION_RANDOM_TAG)?;
    elements.finish();
    match challenge.rest() {
        octets if matches!(octets.len(), 16 | 32) => Ok(octets.to_vec()),
        _ => Err(challenge.error(Problem::BadValue("a challenge must be a TLV 85 of 16 or 32 octets"))),
    }
}

/// The parameters of a key agreement: the control reference template A6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAgreement {
    /// The scenario parameter, a combination of the bits [`DELETE_EXISTING`](Self::DELETE_EXISTING)
    /// to [`CERTIFICATE`](Self::CERTIFICATE).
    pub scenario_parameter: u8,
    /// The version number of the new key set.
    pub key_version: u8,
    /// The initial counter, as long as the counter of the card (5 octets with SCP80); empty if the
    /// card chooses it.
    pub counter: Octets,
    /// Security domain provider identifier, if it is part of the derivation.
    pub sdin: Option<Octets>,
    /// Host ID, if it is part of the derivation.
    pub host_id: Option<Octets>,
}

impl KeyAgreement {
    /// The existing key set of this version is deleted first.
    pub const DELETE_EXISTING: u8 = 0x01;
    /// The card adds a derivation random.
    pub const DERIVATION_RANDOM: u8 = 0x02;
    /// HostID, SIN and SDIN are part of the derivation.
    pub const IDENTITIES: u8 = 0x04;
    /// A certificate was sent before.
    pub const CERTIFICATE: u8 = 0x08;

    /// Key usage: three keys for encryption, MAC and key wrapping.
    pub const KEY_USAGE: u8 = 0x10;
    /// Key type: AES.
    pub const KEY_TYPE: u8 = 0x88;
    /// The length of each key in octets.
    pub const KEY_LENGTH: u8 = 0x10;

    /// Creates the parameters of a key set for secured packets with this initial counter.
    pub fn scp80(scenario_parameter: u8, key_version: u8, counter: u64) -> Self {
        let [_, _, _, counter @ ..] = counter.to_be_bytes();
        Self { scenario_parameter, key_version, counter: Octets(counter.to_vec()), sdin: None, host_id: None }
    }

    /// Creates the parameters of the key set of an ISD-P for secure channels with its SM-DP.
    pub fn scp03(scenario_parameter: u8) -> Self {
        let key_version = KeyVersion::ISD_P.0;
        Self { scenario_parameter, key_version, counter: Octets::default(), sdin: None, host_id: None }
    }

    /// Encodes the template.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut contents = Vec::new();
        let mut put = |tag, value: &[u8]| contents.extend(tlv_bytes(Tag(tag), value));
        put(0x90, &[0x03, self.scenario_parameter]);
        put(0x95, &[Self::KEY_USAGE]);
        put(0x80, &[Self::KEY_TYPE]);
        put(0x81, &[Self::KEY_LENGTH]);
        put(0x82, &[0x01]);
        put(0x83, &[self.key_version]);
        put(0x91, self.counter.as_slice());
        if let Some(sdin) = &self.sdin {
            put(0x45, sdin.as_slice());
        }
        if let Some(host_id) = &self.host_id {
            put(0x84, host_id.as_slice());
        }
        tlv_bytes(CONTROL_REFERENCE, &contents)
    }

    /// Returns the data group followed by the ephemeral key: the first part both of the sent and of
    /// the signed octets.
    fn with_key(&self, ephemeral_key: &[u8]) -> Vec<u8> {
        let mut octets = data_group(group::KEY_ESTABLISHMENT, &self.to_bytes());
        octets.extend(tlv_bytes(PUBLIC_KEY, ephemeral_key));
        octets
    }

    /// Returns the signed octets: the data group, the ephemeral key, and the card's challenge in
    /// the format of a separate data group.
    pub fn signed(&self, ephemeral_key: &[u8], challenge: &[u8]) -> Vec<u8> {
        let mut octets = self.with_key(ephemeral_key);
        octets.extend([0x00, 0x85, u8::try_from(challenge.len()).unwrap_or(u8::MAX)]);
        octets.extend_from_slice(challenge);
        octets
    }

    /// The second STORE DATA. `ephemeral_key` must have the [`EphemeralKeyForm`] that was signed.
    /// [`Receipt::parse`] decodes the response.
    pub fn store_data(&self, ephemeral_key: &[u8], signature: &[u8]) -> Vec<u8> {
        let mut data = self.with_key(ephemeral_key);
        data.extend(tlv_bytes(SIGNATURE, signature));
        apdu([0x80, 0xE2, LAST_WITH_ANSWER, 0x01], &data, true)
    }
}

/// The form of the ephemeral public key in 7F49. Sources disagree, so the sender chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EphemeralKeyForm {
    /// 04 || X || Y.
    #[default]
    Point,
    /// X || Y.
    Coordinates,
    /// The form used in certificates: the point in `B0`, the curve in `F0`.
    Nested,
}

impl EphemeralKeyForm {
    /// Returns the contents of 7F49 for a point 04 || X || Y on NIST P-256.
    pub fn contents(self, point: &[u8]) -> Vec<u8> {
        match self {
            Self::Point => point.to_vec(),
            Self::Coordinates => point.get(1..).unwrap_or_default().to_vec(),
            Self::Nested => [tlv_bytes(Tag(0xB0), point), tlv_bytes(Tag(0xF0), &[0x00])].concat(),
        }
    }
}

/// The card's proof that it established the key set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The derivation random of the card.
    pub derivation_random: Option<Vec<u8>>,
    /// The MAC with the first of the derived keys.
    pub receipt: Vec<u8>,
}

impl Receipt {
    /// Decodes the card's response.
    ///
    /// # Errors
    /// There is no receipt.
    pub fn parse(answer: &[u8]) -> Result<Self, DecodeError> {
        let mut elements = Elements::of("Receipt", Reader::new(answer))?;
        let derivation_random = elements.take(&[DERIVATION_RANDOM_TAG])?.map(|it| it.rest().to_vec());
        let receipt = elements.contents(RECEIPT_TAG)?.to_vec();
        elements.finish();
        Ok(Self { derivation_random, receipt })
    }

    /// Returns the octets that the receipt covers: the template and the derivation random.
    pub fn covered(agreement: &KeyAgreement, derivation_random: Option<&[u8]>) -> Vec<u8> {
        let mut octets = agreement.to_bytes();
        if let Some(random) = derivation_random {
            octets.extend(tlv_bytes(DERIVATION_RANDOM_TAG, random));
        }
        octets
    }
}
