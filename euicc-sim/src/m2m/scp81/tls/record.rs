//! The TLS record layer: RFC 5246 section 6, RFC 5288 (GCM), RFC 5487 (cipher suites).

use aes::Aes128;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes128Gcm, KeyInit};
use crypto::Secret;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{Alert, KEY};

/// TLS 1.2.
pub(super) const VERSION: [u8; 2] = [3, 3];

/// Maximum length of a protected fragment: 2^14 octets and the overhead of the protection.
const MAX_PROTECTED: usize = (1 << 14) + 2048;
/// Maximum length of the contents of a record.
const MAX_PLAIN: usize = 1 << 14;
const BLOCK: usize = 16;
const MAC: usize = 32;
const TAG: usize = 16;
const EXPLICIT_NONCE: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    ChangeCipherSpec = 20,
    Alert = 21,
    Handshake = 22,
    ApplicationData = 23,
}

impl ContentType {
    fn of(octet: u8) -> Option<Self> {
        [Self::ChangeCipherSpec, Self::Alert, Self::Handshake, Self::ApplicationData]
            .into_iter()
            .find(|each| *each as u8 == octet)
    }
}

/// The cipher suites of SGP.02 section 2.4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    /// TLS_PSK_WITH_AES_128_GCM_SHA256.
    Gcm = 0x00A8,
    /// TLS_PSK_WITH_AES_128_CBC_SHA256.
    Cbc = 0x00AE,
}

/// The record protection of one direction.
#[derive(Clone)]
pub(super) struct Protection {
    keys: Keys,
    sequence_number: u64,
}

#[derive(Clone)]
enum Keys {
    Gcm { key: Secret<[u8; KEY]>, salt: Secret<[u8; 4]> },
    Cbc { key: Secret<[u8; KEY]>, mac: Secret<[u8; MAC]>, seed: Secret<[u8; 32]> },
}

/// Derives the keys of both directions: client first, then server.
pub(super) fn protections(
    suite: Suite,
    block: &mut &[u8],
    seed: Secret<[u8; 32]>,
) -> Option<(Protection, Protection)> {
    fn next<const N: usize>(block: &mut &[u8]) -> Option<Secret<[u8; N]>> {
        let (taken, rest) = block.split_first_chunk::<N>()?;
        *block = rest;
        Some(Secret::new(*taken))
    }
    let of = |keys| Protection { keys, sequence_number: 0 };
    Some(match suite {
        Suite::Gcm => {
            let (client, server) = (next(block)?, next(block)?);
            let (client_salt, server_salt) = (next(block)?, next(block)?);
            (
                of(Keys::Gcm { key: client, salt: client_salt }),
                of(Keys::Gcm { key: server, salt: server_salt }),
            )
        }
        Suite::Cbc => {
            let (client_mac, server_mac) = (next(block)?, next(block)?);
            let (client, server) = (next(block)?, next(block)?);
            (
                of(Keys::Cbc { key: client, mac: client_mac, seed: seed.clone() }),
                of(Keys::Cbc { key: server, mac: server_mac, seed }),
            )
        }
    })
}

/// Length of the key block of a suite in octets.
pub(super) const fn key_block(suite: Suite) -> usize {
    match suite {
        Suite::Gcm => 2 * (KEY + 4),
        Suite::Cbc => 2 * (MAC + KEY),
    }
}

/// A received record.
pub(super) struct Record {
    pub(super) content_type: ContentType,
    fragment: Vec<u8>,
}

impl Record {
    /// Removes the first complete record from the received octets.
    pub(super) fn cut(received: &mut Vec<u8>) -> Result<Option<Self>, Alert> {
        let [kind, major, minor, high, low, rest @ ..] = received.as_slice() else { return Ok(None) };
        let content_type = ContentType::of(*kind).ok_or(Alert::UNEXPECTED_MESSAGE)?;
        if [*major, *minor] != VERSION {
            return Err(Alert::PROTOCOL_VERSION);
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > MAX_PROTECTED {
            return Err(Alert::RECORD_OVERFLOW);
        }
        let Some(fragment) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        received.drain(..length + HEADER);
        Ok(Some(Self { content_type, fragment }))
    }

    /// Verifies and decrypts the contents.
    pub(super) fn open(self, protection: Option<&mut Protection>) -> Result<Vec<u8>, Alert> {
        let plain = match protection {
            None => self.fragment,
            Some(protection) => protection.open(self.content_type, &self.fragment)?,
        };
        if plain.len() > MAX_PLAIN { Err(Alert::RECORD_OVERFLOW) } else { Ok(plain) }
    }
}

const HEADER: usize = 5;

/// Builds a record to send.
pub(super) fn record(
    content_type: ContentType,
    plain: &[u8],
    protection: Option<&mut Protection>,
) -> Vec<u8> {
    let fragment = match protection {
        None => plain.to_vec(),
        Some(protection) => protection.seal(content_type, plain),
    };
    [header(content_type, fragment.len()).as_slice(), &fragment].concat()
}

fn header(content_type: ContentType, length: usize) -> [u8; HEADER] {
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let [major, minor] = VERSION;
    [content_type as u8, major, minor, high, low]
}

impl Protection {
    /// Returns the sequence number of this record and increments the counter.
    fn count(&mut self) -> [u8; 8] {
        let number = self.sequence_number;
        self.sequence_number = number.wrapping_add(1);
        number.to_be_bytes()
    }

