//! Access rules: TS 102 221 section 9.2.7, in the expanded format that EF.ARR holds.

use profile::{File, FileIndex, ProfileFiles};
use rsp::der::{Reader, Tag, tlv};

use super::pin;
use crate::StatusWord;
use crate::apdu::Command;
use crate::context::Context;

/// Life cycle status integers of an activated and of a deactivated file. Bit 2 has no meaning
/// (section 11.1.1.4.9).
pub(super) const ACTIVATED: u8 = 0x05;

pub(super) const DEACTIVATED: u8 = 0x04;

/// The life cycle state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifeCycle {
    Activated,
    Deactivated,
    Terminated,
    /// Creation or initialisation: the file is not in use yet.
    Earlier,
}

impl LifeCycle {
    pub(super) fn of(file: &File) -> Self {
        match file.life_cycle {
            ACTIVATED | 0x07 => Self::Activated,
            DEACTIVATED | 0x06 => Self::Deactivated,
            0x0C..=0x0F => Self::Terminated,
            _ => Self::Earlier,
        }
    }
}

/// An operation on an EF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// READ, SEARCH, RETRIEVE DATA.
    Read,
    /// UPDATE, SET DATA.
    Update,
    /// INCREASE.
    Increase,
    /// DEACTIVATE FILE.
    Deactivate,
    /// ACTIVATE FILE.
    Activate,
}

impl Operation {
    /// The bit of the access mode octet (table 9.3 for EFs); INCREASE has no bit and is identified
    /// by its command header.
    fn mode(self) -> u8 {
        match self {
            Self::Read => 0x01,
            Self::Update => 0x02,
            Self::Deactivate => 0x08,
            Self::Activate => 0x10,
            Self::Increase => 0,
        }
    }
}

/// Checks that the life cycle state and the access rule of the file permit the operation. Without a
/// matching rule the operation is refused.
pub(super) fn check(
    context: &Context<'_>,
    command: &Command<'_>,
    file: FileIndex,
    operation: Operation,
) -> Result<(), StatusWord> {
    let files = &context.profile()?.files;
    let own = files.file(file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    check_life_cycle(own, operation)?;
    let directory = own.parent.unwrap_or(FileIndex::MF);
    let rule = rule(files, own, directory).unwrap_or_default();
    let granted = conditions_for(rule, operation, command.header())
        .into_iter()
        .any(|(tag, contents)| is_met(context, directory, tag, contents, 0));
    if granted { Ok(()) } else { Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED) }
}

/// The warning to return when a file is selected.
pub(super) fn warning(file: &File) -> Option<StatusWord> {
    match LifeCycle::of(file) {
        LifeCycle::Activated | LifeCycle::Earlier => None,
        LifeCycle::Deactivated => Some(StatusWord::SELECTED_FILE_INVALIDATED),
        LifeCycle::Terminated => Some(StatusWord::SELECTED_FILE_IN_TERMINATION_STATE),
    }
}

fn check_life_cycle(file: &File, operation: Operation) -> Result<(), StatusWord> {
    // Special file information, bit 7: the file can be read and updated while deactivated.
    let usable = match (LifeCycle::of(file), operation) {
        (LifeCycle::Activated, _) | (LifeCycle::Deactivated, Operation::Activate | Operation::Deactivate) => {
            true
        }
        (LifeCycle::Deactivated, Operation::Read | Operation::Update) => file.special_information & 0x40 != 0,
        _ => false,
    };
    if usable { Ok(()) } else { Err(StatusWord::REFERENCED_DATA_INVALIDATED) }
}

/// The record of the EF.ARR to which the file refers. The EF.ARR is searched from the directory of
/// the file upwards.
fn rule<'a>(files: &'a ProfileFiles, file: &File, directory: FileIndex) -> Option<&'a [u8]> {
    let reference = file.access_rule?;
    let arr = files.ancestors(directory).find_map(|directory| files.child(directory, reference.arr))?;
    files.record(arr, usize::from(reference.record))
}

/// Returns the security conditions that follow the first access modes that cover the operation. One
/// of the conditions must be met. Records are padded with FF.
fn conditions_for(rule: &[u8], operation: Operation, header: [u8; 4]) -> Vec<(Tag, &[u8])> {
    let filling = rule.iter().rev().take_while(|octet| **octet == 0xFF).count();
    let mut reader = Reader::new(rule.get(..rule.len().saturating_sub(filling)).unwrap_or_default());
    let mut conditions = Vec::new();
    // Consecutive access modes share the conditions that follow them.
    let mut applies = false;
    while !reader.is_empty() {
        // A malformed rule grants nothing.
        let Ok((tag, contents)) = reader.tlv() else { return Vec::new() };
        match covers(tag, contents, operation, header) {
            Some(_) if !conditions.is_empty() => break,
            Some(covered) => applies |= covered,
            None => conditions.extend(applies.then_some((tag, contents))),
        }
    }
    conditions
}

