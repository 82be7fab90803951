//! Readable file contents: TS 31.102 section 4.2, TS 31.103 section 4.2, TS 102 221 section 13.

use rsp::der::{Reader, Tag, tlv};
use rsp::ids::{Iccid, Imsi, Plmn};

use crate::check::{ISIM_SERVICES, USIM_SERVICES};
use crate::files::{FileIndex, FileKind, ProfileFiles};
use crate::identities::{Identities, is_table};
use crate::octets::Fid;
use crate::usim::{self, SuciCalcInfo};

/// The meaning of a file's contents, as lines of text. Empty if the meaning is unknown or the file
/// has no contents.
pub fn decoded(files: &ProfileFiles, index: FileIndex) -> Vec<String> {
    let Some(content) = files.content(index) else { return Vec::new() };
    if is_table(files, index) {
        let identities = Identities::decode(content).unwrap_or_default();
        return identities.0.iter().map(ToString::to_string).collect();
    }
    let Some(meaning) = meaning_of(files, index) else { return Vec::new() };
    let records: Vec<&[u8]> = match files.file(index).and_then(|file| file.kind.record_length()) {
        Some(length) => content.chunks(length.max(1)).collect(),
        None => vec![content],
    };
    let is_one = records.len() == 1;
    let written = (1..).zip(records).filter(|(_, record)| record.iter().any(|octet| *octet != 0xFF));
    let lines = written.filter_map(|(number, record)| {
        let line = meaning(record).filter(|line| !line.is_empty())?;
        Some(if is_one { line } else { format!("{number}: {line}") })
    });
    lines.collect()
}

type Meaning = fn(&[u8]) -> Option<String>;

fn meaning_of(files: &ProfileFiles, index: FileIndex) -> Option<Meaning> {
    let file = files.file(index)?;
    let parent = files.file(file.parent?)?;
    let application = |code: &[u8]| match &parent.kind {
        FileKind::Adf { aid } => aid.starts_with(code),
        _ => false,
    };
    let is_usim = application(&usim::AID) || application(&usim::AID_NON_IMSI);
    let is_isim = application(&[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x04]);
    let in_telecom = parent.fid == Fid(0x7F10);
    Some(match (parent.fid.0, file.fid.0) {
        (0x3F00, 0x2FE2) => iccid,
        (0x3F00, 0x2F00) => application_template,
        (0x3F00, 0x2F05) => languages,
        (_, 0x6F07) if is_isim => |table| Some(services(table, &ISIM_SERVICES)),
        (_, 0x6F02..=0x6F04) if is_isim => text_object,
        (_, 0x6FAD) if is_isim => operation_mode,
        (_, 0x6F40 | 0x6F3B | 0x6F49 | 0x6F3A) if is_usim || in_telecom => number,
        (_, 0x6F42) if is_usim || in_telecom => service_centre,
        (_, 0x6F07) if is_usim => |ef| Imsi::from_ef(ef).ok().map(|imsi| imsi.to_string()),
        (_, 0x6FAD) if is_usim => administrative_data,
        (_, 0x6F05) if is_usim => languages,
        (_, 0x6F31) if is_usim => {
            |ef| ef.first().map(|period| format!("search every {} minutes", u16::from(*period) * 6))
        }
        (_, 0x6F38) if is_usim => |table| Some(services(table, &USIM_SERVICES)),
        (_, 0x6F56) if is_usim => |table| Some(services(table, &ENABLED_SERVICES)),
        (_, 0x6F46) if is_usim => provider_name,
        (_, 0x6F78) if is_usim => access_classes,
        (_, 0x6FB7) if is_usim => emergency_number,
        (_, 0x6F7B | 0x6FD9) if is_usim => |ef| networks(ef, 3),
        (_, 0x6F60..=0x6F62) if is_usim => |ef| networks(ef, 5),
        (0x5FC0, 0x4F07) | (0x5FD0, 0x4F01) => suci,
        (0x5FC0, 0x4F0A) => routing_indicator,
        _ => return None,
    })
}

/// The services of EF.EST: TS 31.102 section 4.2.47.
const ENABLED_SERVICES: [&str; 3] = ["fixed dialling numbers", "barred dialling numbers", "APN control list"];

fn iccid(ef: &[u8]) -> Option<String> {
    ef.try_into().ok().map(|octets| Iccid(octets).to_string())
}

