//! DEACTIVATE FILE and ACTIVATE FILE: TS 102 221 sections 11.1.14 and 11.1.15.

use profile::FileIndex;

use super::access::{self, Operation};
use super::{select, stand_at};
use crate::card::apdu::Command;
use crate::card::channel::{CurrentEf, Place, Selection};
use crate::card::context::Context;
use crate::card::status_word::StatusWord;

/// Life cycle status integers of a file that works and of one that does not for the time being.
const ACTIVATED: u8 = 0x05;
const DEACTIVATED: u8 = 0x04;

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
    let file = named(context, command)?;
    access::check(context, file, operation)?;
    let of = |file: &profile::File| file.life_cycle;
    let present = context.profile()?.files.file(file).map(of).ok_or(StatusWord::FILE_NOT_FOUND)?;
    if present != life_cycle {
        let file = context.profile_mut()?.files.file_mut(file).ok_or(StatusWord::FILE_NOT_FOUND)?;
        file.life_cycle = life_cycle;
    }
    // The EF becomes the current one.
    let place = context.place()?;
    let parent = context.profile()?.files.file(file).and_then(|file| file.parent);
    if place.ef.is_none_or(|current| current.file != file) {
        let directory = parent.ok_or(StatusWord::FILE_NOT_FOUND)?;
        context.select(Selection::Files(Place { directory, ef: None, ..place }));
        stand_at(context, CurrentEf { file, record: 0 });
    }
    Ok(Vec::new())
}

/// The EF that is meant: by identifier or path, or the current one.
fn named(context: &Context<'_>, command: &Command<'_>) -> Result<FileIndex, StatusWord> {
    let current = || context.place()?.ef.map(|ef| ef.file).ok_or(StatusWord::NO_EF_SELECTED);
    let found = match (command.p1, command.data) {
        (0x00, []) => current()?,
        (0x00, _) => select::by_fid(context, command.data)?,
        (0x08, _) => select::by_path(context, command.data, select::PathFrom::Mf)?,
        (0x09, _) => select::by_path(context, command.data, select::PathFrom::Here)?,
        _ => return Err(StatusWord::INCORRECT_P1_P2),
    };
    let is_ef = context.profile()?.files.file(found).is_some_and(|file| !file.kind.is_directory());
    if is_ef { Ok(found) } else { Err(StatusWord::COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE) }
}
