//! Properties of a file from its file control parameters and its template row.

use super::{Wrong, wrong};
use crate::element::{Fcp, FileManagement};
use crate::files::{AccessRule, FileIndex, FileKind, MAX_FILE_MEMORY};
use crate::octets::{Fid, Octets};
use crate::response::PeStatusCode;
use crate::template::{Element, Shape};

/// The name of a command of PE-GenericFileManagement in an error.
pub(super) fn name_of(number: usize, command: &FileManagement) -> String {
    match command {
        FileManagement::FilePath(path) => format!("command {number}, filePath {path}"),
        FileManagement::CreateFcp(fcp) => {
            let fid = fcp.file_id.map_or_else(String::new, |fid| format!(" {fid}"));
            format!("command {number}, createFCP{fid}")
        }
        FileManagement::FillFileOffset(_) => format!("command {number}, fillFileOffset"),
        FileManagement::FillFileContent(_) => format!("command {number}, fillFileContent"),
    }
}

pub(super) fn one_octet(name: &str, value: Option<&Octets>, default: u8) -> Result<u8, Wrong> {
    match value.map(|value| value.0.as_slice()) {
        None => Ok(default),
        Some([octet]) => Ok(*octet),
        Some(_) => wrong(PeStatusCode::BAD_VALUES, format!("{name} is one octet")),
    }
}

fn number_of(name: &str, value: &Octets) -> Result<u32, Wrong> {
    let significant = value.iter().skip_while(|octet| **octet == 0).count();
    if value.is_empty() || significant > 4 {
        return wrong(PeStatusCode::BAD_VALUES, format!("{name} {value} is not a size"));
    }
    Ok(value.iter().fold(0u32, |number, octet| number << 8 | u32::from(*octet)))
}

/// The type of the file, and the bytes of its tag 82.
pub(super) fn kind_of(fid: Fid, row: Option<&Element>, fcp: &Fcp) -> Result<(FileKind, Octets), Wrong> {
    let given = fcp.file_descriptor.as_ref().map(|octets| octets.0.as_slice());
    let (descriptor, coding) = match (given, row.map(|row| row.shape)) {
        (Some([descriptor, coding, ..]), _) => (*descriptor, *coding),
        (Some(_), _) => return wrong(PeStatusCode::BAD_VALUES, "fileDescriptor has two to four octets"),
        (None, Some(Shape::Mf | Shape::Adf | Shape::Df)) => (0x78, 0x21),
        (None, Some(Shape::Transparent(_))) => (0x41, 0x21),
        (None, Some(Shape::LinearFixed { .. })) => (0x42, 0x21),
        (None, Some(Shape::Cyclic { .. })) => (0x46, 0x21),
        (None, Some(Shape::BerTlv(_))) => (0x79, 0x21),
        (None, None) => return wrong(PeStatusCode::BAD_VALUES, "fileDescriptor is missing"),
    };
    // Bit 7: the file is shareable; bits 6 to 4: it is a directory; bits 3 to 1: its structure.
    let record_length = || {
        let length = match (given, row.map(|row| row.shape)) {
            (Some([_, _, high, low]), _) => u16::from_be_bytes([*high, *low]),
            (Some([_, _, low]), _) => u16::from(*low),
            (_, Some(Shape::LinearFixed { length, .. } | Shape::Cyclic { length, .. })) => {
                u16::try_from(length).unwrap_or(0)
            }
            _ => 0,
        };
        if length == 0 { wrong(PeStatusCode::BAD_VALUES, "the record length is missing") } else { Ok(length) }
    };
    let kind = match (descriptor & 0x3F, &fcp.df_name) {
        (0x38, None) if fid == Fid::MF => FileKind::Mf,
        (0x38, Some(aid)) if (5..=16).contains(&aid.len()) => FileKind::Adf { aid: aid.clone() },
        (0x38, Some(_)) => return wrong(PeStatusCode::BAD_VALUES, "an AID has 5 to 16 octets"),
        (0x38, None) => FileKind::Df,
        (0x39, _) => FileKind::BerTlv {
            maximum_size: match fcp
                .proprietary_ef_info
                .as_ref()
                .and_then(|info| info.maximum_file_size.as_ref())
            {
                Some(size) => number_of("maximumFileSize", size)?,
                None => match row.map(|row| row.shape) {
                    Some(Shape::BerTlv(size)) => size,
                    _ => 0,
                },
            },
            reserved_size: match &fcp.ef_file_size {
                Some(size) => number_of("efFileSize", size)?,
                None => 0,
            },
        },
        (structure, _) if structure & 0x30 == 0 => match structure & 0x07 {
            1 => FileKind::Transparent,
            2 => FileKind::LinearFixed { record_length: record_length()? },
            6 => FileKind::Cyclic { record_length: record_length()? },
            _ => {
                return wrong(
                    PeStatusCode::BAD_VALUES,
                    format!("file descriptor {descriptor:02X} has an unknown structure"),
                );
            }
        },
        _ => {
            return wrong(
                PeStatusCode::BAD_VALUES,
                format!("file descriptor {descriptor:02X} has an unknown type"),
            );
        }
    };
    let fits = match row.map(|row| row.shape) {
        None => true,
        Some(Shape::Mf) => kind == FileKind::Mf,
        Some(Shape::Adf) => matches!(kind, FileKind::Adf { .. }),
        Some(Shape::Df) => kind == FileKind::Df,
        Some(_) => !kind.is_directory(),
    };
    if !fits {
        return wrong(
            PeStatusCode::BAD_VALUES,
            format!("a {} has another type than the file of the template", kind.letters()),
        );
    }
    let mut octets = vec![descriptor, coding];
    if let Some(length) = kind.record_length() {
        octets.extend(u16::try_from(length).unwrap_or_default().to_be_bytes());
    }
    Ok((kind, octets.into()))
}

