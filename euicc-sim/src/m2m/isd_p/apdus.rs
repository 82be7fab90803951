//! SCP03 APDUs to an ISD-P: ES8.UpdateConnectivityParameters (SGP.02 section 4.1.3.4), and
//! personalisation with the identity of the owner, which is used in tokens.

use rsp::der::{DecodeError, Elements, Reader, Tag, tlv};
use rsp::finding::{self, FindingKind};
use rsp::ids::Aid;
use rsp::sgp02::keys::KeySetUse;

use super::initialize_update;
use super::scp03::{CHALLENGE, MAC, SECURITY_LEVEL, Session};
use crate::StatusWord;
use crate::apdu::{ClassKind, Command};
use crate::m2m::context::M2mContext;
use crate::m2m::data_groups::{Blocks, STORE_DATA};
use crate::m2m::keys::KeySet;
use crate::m2m::put_key::{PUT_KEY, put_key};
use crate::state::m2m::IsdP;
use crate::state::m2m::session::{Channel, MessageFormat, Opened};

const INITIALIZE_UPDATE: u8 = 0x50;
const EXTERNAL_AUTHENTICATE: u8 = 0x82;

/// The bit of CLA for a command with a MAC.
const SECURE_MESSAGING: u8 = 0x04;

/// Data groups for an ISD-P.
mod group {
    /// The identity of the owner, which is used in tokens: SIN, SDIN and application provider
    /// identifier.
    pub(super) const IDENTITY: u16 = 0x0070;
    /// ES8.UpdateConnectivityParameters.
    pub(super) const CONNECTIVITY: u16 = 0x3A07;
}

/// Processes one C-APDU to an ISD-P and returns response data and status word. A security error
/// closes the channel.
pub(in super::super) fn command(
    context: &mut M2mContext<'_>,
    channel: &mut Channel,
    isd_p: &Aid,
    octets: &[u8],
) -> Result<(Vec<u8>, StatusWord), StatusWord> {
    let (class, rest) = octets.split_first().ok_or(StatusWord::WRONG_LENGTH)?;
    let is_secured = class & SECURE_MESSAGING != 0;
    let plain = [&[class & !SECURE_MESSAGING], rest].concat();
    let command = Command::parse(&plain)?;
    if command.class.kind != ClassKind::Proprietary || command.class.channel != 0 {
        return Err(StatusWord::CLASS_NOT_SUPPORTED);
    }
    let state = std::mem::take(channel);
    // The MAC covers the header before the data, with the received class byte.
    let header_length = if command.data.is_empty() {
        octets.len()
    } else {
        // In extended form Lc starts with 00, and Le has two octets.
        let octets_of_le = if octets.get(4) == Some(&0) { 2 } else { 1 };
        let le = command.le.map_or(0, |_| octets_of_le);
        octets.len().saturating_sub(command.data.len()).saturating_sub(le)
    };
    let header = octets.get(..header_length).unwrap_or_default();
    match (is_secured, command.ins, state) {
        (false, INITIALIZE_UPDATE, _) => {
            if command.p2 != 0 {
                return Err(StatusWord::INCORRECT_P1_P2);
            }
            let challenge =
                <[u8; CHALLENGE]>::try_from(command.data).map_err(|_| StatusWord::WRONG_LENGTH)?;
            let (next, answer) =
                initialize_update(context, isd_p, MessageFormat::Apdus, command.p1, challenge)?;
            *channel = next;
            Ok((answer, StatusWord::OK))
        }
        (
            true,
            EXTERNAL_AUTHENTICATE,
            Channel::ExpectAuthenticate(MessageFormat::Apdus, version, handshake),
        ) => {
            if (command.p1, command.p2) != (SECURITY_LEVEL, 0) {
                return Err(StatusWord::INCORRECT_P1_P2);
            }
            if command.data.len() != CHALLENGE.saturating_add(MAC) {
                return Err(StatusWord::WRONG_LENGTH);
            }
            let session = handshake.authenticate(header, command.data);
            let session = session.map_err(|_| StatusWord::SECURITY_STATUS_NOT_SATISFIED)?;
            *channel = Channel::ExpectApdu(Box::new(session), Opened { version, blocks: Blocks::default() });
            Ok((Vec::new(), StatusWord::OK))
        }
        (true, _, Channel::ExpectApdu(mut session, mut opened)) => {
            let clear = session.unwrap(header, command.data);
            let clear = clear.map_err(|_| StatusWord::SECURITY_STATUS_NOT_SATISFIED)?;
            let command = Command { data: &clear, ..command };
            let answer = secured(context, &mut opened, isd_p, &command);
            let answer = answer.map(|data| (wrapped(&session, &data), StatusWord::OK));
            *channel = Channel::ExpectApdu(session, opened);
            answer
        }
        (true, ..) => Err(StatusWord::CONDITIONS_NOT_SATISFIED),
        // An ISD-P accepts no unsecured commands.
        // req: SGP.02-4.1.3.4-SecurityError
        (false, STORE_DATA | PUT_KEY, _) => Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED),
        (false, ..) => Err(StatusWord::INSTRUCTION_NOT_SUPPORTED),
    }
}

