//! Command APDUs: ISO/IEC 7816-4 section 5, TS 102 221 section 10.1.

use super::StatusWord;

/// Logical channels that a class byte can name.
pub(crate) const CHANNELS: u8 = 20;

/// A parsed command APDU. Parsing does not interpret the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    /// CLA.
    pub(crate) class: Class,
    /// INS.
    pub(crate) ins: u8,
    /// P1.
    pub(crate) p1: u8,
    /// P2.
    pub(crate) p2: u8,
    /// The data field; empty if absent.
    pub(crate) data: &'a [u8],
    /// Ne, the maximum length of the response data; `None` if no response data are expected.
    pub(crate) le: Option<Le>,
}

/// CLA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// Class category of the instruction.
    pub(crate) kind: ClassKind,
    /// 0 to 19.
    pub(crate) channel: u8,
}

/// Class category of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClassKind {
    /// `0X`, `4X`, `6X`: ISO/IEC 7816-4.
    Interindustry,
    /// `8X`, `CX`, `EX`: TS 102 221, GlobalPlatform.
    Proprietary,
}

/// Ne, the expected length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Le {
    /// All available data, up to 256 or (extended length) 65536 octets.
    Maximum(usize),
    /// Exactly this many octets.
    Exactly(usize),
}

impl Le {
    /// Maximum length of the response data.
    pub(crate) fn limit(self) -> usize {
        match self {
            Self::Maximum(octets) | Self::Exactly(octets) => octets,
        }
    }
}

/// The number of octets that a short Le of 00 stands for.
pub(crate) const SHORT_MAXIMUM: usize = 256;

impl<'a> Command<'a> {
    /// Returns the header with the CLA of the basic channel: CLA, INS, P1 and P2.
    pub(crate) fn header(&self) -> [u8; 4] {
        let class = match self.class.kind {
            ClassKind::Interindustry => 0x00,
            ClassKind::Proprietary => 0x80,
        };
        [class, self.ins, self.p1, self.p2]
    }

    /// Maximum length of the response data; zero without Le.
    pub(crate) fn le_limit(&self) -> usize {
        self.le.map_or(0, Le::limit)
    }

    /// Parses a command APDU.
    ///
    /// # Errors
    /// 6700 if the lengths are inconsistent; 6E00, 6882 or 6884 for an unsupported class byte.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, StatusWord> {
        let [cla, ins, p1, p2, body @ ..] = bytes else { return Err(StatusWord::WRONG_LENGTH) };
        let class = Class::parse(*cla)?;
        // ISO/IEC 7816-3 reserves these instruction bytes.
        if matches!(ins >> 4, 6 | 9) {
            return Err(StatusWord::INSTRUCTION_NOT_SUPPORTED);
        }
        let (data, le) = split_body(body).ok_or(StatusWord::WRONG_LENGTH)?;
        Ok(Self { class, ins: *ins, p1: *p1, p2: *p2, data, le })
    }
}

/// The four cases, short and extended.
fn split_body(body: &[u8]) -> Option<(&[u8], Option<Le>)> {
    match body {
        [] => Some((&[], None)),
        [le] => Some((&[], Some(short_le(*le)))),
        [0, high, low] => Some((&[], Some(extended_le(*high, *low)))),
        [0, high, low, rest @ ..] => {
            let lc = usize::from(u16::from_be_bytes([*high, *low]));
            let (data, le) = rest.split_at_checked(lc).filter(|_| lc > 0)?;
            match le {
                [] => Some((data, None)),
                [high, low] => Some((data, Some(extended_le(*high, *low)))),
                _ => None,
            }
        }
        [lc, rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(*lc)).filter(|_| *lc > 0)?;
            match le {
                [] => Some((data, None)),
                [le] => Some((data, Some(short_le(*le)))),
                _ => None,
            }
        }
    }
}

fn short_le(le: u8) -> Le {
    if le == 0 { Le::Maximum(SHORT_MAXIMUM) } else { Le::Exactly(usize::from(le)) }
}

