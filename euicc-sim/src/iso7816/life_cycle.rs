//! File life cycle: DEACTIVATE FILE and ACTIVATE FILE, TS 102 221 sections 11.1.14 and 11.1.15.

use profile::FileIndex;

use super::access::{self, ACTIVATED, DEACTIVATED, Operation};
use super::select;
use crate::StatusWord;
use crate::apdu::Command;
use crate::context::Context;
use crate::state::channel::{CurrentEf, Place, Selection};

/// DEACTIVATE FILE.
pub(super) fn deactivate_file(
    context: &mut Context<'_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    set(context, command, Operation::Deactivate, DEACTIVATED)
}

/// ACTIVATE FILE.
pub(super) fn activate_file(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    set(context, command, Operation::Activate, ACTIVATED)
}

fn set(
    context: &mut Context<'_>,
    command: &Command<'_>,
    operation: Operation,
    life_cycle: u8,
) -> Result<Vec<u8>, StatusWord> {
    if command.p2 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let (directory, ef) = named(context, command)?;
    access::check(context, command, ef.file, operation)?;
    let present = context.profile()?.files.file(ef.file).map(|file| file.life_cycle);
    if present != Some(life_cycle) {
        let file = context.profile_mut()?.files.file_mut(ef.file).ok_or(StatusWord::FILE_NOT_FOUND)?;
        file.life_cycle = life_cycle;
    }
    let place = context.place()?;
    context.select(Selection::Files(Place { directory, ef: Some(ef), ..place }));
    Ok(Vec::new())
}

/// The EF that a command addresses by identifier, by path or as the current EF, and its directory.
/// The EF becomes the current EF.
fn named(context: &Context<'_>, command: &Command<'_>) -> Result<(FileIndex, CurrentEf), StatusWord> {
    let found = match (command.p1, command.data) {
        (0x00, []) => {
            let place = context.place()?;
            return Ok((place.directory, place.ef.ok_or(StatusWord::NO_EF_SELECTED)?));
        }
        (0x00, _) => select::by_fid(context, command.data)?,
        (0x08, _) => select::by_path(context, command.data, select::PathFrom::Mf)?,
        (0x09, _) => select::by_path(context, command.data, select::PathFrom::Here)?,
        _ => return Err(StatusWord::INCORRECT_P1_P2),
    };
    match context.profile()?.files.file(found.file) {
        Some(file) if !file.kind.is_directory() => {
            Ok((found.directory, CurrentEf { file: found.file, record: 0 }))
        }
        _ => Err(StatusWord::COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE),
    }
}
