//! PUT KEY: GlobalPlatform section 11.8, Amendment D section 7.2. Used by the ISD-R and by ISD-Ps.

use crypto::{AesKey, Secret};
use rsp::sgp02::keys::{KeySetUse, KeyVersion};

use super::keys::{AES_KEY, Key, KeyKind, KeySet, find, replace};
use crate::StatusWord;
use crate::apdu::Command;

pub(crate) const PUT_KEY: u8 = 0xD8;

/// P2 of PUT KEY: the flag for several keys. The other bits are the identifier of the first key.
const SEVERAL: u8 = 0x80;

/// Maximum number of keys in a version, and of versions in a security domain.
const MAX_KEYS: usize = 8;

const MAX_KEY_SETS: usize = 16;

/// Maximum length of a pre-shared key in octets.
const MAX_PSK: usize = 64;

/// Executes PUT KEY on a copy of the key sets. Returns the new key sets and the response: the
/// version and the check values.
pub(crate) fn put_key(
    sets: &[KeySet],
    dek: &[u8; AES_KEY],
    command: &Command<'_>,
    may_have: impl Fn(KeySetUse) -> bool,
) -> Result<(Vec<KeySet>, Vec<u8>), StatusWord> {
    let (version, keys) = command.data.split_first().ok_or(StatusWord::INCORRECT_DATA)?;
    let usage =
        KeyVersion(*version).usage().filter(|usage| may_have(*usage)).ok_or(StatusWord::INCORRECT_DATA)?;
    let (several, first) = (command.p2 & SEVERAL != 0, command.p2 & !SEVERAL);
    let keys = read_keys(keys, first, dek).ok_or(StatusWord::INCORRECT_DATA)?;
    let is_valid =
        !keys.is_empty() && (several || keys.len() == 1) && keys.iter().all(|(key, _)| is_of(usage, key));
    if !is_valid {
        return Err(StatusWord::INCORRECT_DATA);
    }
    let mut set = match command.p1 {
        // Without P1, existing keys must not be replaced.
        0x00 => {
            let set = find(sets, *version).cloned();
            let set = set.unwrap_or(KeySet { version: *version, keys: Vec::new(), counter: 0 });
            if keys.iter().any(|(key, _)| set.key(key.id).is_some()) {
                return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
            }
            set
        }
        // The purpose of a key version must not change. This also protects the key set that secures
        // packets.
        old if KeyVersion(old).usage() != Some(usage) => return Err(StatusWord::CONDITIONS_NOT_SATISFIED),
        old => find(sets, old).cloned().ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?,
    };
    if command.p1 != 0 && command.p1 != *version && find(sets, *version).is_some() {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    let mut answer = vec![*version];
    set.version = *version;
    if replaces_all_packet_keys(&set, &keys) {
        set.counter = 0;
    }
    for (key, check_value) in keys {
        answer.extend(check_value);
        set.put(key);
    }
    let mut sets = sets.to_vec();
    sets.retain(|known| command.p1 == 0 || known.version != command.p1);
    replace(&mut sets, set);
    if sets.len() > MAX_KEY_SETS || sets.iter().any(|set| set.keys.len() > MAX_KEYS) {
        return Err(StatusWord::NOT_ENOUGH_MEMORY);
    }
    Ok((sets, answer))
}

/// True if the new keys replace all keys that secure messages (KIc and KID of SCP80, ENC and MAC of
/// SCP03), so that the counter can restart. With an unchanged key, a restarted counter would permit
/// replays of old messages.
fn replaces_all_packet_keys(set: &KeySet, new: &[(Key, Vec<u8>)]) -> bool {
    [1, 2].into_iter().all(|id| {
        let is_other = |key: &Key| set.key(id).is_none_or(|old| old.value != key.value);
        new.iter().any(|(key, _)| key.id == id && is_other(key))
    })
}

/// Parses a sequence of key type, encrypted key and check value.
fn read_keys(mut data: &[u8], first: u8, dek: &[u8; AES_KEY]) -> Option<Vec<(Key, Vec<u8>)>> {
    let mut keys = Vec::new();
    let mut id = first;
    while let Some((kind, rest)) = data.split_first() {
        let kind = KeyKind::of(*kind)?;
        let (wrapped, rest) = with_length(rest)?;
        let (check_value, rest) = with_length(rest)?;
        let value = unwrap(wrapped, dek)?;
        let value = value.expose().as_slice();
        let is_valid = match kind {
            KeyKind::Aes => value.len() == AES_KEY,
            KeyKind::TlsPsk => (1..=MAX_PSK).contains(&value.len()),
        };
        let expected = AesKey::from_slice(value).ok().map(|key| key.check_value());
        let is_check_value_right =
            check_value.is_empty() || expected.is_some_and(|expected| *check_value == expected);
        if !is_valid || !is_check_value_right || id == 0 {
            return None;
        }
        keys.push((Key { id, kind, value: value.into() }, check_value.to_vec()));
        id = id.checked_add(1).filter(|id| id & SEVERAL == 0)?;
        data = rest;
    }
    Some(keys)
}

fn with_length(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Decrypts a key. Amendment D puts the key length before the encrypted key. pySim and others omit
/// it, which is unambiguous for keys of whole blocks.
fn unwrap(wrapped: &[u8], dek: &[u8; AES_KEY]) -> Option<Secret<Vec<u8>>> {
    let (length, blocks) = match wrapped.split_first()? {
        (length, blocks) if wrapped.len() % AES_KEY == 1 => (usize::from(*length), blocks),
        _ => (wrapped.len(), wrapped),
    };
    let key = Secret::new(AesKey::new(*dek).decrypt_cbc([0; AES_KEY], blocks)?);
    let padded = key.expose().len();
    // Padding that is longer than necessary is refused.
    if length > padded || length.saturating_add(AES_KEY) <= padded {
        return None;
    }
    key.expose().get(..length).map(|key| Secret::new(key.to_vec()))
}

/// True if a key version for this purpose may contain the key.
fn is_of(usage: KeySetUse, key: &Key) -> bool {
    match usage {
        KeySetUse::Scp80 | KeySetUse::Scp03 => key.kind == KeyKind::Aes && (1..=3).contains(&key.id),
        KeySetUse::Scp81 => matches!((key.id, key.kind), (1, KeyKind::TlsPsk) | (2, KeyKind::Aes)),
        KeySetUse::TokenVerification => (key.id, key.kind) == (1, KeyKind::Aes),
        // This card issues no receipts, so it needs no key for them.
        KeySetUse::ReceiptGeneration => false,
    }
}
