//! The reader of pcapng files with GSMTAP: the files of [`super::Writer`], and little-endian files of
//! other programs with packets in IPv4.
//!
//! A packet is a TPDU of T=0, in which the instruction determines the direction of the data.

use rsp::time::Timestamp;

use super::{APDU, ATR, ENHANCED_PACKET, HIDDEN, INTERFACE_DESCRIPTION, PORT, SECTION_HEADER, TYPE_SIM};
use crate::octets::LineError;
use crate::{Event, Exchange};

/// True if the file begins like a pcapng file.
pub(crate) fn is_file(file: &[u8]) -> bool {
    file.starts_with(&SECTION_HEADER.to_be_bytes())
}

/// Reads the exchanges in a file. Blocks other than packets, and packets other than GSMTAP with a SIM
/// payload, are skipped.
///
/// # Errors
/// A block is malformed, or contains hidden octets and is to be read `with_secrets`. The error has the
/// number of the block.
pub(crate) fn read(file: &[u8], with_secrets: bool) -> Result<Vec<Exchange>, (usize, LineError)> {
    let mut interfaces = Vec::new();
    let mut exchanges = Vec::new();
    let mut rest = file;
    for number in 1.. {
        if rest.is_empty() {
            break;
        }
        let malformed = |why: &str| (number, LineError::Malformed(why.to_owned()));
        let (kind, body, next) = block(rest).ok_or_else(|| malformed("the block is truncated"))?;
        rest = next;
        match kind {
            SECTION_HEADER if !body.starts_with(&0x1A2B_3C4D_u32.to_le_bytes()) => {
                return Err(malformed("the file is big-endian; only little-endian files are supported"));
            }
            SECTION_HEADER => interfaces.clear(),
            INTERFACE_DESCRIPTION => {
                interfaces.push(Interface::of(body.get(8..).unwrap_or_default()));
            }
            ENHANCED_PACKET => {
                let packet = Packet::of(body).ok_or_else(|| malformed("the packet is truncated"))?;
                if with_secrets && packet.comment.ends_with(HIDDEN.as_bytes()) {
                    return Err((number, LineError::Hidden));
                }
                let interface = usize::try_from(packet.interface).ok().and_then(|at| interfaces.get(at));
                let interface = interface.ok_or_else(|| malformed("the packet has no interface"))?;
                exchanges.extend(event(packet.data).map(|event| Exchange {
                    at: interface.time(packet.at),
                    card: interface.name.clone(),
                    event,
                }));
            }
            _ => {}
        }
    }
    Ok(exchanges)
}

/// Splits the first block: its type, its body, and the octets that follow it.
fn block(octets: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (kind, length) = (number(octets, 0)?, number(octets, 4)?);
    let (block, rest) = octets.split_at_checked(usize::try_from(length).ok()?)?;
    Some((kind, block.get(8..block.len().checked_sub(4)?)?, rest))
}

fn number(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// The value of an option, or an empty one.
fn option(mut options: &[u8], wanted: u16) -> &[u8] {
    while let [code_low, code_high, low, high, rest @ ..] = options {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let Some(value) = rest.get(..length) else { break };
        if u16::from_le_bytes([*code_low, *code_high]) == wanted {
            return value;
        }
        options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    &[]
}

/// A card.
struct Interface {
    name: String,
    /// Decimal digits of a second in the times.
    digits: u32,
}

impl Interface {
    fn of(options: &[u8]) -> Self {
        let name = String::from_utf8_lossy(option(options, 2)).into_owned();
        let name = if name.is_empty() { "card".to_owned() } else { name };
        // Without the option, times are in microseconds. Powers of two are not in use.
        let digits = option(options, 9).first().map_or(6, |digits| u32::from(*digits));
        Self { name, digits }
    }

    fn time(&self, at: u64) -> Timestamp {
        let milliseconds = match self.digits {
            0..=3 => {
                10_u64.checked_pow(3_u32.saturating_sub(self.digits)).and_then(|one| at.checked_mul(one))
            }
            digits => 10_u64.checked_pow(digits.saturating_sub(3)).and_then(|one| at.checked_div(one)),
        };
        Timestamp(milliseconds.and_then(|time| i64::try_from(time).ok()).unwrap_or_default())
    }
}

struct Packet<'a> {
    interface: u32,
    at: u64,
    data: &'a [u8],
    comment: &'a [u8],
}

impl<'a> Packet<'a> {
    fn of(body: &'a [u8]) -> Option<Self> {
        let length = usize::try_from(number(body, 12)?).ok()?;
        let (data, options) = body.get(20..)?.split_at_checked(length)?;
        let padding = length.next_multiple_of(4).checked_sub(length)?;
        Some(Self {
            interface: number(body, 0)?,
            at: u64::from(number(body, 4)?) << 32 | u64::from(number(body, 8)?),
            data,
            comment: option(options.get(padding..).unwrap_or_default(), 1),
        })
    }
}

/// Returns the event in an IPv4 packet with GSMTAP over UDP.
fn event(packet: &[u8]) -> Option<Event> {
    let header = usize::from(packet.first()? & 0x0F).checked_mul(4)?;
    let (_, datagram) = packet.split_at_checked(header)?;
    let [_, _, port_high, port_low, _, _, _, _, gsmtap @ ..] = datagram else { return None };
    if u16::from_be_bytes([*port_high, *port_low]) != PORT {
        return None;
    }
    let words = usize::from(*gsmtap.get(1)?);
    let (header, payload) = gsmtap.split_at_checked(words.checked_mul(4)?)?;
    match (*header.get(2)?, *header.get(12)?) {
        (TYPE_SIM, APDU) => tpdu(payload),
        (TYPE_SIM, ATR) => Some(Event::Reset { atr: payload.to_vec() }),
        _ => None,
    }
}

/// Splits a TPDU into the command and its answer. The decoder joins the answers of GET RESPONSE.
fn tpdu(octets: &[u8]) -> Option<Event> {
    let [_, ins, p1, p2, p3, body @ ..] = octets else { return None };
    let is_answer = match ins {
        0x12 | 0x70 | 0x84 | 0xB0 | 0xB2 | 0xC0 | 0xCA => true,
        // GET STATUS of GlobalPlatform has the same instruction and other values of P1.
        0xF2 => *p1 <= 2,
        // RETRIEVE DATA has a tag in the first block only.
        0xCB => p2 & 0xC0 != 0x80,
        _ => false,
    };
    let data = match p3 {
        _ if is_answer => 0,
        0 if body.len() > 2 => {
            // An extended length.
            let [high, low, ..] = body else { return None };
            usize::from(u16::from_be_bytes([*high, *low])).checked_add(2)?
        }
        length => usize::from(*length).min(body.len().checked_sub(2)?),
    };
    let (command, answer) = octets.split_at_checked(data.checked_add(5)?)?;
    (answer.len() >= 2).then(|| Event::Command { command: command.to_vec(), answer: answer.to_vec() })
}
