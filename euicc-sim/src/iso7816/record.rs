//! READ RECORD and UPDATE RECORD: TS 102 221 sections 11.1.5 and 11.1.6.

use profile::{FileIndex, FileKind};

use super::access::{self, Operation};
use super::{addressed, kind_of, set_current_ef};
use crate::StatusWord;
use crate::apdu::{Command, Le};
use crate::context::Context;
use crate::state::channel::CurrentEf;

/// Modes of P2.
const NEXT: u8 = 0x02;
const PREVIOUS: u8 = 0x03;
const ABSOLUTE: u8 = 0x04;

/// The record that a command addresses.
struct Record {
    file: FileIndex,
    number: usize,
    length: usize,
    is_cyclic: bool,
    /// The record pointer after the command.
    pointer: usize,
}

/// READ RECORD.
pub(super) fn read_record(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let record = named(context, command)?;
    access::check(context, command, record.file, Operation::Read)?;
    match command.le {
        Some(Le::Maximum(_)) => {}
        Some(Le::Exactly(requested)) if requested == record.length => {}
        Some(Le::Exactly(_)) => return Err(StatusWord::wrong_le(record.length)),
        None => return Err(StatusWord::WRONG_LENGTH),
    }
    let files = &context.profile()?.files;
    let data = files.record(record.file, record.number).ok_or(StatusWord::RECORD_NOT_FOUND)?.to_vec();
    set_current_ef(context, CurrentEf { file: record.file, record: record.pointer });
    Ok(data)
}

/// UPDATE RECORD.
pub(super) fn update_record(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let record = named(context, command)?;
    // In a cyclic EF only the oldest record can be written. It then becomes the newest (section
    // 8.2.2.3).
    if record.is_cyclic && (command.p2 & 0x07) != PREVIOUS {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    access::check(context, command, record.file, Operation::Update)?;
    if command.data.len() != record.length {
        return Err(StatusWord::WRONG_LENGTH);
    }
    if record.is_cyclic {
        write_newest(context, record.file, command.data)?;
    } else if context.profile()?.files.record(record.file, record.number) != Some(command.data) {
        let content = context.profile_mut()?.files.content_mut(record.file);
        let mut records = content.ok_or(StatusWord::FILE_NOT_FOUND)?.chunks_exact_mut(record.length);
        let target = records.nth(record.number.saturating_sub(1)).ok_or(StatusWord::RECORD_NOT_FOUND)?;
        target.copy_from_slice(command.data);
    }
    let pointer = if record.is_cyclic { 1 } else { record.pointer };
    set_current_ef(context, CurrentEf { file: record.file, record: pointer });
    Ok(Vec::new())
}

/// The length and the number of the records of an EF.
pub(super) fn shape(context: &Context<'_>, file: FileIndex) -> Result<(usize, usize), StatusWord> {
    let length = kind_of(context, file)?.record_length();
    let count = context.profile()?.files.records(file);
    length.zip(count).ok_or(StatusWord::COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE)
}

/// Overwrites the oldest record of a cyclic EF, which becomes the newest, number 1.
pub(super) fn write_newest(
    context: &mut Context<'_>,
    file: FileIndex,
    record: &[u8],
) -> Result<(), StatusWord> {
    let content = context.profile_mut()?.files.content_mut(file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    let turn = record.len().min(content.len());
    content.rotate_right(turn);
    content.get_mut(..record.len()).ok_or(StatusWord::WRONG_LENGTH)?.copy_from_slice(record);
    Ok(())
}

/// The record that P1 and P2 address.
fn named(context: &Context<'_>, command: &Command<'_>) -> Result<Record, StatusWord> {
    let mode = command.p2 & 0x07;
    if !matches!(mode, NEXT | PREVIOUS | ABSOLUTE) || mode != ABSOLUTE && command.p1 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let current = addressed(context, command.p2 >> 3)?;
    let (length, count) = shape(context, current.file)?;
    let is_cyclic = matches!(kind_of(context, current.file)?, FileKind::Cyclic { .. });
    let (number, pointer) = match (mode, command.p1) {
        // Absolute addressing does not move the record pointer.
        (ABSOLUTE, 0) => (current.record, current.record),
        (ABSOLUTE, number) => (usize::from(number), current.record),
        (NEXT, _) => {
            let next = current.record.saturating_add(1);
            let next = if is_cyclic && next > count { 1 } else { next };
            (next, next)
        }
        _ => {
            let previous = match current.record {
                0 => count,
                1 if is_cyclic => count,
                record => record.saturating_sub(1),
            };
            (previous, previous)
        }
    };
    if !(1..=count).contains(&number) {
        return Err(StatusWord::RECORD_NOT_FOUND);
    }
    Ok(Record { file: current.file, number, length, is_cyclic, pointer })
}