pub(super) fn sfi_of(
    fid: Fid,
    kind: &FileKind,
    row: Option<&Element>,
    fcp: &Fcp,
) -> Result<Option<u8>, Wrong> {
    if kind.is_directory() {
        return Ok(None);
    }
    let usable = |sfi: u8| (1..=30).contains(&sfi).then_some(sfi);
    match (fcp.short_ef_id.as_ref().map(|octets| octets.0.as_slice()), row) {
        (Some([]), _) => Ok(None),
        (Some([octet]), _) if octet & 0x07 == 0 && usable(octet >> 3).is_some() => Ok(usable(octet >> 3)),
        (Some(_), _) => {
            wrong(PeStatusCode::BAD_VALUES, "shortEFID is an identifier from 1 to 30 in the five high bits")
        }
        (None, Some(row)) => Ok(usable(row.sfi)),
        (None, None) => Ok(u8::try_from(fid.0 & 0x1F).ok().and_then(usable)),
    }
}

pub(super) fn access_rule_of(
    parent: Option<FileIndex>,
    kind: &FileKind,
    row: Option<&Element>,
    fcp: &Fcp,
) -> Result<Option<AccessRule>, Wrong> {
    let at_top = parent.is_none_or(|parent| parent == FileIndex::MF) || matches!(kind, FileKind::Adf { .. });
    let implied = Fid(if at_top { 0x2F06 } else { 0x6F06 });
    match (fcp.security_attributes_referenced.as_ref().map(|octets| octets.0.as_slice()), row) {
        (Some([record]), _) => Ok(Some(AccessRule { arr: implied, record: *record })),
        (Some([high, low, record]), _) => {
            Ok(Some(AccessRule { arr: Fid(u16::from_be_bytes([*high, *low])), record: *record }))
        }
        (Some(_), _) => {
            wrong(PeStatusCode::BAD_VALUES, "securityAttributesReferenced has one or three octets")
        }
        (None, Some(row)) => Ok(Some(AccessRule { arr: implied, record: row.arr })),
        (None, None) => Ok(None),
    }
}

/// The contents of a file before anything is written to it.
pub(super) fn initial_content(kind: &FileKind, row: Option<&Element>, fcp: &Fcp) -> Result<Vec<u8>, Wrong> {
    if matches!(kind, FileKind::BerTlv { .. }) {
        return Ok(Vec::new());
    }
    let size = match (&fcp.ef_file_size, row.map(|row| row.shape)) {
        (Some(size), _) => usize::try_from(number_of("efFileSize", size)?).unwrap_or(usize::MAX),
        (None, Some(Shape::Transparent(size))) if *kind == FileKind::Transparent => {
            usize::try_from(size).unwrap_or(0)
        }
        (None, Some(Shape::LinearFixed { records, .. } | Shape::Cyclic { records, .. })) => {
            let records = usize::try_from(records).unwrap_or(0);
            records.saturating_mul(kind.record_length().unwrap_or(0))
        }
        _ => 0,
    };
    if size == 0 {
        return wrong(PeStatusCode::BAD_VALUES, "the size is missing");
    }
    if size > MAX_FILE_MEMORY {
        return wrong(PeStatusCode::NOT_ENOUGH_MEMORY, format!("{size} octets in one file"));
    }
    // A pattern fills each record separately.
    let unit = kind.record_length().unwrap_or(size);
    if size % unit != 0 {
        return wrong(
            PeStatusCode::BAD_VALUES,
            format!("{size} octets are not a whole number of records of {unit} octets"),
        );
    }
    let filled = match fcp.proprietary_ef_info.as_ref().map(|info| (&info.fill_pattern, &info.repeat_pattern))
    {
        Some((Some(_), Some(_))) => {
            return wrong(PeStatusCode::BAD_VALUES, "fillPattern and repeatPattern exclude each other");
        }
        Some((Some(pattern), None)) => fill(pattern, &[], unit),
        Some((None, Some(pattern))) => pattern.iter().copied().cycle().take(unit).collect(),
        _ => default_content(row.map_or("", |row| row.default), unit),
    };
    if filled.len() != unit {
        return wrong(PeStatusCode::BAD_VALUES, "a pattern has at least one octet");
    }
    Ok(filled.repeat(size / unit))
}

/// Fills `length` bytes with `start`, repetitions of the last byte of `start`, and `end`.
fn fill(start: &[u8], end: &[u8], length: usize) -> Vec<u8> {
    let Some(last) = start.last() else { return Vec::new() };
    let mut filled = start.to_vec();
    filled.resize(filled.len().max(length.saturating_sub(end.len())), *last);
    filled.extend_from_slice(end);
    filled.truncate(length);
    filled
}

/// The pattern of a template row in `length` bytes.
pub(super) fn default_content(pattern: &str, length: usize) -> Vec<u8> {
    let octets = |digits: &str| hex::decode(digits).unwrap_or_default();
    if pattern.is_empty() {
        vec![0xFF; length]
    } else if let Some(repeated) = pattern.strip_suffix('*') {
        octets(repeated).into_iter().cycle().take(length).collect()
    } else if let Some((start, end)) = pattern.split_once("...") {
        fill(&octets(start), &octets(end), length)
    } else {
        // If the file is longer than in the template, the remaining bytes stay unwritten.
        let mut content = octets(pattern);
        content.resize(length, 0xFF);
        content
    }
}
