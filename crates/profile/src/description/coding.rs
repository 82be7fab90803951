//! Encoding and decoding of file contents (TS 31.102 section 4.2).

use rsp::der::{Reader, Tag, write_tlv};

use super::{SuciKey, SuciProfile};
use crate::Octets;
use crate::usim::DEFAULT_ALPHABET;

/// The digits with each pair swapped, padded with F.
pub(super) fn swapped(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().map(|digit| digit.wrapping_sub(b'0') & 0x0F).collect();
    digits.chunks(2).map(|pair| pair.get(1).unwrap_or(&0x0F) << 4 | pair.first().unwrap_or(&0x0F)).collect()
}

fn unswapped(octets: &[u8]) -> Option<String> {
    let text: String = octets.iter().map(|octet| format!("{:02x}", octet.rotate_left(4))).collect();
    let digits = text.trim_end_matches('f');
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.to_owned())
}

/// The number in EF.MSISDN and EF.SMSP: length, type of number, and ten bytes of digits.
pub(super) fn number(digits: &str) -> Vec<u8> {
    let digits = swapped(digits);
    let mut octets = vec![u8::try_from(digits.len() + 1).unwrap_or_default(), 0x91];
    octets.extend(digits);
    octets.resize(12, 0xFF);
    octets
}

pub(super) fn number_of(octets: &[u8]) -> Option<String> {
    let (&length, rest) = octets.get(..12)?.split_first()?;
    let (&0x91, digits) = rest.split_first()? else { return None };
    let found = unswapped(digits.get(..usize::from(length).checked_sub(1)?)?)?;
    (!found.is_empty() && number(&found) == octets.get(..12)?).then_some(found)
}

/// A service table with these services, numbered from 1, in as many bytes as needed.
pub(super) fn services(numbers: &[u8]) -> Vec<u8> {
    let mut table = Vec::new();
    for bit in numbers.iter().filter_map(|number| number.checked_sub(1)) {
        let place = usize::from(bit / 8);
        if table.len() <= place {
            table.resize(place + 1, 0);
        }
        if let Some(octet) = table.get_mut(place) {
            *octet |= 1 << (bit % 8);
        }
    }
    table
}

pub(super) fn services_of(table: &[u8]) -> Vec<u8> {
    let set = |number: &u8| {
        let bit = number - 1;
        table.get(usize::from(bit / 8)).is_some_and(|octet| octet >> (bit % 8) & 1 == 1)
    };
    (1..=u8::MAX).filter(set).collect()
}

/// EF.ACC: TS 31.102 section 4.2.15.
pub(super) fn access_classes(classes: &[u8]) -> [u8; 2] {
    classes
        .iter()
        .fold(0u16, |bits, class| bits | 1u16.checked_shl((*class).into()).unwrap_or_default())
        .to_be_bytes()
}

/// A name in the default alphabet, or in UCS2 (TS 102 221 annex A).
pub(super) fn name(text: &str) -> Vec<u8> {
    // The table contains two blanks, because it shows the escape character as a blank too. The last
    // one is the real blank.
    let place = |letter| {
        let places = DEFAULT_ALPHABET.chars().enumerate().filter(|(_, known)| *known == letter);
        places.last().map(|(place, _)| place)
    };
    let plain: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(place(letter)?).ok()).collect();
    plain.unwrap_or_else(|| {
        std::iter::once(0x80).chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect()
    })
}

pub(super) fn name_of(octets: &[u8]) -> Option<String> {
    let used = octets.len() - octets.iter().rev().take_while(|octet| **octet == 0xFF).count();
    let octets = octets.get(..used)?;
    let text = match octets.split_first() {
        Some((0x80, rest)) => {
            let units: Vec<u16> =
                rest.chunks_exact(2).map(|pair| pair.iter().fold(0, |n, o| n << 8 | u16::from(*o))).collect();
            String::from_utf16(&units).ok()?
        }
        _ => {
            octets.iter().map(|octet| DEFAULT_ALPHABET.chars().nth((*octet).into())).collect::<Option<_>>()?
        }
    };
    (name(&text) == octets).then_some(text)
}

/// EF.SUCI_Calc_Info: keys in the order of preference, then the null scheme.
pub(super) fn suci(keys: &[SuciKey]) -> Vec<u8> {
    let mut schemes = Vec::new();
    let mut list = Vec::new();
    for (index, key) in (1u8..).zip(keys) {
        schemes.extend([
            match key.profile {
                SuciProfile::A => 1,
                SuciProfile::B => 2,
            },
            index,
        ]);
        write_tlv(Tag(0x80), &[key.id], &mut list);
        write_tlv(Tag(0x81), &key.key, &mut list);
    }
    schemes.extend([0, 0]);
    let mut out = Vec::new();
    write_tlv(Tag(0xA0), &schemes, &mut out);
    if !keys.is_empty() {
        write_tlv(Tag(0xA1), &list, &mut out);
    }
    out
}

pub(super) fn suci_of(content: &[u8]) -> Option<Vec<SuciKey>> {
    let mut reader = Reader::new(content);
    let schemes = reader.contents(Tag(0xA0)).ok()?.to_vec();
    let (pairs, []) = schemes.as_chunks::<2>() else { return None };
    let mut keys = Vec::new();
    if let Ok(Some(Tag(0xA1))) = reader.peek() {
        let mut list = Reader::new(reader.contents(Tag(0xA1)).ok()?);
        while !list.is_empty() {
            let &[id] = list.contents(Tag(0x80)).ok()? else { return None };
            keys.push((id, Octets::from(list.contents(Tag(0x81)).ok()?)));
        }
    }
    let keys = pairs.iter().filter(|pair| **pair != [0, 0]).zip(keys).map(|([scheme, _], (id, key))| {
        let profile = match scheme {
            1 => SuciProfile::A,
            2 => SuciProfile::B,
            _ => return None,
        };
        Some(SuciKey { id, profile, key })
    });
    let keys = keys.collect::<Option<Vec<_>>>()?;
    content.starts_with(&suci(&keys)).then_some(keys)
}

/// A text in tag 80, as in the ISIM and EF.SUPI_NAI.
pub(super) fn tagged(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_tlv(Tag(0x80), text.as_bytes(), &mut out);
    out
}

pub(super) fn tagged_of(octets: &[u8]) -> Option<String> {
    let text = Reader::new(octets).contents(Tag(0x80)).ok()?;
    let text = String::from_utf8(text.to_vec()).ok().filter(|text| !text.is_empty())?;
    octets.starts_with(&tagged(&text)).then_some(text)
}

/// EF.Routing_Indicator: up to four digits, then two reserved bytes.
pub(super) fn routing_indicator(digits: &str) -> Vec<u8> {
    let mut octets = swapped(digits);
    octets.resize(2, 0xFF);
    octets
}

pub(super) fn routing_indicator_of(octets: &[u8]) -> Option<String> {
    unswapped(octets.get(..2)?).filter(|digits| !digits.is_empty())
}
