//! Secured packets for a card: TS 102 225 section 5, on SMS as in TS 31.115 section 4.
//!
//! This module handles the format only: it decodes the clear header and keeps the part that may be
//! ciphered as received. `crypto::scp80` seals and opens that part. The format of CAT_TP (CPI, BER
//! lengths) is deliberately absent.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::octets::Octets;
use crate::der::{DecodeError, Problem};
use crate::finding::{FindingKind, report};

/// Toolkit application reference: the addressed application of the card (TS 101 220).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
pub struct Tar(pub [u8; 3]);

impl Tar {
    /// Returns the TAR in octets 13 to 15 of an AID (SGP.02 section 2.2.3), or `None` for a shorter
    /// AID.
    pub fn of_aid(aid: &[u8]) -> Option<Self> {
        aid.get(12..15)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Tar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

impl fmt::Debug for Tar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tar({self})")
    }
}

/// CNTR: the counter of a key set, 5 octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Counter(u64);

impl Counter {
    /// The counter of a packet without a counter.
    pub const ZERO: Self = Self(0);
    /// The highest counter. A key set that has reached it is blocked.
    pub const MAX: Self = Self(0xFF_FFFF_FFFF);

    /// Creates a counter. Returns `None` if the number does not fit 5 octets.
    pub fn new(value: u64) -> Option<Self> {
        (value <= Self::MAX.0).then_some(Self(value))
    }

    /// Returns the number.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Returns the next counter, or `None` after the highest.
    pub fn next(self) -> Option<Self> {
        Self::new(self.0.saturating_add(1))
    }

    /// Encodes the counter for a packet.
    pub const fn to_bytes(self) -> [u8; 5] {
        let [_, _, _, a, b, c, d, e] = self.0.to_be_bytes();
        [a, b, c, d, e]
    }

    /// Decodes the counter of a packet.
    pub fn from_bytes(octets: [u8; 5]) -> Self {
        Self(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
    }
}

/// The integrity protection of a packet: b1 b2 of SPI's first octet, b3 b4 of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Integrity {
    /// No integrity protection.
    None,
    /// RC: a CRC.
    RedundancyCheck,
    /// CC: a MAC.
    CryptographicChecksum,
    /// DS: a signature.
    DigitalSignature,
}

/// The counter check of the card: b4 b5 of SPI's first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CounterRule {
    /// No counter.
    None,
    /// The counter is present but not checked.
    Unchecked,
    /// The counter must be higher than the last one.
    Higher,
    /// The counter must be the last one plus 1.
    Next,
}

/// The condition for a proof of receipt from the card: b1 b2 of SPI's second octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PorRule {
    /// Never.
    Never,
    /// Always.
    Always,
    /// Only to report an error.
    OnError,
}

/// The bearer of the proof of receipt on SMS: b6 of SPI's second octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PorBearer {
    /// The delivery report.
    DeliverReport,
    /// A separate SMS-SUBMIT.
    Submit,
}

/// The security parameter indicator (SPI): TS 102 225 section 5.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spi {
    /// The integrity protection of the command.
    pub integrity: Integrity,
    /// True if the command is ciphered.
    pub ciphered: bool,
    /// The counter check of the card.
    pub counter: CounterRule,
    /// The condition for a proof of receipt.
    pub por: PorRule,
    /// The integrity protection of the proof of receipt.
    pub por_integrity: Integrity,
    /// True if the proof of receipt is ciphered.
    pub por_ciphered: bool,
    /// The bearer of the proof of receipt.
    pub por_bearer: PorBearer,
}

