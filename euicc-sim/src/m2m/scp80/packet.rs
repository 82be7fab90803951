//! The card side of secured packets: TS 102 225 section 5, over SMS as in TS 31.115 section 4.
//!
//! The order of the checks is observable and must not change: application, security level, keys,
//! checksum, decrypted form, counter. If the checksum is wrong, only the header is used.

use crypto::Secret;
use crypto::scp80::{BLOCK, CC_LENGTH, decrypt, encrypt, is_equal, mac};
use rsp::ids::Aid;
use rsp::ota::secured_packet::{
    Algorithm, CommandHeader, CommandPacket, Counter, CounterRule, Integrity, KeyReference, ResponseStatus,
    Spi, Tar,
};
use rsp::ota::sms::PacketKind;
use rsp::sgp02::keys::KeySetUse;

use super::super::keys::{AES_KEY, KeySet};
use crate::m2m::context::M2mContext;
use crate::state::m2m::State;

/// The keys of a key set that secure packets.
pub(super) struct Keys {
    kic: Secret<[u8; AES_KEY]>,
    kid: Secret<[u8; AES_KEY]>,
}

/// An accepted packet.
pub(super) struct Opened {
    pub(super) target: Aid,
    pub(super) key_version: u8,
    pub(super) keys: Keys,
    pub(super) counter: Counter,
    pub(super) data: Vec<u8>,
}

/// A refused packet.
pub(super) struct Refused {
    pub(super) status: ResponseStatus,
    /// Zero unless the checksum is correct.
    pub(super) counter: Counter,
    /// The keys that secure the response; `None` unless the packet was secured with them.
    pub(super) keys: Option<Keys>,
}

/// The contents of a response packet.
pub(super) struct Answer {
    pub(super) status: ResponseStatus,
    pub(super) counter: Counter,
    pub(super) keys: Option<Keys>,
    pub(super) data: Vec<u8>,
}

impl Keys {
    fn of(set: &KeySet) -> Option<Self> {
        Some(Self { kic: set.aes(1)?, kid: set.aes(2)? })
    }
}

/// True if the packet has the security level for the ISD-R or an ISD-P: SGP.02 section 2.4.3.
fn is_secure_enough(spi: Spi) -> bool {
    spi.integrity == Integrity::CryptographicChecksum
        && spi.ciphered
        && matches!(spi.counter, CounterRule::Higher | CounterRule::Next)
}

/// Verifies and decrypts a packet.
pub(super) fn open(context: &M2mContext<'_>, packet: &CommandPacket<'_>) -> Result<Opened, Refused> {
    let header = packet.header;
    let unsecured = |status| Refused { status, counter: Counter::ZERO, keys: None };
    // req: SGP.02-2.4.3-Tar
    let target = super::target(context, header.tar).ok_or(unsecured(ResponseStatus::TarUnknown))?;
    // req: SGP.02-2.4.3-SecurityLevel
    if !is_secure_enough(header.spi) {
        return Err(unsecured(ResponseStatus::InsufficientSecurityLevel));
    }
    // req: SGP.02-2.4.3-KeySet
    let set = key_set(context, header).ok_or(unsecured(ResponseStatus::UnidentifiedSecurityError))?;
    let keys = Keys::of(set).ok_or(unsecured(ResponseStatus::UnidentifiedSecurityError))?;
    // Nothing derived from the decrypted octets is revealed before the checksum is verified.
    let plain = decrypt(keys.kic.expose(), packet.body).ok_or(unsecured(ResponseStatus::CipheringError))?;
    let (counter, padding, found, data) =
        split_decrypted(&plain, packet.check_length).ok_or(unsecured(ResponseStatus::CheckFailed))?;
    let clear = packet.octets.get(..packet.octets.len().saturating_sub(packet.body.len()));
    let expected = clear.map(|clear| mac(keys.kid.expose(), &[clear, &counter.to_bytes(), &[padding], data]));
    // req: SGP.02-2.4.3-Checksum
    if expected.is_none_or(|expected| !is_equal(&expected, found)) {
        return Err(unsecured(ResponseStatus::CheckFailed));
    }
    let refused = |status, keys| Refused { status, counter, keys: Some(keys) };
    let length = data.len().checked_sub(usize::from(padding));
    let Some(data) = length.and_then(|length| data.get(..length)).filter(|_| usize::from(padding) < BLOCK)
    else {
        return Err(refused(ResponseStatus::CipheringError, keys));
    };
    match counter_status(set.counter, counter, header.spi.counter) {
        ResponseStatus::Ok => {
            Ok(Opened { target, key_version: set.version, keys, counter, data: data.to_vec() })
        }
        status => Err(refused(status, keys)),
    }
}

/// The key set of the ISD-R that KIc and KID identify. SGP.02 requires the same version in both.
fn key_set<'a>(context: &'a M2mContext<'_>, header: CommandHeader) -> Option<&'a KeySet> {
    let version = header.kic.version();
    // req: SGP.02-2.4.3-Aes
    let is_aes = |key: KeyReference| key.algorithm() == Some(Algorithm::Aes);
    let is_one = version == header.kid.version() && is_aes(header.kic) && is_aes(header.kid);
    context.state.key_set(version).filter(|set| is_one && set.usage() == Some(KeySetUse::Scp80))
}

