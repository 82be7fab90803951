//! Names of commands: TS 102 221 section 10.1.2, TS 102 222, ISO/IEC 7816-4, GlobalPlatform.

/// A parsed command APDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Apdu<'a> {
    pub(super) cla: u8,
    pub(super) ins: u8,
    pub(super) p1: u8,
    pub(super) p2: u8,
    /// The data field.
    pub(super) data: &'a [u8],
    /// The offset of the data field.
    pub(super) data_at: usize,
    /// Ne; `None` if no data is expected.
    pub(super) expected: Option<usize>,
}

impl<'a> Apdu<'a> {
    /// Parses an APDU. Returns `None` if its lengths are inconsistent: ISO/IEC 7816-4 section 5.2.
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        let [cla, ins, p1, p2, body @ ..] = octets else { return None };
        let extended = |high: u8, low: u8| match u16::from_be_bytes([high, low]) {
            0 => 65536,
            le => usize::from(le),
        };
        let short = |le: u8| if le == 0 { 256 } else { usize::from(le) };
        let (data, data_at, expected) = match body {
            [] => (&[][..], 4, None),
            [le] => (&[][..], 4, Some(short(*le))),
            [0, high, low] => (&[][..], 4, Some(extended(*high, *low))),
            [0, high, low, rest @ ..] => {
                let (data, le) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
                match le {
                    [] => (data, 7, None),
                    [high, low] => (data, 7, Some(extended(*high, *low))),
                    _ => return None,
                }
            }
            [lc, rest @ ..] => {
                let (data, le) = rest.split_at_checked(usize::from(*lc))?;
                match le {
                    [] => (data, 5, None),
                    [le] => (data, 5, Some(short(*le))),
                    _ => return None,
                }
            }
        };
        Some(Self { cla: *cla, ins: *ins, p1: *p1, p2: *p2, data, data_at, expected })
    }

    /// Returns the logical channel: TS 102 221 section 10.1.1.
    pub(super) fn channel(self) -> u8 {
        match self.cla {
            0x40..=0x7F | 0xC0..=0xFE => 4 + (self.cla & 0x0F),
            _ => self.cla & 0x03,
        }
    }

    /// True for the classes of TS 102 221, TS 31.101 and GlobalPlatform that ISO/IEC 7816-4 leaves to
    /// the application.
    pub(super) fn is_proprietary(self) -> bool {
        self.cla & 0x80 != 0
    }

    /// Returns the name of the command in its standard.
    pub(super) fn name(self) -> &'static str {
        match (self.is_proprietary(), self.ins) {
            (_, 0x04) => "DEACTIVATE FILE",
            (_, 0x0E) => "ERASE BINARY",
            (true, 0x10) => "TERMINAL PROFILE",
            (true, 0x12) => "FETCH",
            (true, 0x14) => "TERMINAL RESPONSE",
            (_, 0x20) => "VERIFY PIN",
            (_, 0x24) => "CHANGE PIN",
            (_, 0x26) => "DISABLE PIN",
            (_, 0x28) => "ENABLE PIN",
            (_, 0x2C) => "UNBLOCK PIN",
            (_, 0x32) => "INCREASE",
            (_, 0x44) => "ACTIVATE FILE",
            (_, 0x70) => "MANAGE CHANNEL",
            (_, 0x73) => "MANAGE SECURE CHANNEL",
            (_, 0x75) => "TRANSACT DATA",
            (_, 0x76) => "SUSPEND UICC",
            (true, 0x78) => "GET IDENTITY",
            (_, 0x82) => "EXTERNAL AUTHENTICATE",
            (_, 0x84) => "GET CHALLENGE",
            (_, 0x88 | 0x89) => "AUTHENTICATE",
            (_, 0xA2) => "SEARCH RECORD",
            (_, 0xA4) => "SELECT",
            (_, 0xAA) => "TERMINAL CAPABILITY",
            (_, 0xB0) => "READ BINARY",
            (_, 0xB2) => "READ RECORD",
            (_, 0xC0) => "GET RESPONSE",
            (true, 0xC2) => "ENVELOPE",
            (_, 0xCA) => "GET DATA",
            (_, 0xCB) => "RETRIEVE DATA",
            (_, 0xD4) => "RESIZE FILE",
            (_, 0xD6) => "UPDATE BINARY",
            (_, 0xD8) => "PUT KEY",
            (_, 0xDA) => "PUT DATA",
            (_, 0xDB) => "SET DATA",
            (_, 0xDC) => "UPDATE RECORD",
            (_, 0xE0) => "CREATE FILE",
            (true, 0xE2) => "STORE DATA",
            (false, 0xE4) => "DELETE FILE",
            (true, 0xE4) => "DELETE",
            (false, 0xE6) => "TERMINATE DF",
            (true, 0xE6) => "INSTALL",
            (false, 0xE8) => "TERMINATE EF",
            (true, 0xE8) => "LOAD",
            (true, 0xF0) => "SET STATUS",
            (true, 0xF2) => "STATUS",
            (false, 0xFE) => "TERMINATE CARD USAGE",
            _ => "unknown command",
        }
    }

    /// Describes P1 and P2. The description is empty if there is nothing to describe, or if the
    /// decoder describes them.
    pub(super) fn parameters(self) -> String {
        let Self { p1, p2, .. } = self;
        match self.ins {
            0x20 | 0x24 | 0x26 | 0x28 | 0x2C => format!("{} (P2 {p2:02X})", code(p2)),
            0x70 if p1 == 0 && p2 == 0 => "open".to_owned(),
            0x70 if p1 == 0 => format!("open {p2}"),
            0x70 if p1 == 0x80 => format!("close {p2}"),
            0x88 | 0x89 => match p2 {
                0x80 => "GSM context".to_owned(),
                0x81 => "3G context".to_owned(),
                0x82 => "VGCS/VBS context".to_owned(),
                0x84 => "GBA context".to_owned(),
                0x85 => "MBMS context".to_owned(),
                0x86 => "local key establishment".to_owned(),
                _ => format!("context {p2:02X}"),
            },
            0x78 => match p2 & 0x1F {
                0x01 => "SUCI".to_owned(),
                0x02 => "SUCI, 5G NSWO".to_owned(),
                _ => format!("P2 {p2:02X}"),
            },
            0xA2 => {
                let from = if p1 == 0 { "the current record".to_owned() } else { format!("record {p1}") };
                match p2 & 0x07 {
                    4 => format!("forward from {from}"),
                    5 => format!("backward from {from}"),
                    6 => format!("enhanced, P1 {p1:02X}"),
                    _ => format!("P1 {p1:02X} P2 {p2:02X}"),
                }
            }
            0xB2 | 0xDC => match p2 & 0x07 {
                2 => "next record".to_owned(),
                3 => "previous record".to_owned(),
                4 if p1 == 0 => "current record".to_owned(),
                4 => format!("record {p1}"),
                _ => format!("P1 {p1:02X} P2 {p2:02X}"),
            },
            0xB0 | 0xD6 if p1 & 0x80 == 0 => format!("offset {}", u16::from_be_bytes([p1, p2])),
            0xB0 | 0xD6 => format!("offset {p2}"),
            0xCA => format!("tag {p1:02X}{p2:02X}"),
            0xCB | 0xDB => match p2 & 0xC0 {
                0x80 => "first block".to_owned(),
                0x00 => "next block".to_owned(),
                0x40 => "previous block".to_owned(),
                _ => "last block again".to_owned(),
            },
            0xE2 => {
                let which = if p1 & 0x80 == 0 { "block" } else { "last block" };
                format!("{which} {p2}")
            }
            0xF2 => match p1 {
                1 => "the application has begun".to_owned(),
                2 => "the application ends".to_owned(),
                _ => String::new(),
            },
            0xA4 | 0xC0 | 0x10 | 0x12 | 0x14 | 0xAA | 0xC2 | 0x44 | 0x04 | 0x32 => String::new(),
            _ => format!("P1 {p1:02X} P2 {p2:02X}"),
        }
    }

    /// Returns the short file identifier in the command, or 0 for the current file.
    pub(super) fn short_identifier(self) -> u8 {
        match self.ins {
            0xB0 | 0xD6 if self.p1 & 0x80 != 0 => self.p1 & 0x1F,
            0xB2 | 0xDC | 0xA2 => self.p2 >> 3,
            0x32 if self.p1 & 0x80 != 0 => self.p1 & 0x1F,
            0xCB | 0xDB => self.p2 & 0x1F,
            _ => 0,
        }
    }

    /// True if the command concerns an EF, either the current one or one in the command.
    pub(super) fn is_for_file(self) -> bool {
        matches!(self.ins, 0xB0 | 0xD6 | 0xB2 | 0xDC | 0xA2 | 0x32 | 0xCB | 0xDB | 0x04 | 0x44 | 0x0E)
    }
}

