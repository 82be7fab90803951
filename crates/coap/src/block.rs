//! The options Block1 and Block2: RFC 7959 section 2.2.

use crate::message::{Options, uint};

/// Maximum number of a block: 20 bits.
const MAX_NUMBER: u32 = (1 << 20) - 1;

/// The size of a block: a power of two from 16 to 1024 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockSize(u8);

impl BlockSize {
    /// 1024 octets, the largest size.
    pub const MAX: Self = Self(6);

    /// Returns the size of this number of octets. `None` if blocks cannot have this size.
    pub fn of(octets: usize) -> Option<Self> {
        (0..=6).map(Self).find(|size| size.octets() == octets)
    }

    /// The size in octets.
    pub fn octets(self) -> usize {
        16 << self.0
    }
}

/// A block of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The number of the block, from 0, in units of its size.
    pub number: u32,
    /// True if further blocks follow.
    pub more: bool,
    /// The size. The last block of a body can be shorter.
    pub size: BlockSize,
}

/// A Block option with more than three octets or with the reserved size 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBlock;

impl Block {
    /// Returns the block that starts at `offset` of a body of `length` octets. `offset` must be a
    /// multiple of the size. `None` if it is not, or if the number is too large.
    pub fn at(offset: usize, length: usize, size: BlockSize) -> Option<Self> {
        let number = u32::try_from(offset / size.octets()).ok().filter(|number| *number <= MAX_NUMBER)?;
        let more = length.saturating_sub(offset) > size.octets();
        offset.is_multiple_of(size.octets()).then_some(Self { number, more, size })
    }

    /// The position of the first octet of the block in the body.
    pub fn offset(self) -> usize {
        usize::try_from(self.number).unwrap_or(usize::MAX).saturating_mul(self.size.octets())
    }

    /// Reads a Block option. `Ok(None)` if it is missing.
    ///
    /// # Errors
    /// The option is invalid.
    pub fn read(options: &Options, number: u16) -> Result<Option<Self>, InvalidBlock> {
        let Some(octets) = options.first(number) else { return Ok(None) };
        let value = uint(octets).filter(|_| octets.len() <= 3).ok_or(InvalidBlock)?;
        let exponent = u8::try_from(value & 7).map_err(|_| InvalidBlock)?;
        if exponent > BlockSize::MAX.0 {
            return Err(InvalidBlock);
        }
        Ok(Some(Self { number: value >> 4, more: value & 8 != 0, size: BlockSize(exponent) }))
    }

    /// Adds the block as an option.
    pub fn write(self, options: &mut Options, number: u16) {
        let more = if self.more { 8 } else { 0 };
        options.add_uint(number, self.number << 4 | more | u32::from(self.size.0));
    }
}
