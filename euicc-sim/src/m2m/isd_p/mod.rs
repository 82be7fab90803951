//! ES8 functions of the ISD-P: SGP.02 sections 4.1.3.2 to 4.1.3.4.
//!
//! The SM-DP has an end-to-end secure channel to the ISD-P inside the transport of the SM-SR. It
//! uses APDUs over SCP03 to personalise the ISD-P and to change its connectivity parameters, and
//! the TLVs of SCP03t to download a profile.

mod apdus;
mod install;
mod scp03;
mod segments;

use rsp::ids::Aid;
use rsp::sgp02::keys::KeySetUse;

use super::keys::KeySet;
use crate::StatusWord;
use crate::context::Context;
use apdus::Opened;
use install::Loading;
use scp03::{CHALLENGE, Handshake, Session};

pub(super) use apdus::command;
pub(super) use segments::secure_channel;

/// The secure channel to an ISD-P, with states named by the expected command.
#[derive(Clone, Debug, Default)]
pub(crate) enum Channel {
    /// The channel is closed.
    #[default]
    Closed,
    /// Expects EXTERNAL AUTHENTICATE. Contains the key version.
    ExpectAuthenticate(MessageFormat, u8, Box<Handshake>),
    /// Expects APDUs.
    ExpectApdu(Box<Session>, Opened),
    /// Expects segments of a profile package.
    ExpectSegment(Box<Session>, Box<Loading>),
}

/// The message format of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageFormat {
    /// SCP03.
    Apdus,
    /// SCP03t.
    Tlvs,
}

/// Removes the ISD-P with its profile and all references to it. The caller checks that this is
/// permitted.
pub(crate) fn remove(context: &mut Context<'_>, isd_p: &Aid) {
    let persistent = context.persistent.to_mut();
    persistent.profiles.retain(|profile| profile.isd_p != *isd_p);
    if persistent.way_back.as_ref() == Some(isd_p) {
        persistent.way_back = None;
    }
    if let Some(state) = &mut persistent.m2m {
        state.isd_ps.retain(|known| known.aid != *isd_p);
        if state.emergency.as_ref() == Some(isd_p) {
            state.emergency = None;
        }
        if state.toolkit.fell_back_from.as_ref() == Some(isd_p) {
            state.toolkit.fell_back_from = None;
        }
        if state.kept.as_ref().is_some_and(|kept| kept.personalises.as_ref() == Some(isd_p)) {
            state.kept = None;
        }
    }
    context.volatile.m2m.0.remove(isd_p);
}

/// INITIALIZE UPDATE with the keys of this version, or with the first key set if the version is 00.
/// Each attempt increments the sequence counter, so that no card challenge occurs twice.
fn initialize_update(
    context: &mut Context<'_>,
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
    let set = context.m2m()?.isd_p(isd_p).and_then(|isd_p| isd_p.key_sets.iter().find(|set| wanted(set)));
    let set = set.ok_or(NOT_FOUND)?;
    let (Some(enc), Some(mac)) = (set.aes(1), set.aes(2)) else { return Err(NOT_FOUND) };
    let (version, counter) = (set.version, set.counter.saturating_add(1));
    if counter > LAST {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    let sets = &mut context.m2m_mut()?.isd_p_mut(isd_p).ok_or(NOT_FOUND)?.key_sets;
    sets.iter_mut().filter(|set| set.version == version).for_each(|set| set.counter = counter);
    let [.., high, middle, low] = counter.to_be_bytes();
    let (handshake, answer) =
        Handshake::new(version, [&enc, &mac], [high, middle, low], &isd_p.0, host_challenge);
    Ok((Channel::ExpectAuthenticate(format, version, Box::new(handshake)), answer))
}
