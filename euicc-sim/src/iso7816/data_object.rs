//! RETRIEVE DATA and SET DATA on EFs of BER-TLV structure: TS 102 221 section 11.3.
//!
//! An object is transferred in as many blocks as necessary, with its tag and length before its
//! value. The state of a transfer is kept on the channel and discarded as soon as another EF or
//! another object becomes the current one. An object is written only after its last octet has been
//! received.

use profile::{FileIndex, FileKind, MAX_FILE_MEMORY};
use rsp::der::{Reader, Tag, tlv, tlv_bytes};

use super::access::{self, Operation};
use super::{addressed, kind_of, set_current_ef};
use crate::StatusWord;
use crate::apdu::{Command, SHORT_MAXIMUM};
use crate::context::Context;
use crate::kind::CardContext;
use crate::state::channel::{CurrentEf, Transfer, TransferDirection};

/// The block that P2 requests: tables 11.33 and 11.35.
enum Block {
    First {
        sfi: u8,
    },
    Next,
    /// Repeats the last block.
    Again,
}

impl Block {
    fn named(command: &Command<'_>) -> Result<Self, StatusWord> {
        match (command.p1, command.p2 & 0xE0, command.p2 & 0x1F) {
            (0, 0x80, sfi) => Ok(Self::First { sfi }),
            (0, 0x00, 0) => Ok(Self::Next),
            (0, 0x40, 0) => Ok(Self::Again),
            _ => Err(StatusWord::INCORRECT_P1_P2),
        }
    }
}

/// The tag with which a command requests the list of all tags.
const TAG_LIST: Tag = Tag(0x5C);

/// RETRIEVE DATA: section 11.3.1.
pub(super) fn retrieve_data(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    let mut transfer = match Block::named(command)? {
        Block::First { sfi } => {
            let file = opened(context, command, sfi, Operation::Read)?;
            let object = object(context, file, tag_alone(command.data)?)?;
            Transfer { file, direction: TransferDirection::Out, object, last: 0, next: 0 }
        }
        _ if !command.data.is_empty() => return Err(StatusWord::WRONG_LENGTH),
        Block::Next => resume(context, TransferDirection::Out)?,
        Block::Again => {
            let transfer = resume(context, TransferDirection::Out)?;
            Transfer { next: transfer.last, ..transfer }
        }
    };
    // Without Le, as in T=0, GET RESPONSE fetches at most this many octets.
    let most = if command.le.is_some() { command.le_limit() } else { SHORT_MAXIMUM };
    let end = transfer.next.saturating_add(most).min(transfer.object.len());
    let block = transfer.object.get(transfer.next..end).unwrap_or_default().to_vec();
    if end < transfer.object.len() {
        context.warning = Some(if context.volatile.cat.is_announced() {
            StatusWord::MORE_DATA_AVAILABLE_AND_PROACTIVE
        } else {
            StatusWord::MORE_DATA_AVAILABLE
        });
    }
    (transfer.last, transfer.next) = (transfer.next, end);
    keep(context, transfer);
    Ok(block)
}

/// SET DATA: section 11.3.2.
pub(super) fn set_data(
    context: &mut CardContext<'_, '_>,
    command: &Command<'_>,
) -> Result<Vec<u8>, StatusWord> {
    if command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let mut transfer = match Block::named(command)? {
        Block::First { sfi } => {
            let file = opened(context, command, sfi, Operation::Update)?;
            if let Ok(tag) = tag_alone(command.data) {
                delete(context, file, tag)?;
                return Ok(Vec::new());
            }
            Transfer { file, direction: TransferDirection::In, object: Vec::new(), last: 0, next: 0 }
        }
        Block::Next => resume(context, TransferDirection::In)?,
        Block::Again => {
            let mut transfer = resume(context, TransferDirection::In)?;
            transfer.object.truncate(transfer.last);
            transfer
        }
    };
    transfer.last = transfer.object.len();
    transfer.object.extend_from_slice(command.data);
    let announced = announced(&transfer.object)?;
    if announced > room(context, transfer.file, &transfer.object)? {
        return Err(StatusWord::NOT_ENOUGH_MEMORY);
    }
    match transfer.object.len() {
        length if length > announced => return Err(StatusWord::INCORRECT_DATA),
        length if length < announced => {
            context.warning = Some(if context.volatile.cat.is_announced() {
                StatusWord::MORE_DATA_EXPECTED_AND_PROACTIVE
            } else {
                StatusWord::MORE_DATA_EXPECTED
            });
        }
        _ => put(context, transfer.file, &transfer.object)?,
    }
    keep(context, transfer);
    Ok(Vec::new())
}

