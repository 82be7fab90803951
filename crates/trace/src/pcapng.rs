//! The pcapng format for Wireshark: GSMTAP version 2, payload type SIM, in UDP over IPv4.
//!
//! Wireshark dissects TPDUs of T=0: a header with one length, data in one direction, and a status
//! word. An APDU with data in both directions is therefore written as the two TPDUs of TS 102 221
//! section 7.3.1.1.5, the second of which is GET RESPONSE. The decoder's description of an exchange
//! is the comment of its first packet. Each card is an interface.
//!
//! GSMTAP: `gsmtap.h` of libosmocore. pcapng: draft-ietf-opsawg-pcapng, little-endian.

mod reader;

use std::collections::BTreeMap;

use super::command::Apdu;
use super::{Decoded, Event, Exchange, text};

pub(super) use reader::{is_file, read};

const PORT: u16 = 4729;

/// Types of blocks.
const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// `GSMTAP_TYPE_SIM`.
const TYPE_SIM: u8 = 4;

/// `GSMTAP_SIM_APDU` and `GSMTAP_SIM_ATR`.
const APDU: u8 = 0x00;
const ATR: u8 = 0x01;

/// The last line of the comment of a packet with hidden octets.
const HIDDEN: &str = "secret octets are written as zero";

/// Maximum octets of a comment. A block option is limited to 65535.
const MAX_COMMENT: usize = 16 << 10;

/// Writes one pcapng file.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The interface number of each card.
    interfaces: BTreeMap<String, u32>,
}

impl Writer {
    /// Returns the blocks that an exchange appends to the file.
    pub(super) fn packets(&mut self, exchange: &Exchange, decoded: &Decoded) -> Vec<u8> {
        let mut out = Vec::new();
        if self.interfaces.is_empty() {
            section_header(&mut out);
        }
        let next = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        let interface = *self.interfaces.entry(exchange.card.clone()).or_insert_with(|| {
            interface_description(&exchange.card, &mut out);
            next
        });
        let (sub_type, payloads) = match &exchange.event {
            Event::Reset { atr } => (ATR, vec![atr.clone()]),
            Event::Command { command, answer } => {
                let mut command = command.clone();
                let mut answer = answer.clone();
                hide(&mut command, &decoded.secret_in_command);
                hide(&mut answer, &decoded.secret_in_answer);
                (APDU, tpdus(&command, &answer))
            }
            // A fault has no content that a dissector could process.
            Event::Fault { .. } => return out,
        };
        let mut comment =
            format!("{}\n{}", text::headline(exchange, decoded), text::details(&decoded.details));
        if !decoded.secret_in_command.is_empty() || !decoded.secret_in_answer.is_empty() {
            comment.push_str(HIDDEN);
            comment.push('\n');
        }
        let mut comment = Some(comment);
        let at = u64::try_from(exchange.at.0).unwrap_or_default();
        for payload in payloads {
            let packet = in_ipv4(&gsmtap(sub_type, &payload));
            enhanced_packet(interface, at, &packet, comment.take().as_deref(), &mut out);
        }
        out
    }
}

fn hide(octets: &mut [u8], secret: &std::ops::Range<usize>) {
    if let Some(secret) = octets.get_mut(secret.clone()) {
        secret.fill(0);
    }
}

/// Converts an APDU and its answer to the TPDUs of T=0.
fn tpdus(command: &[u8], answer: &[u8]) -> Vec<Vec<u8>> {
    let Some((data, status)) = answer.split_last_chunk::<2>() else { return Vec::new() };
    let Some(apdu) = Apdu::parse(command) else { return vec![[command, answer].concat()] };
    let header = |p3: usize| [apdu.cla, apdu.ins, apdu.p1, apdu.p2, short(p3)];
    if apdu.data.is_empty() {
        let p3 = if data.is_empty() { apdu.expected.unwrap_or_default() } else { data.len() };
        return in_parts(&header(p3), apdu.cla, data, *status);
    }
    if apdu.data.len() > usize::from(u8::MAX) {
        // T=0 would use ENVELOPE for this APDU. It is written unchanged.
        return vec![[command, answer].concat()];
    }
    let first = [&header(apdu.data.len())[..], apdu.data].concat();
    if data.is_empty() {
        return vec![[&first[..], status].concat()];
    }
    let mut tpdus = vec![[&first[..], &[0x61, short(data.len())]].concat()];
    let get_response = [apdu.cla, 0xC0, 0, 0, short(data.len())];
    tpdus.extend(in_parts(&get_response, apdu.cla, data, *status));
    tpdus
}

