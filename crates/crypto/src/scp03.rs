//! Secure Channel Protocol 03 on APDUs: GlobalPlatform Card Specification Amendment D, with MACs of
//! eight octets and i = 70 (pseudo-random card challenge, response MAC and response encryption).
//!
//! The module implements host and card. The state of a session can be saved and restored
//! ([`Chain`]) for procedures that outlive a process.

use std::fmt;

use zeroize::Zeroize;

use crate::aes_key::{AesKey, BLOCK, MAC_LENGTH, truncated};
use crate::constant_time::is_equal;
use crate::secret::Secret;

/// The length of a challenge, a cryptogram and a MAC in octets.
pub const LENGTH: usize = MAC_LENGTH;

/// The implementation option i: pseudo-random card challenge, R-MAC and R-ENC.
pub const OPTION: u8 = 0x70;

/// The static keys of a key set.
#[derive(Debug, Clone)]
pub struct StaticKeys {
    /// Key-ENC.
    pub enc: AesKey,
    /// Key-MAC.
    pub mac: AesKey,
    /// Key-DEK.
    pub dek: AesKey,
}

impl StaticKeys {
    /// Computes the card challenge (section 6.2.2.1). `aid` is the AID of the selected application.
    #[must_use]
    pub fn card_challenge(&self, sequence_counter: [u8; 3], aid: &[u8]) -> [u8; LENGTH] {
        short(&self.enc, Constant::CardChallenge, &[&sequence_counter, aid])
    }
}

/// The keys of one session.
#[derive(Debug, Clone)]
pub struct SessionKeys {
    /// S-ENC.
    pub enc: AesKey,
    /// S-MAC.
    pub mac: AesKey,
    /// S-RMAC.
    pub rmac: AesKey,
    context: [u8; 2 * LENGTH],
}

/// Data derivation constants: table 4-1.
#[derive(Clone, Copy)]
enum Constant {
    CardCryptogram = 0x00,
    HostCryptogram = 0x01,
    CardChallenge = 0x02,
    Enc = 0x04,
    Mac = 0x06,
    Rmac = 0x07,
}

impl SessionKeys {
    /// Derives the session keys (section 6.2.1).
    #[must_use]
    pub fn derive(keys: &StaticKeys, host_challenge: [u8; LENGTH], card_challenge: [u8; LENGTH]) -> Self {
        let mut context = [0; 2 * LENGTH];
        for (out, octet) in context.iter_mut().zip(host_challenge.iter().chain(&card_challenge)) {
            *out = *octet;
        }
        Self {
            enc: derive_key(&keys.enc, Constant::Enc, &context),
            mac: derive_key(&keys.mac, Constant::Mac, &context),
            rmac: derive_key(&keys.mac, Constant::Rmac, &context),
            context,
        }
    }

    /// Returns the cryptogram with which the card proves possession of the keys.
    #[must_use]
    pub fn card_cryptogram(&self) -> [u8; LENGTH] {
        short(&self.mac, Constant::CardCryptogram, &[&self.context])
    }

    /// Returns the cryptogram with which the host proves possession of the keys.
    #[must_use]
    pub fn host_cryptogram(&self) -> [u8; LENGTH] {
        short(&self.mac, Constant::HostCryptogram, &[&self.context])
    }

    /// Computes the ICV of a command or response (sections 6.2.6 and 6.2.7).
    pub(crate) fn icv(&self, counter: u32, direction: Direction) -> [u8; BLOCK] {
        let mut block = u128::from(counter).to_be_bytes();
        if direction == Direction::Response {
            block[0] = 0x80;
        }
        self.enc.encrypt_block(block)
    }

    /// Pads and encrypts the data.
    pub(crate) fn encrypt(&self, counter: u32, direction: Direction, data: &[u8]) -> Vec<u8> {
        self.enc.encrypt_cbc_padded(self.icv(counter, direction), data)
    }

    /// Decrypts the data and removes the padding.
    pub(crate) fn decrypt(
        &self,
        counter: u32,
        direction: Direction,
        data: &[u8],
    ) -> Result<Vec<u8>, ChannelError> {
        if data.is_empty() || !data.len().is_multiple_of(BLOCK) {
            return Err(ChannelError::Structure("the ciphertext is not made of whole blocks"));
        }
        self.enc
            .decrypt_cbc_padded(self.icv(counter, direction), data)
            .ok_or(ChannelError::Security("the decrypted data do not end in padding"))
    }
}

/// The direction of a message: a command to the card or a response from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Command,
    Response,
}

