//! The commands of a UICC: ISO/IEC 7816-4 and TS 102 221 section 11.

mod access;
mod binary;
mod challenge;
mod data_object;
mod ecasd;
mod fcp;
mod increase;
mod life_cycle;
pub(crate) mod pin;
mod record;
mod search;
mod security_domain;
pub(crate) mod select;

use profile::{FileIndex, FileKind};

use super::StatusWord;
use super::apdu::{ClassKind, Command};
use super::authenticate::authenticate;
use super::cat;
use super::channel::manage_channel;
use super::context::Context;
use super::get_identity::get_identity;
use super::isd_r;
use super::kind::CardContext;
use super::state::channel::{CurrentEf, Place, Selection};

/// INS of GET RESPONSE, which is processed before the dispatch.
pub(super) const GET_RESPONSE: u8 = 0xC0;

/// The handler of a command.
enum Function {
    /// The handler is the same for all kinds of card.
    Common(fn(&mut Context<'_>, &Command<'_>) -> Result<Vec<u8>, StatusWord>),
    /// The handler depends on the kind of card.
    ByKind(fn(&mut CardContext<'_, '_>, &Command<'_>) -> Result<Vec<u8>, StatusWord>),
}

/// The selection that a command requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requires {
    /// Any selection: the card itself processes the command.
    Anything,
    /// Any selection, on the basic channel only: the toolkit processes the command.
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

/// All supported instructions: class, INS, required selection, handler.
const INSTRUCTIONS: [(ClassKind, u8, Requires, Function); 37] = {
    use ClassKind::{Interindustry, Proprietary};
    use Function::{ByKind, Common};
    [
        (Interindustry, 0xA4, Requires::Anything, ByKind(select::select)),
        (Interindustry, 0x70, Requires::Anything, Common(manage_channel)),
        (Proprietary, 0xAA, Requires::Anything, Common(cat::terminal_capability)),
        (Proprietary, cat::TERMINAL_PROFILE, Requires::BasicChannel, ByKind(cat::terminal_profile)),
        (Proprietary, 0x12, Requires::BasicChannel, Common(cat::fetch)),
        (Proprietary, cat::TERMINAL_RESPONSE, Requires::BasicChannel, ByKind(cat::terminal_response)),
        (Proprietary, cat::ENVELOPE, Requires::BasicChannel, ByKind(cat::envelope)),
        (Proprietary, 0xE2, Requires::IsdR, ByKind(store_data)),
        (Interindustry, 0xCA, Requires::Ecasd, Common(|context, command| ecasd::get_data(context, command))),
        (Proprietary, 0xCA, Requires::Ecasd, Common(|context, command| ecasd::get_data(context, command))),
        (Interindustry, 0xCA, Requires::SecurityDomain, Common(security_domain::get_data)),
        (Proprietary, 0xCA, Requires::SecurityDomain, Common(security_domain::get_data)),
        (Proprietary, 0xD8, Requires::SecurityDomain, Common(security_domain::unauthenticated)),
        (Proprietary, 0xE2, Requires::SecurityDomain, Common(security_domain::unauthenticated)),
        (Proprietary, 0xE4, Requires::SecurityDomain, Common(security_domain::unauthenticated)),
        (Proprietary, 0xE6, Requires::SecurityDomain, Common(security_domain::unauthenticated)),
        (Proprietary, 0xF0, Requires::SecurityDomain, Common(security_domain::unauthenticated)),
        (Proprietary, 0xF2, Requires::SecurityDomain, Common(security_domain::unauthenticated)),
        (Proprietary, 0xF2, Requires::Files, ByKind(cat::status)),
        (Interindustry, 0xB0, Requires::Files, Common(binary::read_binary)),
        (Interindustry, 0xD6, Requires::Files, Common(binary::update_binary)),
        (Interindustry, 0xB2, Requires::Files, Common(record::read_record)),
        (Interindustry, 0xDC, Requires::Files, Common(record::update_record)),
        (Interindustry, 0xA2, Requires::Files, Common(search::search_record)),
        (Proprietary, 0x32, Requires::Files, Common(increase::increase)),
        (Proprietary, 0xCB, Requires::Files, Common(data_object::retrieve_data)),
        (Proprietary, 0xDB, Requires::Files, ByKind(data_object::set_data)),
        (Interindustry, 0x04, Requires::Files, Common(life_cycle::deactivate_file)),
        (Interindustry, 0x44, Requires::Files, Common(life_cycle::activate_file)),
        (Interindustry, 0x20, Requires::Files, Common(pin::verify)),
        (Interindustry, 0x24, Requires::Files, Common(pin::change)),
        (Interindustry, 0x26, Requires::Files, Common(pin::disable)),
        (Interindustry, 0x28, Requires::Files, Common(pin::enable)),
        (Interindustry, 0x2C, Requires::Files, Common(pin::unblock)),
        (Interindustry, 0x84, Requires::Files, Common(challenge::get_challenge)),
        (Interindustry, 0x88, Requires::Files, Common(authenticate)),
        (Proprietary, 0x78, Requires::Files, Common(|context, command| get_identity(context, command))),
    ]
};

/// Dispatches a command by class, instruction and the selection of the channel.
pub(super) fn dispatch(
    context: &mut CardContext<'_, '_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    let mut known = INSTRUCTIONS.iter().filter(|(_, ins, ..)| *ins == command.ins).peekable();
    let exists = known.peek().is_some();
    let mut of_class = known.filter(|(class, ..)| *class == command.class.kind).peekable();
    let exists_in_class = of_class.peek().is_some();
    match of_class.find(|(_, _, with, _)| is_met(context, *with)) {
        Some((.., Function::Common(function))) => function(context, command),
        Some((.., Function::ByKind(function))) => function(context, command),
        // req: TS.102.221-11-Class
        None if exists && !exists_in_class => Err(StatusWord::CLASS_NOT_SUPPORTED),
        // req: TS.102.221-11-Instruction
        None => Err(StatusWord::INSTRUCTION_NOT_SUPPORTED),
    }
}

/// STORE DATA to the ISD-R. An M2M eUICC accepts profile management only from its SM-SR, over the air.
fn store_data(context: &mut CardContext<'_, '_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    match context {
        CardContext::Consumer(context) => isd_r::store_data::store_data(context, command),
        CardContext::M2m(_) => Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED),
    }
}

fn is_met(context: &Context<'_>, with: Requires) -> bool {
    match (with, context.selection()) {
        (Requires::Anything, _)
        | (Requires::IsdR, Selection::IsdR(_))
        | (Requires::Ecasd, Selection::Ecasd)
        | (Requires::SecurityDomain, Selection::SecurityDomain(_))
        | (Requires::Files, Selection::Files(_)) => true,
        (Requires::BasicChannel, _) => context.channel == 0,
        _ => false,
    }
}

/// The EF that a command addresses: the EF with this short identifier in the current directory, or
/// the current EF if the identifier is 0. The EF becomes the current EF after the command.
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

/// The short file identifier in P1 or P2. It is present if bit 8 is set and bits 7 and 6 are clear;
/// 0 stands for the current EF.
fn sfi_in(parameter: u8) -> Result<u8, StatusWord> {
    match (parameter & 0xE0, parameter & 0x1F) {
        (0x80, sfi @ 1..) => Ok(sfi),
        (0x00, 0) => Ok(0),
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

/// Sets the current EF and the current record.
fn set_current_ef(context: &mut Context<'_>, ef: CurrentEf) {
    if let Ok(place) = context.place()
        && place.ef != Some(ef)
    {
        context.select(Selection::Files(Place { ef: Some(ef), ..place }));
    }
}

/// The kind of a file.
fn kind_of<'a>(context: &'a Context<'_>, file: FileIndex) -> Result<&'a FileKind, StatusWord> {
    Ok(&context.profile()?.files.file(file).ok_or(StatusWord::FILE_NOT_FOUND)?.kind)
}
