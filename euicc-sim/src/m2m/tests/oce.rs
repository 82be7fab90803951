//! The off-card entity: certificates, key establishment, and the host side of SCP03 and SCP03t.

use crypto::{AesKey, Curve, PublicKey, SecretKey, x963};
use rsp::der::{Tag, tlv_bytes};
use rsp::ids::Aid;
use rsp::ota::script::{Chaining, Command, Form, Script};

use super::testbed::{ISD_R, Testbed, lv, text, unhex};

/// AES-CMAC over concatenated parts.
pub(crate) fn cmac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    AesKey::new(*key).cmac(parts)
}

/// Encrypts whole blocks as for PUT KEY.
pub(crate) fn cbc_encrypt(key: &[u8; 16], clear: &[u8]) -> Vec<u8> {
    AesKey::new(*key).encrypt_cbc([0; 16], clear).unwrap()
}

pub(crate) fn check_value(key: &[u8; 16]) -> [u8; 3] {
    AesKey::new(*key).check_value()
}

/// SK.CI.ECDSA.
pub(crate) fn ci() -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[0x33; 32]).unwrap()
}

/// SK.EUM.ECDSA.
fn eum() -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[0x55; 32]).unwrap()
}

/// SK of the SM-DP or SM-SR.
pub(crate) fn own() -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[0x44; 32]).unwrap()
}

/// eSK.OCE.ECKA.
pub(crate) fn ephemeral() -> SecretKey {
    SecretKey::from_bytes(Curve::P256, &[0x11; 32]).unwrap()
}

/// The contents of a certificate.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) effective: Option<&'static str>,
    pub(crate) expires: &'static str,
    pub(crate) discretionary: &'static str,
    pub(crate) key: PublicKey,
    pub(crate) signer: SecretKey,
}

pub(crate) const SM_DP: &str = "C80101";
pub(crate) const SM_SR: &str = "C80102";

impl Certificate {
    pub(crate) fn of(discretionary: &'static str) -> Self {
        Self { effective: None, expires: "20400101", discretionary, key: own().public_key(), signer: ci() }
    }

    /// 7F21.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let tlv = |tag, value: &str| tlv_bytes(Tag(tag), &unhex(value));
        let effective = self.effective.map_or(Vec::new(), |date| tlv(0x5F25, date));
        let contents = [
            tlv(0x93, "02"),
            tlv(0x42, "2B0601"),
            tlv(0x5F20, "8837010203"),
            tlv(0x95, "88"),
            effective,
            tlv(0x5F24, self.expires),
            tlv(0x73, self.discretionary),
            public_key(&self.key),
        ]
        .concat();
        let signature = self.signer.sign(&contents);
        tlv_bytes(Tag(0x7F21), &[contents, tlv_bytes(Tag(0x5F37), signature.as_bytes())].concat())
    }
}

/// 7F49 in the format of certificates.
fn public_key(key: &PublicKey) -> Vec<u8> {
    tlv_bytes(Tag(0x7F49), &[tlv_bytes(Tag(0xB0), &key.to_sec1()), unhex("F00100")].concat())
}

pub(crate) fn ecasd_certificate(key: &SecretKey) -> Vec<u8> {
    Certificate { key: key.public_key(), signer: eum(), ..Certificate::of("C80103") }.octets()
}

/// The parameters of a key establishment.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) isd_p: Option<u16>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) scenario: u8,
    pub(crate) usage: u8,
    pub(crate) version: u8,
    /// The elements after 83: 91 and optional further elements.
    pub(crate) more: String,
    /// The format of 7F49 in the second STORE DATA.
    pub(crate) point: Point,
    pub(crate) signer: SecretKey,
    /// The signed challenge, if it is not the one of the card.
    pub(crate) challenge: Option<Vec<u8>>,
    pub(crate) chaining: [Option<Chaining>; 2],
}

#[derive(Clone, Copy)]
pub(crate) enum Point {
    Bare,
    WithoutHeader,
    Nested,
}