fn application_template(record: &[u8]) -> Option<String> {
    let template = Reader::new(record).contents(Tag(0x61)).ok()?;
    let (_, aid) = tlv::split(tlv::find(template, Tag(0x4F)).ok()??)?;
    let label = tlv::find(template, Tag(0x50)).ok()?.and_then(tlv::split);
    let label = label.map(|(_, label)| String::from_utf8_lossy(label).escape_debug().to_string());
    Some(format!("{} {}", hex::encode_upper(aid), label.unwrap_or_default()).trim_end().to_owned())
}

fn languages(ef: &[u8]) -> Option<String> {
    let codes = ef.chunks_exact(2).filter(|code| code.iter().all(u8::is_ascii_lowercase));
    Some(codes.map(String::from_utf8_lossy).collect::<Vec<_>>().join(", "))
}

/// The numbers of the set bits, with the name of each.
fn services(table: &[u8], names: &[&str]) -> String {
    let set = (1..=table.len().saturating_mul(8)).filter(|number| {
        let bit = number.saturating_sub(1);
        table.get(bit / 8).is_some_and(|octet| octet >> (bit % 8) & 1 == 1)
    });
    let named = set.map(|number| match number.checked_sub(1).and_then(|place| names.get(place)) {
        Some(name) => format!("{number} {name}"),
        None => number.to_string(),
    });
    named.collect::<Vec<_>>().join(", ")
}

fn text_object(ef: &[u8]) -> Option<String> {
    let text = Reader::new(ef).contents(Tag(0x80)).ok()?;
    Some(String::from_utf8_lossy(text).escape_debug().to_string())
}

fn mode_name(mode: u8) -> &'static str {
    match mode {
        0x00 => "normal operation",
        0x80 => "type approval",
        0x01 => "normal operation with specific facilities",
        0x81 => "type approval with specific facilities",
        0x02 => "maintenance",
        0x04 => "cell test",
        _ => "reserved mode",
    }
}

fn operation_mode(ef: &[u8]) -> Option<String> {
    ef.first().map(|mode| mode_name(*mode).to_owned())
}

fn administrative_data(ef: &[u8]) -> Option<String> {
    let mode = operation_mode(ef)?;
    let digits = ef.get(3).map(|octet| format!(", network code of {} digits", octet & 0x0F));
    Some(mode + &digits.unwrap_or_default())
}

fn provider_name(ef: &[u8]) -> Option<String> {
    let (condition, name) = ef.split_first()?;
    let name = usim::in_default_alphabet(name)?;
    let shown = if condition & 0x01 != 0 {
        "shown with the network's name"
    } else {
        "shown without the network's name"
    };
    Some(format!("{}, {shown}", name.escape_debug()))
}

fn access_classes(ef: &[u8]) -> Option<String> {
    let classes = u16::from_be_bytes(ef.try_into().ok()?);
    let set = (0..16).filter(|class| classes >> class & 1 == 1).map(|class: u32| class.to_string());
    Some(format!("class {}", set.collect::<Vec<_>>().join(", ")))
}

/// Swapped digits up to the padding: TS 24.008 section 10.5.4.7.
fn digits(octets: &[u8]) -> String {
    let nibbles = octets.iter().flat_map(|octet| [octet & 0x0F, octet >> 4]);
    let used = nibbles.take_while(|nibble| *nibble != 0x0F);
    used.filter_map(|nibble| "0123456789*#abc".chars().nth(usize::from(nibble))).collect()
}

/// The number in a field of length, type of number and digits.
fn dialled(address: &[u8]) -> Option<String> {
    let (length @ 1..=11, rest) = address.split_first()? else { return None };
    let (kind, number) = rest.get(..usize::from(*length))?.split_first()?;
    let plus = if kind & 0x70 == 0x10 { "+" } else { "" };
    Some(format!("{plus}{}", digits(number)))
}

/// EF.MSISDN and similar files: a name, followed by fourteen bytes with the number.
fn number(record: &[u8]) -> Option<String> {
    let (name, rest) = record.split_at_checked(record.len().checked_sub(14)?)?;
    let number = dialled(rest)?;
    Some(match usim::in_default_alphabet(name) {
        Some(name) => format!("{number} {}", name.escape_debug()),
        None => number,
    })
}

fn service_centre(record: &[u8]) -> Option<String> {
    let parameters = record.get(record.len().checked_sub(28)?..)?;
    let centre = parameters.get(13..).and_then(dialled)?;
    Some(format!("service centre {centre}"))
}

fn emergency_number(record: &[u8]) -> Option<String> {
    record.get(..3).map(digits)
}

