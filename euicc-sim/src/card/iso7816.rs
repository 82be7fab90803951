//! The commands of a UICC: ISO/IEC 7816-4 and TS 102 221 section 11.

mod access;
mod binary;
mod fcp;
mod pin;
mod record;
mod select;

use super::apdu::{ClassKind, Command};
use super::authenticate::authenticate;
use super::channel::{Selection, manage_channel};
use super::context::Context;
use super::get_identity::get_identity;
use super::isd_r::store_data::store_data;
use super::status_word::StatusWord;
use super::{cat, ecasd};

/// GET RESPONSE, which is answered before anything else is looked at.
pub(super) const GET_RESPONSE: u8 = 0xC0;

/// Lets the right function run: by class, instruction and what is selected on the channel.
pub(super) fn dispatch(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    use ClassKind::{Interindustry, Proprietary};
    match (command.class.kind, command.ins) {
        (Interindustry, 0xA4) => select::select(context, command),
        (Interindustry, 0x70) => manage_channel(context, command),
        (Proprietary, 0xAA) => cat::terminal_capability(command),
        (Proprietary, 0x10) if cat::is_toolkit_class(command.class) => cat::terminal_profile(command),
        (Proprietary, 0x12) if cat::is_toolkit_class(command.class) => cat::fetch(context, command),
        (Proprietary, 0x14) if cat::is_toolkit_class(command.class) => {
            cat::terminal_response(context, command)
        }
        _ => match context.selection().clone() {
            Selection::Nothing => Err(unknown(command)),
            Selection::IsdR(chain) => match (command.class.kind, command.ins) {
                (Proprietary, 0xE2) => store_data(context, command, chain),
                (Interindustry, 0xE2) => Err(StatusWord::CLASS_NOT_SUPPORTED),
                _ => Err(unknown(command)),
            },
            Selection::Ecasd => match (command.class.kind, command.ins) {
                (Proprietary | Interindustry, 0xCA) => ecasd::get_data(context, command),
                _ => Err(unknown(command)),
            },
            Selection::Files(_) => in_files(context, command),
        },
    }
}

/// With the MF, a DF or an application of the enabled profile selected.
fn in_files(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    use ClassKind::{Interindustry, Proprietary};
    match (command.class.kind, command.ins) {
        (Interindustry, 0xB0) => binary::read_binary(context, command),
        (Interindustry, 0xD6) => binary::update_binary(context, command),
        (Interindustry, 0xB2) => record::read_record(context, command),
        (Interindustry, 0xDC) => record::update_record(context, command),
        (Interindustry, 0x20) => pin::verify(context, command),
        (Interindustry, 0x24) => pin::change(context, command),
        (Interindustry, 0x26) => pin::disable(context, command),
        (Interindustry, 0x28) => pin::enable(context, command),
        (Interindustry, 0x2C) => pin::unblock(context, command),
        (Interindustry, 0x88) => authenticate(context, command),
        (Proprietary, 0x78) => get_identity(context, command),
        (Proprietary, 0xF2) => select::status(context, command),
        _ => Err(unknown(command)),
    }
}

/// The class byte is wrong for an instruction that exists, or the instruction does not exist here.
fn unknown(command: &Command<'_>) -> StatusWord {
    const INTERINDUSTRY: [u8; 12] = [0xA4, 0x70, 0xB0, 0xD6, 0xB2, 0xDC, 0x20, 0x24, 0x26, 0x28, 0x2C, 0x88];
    const PROPRIETARY: [u8; 7] = [0xAA, 0x10, 0x12, 0x14, 0x78, 0xF2, 0xE2];
    let exists_elsewhere = match command.class.kind {
        ClassKind::Interindustry => PROPRIETARY.contains(&command.ins),
        ClassKind::Proprietary => INTERINDUSTRY.contains(&command.ins),
    };
    if exists_elsewhere { StatusWord::CLASS_NOT_SUPPORTED } else { StatusWord::INSTRUCTION_NOT_SUPPORTED }
}

/// Whether the user has presented the PIN of an application, if it has one: TS 31.102 section 7.1.1.
pub(super) fn may_authenticate(context: &Context<'_>, adf: profile::FileIndex) -> Result<bool, StatusWord> {
    /// PIN of application 1, the one whose verification the USIM asks for.
    const PIN_APPL1: u8 = 0x01;
    let profile = context.profile()?;
    Ok(pin::find(profile, adf, PIN_APPL1)
        .is_none_or(|(place, pin)| !pin.is_enabled() || context.volatile.verified.contains(&place)))
}