impl Plan {
    pub(crate) fn for_isd_p(number: u16) -> Self {
        Self {
            isd_p: Some(number),
            certificate: Certificate::of(SM_DP).octets(),
            scenario: 0x09,
            usage: 0x10,
            version: 0x30,
            more: "9100".to_owned(),
            point: Point::Bare,
            signer: own(),
            challenge: None,
            chaining: [Some(Chaining::FirstKept), Some(Chaining::Last)],
        }
    }

    pub(crate) fn for_isd_r(version: u8) -> Self {
        Self { isd_p: None, certificate: Certificate::of(SM_SR).octets(), version, ..Self::for_isd_p(0) }
    }

    /// A6.
    pub(crate) fn crt(&self) -> Vec<u8> {
        let Self { scenario, usage, version, more, .. } = self;
        let contents =
            format!("900203{scenario:02X}9501{usage:02X}8001888101108201018301{version:02X}{more}");
        tlv_bytes(Tag(0xA6), &unhex(&contents))
    }

    /// The APDUs of the first script.
    pub(crate) fn first(&self) -> Vec<String> {
        let install = self.isd_p.map(|number| {
            let aid = Aid::isd_p(number).to_string();
            format!("80E62000{}", lv(&format!("0000{}000000", lv(&aid))))
        });
        let certificate = hex::encode_upper(&self.certificate);
        let length = match self.certificate.len() {
            length @ 0..=254 => format!("{length:02X}"),
            length => format!("FF{length:04X}"),
        };
        let group = format!("3A01{length}{certificate}");
        let mut apdus: Vec<String> = install.into_iter().collect();
        apdus.push(format!("80E20900{}00", lv(&group)));
        apdus
    }

    /// The APDU of the second script.
    pub(crate) fn second(&self, challenge: &[u8]) -> String {
        let ephemeral = ephemeral().public_key();
        let point = match self.point {
            Point::Bare => tlv_bytes(Tag(0x7F49), &ephemeral.to_sec1()),
            Point::WithoutHeader => tlv_bytes(Tag(0x7F49), &ephemeral.to_sec1()[1..]),
            Point::Nested => public_key(&ephemeral),
        };
        let crt = self.crt();
        let group = [&[0x3A, 0x02, u8::try_from(crt.len()).unwrap()], crt.as_slice(), &point].concat();
        let challenge = self.challenge.as_deref().unwrap_or(challenge);
        let challenge = [&[0x00, 0x85, u8::try_from(challenge.len()).unwrap()], challenge].concat();
        let signature = self.signer.sign(&[group.as_slice(), &challenge].concat());
        let data = [group, tlv_bytes(Tag(0x5F37), signature.as_bytes())].concat();
        format!("80E28901{}00", lv(&hex::encode_upper(data)))
    }
}

/// Runs both scripts and returns their responses. The second is not sent if the first was refused.
pub(crate) fn establish(testbed: &mut Testbed, plan: &Plan) -> (String, String) {
    let first = testbed.apdus(ISD_R, plan.chaining[0], &plan.first()).pop().unwrap();
    let Some(challenge) = challenge(&first) else { return (first, String::new()) };
    let second = testbed.apdus(ISD_R, plan.chaining[1], &[plan.second(&challenge)]);
    (first, second.concat())
}

/// The challenge in the response to the first STORE DATA.
pub(crate) fn challenge(answer: &str) -> Option<Vec<u8>> {
    let challenge = answer.strip_prefix("8510")?.strip_suffix("9000")?;
    (challenge.len() == 32).then(|| unhex(challenge))
}

