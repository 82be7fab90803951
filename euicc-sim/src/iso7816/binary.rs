//! READ BINARY and UPDATE BINARY: TS 102 221 sections 11.1.3 and 11.1.4.

use profile::FileKind;

use super::access::{self, Operation};
use super::{addressed, kind_of, set_current_ef, sfi_in};
use crate::StatusWord;
use crate::apdu::{Command, Le};
use crate::context::Context;
use crate::state::channel::CurrentEf;

/// READ BINARY.
pub(super) fn read_binary(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let le = command.le.ok_or(StatusWord::WRONG_LENGTH)?;
    let (current, offset) = transparent(context, command)?;
    access::check(context, command, current.file, Operation::Read)?;
    let content = context.profile()?.files.content(current.file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    let rest = content.get(offset..).filter(|rest| !rest.is_empty()).ok_or(StatusWord::WRONG_P1_P2)?;
    let data = match le {
        Le::Exactly(requested) => {
            rest.get(..requested).ok_or_else(|| StatusWord::wrong_le(rest.len().min(256)))?
        }
        Le::Maximum(limit) => rest.get(..limit).unwrap_or(rest),
    };
    let data = data.to_vec();
    set_current_ef(context, current);
    Ok(data)
}

/// UPDATE BINARY.
pub(super) fn update_binary(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let (current, offset) = transparent(context, command)?;
    access::check(context, command, current.file, Operation::Update)?;
    let end = offset.saturating_add(command.data.len());
    let content = context.profile()?.files.content(current.file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    let is_new = match content.get(offset..end) {
        None if offset >= content.len() => return Err(StatusWord::WRONG_P1_P2),
        None => return Err(StatusWord::WRONG_LENGTH),
        // Skip the write if the data are unchanged, to avoid memory wear.
        Some(present) => present != command.data,
    };
    if is_new {
        let content = context.profile_mut()?.files.content_mut(current.file);
        if let Some(target) = content.and_then(|content| content.get_mut(offset..end)) {
            target.copy_from_slice(command.data);
        }
    }
    set_current_ef(context, current);
    Ok(Vec::new())
}

/// The transparent EF that P1 and P2 address, and the offset in it.
fn transparent(context: &Context<'_>, command: &Command<'_>) -> Result<(CurrentEf, usize), StatusWord> {
    let (current, offset) = if command.p1 & 0x80 != 0 {
        (addressed(context, sfi_in(command.p1)?)?, usize::from(command.p2))
    } else {
        (addressed(context, 0)?, usize::from(u16::from_be_bytes([command.p1, command.p2])))
    };
    match kind_of(context, current.file)? {
        FileKind::Transparent => Ok((current, offset)),
        _ => Err(StatusWord::COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE),
    }
}