fn extended_le(high: u8, low: u8) -> Le {
    match u16::from_be_bytes([high, low]) {
        0 => Le::Maximum(65536),
        le => Le::Exactly(usize::from(le)),
    }
}

impl Class {
    fn parse(cla: u8) -> Result<Self, StatusWord> {
        let kind = if cla & 0x80 == 0 { ClassKind::Interindustry } else { ClassKind::Proprietary };
        let (channel, secure_messaging) = match cla {
            0x00..=0x1F | 0x80..=0x9F => (cla & 0x03, cla & 0x0C != 0),
            0x40..=0x7F | 0xC0..=0xFE => (4 + (cla & 0x0F), cla & 0x20 != 0),
            // 20 to 3F are reserved, AX is the class of GSM, FF starts a protocol and parameter
            // selection.
            _ => return Err(StatusWord::CLASS_NOT_SUPPORTED),
        };
        if secure_messaging {
            return Err(StatusWord::SECURE_MESSAGING_NOT_SUPPORTED);
        }
        if cla & 0x10 != 0 {
            return Err(StatusWord::COMMAND_CHAINING_NOT_SUPPORTED);
        }
        Ok(Self { kind, channel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(hex: &str) -> Result<(u8, Vec<u8>, Option<Le>), StatusWord> {
        let bytes = hex::decode(hex).unwrap();
        Command::parse(&bytes).map(|command| (command.class.channel, command.data.to_vec(), command.le))
    }

    #[test]
    fn all_four_apdu_cases_are_parsed_with_short_and_extended_lengths() {
        use Le::{Exactly, Maximum};
        assert_eq!(parse("00700000"), Ok((0, vec![], None)));
        assert_eq!(parse("0070000001"), Ok((0, vec![], Some(Exactly(1)))));
        assert_eq!(parse("00B0000000"), Ok((0, vec![], Some(Maximum(256)))));
        assert_eq!(parse("00A40004023F00"), Ok((0, vec![0x3F, 0], None)));
        assert_eq!(parse("01A40004023F0000"), Ok((1, vec![0x3F, 0], Some(Maximum(256)))));
        assert_eq!(parse("00B00000000100"), Ok((0, vec![], Some(Exactly(256)))));
        assert_eq!(parse("00B00000000000"), Ok((0, vec![], Some(Maximum(65536)))));
        assert_eq!(parse("40A400040000023F00"), Ok((4, vec![0x3F, 0], None)));
        assert_eq!(parse("4FA400040000023F000010"), Ok((19, vec![0x3F, 0], Some(Exactly(16)))));
    }

    #[test]
    fn inconsistent_lengths_are_refused() {
        for hex in [
            "",
            "00",
            "00A400",
            "00A40004033F00",
            "00A40004013F0000",
            "00A4000400003F00",
            "00A4000400000000",
            "00A400040000023F00FF",
            "00A400040000",
        ] {
            assert_eq!(parse(hex), Err(StatusWord::WRONG_LENGTH), "{hex}");
        }
    }

    #[test]
    fn class_bytes_encode_a_channel_or_are_refused() {
        for (hex, expected) in [("03", 3), ("83", 3), ("40", 4), ("CF", 19)] {
            assert_eq!(parse(&format!("{hex}A40000")).map(|parsed| parsed.0), Ok(expected), "{hex}");
        }
        for (hex, status) in [
            ("A0", StatusWord::CLASS_NOT_SUPPORTED),
            ("FF", StatusWord::CLASS_NOT_SUPPORTED),
            ("20", StatusWord::CLASS_NOT_SUPPORTED),
            ("04", StatusWord::SECURE_MESSAGING_NOT_SUPPORTED),
            ("84", StatusWord::SECURE_MESSAGING_NOT_SUPPORTED),
            ("60", StatusWord::SECURE_MESSAGING_NOT_SUPPORTED),
            ("10", StatusWord::COMMAND_CHAINING_NOT_SUPPORTED),
        ] {
            assert_eq!(parse(&format!("{hex}A40000")), Err(status), "{hex}");
        }
    }
}
