//! The network's side of a data call: PPP in HDLC framing (RFC 1661, RFC 1662), IPCP (RFC 1332), and
//! a loopback network behind it in which every address answers ICMP echo requests.
//!
//! The module performs no I/O and has no timers. It is passive: it sends its own requests with the
//! answers to the requests of the peer.

/// The default maximum receive unit: RFC 1661 section 6.1.
const MAX_RECEIVE_UNIT: usize = 1500;

/// The longest frame that is accepted: a packet with address, control, protocol and check sequence.
const MAX_FRAME: usize = MAX_RECEIVE_UNIT + 6;

/// The longest data of a control packet, after code, identifier and length.
const MAX_DATA: usize = MAX_RECEIVE_UNIT - 4;

const FLAG: u8 = 0x7E;
const ESCAPE: u8 = 0x7D;
const ESCAPE_BIT: u8 = 0x20;

/// Address "all stations" and control "unnumbered information".
const ADDRESS_AND_CONTROL: [u8; 2] = [0xFF, 0x03];

const LCP: u16 = 0xC021;
const IPCP: u16 = 0x8021;
const IPV4: u16 = 0x0021;

const CONFIGURE_REQUEST: u8 = 1;
const CONFIGURE_ACK: u8 = 2;
const CONFIGURE_NAK: u8 = 3;
const CONFIGURE_REJECT: u8 = 4;
const TERMINATE_REQUEST: u8 = 5;
const TERMINATE_ACK: u8 = 6;
const CODE_REJECT: u8 = 7;
const PROTOCOL_REJECT: u8 = 8;
const ECHO_REQUEST: u8 = 9;
const ECHO_REPLY: u8 = 10;
const DISCARD_REQUEST: u8 = 11;

/// LCP options: maximum receive unit, control character map, magic number.
const LCP_OPTIONS: [u8; 3] = [1, 2, 5];
/// IPCP option: the IP address.
const IP_ADDRESS: u8 = 3;

/// The magic number in our echo replies. It is not negotiated, so it is zero: RFC 1661 section 5.8.
const NO_MAGIC: [u8; 4] = [0; 4];

/// One end of a PPP link.
pub(super) struct Link {
    /// The address of the network's end, and the address that the peer is assigned.
    own: [u8; 4],
    assigned: [u8; 4],
    frame: Vec<u8>,
    is_escaped: bool,
    is_lcp_acknowledged: bool,
    is_ipcp_acknowledged: bool,
    is_terminated: bool,
    identifier: u8,
}

impl Link {
    /// Creates the network's end, with its address and the address for the peer.
    pub(super) fn new(own: [u8; 4], assigned: [u8; 4]) -> Self {
        Self {
            own,
            assigned,
            frame: Vec::new(),
            is_escaped: false,
            is_lcp_acknowledged: false,
            is_ipcp_acknowledged: false,
            is_terminated: false,
            identifier: 0,
        }
    }

    /// True after the peer has ended the link.
    pub(super) fn is_terminated(&self) -> bool {
        self.is_terminated
    }

    /// Processes octets from the peer and returns the octets for the peer.
    pub(super) fn receive(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for octet in octets {
            match *octet {
                FLAG => {
                    let frame = std::mem::take(&mut self.frame);
                    // A frame that ends with an escape is aborted: RFC 1662 section 4.3.
                    if !std::mem::take(&mut self.is_escaped)
                        && let Some((protocol, packet)) = checked(&frame)
                    {
                        self.packet(protocol, packet, &mut out);
                    }
                }
                ESCAPE => self.is_escaped = true,
                octet if self.frame.len() <= MAX_FRAME => {
                    let bit = if std::mem::take(&mut self.is_escaped) { ESCAPE_BIT } else { 0 };
                    self.frame.push(octet ^ bit);
                }
                // Over the limit the frame fails its check.
                _ => {}
            }
        }
        out
    }

