//! ES8.EstablishISDPKeySet, scenario 3: SGP.02 sections 3.1.2 and 4.1.3.1.
//!
//! The ECASD verifies CERT.DP.ECDSA and returns a random challenge. This server signs the challenge
//! together with an ephemeral public key. Both sides derive the keys from that key and the ECASD's
//! key, and the receipt proves that the card derived the same keys. The second script depends on
//! the response to the first one, so there are two. Script chaining keeps the challenge on the card
//! between them.

use crypto::{
    AesKey, Curve, PublicKey, Secret, SecretKey, SharedSecret,
    key_establishment::{KeyEstablishmentError, verify_three_keys},
    scp03::StaticKeys,
};
use rsp::{
    der::DecodeError,
    ids::Aid,
    ota::script::{Chaining, Command},
    sgp02::es5::{self, EphemeralKeyForm, KeyAgreement, Receipt},
};
use serde::{Deserialize, Serialize};
use world::World;

use super::{CardFault, apdus, script};

/// Names of the two C-APDUs of the first script and of the one in the second script, for error
/// messages.
const INSTALL: &str = "INSTALL [for personalization]";
const FIRST: &str = "the first STORE DATA (certificate)";
const SECOND: &str = "the second STORE DATA (key agreement)";

/// Options of the key establishment that the standard leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The encoding of the ephemeral public key.
    pub ephemeral_key: EphemeralKeyForm,
    /// True if the card contributes no random value to the derivation.
    pub without_derivation_random: bool,
}

impl Options {
    /// Requests that the certificate comes first, that an existing key set of the same version is
    /// deleted, and (unless disabled) that the card contributes a random value.
    fn agreement(self) -> KeyAgreement {
        let random = if self.without_derivation_random { 0 } else { KeyAgreement::DERIVATION_RANDOM };
        KeyAgreement::scp03(KeyAgreement::CERTIFICATE | KeyAgreement::DELETE_EXISTING | random)
    }
}

/// Builds the first script, for the ISD-R. It names the ISD-P and contains CERT.DP.ECDSA (the
/// whole of 7F21).
pub(crate) fn certificate_script(isd_p: &Aid, certificate: &[u8]) -> Vec<u8> {
    let apdus = [es5::install_for_personalization(isd_p), es5::store_certificate(certificate)];
    script(apdus.map(Command::Apdu).into(), Chaining::FirstKept)
}

/// Returns the random challenge of the ECASD from its response.
pub(crate) fn random_challenge(answer: &[u8]) -> Result<Vec<u8>, CardFault> {
    let answered = apdus(answer, &[INSTALL, FIRST])?;
    let data = answered.last().map(|apdu| apdu.data.as_slice()).unwrap_or_default();
    es5::random_challenge(data).map_err(unreadable)
}

/// This server's side of a key agreement that waits for the receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// The shared secret. The ephemeral private key is already discarded.
    #[serde(with = "rsp_server::secret_hex")]
    shared: Secret<[u8; 32]>,
    /// The parameters that the receipt covers.
    template: KeyAgreement,
}

/// The SCP03 keys of an ISD-P.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// The key version number.
    pub(crate) version: u8,
    #[serde(with = "rsp_server::secret_hex")]
    pub(crate) enc: Secret<[u8; 16]>,
    #[serde(with = "rsp_server::secret_hex")]
    pub(crate) mac: Secret<[u8; 16]>,
    #[serde(with = "rsp_server::secret_hex")]
    pub(crate) dek: Secret<[u8; 16]>,
}

impl KeySet {
    /// Converts the keys for the cryptographic functions.
    pub(super) fn to_static(&self) -> StaticKeys {
        let [enc, mac, dek] = [&self.enc, &self.mac, &self.dek].map(|key| AesKey::new(*key.expose()));
        StaticKeys { enc, mac, dek }
    }
}

impl Agreement {
    /// Signs the challenge and runs the key agreement with PK.ECASD.ECKA. Returns the second
    /// script.
    pub(crate) fn begin(
        ecasd_key: &[u8],
        challenge: &[u8],
        signing_key: &SecretKey,
        options: Options,
        world: &World,
    ) -> Result<(Self, Vec<u8>), CardFault> {
        let ephemeral = SecretKey::generate(Curve::P256, &mut |octets| world.random.fill(octets));
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
        let point = options.ephemeral_key.contents(&ephemeral.public_key().to_sec1());
        let template = options.agreement();
        let signature = signing_key.sign(&template.signed(&point, challenge));
        let store = template.store_data(&point, signature.as_bytes());
        let agreement = Self { shared: Secret::new(*shared.expose()), template };
        Ok((agreement, script(vec![Command::Apdu(store)], Chaining::Last)))
    }