impl Spi {
    /// `16 39`: the protection that SGP.02 section 2.4 requires, with the response in an
    /// SMS-SUBMIT.
    pub const COMMAND_ANSWERED_BY_SUBMIT: Self = Self {
        integrity: Integrity::CryptographicChecksum,
        ciphered: true,
        counter: CounterRule::Higher,
        por: PorRule::Always,
        por_integrity: Integrity::CryptographicChecksum,
        por_ciphered: true,
        por_bearer: PorBearer::Submit,
    };
    /// `16 19`: the same protection, with the response in the delivery report.
    pub const COMMAND_ANSWERED_IN_REPORT: Self =
        Self { por_bearer: PorBearer::DeliverReport, ..Self::COMMAND_ANSWERED_BY_SUBMIT };
    /// `16 00`: no response requested. Used for triggers.
    pub const UNANSWERED: Self = Self {
        por: PorRule::Never,
        por_integrity: Integrity::None,
        por_ciphered: false,
        por_bearer: PorBearer::DeliverReport,
        ..Self::COMMAND_ANSWERED_BY_SUBMIT
    };
    /// `06 00`: an unsolicited packet of a card, such as its default notification: no counter, no
    /// response. Several sources confirm the absence of the counter. The other bits are not
    /// confirmed, and other combinations are possible.
    pub const NOTIFICATION: Self = Self { counter: CounterRule::None, ..Self::UNANSWERED };

    /// Encodes SPI to its two octets.
    pub const fn to_bytes(self) -> [u8; 2] {
        let first = self.integrity as u8 | (self.ciphered as u8) << 2 | (self.counter as u8) << 3;
        let second = self.por as u8
            | (self.por_integrity as u8) << 2
            | (self.por_ciphered as u8) << 4
            | (self.por_bearer as u8) << 5;
        [first, second]
    }

    /// Decodes the two octets. Reserved bits are ignored, as section 5.1.1 requires. Returns `None` if
    /// the condition for a proof of receipt has its reserved value.
    pub const fn from_bytes([first, second]: [u8; 2]) -> Option<Self> {
        Some(Self {
            integrity: Integrity::of(first),
            ciphered: first & 0x04 != 0,
            counter: match first >> 3 & 0x03 {
                0 => CounterRule::None,
                1 => CounterRule::Unchecked,
                2 => CounterRule::Higher,
                _ => CounterRule::Next,
            },
            por: match second & 0x03 {
                0 => PorRule::Never,
                1 => PorRule::Always,
                2 => PorRule::OnError,
                _ => return None,
            },
            por_integrity: Integrity::of(second >> 2),
            por_ciphered: second & 0x10 != 0,
            por_bearer: if second & 0x20 != 0 { PorBearer::Submit } else { PorBearer::DeliverReport },
        })
    }
}

impl Integrity {
    const fn of(bits: u8) -> Self {
        match bits & 0x03 {
            0 => Self::None,
            1 => Self::RedundancyCheck,
            2 => Self::CryptographicChecksum,
            _ => Self::DigitalSignature,
        }
    }
}

/// KIc or KID: the version of the key set in the high nibble, the algorithm in the low nibble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyReference(pub u8);

/// The algorithm in the low nibble of KIc or KID: TS 102 225 sections 5.1.2 and 5.1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// The algorithm that both sides know implicitly.
    Implicit,
    /// DES in CBC mode.
    Des,
    /// AES: CBC mode for ciphering (KIc), CMAC for the checksum (KID).
    Aes,
    /// Triple DES with two keys.
    TripleDesTwoKeys,
    /// Triple DES with three keys.
    TripleDesThreeKeys,
}

impl KeyReference {
    /// Returns the reference to AES with the key set of this version (1 to 15).
    pub const fn aes(version: u8) -> Self {
        Self(version << 4 | 0x02)
    }

    /// Returns the version of the key set; 0 means the version that both sides know implicitly.
    pub const fn version(self) -> u8 {
        self.0 >> 4
    }

    /// Returns the algorithm, or `None` for a reserved or proprietary one.
    pub const fn algorithm(self) -> Option<Algorithm> {
        match self.0 & 0x0F {
            0x0 => Some(Algorithm::Implicit),
            0x1 => Some(Algorithm::Des),
            0x2 => Some(Algorithm::Aes),
            0x5 => Some(Algorithm::TripleDesTwoKeys),
            0x9 => Some(Algorithm::TripleDesThreeKeys),
            _ => None,
        }
    }
}