    fn packet(&mut self, protocol: u16, packet: &[u8], out: &mut Vec<u8>) {
        match protocol {
            LCP => self.lcp(packet, out),
            IPCP if self.is_lcp_acknowledged => self.ipcp(packet, out),
            IPV4 if self.is_ipcp_acknowledged => {
                if let Some(reply) = echo_reply(packet) {
                    write_frame(IPV4, &reply, out);
                }
            }
            IPCP | IPV4 => {}
            _ => {
                let rejected = [&protocol.to_be_bytes(), packet].concat();
                let identifier = self.next_identifier();
                write_control(LCP, PROTOCOL_REJECT, identifier, &rejected, out);
            }
        }
    }

    fn lcp(&mut self, packet: &[u8], out: &mut Vec<u8>) {
        let Some((code, identifier, data)) = control(packet) else { return };
        match code {
            CONFIGURE_REQUEST => {
                // A new negotiation ends the former one: RFC 1661 section 4.3.
                self.is_ipcp_acknowledged = false;
                let Some(options) = options(data) else { return };
                let unknown = concat(&options, |kind| !LCP_OPTIONS.contains(&kind));
                match unknown.as_slice() {
                    [] => write_control(LCP, CONFIGURE_ACK, identifier, data, out),
                    unknown => write_control(LCP, CONFIGURE_REJECT, identifier, unknown, out),
                }
                // We need no options.
                self.is_lcp_acknowledged = false;
                let identifier = self.next_identifier();
                write_control(LCP, CONFIGURE_REQUEST, identifier, &[], out);
            }
            CONFIGURE_ACK if identifier == self.identifier => self.is_lcp_acknowledged = true,
            // A refusal has no consequence, because our request has no options.
            CONFIGURE_ACK | CONFIGURE_NAK | CONFIGURE_REJECT => {}
            TERMINATE_REQUEST => {
                write_control(LCP, TERMINATE_ACK, identifier, &[], out);
                self.is_terminated = true;
            }
            ECHO_REQUEST => {
                let data = data.get(4..).unwrap_or_default();
                write_control(LCP, ECHO_REPLY, identifier, &[&NO_MAGIC, data].concat(), out);
            }
            TERMINATE_ACK | CODE_REJECT | PROTOCOL_REJECT | ECHO_REPLY | DISCARD_REQUEST => {}
            _ => {
                let identifier = self.next_identifier();
                write_control(LCP, CODE_REJECT, identifier, packet, out);
            }
        }
    }

    fn ipcp(&mut self, packet: &[u8], out: &mut Vec<u8>) {
        let Some((code, identifier, data)) = control(packet) else { return };
        match code {
            CONFIGURE_REQUEST => {
                let Some(options) = options(data) else { return };
                let unknown = concat(&options, |kind| kind != IP_ADDRESS);
                let expected = [&[IP_ADDRESS, 6], self.assigned.as_slice()].concat();
                if !unknown.is_empty() {
                    write_control(IPCP, CONFIGURE_REJECT, identifier, &unknown, out);
                } else if data != expected {
                    write_control(IPCP, CONFIGURE_NAK, identifier, &expected, out);
                } else {
                    write_control(IPCP, CONFIGURE_ACK, identifier, data, out);
                }
                if !self.is_ipcp_acknowledged {
                    let identifier = self.next_identifier();
                    let request = [&[IP_ADDRESS, 6], self.own.as_slice()].concat();
                    write_control(IPCP, CONFIGURE_REQUEST, identifier, &request, out);
                }
            }
            CONFIGURE_ACK if identifier == self.identifier => self.is_ipcp_acknowledged = true,
            TERMINATE_REQUEST => {
                write_control(IPCP, TERMINATE_ACK, identifier, &[], out);
                self.is_ipcp_acknowledged = false;
            }
            _ => {}
        }
    }

    fn next_identifier(&mut self) -> u8 {
        self.identifier = self.identifier.wrapping_add(1);
        self.identifier
    }
}

/// Returns the protocol and the packet of a frame, if its check sequence is correct.
fn checked(frame: &[u8]) -> Option<(u16, &[u8])> {
    let (contents, _) = frame.split_at_checked(frame.len().checked_sub(2)?)?;
    if check_sequence(frame) != GOOD_CHECK {
        return None;
    }
    let contents = contents.strip_prefix(&ADDRESS_AND_CONTROL)?;
    let (protocol, packet) = contents.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*protocol), packet))
}

