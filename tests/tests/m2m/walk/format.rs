//! Formatting of messages for the document.

use std::{collections::BTreeMap, fmt::Write as _};

use rsp::ota::script::{Answer, Command, Script, ScriptResponse};

/// Maximum number of digits that are shown of a hexadecimal number.
const LONGEST: usize = 96;

/// The element in the body of a SOAP message.
pub(super) fn element(text: &str) -> &str {
    text.split("<rps:").nth(1).unwrap().split([' ', '>', '/']).next().unwrap()
}

/// Returns the hexadecimal octets in the element with this tag, if there are any.
pub(super) fn octets_in(text: &str, tag: &str) -> Option<Vec<u8>> {
    let digits = text.split(&format!("<rps:{tag}>")).nth(1)?.split('<').next()?;
    hex::decode(digits).ok()
}

/// Formats a SOAP message with one line per element, followed by the decoded data of SendData.
pub(super) fn soap(text: &str, ids: &mut BTreeMap<String, usize>) -> String {
    let mut lines = String::new();
    let mut depth = 0_usize;
    for piece in text.replace("><", ">\n<").lines() {
        let closes = piece.starts_with("</");
        if closes {
            depth = depth.saturating_sub(1);
        }
        let _ = writeln!(lines, "{}{}", "  ".repeat(depth), cut(&numbered(piece, ids)));
        if !closes && !piece.contains("</") && !piece.ends_with("/>") && !piece.starts_with("<?") {
            depth += 1;
        }
    }
    for (tag, read) in [("Data", commands as fn(&[u8]) -> String), ("EuiccResponseData", answers)] {
        if let Some(octets) = octets_in(text, tag) {
            let _ = write!(lines, "\nin {tag}:\n{}", read(&octets));
        }
    }
    lines
}

/// Replaces random identifiers of 32 digits by numbers in the order of their occurrence.
fn numbered(line: &str, ids: &mut BTreeMap<String, usize>) -> String {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let mut out = String::new();
    let mut run = String::new();
    for c in line.chars().chain(['\n']) {
        if is_digit(c) {
            run.push(c);
            continue;
        }
        // An EID has 32 digits, too, but no letters.
        if run.len() == 32 && run.contains(|c: char| c.is_ascii_lowercase()) {
            let next = ids.len() + 1;
            let _ = write!(out, "{:032x}", *ids.entry(run.clone()).or_insert(next));
        } else {
            out.push_str(&run);
        }
        run.clear();
        if c != '\n' {
            out.push(c);
        }
    }
    out
}

/// Shortens long numbers.
fn cut(line: &str) -> String {
    let mut out = String::new();
    for piece in line.split_inclusive(['>', '<', '"', ' ']) {
        if piece.len() > LONGEST + 8 && piece.is_ascii() && !piece.contains("//") {
            let _ = write!(
                out,
                "{}... ({} characters){}",
                &piece[..LONGEST],
                piece.len() - 1,
                &piece[piece.len() - 1..]
            );
        } else {
            out.push_str(piece);
        }
    }
    out
}

fn number(octets: &[u8]) -> String {
    let digits = hex::encode_upper(octets);
    match digits.get(..LONGEST) {
        Some(shown) if digits.len() > LONGEST => format!("{shown}... ({} octets)", octets.len()),
        _ => digits,
    }
}

/// Formats the commands of a script, one line each.
pub(super) fn commands(octets: &[u8]) -> String {
    if octets.is_empty() {
        return String::new();
    }
    let Ok(script) = Script::parse(octets) else { return number(octets) };
    let mut text = String::new();
    if let Some(chaining) = script.chaining {
        let _ = writeln!(text, "83 script chaining    {chaining:?}");
    }
    for command in &script.commands {
        let _ = match command {
            Command::Apdu(apdu) => writeln!(text, "22 C-APDU             {}", number(apdu)),
            Command::SecureChannel(tlv) => writeln!(text, "SCP03t                {}", number(tlv)),
            Command::ImmediateAction(action) => writeln!(text, "81 immediate action   {}", number(action)),
            Command::ErrorAction(action) => writeln!(text, "82 error action       {}", number(action)),
        };
    }
    text
}