fn wrapped(session: &Session, data: &[u8]) -> Vec<u8> {
    session.wrap(|_| Vec::new(), data, &StatusWord::OK.to_bytes())
}

fn secured(
    context: &mut M2mContext<'_>,
    opened: &mut Opened,
    isd_p: &Aid,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    match command.ins {
        STORE_DATA => {
            let group = opened.blocks.take(command, |_| false)?;
            let Some(group) = group else { return Ok(Vec::new()) };
            let (identifier, contents, after) = group.parts();
            if !after.is_empty() {
                return Err(StatusWord::INCORRECT_DATA);
            }
            let isd_p = isd_p_mut(context, isd_p)?;
            match identifier {
                group::IDENTITY => personalise(isd_p, contents),
                group::CONNECTIVITY => update_connectivity(isd_p, contents),
                _ => Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
            }
        }
        PUT_KEY => {
            let sets = &isd_p_mut(context, isd_p)?.key_sets;
            let dek = sets.iter().find(|set| set.version == opened.version).and_then(KeySet::dek);
            let dek = dek.ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
            let may_have = |usage| matches!(usage, KeySetUse::Scp03 | KeySetUse::TokenVerification);
            let (sets, answer) = put_key(sets, dek.expose(), command, may_have)?;
            isd_p_mut(context, isd_p)?.key_sets = sets;
            Ok(answer)
        }
        _ => Err(StatusWord::INSTRUCTION_NOT_SUPPORTED),
    }
}

fn isd_p_mut<'a>(context: &'a mut M2mContext<'_>, isd_p: &Aid) -> Result<&'a mut IsdP, StatusWord> {
    context.state.to_mut().isd_p_mut(isd_p).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)
}

/// Data group 0070: replaces one or more of the three identifiers.
fn personalise(isd_p: &mut IsdP, contents: &[u8]) -> Result<Vec<u8>, StatusWord> {
    let wrong = |_: DecodeError| StatusWord::INCORRECT_DATA;
    let mut identity = isd_p.identity.clone();
    let mut elements = Elements::of("data group 0070", Reader::new(contents)).map_err(wrong)?;
    let mut is_empty = true;
    for (tag, place) in [
        (Tag(0x42), &mut identity.sin),
        (Tag(0x45), &mut identity.sdin),
        (Tag(0x5F20), &mut identity.provider),
    ] {
        if let Some(value) = elements.take(&[tag]).map_err(wrong)? {
            if !(1..=16).contains(&value.rest().len()) {
                return Err(StatusWord::INCORRECT_DATA);
            }
            *place = value.rest().into();
            is_empty = false;
        }
    }
    if is_empty {
        return Err(StatusWord::INCORRECT_DATA);
    }
    elements.finish();
    isd_p.identity = identity;
    Ok(Vec::new())
}

/// ES8.UpdateConnectivityParameters: replaces the parameters of each bearer in `contents` and keeps
/// the parameters of other bearers.
fn update_connectivity(isd_p: &mut IsdP, contents: &[u8]) -> Result<Vec<u8>, StatusWord> {
    /// SMS, HTTPS, CAT_TP.
    const BEARERS: std::ops::RangeInclusive<u32> = 0xA0..=0xA2;
    let wrong = |_| StatusWord::INCORRECT_DATA;
    let mut new = tlv::each(contents).map_err(wrong)?;
    let mut is_readable = true;
    new.retain(|element| match tlv::split(element) {
        Some((tag, within)) if BEARERS.contains(&tag.0) => {
            is_readable &= tlv::each(within).is_ok();
            true
        }
        other => {
            let tag = other.map(|(tag, _)| tag.to_string()).unwrap_or_default();
            finding::report(FindingKind::UnknownElement, || format!("ConnectivityParameters: element {tag}"));
            false
        }
    });
    if new.is_empty() || !is_readable {
        return Err(StatusWord::INCORRECT_DATA);
    }
    let tag = |element: &&[u8]| tlv::split(element).map(|(tag, _)| tag);
    let before = isd_p.connectivity.take().unwrap_or_default();
    let kept = tlv::each(&before).map_err(wrong)?;
    let kept = kept.into_iter().filter(|element| !new.iter().any(|new| tag(new) == tag(element)));
    let mut all: Vec<&[u8]> = kept.chain(new.iter().copied()).collect();
    all.sort_by_key(tag);
    isd_p.connectivity = Some(all.concat().into());
    Ok(Vec::new())
}