/// Splits the decrypted octets into CNTR, PCNTR, checksum, and the data with padding.
fn split_decrypted(plain: &[u8], check_length: usize) -> Option<(Counter, u8, &[u8], &[u8])> {
    let (counter, rest) = plain.split_first_chunk::<5>()?;
    let (padding, rest) = rest.split_first()?;
    let (checksum, data) = rest.split_at_checked(check_length)?;
    Some((Counter::from_bytes(*counter), *padding, checksum, data))
}

/// Checks the counter: TS 102 225 section 5.1.4.
fn counter_status(last: u64, counter: Counter, rule: CounterRule) -> ResponseStatus {
    let last = Counter::new(last).unwrap_or(Counter::MAX);
    // req: SGP.02-2.4.3-CounterBlocked
    let Some(next) = last.next() else { return ResponseStatus::CounterBlocked };
    match rule {
        CounterRule::None | CounterRule::Unchecked => ResponseStatus::Ok,
        // req: SGP.02-2.4.3-CounterLow
        CounterRule::Higher | CounterRule::Next if counter <= last => ResponseStatus::CounterLow,
        // req: SGP.02-2.4.3-CounterHigh
        CounterRule::Next if counter > next => ResponseStatus::CounterHigh,
        CounterRule::Higher | CounterRule::Next => ResponseStatus::Ok,
    }
}

/// Stores the counter of an accepted packet.
pub(super) fn take_counter(context: &mut M2mContext<'_>, opened: &Opened) {
    if let Some(set) = context.state.to_mut().key_set_mut(opened.key_version) {
        set.counter = opened.counter.value();
    }
}

/// The response packet from RPL onwards, secured as the command requested.
pub(super) fn response(command: &CommandPacket<'_>, answer: &Answer) -> Vec<u8> {
    let spi = command.header.spi;
    // Packets must have a cryptographic checksum, so the response supports no other integrity
    // protection.
    let keys = answer.keys.as_ref();
    let mac_key =
        keys.filter(|_| spi.por_integrity == Integrity::CryptographicChecksum).map(|keys| keys.kid.expose());
    let cipher_key = keys.filter(|_| spi.por_ciphered).map(|keys| keys.kic.expose());
    let Tar(tar) = command.header.tar;
    let before = PacketKind::Response.header();
    let status = [answer.status.code()];
    packet(&Parts {
        before: &before,
        clear: &tar,
        counter: answer.counter,
        status: &status,
        data: &answer.data,
        mac_key,
        cipher_key,
    })
}

/// A command packet sent by the card, from CPL onwards: SGP.02 section 3.15.1. Its counter is not
/// checked.
pub(super) fn notification(state: &State, data: &[u8]) -> Option<Vec<u8>> {
    let set = state.key_sets.iter().find(|set| set.usage() == Some(KeySetUse::Scp80))?;
    let keys = Keys::of(set)?;
    let key = KeyReference::aes(set.version);
    let tar = Tar::of_aid(&Aid::ISD_R)?;
    let header = CommandHeader { spi: Spi::NOTIFICATION, kic: key, kid: key, tar };
    Some(packet(&Parts {
        before: &[],
        clear: &header.to_bytes(),
        counter: Counter::ZERO,
        status: &[],
        data,
        mac_key: Some(keys.kid.expose()),
        cipher_key: Some(keys.kic.expose()),
    }))
}

/// The parts of a packet in their order.
struct Parts<'a> {
    /// Octets before the packet that the checksum covers.
    before: &'a [u8],
    /// The unencrypted part after the two lengths.
    clear: &'a [u8],
    counter: Counter,
    /// The status of a response.
    status: &'a [u8],
    data: &'a [u8],
    mac_key: Option<&'a [u8; AES_KEY]>,
    cipher_key: Option<&'a [u8; AES_KEY]>,
}

fn packet(parts: &Parts<'_>) -> Vec<u8> {
    const COUNTERS: usize = 6;
    let check_length = if parts.mac_key.is_some() { CC_LENGTH } else { 0 };
    let unfilled = COUNTERS + parts.status.len() + check_length + parts.data.len();
    let filling = if parts.cipher_key.is_some() {
        unfilled.next_multiple_of(BLOCK).saturating_sub(unfilled)
    } else {
        0
    };
    let data = [parts.data, &vec![0; filling]].concat();
    let header_length = parts.clear.len() + COUNTERS + parts.status.len() + check_length;
    let length = 1 + parts.clear.len() + unfilled + filling;
    let clear = [
        &u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes(),
        [u8::try_from(header_length).unwrap_or(u8::MAX)].as_slice(),
        parts.clear,
    ]
    .concat();
    let padding_counter = u8::try_from(filling).unwrap_or_default();
    let counters = [&parts.counter.to_bytes(), [padding_counter].as_slice(), parts.status].concat();
    let checksum = parts.mac_key.map(|key| mac(key, &[parts.before, &clear, &counters, &data]));
    let checksum = checksum.as_ref().map_or(&[][..], |checksum| checksum.as_slice());
    let body = [&counters, checksum, &data].concat();
    // The body was padded to whole blocks above.
    let body = match parts.cipher_key {
        Some(key) => encrypt(key, &body).unwrap_or_default(),
        None => body,
    };
    [clear, body].concat()
}