/// The key derivation function of section 4.1.5: NIST SP 800-108 in counter mode with CMAC.
fn kdf(key: &AesKey, constant: Constant, context: &[&[u8]], octets: usize) -> Secret<Vec<u8>> {
    let mut out = Vec::with_capacity(octets.next_multiple_of(BLOCK));
    let [.., high, low] = (octets * 8).to_be_bytes();
    for counter in 1_u8.. {
        if out.len() >= octets {
            break;
        }
        let label = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, constant as u8, 0, high, low, counter];
        let parts: Vec<&[u8]> = std::iter::once(label.as_slice()).chain(context.iter().copied()).collect();
        let mut block = key.cmac(&parts);
        out.extend_from_slice(&block);
        block.zeroize();
    }
    out.truncate(octets);
    Secret::new(out)
}

/// Derives a session key of the same length as the static key.
fn derive_key(key: &AesKey, constant: Constant, context: &[u8]) -> AesKey {
    let octets = kdf(key, constant, &[context], key.octets());
    // The octets have the length of an existing key, so this cannot fail.
    AesKey::from_slice(octets.expose()).unwrap_or_else(|_| key.clone())
}

fn short(key: &AesKey, constant: Constant, context: &[&[u8]]) -> [u8; LENGTH] {
    let octets = kdf(key, constant, context, LENGTH);
    octets.expose().as_slice().try_into().unwrap_or([0; LENGTH])
}

/// The protection of commands and responses: table 7-6.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecurityLevel(u8);

impl SecurityLevel {
    /// Commands are MACed.
    pub const C_MAC: Self = Self(0x01);
    /// Commands are MACed and encrypted.
    pub const C_MAC_C_ENC: Self = Self(0x03);
    /// Commands and responses are MACed and encrypted, as SGP.02 requires.
    pub const FULL: Self = Self(0x33);

    /// Decodes a security level. Returns `None` for a combination that does not exist.
    #[must_use]
    pub const fn of(level: u8) -> Option<Self> {
        match level {
            0x00 | 0x01 | 0x03 | 0x11 | 0x13 | 0x33 => Some(Self(level)),
            _ => None,
        }
    }

    /// Returns the encoded octet.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

impl fmt::Debug for SecurityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecurityLevel({:02X})", self.0)
    }
}

const C_ENC: u8 = 0x02;
const C_MAC: u8 = 0x01;
const R_MAC: u8 = 0x10;
const R_ENC: u8 = 0x20;

/// The bit for GlobalPlatform secure messaging in the class byte.
const SECURE_MESSAGING: u8 = 0x04;
const EXTERNAL_AUTHENTICATE: u8 = 0x82;

/// The reason why a command or a response is refused. The session cannot be used afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The octets are not a valid secured message.
    #[error("the secured message is malformed: {0}; start a new session")]
    Structure(&'static str),
    /// The message was made with other keys or is not the next of the session.
    #[error(
        "the secured message does not match the session keys: {0}; start a new session and compare the keys on both ends"
    )]
    Security(&'static str),
}

/// The state of a session that changes with each command. Together with the session keys it
/// describes the whole session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chain {
    /// The MAC chaining value.
    pub mac_chaining_value: [u8; BLOCK],
    /// The number of commands since EXTERNAL AUTHENTICATE.
    pub counter: u32,
}

/// A session of the host or the card.
#[derive(Debug, Clone)]
pub struct Channel {
    keys: SessionKeys,
    level: SecurityLevel,
    chain: Chain,
}

impl Channel {
    /// Starts a session. The next command is EXTERNAL AUTHENTICATE.
    #[must_use]
    pub fn new(keys: SessionKeys, level: SecurityLevel) -> Self {
        Self::resumed(keys, level, Chain::default())
    }

    /// Resumes a session from a saved state.
    #[must_use]
    pub const fn resumed(keys: SessionKeys, level: SecurityLevel, chain: Chain) -> Self {
        Self { keys, level, chain }
    }

    /// Returns the current state of the session.
    #[must_use]
    pub const fn chain(&self) -> Chain {
        self.chain
    }

    /// Returns the host's whole EXTERNAL AUTHENTICATE command.
    pub fn external_authenticate(&mut self) -> Vec<u8> {
        let header = [0x80 | SECURE_MESSAGING, EXTERNAL_AUTHENTICATE, self.level.code(), 0];
        let cryptogram = self.keys.host_cryptogram();
        let mac = self.next_mac(header, &cryptogram);
        [header.as_slice(), &[2 * LENGTH as u8], &cryptogram, &mac].concat()
    }

