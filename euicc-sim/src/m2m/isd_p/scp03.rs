//! The card side of SCP03: GlobalPlatform Amendment D with i = 70 (pseudo-random challenges, R-MAC,
//! R-ENC) at security level 33. The commands are APDUs, or the TLVs of SCP03t (SGP.02 section
//! 4.1.3.3). The caller provides the header that a MAC covers besides the data.

use std::fmt;

use crypto::{AesKey, Secret, is_equal};

use crate::m2m::keys::AES_KEY;

/// C-MAC, C-ENC, R-MAC and R-ENC: the only level that SGP.02 allows.
pub(super) const SECURITY_LEVEL: u8 = 0x33;

/// Protocol identifier in the response to INITIALIZE UPDATE: SCP03, i = 70.
const PROTOCOL: [u8; 2] = [0x03, 0x70];

/// Length of a transmitted MAC in octets.
pub(super) const MAC: usize = 8;

/// Length of challenges and cryptograms in octets.
pub(super) const CHALLENGE: usize = 8;

/// Derivation constants.
mod constant {
    pub(super) const CARD_CRYPTOGRAM: u8 = 0x00;
    pub(super) const HOST_CRYPTOGRAM: u8 = 0x01;
    pub(super) const CARD_CHALLENGE: u8 = 0x02;
    pub(super) const S_ENC: u8 = 0x04;
    pub(super) const S_MAC: u8 = 0x06;
    pub(super) const S_RMAC: u8 = 0x07;
}

/// The state after INITIALIZE UPDATE: the server must prove that it has the keys.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    session: Session,
    host_cryptogram: [u8; CHALLENGE],
}

/// Session keys and counters.
#[derive(Clone)]
pub(crate) struct Session {
    enc: AesKey,
    mac: AesKey,
    rmac: AesKey,
    /// The complete last MAC.
    chaining: [u8; 16],
    /// Number of commands since the authentication.
    counter: u64,
}

/// An invalid MAC, cryptogram or padding. It ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SecurityError;

impl Handshake {
    /// INITIALIZE UPDATE with the keys ENC and MAC. Returns the handshake and the response.
    pub(super) fn new(
        version: u8,
        [enc, mac]: [&Secret<[u8; AES_KEY]>; 2],
        sequence: [u8; 3],
        aid: &[u8],
        host_challenge: [u8; CHALLENGE],
    ) -> (Self, Vec<u8>) {
        let (enc, mac) = (AesKey::new(*enc.expose()), AesKey::new(*mac.expose()));
        let card_challenge = half(derive(&enc, constant::CARD_CHALLENGE, 64, &[&sequence, aid]));
        let both: [&[u8]; 2] = [&host_challenge, &card_challenge];
        let session_key = |key, constant| AesKey::new(derive(key, constant, 128, &both));
        let s_mac = session_key(&mac, constant::S_MAC);
        let cryptogram = |constant| half(derive(&s_mac, constant, 64, &both));
        let answer = [
            // Key diversification data: zero, because the keys are not diversified.
            &[0; 10][..],
            &[version],
            &PROTOCOL,
            &card_challenge,
            &cryptogram(constant::CARD_CRYPTOGRAM),
            &sequence,
        ];
        let host_cryptogram = cryptogram(constant::HOST_CRYPTOGRAM);
        let session = Session {
            enc: session_key(&enc, constant::S_ENC),
            rmac: session_key(&mac, constant::S_RMAC),
            mac: s_mac,
            chaining: [0; 16],
            counter: 0,
        };
        (Self { session, host_cryptogram }, answer.concat())
    }

    /// EXTERNAL AUTHENTICATE: verifies the cryptogram, and the MAC that covers `header` and the
    /// cryptogram. Returns the session.
    pub(super) fn authenticate(mut self, header: &[u8], data: &[u8]) -> Result<Session, SecurityError> {
        let cryptogram = self.session.check(header, data)?;
        // req: SGP.02-4.1.3.4-Keys
        if !is_equal(cryptogram, &self.host_cryptogram) {
            return Err(SecurityError);
        }
        Ok(self.session)
    }
}

impl Session {
    /// Verifies the MAC over `header` and the data, and decrypts the data.
    pub(super) fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, SecurityError> {
        let encrypted = self.check(header, data)?;
        self.counter = self.counter.saturating_add(1);
        if encrypted.is_empty() {
            return Ok(Vec::new());
        }
        let mut clear = self.enc.decrypt_cbc(self.icv(0x00), encrypted).ok_or(SecurityError)?;
        let end = clear.iter().rposition(|octet| *octet != 0).filter(|end| clear.get(*end) == Some(&0x80));
        // Padding that is longer than necessary is refused.
        let end = end.filter(|end| clear.len().saturating_sub(*end) <= 16).ok_or(SecurityError)?;
        clear.truncate(end);
        Ok(clear)
    }

    /// Encrypts the response to the last unwrapped command, and appends a MAC over `header`, the
    /// encrypted data and `trailer`. `header` gets the total length of data and MAC.
    pub(super) fn wrap(&self, header: impl Fn(usize) -> Vec<u8>, clear: &[u8], trailer: &[u8]) -> Vec<u8> {
        let mut data = match clear {
            [] => Vec::new(),
            clear => {
                let mut padded = [clear, &[0x80]].concat();
                padded.resize(padded.len().next_multiple_of(16), 0);
                self.enc.encrypt_cbc(self.icv(0x80), &padded).unwrap_or_default()
            }
        };
        let header = header(data.len().saturating_add(MAC));
        let mac = half(self.rmac.cmac(&[&self.chaining, &header, &data, trailer]));
        data.extend(mac);
        data
    }

    /// Verifies the MAC and returns the data before it.
    fn check<'a>(&mut self, header: &[u8], data: &'a [u8]) -> Result<&'a [u8], SecurityError> {
        let (data, mac) = data.split_last_chunk::<MAC>().ok_or(SecurityError)?;
        let expected = self.mac.cmac(&[&self.chaining, header, data]);
        // req: SGP.02-4.1.3.3-Chain
        if !is_equal(&half(expected), mac) {
            return Err(SecurityError);
        }
        self.chaining = expected;
        Ok(data)
    }

    /// The initial vector: the encrypted counter. The first octet differs for commands and
    /// responses.
    fn icv(&self, first: u8) -> [u8; 16] {
        self.enc.encrypt_block((u128::from(first) << 120 | u128::from(self.counter)).to_be_bytes())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} commands)", self.counter)
    }
}

/// The derivation function of Amendment D section 4.1.5: NIST SP 800-108 in counter mode, for one
/// block.
fn derive(key: &AesKey, constant: u8, bits: u16, context: &[&[u8]]) -> [u8; 16] {
    let [high, low] = bits.to_be_bytes();
    let label = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, constant, 0, high, low, 0x01];
    key.cmac(&[&[&label[..]], context].concat())
}

fn half(block: [u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = block;
    [a, b, c, d, e, f, g, h]
}
