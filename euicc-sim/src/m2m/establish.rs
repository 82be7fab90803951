//! Key establishment, scenario 3: ES8.EstablishISDPKeySet (SGP.02 section 4.1.3.1) and
//! ES5.EstablishISDRKeySet (4.1.1.8), GlobalPlatform Amendments A and E.
//!
//! The first STORE DATA contains the certificate of an SM-DP or SM-SR, and the card returns a
//! challenge. The second contains an ephemeral key and a signature over it and the challenge, and
//! server and card derive the same key set. A challenge is valid for one attempt.

use crypto::{AesKey, Curve, PublicKey, Signature, x963};
use rsp::der::{DecodeError, Elements, Reader, Tag, tlv_bytes};
use rsp::finding::{self, FindingKind};
use rsp::ids::Aid;
use rsp::sgp02::certificate::{CardCertificate, Owner};
use rsp::sgp02::keys::{KeySetUse, KeyVersion};

use super::ecasd;
use super::keys::{AES_KEY, KeySet, replace};
use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::state::m2m::{Establishing, LifeCycle};

/// Length of the challenge in octets. The standard also allows 32.
const CHALLENGE: usize = 16;

/// Length of the card's random input to the derivation in octets, for a curve of 256 bits.
const DERIVATION_RANDOM: usize = 16;

/// The status word for an invalid certificate or signature. No available source defines this status
/// word, so this card chooses one.
const VERIFICATION_FAILED: StatusWord = StatusWord::SECURITY_STATUS_NOT_SATISFIED;

const WRONG: StatusWord = StatusWord::INCORRECT_DATA;

/// Data group 3A01, the certificate. Returns the establishment and the challenge.
pub(crate) fn certificate(
    context: &M2mContext<'_>,
    isd_p: Option<&Aid>,
    contents: &[u8],
) -> Result<(Establishing, Vec<u8>), StatusWord> {
    let owner = match isd_p {
        None => Owner::SmSr,
        Some(isd_p) => {
            check_life_cycle(context, isd_p)?;
            Owner::SmDp
        }
    };
    let certificate = CardCertificate::parse(contents).map_err(|_| WRONG)?;
    let (signer, signature) = ecasd::key_and_signature(&certificate).ok_or(WRONG)?;
    // req: SGP.02-4.1.1.8-Certificate
    if !context.factory.ecasd.is_valid(&certificate, &signature, owner, context.world.now()) {
        return Err(VERIFICATION_FAILED);
    }
    let mut challenge = [0; CHALLENGE];
    context.world.random.fill(&mut challenge);
    let establishing = Establishing { signer: signer.to_sec1().into(), challenge: challenge.into() };
    Ok((establishing, tlv_bytes(CHALLENGE_OR_RANDOM, &challenge)))
}

/// Checks that the ISD-P has no profile, including one installed between the two STORE DATA
/// commands. An installed profile must not change its owner.
// req: SGP.02-4.1.1.8-LifeCycle
fn check_life_cycle(context: &M2mContext<'_>, isd_p: &Aid) -> Result<(), StatusWord> {
    match context.life_cycle(isd_p).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)? {
        LifeCycle::Selectable | LifeCycle::Personalised => Ok(()),
        LifeCycle::Disabled | LifeCycle::Enabled => Err(StatusWord::CONDITIONS_NOT_SATISFIED),
    }
}

const CHALLENGE_OR_RANDOM: Tag = Tag(0x85);
const RECEIPT: Tag = Tag(0x86);

