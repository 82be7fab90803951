//! SEARCH RECORD: TS 102 221 section 11.1.7.

use super::access::{self, Operation};
use super::{addressed, record, set_current_ef};
use crate::StatusWord;
use crate::apdu::Command;
use crate::context::Context;
use crate::state::channel::CurrentEf;

/// Modes of P2.
const SIMPLE_FORWARD: u8 = 0x04;
const SIMPLE_BACKWARD: u8 = 0x05;
const ENHANCED: u8 = 0x06;

/// The search pattern and its position in a record: tables 11.12 and 11.13.
struct Pattern<'a> {
    octets: &'a [u8],
    start: Start,
}

/// The position in a record at which the pattern must occur.
enum Start {
    At(usize),
    /// After the first octet of this value.
    After(u8),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// SEARCH RECORD: returns the numbers of the records that contain the pattern, in the order of the
/// search. The first of them becomes the current record.
pub(super) fn search_record(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    let (pattern, direction, starts_after) = parse_search(command)?;
    let current = addressed(context, command.p2 >> 3)?;
    let (_, count) = record::shape(context, current.file)?;
    access::check(context, command, current.file, Operation::Read)?;
    let first = first(command.p1, current.record, count, direction, starts_after)?;
    let files = &context.profile()?.files;
    let has =
        |number: &usize| files.record(current.file, *number).is_some_and(|record| pattern.is_in(record));
    let found: Vec<usize> = match direction {
        Direction::Forward => (first..=count).filter(has).collect(),
        Direction::Backward => (1..=first).rev().filter(has).collect(),
    };
    let at = CurrentEf { record: found.first().copied().unwrap_or(current.record), ..current };
    set_current_ef(context, at);
    if found.is_empty() {
        context.warning = Some(StatusWord::UNSUCCESSFUL_SEARCH);
    }
    Ok(found.into_iter().filter_map(|number| u8::try_from(number).ok()).collect())
}

/// Returns the pattern, the direction, and true if the search starts after the record in P1 instead
/// of at that record.
fn parse_search<'a>(command: &Command<'a>) -> Result<(Pattern<'a>, Direction, bool), StatusWord> {
    let (pattern, direction, starts_after) = match (command.p2 & 0x07, command.data) {
        (SIMPLE_FORWARD, octets) => (Pattern { octets, start: Start::At(0) }, Direction::Forward, false),
        (SIMPLE_BACKWARD, octets) => (Pattern { octets, start: Start::At(0) }, Direction::Backward, false),
        (ENHANCED, [indication, position, octets @ ..]) => {
            let start = match indication & 0xF8 {
                0x00 => Start::At(usize::from(*position)),
                0x08 => Start::After(*position),
                _ => return Err(StatusWord::INCORRECT_DATA),
            };
            let (direction, starts_after) = match indication & 0x07 {
                0x04 => (Direction::Forward, false),
                0x05 => (Direction::Backward, false),
                0x06 => (Direction::Forward, true),
                0x07 => (Direction::Backward, true),
                _ => return Err(StatusWord::INCORRECT_DATA),
            };
            (Pattern { octets, start }, direction, starts_after)
        }
        (ENHANCED, _) => return Err(StatusWord::WRONG_LENGTH),
        // 7 is a proprietary search, which this card does not support.
        _ => return Err(StatusWord::INCORRECT_P1_P2),
    };
    if pattern.octets.is_empty() {
        Err(StatusWord::WRONG_LENGTH)
    } else {
        Ok((pattern, direction, starts_after))
    }
}

/// The record with which the search begins. Without a current record, a forward search begins with
/// the first record and a backward search with the last.
fn first(
    p1: u8,
    current: usize,
    count: usize,
    direction: Direction,
    starts_after: bool,
) -> Result<usize, StatusWord> {
    let named = usize::from(p1);
    if named > count {
        return Err(StatusWord::RECORD_NOT_FOUND);
    }
    let reference = if named == 0 { current } else { named };
    Ok(match (direction, reference) {
        (Direction::Forward, 0) => 1,
        (Direction::Backward, 0) => count,
        (Direction::Forward, number) => number.saturating_add(usize::from(starts_after)),
        (Direction::Backward, number) => number.saturating_sub(usize::from(starts_after)),
    })
}

impl Pattern<'_> {
    fn is_in(&self, record: &[u8]) -> bool {
        let start = match self.start {
            Start::At(offset) => Some(offset),
            Start::After(value) => {
                record.iter().position(|octet| *octet == value).map(|at| at.saturating_add(1))
            }
        };
        start.and_then(|start| record.get(start..)).is_some_and(|rest| rest.starts_with(self.octets))
    }
}
