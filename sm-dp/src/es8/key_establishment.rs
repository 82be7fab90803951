//! ES8.EstablishISDPKeySet, scenario 3: SGP.02 sections 3.1.2 and 4.1.3.1.
//!
//! The ECASD checks CERT.DP.ECDSA and gives a random challenge; we sign it together with a key of our own that is used
//! once; what both sides derive from that key and the ECASD's is proved by the receipt. Two scripts, because the second
//! depends on the answer to the first: script chaining keeps the challenge on the card until then.

use std::fmt;

use crypto::{Curve, PublicKey, SecretKey, x963};
use rsp::{
    der::{Tag, tlv, tlv_bytes},
    ids::Aid,
    ota::script::{Chaining, Command},
};
use serde::{Deserialize, Serialize};
use world::World;

use super::{
    CardFault, apdus,
    arithmetic::{self, Key},
    script,
};
use crate::records::Octets;

/// The key version number of the ISD-P's SCP03 key set: the first of its range.
pub(crate) const SCP03_KEY_VERSION: u8 = 0x30;

/// What the two C-APDUs of the first script are called where they fail.
const INSTALL: &str = "INSTALL [for personalization]";
const FIRST: &str = "the first STORE DATA (certificate)";
const SECOND: &str = "the second STORE DATA (key agreement)";

const CHALLENGE_OR_RANDOM: Tag = Tag(0x85);
const RECEIPT: Tag = Tag(0x86);
const CONTROL_REFERENCE: Tag = Tag(0xA6);
const EPHEMERAL_KEY: Tag = Tag(0x7F49);
const SIGNATURE: Tag = Tag(0x5F37);

/// Key usage: three keys, for encryption, MACs and wrapping. Then AES, of 16 octets.
const THREE_AES_KEYS: [u8; 3] = [0x10, 0x88, 0x10];

/// How ePK.DP.ECKA is written in tag 7F49: sources do not agree, cards take what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EphemeralKeyForm {
    /// 04, X and Y.
    #[default]
    Point,
    /// X and Y.
    Coordinates,
    /// As in certificates: `B0` point, `F0` curve.
    Nested,
}

/// What is left to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How our key is written.
    pub ephemeral_key: EphemeralKeyForm,
    /// Whether the card adds nothing to the derivation.
    pub without_derivation_random: bool,
}

impl Options {
    /// The scenario's parameters: the certificate comes first (08), an existing key set of the version goes (01), the
    /// card adds a number of its own (02).
    fn parameters(self) -> u8 {
        if self.without_derivation_random { 0x09 } else { 0x0B }
    }
}

/// The first script, to the ISD-R: for which ISD-P, and CERT.DP.ECDSA (the whole of 7F21).
pub(crate) fn show_certificate(isd_p: &Aid, certificate: &[u8]) -> Vec<u8> {
    let aid = [&[length(&isd_p.0)], isd_p.0.as_slice()].concat();
    let install = apdu([0x80, 0xE6, 0x20, 0x00], &[&[0, 0], aid.as_slice(), &[0, 0, 0]].concat(), false);
    let group = [&[0x3A, 0x01], length_of(certificate.len()).as_slice(), certificate].concat();
    let store = apdu([0x80, 0xE2, 0x09, 0x00], &group, true);
    script(vec![Command::Apdu(install), Command::Apdu(store)], Chaining::FirstKept)
}

/// What the ECASD wants to have signed.
pub(crate) fn random_challenge(answer: &[u8]) -> Result<Vec<u8>, CardFault> {
    let answered = apdus(answer, &[INSTALL, FIRST])?;
    let data = answered.last().map(|apdu| apdu.data.as_slice()).unwrap_or_default();
    match tlv::split(data) {
        Some((CHALLENGE_OR_RANDOM, challenge)) if matches!(challenge.len(), 16 | 32) => {
            Ok(challenge.to_vec())
        }
        _ => Err(CardFault::Unreadable("a random challenge is 16 or 32 octets in tag 85".to_owned())),
    }
}

/// Our part of a key agreement that waits for the receipt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// What was agreed from our key and the ECASD's. Our key itself is gone.
    shared: Octets,
    /// The control reference template, which the receipt covers.
    template: Octets,
    with_derivation_random: bool,
}

/// The SCP03 keys of an ISD-P.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// Key version number.
    pub(crate) version: u8,
    pub(crate) enc: Key,
    pub(crate) mac: Key,
    pub(crate) dek: Key,
}

impl Agreement {
    /// Signs the challenge, and agrees with PK.ECASD.ECKA. The second script.
    pub(crate) fn begin(
        ecasd_key: &[u8],
        challenge: &[u8],
        signing_key: &SecretKey,
        options: Options,
        world: &World,
    ) -> Result<(Self, Vec<u8>), CardFault> {
        let ephemeral = SecretKey::generate(Curve::P256, &mut |octets| world.dice.fill(octets));
        Self::with(&ephemeral, ecasd_key, challenge, signing_key, options)
    }

