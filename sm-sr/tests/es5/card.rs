//! A simulated card, written directly from TS 102 225 and TS 102 226: it parses packets octet by
//! octet and shares only the cryptography of `crypto` with the engine, so that the engine's
//! messages are checked against an independent implementation.

use std::collections::BTreeMap;

pub(crate) const KIC: [u8; 16] = [0x11; 16];
pub(crate) const KID: [u8; 16] = [0x22; 16];
pub(crate) const EID: &str = "89049032123451234512345123451235";
const ISD_R: &str = "a0000005591010ffffffff8900000100";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Disabled,
    Enabled,
}

pub(crate) struct Card {
    /// Highest accepted counter.
    pub(crate) counter: u64,
    pub(crate) isd_ps: BTreeMap<String, State>,
    /// Executed C-APDUs with their target (AID or TAR).
    pub(crate) executed: Vec<(String, String)>,
    /// Unencrypted part of every command packet: SPI, KIc, KID, TAR.
    pub(crate) headers: Vec<String>,
    /// Number of received triggers.
    pub(crate) triggers: u32,
    /// Status word for unknown commands.
    pub(crate) default_status: u16,
    /// Minimum length of response data. Shorter data is padded.
    pub(crate) long_answers: usize,
    parts: BTreeMap<u8, (u8, BTreeMap<u8, Vec<u8>>)>,
}

/// Response of a card to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CardResponse {
    Nothing,
    /// Response in the delivery report.
    Report(Vec<u8>),
    /// Response in separate messages.
    Submit(Vec<Vec<u8>>),
}

pub(crate) fn isd_p(number: u16) -> String {
    format!("a0000005591010ffffffff8900{number:04x}00")
}

impl Card {
    pub(crate) fn new() -> Self {
        Self {
            counter: 0,
            isd_ps: [(isd_p(0x10), State::Enabled), (isd_p(0x11), State::Disabled)].into(),
            executed: Vec::new(),
            headers: Vec::new(),
            triggers: 0,
            default_status: 0x9000,
            long_answers: 0,
            parts: BTreeMap::new(),
        }
    }

    pub(crate) fn executed_apdus(&self) -> Vec<&str> {
        self.executed.iter().map(|(_, apdu)| apdu.as_str()).collect()
    }

    /// Receives the TP-UD of a message with a header.
    pub(crate) fn receive(&mut self, user_data: &[u8]) -> CardResponse {
        assert!(user_data.len() <= 140, "TP-UD of {}", user_data.len());
        let (header, data) = user_data[1..].split_at(usize::from(user_data[0]));
        let (mut is_packet, mut part, mut rest) = (false, None, header);
        while let [identifier, length, tail @ ..] = rest {
            let (value, next) = tail.split_at(usize::from(*length));
            match identifier {
                0x70 => is_packet = true,
                0x00 => part = Some((value[0], value[1], value[2])),
                other => panic!("information element {other:02X}"),
            }
            rest = next;
        }
        let Some((reference, total, number)) = part else {
            assert!(is_packet);
            return self.packet(data);
        };
        assert_eq!(is_packet, number == 1, "only the first part has the packet header");
        let (_, parts) = self.parts.entry(reference).or_insert((total, BTreeMap::new()));
        parts.insert(number, data.to_vec());
        if parts.len() < usize::from(total) {
            return CardResponse::Nothing;
        }
        let (_, parts) = self.parts.remove(&reference).unwrap();
        self.packet(&parts.into_values().collect::<Vec<_>>().concat())
    }

    fn packet(&mut self, packet: &[u8]) -> CardResponse {
        let length = usize::from(u16::from_be_bytes([packet[0], packet[1]]));
        assert_eq!(length, packet.len() - 2, "CPL");
        assert_eq!(packet[2], 21, "CHL: with a checksum of 8 octets");
        let spi = [packet[3], packet[4]];
        self.headers.push(hex::encode(&packet[3..10]));
        assert_eq!(spi[0], 0x16, "CC, ciphered, counter higher");
        let tar = hex::encode(&packet[7..10]);
        let body = crypto::scp80::decrypt(&KIC, &packet[10..]).expect("whole blocks");
        let (counter, padding) = (&body[..5], usize::from(body[5]));
        let (check, padded) = (&body[6..14], &body[14..]);
        let expected = crypto::scp80::mac(&KID, &[&packet[..10], &body[..6], padded]);
        assert_eq!(expected, check, "CC");
        assert!(padding < 16 && padded[padded.len() - padding..].iter().all(|octet| *octet == 0));
        let data = &padded[..padded.len() - padding];
        let number = counter.iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
        let (status, answer) = if number <= self.counter {
            (0x02, Vec::new())
        } else {
            self.counter = number;
            if data[0] == 0x81 {
                self.triggers += 1;
                (0x00, Vec::new())
            } else {
                (0x00, self.script(data, &tar))
            }
        };
        if spi[1] & 0x03 == 0 {
            return CardResponse::Nothing;
        }
        let answer = response(&packet[7..10], counter, status, &answer);
        if spi[1] & 0x20 != 0 {
            CardResponse::Submit(segments(0x71, &answer, counter[4]))
        } else {
            CardResponse::Report(segments(0x71, &answer, counter[4]).concat())
        }
    }

