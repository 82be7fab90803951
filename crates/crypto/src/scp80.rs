//! SCP80, the security of over-the-air packets: TS 102 225 section 5, with AES as SGP.02 section
//! 2.4.3 requires, and with triple DES, which deployed cards still use.
//!
//! This module handles octets only. `rsp::ota::secured_packet` encodes and decodes the fields in
//! front of the ciphered part.
//!
//! A command is `CPL CHL SPI KIc KID TAR {CNTR PCNTR CC data padding}`, a response is `RPL RHL TAR
//! {CNTR PCNTR STS CC data padding}`. The braces enclose the ciphered part. CC covers everything
//! except itself, including the padding; in a response it also covers the user data header in front
//! of the packet.

mod key;

pub use crate::aes_key::BLOCK;
pub use crate::constant_time::is_equal;
pub use key::{Key, TripleDesKey};

/// The length of a cryptographic checksum in octets.
pub const CC_LENGTH: usize = crate::aes_key::MAC_LENGTH;

/// Encrypts with AES in CBC mode and an IV of zeros. Returns `None` unless the data are a multiple
/// of the block size.
#[must_use]
pub fn encrypt(key: &[u8; 16], data: &[u8]) -> Option<Vec<u8>> {
    Key::from(*key).encrypt(data)
}

/// Decrypts with AES in CBC mode and an IV of zeros. Returns `None` unless the data are a multiple
/// of the block size.
#[must_use]
pub fn decrypt(key: &[u8; 16], data: &[u8]) -> Option<Vec<u8>> {
    Key::from(*key).decrypt(data)
}

/// Computes CC: the first eight octets of the CMAC of the concatenated parts.
#[must_use]
pub fn mac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; CC_LENGTH] {
    Key::from(*key).cc(parts)
}

/// KIc and KID of a key set.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The ciphering key.
    pub kic: Key,
    /// The key of the cryptographic checksum.
    pub kid: Key,
}

/// The protection of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// True if the packet has a CC.
    pub checksum: bool,
    /// True if the packet is ciphered.
    pub ciphered: bool,
}

impl Protection {
    /// CC and ciphering, as SGP.02 requires.
    pub const FULL: Self = Self { checksum: true, ciphered: true };
}

/// The plain contents of a packet, before sealing or after opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// CNTR.
    pub counter: [u8; 5],
    /// The response status in a response, 0 in a command.
    pub status: u8,
    /// The secured data without padding.
    pub data: Vec<u8>,
}

/// The kind of a packet, with its clear fields between the lengths and CNTR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head<'a> {
    /// SPI, KIc, KID, TAR.
    Command(&'a [u8; 7]),
    /// TAR, and the user data header (`02 71 00`), which CC also covers.
    Response(&'a [u8; 3], &'a [u8]),
}

impl<'a> Head<'a> {
    const fn clear(self) -> &'a [u8] {
        match self {
            Self::Command(head) => head,
            Self::Response(tar, _) => tar,
        }
    }

    const fn covered(self) -> &'a [u8] {
        match self {
            Self::Command(_) => &[],
            Self::Response(_, header) => header,
        }
    }

    /// Returns the length of the status in octets.
    const fn status(self) -> usize {
        match self {
            Self::Command(_) => 0,
            Self::Response(..) => 1,
        }
    }
}

/// The length of CNTR and PCNTR in octets.
const COUNTERS: usize = 6;
/// The length of the two length fields in octets.
const LENGTHS: usize = 3;

/// The reason why a packet cannot be opened. A card reports each with its own response status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The packet is too short, its lengths are wrong, or its padding is longer than its data.
    #[error("the lengths of the packet do not add up: it was truncated or deciphered with the wrong key")]
    Structure,
    /// The ciphered part is not made of whole blocks.
    #[error("the ciphered part of the packet is not a multiple of the block size: it was truncated")]
    Ciphering,
    /// The cryptographic checksum does not match.
    #[error(
        "the checksum does not match: the packet was altered or made with other keys; compare the key set's version and keys on both ends"
    )]
    Checksum,
}

