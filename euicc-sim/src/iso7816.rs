//! The commands of a UICC: ISO/IEC 7816-4 and TS 102 221 section 11.

mod access;
mod binary;
mod challenge;
mod data_object;
mod fcp;
mod increase;
mod life_cycle;
mod pin;
mod record;
mod search;
mod security_domain;
mod select;

use profile::{FileIndex, FileKind};

use super::StatusWord;
use super::apdu::{ClassKind, Command};
use super::authenticate::authenticate;
use super::channel::{CurrentEf, Place, Selection, manage_channel};
use super::context::Context;
use super::get_identity::get_identity;
use super::isd_r::store_data::store_data;
use super::{cat, ecasd};

pub(crate) use data_object::Transfer;
pub(crate) use select::status;

/// GET RESPONSE, which is answered before anything else is looked at.
pub(super) const GET_RESPONSE: u8 = 0xC0;

/// What answers a command.
type Function = fn(&mut Context<'_>, &Command<'_>) -> Result<Vec<u8>, StatusWord>;

/// With what selected a command is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    /// The card itself answers, whatever is selected.
    Anything,
    /// So does the toolkit, on the basic channel.
    BasicChannel,
    /// The ISD-R.
    IsdR,
    /// The ECASD.
    Ecasd,
    /// A security domain of the enabled profile.
    SecurityDomain,
    /// The MF, a DF or an application of the enabled profile.
    Files,
}

/// Every instruction there is: class, INS, where it is understood, what answers it.
const INSTRUCTIONS: [(ClassKind, u8, With, Function); 37] = {
    use ClassKind::{Interindustry, Proprietary};
    [
        (Interindustry, 0xA4, With::Anything, select::select),
        (Interindustry, 0x70, With::Anything, manage_channel),
        (Proprietary, 0xAA, With::Anything, |_, command| cat::terminal_capability(command)),
        (Proprietary, cat::TERMINAL_PROFILE, With::BasicChannel, cat::terminal_profile),
        (Proprietary, 0x12, With::BasicChannel, cat::fetch),
        (Proprietary, cat::TERMINAL_RESPONSE, With::BasicChannel, cat::terminal_response),
        (Proprietary, cat::ENVELOPE, With::BasicChannel, cat::envelope),
        (Proprietary, 0xE2, With::IsdR, store_data),
        (Interindustry, 0xCA, With::Ecasd, |context, command| ecasd::get_data(context, command)),
        (Proprietary, 0xCA, With::Ecasd, |context, command| ecasd::get_data(context, command)),
        (Interindustry, 0xCA, With::SecurityDomain, security_domain::get_data),
        (Proprietary, 0xCA, With::SecurityDomain, security_domain::get_data),
        (Proprietary, 0xD8, With::SecurityDomain, security_domain::unauthenticated),
        (Proprietary, 0xE2, With::SecurityDomain, security_domain::unauthenticated),
        (Proprietary, 0xE4, With::SecurityDomain, security_domain::unauthenticated),
        (Proprietary, 0xE6, With::SecurityDomain, security_domain::unauthenticated),
        (Proprietary, 0xF0, With::SecurityDomain, security_domain::unauthenticated),
        (Proprietary, 0xF2, With::SecurityDomain, security_domain::unauthenticated),
        (Proprietary, 0xF2, With::Files, cat::status),
        (Interindustry, 0xB0, With::Files, binary::read_binary),
        (Interindustry, 0xD6, With::Files, binary::update_binary),
        (Interindustry, 0xB2, With::Files, record::read_record),
        (Interindustry, 0xDC, With::Files, record::update_record),
        (Interindustry, 0xA2, With::Files, search::search_record),
        (Proprietary, 0x32, With::Files, increase::increase),
        (Proprietary, 0xCB, With::Files, data_object::retrieve_data),
        (Proprietary, 0xDB, With::Files, data_object::set_data),
        (Interindustry, 0x04, With::Files, life_cycle::deactivate_file),
        (Interindustry, 0x44, With::Files, life_cycle::activate_file),
        (Interindustry, 0x20, With::Files, pin::verify),
        (Interindustry, 0x24, With::Files, pin::change),
        (Interindustry, 0x26, With::Files, pin::disable),
        (Interindustry, 0x28, With::Files, pin::enable),
        (Interindustry, 0x2C, With::Files, pin::unblock),
        (Interindustry, 0x84, With::Files, challenge::get_challenge),
        (Interindustry, 0x88, With::Files, authenticate),
        (Proprietary, 0x78, With::Files, |context, command| get_identity(context, command)),
    ]
};

/// Lets the right function run: by class, instruction and what is selected on the channel.
pub(super) fn dispatch(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    let mut known = INSTRUCTIONS.iter().filter(|(_, ins, ..)| *ins == command.ins).peekable();
    let exists = known.peek().is_some();
    let mut of_class = known.filter(|(class, ..)| *class == command.class.kind).peekable();
    let exists_in_class = of_class.peek().is_some();
    match of_class.find(|(_, _, with, _)| is_there(context, *with)) {
        Some((.., function)) => function(context, command),
        None if exists && !exists_in_class => Err(StatusWord::CLASS_NOT_SUPPORTED),
        None => Err(StatusWord::INSTRUCTION_NOT_SUPPORTED),
    }
}

fn is_there(context: &Context<'_>, with: With) -> bool {
    match (with, context.selection()) {
        (With::Anything, _)
        | (With::IsdR, Selection::IsdR(_))
        | (With::Ecasd, Selection::Ecasd)
        | (With::SecurityDomain, Selection::SecurityDomain(_))
        | (With::Files, Selection::Files(_)) => true,
        (With::BasicChannel, _) => context.channel == 0,
        _ => false,
    }
}

/// The EF that a command is for: the one with this short identifier in the current directory, or the current EF if
/// that is 0. It becomes the current EF when the command has been carried out.
fn addressed(context: &Context<'_>, sfi: u8) -> Result<CurrentEf, StatusWord> {
    let place = context.place()?;
    match sfi {
        0 => place.ef.ok_or(StatusWord::NO_EF_SELECTED),
        1..=30 => {
            let found = context.profile()?.files.by_sfi(place.directory, sfi);
            Ok(CurrentEf { file: found.ok_or(StatusWord::FILE_NOT_FOUND)?, record: 0 })
        }
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

/// Bits of P1 or P2 that name an EF: bit 8 with bits 7 and 6 clear a short identifier, nothing the current EF.
fn sfi_in(parameter: u8) -> Result<u8, StatusWord> {
    match (parameter & 0xE0, parameter & 0x1F) {
        (0x80, sfi @ 1..) => Ok(sfi),
        (0x00, 0) => Ok(0),
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

/// Makes an EF and a record in it the current ones.
fn stand_at(context: &mut Context<'_>, ef: CurrentEf) {
    if let Ok(place) = context.place()
        && place.ef != Some(ef)
    {
        context.select(Selection::Files(Place { ef: Some(ef), ..place }));
    }
}

/// What a file is.
fn kind_of<'a>(context: &'a Context<'_>, file: FileIndex) -> Result<&'a FileKind, StatusWord> {
    Ok(&context.profile()?.files.file(file).ok_or(StatusWord::FILE_NOT_FOUND)?.kind)
}

/// Whether the user has presented the PIN of an application, if it has one that is enabled: TS 31.102 section 7.1.1.1.
pub(super) fn may_authenticate(context: &Context<'_>, adf: FileIndex) -> Result<bool, StatusWord> {
    let asked = pin::asked_by(context.profile()?, adf);
    Ok(asked.iter().all(|place| context.volatile.verified.contains(place)))
}
