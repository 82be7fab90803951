//! STORE DATA with data groups: GlobalPlatform section 11.11. Used by the ISD-R and by ISD-Ps.

use std::mem;

use rsp::finding::{self, FindingKind};

use crate::StatusWord;
use crate::apdu::Command;

pub(crate) const STORE_DATA: u8 = 0xE2;

/// An incomplete STORE DATA.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) data: Vec<u8>,
    /// P2 of the next block.
    pub(crate) next: u8,
}

/// Maximum length of a data group and the data after it: a certificate, or a public key with a
/// signature.
const MAX_GROUP: usize = 2048;

/// Bits of P1: the last block; response data expected; the format of the data.
pub(crate) const LAST: u8 = 0x80;

const ANSWERS: u8 = 0x01;

const DATA_GROUPS: u8 = 0x08;

/// Bits of P1 that are reserved.
const RESERVED: u8 = 0x06;

impl Blocks {
    /// The state after blocks whose data have all been processed.
    pub(crate) fn resumed(next: u8) -> Self {
        Self { data: Vec::new(), next }
    }

    /// Processes a block and returns the data group that it completes. `ends_last` is true for data
    /// groups that end only with the last block.
    pub(crate) fn take(
        &mut self,
        command: &Command<'_>,
        ends_last: impl Fn(u16) -> bool,
    ) -> Result<Option<Group>, StatusWord> {
        if command.p1 & !(LAST | ANSWERS | RESERVED) != DATA_GROUPS {
            return Err(StatusWord::INCORRECT_P1_P2);
        }
        if command.p1 & RESERVED != 0 {
            finding::report(FindingKind::ReservedBit, || format!("P1 of STORE DATA: {:02X}", command.p1));
        }
        if command.p2 == 0 {
            *self = Self::default();
        }
        if command.p2 != self.next {
            return Err(StatusWord::INCORRECT_P1_P2);
        }
        if self.data.len().saturating_add(command.data.len()) > MAX_GROUP {
            return Err(StatusWord::NOT_ENOUGH_MEMORY);
        }
        self.data.extend_from_slice(command.data);
        self.next = self.next.wrapping_add(1);
        let is_last = command.p1 & LAST != 0;
        match split(&self.data) {
            Some((identifier, ..)) if !is_last && ends_last(identifier) => Ok(None),
            Some(_) => Ok(Some(Group(mem::take(&mut self.data)))),
            None if is_last => Err(StatusWord::INCORRECT_DATA),
            None => Ok(None),
        }
    }
}

/// The received octets: a complete data group and the data after it.
pub(crate) struct Group(pub(crate) Vec<u8>);

impl Group {
    /// The identifier of the data group, its contents, and the data after it.
    pub(crate) fn parts(&self) -> (u16, &[u8], &[u8]) {
        split(&self.0).unwrap_or_default()
    }
}

/// Splits off a data group: its identifier, its contents, and the data after it.
fn split(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (identifier, rest) = data.split_first_chunk::<2>()?;
    let (length, rest) = match rest {
        [0xFF, high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        [length, rest @ ..] => (u16::from(*length), rest),
        [] => return None,
    };
    let (contents, after) = rest.split_at_checked(usize::from(length))?;
    Some((u16::from_be_bytes(*identifier), contents, after))
}
