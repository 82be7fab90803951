//! SCP03t to an ISD-P: ES8.DownloadAndInstallation, SGP.02 section 4.1.3.3.

use rsp::der::{Tag, tlv, tlv_bytes};
use rsp::ids::Aid;

use super::initialize_update;
use super::install::Progress;
use super::scp03::{CHALLENGE, MAC, SECURITY_LEVEL, Session};
use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::state::m2m::LifeCycle;
use crate::state::m2m::session::{Channel, Loading, MessageFormat};

const INITIALIZE_UPDATE: Tag = Tag(0x84);
const EXTERNAL_AUTHENTICATE: Tag = Tag(0x85);
const SEGMENT: Tag = Tag(0x86);

/// Maximum length of a segment with header and MAC: 1024 octets of plaintext and the overhead of
/// the protection.
const MAX_SEGMENT: usize = 1024 + 16 + MAC + 4;

/// The reason for refusing a TLV: the octet in 9F44, 9F45 and 9F46.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Structure = 0x01,
    Security = 0x02,
    NotFound = 0x03,
}

/// Processes one TLV. Returns its response, and true if the next TLV may follow. An error closes
/// the channel and discards the package.
pub(in super::super) fn secure_channel(
    context: &mut M2mContext<'_>,
    channel: &mut Channel,
    target: &Aid,
    octets: &[u8],
) -> (Vec<u8>, bool) {
    let tag = tlv::split(octets).map_or(SEGMENT, |(tag, _)| tag);
    let state = std::mem::take(channel);
    match process_tlv(context, channel, state, target, octets) {
        Ok(answer) => (tlv_bytes(tag, &answer), true),
        Err(why) => {
            let error = match tag {
                INITIALIZE_UPDATE => Tag(0x9F44),
                EXTERNAL_AUTHENTICATE => Tag(0x9F45),
                _ => Tag(0x9F46),
            };
            (tlv_bytes(error, &[why as u8]), false)
        }
    }
}

fn process_tlv(
    context: &mut M2mContext<'_>,
    channel: &mut Channel,
    state: Channel,
    isd_p: &Aid,
    octets: &[u8],
) -> Result<Vec<u8>, Refused> {
    let life_cycle = context.life_cycle(isd_p).ok_or(Refused::NotFound)?;
    let (tag, data) = tlv::split(octets).ok_or(Refused::Structure)?;
    let header = octets.get(..octets.len().saturating_sub(data.len())).unwrap_or_default();
    match tag {
        INITIALIZE_UPDATE => {
            let Some(([version, 0x00], challenge)) = data.split_first_chunk() else {
                return Err(Refused::Structure);
            };
            let challenge = <[u8; CHALLENGE]>::try_from(challenge).map_err(|_| Refused::Structure)?;
            // A new profile must not replace an existing one.
            // req: SGP.02-4.1.3.3-Replacement
            if life_cycle >= LifeCycle::Disabled {
                return Err(Refused::Security);
            }
            let (next, answer) = initialize_update(context, isd_p, MessageFormat::Tlvs, *version, challenge)
                .map_err(|status| match status {
                    StatusWord::REFERENCED_DATA_NOT_FOUND => Refused::NotFound,
                    _ => Refused::Security,
                })?;
            *channel = next;
            Ok(answer)
        }
        EXTERNAL_AUTHENTICATE => {
            let Channel::ExpectAuthenticate(MessageFormat::Tlvs, _, handshake) = state else {
                return Err(Refused::Security);
            };
            let Some((&[level], proof)) = data.split_first_chunk() else { return Err(Refused::Structure) };
            if proof.len() != CHALLENGE.saturating_add(MAC) {
                return Err(Refused::Structure);
            }
            let covered = [header, &[level]].concat();
            let session = handshake.authenticate(&covered, proof).map_err(|_| Refused::Security)?;
            if level != SECURITY_LEVEL {
                return Err(Refused::Security);
            }
            *channel = Channel::ExpectSegment(Box::new(session), Box::new(Loading::new(context)));
            Ok(Vec::new())
        }
        SEGMENT => {
            // req: SGP.02-4.1.3.3-Channel
            let Channel::ExpectSegment(mut session, mut loading) = state else {
                return Err(Refused::Security);
            };
            // req: SGP.02-4.1.3.3-Length
            if octets.len() > MAX_SEGMENT || data.len() < MAC {
                return Err(Refused::Structure);
            }
            // req: SGP.02-4.1.3.3-Mac
            let clear = session.unwrap(header, data).map_err(|_| Refused::Security)?;
            let answer = match loading.take(context, isd_p, &clear) {
                Progress::More => Vec::new(),
                // The end of the package, successful or not. No further segment can follow.
                Progress::Ended(response) => return Ok(answered(&session, &response)),
            };
            *channel = Channel::ExpectSegment(session, loading);
            Ok(answer)
        }
        _ => Err(Refused::Structure),
    }
}

/// A response secured with the session keys. The MAC covers the header of the TLV that contains it.
fn answered(session: &Session, response: &[u8]) -> Vec<u8> {
    let header = |length: usize| {
        let mut header = tlv_bytes(SEGMENT, &vec![0; length]);
        header.truncate(header.len().saturating_sub(length));
        header
    };
    session.wrap(header, response, &[])
}