/// True if the data field of the instruction contains PINs: VERIFY PIN and similar commands.
pub(super) fn holds_codes(ins: u8) -> bool {
    matches!(ins, 0x20 | 0x24 | 0x26 | 0x28 | 0x2C)
}

/// Returns the name of a key reference: TS 102 221 section 9.5.1.
fn code(reference: u8) -> String {
    match reference {
        0x01..=0x08 => format!("PIN {reference}"),
        0x0A..=0x0E => format!("ADM {}", reference - 9),
        0x11 => "universal PIN".to_owned(),
        0x81..=0x88 => format!("second PIN {}", reference - 0x80),
        0x8A..=0x8E => format!("ADM {}", reference - 0x84),
        _ => "unknown code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_extended_lengths_are_parsed() {
        let parse = |hex: &str| {
            let octets = hex::decode(hex).unwrap();
            Apdu::parse(&octets).map(|apdu| (apdu.data.len(), apdu.data_at, apdu.expected))
        };
        assert_eq!(parse("00A40400"), Some((0, 4, None)));
        assert_eq!(parse("00B0000000"), Some((0, 4, Some(256))));
        assert_eq!(parse("00A40004023F00"), Some((2, 5, None)));
        assert_eq!(parse("00A40004023F0010"), Some((2, 5, Some(16))));
        assert_eq!(parse("00A400040000023F000000"), Some((2, 7, Some(65536))));
        assert_eq!(parse("00A40004033F00"), None);
        assert_eq!(parse("00A4"), None);
    }

    #[test]
    fn the_name_of_a_command_depends_on_its_class() {
        let name = |cla, ins| Apdu::parse(&[cla, ins, 0, 0]).unwrap().name();
        assert_eq!((name(0x00, 0xE4), name(0x80, 0xE4)), ("DELETE FILE", "DELETE"));
        assert_eq!((name(0x00, 0xE6), name(0x80, 0xE6)), ("TERMINATE DF", "INSTALL"));
        assert_eq!((name(0x00, 0xE8), name(0x80, 0xE8)), ("TERMINATE EF", "LOAD"));
        assert_eq!(name(0x00, 0xFE), "TERMINATE CARD USAGE");
    }

    #[test]
    fn a_record_is_described_according_to_the_command() {
        let parameters = |ins, p1, p2| Apdu::parse(&[0x00, ins, p1, p2]).unwrap().parameters();
        assert_eq!(parameters(0xB2, 3, 0x04), "record 3");
        assert_eq!(parameters(0xDC, 0, 0x04), "current record");
        assert_eq!(parameters(0xB2, 0, 0x02), "next record");
        assert_eq!(parameters(0xA2, 3, 0x04), "forward from record 3");
        assert_eq!(parameters(0xA2, 0, 0x05), "backward from the current record");
        assert_eq!(parameters(0xA2, 3, 0x06), "enhanced, P1 03");
    }
}