/// Formats the responses of a card, one line each.
pub(super) fn answers(octets: &[u8]) -> String {
    if octets.is_empty() {
        return String::new();
    }
    let Ok(response) = ScriptResponse::parse(octets) else { return number(octets) };
    let mut text = String::new();
    if let Some(executed) = response.executed {
        let _ = writeln!(text, "80 commands executed  {executed}");
    }
    for answer in &response.answers {
        let _ = match answer {
            Answer::Apdu(apdu) => {
                writeln!(text, "23 R-APDU             {} {}", number(&apdu.data), apdu.status)
            }
            Answer::SecureChannel(tlv) => writeln!(text, "SCP03t                {}", number(tlv)),
            Answer::ImmediateAction(action) => writeln!(text, "81 immediate action   {}", number(action)),
        };
    }
    text
}

/// A decrypted secured packet in one short message (TS 31.115).
pub(super) struct Packet<'a> {
    octets: &'a [u8],
    is_command: bool,
    clear: Vec<u8>,
}

impl<'a> Packet<'a> {
    /// Length of the user data header and the lengths before the SPI or TAR.
    const HEAD: usize = 6;

    pub(super) fn serve_cards(octets: &'a [u8], kic: &[u8; 16]) -> Self {
        let is_command = match octets {
            [0x02, 0x70, 0x00, ..] => true,
            [0x02, 0x71, 0x00, ..] => false,
            _ => panic!("not a packet in one message: {}", hex::encode_upper(octets)),
        };
        let ciphered = &octets[Self::HEAD + if is_command { 7 } else { 3 }..];
        let clear = crypto::scp80::decrypt(kic, ciphered).unwrap();
        Self { octets, is_command, clear }
    }

    pub(super) const fn is_command(&self) -> bool {
        self.is_command
    }

    /// Counter of the packet. A response has the counter of its command.
    pub(super) fn counter(&self) -> String {
        hex::encode_upper(&self.clear[..5])
    }

    /// Position of the cryptographic checksum, after the counter, the padding counter and, in a
    /// response, the status.
    const fn checksum_at(&self) -> usize {
        if self.is_command { 6 } else { 7 }
    }

    pub(super) fn data(&self) -> &[u8] {
        let padding = usize::from(self.clear[5]);
        &self.clear[self.checksum_at() + 8..self.clear.len() - padding]
    }

    /// Formats the fields of the packet, one line each, and its contents.
    pub(super) fn shown(&self) -> String {
        let (octets, clear, at) = (self.octets, &self.clear, self.checksum_at());
        let parts: &[(&str, &[u8])] = match self.is_command {
            true => &[
                ("UDH: command packet", &octets[..3]),
                ("CPL", &octets[3..5]),
                ("CHL", &octets[5..6]),
                ("SPI", &octets[6..8]),
                ("KIc, KID", &octets[8..10]),
                ("TAR", &octets[10..13]),
                ("CNTR", &clear[..5]),
                ("PCNTR", &clear[5..6]),
            ],
            false => &[
                ("UDH: response packet", &octets[..3]),
                ("RPL", &octets[3..5]),
                ("RHL", &octets[5..6]),
                ("TAR", &octets[6..9]),
                ("CNTR", &clear[..5]),
                ("PCNTR", &clear[5..6]),
                ("status", &clear[6..7]),
            ],
        };
        let mut text = format!("{}\n\n", hex::encode_upper(octets));
        for (name, part) in parts.iter().chain(&[("CC", &clear[at..at + 8]), ("data", self.data())]) {
            let _ = writeln!(text, "{name:<24}{}", hex::encode_upper(part));
        }
        text.push('\n');
        text.push_str(&if self.is_command { commands(self.data()) } else { answers(self.data()) });
        text
    }
}
