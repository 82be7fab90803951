//! Tags, written as the standards print them: `0xBF38`, `0x5F37`, `0x30`.

use std::fmt;

/// The identifier octets of a TLV as one big-endian number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

impl Tag {
    /// The absence of a tag: an untagged CHOICE is recognised by the tags of its alternatives.
    pub const CHOICE: Self = Self(0);
    /// BOOLEAN.
    pub const BOOLEAN: Self = Self(0x01);
    /// INTEGER.
    pub const INTEGER: Self = Self(0x02);
    /// BIT STRING.
    pub const BIT_STRING: Self = Self(0x03);
    /// OCTET STRING.
    pub const OCTET_STRING: Self = Self(0x04);
    /// NULL.
    pub const NULL: Self = Self(0x05);
    /// OBJECT IDENTIFIER.
    pub const OBJECT_IDENTIFIER: Self = Self(0x06);
    /// UTF8String.
    pub const UTF8_STRING: Self = Self(0x0C);
    /// SEQUENCE and SEQUENCE OF.
    pub const SEQUENCE: Self = Self(0x30);

    /// True if the contents are TLVs.
    pub const fn is_constructed(self) -> bool {
        let first = if self.0 > 0xFF_FFFF {
            self.0 >> 24
        } else if self.0 > 0xFFFF {
            self.0 >> 16
        } else if self.0 > 0xFF {
            self.0 >> 8
        } else {
            self.0
        };
        first & 0x20 != 0
    }

    /// Returns the context-specific tag `[number]`, in one octet for numbers below 31 and in two
    /// octets up to 127.
    pub const fn context(number: u8, constructed: bool) -> Self {
        let first = if constructed { 0xA0 } else { 0x80 };
        if number < 31 {
            Self((first | number) as u32)
        } else {
            Self(((first | 0x1F) as u32) << 8 | number as u32)
        }
    }

    /// Appends the identifier octets.
    pub fn write(self, out: &mut Vec<u8>) {
        let bytes = self.0.to_be_bytes();
        let leading = bytes.iter().take_while(|b| **b == 0).count().min(3);
        out.extend(bytes.iter().skip(leading));
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::CHOICE { f.write_str("CHOICE") } else { write!(f, "{:02X}", self.0) }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}