/// The expected receipt and keys. `random` is the random value of the card, `identities` are the
/// LVs of HostID, SIN and SDIN.
pub(crate) fn derive(plan: &Plan, random: &[u8], identities: &[u8]) -> ([u8; 16], Vec<[u8; 16]>) {
    let ecasd = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap().public_key();
    let shared = ephemeral().agree(&ecasd).unwrap();
    let info = [&[plan.usage, 0x88, 0x10], random, identities].concat();
    let count = if plan.usage == 0x10 { 4 } else { 2 };
    let octets = x963::kdf_sha256(shared.expose(), &info, count * 16);
    let keys: Vec<[u8; 16]> = octets.expose().chunks(16).map(|key| key.try_into().unwrap()).collect();
    let with_random = if random.is_empty() { Vec::new() } else { tlv_bytes(Tag(0x85), random) };
    (cmac(&keys[0], &[&plan.crt(), &with_random]), keys[1..].to_vec())
}

/// Creates an ISD-P and establishes keys with the default plan.
pub(crate) fn personalised(testbed: &mut Testbed, number: u16) -> [[u8; 16]; 3] {
    assert_eq!(testbed.create(number, None), "009000");
    let plan = Plan::for_isd_p(number);
    let (_, answer) = establish(testbed, &plan);
    let (receipt, keys) = derive(&plan, &[], &[]);
    assert_eq!(answer, format!("8610{}9000", hex::encode_upper(receipt)));
    keys.try_into().unwrap()
}

/// The host side of SCP03 and SCP03t.
#[derive(Clone)]
pub(crate) struct Host {
    enc: [u8; 16],
    mac: [u8; 16],
    rmac: [u8; 16],
    host_cryptogram: [u8; 8],
    chaining: [u8; 16],
    counter: u128,
}

pub(crate) const HOST_CHALLENGE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn kdf(key: &[u8; 16], constant: u8, bits: u8, context: &[u8]) -> [u8; 16] {
    let mut label = [0; 16];
    (label[11], label[14], label[15]) = (constant, bits, 1);
    cmac(key, &[&label, context])
}

impl Host {
    /// Processes the response to INITIALIZE UPDATE: 32 octets.
    pub(crate) fn new(keys: [[u8; 16]; 3], isd_p: u16, answer: &[u8]) -> Self {
        let (challenge, cryptogram, sequence) = (&answer[13..21], &answer[21..29], &answer[29..32]);
        let aid = Aid::isd_p(isd_p).0;
        assert_eq!(challenge, &kdf(&keys[0], 2, 64, &[sequence, &aid].concat())[..8]);
        let both = [&HOST_CHALLENGE, challenge].concat();
        let mac = kdf(&keys[1], 6, 128, &both);
        assert_eq!(cryptogram, &kdf(&mac, 0, 64, &both)[..8]);
        Self {
            enc: kdf(&keys[0], 4, 128, &both),
            mac,
            rmac: kdf(&keys[1], 7, 128, &both),
            host_cryptogram: kdf(&mac, 1, 64, &both)[..8].try_into().unwrap(),
            chaining: [0; 16],
            counter: 0,
        }
    }

    fn maced(&mut self, header: &[u8], data: &[u8]) -> Vec<u8> {
        self.chaining = cmac(&self.mac, &[&self.chaining, header, data]);
        [header, data, &self.chaining[..8]].concat()
    }

    fn icv(&self, first: u8) -> [u8; 16] {
        AesKey::new(self.enc).encrypt_block((u128::from(first) << 120 | self.counter).to_be_bytes())
    }

    fn encrypted(&mut self, clear: &[u8]) -> Vec<u8> {
        self.counter += 1;
        if clear.is_empty() {
            return Vec::new();
        }
        let mut padded = [clear, &[0x80]].concat();
        padded.resize(padded.len().next_multiple_of(16), 0);
        AesKey::new(self.enc).encrypt_cbc(self.icv(0), &padded).unwrap()
    }

    /// EXTERNAL AUTHENTICATE of SCP03t.
    pub(crate) fn authenticate(&mut self, level: u8) -> Vec<u8> {
        let cryptogram = self.host_cryptogram;
        self.maced(&[0x85, 0x11, level], &cryptogram)
    }

    /// One segment of SCP03t.
    pub(crate) fn segment(&mut self, clear: &[u8]) -> Vec<u8> {
        let data = self.encrypted(clear);
        let whole = tlv_bytes(Tag(0x86), &vec![0; data.len() + 8]);
        let header = whole[..whole.len() - data.len() - 8].to_vec();
        self.maced(&header, &data)
    }

