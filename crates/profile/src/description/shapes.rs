//! Files of a template as the layout writes them.

use crate::Octets;
use crate::element::{Fcp, FileItem, FileSystemKind, NamedFile};
use crate::template::{self, Shape};

/// Security conditions in the expanded format (TS 102 221 section 9.3): always, PIN1, PIN2, ADM1.
const ALWAYS: &str = "9000";
const PIN1: &str = "A406830101950108";
const PIN2: &str = "A406830181950108";
const ADM1: &str = "A40683010A950108";

/// The access rules that templates refer to by number, 1 to 15: pairs of access mode and condition.
/// Mode 01 is read, 02 update, 58 and similar activate, deactivate and terminate; 84 32 is
/// INCREASE.
const ACCESS_RULES: [&[(&str, &str)]; 15] = [
    &[("800101", ALWAYS), ("800102", PIN1), ("800158", ADM1)],
    &[("800101", PIN1), ("80015A", ADM1)],
    &[("80015B", ADM1)],
    &[("800101", ALWAYS), ("800102", PIN2), ("800158", ADM1)],
    &[("800103", PIN1), ("800158", ADM1)],
    &[("800101", PIN1), ("800102", ADM1), ("800158", ADM1)],
    &[("800101", PIN1), ("800102", PIN2), ("840132", PIN1), ("800158", ADM1)],
    &[("800101", PIN1), ("800102", PIN2), ("800158", ADM1)],
    &[("800101", ADM1), ("800102", PIN1), ("800158", ADM1)],
    &[("800101", ALWAYS), ("80015A", ADM1)],
    &[("800101", ALWAYS), ("800158", ADM1)],
    &[("800101", PIN1), ("800158", ADM1)],
    &[("800103", ADM1)],
    &[("80015E", ADM1)],
    &[("800103", ALWAYS), ("800158", ADM1)],
];

/// The record of the rule that permits only the administrator to read and write.
pub(super) const ADMINISTRATOR: u8 = 13;

/// The record of the rule that permits only the administrator to write, and nobody to read. Only
/// the EF.ARR of the MF has this record, and only if the description has several identities.
pub(super) const NEVER_READ: u8 = 16;
const WRITTEN_BY_ADMINISTRATOR: &[(&str, &str)] = &[("80015A", ADM1)];

/// EF.ARR with every rule, one in each record.
pub(super) fn arr() -> NamedFile {
    rules(&ACCESS_RULES)
}

/// EF.ARR with every rule and [`NEVER_READ`].
pub(super) fn arr_with_never_read() -> NamedFile {
    rules(&[&ACCESS_RULES[..], &[WRITTEN_BY_ADMINISTRATOR]].concat())
}

fn rules(rules: &[&[(&str, &str)]]) -> NamedFile {
    let rules: Vec<Vec<u8>> = rules
        .iter()
        .map(|rule| hex(&rule.iter().flat_map(|(mode, condition)| [*mode, *condition]).collect::<String>()).0)
        .collect();
    in_records("ef-arr", rules.iter().map(Vec::len).max().unwrap_or_default(), &rules)
}

/// A linear fixed file with these records and no others.
pub(super) fn in_records(name: &'static str, length: usize, records: &[Vec<u8>]) -> NamedFile {
    let [high, low] = u16::try_from(length).unwrap_or_default().to_be_bytes();
    let descriptor =
        Fcp { file_descriptor: Some(Octets(vec![0x42, 0x21, high, low])), ..of_size(records.len() * length) };
    let mut items = Vec::new();
    for record in records {
        items.push(content(record));
        let rest = i64::try_from(length.saturating_sub(record.len())).unwrap_or_default();
        items.extend((rest > 0).then_some(FileItem::FillFileOffset(rest)));
    }
    if let Some(FileItem::FillFileOffset(_)) = items.last() {
        items.pop();
    }
    file(name, Some(descriptor), items)
}

pub(super) fn of_size(octets: usize) -> Fcp {
    let size = u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes();
    Fcp {
        ef_file_size: Some(Octets(size.iter().copied().skip_while(|octet| *octet == 0).collect())),
        ..Fcp::default()
    }
}

/// The file with its own size if its contents are longer than the template's size.
pub(super) fn sized(kind: FileSystemKind, version: u8, mut file: NamedFile) -> NamedFile {
    let row =
        template::elements(kind).iter().find(|row| row.name == file.name).and_then(|row| row.at(version));
    let [FileItem::FillFileContent(content)] = file.items.as_slice() else { return file };
    if let Some(Shape::Transparent(size)) = row.map(|row| row.shape)
        && usize::try_from(size).is_ok_and(|size| size < content.len())
    {
        let descriptor = of_size(content.len());
        file.items.insert(0, FileItem::FileDescriptor(Box::new(descriptor)));
    }
    file
}

/// Sorts the files in the order of the ASN.1, which the encoder requires.
pub(super) fn in_order(kind: FileSystemKind, mut files: Vec<NamedFile>) -> Vec<NamedFile> {
    let place = |file: &NamedFile| template::elements(kind).iter().position(|row| row.name == file.name);
    files.sort_by_key(place);
    files
}

pub(super) fn file(name: &'static str, descriptor: Option<Fcp>, content: Vec<FileItem>) -> NamedFile {
    let mut items: Vec<FileItem> =
        descriptor.map(|fcp| FileItem::FileDescriptor(Box::new(fcp))).into_iter().collect();
    items.extend(content);
    NamedFile { name, items }
}

pub(super) fn content(octets: &[u8]) -> FileItem {
    FileItem::FillFileContent(Octets(octets.to_vec()))
}

pub(super) fn hex(text: &str) -> Octets {
    Octets::from_hex(text).unwrap_or_default()
}
