//! ES8 functions of the ISD-P: SGP.02 sections 4.1.3.2 to 4.1.3.4.
//!
//! The SM-DP has an end-to-end secure channel to the ISD-P inside the transport of the SM-SR. It
//! uses APDUs over SCP03 to personalise the ISD-P and to change its connectivity parameters, and
//! the TLVs of SCP03t to download a profile.

mod apdus;
mod install;
pub(crate) mod scp03;
mod segments;

use rsp::ids::Aid;
use rsp::sgp02::keys::KeySetUse;

use super::keys::KeySet;
use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::state::m2m::session::{Channel, MessageFormat};
use scp03::{CHALLENGE, Handshake};

pub(super) use apdus::command;
pub(super) use segments::secure_channel;

/// INITIALIZE UPDATE with the keys of this version, or with the first key set if the version is 00.
/// Each attempt increments the sequence counter, so that no card challenge occurs twice.
fn initialize_update(
    context: &mut M2mContext<'_>,
    isd_p: &Aid,
    format: MessageFormat,
    version: u8,
    host_challenge: [u8; CHALLENGE],
) -> Result<(Channel, Vec<u8>), StatusWord> {
    /// The maximum of a counter of three octets.
    const LAST: u64 = 0xFF_FFFF;
    const NOT_FOUND: StatusWord = StatusWord::REFERENCED_DATA_NOT_FOUND;
    let wanted =
        |set: &KeySet| set.usage() == Some(KeySetUse::Scp03) && (version == 0 || version == set.version);
    let set = context.state.isd_p(isd_p).and_then(|isd_p| isd_p.key_sets.iter().find(|set| wanted(set)));
    let set = set.ok_or(NOT_FOUND)?;
    let (Some(enc), Some(mac)) = (set.aes(1), set.aes(2)) else { return Err(NOT_FOUND) };
    let (version, counter) = (set.version, set.counter.saturating_add(1));
    if counter > LAST {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    let sets = &mut context.state.to_mut().isd_p_mut(isd_p).ok_or(NOT_FOUND)?.key_sets;
    sets.iter_mut().filter(|set| set.version == version).for_each(|set| set.counter = counter);
    let [.., high, middle, low] = counter.to_be_bytes();
    let (handshake, answer) =
        Handshake::new(version, [&enc, &mac], [high, middle, low], &isd_p.0, host_challenge);
    Ok((Channel::ExpectAuthenticate(format, version, Box::new(handshake)), answer))
}