    /// Executes a script in expanded format; AA is answered by AB, AE by AF.
    pub(crate) fn script(&mut self, script: &[u8], target: &str) -> Vec<u8> {
        let indefinite = script[0] == 0xAE;
        let contents = if indefinite {
            assert_eq!(script[1], 0x80);
            assert_eq!(script[script.len() - 2..], [0, 0]);
            &script[2..script.len() - 2]
        } else {
            assert_eq!(script[0], 0xAA);
            let (contents, rest) = value(&script[1..]);
            assert!(rest.is_empty());
            contents
        };
        let mut answers = Vec::new();
        let mut count = 0;
        let mut rest = contents;
        while let [tag, tail @ ..] = rest {
            let (command, next) = value(tail);
            rest = next;
            if *tag == 0x83 {
                // Script chaining: this card accepts any order.
                continue;
            }
            assert_eq!(*tag, 0x22, "C-APDU");
            self.executed.push((target.to_owned(), hex::encode(command)));
            count += 1;
            let (mut data, status) = self.apdu(command);
            data.resize(data.len().max(self.long_answers), 0xDD);
            let answer = [data, u16::to_be_bytes(status).to_vec()].concat();
            answers.push(0x23);
            answers.extend(length(answer.len()));
            answers.extend(answer);
            if status != 0x9000 {
                break;
            }
        }
        let contents = [vec![0x80, 1, count], answers].concat();
        if indefinite {
            [vec![0xAF, 0x80], contents, vec![0, 0]].concat()
        } else {
            [vec![0xAB], length(contents.len()), contents].concat()
        }
    }

    fn apdu(&mut self, apdu: &[u8]) -> (Vec<u8>, u16) {
        let data = &apdu[5..5 + usize::from(*apdu.get(4).unwrap_or(&0))];
        let aid = |from: usize| hex::encode(&data[from..from + 16]);
        match (apdu[1], data.get(..2)) {
            (0xE2, Some([0x3A, 0x03])) => {
                (Vec::new(), self.change_state(&aid(5), State::Disabled, State::Enabled))
            }
            (0xE2, Some([0x3A, 0x04])) => {
                (Vec::new(), self.change_state(&aid(5), State::Enabled, State::Disabled))
            }
            (0xE4, Some([0x4F, _])) => match self.isd_ps.remove(&aid(2)) {
                Some(_) => (Vec::new(), 0x9000),
                None => (Vec::new(), 0x6A88),
            },
            (0xE6, _) => match self.isd_ps.insert(aid(35), State::Created) {
                None => (Vec::new(), 0x9000),
                Some(_) => (Vec::new(), 0x6985),
            },
            (0xF2, Some([0x4F, 0x10])) => match self.isd_ps.get(&aid(2)) {
                Some(state) => (status_of(&data[2..18], *state), 0x9000),
                None => (Vec::new(), 0x6A88),
            },
            _ => (Vec::new(), self.default_status),
        }
    }

    fn change_state(&mut self, aid: &str, from: State, to: State) -> u16 {
        match self.isd_ps.get(aid) {
            None => 0x6A88,
            Some(state) if *state != from => 0x6985,
            Some(_) => {
                if to == State::Enabled {
                    self.isd_ps.values_mut().filter(|state| **state == to).for_each(|state| *state = from);
                }
                self.isd_ps.insert(aid.to_owned(), to);
                0x9000
            }
        }
    }
}