    fn seal(&mut self, content_type: ContentType, plain: &[u8]) -> Vec<u8> {
        let number = self.count();
        let additional = additional(number, content_type, plain.len());
        match &self.keys {
            Keys::Gcm { key, salt } => {
                let nonce = nonce(salt, number);
                let cipher = <Aes128Gcm as KeyInit>::new(key.expose().into());
                // The encryption fails only for contents of gigabytes.
                let sealed = cipher.encrypt(&nonce.into(), Payload { msg: plain, aad: &additional });
                [number.as_slice(), &sealed.unwrap_or_default()].concat()
            }
            Keys::Cbc { key, mac, seed } => {
                let checksum = checksum(mac.expose(), &additional, plain);
                let iv = initialisation_vector(seed.expose(), number);
                let padding = BLOCK - (plain.len() + MAC) % BLOCK;
                let last = u8::try_from(padding - 1).unwrap_or_default();
                let mut padded = [plain, &checksum, &vec![last; padding]].concat();
                let length = padded.len();
                let cipher = cbc::Encryptor::<Aes128>::new(key.expose().into(), &iv.into());
                let sealed = cipher.encrypt_padded::<NoPadding>(&mut padded, length).unwrap_or_default();
                [iv.as_slice(), sealed].concat()
            }
        }
    }

    fn open(&mut self, content_type: ContentType, fragment: &[u8]) -> Result<Vec<u8>, Alert> {
        let own_number = self.count();
        match &self.keys {
            Keys::Gcm { key, salt } => {
                let (number, sealed) =
                    fragment.split_first_chunk::<EXPLICIT_NONCE>().ok_or(Alert::BAD_RECORD_MAC)?;
                let length = sealed.len().checked_sub(TAG).ok_or(Alert::BAD_RECORD_MAC)?;
                let additional = additional(own_number, content_type, length);
                let cipher = <Aes128Gcm as KeyInit>::new(key.expose().into());
                let nonce = nonce(salt, *number);
                cipher
                    .decrypt(&nonce.into(), Payload { msg: sealed, aad: &additional })
                    .map_err(|_| Alert::BAD_RECORD_MAC)
            }
            Keys::Cbc { key, mac, .. } => {
                let (iv, sealed) = fragment.split_first_chunk::<BLOCK>().ok_or(Alert::BAD_RECORD_MAC)?;
                let mut plain = sealed.to_vec();
                cbc::Decryptor::<Aes128>::new(key.expose().into(), iv.into())
                    .decrypt_padded::<NoPadding>(&mut plain)
                    .map_err(|_| Alert::BAD_RECORD_MAC)?;
                // All errors get the same alert (section 6.2.3.2).
                let padding = usize::from(*plain.last().ok_or(Alert::BAD_RECORD_MAC)?);
                let length = plain.len().checked_sub(padding + 1 + MAC).ok_or(Alert::BAD_RECORD_MAC)?;
                let (contents, rest) = plain.split_at_checked(length).ok_or(Alert::BAD_RECORD_MAC)?;
                let (found, filling) = rest.split_at_checked(MAC).ok_or(Alert::BAD_RECORD_MAC)?;
                let additional = additional(own_number, content_type, length);
                let is_padded = filling.iter().all(|octet| usize::from(*octet) == padding);
                if is_padded && is_checksum(mac.expose(), &additional, contents, found) {
                    Ok(contents.to_vec())
                } else {
                    Err(Alert::BAD_RECORD_MAC)
                }
            }
        }
    }
}

/// The additional authenticated data.
fn additional(number: [u8; 8], content_type: ContentType, length: usize) -> Vec<u8> {
    [number.as_slice(), &header(content_type, length)].concat()
}

fn nonce(salt: &Secret<[u8; 4]>, number: [u8; EXPLICIT_NONCE]) -> [u8; 12] {
    let mut nonce = [0; 12];
    for (octet, from) in nonce.iter_mut().zip(salt.expose().iter().copied().chain(number)) {
        *octet = from;
    }
    nonce
}

/// An initialisation vector that is unpredictable without the seed.
fn initialisation_vector(seed: &[u8; 32], number: [u8; 8]) -> [u8; BLOCK] {
    let derived: [u8; 32] = checksum(seed, &number, &[]);
    let mut vector = [0; BLOCK];
    for (octet, from) in vector.iter_mut().zip(derived) {
        *octet = from;
    }
    vector
}

fn keyed(mac: &[u8; MAC], additional: &[u8], contents: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(mac)
        .unwrap_or_else(|_| <Hmac<Sha256> as KeyInit>::new(&Default::default()))
        .chain_update(additional)
        .chain_update(contents)
}

fn checksum(mac: &[u8; MAC], additional: &[u8], contents: &[u8]) -> [u8; MAC] {
    keyed(mac, additional, contents).finalize().into_bytes().into()
}

fn is_checksum(mac: &[u8; MAC], additional: &[u8], contents: &[u8], found: &[u8]) -> bool {
    keyed(mac, additional, contents).verify_slice(found).is_ok()
}
