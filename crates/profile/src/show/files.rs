//! Files: location, type, access rules, and contents.

use schemars::JsonSchema;
use serde::Serialize;

use super::{HIDDEN, ShowOptions};
use crate::access::Access;
use crate::check::{files_of, path_of};
use crate::decoded::decoded;
use crate::files::{FileIndex, FileKind, ProfileFiles};
use crate::identities::is_table;
use crate::octets::Octets;
use crate::package::Package;

/// A file in the output.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ShownFile {
    /// File identifiers from the MF, and the template's name.
    pub path: String,
    /// Its type, in a word.
    pub kind: &'static str,
    /// The AID of an application's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aid: Option<Octets>,
    /// Length of its contents in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Number and length of its records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<(usize, usize)>,
    /// Its short identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sfi: Option<u8>,
    /// The file that this file is a link to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Its access rules: TS 102 221 section 9.2.7.
    pub access: Vec<String>,
    /// The meaning of its contents, if known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meaning: Vec<String>,
    /// The contents, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
}

/// Files in which a terminal stores keys.
const SECRET_FILES: [&str; 11] = [
    "ef-keys",
    "ef-keysPS",
    "ef-kc",
    "ef-kcgprs",
    "ef-epsnsc",
    "ef-5gauthkeys",
    "ef-5gs3gppnsc",
    "ef-5gsn3gppnsc",
    "ef-hiddenkey",
    "ef-dck",
    "ef-spc",
];

/// True if the contents of a file are secret.
pub(crate) fn is_secret(files: &ProfileFiles, index: FileIndex) -> bool {
    let name = files.file(index).and_then(|file| file.name.as_deref());
    let is_written = files.content(index).is_some_and(|content| content.iter().any(|octet| *octet != 0xFF));
    is_written && (name.is_some_and(|name| SECRET_FILES.contains(&name)) || is_table(files, index))
}

/// Every file of a package that can be created, the MF first and each directory before its files.
pub fn files(package: &Package, options: &ShowOptions) -> Vec<ShownFile> {
    let files = files_of(package);
    let mut shown = Vec::new();
    // A file without a parent is the first; each directory is followed by its files.
    let mut next = vec![FileIndex::MF];
    while let Some(index) = next.pop() {
        let Some(file) = shown_file(&files, index, options) else { continue };
        shown.push(file);
        if files.file(index).is_some_and(|file| file.link.is_none()) {
            let mut children: Vec<FileIndex> = files.children(index).map(|(child, _)| child).collect();
            children.reverse();
            next.extend(children);
        }
    }
    shown
}

pub(crate) fn shown_file(files: &ProfileFiles, index: FileIndex, options: &ShowOptions) -> Option<ShownFile> {
    let file = files.file(index)?;
    let content = files.content(index);
    let hides = is_secret(files, index) && !options.secrets;
    let contents = content.filter(|_| options.contents).map(|content| match hides {
        true => HIDDEN.to_owned(),
        false => hex::encode_upper(content),
    });
    Some(ShownFile {
        path: path_of(files, index),
        kind: kind_name(&file.kind),
        aid: match &file.kind {
            FileKind::Adf { aid } => Some(aid.clone()),
            _ => None,
        },
        size: content.map(<[u8]>::len),
        records: files.records(index).zip(file.kind.record_length()),
        sfi: file.sfi,
        link: file.link.map(|link| path_of(files, link)),
        access: access(files, index),
        meaning: decoded(files, index),
        contents,
    })
}

fn kind_name(kind: &FileKind) -> &'static str {
    match kind {
        FileKind::Mf => "master file",
        FileKind::Df => "directory",
        FileKind::Adf { .. } => "application",
        FileKind::Transparent => "transparent",
        FileKind::LinearFixed { .. } => "linear fixed",
        FileKind::Cyclic { .. } => "cyclic",
        FileKind::BerTlv { .. } => "BER-TLV",
    }
}

fn access(files: &ProfileFiles, index: FileIndex) -> Vec<String> {
    let record = || {
        let number = files.file(index)?.access_rule?.record;
        files.record(files.arr_of(index)?, usize::from(number))
    };
    let is_directory = files.file(index).is_some_and(|file| file.kind.is_directory());
    match record().map(|record| Access::of(record, is_directory)) {
        Some(Some(rules)) if rules.is_empty() => vec!["everything: never".to_owned()],
        Some(Some(rules)) => rules.iter().map(ToString::to_string).collect(),
        Some(None) => vec!["a rule that cannot be read".to_owned()],
        None => vec!["no rule".to_owned()],
    }
}

/// The files as readable text: three lines or more for each.
pub fn files_text(package: &Package, options: &ShowOptions) -> String {
    let mut out = String::new();
    for file in files(package, options) {
        let mut line = format!("{}: {}", file.path, file.kind);
        if let Some(aid) = &file.aid {
            line += &format!(" {aid}");
        }
        match (file.records, file.size) {
            (Some((count, length)), _) => line += &format!(", {count} records of {length} octets"),
            (None, Some(size)) => line += &format!(", {size} octets"),
            (None, None) => {}
        }
        if let Some(sfi) = file.sfi {
            line += &format!(", SFI {sfi:02X}");
        }
        if let Some(link) = &file.link {
            line += &format!(", a link to {link}");
        }
        out += &format!("{line}\n    {}\n", file.access.join("; "));
        for meaning in file.meaning.iter().chain(&file.contents) {
            out += &format!("    = {meaning}\n");
        }
    }
    out
}