fn status_of(aid: &[u8], state: State) -> Vec<u8> {
    let state = match state {
        State::Created => 0x07,
        State::Disabled => 0x1F,
        State::Enabled => 0x3F,
    };
    let inner = [&[0x4F, 16], aid, &[0x9F, 0x70, 1, state]].concat();
    [vec![0xE3, u8::try_from(inner.len()).unwrap()], inner].concat()
}

/// Returns a response packet, starting with RPL.
pub(crate) fn response(tar: &[u8], counter: &[u8], status: u8, data: &[u8]) -> Vec<u8> {
    let unpadded = 5 + 1 + 1 + 8 + data.len();
    let padding = (16 - unpadded % 16) % 16;
    let padded = [data, &vec![0; padding]].concat();
    let rpl = u16::try_from(1 + 3 + unpadded + padding).unwrap().to_be_bytes();
    let clear = [&rpl[..], &[18], tar].concat();
    let known = [counter, &[u8::try_from(padding).unwrap(), status]].concat();
    let check = crypto::scp80::mac(&KID, &[&[0x02, 0x71, 0x00], &clear, &known, &padded]);
    [clear, crypto::scp80::encrypt(&KIC, &[known, check.to_vec(), padded].concat()).unwrap()].concat()
}

/// Returns a command packet of the card, starting with CPL, without a counter.
pub(crate) fn command(spi: [u8; 2], data: &[u8]) -> Vec<u8> {
    let ciphered = spi[0] & 0x04 != 0;
    let unpadded = 6 + 8 + data.len();
    let padding = if ciphered { (16 - unpadded % 16) % 16 } else { 0 };
    let padded = [data, &vec![0; padding]].concat();
    let cpl = u16::try_from(1 + 7 + unpadded + padding).unwrap().to_be_bytes();
    let clear = [&cpl[..], &[21], &spi, &[0x12, 0x12, 0, 0, 1]].concat();
    let counters = [0, 0, 0, 0, 0, u8::try_from(padding).unwrap()];
    let check = crypto::scp80::mac(&KID, &[&clear, &counters, &padded]);
    let body = [&counters[..], &check, &padded].concat();
    [clear, if ciphered { crypto::scp80::encrypt(&KIC, &body).unwrap() } else { body }].concat()
}

/// Returns the TP-UDs that contain a packet.
pub(crate) fn segments(identifier: u8, packet: &[u8], reference: u8) -> Vec<Vec<u8>> {
    if packet.len() <= 137 {
        return vec![[&[2, identifier, 0], packet].concat()];
    }
    let (first, rest) = packet.split_at(132);
    let rest: Vec<&[u8]> = rest.chunks(134).collect();
    let total = u8::try_from(rest.len() + 1).unwrap();
    let mut parts = vec![[&[7, 0, 3, reference, total, 1, identifier, 0], first].concat()];
    for (part, number) in rest.into_iter().zip(2..) {
        parts.push([&[5, 0, 3, reference, total, number], part].concat());
    }
    parts
}

/// Returns the octets of a default notification (tag E1) of this card.
pub(crate) fn notification(kind: u8, number: u16, eid: &str) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let inner = [
        [vec![0x4C, 16], hex::decode(eid).unwrap()].concat(),
        vec![0x4D, 1, kind, 0x4E, 2, high, low, 0x2F, 16],
        hex::decode(isd_p(0x11)).unwrap(),
    ]
    .concat();
    [vec![0xE1, u8::try_from(inner.len()).unwrap()], inner].concat()
}

/// Returns the target named in the headers of a session; the ISD-R if there is none.
pub(crate) fn target(header: Option<&str>) -> String {
    header.map_or(ISD_R.to_owned(), |path| {
        path.strip_prefix("//aid/").unwrap().replace('/', "").to_ascii_lowercase()
    })
}

/// Splits a length-prefixed value from the octets after it.
fn value(octets: &[u8]) -> (&[u8], &[u8]) {
    match octets {
        [0x81, length, rest @ ..] => rest.split_at(usize::from(*length)),
        [0x82, high, low, rest @ ..] => rest.split_at(usize::from(u16::from_be_bytes([*high, *low]))),
        [length, rest @ ..] => rest.split_at(usize::from(*length)),
        [] => panic!("no length"),
    }
}

fn length(length: usize) -> Vec<u8> {
    match length {
        0..0x80 => vec![length as u8],
        0x80..0x100 => vec![0x81, length as u8],
        _ => [&[0x82], &u16::try_from(length).unwrap().to_be_bytes()[..]].concat(),
    }
}