/// Returns the EF that a first block addresses, and makes it the current EF.
fn opened(
    context: &mut Context<'_>,
    command: &Command<'_>,
    sfi: u8,
    operation: Operation,
) -> Result<FileIndex, StatusWord> {
    let current = addressed(context, sfi)?;
    if !matches!(kind_of(context, current.file)?, FileKind::BerTlv { .. }) {
        return Err(StatusWord::COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE);
    }
    access::check(context, command, current.file, operation)?;
    set_current_ef(context, CurrentEf { record: 0, ..current });
    if let Some(channel) = context.channel() {
        channel.transfer = None;
    }
    Ok(current.file)
}

/// Takes the transfer in progress on this channel.
fn resume(context: &mut Context<'_>, direction: TransferDirection) -> Result<Transfer, StatusWord> {
    let transfer = context.channel().and_then(|channel| channel.transfer.take());
    transfer.filter(|transfer| transfer.direction == direction).ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)
}

fn keep(context: &mut Context<'_>, transfer: Transfer) {
    if let Some(channel) = context.channel() {
        channel.transfer = Some(transfer);
    }
}

/// The tag in a data field that consists of a tag only.
fn tag_alone(data: &[u8]) -> Result<Tag, StatusWord> {
    // A zero length is appended, so that the tag can be parsed as an object.
    match tlv::split(&[data, &[0]].concat()) {
        Some((tag, [])) if data.len() == tag_length(tag) => Ok(tag),
        _ => Err(StatusWord::INCORRECT_DATA),
    }
}

fn tag_length(tag: Tag) -> usize {
    tlv_bytes(tag, &[]).len().saturating_sub(1)
}

/// True for tags that an object can have: context-specific, one to three octets long.
fn may_be_allocated(tag: Tag) -> bool {
    tlv_bytes(tag, &[]).first().is_some_and(|octet| octet & 0xC0 == 0x80) && tag_length(tag) <= 3
}

/// The total length that the beginning of an object announces.
fn announced(object: &[u8]) -> Result<usize, StatusWord> {
    let announced = tlv::announced_length(object).ok().flatten().ok_or(StatusWord::INCORRECT_DATA)?;
    let tag = Reader::new(object).peek().ok().flatten().filter(|tag| may_be_allocated(*tag));
    tag.map(|_| announced).ok_or(StatusWord::INCORRECT_DATA)
}

/// The objects of a file, in the order in which they were written. Parsing stops at the
/// first octets that do not encode an object, which are unwritten space.
fn objects<'a>(context: &'a Context<'_>, file: FileIndex) -> Result<Vec<(Tag, &'a [u8])>, StatusWord> {
    let content = context.profile()?.files.content(file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    let mut reader = Reader::new(content);
    let mut objects = Vec::new();
    while let Ok(Some(tag)) = reader.peek()
        && may_be_allocated(tag)
        && let Ok(object) = reader.whole_tlv()
    {
        objects.push((tag, object));
    }
    Ok(objects)
}

/// The object with this tag, or the list of tags.
fn object(context: &Context<'_>, file: FileIndex, wanted: Tag) -> Result<Vec<u8>, StatusWord> {
    let objects = objects(context, file)?;
    if wanted == TAG_LIST {
        let tags: Vec<u8> =
            objects.iter().flat_map(|(tag, object)| object.iter().take(tag_length(*tag))).copied().collect();
        return Ok(tlv_bytes(TAG_LIST, &tags));
    }
    let found = objects.into_iter().find(|(tag, _)| *tag == wanted);
    found.map(|(_, object)| object.to_vec()).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)
}