/// The clear header of a command packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandHeader {
    /// The security of the packet and of its response.
    pub spi: Spi,
    /// The ciphering key and algorithm.
    pub kic: KeyReference,
    /// The integrity key and algorithm.
    pub kid: KeyReference,
    /// The addressed application.
    pub tar: Tar,
}

impl CommandHeader {
    /// Encodes SPI, KIc, KID and TAR.
    pub const fn to_bytes(self) -> [u8; 7] {
        let [spi1, spi2] = self.spi.to_bytes();
        let [t1, t2, t3] = self.tar.0;
        [spi1, spi2, self.kic.0, self.kid.0, t1, t2, t3]
    }
}

/// The length of a command header without RC, CC or DS in octets: SPI to TAR, CNTR, PCNTR.
const COMMAND_HEADER: usize = 13;
/// The length of a response header without RC, CC or DS in octets: TAR, CNTR, PCNTR, the status.
const RESPONSE_HEADER: usize = 10;
/// The length of CNTR and PCNTR in octets.
const COUNTERS: usize = 6;

/// A command packet on SMS, starting with CPL, which follows the user data header `02 70 00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandPacket<'a> {
    /// The clear header.
    pub header: CommandHeader,
    /// SPI, KIc, KID and TAR as received, which the checksum covers.
    pub clear: [u8; 7],
    /// The length of RC, CC or DS in octets according to CHL.
    pub check_length: usize,
    /// The whole packet.
    pub octets: &'a [u8],
    /// The packet from CNTR to the end, ciphered if [`Spi::ciphered`].
    pub body: &'a [u8],
}

impl<'a> CommandPacket<'a> {
    /// Decodes the clear header without opening the packet.
    ///
    /// # Errors
    /// The lengths are inconsistent, or SPI has a reserved value.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Octets::new(octets);
        let check_length = lengths(&mut reader, COMMAND_HEADER).map_err(|e| e.within("CHL"))?;
        let reserved = reader.bad("SPI has a reserved value").within("SPI");
        let clear: [u8; 7] = reader.array()?;
        let [first, second, kic, kid, tar @ ..] = clear;
        let spi = Spi::from_bytes([first, second]).ok_or(reserved)?;
        if spi.to_bytes() != [first, second] {
            report(FindingKind::ReservedBit, || format!("SPI: {first:02X}{second:02X}"));
        }
        let header = CommandHeader { spi, kic: KeyReference(kic), kid: KeyReference(kid), tar: Tar(tar) };
        if reader.rest().len() < check_length.saturating_add(COUNTERS) {
            return Err(reader.error(Problem::Truncated).within("CNTR"));
        }
        Ok(Self { header, clear, check_length, octets, body: reader.rest() })
    }
}

/// A response packet on SMS, starting with RPL, which follows the user data header `02 71 00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePacket<'a> {
    /// The responding application.
    pub tar: Tar,
    /// The length of RC, CC or DS in octets according to RHL.
    pub check_length: usize,
    /// The whole packet.
    pub octets: &'a [u8],
    /// The packet from CNTR to the end, ciphered if the command requested it.
    pub body: &'a [u8],
}

impl<'a> ResponsePacket<'a> {
    /// Decodes the clear header without opening the packet.
    ///
    /// # Errors
    /// The lengths are inconsistent.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Octets::new(octets);
        let check_length = lengths(&mut reader, RESPONSE_HEADER).map_err(|e| e.within("RHL"))?;
        let tar = Tar(reader.array()?);
        if reader.rest().len() < check_length.saturating_add(COUNTERS + 1) {
            return Err(reader.error(Problem::Truncated).within("CNTR"));
        }
        Ok(Self { tar, check_length, octets, body: reader.rest() })
    }
}

