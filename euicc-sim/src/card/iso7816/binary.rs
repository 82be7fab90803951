//! READ BINARY and UPDATE BINARY: TS 102 221 sections 11.1.3 and 11.1.4.

use profile::{FileIndex, FileKind};

use super::access::{self, Access};
use crate::card::apdu::{Command, Le};
use crate::card::channel::{CurrentEf, Place, Selection};
use crate::card::context::Context;
use crate::card::status_word::StatusWord;

/// READ BINARY.
pub(super) fn read_binary(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let le = command.le.ok_or(StatusWord::WRONG_LENGTH)?;
    let (file, offset) = transparent(context, command)?;
    access::check(context, file, Access::Read)?;
    let content = context.profile()?.files.content(file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    let rest = content.get(offset..).filter(|rest| !rest.is_empty()).ok_or(StatusWord::WRONG_P1_P2)?;
    match le {
        Le::Exactly(asked) => {
            Ok(rest.get(..asked).ok_or_else(|| StatusWord::wrong_le(rest.len().min(256)))?.to_vec())
        }
        Le::Maximum(limit) => Ok(rest.get(..limit).unwrap_or(rest).to_vec()),
    }
}

/// UPDATE BINARY.
pub(super) fn update_binary(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let (file, offset) = transparent(context, command)?;
    access::check(context, file, Access::Update)?;
    let end = offset.saturating_add(command.data.len());
    let content = context.profile()?.files.content(file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    match content.get(offset..end) {
        None if offset >= content.len() => return Err(StatusWord::WRONG_P1_P2),
        None => return Err(StatusWord::WRONG_LENGTH),
        // Nothing new: no wear.
        Some(present) if present == command.data => return Ok(Vec::new()),
        Some(_) => {}
    }
    let content = context.profile_mut()?.files.content_mut(file);
    if let Some(target) = content.and_then(|content| content.get_mut(offset..end)) {
        target.copy_from_slice(command.data);
    }
    Ok(Vec::new())
}

/// The transparent EF that P1 and P2 name, made the current one, and the offset in it.
fn transparent(context: &mut Context<'_>, command: &Command<'_>) -> Result<(FileIndex, usize), StatusWord> {
    let place = context.place()?;
    let (file, offset) = if command.p1 & 0x80 != 0 {
        // Bits 7 and 6 are reserved.
        if command.p1 & 0x60 != 0 {
            return Err(StatusWord::INCORRECT_P1_P2);
        }
        (by_sfi(context, place, command.p1 & 0x1F)?, usize::from(command.p2))
    } else {
        let current = place.ef.ok_or(StatusWord::NO_EF_SELECTED)?;
        (current.file, usize::from(u16::from_be_bytes([command.p1, command.p2])))
    };
    match context.profile()?.files.file(file).map(|file| &file.kind) {
        Some(FileKind::Transparent) => Ok((file, offset)),
        Some(_) => Err(StatusWord::COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE),
        None => Err(StatusWord::FILE_NOT_FOUND),
    }
}

/// The EF with a short identifier in the current directory becomes the current EF.
pub(super) fn by_sfi(context: &mut Context<'_>, place: Place, sfi: u8) -> Result<FileIndex, StatusWord> {
    if !(1..=30).contains(&sfi) {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let found = context.profile()?.files.by_sfi(place.directory, sfi).ok_or(StatusWord::FILE_NOT_FOUND)?;
    context.select(Selection::Files(Place { ef: Some(CurrentEf { file: found, record: 0 }), ..place }));
    Ok(found)
}