    fn with(
        ephemeral: &SecretKey,
        ecasd_key: &[u8],
        challenge: &[u8],
        signing_key: &SecretKey,
        options: Options,
    ) -> Result<(Self, Vec<u8>), CardFault> {
        let no_key = |_| CardFault::NotAuthentic("key agreement key");
        let ecasd_key = PublicKey::from_sec1(Curve::P256, ecasd_key).map_err(no_key)?;
        let shared = ephemeral.agree(&ecasd_key).map_err(no_key)?;
        let template = tlv_bytes(
            CONTROL_REFERENCE,
            &[
                &[0x90, 0x02, 0x03, options.parameters()][..],
                &[0x95, 0x01, 0x10, 0x80, 0x01, 0x88, 0x81, 0x01, 0x10],
                &[0x82, 0x01, 0x01, 0x83, 0x01, SCP03_KEY_VERSION, 0x91, 0x00],
            ]
            .concat(),
        );
        let point = ephemeral.public_key().to_sec1();
        let key = match options.ephemeral_key {
            EphemeralKeyForm::Point => point.to_vec(),
            EphemeralKeyForm::Coordinates => point.iter().skip(1).copied().collect(),
            EphemeralKeyForm::Nested => {
                [tlv_bytes(Tag(0xB0), &point), tlv_bytes(Tag(0xF0), &[0x00])].concat()
            }
        };
        // The group's length covers the template alone; key and signature follow it.
        let data =
            [&[0x3A, 0x02], length_of(template.len()).as_slice(), &template, &tlv_bytes(EPHEMERAL_KEY, &key)]
                .concat();
        // The challenge is signed as if it stood there in a group 0085, which is not sent.
        let signed = [data.as_slice(), &[0x00, 0x85], &length_of(challenge.len()), challenge].concat();
        let signature = signing_key.sign(&signed);
        let data = [data, tlv_bytes(SIGNATURE, signature.as_bytes())].concat();
        let store = apdu([0x80, 0xE2, 0x89, 0x01], &data, true);
        let agreement = Self {
            shared: Octets(shared.expose().to_vec()),
            template: Octets(template),
            with_derivation_random: !options.without_derivation_random,
        };
        Ok((agreement, script(vec![Command::Apdu(store)], Chaining::Last)))
    }

    /// The keys, if the receipt proves that the card has them too.
    pub(crate) fn keys(&self, answer: &[u8]) -> Result<KeySet, CardFault> {
        let answered = apdus(answer, &[SECOND])?;
        let data = answered.last().map(|apdu| apdu.data.as_slice()).unwrap_or_default();
        let unreadable = |why: &str| CardFault::Unreadable(why.to_owned());
        let elements = tlv::each(data).map_err(|e| unreadable(&e.to_string()))?;
        let (random, receipt) = match elements.as_slice() {
            [receipt] if !self.with_derivation_random => (&[][..], *receipt),
            [random, receipt] if self.with_derivation_random => (*random, *receipt),
            _ => {
                return Err(unreadable(
                    "it has not the receipt, or not the derivation random that was asked for",
                ));
            }
        };
        let derivation_random = match tlv::split(random) {
            Some((CHALLENGE_OR_RANDOM, random)) => random,
            None if random.is_empty() => &[],
            _ => return Err(unreadable("the derivation random is tag 85")),
        };
        let Some((RECEIPT, receipt)) = tlv::split(receipt) else {
            return Err(unreadable("the receipt is tag 86"));
        };
        let info = [THREE_AES_KEYS.as_slice(), derivation_random].concat();
        let octets = x963::kdf_sha256(&self.shared.0, &info, 64);
        let (keys, _) = octets.as_chunks::<16>();
        let [receipt_key, enc, mac, dek] = keys else {
            return Err(unreadable("the derivation gives four keys"));
        };
        // The random is covered as it came, with its tag.
        if !arithmetic::same(&arithmetic::mac(receipt_key, &[&self.template.0, random]), receipt) {
            return Err(CardFault::NotAuthentic("receipt"));
        }
        Ok(KeySet { version: SCP03_KEY_VERSION, enc: *enc, mac: *mac, dek: *dek })
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Agreement(..)")
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({:02X})", self.version)
    }
}

/// A C-APDU, short where it can be; its Le asks for whatever there is.
pub(crate) fn apdu(header: [u8; 4], data: &[u8], wants_answer: bool) -> Vec<u8> {
    let [.., high, low] = data.len().to_be_bytes();
    let is_short = data.len() <= 0xFF;
    let lc: &[u8] = if is_short { &[low] } else { &[0, high, low] };
    let le: &[u8] = match (wants_answer, is_short) {
        (false, _) => &[],
        (true, true) => &[0],
        (true, false) => &[0, 0],
    };
    [&header, lc, data, le].concat()
}

/// The length of a data group: one octet, or FF and two (GlobalPlatform section 11.11.2.2).
fn length_of(octets: usize) -> Vec<u8> {
    let [.., high, low] = octets.to_be_bytes();
    if octets < 0xFF { vec![low] } else { vec![0xFF, high, low] }
}

