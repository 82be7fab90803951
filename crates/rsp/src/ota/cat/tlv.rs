//! COMPREHENSION-TLV data objects: TS 101 220 section 7.1.1, tags from table 7.23.

use crate::der::{DecodeError, Problem};
use crate::finding::{FindingKind, report};
use crate::ota::octets::Octets;

/// A tag without its comprehension bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u8);

impl Tag {
    /// Command details.
    pub const COMMAND_DETAILS: Self = Self(0x01);
    /// Device identities.
    pub const DEVICE_IDENTITIES: Self = Self(0x02);
    /// Result.
    pub const RESULT: Self = Self(0x03);
    /// Duration.
    pub const DURATION: Self = Self(0x04);
    /// Alpha identifier.
    pub const ALPHA_IDENTIFIER: Self = Self(0x05);
    /// Address.
    pub const ADDRESS: Self = Self(0x06);
    /// SMS TPDU.
    pub const SMS_TPDU: Self = Self(0x0B);
    /// Text string.
    pub const TEXT_STRING: Self = Self(0x0D);
    /// File list.
    pub const FILE_LIST: Self = Self(0x12);
    /// Location information.
    pub const LOCATION_INFORMATION: Self = Self(0x13);
    /// IMEI.
    pub const IMEI: Self = Self(0x14);
    /// Event list.
    pub const EVENT_LIST: Self = Self(0x19);
    /// Location status.
    pub const LOCATION_STATUS: Self = Self(0x1B);
    /// Timer identifier.
    pub const TIMER_IDENTIFIER: Self = Self(0x24);
    /// Timer value.
    pub const TIMER_VALUE: Self = Self(0x25);
    /// AID.
    pub const AID: Self = Self(0x2F);
    /// Bearer description.
    pub const BEARER_DESCRIPTION: Self = Self(0x35);
    /// Channel data.
    pub const CHANNEL_DATA: Self = Self(0x36);
    /// Channel data length.
    pub const CHANNEL_DATA_LENGTH: Self = Self(0x37);
    /// Channel status.
    pub const CHANNEL_STATUS: Self = Self(0x38);
    /// Buffer size.
    pub const BUFFER_SIZE: Self = Self(0x39);
    /// UICC/terminal interface transport level.
    pub const TRANSPORT_LEVEL: Self = Self(0x3C);
    /// Other address.
    pub const OTHER_ADDRESS: Self = Self(0x3E);
    /// Access technology.
    pub const ACCESS_TECHNOLOGY: Self = Self(0x3F);
    /// Network access name.
    pub const NETWORK_ACCESS_NAME: Self = Self(0x47);
    /// IMEISV.
    pub const IMEISV: Self = Self(0x62);
    /// MEID.
    pub const MEID: Self = Self(0x6D);
}

/// The comprehension requirement of an object, b8 of the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// The receiver must understand the object or refuse the whole message.
    Yes,
    /// The receiver may ignore the object.
    No,
}

/// Appends an object.
pub fn write(tag: Tag, required: Required, value: &[u8], out: &mut Vec<u8>) {
    out.push(tag.0 | if required == Required::Yes { 0x80 } else { 0 });
    crate::der::write_length(value.len(), out);
    out.extend_from_slice(value);
}

/// The objects of a command, a response or an envelope.
///
/// The standard defines a fixed order of objects, but receivers find them by tag, and so does this
/// type.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    elements: Vec<(Tag, Octets<'a>)>,
    end: usize,
}

impl<'a> Elements<'a> {
    /// Splits a sequence of objects.
    ///
    /// # Errors
    /// The octets are not a sequence of objects.
    pub fn parse(mut reader: Octets<'a>) -> Result<Self, DecodeError> {
        let mut elements = Vec::new();
        while !reader.is_empty() {
            let reserved = reader.bad("the tag is reserved");
            let tag = match reader.octet()? {
                0x00 | 0x80 | 0xFF => return Err(reserved),
                // A tag of three octets. None is defined for the objects that this module decodes.
                0x7F => {
                    let number = reader.number16()?;
                    report(FindingKind::UnknownElement, || format!("object 7F{number:04X}"));
                    let length = reader.ber_length()?;
                    reader.take(length)?;
                    continue;
                }
                octet => Tag(octet & 0x7F),
            };
            let length = reader.ber_length()?;
            let offset = reader.offset();
            elements.push((tag, Octets::at(reader.take(length)?, offset)));
        }
        Ok(Self { elements, end: reader.offset() })
    }

    /// Returns the first object with this tag.
    pub fn find(&self, tag: Tag) -> Option<Octets<'a>> {
        self.all(tag).next()
    }

    /// Returns all objects with this tag, in their order.
    pub fn all(&self, tag: Tag) -> impl Iterator<Item = Octets<'a>> {
        self.elements.iter().filter(move |(each, _)| *each == tag).map(|(_, value)| *value)
    }

    /// Returns the first object with this tag.
    ///
    /// # Errors
    /// There is no such object.
    pub fn require(&self, tag: Tag) -> Result<Octets<'a>, DecodeError> {
        let expected = crate::der::Tag(u32::from(tag.0 | 0x80));
        self.find(tag).ok_or(DecodeError::new(self.end, Problem::Missing { expected }))
    }

    /// Reports the objects with other tags than `known`. `of` is the name of the message.
    pub fn report_unknown(&self, of: &str, known: &[Tag]) {
        for (Tag(tag), _) in self.elements.iter().filter(|(tag, _)| !known.contains(tag)) {
            report(FindingKind::UnknownElement, || format!("{of}: object {tag:02X}"));
        }
    }

    /// Decodes the object with this tag, if there is one. Octets that `read` leaves are a finding.
    ///
    /// # Errors
    /// `read` fails.
    pub fn optional<T>(
        &self,
        tag: Tag,
        read: impl FnOnce(&mut Octets<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        self.find(tag).map(|value| whole(tag, value, read)).transpose()
    }

    /// Decodes the object with this tag. Octets that `read` leaves are a finding.
    ///
    /// # Errors
    /// The object is missing, or `read` fails.
    pub fn mandatory<T>(
        &self,
        tag: Tag,
        read: impl FnOnce(&mut Octets<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        whole(tag, self.require(tag)?, read)
    }
}

fn whole<'a, T>(
    Tag(tag): Tag,
    mut value: Octets<'a>,
    read: impl FnOnce(&mut Octets<'a>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let read = read(&mut value)?;
    if !value.is_empty() {
        report(FindingKind::LongValue, || format!("object {tag:02X}: {} further octets", value.rest().len()));
    }
    Ok(read)
}
