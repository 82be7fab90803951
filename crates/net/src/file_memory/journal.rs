//! Encoding and decoding of a journal.

use std::io;

use sha2::{Digest, Sha256};
use world::{Batch, Cells, Content};

pub(super) const MAGIC: &str = "landfall-memory";
const VERSION: &str = "2";

/// Last word of the first line of a journal that started empty.
pub(super) const BEGUN: &str = "begun";
/// Last word of the first line of a compacted journal, whose first batch was complete before the
/// file got its name.
pub(super) const COMPACTED: &str = "compacted";

const MARK: &[u8; 4] = b"LFb\n";
const CHECKSUM: usize = 16;

/// The decoded content of a journal.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) cells: Cells,
    /// Length of the committed part of the file.
    pub(super) length: usize,
    /// The number of the last complete batch, or 0 without one.
    pub(super) last: u64,
    /// Octets of an incomplete batch at the end.
    pub(super) dropped: usize,
}

/// Returns the first line.
pub(super) fn header(kind: &str) -> Vec<u8> {
    format!("{MAGIC} {VERSION} {kind}\n").into_bytes()
}

/// Encodes a batch.
pub(super) fn batch_octets(number: u64, batch: &Batch) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "a batch has 4 GiB at most");
    let mut changes = Vec::new();
    for (cell, content) in batch.changes() {
        changes.extend(u16::try_from(cell.len()).map_err(|_| too_large())?.to_be_bytes());
        changes.extend(cell.as_bytes());
        changes.push(u8::from(content.is_some()));
        if let Some(content) = content {
            changes.extend(u32::try_from(content.len()).map_err(|_| too_large())?.to_be_bytes());
            content.pieces().iter().for_each(|piece| changes.extend_from_slice(piece));
        }
    }
    let length = u32::try_from(changes.len()).map_err(|_| too_large())?.to_be_bytes();
    let number = number.to_be_bytes();
    Ok([&MARK[..], &number, &length, &checksum(number, length, &changes), &changes].concat())
}

/// Returns the length of a journal that contains only these cells.
pub(super) fn live_octets(cells: &Cells) -> usize {
    const BATCH: usize = 4 + 8 + 4 + CHECKSUM;
    const CHANGE: usize = 2 + 1 + 4;
    let cells = cells.iter().map(|(name, content)| CHANGE + name.len() + content.len());
    header(COMPACTED).len() + BATCH + cells.sum::<usize>()
}

/// Decodes a journal.
///
/// # Errors
/// The file is not a journal, has another version, or is damaged.
pub(super) fn replay(file: &[u8]) -> Result<Replay, String> {
    let Some(is_compacted) = first_line(file)? else {
        return Ok(Replay { cells: Cells::default(), length: 0, last: 0, dropped: file.len() });
    };
    let length = header(if is_compacted { COMPACTED } else { BEGUN }).len();
    let mut replay = Replay { length, ..Replay::default() };
    let mut is_first = true;
    while let Some(rest) = file.get(replay.length..).filter(|rest| !rest.is_empty()) {
        let Some((number, batch, after)) = batch_at_start(rest) else {
            let at = replay.length;
            if is_first && is_compacted || (1..rest.len()).any(|next| starts_with_batch(rest, next)) {
                return Err(format!("the batch at octet {at} is damaged, although it is not the last one"));
            }
            replay.dropped = rest.len();
            break;
        };
        let next = replay.last.saturating_add(1);
        if !is_first && number != next {
            let at = replay.length;
            return Err(format!("the batch at octet {at} has number {number} instead of {next}"));
        }
        batch.apply_to(&mut replay.cells);
        replay.length = file.len().saturating_sub(after.len());
        replay.last = number;
        is_first = false;
    }
    if is_first && is_compacted {
        return Err("it ends before its first batch".to_owned());
    }
    Ok(replay)
}

/// Returns true if the first line marks a compacted journal, or `None` if the file ends within the
/// line, which happens when the first commit was interrupted.
fn first_line(file: &[u8]) -> Result<Option<bool>, String> {
    let Some(end) = file.iter().take(64).position(|octet| *octet == b'\n') else {
        return match header(BEGUN).starts_with(file) {
            true => Ok(None),
            false => Err("it is not a memory file".to_owned()),
        };
    };
    let line = file.get(..end).and_then(|line| str::from_utf8(line).ok()).unwrap_or_default();
    match line.split(' ').collect::<Vec<_>>()[..] {
        [MAGIC, VERSION, BEGUN] => Ok(Some(false)),
        [MAGIC, VERSION, COMPACTED] => Ok(Some(true)),
        [MAGIC, version, ..] if version != VERSION => {
            Err(format!("it has version {version}, but this program supports version {VERSION}"))
        }
        [MAGIC, ..] => Err("its first line is damaged".to_owned()),
        _ => Err("it is not a memory file".to_owned()),
    }
}

/// Returns the number of the first batch, the batch, and the octets after it, or `None` if the
/// batch is invalid.
fn batch_at_start(octets: &[u8]) -> Option<(u64, Batch, &[u8])> {
    let rest = octets.strip_prefix(MARK)?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (found, rest) = rest.split_first_chunk::<CHECKSUM>()?;
    let (changes, after) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    if checksum(*number, *length, changes) != *found {
        return None;
    }
    Some((u64::from_be_bytes(*number), changes_in(changes)?, after))
}

fn starts_with_batch(octets: &[u8], at: usize) -> bool {
    octets.get(at..).is_some_and(|rest| rest.starts_with(MARK) && batch_at_start(rest).is_some())
}

fn changes_in(mut octets: &[u8]) -> Option<Batch> {
    let mut batch = Batch::default();
    while !octets.is_empty() {
        let (length, rest) = octets.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let name = str::from_utf8(name).ok()?;
        octets = match rest {
            [0, rest @ ..] => {
                batch.remove(name);
                rest
            }
            [1, rest @ ..] => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
                let (content, rest) = rest.split_at_checked(length)?;
                batch.put(name, Content::from(content.to_vec()));
                rest
            }
            _ => return None,
        };
    }
    Some(batch)
}

fn checksum(number: [u8; 8], length: [u8; 4], changes: &[u8]) -> [u8; CHECKSUM] {
    let hash = Sha256::new().chain_update(number).chain_update(length).chain_update(changes).finalize();
    let mut first = [0; CHECKSUM];
    first.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    first
}