    /// Checks header and data of EXTERNAL AUTHENTICATE at the card.
    pub fn check_external_authenticate(&mut self, header: [u8; 4], data: &[u8]) -> Result<(), ChannelError> {
        let (cryptogram, mac) = data
            .split_at_checked(LENGTH)
            .filter(|(_, mac)| mac.len() == LENGTH)
            .ok_or(ChannelError::Structure("a cryptogram and a MAC have 16 octets together"))?;
        if !is_equal(&self.next_mac(header, cryptogram), mac) {
            return Err(ChannelError::Security("the MAC does not match"));
        }
        if !is_equal(&self.keys.host_cryptogram(), cryptogram) {
            return Err(ChannelError::Security("the host cryptogram does not match"));
        }
        Ok(())
    }

    /// Protects a command at the host. Returns header and data as they are sent, without Lc and Le.
    /// At most 239 octets of data fit a short command when they are encrypted.
    pub fn protect(&mut self, header: [u8; 4], data: &[u8]) -> ([u8; 4], Vec<u8>) {
        self.chain.counter = self.chain.counter.saturating_add(1);
        if !self.level.has(C_MAC) {
            return (header, data.to_vec());
        }
        let [cla, ins, p1, p2] = header;
        let header = [cla & 0xF0 | SECURE_MESSAGING, ins, p1, p2];
        let mut data = match self.level.has(C_ENC) && !data.is_empty() {
            true => self.keys.encrypt(self.chain.counter, Direction::Command, data),
            false => data.to_vec(),
        };
        let mac = self.next_mac(header, &data);
        data.extend(mac);
        (header, data)
    }

    /// Checks a command at the card and returns its plain data.
    pub fn unprotect(&mut self, header: [u8; 4], data: &[u8]) -> Result<Vec<u8>, ChannelError> {
        self.chain.counter = self.chain.counter.saturating_add(1);
        if !self.level.has(C_MAC) {
            return Ok(data.to_vec());
        }
        let [cla, ..] = header;
        let (data, mac) = without_mac(data)?;
        if cla & SECURE_MESSAGING == 0 {
            return Err(ChannelError::Security("the class byte does not indicate secure messaging"));
        }
        // req: GPC-D-Mac
        if !is_equal(&self.next_mac(header, data), mac) {
            return Err(ChannelError::Security("the MAC does not match"));
        }
        match self.level.has(C_ENC) && !data.is_empty() {
            true => self.keys.decrypt(self.chain.counter, Direction::Command, data),
            false => Ok(data.to_vec()),
        }
    }

    /// Protects the data of a response at the card.
    #[must_use]
    pub fn protect_response(&self, status: u16, data: &[u8]) -> Vec<u8> {
        if !self.level.has(R_MAC) || !is_protected(status) {
            return data.to_vec();
        }
        let mut data = match self.level.has(R_ENC) && !data.is_empty() {
            true => self.keys.encrypt(self.chain.counter, Direction::Response, data),
            false => data.to_vec(),
        };
        let mac = self.response_mac(status, &data);
        data.extend(mac);
        data
    }

    /// Checks a response at the host and returns its plain data.
    pub fn unprotect_response(&self, status: u16, data: &[u8]) -> Result<Vec<u8>, ChannelError> {
        if !self.level.has(R_MAC) || !is_protected(status) {
            return Ok(data.to_vec());
        }
        let (data, mac) = without_mac(data)?;
        if !is_equal(&self.response_mac(status, data), mac) {
            return Err(ChannelError::Security("the response MAC does not match"));
        }
        match self.level.has(R_ENC) && !data.is_empty() {
            true => self.keys.decrypt(self.chain.counter, Direction::Response, data),
            false => Ok(data.to_vec()),
        }
    }

    fn next_mac(&mut self, header: [u8; 4], data: &[u8]) -> [u8; LENGTH] {
        let length = data.len().saturating_add(LENGTH);
        // Lc has one octet in short commands and three octets in extended ones.
        let lc = match u8::try_from(length) {
            Ok(lc) => vec![lc],
            Err(_) => std::iter::once(0).chain(u16::try_from(length).unwrap_or(0).to_be_bytes()).collect(),
        };
        let mac = self.keys.mac.cmac(&[&self.chain.mac_chaining_value, &header, &lc, data]);
        self.chain.mac_chaining_value = mac;
        truncated(mac)
    }

    fn response_mac(&self, status: u16, data: &[u8]) -> [u8; LENGTH] {
        truncated(self.keys.rmac.cmac(&[&self.chain.mac_chaining_value, data, &status.to_be_bytes()]))
    }
}

/// True if responses with this status word are protected. Errors are not (section 6.2.5).
const fn is_protected(status: u16) -> bool {
    matches!(status >> 8, 0x90 | 0x62 | 0x63)
}

fn without_mac(data: &[u8]) -> Result<(&[u8], &[u8]), ChannelError> {
    data.len()
        .checked_sub(LENGTH)
        .and_then(|at| data.split_at_checked(at))
        .ok_or(ChannelError::Structure("too short for a MAC"))
}

#[cfg(test)]
mod tests;
