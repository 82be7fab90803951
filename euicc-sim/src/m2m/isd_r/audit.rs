//! ES5.eUICCCapabilityAudit: SGP.02 section 4.1.1.5; GET STATUS and GET DATA, GlobalPlatform
//! sections 11.3 and 11.4.

use rsp::der::{Asn1, Elements, Reader, Tag, tlv_bytes, usually};
use rsp::ids::{Aid, Oid};

use super::Answer;
use crate::StatusWord;
use crate::apdu::Command;
use crate::m2m::context::M2mContext;
use crate::state::m2m::session::IsdRState;
use crate::state::m2m::{IsdP, State};
use crate::tag_list::tags;

pub(crate) const GET_DATA: u8 = 0xCA;
pub(super) const GET_STATUS: u8 = 0xF2;

/// Maximum response length of GET STATUS in octets. The next command returns the rest.
const MAX_ANSWER: usize = 240;

/// The tags returned without a tag list: AID, life cycle, privileges.
const DEFAULT_TAGS: [Tag; 3] = [Tag(0x4F), Tag(0x9F70), Tag(0xC5)];

/// Privileges of every ISD-P: a security domain with a trusted path.
const PRIVILEGES: [u8; 3] = [0x80, 0xC0, 0x00];

/// GET STATUS: returns data of the ISD-Ps.
pub(super) fn get_status(
    context: &M2mContext<'_>,
    session_state: &mut IsdRState,
    command: &Command<'_>,
) -> Result<Answer, StatusWord> {
    // P1 selects the applications. P2 selects the TLV format, and the first or the next occurrence.
    let before = match (command.p1, command.p2) {
        (0x40, 0x02) => 0,
        (0x40, 0x03) if session_state.listed > 0 => session_state.listed,
        (0x40, 0x03) => return Err(StatusWord::CONDITIONS_NOT_SATISFIED),
        _ => return Err(StatusWord::INCORRECT_P1_P2),
    };
    session_state.listed = 0;
    let (aid, tags) = criteria(command.data).ok_or(StatusWord::INCORRECT_DATA)?;
    let state = &context.state;
    let mut found = state.isd_ps.iter().filter(|isd_p| isd_p.aid.0.starts_with(aid)).skip(before).peekable();
    if found.peek().is_none() {
        return Err(StatusWord::REFERENCED_DATA_NOT_FOUND);
    }
    let (mut data, mut listed) = (Vec::new(), before);
    for isd_p in found {
        let entry = tlv_bytes(Tag(0xE3), &status_of(context, state, isd_p, &tags));
        // req: SGP.02-4.1.1.5-Continue
        if !data.is_empty() && data.len().saturating_add(entry.len()) > MAX_ANSWER {
            session_state.listed = listed;
            return Ok(Answer { data, warning: Some(StatusWord::MORE_STATUS_AVAILABLE) });
        }
        data.extend(entry);
        listed = listed.saturating_add(1);
    }
    Ok(data.into())
}

/// Parses the search criteria: an AID prefix and the requested tags.
fn criteria(data: &[u8]) -> Option<(&[u8], Vec<Tag>)> {
    let mut elements = Elements::of("GET STATUS", Reader::new(data)).ok()?;
    let aid = elements.contents(Tag(0x4F)).ok()?;
    usually(&aid.to_vec(), 16, "GET STATUS AID");
    let tags = match elements.take(&[Tag(0x5C)]).ok()? {
        None => DEFAULT_TAGS.to_vec(),
        Some(list) => tags(list.rest())?,
    };
    elements.finish();
    Some((aid, tags))
}