/// Reads the packet length (two octets) and the header length (one octet). Returns the number of
/// header octets beyond `least`.
fn lengths(reader: &mut Octets<'_>, least: usize) -> Result<usize, DecodeError> {
    let begin = reader.bad("the packet length does not match the number of octets");
    let packet = usize::from(reader.number16()?);
    match packet.cmp(&reader.rest().len()) {
        std::cmp::Ordering::Equal => {}
        std::cmp::Ordering::Greater => return Err(reader.error(Problem::Truncated)),
        std::cmp::Ordering::Less => return Err(begin),
    }
    let short = reader.bad("the header length is less than the length of its fields");
    usize::from(reader.octet()?).checked_sub(least).ok_or(short)
}

/// Response status code: TS 102 225 section 5.2, table 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResponseStatus {
    /// PoR OK.
    Ok,
    /// RC, CC or DS failed.
    CheckFailed,
    /// The counter is too low: it was used before.
    CounterLow,
    /// The counter is too high: values were skipped.
    CounterHigh,
    /// The counter has reached its maximum.
    CounterBlocked,
    /// The deciphered octets are not a packet.
    CipheringError,
    /// The packet was refused for an unspecified security reason.
    UnidentifiedSecurityError,
    /// Not enough memory for the message.
    InsufficientMemory,
    /// More time is required.
    MoreTime,
    /// No application has this TAR.
    TarUnknown,
    /// The application requires a higher security level.
    InsufficientSecurityLevel,
    /// The actual response is sent in an SMS-SUBMIT.
    ActualResponseBySubmit,
    /// The actual response is sent by USSD.
    ActualResponseByUssd,
    /// A reserved code.
    Reserved(u8),
}

impl ResponseStatus {
    /// The statuses with a name, in the order of their codes from 00.
    const NAMED: [Self; 13] = [
        Self::Ok,
        Self::CheckFailed,
        Self::CounterLow,
        Self::CounterHigh,
        Self::CounterBlocked,
        Self::CipheringError,
        Self::UnidentifiedSecurityError,
        Self::InsufficientMemory,
        Self::MoreTime,
        Self::TarUnknown,
        Self::InsufficientSecurityLevel,
        Self::ActualResponseBySubmit,
        Self::ActualResponseByUssd,
    ];

    /// Returns the code.
    pub fn code(self) -> u8 {
        match self {
            Self::Reserved(code) => code,
            named => (0..).zip(Self::NAMED).find(|(_, each)| *each == named).map_or(0xFF, |(code, _)| code),
        }
    }

    /// Returns the status with this code. A reserved code is a finding.
    pub fn of(code: u8) -> Self {
        Self::NAMED.get(usize::from(code)).copied().unwrap_or_else(|| {
            report(FindingKind::UnknownValue, || format!("response status: {code:02X}"));
            Self::Reserved(code)
        })
    }
}