/// The check sequence of a frame that includes its own check sequence.
const GOOD_CHECK: u16 = 0xF0B8;

/// Returns the check sequence of RFC 1662 annex C, without the final complement.
fn check_sequence(octets: &[u8]) -> u16 {
    octets.iter().fold(0xFFFF, |check, octet| {
        (0..8).fold(check ^ u16::from(*octet), |check, _| match check & 1 {
            1 => check >> 1 ^ 0x8408,
            _ => check >> 1,
        })
    })
}

/// Returns code, identifier and data of a control packet: RFC 1661 section 5.
fn control(packet: &[u8]) -> Option<(u8, u8, &[u8])> {
    let ([code, identifier, high, low], data) = packet.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    Some((*code, *identifier, data.get(..length.checked_sub(4)?)?))
}

/// Splits options: RFC 1661 section 6. Each slice is an option with its type and length.
fn options(mut data: &[u8]) -> Option<Vec<&[u8]>> {
    let mut options = Vec::new();
    while let [_, length, ..] = data {
        let (option, rest) = data.split_at_checked(usize::from(*length).max(2))?;
        options.push(option);
        data = rest;
    }
    data.is_empty().then_some(options)
}

/// Concatenates the options of these types.
fn concat(options: &[&[u8]], is_selected: impl Fn(u8) -> bool) -> Vec<u8> {
    let chosen = options.iter().filter(|option| option.first().is_some_and(|kind| is_selected(*kind)));
    chosen.flat_map(|option| option.iter().copied()).collect()
}

fn write_control(protocol: u16, code: u8, identifier: u8, data: &[u8], out: &mut Vec<u8>) {
    // A rejected packet is cut so that the reject fits the maximum receive unit.
    let data = data.get(..MAX_DATA).unwrap_or(data);
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX).saturating_add(4).to_be_bytes();
    write_frame(protocol, &[&[code, identifier], length.as_slice(), data].concat(), out);
}

/// Writes a frame. All control characters are escaped, which every peer accepts.
fn write_frame(protocol: u16, packet: &[u8], out: &mut Vec<u8>) {
    let mut frame = [&ADDRESS_AND_CONTROL, protocol.to_be_bytes().as_slice(), packet].concat();
    let check = !check_sequence(&frame);
    frame.extend(check.to_le_bytes());
    out.push(FLAG);
    for octet in frame {
        match octet {
            0..0x20 | FLAG | ESCAPE => out.extend([ESCAPE, octet ^ ESCAPE_BIT]),
            octet => out.push(octet),
        }
    }
    out.push(FLAG);
}

/// Returns the answer to an ICMP echo request (RFC 792), or `None` for any other packet.
fn echo_reply(packet: &[u8]) -> Option<Vec<u8>> {
    const ICMP: u8 = 1;
    let header_length = usize::from(packet.first()? & 0x0F).saturating_mul(4);
    let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let mut reply = packet.get(..length)?.to_vec();
    let (header, message) = reply.split_at_mut_checked(header_length)?;
    let [0x40..=0x4F, _, _, _, _, _, flags, fragment, _, ICMP, _, _, addresses @ ..] = header else {
        return None;
    };
    let ([8, 0, high, low, _, _, _, _, ..], (0 | 0x40, 0)) = (&mut *message, (*flags, *fragment)) else {
        return None;
    };
    (*high, *low) = (0, 0);
    // The sum of the header does not change: the addresses change their places.
    addresses.get_mut(..8)?.rotate_left(4);
    *message.first_mut()? = 0;
    let sum = internet_checksum(message).to_be_bytes();
    message.get_mut(2..4)?.copy_from_slice(&sum);
    Some(reply)
}