    /// Verifies and decrypts a response in an 86.
    pub(crate) fn response(&self, answer: &[u8]) -> Vec<u8> {
        let (data, mac) = answer.split_at(answer.len() - 8);
        assert_eq!(mac, &cmac(&self.rmac, &[&self.chaining, data])[..8]);
        let (_, encrypted) = rsp::der::tlv::split(answer).unwrap();
        self.clear(&encrypted[..encrypted.len() - 8])
    }

    fn clear(&self, encrypted: &[u8]) -> Vec<u8> {
        if encrypted.is_empty() {
            return Vec::new();
        }
        let mut clear = AesKey::new(self.enc).decrypt_cbc(self.icv(0x80), encrypted).unwrap();
        clear.truncate(clear.iter().rposition(|octet| *octet == 0x80).unwrap());
        clear
    }

    /// EXTERNAL AUTHENTICATE of SCP03.
    pub(crate) fn external_authenticate(&mut self, level: u8) -> Vec<u8> {
        let cryptogram = self.host_cryptogram;
        self.maced(&[0x84, 0x82, level, 0, 0x10], &cryptogram)
    }

    /// An APDU over SCP03.
    pub(crate) fn apdu(&mut self, header: [u8; 4], clear: &[u8]) -> Vec<u8> {
        let data = self.encrypted(clear);
        let header = [&header[..], &[u8::try_from(data.len() + 8).unwrap()]].concat();
        let mut apdu = self.maced(&header, &data);
        apdu.push(0);
        apdu
    }

    /// An APDU over SCP03 with extended lengths.
    pub(crate) fn extended_apdu(&mut self, header: [u8; 4], clear: &[u8]) -> Vec<u8> {
        let data = self.encrypted(clear);
        let [high, low] = u16::try_from(data.len() + 8).unwrap().to_be_bytes();
        let header = [&header[..], &[0, high, low]].concat();
        let mut apdu = self.maced(&header, &data);
        apdu.extend([0, 0]);
        apdu
    }

    /// Verifies and decrypts an R-APDU in hexadecimal.
    pub(crate) fn answer(&self, answer: &str) -> String {
        let answer = unhex(answer);
        let (data, status) = answer.split_at(answer.len() - 2);
        let Some((data, mac)) = data.split_last_chunk::<8>() else { return hex::encode_upper(status) };
        assert_eq!(mac, &cmac(&self.rmac, &[&self.chaining, data, status])[..8]);
        hex::encode_upper([self.clear(data), status.to_vec()].concat())
    }
}

/// Sends TLVs of SCP03t in one script.
pub(crate) fn tlvs(
    testbed: &mut Testbed,
    isd_p: u16,
    chaining: Option<Chaining>,
    tlvs: &[Vec<u8>],
) -> Vec<String> {
    let commands = tlvs.iter().cloned().map(Command::SecureChannel).collect();
    text(&testbed.run(Aid::isd_p(isd_p), &Script { form: Form::Indefinite, chaining, commands }))
}

/// INITIALIZE UPDATE of SCP03t.
pub(crate) fn initialize_update(version: u8) -> Vec<u8> {
    [&[0x84, 0x0A, version, 0x00], &HOST_CHALLENGE[..]].concat()
}

/// Opens an SCP03t channel in the first script of a chain.
pub(crate) fn open(testbed: &mut Testbed, keys: [[u8; 16]; 3], isd_p: u16) -> Host {
    let answer = tlvs(testbed, isd_p, Some(Chaining::First), &[initialize_update(0x30)]).concat();
    let answer = unhex(answer.strip_prefix("8420").unwrap());
    let mut host = Host::new(keys, isd_p, &answer);
    let authenticate = host.authenticate(0x33);
    assert_eq!(tlvs(testbed, isd_p, Some(Chaining::Following), &[authenticate]), ["8500"]);
    host
}