/// A list of networks, in the first three bytes of each entry: TS 24.008 section 10.5.1.3.
fn networks(ef: &[u8], entry: usize) -> Option<String> {
    let written = ef.chunks_exact(entry).filter(|octets| octets.iter().take(3).any(|octet| *octet != 0xFF));
    let shown = written.map(|octets| {
        let plmn = octets.first_chunk::<3>().and_then(|octets| network(*octets));
        let network = plmn.map_or_else(|| hex::encode_upper(octets), |plmn| plmn.to_string());
        match octets.get(3..) {
            Some([high, low]) => format!("{network} ({})", technologies(u16::from_be_bytes([*high, *low]))),
            _ => network,
        }
    });
    Some(shown.collect::<Vec<_>>().join(", "))
}

fn network([first, second, third]: [u8; 3]) -> Option<Plmn> {
    let mnc = if second >> 4 == 0x0F { vec![third] } else { vec![third, 0xF0 | second >> 4] };
    format!("{}-{}", digits(&[first, 0xF0 | second & 0x0F]), digits(&mnc)).parse().ok()
}

/// Access technology identifiers: TS 31.102 section 4.2.5.
fn technologies(bits: u16) -> String {
    const NAMES: [(u16, &str); 5] = [
        (0x8000, "UTRAN"),
        (0x4000, "E-UTRAN"),
        (0x0800, "NG-RAN"),
        (0x0080, "GSM"),
        (0x0040, "GSM COMPACT"),
    ];
    let set: Vec<&str> = NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { format!("{bits:04X}") } else { set.join(", ") }
}

fn suci(ef: &[u8]) -> Option<String> {
    let info = SuciCalcInfo::of(ef)?;
    let name = |identifier: u8| match identifier {
        0 => "null scheme".to_owned(),
        1 => "profile A".to_owned(),
        2 => "profile B".to_owned(),
        other => format!("scheme {other}"),
    };
    let schemes = info.schemes.iter().map(|scheme| match info.key(*scheme) {
        Some(key) => {
            format!("{} with key {} {}", name(scheme.identifier), key.identifier, hex::encode_upper(key.key))
        }
        None => name(scheme.identifier),
    });
    Some(schemes.collect::<Vec<_>>().join("; "))
}

fn routing_indicator(ef: &[u8]) -> Option<String> {
    Some(format!("routing indicator {}", digits(ef.get(..2)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    #[test]
    fn known_contents_are_decoded() {
        let read = |meaning: Meaning, text: &str| meaning(&octets(text)).unwrap();
        assert_eq!(read(iccid, "98001032547698103214"), "89000123456789012341");
        assert_eq!(
            read(application_template, "61144F0CA0000000871002FF49FF058950045553494DFFFF"),
            "A0000000871002FF49FF0589 USIM"
        );
        assert_eq!(read(administrative_data, "80000002"), "type approval, network code of 2 digits");
        assert_eq!(read(provider_name, "014C6F63616CFFFF"), "Local, shown with the network's name");
        assert_eq!(read(access_classes, "0002"), "class 1");
        assert_eq!(read(number, "4C6F63616CFF0891551189674523F1FFFFFFFFFF"), "+5511987654321 Local");
        assert_eq!(
            read(
                service_centre,
                &format!(
                    "{}E1{}{}{}",
                    "FF".repeat(10),
                    "FF".repeat(12),
                    "07915511896745F3FFFFFFFF",
                    "FFFF00"
                )
            ),
            "service centre +55119876543"
        );
        assert_eq!(read(emergency_number, "11F2FF00"), "112");
        assert_eq!(
            read(|ef| networks(ef, 5), "27F4998000130014C0C0FFFFFF0000"),
            "724-99 (UTRAN), 310-410 (UTRAN, E-UTRAN, GSM, GSM COMPACT)"
        );
        assert_eq!(read(|ef| networks(ef, 3), "00F110FFFFFF"), "001-01");
        assert_eq!(read(suci, "A0020000FFFF"), "null scheme");
        assert_eq!(read(routing_indicator, "F0FFFFFF"), "routing indicator 0");
        assert_eq!(
            services(&octets("0200000001"), &USIM_SERVICES),
            "2 fixed dialling numbers (FDN), 33 always set"
        );
        assert_eq!(read(text_object, "8003614062FF"), "a@b");
    }

    #[test]
    fn invalid_contents_are_not_decoded() {
        for meaning in [iccid, application_template, provider_name, number, service_centre, suci] {
            for text in ["", "FF", "0D", "61FF", "A0FF"] {
                assert_eq!(meaning(&octets(text)), None, "{text}");
            }
        }
    }
}