/// Processes data group 3A02. `crt` is its template, `after` the ephemeral key and the signature
/// that follow. Returns the receipt.
pub(crate) fn key_set(
    context: &mut M2mContext<'_>,
    isd_p: Option<&Aid>,
    establishing: &Establishing,
    whole: &[u8],
    crt: &[u8],
    after: &[u8],
) -> Result<Vec<u8>, StatusWord> {
    let parts = Parts::read(after).map_err(|_| WRONG)?;
    let template = Template::read(crt).map_err(|_| WRONG)?.ok_or(WRONG)?;
    let ephemeral = ephemeral_key(parts.key).ok_or(WRONG)?;
    let before_signature =
        whole.len().checked_sub(parts.not_signed).and_then(|at| whole.get(..at)).ok_or(WRONG)?;
    let length = u8::try_from(establishing.challenge.len()).map_err(|_| WRONG)?;
    // The challenge is signed as if it were in a data group of its own.
    let covered = [before_signature, &[0x00, 0x85, length], &establishing.challenge].concat();
    PublicKey::from_sec1(Curve::P256, &establishing.signer)
        .ok()
        .zip(Signature::from_slice(parts.signature).ok())
        .filter(|(signer, signature)| signer.verify(&covered, signature).is_ok())
        .ok_or(VERIFICATION_FAILED)?;
    // req: SGP.02-4.1.1.8-Template
    template.check(context, isd_p)?;

    let random = template.has(Template::DERIVATION_RANDOM).then(|| {
        let mut random = [0; DERIVATION_RANDOM];
        context.world.random.fill(&mut random);
        random
    });
    let random = random.as_ref().map_or(&[][..], |random| random);
    let info = template.shared_info(context, isd_p, random)?;
    let shared = context.factory.ecasd.agree(&ephemeral).ok_or(WRONG)?;
    let (receipt_key, keys) = derive(shared.expose(), &info, template.keys()).ok_or(WRONG)?;

    let mut answer = Vec::new();
    if !random.is_empty() {
        answer = tlv_bytes(CHALLENGE_OR_RANDOM, random);
    }
    let receipt = AesKey::new(receipt_key).cmac(&[crt, &answer]);
    answer.extend(tlv_bytes(RECEIPT, &receipt));

    let set = KeySet::of_three(template.version, keys, template.counter);
    let state = context.state.to_mut();
    let sets = match isd_p {
        None => &mut state.key_sets,
        Some(isd_p) => &mut state.isd_p_mut(isd_p).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?.key_sets,
    };
    replace(sets, set);
    Ok(answer)
}

/// The data after the template.
struct Parts<'a> {
    key: &'a [u8],
    signature: &'a [u8],
    /// The number of octets from the signature to the end, which the signature does not cover.
    not_signed: usize,
}

impl<'a> Parts<'a> {
    fn read(after: &'a [u8]) -> Result<Self, DecodeError> {
        const NAME: &str = "key establishment";
        let known = [Tag(0x7F49), Tag(0x5F37)];
        let mut reader = Reader::new(after);
        reader.skip_up_to(NAME, &known)?;
        let key = reader.contents(Tag(0x7F49))?;
        reader.skip_up_to(NAME, &known)?;
        let not_signed = reader.rest().len();
        let signature = reader.contents(Tag(0x5F37))?;
        reader.skip_up_to(NAME, &known)?;
        reader.finish()?;
        Ok(Self { key, signature, not_signed })
    }
}

/// Derives the key of the receipt, and the key set: three keys, or one base key used for all three.
fn derive(shared: &[u8], info: &[u8], keys: usize) -> Option<([u8; AES_KEY], [[u8; AES_KEY]; 3])> {
    let octets = x963::kdf_sha256(shared, info, AES_KEY.saturating_mul(keys.saturating_add(1)));
    let (blocks, _) = octets.expose().as_chunks::<AES_KEY>();
    match blocks {
        [receipt, key] => Some((*receipt, [*key; 3])),
        [receipt, enc, mac, dek] => Some((*receipt, [*enc, *mac, *dek])),
        _ => None,
    }
}

/// Decodes an ephemeral key in each of the formats that sources describe: the point with or without
/// its 04, or the format of certificates.
fn ephemeral_key(octets: &[u8]) -> Option<PublicKey> {
    match octets.len() {
        65 => PublicKey::from_sec1(Curve::P256, octets).ok(),
        64 => PublicKey::from_sec1(Curve::P256, &[&[0x04], octets].concat()).ok(),
        _ => ecasd::public_key(octets),
    }
}

/// The control reference template A6.
#[derive(Debug)]
struct Template<'a> {
    parameters: u8,
    usage: u8,
    version: u8,
    counter: u64,
    host_id: Option<&'a [u8]>,
}

impl<'a> Template<'a> {
    /// The bit that requests the deletion of the existing key set with this version.
    const DELETES: u8 = 0x01;
    /// The card adds a random value to the derivation.
    const DERIVATION_RANDOM: u8 = 0x02;
    /// HostID, SIN and SDIN are inputs of the derivation.
    const IDENTITIES: u8 = 0x04;
    /// A certificate was sent before.
    const CERTIFICATE: u8 = 0x08;