fn length(octets: &[u8]) -> u8 {
    u8::try_from(octets.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the project's own collection of facts, which the card's side reproduces with code of its own:
    /// keys of 11.. and 22.., P-256. No vector of the GSMA's was to be had.
    fn agreement(options: Options) -> Agreement {
        let ephemeral = SecretKey::from_bytes(Curve::P256, &[0x11; 32]).unwrap();
        let ecasd = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap();
        let (agreement, _) =
            Agreement::with(&ephemeral, &ecasd.public_key().to_sec1(), &[0xCC; 16], &ephemeral, options)
                .unwrap();
        agreement
    }

    fn answer(data: &str) -> Vec<u8> {
        let apdu = [hex::decode(data).unwrap(), vec![0x90, 0x00]].concat();
        tlv_bytes(Tag(0xAB), &[tlv_bytes(Tag(0x80), &[1]), tlv_bytes(Tag(0x23), &apdu)].concat())
    }

    #[test]
    fn the_worked_example_without_a_random() {
        let agreement = agreement(Options { without_derivation_random: true, ..Options::default() });
        assert_eq!(
            hex::encode(&agreement.shared.0),
            "ccfc261f58193c98ca4ad4a53bbac6f0ee29bc4d48438090446908622ca79af6"
        );
        assert_eq!(hex::encode(&agreement.template.0), "a615900203099501108001888101108201018301309100");
        let keys = agreement.keys(&answer("861064e6d742f0583a58a9d74821e3c0304b")).unwrap();
        assert_eq!(hex::encode(keys.enc), "c40b97be5c644ba3e2d06dac8747a6f3");
        assert_eq!(hex::encode(keys.mac), "5a4122852513f84be078b80c68056a4f");
        assert_eq!(hex::encode(keys.dek), "4ea9e6b34e49d419d81c095927a800e4");
    }

    #[test]
    fn the_worked_example_with_a_random() {
        let agreement = agreement(Options::default());
        let said = "8510000102030405060708090a0b0c0d0e0f861037dfe69d0e8d3ffa2309f6d5827b3d1d";
        let keys = agreement.keys(&answer(said)).unwrap();
        assert_eq!(hex::encode(keys.enc), "3ef9de61436e79e678d15459f2df5de0");
        assert_eq!(hex::encode(keys.mac), "e6e0ea49cdd5d931745a3614655aff70");
        assert_eq!(hex::encode(keys.dek), "077c8f478632387f8e28e7a0656fc6d9");
        let other = said.replace("1d", "1e");
        assert_eq!(agreement.keys(&answer(&other)), Err(CardFault::NotAuthentic("receipt")));
        let without = "861037dfe69d0e8d3ffa2309f6d5827b3d1d";
        assert!(matches!(agreement.keys(&answer(without)), Err(CardFault::Unreadable(_))));
    }

    #[test]
    fn the_scripts_are_as_other_servers_send_them() {
        let isd_p = Aid(hex::decode("A0000005591010FFFFFFFF8900001100").unwrap());
        let certificate = tlv_bytes(Tag(0x7F21), &[0x93, 0x01, 0x02]);
        assert_eq!(
            hex::encode(show_certificate(&isd_p, &certificate)),
            concat!(
                "aa33830111",
                "221b80e6200016000010a0000005591010ffffffff8900001100000000",
                "221180e20900093a01067f210393010200",
            )
            .replace("221180e20900093a01067f210393010200", "220f80e20900093a01067f210393010200")
            .replace("aa33", "aa31")
        );
        let ephemeral = SecretKey::from_bytes(Curve::P256, &[0x11; 32]).unwrap();
        let ecasd = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap().public_key().to_sec1();
        for (form, octets) in [
            (EphemeralKeyForm::Point, 65),
            (EphemeralKeyForm::Coordinates, 64),
            (EphemeralKeyForm::Nested, 70),
        ] {
            let options = Options { ephemeral_key: form, without_derivation_random: true };
            let (_, script) = Agreement::with(&ephemeral, &ecasd, &[0xCC; 16], &ephemeral, options).unwrap();
            let data = 26 + 3 + octets + 67;
            let head = format!("80e28901{data:02x}3a0217a61590020309950110800188810110820101830130910");
            assert!(hex::encode(&script).contains(&head), "{form:?}: {}", hex::encode(&script));
        }
    }

    #[test]
    fn what_the_card_refuses_names_the_command() {
        let refused = hex::decode("ab0c8001022302900023026982").unwrap();
        let refused = [vec![0xAB, 0x0B, 0x80, 0x01, 0x02], refused[5..].to_vec()].concat();
        assert_eq!(
            random_challenge(&refused),
            Err(CardFault::StatusWord { command: FIRST, status_word: 0x6982 })
        );
        assert!(matches!(random_challenge(&[]), Err(CardFault::Unreadable(_))));
    }
}
