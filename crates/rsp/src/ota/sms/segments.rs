//! A secured packet in one message or several: TS 31.115 section 4.1, with concatenation according
//! to TS 23.040 section 9.2.3.24.1.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Address, InformationElement, MAX_USER_DATA, UserData};
use crate::der::{DecodeError, Problem};

/// The kind of secured packet in a message, indicated by an information element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PacketKind {
    /// Element 70: a command packet.
    Command,
    /// Element 71: a response packet.
    Response,
}

impl PacketKind {
    /// Returns the identifier of the information element.
    pub const fn identifier(self) -> u8 {
        match self {
            Self::Command => 0x70,
            Self::Response => 0x71,
        }
    }

    /// Returns the user data header of a packet in one message. The checksum of a response covers
    /// it.
    pub const fn header(self) -> [u8; 3] {
        [0x02, self.identifier(), 0x00]
    }
}

/// The concatenation reference that the segments of one packet share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reference {
    /// Element 00: an 8-bit reference.
    Short(u8),
    /// Element 08: a 16-bit reference.
    Long(u16),
}

const CONCATENATION_8: u8 = 0x00;
const CONCATENATION_16: u8 = 0x08;

impl Reference {
    fn element(self, total: u8, number: u8) -> InformationElement {
        match self {
            Self::Short(reference) => {
                InformationElement { identifier: CONCATENATION_8, data: vec![reference, total, number] }
            }
            Self::Long(reference) => {
                let [high, low] = reference.to_be_bytes();
                InformationElement { identifier: CONCATENATION_16, data: vec![high, low, total, number] }
            }
        }
    }
}

/// A packet that does not fit 255 segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secured packet of {0} octets does not fit 255 short messages; send it over another bearer")]
pub struct TooLong(pub usize);

/// Splits a packet (starting with CPL or RPL) into as few messages as possible. The reference is
/// used only if there are several.
///
/// # Errors
/// More than 255 messages would be necessary.
pub fn segments(packet: &[u8], kind: PacketKind, reference: Reference) -> Result<Vec<UserData>, TooLong> {
    let kind_element = InformationElement { identifier: kind.identifier(), data: Vec::new() };
    let one = UserData { header: vec![kind_element.clone()], octets: packet.to_vec(), septets: None };
    if packet.len() <= MAX_USER_DATA - kind.header().len() {
        return Ok(vec![one]);
    }
    let header = match reference {
        Reference::Short(_) => 6,
        Reference::Long(_) => 7,
    };
    // The first segment also contains the element that indicates the kind.
    let (first, rest) = packet.split_at_checked(MAX_USER_DATA - header - 2).ok_or(TooLong(packet.len()))?;
    let parts: Vec<&[u8]> = std::iter::once(first).chain(rest.chunks(MAX_USER_DATA - header)).collect();
    let total = u8::try_from(parts.len()).map_err(|_| TooLong(packet.len()))?;
    let segment = |(number, part): (u8, &[u8])| UserData {
        header: std::iter::once(reference.element(total, number))
            .chain((number == 1).then(|| kind_element.clone()))
            .collect(),
        octets: part.to_vec(),
        septets: None,
    };
    Ok((1..=u8::MAX).zip(parts).map(segment).collect())
}

/// The result of accepting a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The message completed a packet or contained a whole packet.
    Whole(PacketKind, Vec<u8>),
    /// More segments are missing.
    Waiting {
        /// The number of received segments.
        have: u8,
        /// The total number of segments.
        of: u8,
    },
    /// A duplicate of a segment, with the same octets.
    Duplicate,
    /// A message without a secured packet.
    Unsecured,
}

/// Incomplete packets and the most recent complete ones. It has no external state, so it can be
/// stored in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reassembler {
    /// Incomplete packets, the most recently extended one last.
    partial: Vec<Partial>,
    /// Complete packets, the most recently completed one last; at most one for each sender and
    /// reference.
    #[serde(default)]
    complete: Vec<Complete>,
}

/// A packet of which some segments have been received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    from: Address,
    reference: Reference,
    total: u8,
    segments: BTreeMap<u8, UserData>,
}

/// A packet of which all segments have been received.
///
/// A service centre may deliver one of its segments again. The duplicate must not be taken for a
/// segment of the next packet with the same reference. If all segments are received again, however,
/// the sender has repeated the packet because it received no response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Complete {
    packet: Partial,
    /// The numbers of the segments that have been received again since.
    again: BTreeSet<u8>,
}

/// The maximum number of incomplete packets, and of complete packets that are remembered; a further
/// packet replaces the oldest. A packet has at most 255 segments of 140 octets, so this also limits
/// the memory.
pub const MAX_PARTIAL: usize = 4;

