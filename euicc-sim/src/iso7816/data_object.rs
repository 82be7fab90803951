//! RETRIEVE DATA and SET DATA on EFs of BER-TLV structure: TS 102 221 section 11.3.
//!
//! An object goes over the interface in as many blocks as it takes, its tag and length before its value. What is on
//! its way is kept on the channel, and given up as soon as another EF or another object becomes the current one.
//! Nothing of an object is written before its last octet has come.

use profile::{FileIndex, FileKind, MAX_FILE_MEMORY};
use rsp::der::{Reader, Tag, tlv, tlv_bytes};

use super::access::{self, Operation};
use super::{addressed, kind_of, stand_at};
use crate::StatusWord;
use crate::apdu::{Command, SHORT_MAXIMUM};
use crate::channel::CurrentEf;
use crate::context::Context;
use crate::isd_r::free_memory;

/// An object of the current EF that is passed on in blocks.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    file: FileIndex,
    way: Way,
    /// Tag, length and value: all of it on its way out, what has come so far on its way in.
    object: Vec<u8>,
    /// Where the last block began, and where the next one does.
    last: usize,
    next: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

/// P2: tables 11.33 and 11.35.
enum Block {
    First {
        sfi: u8,
    },
    Next,
    /// The last one once more.
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

/// The tag that asks for the tags of all objects.
const TAG_LIST: Tag = Tag(0x5C);

/// RETRIEVE DATA: section 11.3.1.
pub(super) fn retrieve_data(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    let mut transfer = match Block::named(command)? {
        Block::First { sfi } => {
            let file = opened(context, command, sfi, Operation::Read)?;
            let object = object(context, file, tag_alone(command.data)?)?;
            Transfer { file, way: Way::Out, object, last: 0, next: 0 }
        }
        _ if !command.data.is_empty() => return Err(StatusWord::WRONG_LENGTH),
        Block::Next => going_on(context, Way::Out)?,
        Block::Again => {
            let transfer = going_on(context, Way::Out)?;
            Transfer { next: transfer.last, ..transfer }
        }
    };
    // Without Le, as in T=0, GET RESPONSE brings at most this much.
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
pub(super) fn set_data(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
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
            Transfer { file, way: Way::In, object: Vec::new(), last: 0, next: 0 }
        }
        Block::Next => going_on(context, Way::In)?,
        Block::Again => {
            let mut transfer = going_on(context, Way::In)?;
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

/// The EF of a first block, made the current one.
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
    stand_at(context, CurrentEf { record: 0, ..current });
    if let Some(channel) = context.channel() {
        channel.transfer = None;
    }
    Ok(current.file)
}

/// What has been begun on this channel and not been given up.
fn going_on(context: &mut Context<'_>, way: Way) -> Result<Transfer, StatusWord> {
    let transfer = context.channel().and_then(|channel| channel.transfer.take());
    transfer.filter(|transfer| transfer.way == way).ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)
}

fn keep(context: &mut Context<'_>, transfer: Transfer) {
    if let Some(channel) = context.channel() {
        channel.transfer = Some(transfer);
    }
}

/// A data field that is a tag and nothing else.
fn tag_alone(data: &[u8]) -> Result<Tag, StatusWord> {
    // A length is put to it, so that it can be read as an object.
    match tlv::split(&[data, &[0]].concat()) {
        Some((tag, [])) if data.len() == tag_length(tag) => Ok(tag),
        _ => Err(StatusWord::INCORRECT_DATA),
    }
}

fn tag_length(tag: Tag) -> usize {
    tlv_bytes(tag, &[]).len().saturating_sub(1)
}

/// Tags that an object may have: context-specific, of one to three octets.
fn may_be_allocated(tag: Tag) -> bool {
    tlv_bytes(tag, &[]).first().is_some_and(|octet| octet & 0xC0 == 0x80) && tag_length(tag) <= 3
}

/// How long an object says it is whose beginning this is.
fn announced(object: &[u8]) -> Result<usize, StatusWord> {
    let announced = tlv::announced_length(object).ok().flatten().ok_or(StatusWord::INCORRECT_DATA)?;
    let tag = Reader::new(object).peek().ok().flatten().filter(|tag| may_be_allocated(*tag));
    tag.map(|_| announced).ok_or(StatusWord::INCORRECT_DATA)
}

/// The objects of a file, in the order in which they were written. Octets that are no object were never written.
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

/// The object with a tag, or the list of tags.
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

/// How many octets an object may have that takes the place of the one with its tag. What other channels have under way
/// takes its room already: the card has no other memory to keep it in.
fn room(context: &Context<'_>, file: FileIndex, object: &[u8]) -> Result<usize, StatusWord> {
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
    let under_way_elsewhere: usize = context
        .volatile
        .channels
        .iter()
        .filter(|(number, _)| **number != context.channel)
        .filter_map(|(_, channel)| channel.transfer.as_ref().filter(|transfer| transfer.way == Way::In))
        .map(|transfer| transfer.object.len())
        .sum();
    let free = usize::try_from(free_memory(context)).unwrap_or(usize::MAX);
    let free = free.saturating_sub(under_way_elsewhere);
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

/// Takes the object with this tag away and puts another in its place.
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
