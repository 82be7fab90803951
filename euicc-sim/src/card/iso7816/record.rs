//! READ RECORD and UPDATE RECORD: TS 102 221 sections 11.1.5 and 11.1.6.

use profile::{FileIndex, FileKind};

use super::access::{self, Access};
use super::binary::by_sfi;
use crate::card::apdu::{Command, Le};
use crate::card::channel::{CurrentEf, Place, Selection};
use crate::card::context::Context;
use crate::card::status_word::StatusWord;

/// Modes of P2.
const NEXT: u8 = 0x02;
const PREVIOUS: u8 = 0x03;
const ABSOLUTE: u8 = 0x04;

/// A record that a command names.
struct Record {
    file: FileIndex,
    number: usize,
    length: usize,
    is_cyclic: bool,
    /// Where the record pointer stands afterwards.
    pointer: usize,
}

/// READ RECORD.
pub(super) fn read_record(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let record = named(context, command)?;
    access::check(context, record.file, Access::Read)?;
    match command.le {
        Some(Le::Maximum(_)) => {}
        Some(Le::Exactly(asked)) if asked == record.length => {}
        Some(Le::Exactly(_)) => return Err(StatusWord::wrong_le(record.length)),
        None => return Err(StatusWord::WRONG_LENGTH),
    }
    let files = &context.profile()?.files;
    let data = files.record(record.file, record.number).ok_or(StatusWord::RECORD_NOT_FOUND)?.to_vec();
    point_to(context, &record);
    Ok(data)
}

/// UPDATE RECORD.
pub(super) fn update_record(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let record = named(context, command)?;
    // Of a ring only the oldest record can be written, which then is the newest (section 8.2.2.3).
    if record.is_cyclic && (command.p2 & 0x07) != PREVIOUS {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    access::check(context, record.file, Access::Update)?;
    if command.data.len() != record.length {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let content = context.profile_mut()?.files.content_mut(record.file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    if record.is_cyclic {
        let turn = record.length.min(content.len());
        content.rotate_right(turn);
    }
    let number = if record.is_cyclic { 1 } else { record.number };
    let target = content.chunks_mut(record.length).nth(number.saturating_sub(1));
    if let Some(target) = target.filter(|target| target.len() == command.data.len()) {
        target.copy_from_slice(command.data);
    }
    point_to(context, &Record { pointer: if record.is_cyclic { 1 } else { record.pointer }, ..record });
    Ok(Vec::new())
}

/// The record that P1 and P2 name.
fn named(context: &mut Context<'_>, command: &Command<'_>) -> Result<Record, StatusWord> {
    let place = context.place()?;
    let sfi = command.p2 >> 3;
    let mode = command.p2 & 0x07;
    if !matches!(mode, NEXT | PREVIOUS | ABSOLUTE) || mode != ABSOLUTE && command.p1 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let current = match sfi {
        0 => place.ef.ok_or(StatusWord::NO_EF_SELECTED)?,
        _ => CurrentEf { file: by_sfi(context, place, sfi)?, record: 0 },
    };
    let files = &context.profile()?.files;
    let kind = &files.file(current.file).ok_or(StatusWord::FILE_NOT_FOUND)?.kind;
    let wrong_structure = StatusWord::COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE;
    let length = kind.record_length().ok_or(wrong_structure)?;
    let count = files.records(current.file).ok_or(wrong_structure)?;
    let is_cyclic = matches!(kind, FileKind::Cyclic { .. });
    let (number, pointer) = match (mode, command.p1) {
        // The pointer is not moved by naming a record outright.
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

fn point_to(context: &mut Context<'_>, record: &Record) {
    if let Ok(place) = context.place() {
        let ef = Some(CurrentEf { file: record.file, record: record.pointer });
        context.select(Selection::Files(Place { ef, ..place }));
    }
}