impl Reassembler {
    /// Accepts a message from any sender and in any order.
    ///
    /// # Errors
    /// The concatenation element is invalid. The state is unchanged in this case.
    pub fn accept(&mut self, from: &Address, message: UserData) -> Result<Accepted, DecodeError> {
        let Some((reference, total, number)) = concatenation(&message)? else {
            return Ok(match kind(&message) {
                Some(kind) => Accepted::Whole(kind, message.octets),
                None => Accepted::Unsecured,
            });
        };
        let is_same = |each: &Partial| each.from == *from && each.reference == reference;
        let complete = self.complete.iter_mut().find(|complete| is_same(&complete.packet));
        let repeated = complete.filter(|complete| {
            complete.packet.total == total && complete.packet.segments.get(&number) == Some(&message)
        });
        if let Some(repeated) = repeated {
            return Ok(repeated.repeat(number, self.partial.iter().find(|partial| is_same(partial))));
        }
        let known = self.partial.iter().position(is_same).map(|at| self.partial.remove(at));
        // A different total, or other octets for a known segment number, means that the reference
        // is used for another packet.
        let known = known.filter(|known| {
            known.total == total && known.segments.get(&number).is_none_or(|there| *there == message)
        });
        let mut partial = known.unwrap_or_else(|| {
            // Duplicates that were received before this packet started do not count as its
            // segments.
            let complete = self.complete.iter_mut().filter(|complete| is_same(&complete.packet));
            complete.for_each(|complete| complete.again.clear());
            Partial { from: from.clone(), reference, total, segments: BTreeMap::new() }
        });
        let is_duplicate = partial.segments.insert(number, message).is_some();
        if partial.segments.len() == usize::from(total) {
            let whole = partial.whole();
            self.complete.retain(|complete| !is_same(&complete.packet));
            let complete = Complete { packet: partial, again: BTreeSet::new() };
            push(&mut self.complete, complete);
            return Ok(whole);
        }
        let have = u8::try_from(partial.segments.len()).unwrap_or(total);
        push(&mut self.partial, partial);
        Ok(if is_duplicate { Accepted::Duplicate } else { Accepted::Waiting { have, of: total } })
    }

    /// True if no packet is incomplete.
    pub const fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }
}

fn push<T>(all: &mut Vec<T>, one: T) {
    if all.len() == MAX_PARTIAL {
        all.remove(0);
    }
    all.push(one);
}

impl Complete {
    /// Records that a segment was received again while `next` holds segments of the next packet.
    /// The segment may belong to the next packet, if that packet contains an identical segment.
    /// When all segments have been received again, in this packet or in the next one, the segments
    /// of both are therefore returned together as one packet. If the checksum of the returned
    /// packet is wrong, the next packet still waits for its own segment.
    fn repeat(&mut self, number: u8, next: Option<&Partial>) -> Accepted {
        self.again.insert(number);
        let is_there = |number: &u8| {
            self.again.contains(number) || next.is_some_and(|next| next.segments.contains_key(number))
        };
        if !self.packet.segments.keys().all(is_there) {
            return Accepted::Duplicate;
        }
        let mut whole = self.packet.clone();
        if let Some(next) = next.filter(|next| next.total == whole.total) {
            whole.segments.extend(next.segments.clone());
        }
        self.again.clear();
        whole.whole()
    }
}

impl Partial {
    fn whole(&self) -> Accepted {
        match self.segments.get(&1).and_then(kind) {
            Some(kind) => {
                Accepted::Whole(kind, self.segments.values().flat_map(|each| each.octets.clone()).collect())
            }
            None => Accepted::Unsecured,
        }
    }
}

/// Returns the kind of a secured packet. Elements 70 and 71 may have a value for other purposes; in
/// a secured packet they are empty.
fn kind(message: &UserData) -> Option<PacketKind> {
    [PacketKind::Command, PacketKind::Response]
        .into_iter()
        .find(|kind| message.element(kind.identifier()) == Some(&[]))
}

fn concatenation(message: &UserData) -> Result<Option<(Reference, u8, u8)>, DecodeError> {
    let (reference, total, number) =
        match (message.element(CONCATENATION_8), message.element(CONCATENATION_16)) {
            (None, None) => return Ok(None),
            (Some([reference, total, number]), None) => (Reference::Short(*reference), *total, *number),
            (None, Some([high, low, total, number])) => {
                (Reference::Long(u16::from_be_bytes([*high, *low])), *total, *number)
            }
            _ => {
                return Err(DecodeError::new(
                    1,
                    Problem::BadValue("the concatenation element has the wrong length"),
                )
                .within("TP-UDH"));
            }
        };
    // According to section 9.2.3.24.1 the receiver shall ignore such an element. The remaining
    // message would be meaningless, so it is refused here.
    if number == 0 || number > total {
        return Err(DecodeError::new(
            1,
            Problem::BadValue("the segment number is 0 or greater than the number of segments"),
        )
        .within("TP-UDH"));
    }
    Ok(Some((reference, total, number)))
}
