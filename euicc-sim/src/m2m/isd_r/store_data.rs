//! STORE DATA with data groups (GlobalPlatform section 11.11). The identifier of the data group
//! selects the ES5 function.

use rsp::der::{DecodeError, Elements, Reader, Tag, tlv_bytes};
use rsp::ids::Aid;

use super::profile_state;
use crate::StatusWord;
use crate::apdu::Command;
use crate::m2m::context::M2mContext;
use crate::m2m::data_groups::{Group, LAST};
use crate::m2m::{establish, notification, scp80, scp81};
use crate::state::m2m::session::IsdRState;

/// Data groups of SGP.02.
mod group {
    /// ES8.EstablishISDPKeySet, ES5.EstablishISDRKeySet: the certificate.
    pub(super) const CERTIFICATE: u16 = 0x3A01;
    /// The second step of the same functions: the ephemeral key.
    pub(super) const KEY_ESTABLISHMENT: u16 = 0x3A02;
    /// ES5.EnableProfile.
    pub(super) const ENABLE: u16 = 0x3A03;
    /// ES5.DisableProfile.
    pub(super) const DISABLE: u16 = 0x3A04;
    /// ES5.SetFallBackAttribute.
    pub(super) const SET_FALLBACK: u16 = 0x3A05;
    /// ES5.UpdateSMSRAddressingParameters.
    pub(super) const ADDRESSING: u16 = 0x3A07;
    /// ES5.HandleNotificationConfirmation.
    pub(super) const CONFIRMATION: u16 = 0x3A08;
    /// ES5.SetEmergencyProfileAttribute. The identifier is a guess.
    pub(super) const SET_EMERGENCY: u16 = 0x3A09;
}

/// Elements of ES5.UpdateSMSRAddressingParameters. `PARAMETERS` and `SMS` were observed in use;
/// `HTTPS` and `DNS` are assumptions of this card.
mod addressing {
    use rsp::der::Tag;

    pub(super) const PARAMETERS: Tag = Tag(0xA3);
    pub(super) const SMS: Tag = Tag(0x81);
    pub(super) const HTTPS: Tag = Tag(0x82);
    pub(super) const DNS: Tag = Tag(0x83);
}

/// STORE DATA to the ISD-R, or through it to an ISD-P.
pub(super) fn store_data(
    context: &mut M2mContext<'_>,
    session_state: &mut IsdRState,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    let answer = block(context, session_state, command);
    // A refused block discards the whole data group.
    if answer.is_err() || command.p1 & LAST != 0 {
        *session_state = IsdRState::default();
    }
    answer
}

fn block(
    context: &mut M2mContext<'_>,
    session_state: &mut IsdRState,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    if command.p2 == 0 {
        session_state.establishing = None;
    }
    // The data after this group have no length of their own, so only the last block ends them.
    let group = session_state.blocks.take(command, |identifier| identifier == group::KEY_ESTABLISHMENT)?;
    group.map_or(Ok(Vec::new()), |group| data_group(context, session_state, &group))
}

fn data_group(
    context: &mut M2mContext<'_>,
    session_state: &mut IsdRState,
    group: &Group,
) -> Result<Vec<u8>, StatusWord> {
    let (identifier, contents, after) = group.parts();
    match (identifier, &session_state.personalises) {
        (group::CERTIFICATE, isd_p) if after.is_empty() => {
            let (establishing, answer) = establish::certificate(context, isd_p.as_ref(), contents)?;
            session_state.establishing = Some(establishing);
            Ok(answer)
        }
        (group::KEY_ESTABLISHMENT, isd_p) => {
            let establishing =
                // req: SGP.02-4.1.1.8-Order
                session_state.establishing.take().ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
            establish::key_set(context, isd_p.as_ref(), &establishing, &group.0, contents, after)
        }
        (_, None) if !after.is_empty() => Err(StatusWord::INCORRECT_DATA),
        (group::ENABLE, None) => profile_state::enable(context, named(contents)?).map(|()| Vec::new()),
        (group::DISABLE, None) => profile_state::disable(context, &named(contents)?).map(|()| Vec::new()),
        (group::SET_FALLBACK, None) => {
            profile_state::set_fallback_attribute(context, named(contents)?).map(|()| Vec::new())
        }
        (group::SET_EMERGENCY, None) => {
            profile_state::set_emergency_profile_attribute(context, named(contents)?).map(|()| Vec::new())
        }
        (group::ADDRESSING, None) => update_addressing(context, contents).map(|()| Vec::new()),
        (group::CONFIRMATION, None) => confirmation(context, contents),
        _ => Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
    }
}

/// Returns the ISD-P that a function addresses: the TLV 4F.
fn named(contents: &[u8]) -> Result<Aid, StatusWord> {
    let read = || {
        let mut elements = Elements::of("data group", Reader::new(contents))?;
        let aid = elements.contents(Tag(0x4F))?;
        elements.finish();
        Ok(aid)
    };
    match read() {
        Ok(aid) if (5..=16).contains(&aid.len()) => Ok(Aid(aid.to_vec())),
        Ok(_) | Err::<_, DecodeError>(_) => Err(StatusWord::INCORRECT_DATA),
    }
}

/// ES5.UpdateSMSRAddressingParameters: SGP.02 section 4.1.1.10. Omitted parameters do not change.
/// Unusable parameters are refused, because a card that cannot reach its SM-SR can no longer be
/// managed.
fn update_addressing(context: &mut M2mContext<'_>, contents: &[u8]) -> Result<(), StatusWord> {
    type IsUsable = fn(&[u8]) -> bool;
    const WRONG: StatusWord = StatusWord::INCORRECT_DATA;
    let wrong = |_: DecodeError| WRONG;
    let elements = Elements::within("SmsrAddressing", addressing::PARAMETERS, contents);
    let mut elements = elements.map_err(wrong)?;
    let mut new = context.state.addressing.clone();
    let places: [(_, _, IsUsable); 3] = [
        (addressing::SMS, &mut new.sms, scp80::is_address),
        (addressing::HTTPS, &mut new.https, scp81::is_session),
        (addressing::DNS, &mut new.dns, scp81::is_resolution),
    ];
    let mut is_empty = true;
    for (tag, place, is_usable) in places {
        if let Some(value) = elements.take(&[tag]).map_err(wrong)? {
            // req: SGP.02-4.1.1.10-Invalid
            if !is_usable(value.rest()) {
                return Err(WRONG);
            }
            *place = Some(value.rest().into());
            is_empty = false;
        }
    }
    if is_empty {
        return Err(WRONG);
    }
    elements.finish();
    context.state.to_mut().addressing = new;
    Ok(())
}

/// ES5.HandleNotificationConfirmation: SGP.02 section 4.1.1.12. Returns the ISD-Ps deleted because
/// of POL1.
fn confirmation(context: &mut M2mContext<'_>, contents: &[u8]) -> Result<Vec<u8>, StatusWord> {
    let read = || {
        let mut elements = Elements::of("HandleNotificationConfirmation", Reader::new(contents))?;
        let number = elements.array(Tag(0x4E), "a sequence number has two octets")?;
        elements.finish();
        Ok(number)
    };
    let number = read().map_err(|_: DecodeError| StatusWord::INCORRECT_DATA)?;
    let deleted = notification::confirm(context, u16::from_be_bytes(number))?;
    if deleted.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<u8> = deleted.iter().flat_map(|aid| tlv_bytes(Tag(0x4F), &aid.0)).collect();
    Ok(tlv_bytes(Tag(0x80), &list))
}