/// True if an access mode covers the operation; `None` if the element is a security condition.
fn covers(tag: Tag, contents: &[u8], operation: Operation, header: [u8; 4]) -> Option<bool> {
    match tag {
        // If bit 8 is set, bits 7 to 4 are proprietary.
        Tag(0x80) => Some(contents.first().is_some_and(|mode| {
            let known = if mode & 0x80 == 0 { 0x7F } else { 0x07 };
            mode & known & operation.mode() != 0
        })),
        // A list of partial command headers. Bits 4 to 1 of the tag select their parts: CLA, INS,
        // P1, P2.
        Tag(parts @ 0x81..=0x8F) => {
            let bits = [0x08, 0x04, 0x02, 0x01];
            let named = bits.iter().zip(header).filter(|(bit, _)| parts & **bit != 0);
            let own: Vec<u8> = named.map(|(_, octet)| octet).collect();
            Some(contents.chunks_exact(own.len()).any(|named| named == own))
        }
        // This tag describes a proprietary state machine, which this card does not support.
        Tag(0x9C) => Some(false),
        _ => None,
    }
}

/// Maximum nesting depth of conditions. No known profile nests deeper.
const MAX_DEPTH: u8 = 8;

fn is_met(context: &Context<'_>, directory: FileIndex, tag: Tag, contents: &[u8], depth: u8) -> bool {
    if depth >= MAX_DEPTH {
        return false;
    }
    let each = || {
        let conditions = tlv::each(contents).unwrap_or_default();
        conditions.into_iter().filter_map(tlv::split).collect::<Vec<_>>()
    };
    let inner =
        |(tag, contents): (Tag, &[u8])| is_met(context, directory, tag, contents, depth.saturating_add(1));
    match tag {
        Tag(0x90) => true,
        Tag(0xA4) => is_presented(context, directory, contents),
        Tag(0xA0) => each().into_iter().any(inner),
        Tag(0xAF) => !each().is_empty() && each().into_iter().all(inner),
        Tag(0xA7) => matches!(each().as_slice(), [only] if !inner(*only)),
        // 97 means never. Unknown conditions are refused too.
        _ => false,
    }
}

/// User authentication: true if the PIN with this reference is verified or disabled.
fn is_presented(context: &Context<'_>, directory: FileIndex, contents: &[u8]) -> bool {
    /// Usage qualifier, bit 4: PIN verification.
    const BY_CODE: u8 = 0x08;
    if let Ok(Some(usage)) = tlv::find(contents, Tag(0x95))
        && !matches!(tlv::split(usage), Some((_, [usage])) if usage & BY_CODE != 0)
    {
        return false;
    }
    let Ok(Some(reference)) = tlv::find(contents, Tag(0x83)) else { return false };
    let Some((_, [reference])) = tlv::split(reference) else { return false };
    let Ok(profile) = context.profile() else { return false };
    pin::find(profile, directory, *reference)
        .is_some_and(|(place, pin)| !pin.is_enabled() || context.volatile.verified.contains(&place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_access_mode_that_covers_the_operation_applies() {
        const READ: [u8; 4] = [0x00, 0xB0, 0x00, 0x00];
        const INCREASE: [u8; 4] = [0x80, 0x32, 0x00, 0x00];
        // Record 5 of EF.ARR in the TS.48 profile, with its padding.
        let rule = hex::decode(
            "800103A406830101950108800118A40683018195010884 01D4A40683010A950108FFFF".replace(' ', ""),
        );
        let rule = rule.unwrap();
        let pin = hex::decode("830101950108").unwrap();
        let adm = hex::decode("83010A950108").unwrap();
        assert_eq!(conditions_for(&rule, Operation::Read, READ), [(Tag(0xA4), pin.as_slice())]);
        assert_eq!(conditions_for(&rule, Operation::Update, READ), [(Tag(0xA4), pin.as_slice())]);
        let pin2 = hex::decode("830181950108").unwrap();
        assert_eq!(conditions_for(&rule, Operation::Activate, READ), [(Tag(0xA4), pin2.as_slice())]);
        assert_eq!(conditions_for(&rule, Operation::Increase, INCREASE), []);
        assert_eq!(conditions_for(&[0xFF; 8], Operation::Read, READ), []);
        // Bit 8 makes bits 7 to 4 proprietary and does not affect the other bits.
        let rule = hex::decode("80019B9000").unwrap();
        for (operation, is_covered) in [
            (Operation::Read, true),
            (Operation::Update, true),
            (Operation::Deactivate, false),
            (Operation::Activate, false),
        ] {
            assert_eq!(
                conditions_for(&rule, operation, READ).len(),
                usize::from(is_covered),
                "{operation:?}"
            );
        }
        assert_eq!(conditions_for(&[0x80, 0x01], Operation::Read, READ), []);
        // Access modes by INS, and by CLA and INS of several commands, with two alternative
        // conditions.
        for modes in ["840132", "84021432", "8C0480318032", "8C028032"] {
            let rule = hex::decode(format!("8001019000{modes}A40683010A9501089700")).unwrap();
            let expected = [(Tag(0xA4), adm.as_slice()), (Tag(0x97), &[][..])];
            assert_eq!(conditions_for(&rule, Operation::Increase, INCREASE), expected, "{modes}");
        }
        // The conditions after two access modes apply to an operation that either or both cover.
        let rule = hex::decode("8001018001039000").unwrap();
        assert_eq!(conditions_for(&rule, Operation::Read, READ), [(Tag(0x90), &[][..])]);
        assert_eq!(conditions_for(&rule, Operation::Activate, READ), []);
        let rule = hex::decode("8001018401329000").unwrap();
        assert_eq!(conditions_for(&rule, Operation::Read, READ), [(Tag(0x90), &[][..])]);
        assert_eq!(conditions_for(&rule, Operation::Increase, INCREASE), [(Tag(0x90), &[][..])]);
    }
}