/// Seals a packet, starting with its length field. The packet must have fewer than 65536 octets,
/// otherwise its length field is wrong and receivers refuse it.
#[must_use]
pub fn seal(head: Head<'_>, packet: &Opened, protection: Protection, keys: &Keys) -> Vec<u8> {
    let checksum = if protection.checksum { CC_LENGTH } else { 0 };
    let unpadded = COUNTERS + head.status() + checksum + packet.data.len();
    let padding =
        if protection.ciphered { unpadded.next_multiple_of(keys.kic.block()) - unpadded } else { 0 };
    let header = head.clear().len() + COUNTERS + head.status() + checksum;
    let length = 1 + head.clear().len() + unpadded + padding;

    let mut clear = length.to_be_bytes().last_chunk::<2>().copied().unwrap_or_default().to_vec();
    clear.extend(header.to_be_bytes().last());
    clear.extend_from_slice(head.clear());
    let mut counters = packet.counter.to_vec();
    counters.extend(padding.to_be_bytes().last());
    counters.extend(std::iter::repeat_n(packet.status, head.status()));
    let mut data = packet.data.clone();
    data.resize(packet.data.len() + padding, 0);

    let mut body = counters.clone();
    if protection.checksum {
        body.extend(keys.kid.cc(&[head.covered(), &clear, &counters, &data]));
    }
    body.extend_from_slice(&data);
    if protection.ciphered {
        // The body was padded to whole blocks above.
        body = keys.kic.encrypt(&body).unwrap_or_default();
    }
    [clear, body].concat()
}

/// Opens a packet, starting with its length field. Fails if the packet's clear fields differ from
/// `head`.
pub fn open(
    head: Head<'_>,
    packet: &[u8],
    protection: Protection,
    keys: &Keys,
) -> Result<Opened, PacketError> {
    let clear = LENGTHS + head.clear().len();
    let (clear, body) = packet.split_at_checked(clear).ok_or(PacketError::Structure)?;
    let checksum = if protection.checksum { CC_LENGTH } else { 0 };
    let header = head.clear().len() + COUNTERS + head.status() + checksum;
    let lengths_fit = match clear {
        [high, low, length, rest @ ..] => {
            usize::from(u16::from_be_bytes([*high, *low])) == packet.len() - 2
                && usize::from(*length) == header
                && rest == head.clear()
        }
        _ => false,
    };
    // req: TS.102.225-5-Length
    if !lengths_fit {
        return Err(PacketError::Structure);
    }
    let body = match protection.ciphered {
        true if body.is_empty() => return Err(PacketError::Ciphering),
        true => keys.kic.decrypt(body).ok_or(PacketError::Ciphering)?,
        false => body.to_vec(),
    };
    let (counters, rest) = body.split_at_checked(COUNTERS + head.status()).ok_or(PacketError::Structure)?;
    let (check, data) = rest.split_at_checked(checksum).ok_or(PacketError::Structure)?;
    // The checksum is verified before any field of the body is used.
    // req: TS.102.225-5-Checksum
    if protection.checksum && !is_equal(check, &keys.kid.cc(&[head.covered(), clear, counters, data])) {
        return Err(PacketError::Checksum);
    }
    let [c1, c2, c3, c4, c5, padding, status @ ..] = counters else { return Err(PacketError::Structure) };
    let padding = usize::from(*padding);
    // req: TS.102.225-5-Padding
    let unpadded = data.len().checked_sub(padding).ok_or(PacketError::Structure)?;
    if padding >= keys.kic.block() {
        return Err(PacketError::Structure);
    }
    Ok(Opened {
        counter: [*c1, *c2, *c3, *c4, *c5],
        status: status.first().copied().unwrap_or(0),
        data: data.get(..unpadded).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod triple_des_tests;