/// The requested data of an ISD-P. Unknown tags are ignored.
fn status_of(context: &M2mContext<'_>, state: &State, isd_p: &IsdP, tags: &[Tag]) -> Vec<u8> {
    let persistent = &context.persistent;
    let used = persistent.profile(&isd_p.aid).map_or(0, |profile| profile.memory);
    let value = |tag: &Tag| -> Option<Vec<u8>> {
        Some(match tag {
            Tag(0x4F) => isd_p.aid.0.clone(),
            Tag(0x9F70) => vec![context.life_cycle(&isd_p.aid)? as u8],
            Tag(0xC5) => PRIVILEGES.to_vec(),
            // No available text defines the tags of the two attributes that SGP.02 added. Servers
            // use 53; 54 is a guess.
            Tag(0x53) => vec![u8::from(state.fallback.as_ref() == Some(&isd_p.aid))],
            Tag(0x54) => vec![u8::from(state.emergency.as_ref() == Some(&isd_p.aid))],
            // Cumulative granted and remaining non-volatile memory.
            Tag(0x8F) => isd_p.memory_used(persistent).to_be_bytes().to_vec(),
            Tag(0x91) => isd_p.memory_used(persistent).saturating_sub(used).to_be_bytes().to_vec(),
            Tag(0xCC) => Aid::ISD_R.to_vec(),
            _ => return None,
        })
    };
    tags.iter().filter_map(|tag| value(tag).map(|value| tlv_bytes(*tag, &value))).flatten().collect()
}

/// GET DATA to the ISD-R and to the ECASD.
pub(crate) fn get_data(context: &M2mContext<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    match ((command.p1, command.p2), command.data) {
        ((0xBF, 0x30), data) => forwarded(context, data),
        (_, data) if !data.is_empty() => Err(StatusWord::WRONG_LENGTH),
        ((0x00, 0x5A), _) => Ok(context.description.eid.to_der()),
        ((0x00, 0x66), _) => Ok(recognition_data()),
        ((0x00, 0xE0), _) => Ok(key_information(&context.state)),
        ((0xFF, 0x21), _) => Ok(resources(context)),
        _ => Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
    }
}

/// Returns the forwarded CASD data (tag BF30): the certificate of the ECASD, or the card
/// recognition data.
fn forwarded(context: &M2mContext<'_>, data: &[u8]) -> Result<Vec<u8>, StatusWord> {
    let list = || {
        let mut elements = Elements::of("GET DATA", Reader::new(data)).ok()?;
        let list = elements.contents(Tag(0x5C)).ok()?;
        elements.finish();
        tags(list)
    };
    let found = match list().ok_or(StatusWord::INCORRECT_DATA)?.as_slice() {
        [Tag(0x7F21)] => context.factory.ecasd.certificate().to_vec(),
        [Tag(0x66)] => recognition_data(),
        _ => return Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
    };
    Ok(tlv_bytes(Tag(0xBF30), &found))
}

/// TS 102 226 section 8.2.1.7.2.
fn resources(context: &M2mContext<'_>) -> Vec<u8> {
    let applications = u8::try_from(context.state.isd_ps.len()).unwrap_or(u8::MAX);
    let capabilities = &context.description.capabilities;
    tlv_bytes(Tag(0xFF21), &capabilities.card_resources(applications, context.free_memory()))
}

/// The key information template: identifier, version, type and length of each key.
fn key_information(state: &State) -> Vec<u8> {
    let keys = state.key_sets.iter().flat_map(|set| {
        set.keys.iter().flat_map(|key| {
            let length = u8::try_from(key.value.expose().len()).unwrap_or(u8::MAX);
            tlv_bytes(Tag(0xC0), &[key.id, set.version, key.kind.octet(), length])
        })
    });
    tlv_bytes(Tag(0xE0), &keys.collect::<Vec<u8>>())
}

/// Card recognition data: GlobalPlatform section H.2. Arcs of {iso(1) member-body(2)
/// country-USA(840) 114283}.
fn recognition_data() -> Vec<u8> {
    let object = |arcs: &str| arcs.parse::<Oid>().map(|oid| oid.to_der()).unwrap_or_default();
    let contents = [
        object("1.2.840.114283.1"),
        // The objects state GlobalPlatform 2.2, a unique identification scheme, SCP80, SCP81 and
        // SCP03 with i = 70.
        tlv_bytes(Tag(0x60), &object("1.2.840.114283.2.2.2")),
        tlv_bytes(Tag(0x63), &object("1.2.840.114283.3")),
        tlv_bytes(Tag(0x64), &object("1.2.840.114283.4.128.0")),
        tlv_bytes(Tag(0x64), &object("1.2.840.114283.4.129.0")),
        tlv_bytes(Tag(0x64), &object("1.2.840.114283.4.3.112")),
    ];
    tlv_bytes(Tag(0x66), &tlv_bytes(Tag(0x73), &contents.concat()))
}