/// The maximum length of an object that replaces the one with the same tag. Incomplete writes on
/// other channels are subtracted from the free memory, because the card keeps them in the same
/// memory.
fn room(context: &CardContext<'_, '_>, file: FileIndex, object: &[u8]) -> Result<usize, StatusWord> {
    let tag = Reader::new(object).peek().ok().flatten();
    let objects = objects(context, file)?;
    let others: usize =
        objects.iter().filter(|(own, _)| Some(*own) != tag).map(|(_, object)| object.len()).sum();
    let kind = kind_of(context, file)?;
    let maximum = match kind {
        FileKind::BerTlv { maximum_size: maximum @ 1.., .. } => {
            usize::try_from(*maximum).unwrap_or(usize::MAX)
        }
        _ => MAX_FILE_MEMORY,
    };
    let incomplete_on_other_channels: usize = context
        .volatile
        .channels
        .iter()
        .filter(|(number, _)| **number != context.channel)
        .filter_map(|(_, channel)| {
            channel.transfer.as_ref().filter(|transfer| transfer.direction == TransferDirection::In)
        })
        .map(|transfer| transfer.object.len())
        .sum();
    let free = usize::try_from(context.free_memory()).unwrap_or(usize::MAX);
    let free = free.saturating_sub(incomplete_on_other_channels);
    let charged = kind.charged(context.profile()?.files.content(file).map_or(0, <[u8]>::len));
    Ok(maximum.min(free.saturating_add(charged)).saturating_sub(others))
}

fn put(context: &mut Context<'_>, file: FileIndex, object: &[u8]) -> Result<(), StatusWord> {
    let tag = Reader::new(object).peek().ok().flatten();
    replace(context, file, tag, object)
}

fn delete(context: &mut Context<'_>, file: FileIndex, tag: Tag) -> Result<(), StatusWord> {
    object(context, file, tag)?;
    replace(context, file, Some(tag), &[])
}

/// Replaces the object with this tag.
fn replace(
    context: &mut Context<'_>,
    file: FileIndex,
    tag: Option<Tag>,
    by: &[u8],
) -> Result<(), StatusWord> {
    let mut content = Vec::new();
    let mut by = Some(by);
    for (own, object) in objects(context, file)? {
        content.extend_from_slice(if Some(own) == tag { by.take().unwrap_or_default() } else { object });
    }
    content.extend_from_slice(by.unwrap_or_default());
    let before = context.profile()?.files.content(file).ok_or(StatusWord::FILE_NOT_FOUND)?;
    if before == content {
        return Ok(());
    }
    let kind = kind_of(context, file)?;
    let octets = |content: &[u8]| u32::try_from(kind.charged(content.len())).unwrap_or(u32::MAX);
    let (before, after) = (octets(before), octets(&content));
    *context.profile_mut()?.files.content_mut(file).ok_or(StatusWord::FILE_NOT_FOUND)? = content;
    if let Some(profile) = context.persistent.to_mut().enabled_profile_mut() {
        profile.memory = profile.memory.saturating_add(after).saturating_sub(before);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_field_that_names_an_object_has_nothing_but_the_tag() {
        assert_eq!(tag_alone(&[0x5A]), Ok(Tag(0x5A)));
        assert_eq!(tag_alone(&[0x5F, 0x50]), Ok(Tag(0x5F50)));
        for wrong in [&[][..], &[0x5F], &[0x5A, 0], &[0x5A, 0x81], &[0x5A, 1], &[0x5F, 0x50, 0x81]] {
            assert_eq!(tag_alone(wrong), Err(StatusWord::INCORRECT_DATA), "{wrong:02x?}");
        }
    }
}