/// Returns the checksum of RFC 1071.
fn internet_checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum = words.fold(0_u32, u32::wrapping_add);
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF).wrapping_add(sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 4] = [10, 64, 1, 1];
    const ASSIGNED: [u8; 4] = [10, 64, 1, 2];

    /// RFC 1071 section 3 has the first packet with its sum, DDF2.
    #[test]
    fn the_checksum_is_that_of_the_internet_protocol() {
        assert_eq!(internet_checksum(&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]), !0xDDF2);
        assert_eq!(internet_checksum(&[0x01]), !0x0100);
        assert_eq!(internet_checksum(&[]), 0xFFFF);
    }

    fn frame(protocol: u16, packet: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(protocol, packet, &mut out);
        out
    }

    fn request(protocol: u16, code: u8, identifier: u8, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_control(protocol, code, identifier, data, &mut out);
        out
    }

    /// Returns the packets in a stream of frames.
    fn packets(octets: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let frames = octets.split(|octet| *octet == FLAG).filter(|frame| !frame.is_empty());
        frames
            .map(|frame| {
                let mut plain = Vec::new();
                let mut bit = 0;
                for octet in frame {
                    match *octet {
                        ESCAPE => bit = ESCAPE_BIT,
                        octet => plain.push(octet ^ std::mem::take(&mut bit)),
                    }
                }
                let (protocol, packet) = checked(&plain).expect("a right check sequence");
                (protocol, packet.to_vec())
            })
            .collect()
    }

    /// A link after both negotiations.
    fn connected() -> Link {
        let mut link = Link::new(OWN, ASSIGNED);
        link.receive(&request(LCP, CONFIGURE_REQUEST, 7, &[]));
        link.receive(&request(LCP, CONFIGURE_ACK, 1, &[]));
        link.receive(&request(IPCP, CONFIGURE_REQUEST, 8, &[&[3, 6][..], &ASSIGNED].concat()));
        link.receive(&request(IPCP, CONFIGURE_ACK, 2, &[&[3, 6][..], &OWN].concat()));
        link
    }

    #[test]
    fn the_check_sequence_is_that_of_the_standard() {
        // The CRC-16/X-25 of "123456789" is a widely used test vector.
        assert_eq!(!check_sequence(b"123456789"), 0x906E);
    }

    #[test]
    fn the_link_is_negotiated_and_the_peer_gets_its_address() {
        let mut link = Link::new(OWN, ASSIGNED);
        // Authentication (3) and header compression (7) are rejected.
        let options = [1, 4, 5, 0xDC, 3, 4, 0xC0, 0x23, 5, 6, 1, 2, 3, 4, 7, 2];
        let answer = link.receive(&request(LCP, CONFIGURE_REQUEST, 1, &options));
        let rejected = vec![CONFIGURE_REJECT, 1, 0, 10, 3, 4, 0xC0, 0x23, 7, 2];
        assert_eq!(packets(&answer), [(LCP, rejected), (LCP, vec![CONFIGURE_REQUEST, 1, 0, 4])]);
        let answer = link.receive(&request(LCP, CONFIGURE_REQUEST, 2, &[5, 6, 1, 2, 3, 4]));
        let acknowledged = vec![CONFIGURE_ACK, 2, 0, 10, 5, 6, 1, 2, 3, 4];
        assert_eq!(packets(&answer), [(LCP, acknowledged), (LCP, vec![CONFIGURE_REQUEST, 2, 0, 4])]);
        assert!(link.receive(&request(IPCP, CONFIGURE_REQUEST, 3, &[])).is_empty(), "too early");
        assert!(link.receive(&request(LCP, CONFIGURE_ACK, 2, &[])).is_empty());

        let answer = link.receive(&request(IPCP, CONFIGURE_REQUEST, 3, &[3, 6, 0, 0, 0, 0]));
        let other = vec![CONFIGURE_NAK, 3, 0, 10, 3, 6, 10, 64, 1, 2];
        let own = vec![CONFIGURE_REQUEST, 3, 0, 10, 3, 6, 10, 64, 1, 1];
        assert_eq!(packets(&answer), [(IPCP, other), (IPCP, own)]);
        let answer = link.receive(&request(IPCP, CONFIGURE_REQUEST, 4, &[129, 6, 0, 0, 0, 0]));
        assert_eq!(packets(&answer)[0].1, [CONFIGURE_REJECT, 4, 0, 10, 129, 6, 0, 0, 0, 0]);

        // An acknowledgement of the first request does not acknowledge the second one.
        let own = [&[3, 6][..], &OWN].concat();
        assert!(link.receive(&request(IPCP, CONFIGURE_ACK, 3, &own)).is_empty());
        let right = request(IPCP, CONFIGURE_REQUEST, 5, &[&[3, 6][..], &ASSIGNED].concat());
        assert_eq!(packets(&link.receive(&right)).len(), 2, "the request of the link is repeated");
        assert!(link.receive(&request(IPCP, CONFIGURE_ACK, 5, &own)).is_empty());
        assert_eq!(packets(&link.receive(&right)).len(), 1);
    }

    #[test]
    fn every_address_answers_a_ping() {
        let mut link = connected();
        let header = [0x45, 0, 0, 32, 0, 1, 0x40, 0, 64, 1, 0xAB, 0xCD, 10, 64, 1, 2, 192, 0, 2, 9];
        let ping = [8, 0, 0x12, 0x34, 0, 5, 0, 1, b'a', b'b', 0x7E, 0x03];
        let answer = link.receive(&frame(IPV4, &[&header[..], &ping].concat()));
        let (protocol, reply) = packets(&answer).remove(0);
        assert_eq!(protocol, IPV4);
        assert_eq!(reply[..12], header[..12]);
        assert_eq!(reply[12..20], [192, 0, 2, 9, 10, 64, 1, 2]);
        assert_eq!((&reply[20..22], &reply[24..]), ([0, 0].as_slice(), &ping[4..]));
        assert_eq!(internet_checksum(&reply[20..]), 0);
        for (at, octet) in [(0, 0x60), (6, 0x20), (9, 17), (20, 0), (3, 200)] {
            let mut other = [&header[..], &ping].concat();
            other[at] = octet;
            assert!(link.receive(&frame(IPV4, &other)).is_empty(), "octet {at}");
        }
    }

    #[test]
    fn control_packets_are_answered_and_damaged_frames_ignored() {
        let mut link = connected();
        let echo = request(LCP, ECHO_REQUEST, 9, &[1, 2, 3, 4, b'x']);
        assert_eq!(packets(&link.receive(&echo)), [(LCP, vec![ECHO_REPLY, 9, 0, 9, 0, 0, 0, 0, b'x'])]);
        assert_eq!(packets(&link.receive(&frame(0x80FD, &[1, 1, 0, 4])))[0].1[..2], [PROTOCOL_REJECT, 3]);
        assert_eq!(packets(&link.receive(&frame(0x80FD, &[b'x'; MAX_RECEIVE_UNIT]))).len(), 1);
        assert!(link.receive(&frame(0x80FD, &[b'x'; MAX_RECEIVE_UNIT + 9])).is_empty(), "too long");
        assert_eq!(packets(&link.receive(&request(LCP, 99, 1, &[])))[0].1[0], CODE_REJECT);
        let mut damaged = echo.clone();
        damaged[8] ^= 1;
        assert!(link.receive(&damaged).is_empty());
        assert!(
            link.receive(&[&[FLAG][..], &vec![b'x'; 100_000], &[FLAG, 1, ESCAPE, FLAG, FLAG]].concat())
                .is_empty()
        );
        for malformed in [&[1, 1, 0, 200][..], &[1], &[1, 1, 0, 2], &[1, 1, 0, 7, 1, 9, 0]] {
            assert!(link.receive(&frame(LCP, malformed)).is_empty(), "{malformed:?}");
        }
        for answer in [
            CONFIGURE_ACK,
            CONFIGURE_NAK,
            CONFIGURE_REJECT,
            TERMINATE_ACK,
            CODE_REJECT,
            PROTOCOL_REJECT,
            ECHO_REPLY,
            DISCARD_REQUEST,
        ] {
            assert!(link.receive(&request(LCP, answer, 99, &[0; 4])).is_empty(), "{answer}");
        }
        assert_eq!(
            packets(&link.receive(&request(IPCP, TERMINATE_REQUEST, 3, &[]))),
            [(IPCP, vec![TERMINATE_ACK, 3, 0, 4])]
        );
        assert!(!link.is_terminated());
        assert_eq!(
            packets(&link.receive(&request(LCP, TERMINATE_REQUEST, 4, &[])))[0].1[..2],
            [TERMINATE_ACK, 4]
        );
        assert!(link.is_terminated());
    }
}