impl fmt::Display for ResponseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "PoR OK",
            Self::CheckFailed => "the checksum is wrong",
            Self::CounterLow => "the counter is too low",
            Self::CounterHigh => "the counter is too high",
            Self::CounterBlocked => "the counter is blocked",
            Self::CipheringError => "the packet could not be deciphered",
            Self::UnidentifiedSecurityError => "security error",
            Self::InsufficientMemory => "not enough memory for the message",
            Self::MoreTime => "more time is required",
            Self::TarUnknown => "the TAR is unknown",
            Self::InsufficientSecurityLevel => "the security level of the packet is insufficient",
            Self::ActualResponseBySubmit => "the response is sent in a separate message",
            Self::ActualResponseByUssd => "the response is sent by USSD",
            Self::Reserved(code) => return write!(f, "reserved status {code:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spi_values_of_deployed_systems_decode() {
        assert_eq!(Spi::COMMAND_ANSWERED_BY_SUBMIT.to_bytes(), [0x16, 0x39]);
        assert_eq!(Spi::COMMAND_ANSWERED_IN_REPORT.to_bytes(), [0x16, 0x19]);
        assert_eq!(Spi::UNANSWERED.to_bytes(), [0x16, 0x00]);
        let spi = Spi::from_bytes([0x06, 0x19]).unwrap();
        assert_eq!((spi.counter, spi.por_bearer), (CounterRule::None, PorBearer::DeliverReport));
        let spi = Spi::from_bytes([0x16, 0x21]).unwrap();
        assert_eq!((spi.por_integrity, spi.por_ciphered), (Integrity::None, false));
    }

    #[test]
    fn every_pair_of_spi_octets_round_trips_or_is_refused() {
        for octets in 0..=u16::MAX {
            let [first, second] = octets.to_be_bytes();
            match Spi::from_bytes([first, second]) {
                Some(spi) => assert_eq!(spi.to_bytes(), [first & 0x1F, second & 0x3F]),
                None => assert_eq!(second & 3, 3, "{octets:04X}"),
            }
        }
    }

    /// The AES vector of pySim's tests/unittests/test_ota.py (`AES128-SJA5-CIPHERED-CC`).
    #[test]
    fn the_command_packet_of_pysim_decodes() {
        let octets = hex::decode(
            "00281506192222b00011e87cceebb2d93083011ce294f93fc4d8de80da1abae8c37ca3e72ec4432e5058",
        )
        .unwrap();
        let packet = CommandPacket::parse(&octets).unwrap();
        assert_eq!(packet.header.to_bytes(), octets[3..10]);
        assert_eq!(packet.header.tar, Tar([0xB0, 0x00, 0x11]));
        assert_eq!((packet.header.kic, packet.header.kid.version()), (KeyReference::aes(2), 2));
        assert_eq!(packet.header.kic.algorithm(), Some(Algorithm::Aes));
        assert_eq!((packet.check_length, packet.body.len()), (8, 32));
    }

    #[test]
    fn packets_with_inconsistent_lengths_are_refused() {
        let octets = hex::decode("000e0ab0001100000000000000016132").unwrap();
        let packet = ResponsePacket::parse(&octets).unwrap();
        assert_eq!((packet.tar, packet.check_length), (Tar([0xB0, 0x00, 0x11]), 0));
        for cut in 0..octets.len() {
            assert!(ResponsePacket::parse(&octets[..cut]).is_err(), "{cut}");
        }
        let longer = [octets.as_slice(), &[0]].concat();
        assert_eq!(
            ResponsePacket::parse(&longer).unwrap_err().to_string(),
            "RHL: the packet length does not match the number of octets (at octet 0)"
        );
        let mut short_header = octets.clone();
        short_header[2] = 9;
        assert!(ResponsePacket::parse(&short_header).is_err());
        let mut long_header = octets;
        long_header[2] = 18;
        assert!(ResponsePacket::parse(&long_header).is_err());
    }

    #[test]
    fn counters_have_five_octets() {
        assert_eq!(Counter::from_bytes([1, 2, 3, 4, 5]).to_bytes(), [1, 2, 3, 4, 5]);
        assert_eq!(Counter::MAX.next(), None);
        assert_eq!(Counter::ZERO.next(), Counter::new(1));
        assert_eq!(Counter::new(1 << 40), None);
    }

    #[test]
    fn every_status_has_its_own_code() {
        for code in 0..=0xFF {
            assert_eq!(ResponseStatus::of(code).code(), code);
        }
        assert_eq!(ResponseStatus::of(0x09), ResponseStatus::TarUnknown);
    }

    #[test]
    fn the_tar_is_part_of_the_aid() {
        assert_eq!(Tar::of_aid(&crate::ids::Aid::ISD_R), Some(Tar([0, 0, 1])));
        assert_eq!(Tar::of_aid(&[0; 14]), None);
    }
}
