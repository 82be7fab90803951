//! File by file: where it is, what it is, who may do what with it, what is in it.

use serde::Serialize;

use super::{HIDDEN, ShowOptions};
use crate::access::Access;
use crate::check::{files_of, path_of};
use crate::decoded::decoded;
use crate::files::{FileIndex, FileKind, ProfileFiles};
use crate::identities::is_table;
use crate::octets::Octets;
use crate::package::Package;

/// A file as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownFile {
    /// File identifiers from the MF, and the name that the template gives.
    pub path: String,
    /// What it is, in a word.
    pub kind: &'static str,
    /// The AID of an application's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aid: Option<Octets>,
    /// Octets of its contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// How many records, and how long each is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<(usize, usize)>,
    /// Its short identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sfi: Option<u8>,
    /// The file of which this is another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Who may do what: TS 102 221 section 9.2.7.
    pub access: Vec<String>,
    /// What the contents mean, where that is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meaning: Vec<String>,
    /// The contents, if they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
}

/// Files in which a terminal keeps keys.
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

/// Whether the contents of a file are shown only to one who asks for secrets.
pub(crate) fn is_secret(files: &ProfileFiles, index: FileIndex) -> bool {
    let name = files.file(index).and_then(|file| file.name.as_deref());
    let is_written = files.content(index).is_some_and(|content| content.iter().any(|octet| *octet != 0xFF));
    is_written && (name.is_some_and(|name| SECRET_FILES.contains(&name)) || is_table(files, index))
}

/// Every file of a package that can be made, the MF first and a directory before what is in it.
pub fn files(package: &Package, options: &ShowOptions) -> Vec<ShownFile> {
    let files = files_of(package);
    let mut shown = Vec::new();
    // Whoever has none above is the first; each directory is followed by what is in it.
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

/// The files for a person: three lines or more for each.
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
