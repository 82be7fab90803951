//! Conversion of the short messages of `world` to TPDUs of 3GPP TS 23.040 and back; text in the
//! alphabets of TS 23.038.

use rsp::ota::sms::{
    Address, MAX_USER_DATA, SmsDeliver, SmsDeliverReport, SmsSubmit, UserData, alphabet, counts_septets,
    is_ucs2,
};
use rsp::time::Timestamp;
use world::{PhoneNumber, ShortMessage};

/// Encodes a message as SMS-DELIVER.
///
/// # Errors
/// The message cannot be encoded; the error text gives the reason.
pub(super) fn deliver(message: &ShortMessage, now: Timestamp) -> Result<Vec<u8>, String> {
    let originator = address(&message.from)
        .ok_or_else(|| format!("{:?} is not a valid address (TS 23.040)", message.from))?;
    let user_data = UserData::parse(&message.user_data, message.has_header)
        .map_err(|error| format!("invalid user data header: {error}"))?;
    let user_data = if counts_septets(message.data_coding) { packed(user_data) } else { user_data };
    let deliver = SmsDeliver {
        more_messages: false,
        originator,
        pid: message.protocol_identifier,
        dcs: message.data_coding,
        timestamp: time_stamp(now),
        user_data,
    };
    Ok(deliver.to_bytes())
}

/// Decodes a device's SMS-SUBMIT.
///
/// # Errors
/// The TPDU is malformed; the error text gives the reason.
pub(super) fn submitted(tpdu: &[u8], from: PhoneNumber) -> Result<ShortMessage, String> {
    let submit = SmsSubmit::parse(tpdu).map_err(|error| error.to_string())?;
    let to = number(&submit.destination).ok_or("the destination is not a valid number")?;
    let has_header = !submit.user_data.header.is_empty();
    let user_data = unpacked(submit.user_data);
    Ok(ShortMessage {
        from,
        to,
        protocol_identifier: submit.pid,
        data_coding: submit.dcs,
        has_header,
        user_data,
    })
}

/// Returns the SMS-SUBMIT-REPORT for RP-ACK: section 9.2.2.2a.
pub(super) fn submit_report(now: Timestamp) -> Vec<u8> {
    [&[0x01, 0x00], time_stamp(now).as_slice()].concat()
}

/// Decodes an SMS-DELIVER-REPORT: the cause of a refusal and the user data of the card.
pub(super) fn delivery_report(tpdu: &[u8]) -> (Option<u8>, Option<UserData>) {
    match SmsDeliverReport::parse(tpdu) {
        Ok(report) => (report.failure_cause, report.user_data),
        Err(_) => (None, None),
    }
}

/// TP-SCTS: section 9.2.3.11, in UTC.
fn time_stamp(now: Timestamp) -> [u8; 7] {
    let text = Timestamp::from_seconds(now.seconds()).to_string();
    let digits: Vec<u8> =
        text.bytes().filter(u8::is_ascii_digit).skip(2).map(|digit| digit.saturating_sub(b'0')).collect();
    let mut stamp = [0; 7];
    for (octet, pair) in stamp.iter_mut().zip(digits.chunks_exact(2)).take(6) {
        if let [tens, units] = pair {
            *octet = units << 4 | tens;
        }
    }
    stamp
}

/// Converts a number to an address of TS 23.040. Returns `None` if it does not fit.
pub fn address(number: &PhoneNumber) -> Option<Address> {
    let type_of_address = 0x80 | number.ton() << 4 | number.npi();
    if number.ton() != ALPHANUMERIC {
        return Address::new(type_of_address, number.digits());
    }
    let characters = number.digits().as_bytes();
    let septets = pack(characters, 0);
    let semi_octets: String =
        septets.iter().map(|octet| format!("{:x}{:x}", octet & 0x0F, octet >> 4)).collect();
    let used = characters.len().saturating_mul(7).div_ceil(4);
    Address::new(type_of_address, semi_octets.get(..used).unwrap_or(&semi_octets))
}