    /// Derives the keys and verifies the receipt, which proves that the card has them too.
    pub(crate) fn keys(&self, answer: &[u8]) -> Result<KeySet, CardFault> {
        let answered = apdus(answer, &[SECOND])?;
        let data = answered.last().map(|apdu| apdu.data.as_slice()).unwrap_or_default();
        let Receipt { derivation_random, receipt } = Receipt::parse(data).map_err(unreadable)?;
        let is_random_requested = self.template.scenario_parameter & KeyAgreement::DERIVATION_RANDOM != 0;
        if is_random_requested != derivation_random.is_some() {
            return Err(CardFault::Unreadable(
                "the derivation random is missing or was not requested".to_owned(),
            ));
        }
        let shared = SharedSecret::from_bytes(*self.shared.expose());
        let keys =
            verify_three_keys(&shared, &self.template.to_bytes(), derivation_random.as_deref(), &receipt);
        let [enc, mac, dek] = keys.map_err(|e| match e {
            KeyEstablishmentError::Receipt => CardFault::NotAuthentic("receipt"),
            KeyEstablishmentError::DerivationRandom(_) => CardFault::Unreadable(e.to_string()),
        })?;
        Ok(KeySet { version: self.template.key_version, enc, mac, dek })
    }
}

fn unreadable(error: DecodeError) -> CardFault {
    CardFault::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use rsp::der::{Tag, tlv_bytes};

    use super::*;

    /// The worked example from the project's reference notes, with keys of 11.. and 22.. on P-256.
    /// The card side reproduces it with separate code. No GSMA test vector was available.
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
    fn the_keys_match_the_worked_example_without_a_random() {
        let agreement = agreement(Options { without_derivation_random: true, ..Options::default() });
        assert_eq!(
            hex::encode(agreement.shared.expose()),
            "ccfc261f58193c98ca4ad4a53bbac6f0ee29bc4d48438090446908622ca79af6"
        );
        assert_eq!(
            hex::encode(agreement.template.to_bytes()),
            "a615900203099501108001888101108201018301309100"
        );
        let keys = agreement.keys(&answer("861064e6d742f0583a58a9d74821e3c0304b")).unwrap();
        assert_eq!(hex::encode(keys.enc.expose()), "c40b97be5c644ba3e2d06dac8747a6f3");
        assert_eq!(hex::encode(keys.mac.expose()), "5a4122852513f84be078b80c68056a4f");
        assert_eq!(hex::encode(keys.dek.expose()), "4ea9e6b34e49d419d81c095927a800e4");
    }

    #[test]
    fn the_keys_match_the_worked_example_with_a_random() {
        let agreement = agreement(Options::default());
        let response = "8510000102030405060708090a0b0c0d0e0f861037dfe69d0e8d3ffa2309f6d5827b3d1d";
        let keys = agreement.keys(&answer(response)).unwrap();
        assert_eq!(hex::encode(keys.enc.expose()), "3ef9de61436e79e678d15459f2df5de0");
        assert_eq!(hex::encode(keys.mac.expose()), "e6e0ea49cdd5d931745a3614655aff70");
        assert_eq!(hex::encode(keys.dek.expose()), "077c8f478632387f8e28e7a0656fc6d9");
        let other = response.replace("1d", "1e");
        assert_eq!(agreement.keys(&answer(&other)).unwrap_err(), CardFault::NotAuthentic("receipt"));
        let without = "861037dfe69d0e8d3ffa2309f6d5827b3d1d";
        assert!(matches!(agreement.keys(&answer(without)), Err(CardFault::Unreadable(_))));
        let shorter = format!("8508{}8610{}", "07".repeat(8), "00".repeat(16));
        let Err(CardFault::Unreadable(why)) = agreement.keys(&answer(&shorter)) else { panic!() };
        assert!(why.contains("8 octets; a curve of 256 bits requires 16"), "{why}");
    }

    #[test]
    fn the_scripts_match_those_of_other_servers() {
        let isd_p = Aid(hex::decode("A0000005591010FFFFFFFF8900001100").unwrap());
        let certificate = tlv_bytes(Tag(0x7F21), &[0x93, 0x01, 0x02]);
        assert_eq!(
            hex::encode(certificate_script(&isd_p, &certificate)),
            concat!(
                "aa32830111",
                "221c80e6200016000010a0000005591010ffffffff890000110000000000",
                "220f80e20900093a01067f210393010200",
            )
        );
        let ephemeral = SecretKey::from_bytes(Curve::P256, &[0x11; 32]).unwrap();
        let ecasd = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap().public_key().to_sec1();
        for (form, head) in [
            (EphemeralKeyForm::Point, "80e28901a13a0217a615900203099501108001888101108201018301309100"),
            (EphemeralKeyForm::Coordinates, "80e28901a03a0217a615900203099501108001888101108201018301309100"),
            (EphemeralKeyForm::Nested, "80e28901a63a0217a615900203099501108001888101108201018301309100"),
        ] {
            let options = Options { ephemeral_key: form, without_derivation_random: true };
            let (_, script) = Agreement::with(&ephemeral, &ecasd, &[0xCC; 16], &ephemeral, options).unwrap();
            assert!(hex::encode(&script).contains(head), "{form:?}: {}", hex::encode(&script));
        }
    }

    #[test]
    fn a_refusal_names_the_refused_command() {
        let refused = hex::decode("ab0b8001022302900023026982").unwrap();
        assert_eq!(
            random_challenge(&refused),
            Err(CardFault::StatusWord { command: FIRST, status_word: 0x6982 })
        );
        assert!(matches!(random_challenge(&[]), Err(CardFault::Unreadable(_))));
    }
}