    /// Three keys: encryption, MAC and key encryption.
    const THREE_KEYS: u8 = 0x10;
    /// One base key.
    const ONE_KEY: u8 = 0x5C;

    /// Returns `None` if a value is not supported.
    fn read(crt: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let mut elements = Elements::within("KeyAgreement", Tag(0xA6), crt)?;
        let mut octet = |tag| elements.array(Tag(tag), "one octet").map(|[octet]: [u8; 1]| octet);
        let usage = octet(0x95)?;
        // The key type, the key length, and the identifier of the first key.
        let properties = [octet(0x80)?, octet(0x81)?, octet(0x82)?];
        let version = octet(0x83)?;
        let [scenario, parameters] = elements.array(Tag(0x90), "two octets")?;
        // Key access is ignored: every holder of the keys may use them.
        elements.take(&[Tag(0x96)])?;
        let counter = elements.take(&[Tag(0x91)])?.map(|it| it.rest()).unwrap_or_default();
        let sdin = elements.take(&[Tag(0x45)])?;
        let host_id = elements.take(&[Tag(0x84)])?.map(|it| it.rest());
        elements.finish();
        let reserved =
            parameters & !(Self::DELETES | Self::DERIVATION_RANDOM | Self::IDENTITIES | Self::CERTIFICATE);
        if reserved != 0 {
            finding::report(FindingKind::ReservedBit, || {
                format!("KeyAgreement.parameters: {parameters:02X}")
            });
        }
        let with_identities = parameters & Self::IDENTITIES != 0;
        let is_supported = scenario == 0x03
            && properties == [0x88, 0x10, 0x01]
            && parameters & Self::CERTIFICATE != 0
            && matches!(usage, Self::THREE_KEYS | Self::ONE_KEY)
            && matches!(counter.len(), 0 | 2 | 3 | 5 | 8)
            && with_identities == host_id.is_some()
            && (with_identities || sdin.is_none())
            && host_id.is_none_or(|host_id| (1..=16).contains(&host_id.len()));
        let counter = counter.iter().fold(0, |counter: u64, octet| counter << 8 | u64::from(*octet));
        Ok(is_supported.then_some(Self { parameters, usage, version, counter, host_id }))
    }

    fn has(&self, parameter: u8) -> bool {
        self.parameters & parameter != 0
    }

    fn keys(&self) -> usize {
        if self.usage == Self::THREE_KEYS { 3 } else { 1 }
    }

    /// Checks that the security domain accepts a key set with the properties of this template.
    fn check(&self, context: &M2mContext<'_>, isd_p: Option<&Aid>) -> Result<(), StatusWord> {
        let state = &context.state;
        let (expected, octets, existing) = match isd_p {
            None => (KeySetUse::Scp80, 5, state.key_set(self.version)),
            Some(isd_p) => {
                check_life_cycle(context, isd_p)?;
                let isd_p = state.isd_p(isd_p).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?;
                (KeySetUse::Scp03, 3, isd_p.key_set(self.version))
            }
        };
        let is_for_packets = expected == KeySetUse::Scp80;
        if KeyVersion(self.version).usage() != Some(expected)
            || self.counter >> (8 * octets) != 0
            || is_for_packets && self.usage != Self::THREE_KEYS
        {
            return Err(WRONG);
        }
        if existing.is_some() && !self.has(Self::DELETES) {
            return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
        }
        Ok(())
    }

    /// SharedInfo: key properties, random value, identities of both sides. Only one source gives
    /// the order of the identities.
    fn shared_info(
        &self,
        context: &M2mContext<'_>,
        isd_p: Option<&Aid>,
        random: &[u8],
    ) -> Result<Vec<u8>, StatusWord> {
        let mut info = [&[self.usage, 0x88, 0x10], random].concat();
        if let Some(host_id) = self.host_id {
            let description = context.factory;
            let identity = match isd_p {
                None => None,
                Some(isd_p) => context.state.isd_p(isd_p).map(|isd_p| isd_p.identity.clone()),
            };
            let (sin, sdin) = match identity {
                None => (description.sin.clone(), description.sdin.clone()),
                Some(identity) => (identity.sin, identity.sdin),
            };
            for value in [host_id, &sin, &sdin] {
                info.push(u8::try_from(value.len()).map_err(|_| WRONG)?);
                info.extend(value);
            }
        }
        Ok(info)
    }
}