/// Converts an address of TS 23.040 to a number.
pub fn number(address: &Address) -> Option<PhoneNumber> {
    if address.ton() != ALPHANUMERIC {
        return PhoneNumber::new(address.ton(), address.npi(), address.digits()).ok();
    }
    let value = address.value();
    let octets = value.get(1..)?;
    let characters = address.digits().len().saturating_mul(4) / 7;
    let text = String::from_utf8(unpack(octets, 0, characters)).ok()?;
    PhoneNumber::new(address.ton(), address.npi(), text).ok()
}

const ALPHANUMERIC: u8 = 5;

/// Packs characters, one per octet, as septets after the header: section 9.2.3.24, figure 9.2.3.24
/// (a).
fn packed(user_data: UserData) -> UserData {
    let header = header_octets(&user_data);
    let septets_before = header.saturating_mul(8).div_ceil(7);
    let fill = septets_before.saturating_mul(7).saturating_sub(header.saturating_mul(8));
    let septets = septets_before.saturating_add(user_data.octets.len());
    let octets = pack(&user_data.octets, fill);
    UserData { octets, septets: u8::try_from(septets).ok(), ..user_data }
}

/// Returns the text of a message with this TP-DCS. 8-bit data are read as UTF-8.
pub fn text(user_data: &UserData, dcs: u8) -> String {
    match user_data.septets {
        Some(_) => {
            let characters = unpacked(user_data.clone()).split_off(header_octets(user_data));
            alphabet::from_septets(&characters)
        }
        None if is_ucs2(dcs) => {
            let units = user_data.octets.chunks_exact(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        None => String::from_utf8_lossy(&user_data.octets).into_owned(),
    }
}

/// TP-DCS: text in UCS2 without a class.
const UCS2: u8 = 0x08;

/// Encodes text as the user data of one message, with its TP-DCS: in the 7-bit alphabet if that has
/// all characters, and otherwise in UCS2. Returns `None` if the text is too long for one message.
pub fn user_data_of_text(text: &str) -> Option<(u8, UserData)> {
    let (dcs, user_data) = match alphabet::to_septets(text) {
        Some(characters) => (0, packed(UserData::plain(characters))),
        None => (UCS2, UserData::plain(text.encode_utf16().flat_map(u16::to_be_bytes).collect())),
    };
    let fits = user_data.octets.len() <= MAX_USER_DATA && (dcs == UCS2 || user_data.septets.is_some());
    fits.then_some((dcs, user_data))
}

/// Returns the user data in the form of `world`'s short messages: the header, then octets or
/// characters.
fn unpacked(user_data: UserData) -> Vec<u8> {
    let Some(septets) = user_data.septets else { return user_data.to_bytes() };
    let header = header_octets(&user_data);
    let septets_before = header.saturating_mul(8).div_ceil(7);
    let fill = septets_before.saturating_mul(7).saturating_sub(header.saturating_mul(8));
    let characters = usize::from(septets).saturating_sub(septets_before);
    let text = unpack(&user_data.octets, fill, characters);
    let whole = UserData { octets: text, ..user_data };
    whole.to_bytes()
}

fn header_octets(user_data: &UserData) -> usize {
    if user_data.header.is_empty() {
        return 0;
    }
    let elements = user_data.header.iter().map(|element| element.data.len().saturating_add(2));
    elements.sum::<usize>().saturating_add(1)
}

/// Packs seven bits of each character, the first in the low bits, after `fill` fill bits: TS 23.038
/// section 6.1.2.1.
fn pack(characters: &[u8], fill: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let (mut pending, mut bits) = (0_u16, fill);
    for character in characters {
        pending |= u16::from(character & 0x7F) << bits;
        bits = bits.saturating_add(7);
        if bits >= 8 {
            packed.push(pending.to_le_bytes()[0]);
            pending >>= 8;
            bits = bits.saturating_sub(8);
        }
    }
    if bits > 0 && !characters.is_empty() {
        packed.push(pending.to_le_bytes()[0]);
    }
    packed
}

fn unpack(octets: &[u8], fill: usize, characters: usize) -> Vec<u8> {
    let bit = |at: usize| octets.get(at / 8).map(|octet| octet >> (at % 8) & 1);
    (0..characters)
        .map_while(|index| {
            let start = fill.saturating_add(index.saturating_mul(7));
            (0..7)
                .try_fold(0_u8, |character, at: usize| Some(character | bit(start.saturating_add(at))? << at))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number_of(text: &str) -> PhoneNumber {
        text.parse().unwrap()
    }

    #[test]
    fn text_is_packed_into_septets() {
        // "hellohello" is a widely used test vector for this encoding.
        assert_eq!(hex::encode(pack(b"hellohello", 0)), "e8329bfd4697d9ec37");
        assert_eq!(unpack(&hex::decode("e8329bfd4697d9ec37").unwrap(), 0, 10), b"hellohello");
        for length in 0..20 {
            for fill in 0..7 {
                let text: Vec<u8> = (0..length).map(|at| b'a' + at).collect();
                assert_eq!(unpack(&pack(&text, fill), fill, text.len()), text, "{length} {fill}");
            }
        }
    }

    #[test]
    fn an_alphanumeric_sender_round_trips() {
        for text in ["A", "Design", "Landfall", "Bank 24", "SM-SR 1"] {
            let sender = PhoneNumber::new(5, 0, text).unwrap();
            assert_eq!(number(&super::address(&sender).unwrap()), Some(sender), "{text}");
        }
    }

    #[test]
    fn a_message_to_a_card_is_encoded_as_sms_deliver() {
        let packet = hex::decode("027000000F0D0001000000000100000000000000").unwrap();
        let message = ShortMessage::to_card(number_of("+491234"), number_of("+4915"), packet.clone());
        let now = "2026-11-22T11:12:13Z".parse().unwrap();
        let tpdu = deliver(&message, now).unwrap();
        assert_eq!(
            hex::encode_upper(&tpdu),
            format!("4406919421437FF662112211213100{:02X}{}", packet.len(), hex::encode_upper(&packet))
        );
        let broken = ShortMessage { user_data: vec![9, 0x70], ..message };
        assert!(deliver(&broken, now).unwrap_err().contains("header"));
    }

    #[test]
    fn text_with_a_header_round_trips() {
        let header = [5, 0, 3, 7, 2, 1];
        let message = ShortMessage {
            from: number_of("+491"),
            to: number_of("+492"),
            protocol_identifier: 0,
            data_coding: 0,
            has_header: true,
            user_data: [header.as_slice(), b"one of two"].concat(),
        };
        let tpdu = deliver(&message, Timestamp(0)).unwrap();
        let read = SmsDeliver::parse(&tpdu).unwrap();
        assert_eq!(text(&read.user_data, read.dcs), "one of two");
        assert_eq!(text(&UserData::plain(b"plain".to_vec()), 0xF6), "plain");
        assert_eq!(read.user_data.septets, Some(17), "six octets of header occupy seven septets");
        let submit = SmsSubmit {
            reject_duplicates: false,
            status_report_request: false,
            message_reference: 1,
            destination: address(&message.to).unwrap(),
            pid: 0,
            dcs: 0,
            validity: None,
            user_data: read.user_data,
        };
        assert_eq!(submitted(&submit.to_bytes(), number_of("+491")), Ok(message));
    }

    #[test]
    fn text_is_encoded_in_the_smallest_alphabet_that_has_its_characters() {
        for (characters, expected, octets) in
            [("Grüße @ 5 €", 0, 11), ("日本", UCS2, 4), ("Žižkov", UCS2, 12), ("", 0, 0)]
        {
            let (dcs, user_data) = user_data_of_text(characters).unwrap();
            assert_eq!((dcs, user_data.octets.len()), (expected, octets), "{characters}");
            assert_eq!(text(&user_data, dcs), characters);
        }
        assert!(user_data_of_text(&"x".repeat(160)).is_some());
        assert_eq!(user_data_of_text(&"x".repeat(161)), None);
        assert_eq!(user_data_of_text(&"x".repeat(300)), None);
        assert!(user_data_of_text(&"č".repeat(70)).is_some());
        assert_eq!(user_data_of_text(&"č".repeat(71)), None);
    }
}
