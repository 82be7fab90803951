//! The card side of ES8, which only uses `crypto`.

use crypto::{
    AesKey, Curve, PublicKey, SecretKey,
    key_establishment::{EstablishedKeys, KeyUsage, SharedInfo},
    scp03::{self, SecurityLevel, SessionKeys, StaticKeys},
    scp03t,
};
use profile::EuiccResponse;
use rsp::{
    StatusWord,
    der::{Asn1, Tag, tlv, tlv_bytes},
    ids::Aid,
    ota::script::{Answer, Command, Form, ResponseApdu, Script, ScriptResponse},
};

/// A card with one ISD-P.
pub(crate) struct Card {
    ecasd: SecretKey,
    keys: Option<StaticKeys>,
    /// The sequence counter of the last secure channel.
    pub(crate) sequence: u32,
    tlvs: Option<scp03t::Channel>,
    apdus: Option<scp03::Channel>,
    /// The number of package octets that are still missing.
    missing: usize,
    /// The last received DGI 3A07.
    pub(crate) connectivity: Vec<u8>,
}

impl Card {
    /// Creates a card with this ECASD that expects a package of this many octets.
    pub(crate) fn new(ecasd: SecretKey, package: usize) -> Self {
        Self {
            ecasd,
            keys: None,
            sequence: 0,
            tlvs: None,
            apdus: None,
            missing: package,
            connectivity: Vec::new(),
        }
    }

    pub(crate) fn isd_p() -> Aid {
        Aid::isd_p(0x10)
    }

    /// Executes a script up to the first command that fails.
    pub(crate) fn execute(&mut self, script: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        for command in Script::parse(script).unwrap().commands {
            let answer = match command {
                Command::Apdu(apdu) => Answer::Apdu(self.apdu(&apdu)),
                Command::SecureChannel(tlv) => Answer::SecureChannel(self.tlv(&tlv)),
                other => panic!("{other:?}"),
            };
            let failed = matches!(&answer, Answer::Apdu(apdu) if apdu.status != StatusWord::OK);
            answers.push(answer);
            if failed {
                break;
            }
        }
        ScriptResponse::of(Form::Definite, answers).to_bytes()
    }

    fn apdu(&mut self, apdu: &[u8]) -> ResponseApdu {
        let header = *apdu.first_chunk::<4>().unwrap();
        let data = match &apdu[4..] {
            [0, high, low, rest @ ..] => &rest[..usize::from(u16::from_be_bytes([*high, *low]))],
            [length, rest @ ..] => &rest[..usize::from(*length)],
            [] => &[],
        };
        let done = |data: Vec<u8>| ResponseApdu { data, status: StatusWord::OK };
        match header {
            // INSTALL [for personalization]
            [0x80, 0xE6, ..] => done(Vec::new()),
            [0x80, 0xE2, 0x09, _] => done(tlv_bytes(Tag(0x85), &[0x5A; 16])),
            [0x80, 0xE2, ..] => done(self.agree(data)),
            [0x80, 0x50, ..] => {
                let (keys, answer) = self.initialize(data.try_into().unwrap());
                self.apdus = Some(scp03::Channel::new(keys, SecurityLevel::FULL));
                done(answer)
            }
            [0x84, 0x82, ..] => {
                let channel = self.apdus.as_mut().unwrap();
                match channel.check_external_authenticate(header, data) {
                    Ok(()) => done(Vec::new()),
                    Err(_) => ResponseApdu::status(StatusWord::SECURITY_STATUS_NOT_SATISFIED),
                }
            }
            [0x84, 0xE2, ..] => {
                let channel = self.apdus.as_mut().unwrap();
                self.connectivity = channel.unprotect(header, data).unwrap();
                done(channel.protect_response(0x9000, &[]))
            }
            other => panic!("{other:02X?}"),
        }
    }

    /// Processes DGI 3A02 and returns the receipt.
    fn agree(&mut self, group: &[u8]) -> Vec<u8> {
        let (length, rest) = group[2..].split_first().unwrap();
        let (template, rest) = rest.split_at(usize::from(*length));
        let parts = tlv::each(rest).unwrap();
        let (_, point) = tlv::split(parts[0]).unwrap();
        let shared = self.ecasd.agree(&PublicKey::from_sec1(Curve::P256, point).unwrap()).unwrap();
        let random = [0xD4; 16];
        let info = SharedInfo {
            usage: KeyUsage::ThreeKeys,
            derivation_random: Some(&random),
            host_id: None,
            card_id: None,
        };
        let established = EstablishedKeys::derive(&shared, &info);
        let key = |number: usize| AesKey::new(*established.keys[number].expose());
        self.keys = Some(StaticKeys { enc: key(0), mac: key(1), dek: key(2) });
        let receipt = established.receipt(template, Some(&random));
        [tlv_bytes(Tag(0x85), &random), tlv_bytes(Tag(0x86), &receipt)].concat()
    }

    /// Processes INITIALIZE UPDATE. The sequence counter increases even if the session fails.
    fn initialize(&mut self, host_challenge: [u8; 8]) -> (SessionKeys, Vec<u8>) {
        self.sequence += 1;
        let [_, sequence @ ..] = self.sequence.to_be_bytes();
        let keys = self.keys.as_ref().unwrap();
        let challenge = keys.card_challenge(sequence, &Self::isd_p().0);
        let session = SessionKeys::derive(keys, host_challenge, challenge);
        let cryptogram = session.card_cryptogram();
        let answer = [&[0; 10][..], &[0x30, 0x03, 0x70], &challenge, &cryptogram, &sequence].concat();
        (session, answer)
    }

    fn tlv(&mut self, whole: &[u8]) -> Vec<u8> {
        match whole[0] {
            0x84 => {
                let (keys, answer) = self.initialize(whole[4..].try_into().unwrap());
                self.tlvs = Some(scp03t::Channel::new(keys));
                tlv_bytes(Tag(0x84), &answer)
            }
            0x85 => {
                self.tlvs.as_mut().unwrap().check_external_authenticate(whole).unwrap();
                vec![0x85, 0]
            }
            _ => {
                let channel = self.tlvs.as_mut().unwrap();
                self.missing -= channel.unprotect(whole).unwrap().len();
                let response = match self.missing {
                    0 => EuiccResponse::installed(Vec::new()).to_der(),
                    _ => Vec::new(),
                };
                channel.protect_response(&response)
            }
        }
    }
}
