//! Keys of the ISD-R: PUT KEY (GlobalPlatform section 11.8, Amendment D section 7.2) and
//! ES5.FinaliseISDRhandover (SGP.02 section 4.1.1.9).

use rsp::der::{Tag, tlv};
use rsp::sgp02::keys::KeySetUse;

use super::EMPTY_RESPONSE;
use crate::StatusWord;
use crate::apdu::Command;
use crate::m2m::context::M2mContext;
use crate::m2m::keys::{KeySet, can_secure_packets, find};
use crate::m2m::put_key::put_key;

/// PUT KEY to the ISD-R. The keys are encrypted with the DEK of the session's key version.
pub(super) fn put_key_to_isd_r(
    context: &mut M2mContext<'_>,
    key_version: u8,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    let state = &context.state;
    let dek = state.key_set(key_version).and_then(KeySet::dek).ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
    let may_have = |usage| matches!(usage, KeySetUse::Scp80 | KeySetUse::Scp81);
    // req: SGP.02-4.1.1.9-InvalidKey
    let (sets, answer) = put_key(&state.key_sets, dek.expose(), command, may_have)?;
    context.state.to_mut().key_sets = sets;
    Ok(answer)
}

/// ES5.FinaliseISDRhandover: deletes all keys outside of the given ranges. Deletes nothing if the
/// ranges omit a key of the session in which the command arrived. Deletes nothing either if they
/// omit all keys for packets, because no further session could then be requested.
pub(super) fn delete_keys(
    context: &mut M2mContext<'_>,
    key_version: u8,
    data: &[u8],
) -> Result<Vec<u8>, StatusWord> {
    let elements = tlv::each(data).ok().filter(|elements| !elements.is_empty());
    let mut kept = Vec::new();
    for element in elements.ok_or(StatusWord::INCORRECT_DATA)? {
        match tlv::split(element) {
            Some((Tag(0xF2), [version, first, last])) if first <= last => {
                kept.push((*version, *first..=*last))
            }
            _ => return Err(StatusWord::INCORRECT_DATA),
        }
    }
    let mut sets = context.state.key_sets.clone();
    let before = find(&sets, key_version).map(|set| set.keys.len());
    for set in &mut sets {
        set.keys.retain(|key| {
            kept.iter().any(|(version, range)| *version == set.version && range.contains(&key.id))
        });
    }
    let is_whole = find(&sets, key_version).map(|set| set.keys.len()) == before;
    sets.retain(|set| !set.keys.is_empty());
    if !is_whole || !can_secure_packets(&sets) {
        // req: SGP.02-4.1.1.9-KeepsKeys
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    context.state.to_mut().key_sets = sets;
    Ok(EMPTY_RESPONSE.to_vec())
}
