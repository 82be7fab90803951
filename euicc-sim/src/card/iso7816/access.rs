//! Access rules: TS 102 221 section 9.2.7, in the expanded format that EF.ARR holds.

use profile::{Fid, File, FileIndex, ProfileFiles};
use rsp::der::{Reader, Tag, tlv};

use super::pin;
use crate::card::context::Context;
use crate::card::status_word::StatusWord;

/// What is to be done with an EF, as its access mode octet counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read = 0x01,
    Update = 0x02,
}

/// Whether the rule of the file lets it be done now. No rule that says so means no.
pub(super) fn check(context: &Context<'_>, file: FileIndex, access: Access) -> Result<(), StatusWord> {
    let files = &context.profile()?.files;
    let own = files.file(file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    check_life_cycle(own)?;
    let directory = own.parent.unwrap_or(FileIndex::MF);
    let rule = rule(files, own, directory).unwrap_or_default();
    let granted = condition_for(rule, access as u8)
        .is_some_and(|(tag, contents)| is_met(context, directory, tag, contents, 0));
    if granted { Ok(()) } else { Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED) }
}

fn check_life_cycle(file: &File) -> Result<(), StatusWord> {
    // Bit 7 of the special file information lets a deactivated file be used.
    let usable = match file.life_cycle {
        0x05 | 0x07 => true,
        0x04 | 0x06 => file.special_information & 0x40 != 0,
        _ => false,
    };
    if usable { Ok(()) } else { Err(StatusWord::REFERENCED_DATA_INVALIDATED) }
}

/// The record of the EF.ARR that the file refers to, looked for from its directory upwards.
fn rule<'a>(files: &'a ProfileFiles, file: &File, directory: FileIndex) -> Option<&'a [u8]> {
    let reference = file.access_rule?;
    let arr = nearest(files, directory, reference.arr)?;
    files.record(arr, usize::from(reference.record))
}

fn nearest(files: &ProfileFiles, directory: FileIndex, fid: Fid) -> Option<FileIndex> {
    let mut at = Some(directory);
    while let Some(directory) = at {
        if let Some(found) = files.child(directory, fid) {
            return Some(found);
        }
        at = files.file(directory)?.parent;
    }
    None
}

/// The security condition after the first access mode that has the bit; records are filled up with FF.
fn condition_for(rule: &[u8], access_bit: u8) -> Option<(Tag, &[u8])> {
    let filling = rule.iter().rev().take_while(|octet| **octet == 0xFF).count();
    let mut reader = Reader::new(rule.get(..rule.len().saturating_sub(filling))?);
    let mut applies = false;
    while !reader.is_empty() {
        let (tag, contents) = reader.tlv().ok()?;
        match tag {
            Tag(0x80) => {
                applies = contents.first().is_some_and(|mode| mode & 0x80 == 0 && mode & access_bit != 0)
            }
            // By command: none of these is READ or UPDATE.
            Tag(0x81..=0x8F | 0x9C) => applies = false,
            _ if applies => return Some((tag, contents)),
            _ => {}
        }
    }
    None
}

/// Conditions are not nested deeper than this in any profile.
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
        // 97 is never; what is not understood is no permission either.
        _ => false,
    }
}

/// User authentication: the code with this reference was presented, or need not be.
fn is_presented(context: &Context<'_>, directory: FileIndex, contents: &[u8]) -> bool {
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
    fn the_first_mode_with_the_bit_counts() {
        // Record 5 of EF.ARR in the TS.48 profile, and its filling.
        let rule = hex::decode(
            "800103A406830101950108800118A40683018195010884 01D4A40683010A950108FFFF".replace(' ', ""),
        );
        let rule = rule.unwrap();
        let pin = hex::decode("830101950108").unwrap();
        assert_eq!(condition_for(&rule, 0x01), Some((Tag(0xA4), pin.as_slice())));
        assert_eq!(condition_for(&rule, 0x02), Some((Tag(0xA4), pin.as_slice())));
        assert_eq!(condition_for(&rule, 0x40), None);
        assert_eq!(condition_for(&[0xFF; 8], 0x01), None);
        assert_eq!(condition_for(&[0x80, 0x01], 0x01), None);
    }
}