/// Splits data of more than 256 octets into several answers to GET RESPONSE.
fn in_parts(header: &[u8; 5], cla: u8, data: &[u8], status: [u8; 2]) -> Vec<Vec<u8>> {
    let mut header = *header;
    let mut left = data;
    let mut tpdus = Vec::new();
    while let Some((part, rest)) = left.split_at_checked(256).filter(|(_, rest)| !rest.is_empty()) {
        header[4] = 0;
        tpdus.push([&header[..], part, &[0x61, short(rest.len())]].concat());
        header = [cla, 0xC0, 0, 0, short(rest.len())];
        left = rest;
    }
    tpdus.push([&header[..], left, &status].concat());
    tpdus
}

/// Encodes a length in one octet. Lengths of 256 and more are encoded as zero.
fn short(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(0)
}

fn gsmtap(sub_type: u8, payload: &[u8]) -> Vec<u8> {
    const VERSION: u8 = 2;
    const HEADER_WORDS: u8 = 4;
    // Time slot, ARFCN, signal level, signal-to-noise ratio and frame number do not apply here. The
    // sub-type is followed by antenna, sub-slot and a reserved octet.
    let mut packet = vec![VERSION, HEADER_WORDS, TYPE_SIM, 0, 0, 0, 0, 0, 0, 0, 0, 0, sub_type, 0, 0, 0];
    packet.extend_from_slice(payload);
    packet
}

/// Wraps the payload in UDP and IPv4 with loopback addresses.
fn in_ipv4(payload: &[u8]) -> Vec<u8> {
    const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
    const UDP: u8 = 17;
    let udp_length = u16::try_from(payload.len().saturating_add(8)).unwrap_or(u16::MAX);
    let length = udp_length.saturating_add(20).to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, UDP, 0, 0];
    packet.extend(LOOPBACK);
    packet.extend(LOOPBACK);
    let sum: u32 = packet.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    let folded = u16::try_from((sum & 0xFFFF) + (sum >> 16)).unwrap_or_default();
    if let Some(checksum) = packet.get_mut(10..12) {
        checksum.copy_from_slice(&(!folded).to_be_bytes());
    }
    for port in [PORT, PORT] {
        packet.extend(port.to_be_bytes());
    }
    packet.extend(udp_length.to_be_bytes());
    // The checksum is omitted.
    packet.extend([0, 0]);
    packet.extend_from_slice(payload);
    packet
}

fn section_header(out: &mut Vec<u8>) {
    let mut body = 0x1A2B_3C4Du32.to_le_bytes().to_vec();
    body.extend([1, 0, 0, 0]);
    // The section length is unspecified.
    body.extend([0xFF; 8]);
    option(4, b"Landfall", &mut body);
    option(0, &[], &mut body);
    block(SECTION_HEADER, &body, out);
}

fn interface_description(name: &str, out: &mut Vec<u8>) {
    const LINKTYPE_IPV4: u16 = 228;
    const MILLISECONDS: u8 = 3;
    let mut body = LINKTYPE_IPV4.to_le_bytes().to_vec();
    body.extend([0; 6]);
    option(2, name.as_bytes(), &mut body);
    option(9, &[MILLISECONDS], &mut body);
    option(0, &[], &mut body);
    block(INTERFACE_DESCRIPTION, &body, out);
}

fn enhanced_packet(interface: u32, at: u64, packet: &[u8], comment: Option<&str>, out: &mut Vec<u8>) {
    let mut body = interface.to_le_bytes().to_vec();
    let [high, low] = [at >> 32, at & 0xFFFF_FFFF].map(|half| u32::try_from(half).unwrap_or_default());
    let length = u32::try_from(packet.len()).unwrap_or_default();
    for number in [high, low, length, length] {
        body.extend(number.to_le_bytes());
    }
    body.extend_from_slice(packet);
    pad(&mut body);
    if let Some(comment) = comment {
        let end = (0..=comment.len().min(MAX_COMMENT)).rfind(|at| comment.is_char_boundary(*at));
        option(
            1,
            comment.get(..end.unwrap_or_default()).unwrap_or_default().trim_end().as_bytes(),
            &mut body,
        );
        option(0, &[], &mut body);
    }
    block(ENHANCED_PACKET, &body, out);
}

fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

fn block(kind: u32, body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(body.len().saturating_add(12)).unwrap_or_default().to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(length);
    out.extend_from_slice(body);
    out.extend(length);
}

/// Pads to a multiple of four octets.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
