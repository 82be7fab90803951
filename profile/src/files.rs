//! The files of an installed profile, as the card serves them.

use serde::{Deserialize, Serialize};

use crate::octets::{Fid, Octets};

/// How many files a profile may have; the richest known packages have some hundreds.
pub const MAX_FILES: usize = 4096;

/// How many octets the contents of all files may have together: about what a large eUICC has in all.
pub const MAX_FILE_MEMORY: usize = 2 << 20;

/// Which file, within one [`ProfileFiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileIndex(pub(crate) usize);

impl FileIndex {
    /// The master file.
    pub const MF: Self = Self(0);
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// The master file.
    Mf,
    /// A directory.
    Df,
    /// An application's directory, selected by its AID.
    Adf {
        /// The whole AID.
        aid: Octets,
    },
    /// Octets.
    Transparent,
    /// Records of `record_length` octets.
    LinearFixed {
        /// In octets.
        record_length: u16,
    },
    /// Records in a ring; the first in the contents is record 1, the newest.
    Cyclic {
        /// In octets.
        record_length: u16,
    },
    /// Data objects, in the contents one after another.
    BerTlv {
        /// How many octets they may have together; 0 for as many as there is room.
        maximum_size: u32,
    },
}

impl FileKind {
    /// Whether it holds files.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Mf | Self::Df | Self::Adf { .. })
    }

    /// The length of its records, if it has records.
    pub fn record_length(&self) -> Option<usize> {
        match self {
            Self::LinearFixed { record_length } | Self::Cyclic { record_length } => {
                Some(usize::from(*record_length))
            }
            _ => None,
        }
    }

    /// The letters that TCA's tables use.
    pub fn letters(&self) -> &'static str {
        match self {
            Self::Mf => "MF",
            Self::Df => "DF",
            Self::Adf { .. } => "ADF",
            Self::Transparent => "TR",
            Self::LinearFixed { .. } => "LF",
            Self::Cyclic { .. } => "CY",
            Self::BerTlv { .. } => "BT",
        }
    }
}

/// Where the access rule of a file is: tag 8B of its FCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRule {
    /// The EF.ARR, looked for from the file's directory upwards.
    pub arr: Fid,
    /// The record in it.
    pub record: u8,
}

impl AccessRule {
    /// The three octets of tag 8B.
    pub fn octets(self) -> [u8; 3] {
        let [high, low] = self.arr.0.to_be_bytes();
        [high, low, self.record]
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its identifier; of an ADF the temporary one.
    pub fid: Fid,
    /// The ASN.1 name of the element that made it, if it came from a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The directory it is in; none for the MF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<FileIndex>,
    /// What it is.
    pub kind: FileKind,
    /// Its short identifier, 1 to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sfi: Option<u8>,
    /// Life cycle status integer: 05 activated, 04 deactivated, 0C terminated.
    pub life_cycle: u8,
    /// Where its access rule is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_rule: Option<AccessRule>,
    /// The octets of tag 82, without the number of records.
    pub descriptor: Octets,
    /// Special file information, tag C0: bit 8 updated often, bit 7 readable and updatable while deactivated.
    pub special_information: u8,
    /// The octets of tag C6 of a directory: which PINs apply.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub pin_status_template: Octets,
    /// Where the contents are; none for a directory. Linked files have theirs in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<usize>,
    /// The file of which this is another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<FileIndex>,
}

fn is_empty(octets: &Octets) -> bool {
    octets.0.is_empty()
}

/// All files of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileFiles {
    /// The MF first, a directory before what is in it.
    pub(crate) files: Vec<File>,
    pub(crate) bodies: Vec<Octets>,
}

impl ProfileFiles {
    /// Every file, the MF first and a directory before what is in it.
    pub fn all(&self) -> impl Iterator<Item = (FileIndex, &File)> {
        self.files.iter().enumerate().map(|(index, file)| (FileIndex(index), file))
    }

    /// One file.
    pub fn file(&self, index: FileIndex) -> Option<&File> {
        self.files.get(index.0)
    }

    /// One file, to change its state.
    pub fn file_mut(&mut self, index: FileIndex) -> Option<&mut File> {
        self.files.get_mut(index.0)
    }

    /// The files in a directory; those of the other one if it is a link.
    pub fn children(&self, directory: FileIndex) -> impl Iterator<Item = (FileIndex, &File)> {
        let real = self.file(directory).and_then(|file| file.link).unwrap_or(directory);
        self.all().filter(move |(_, file)| file.parent == Some(real))
    }

    /// The file `fid` in a directory. An ADF is found in the MF by its temporary identifier.
    pub fn child(&self, directory: FileIndex, fid: Fid) -> Option<FileIndex> {
        self.children(directory).find(|(_, file)| file.fid == fid).map(|(index, _)| index)
    }

    /// The EF with that short identifier in a directory.
    pub fn by_sfi(&self, directory: FileIndex, sfi: u8) -> Option<FileIndex> {
        self.children(directory).find(|(_, file)| file.sfi == Some(sfi)).map(|(index, _)| index)
    }

    /// The file at the end of a path from the MF (which may or may not be its first step).
    pub fn by_path(&self, path: &[Fid]) -> Option<FileIndex> {
        let path = match path {
            [Fid::MF, rest @ ..] => rest,
            _ => path,
        };
        self.file(FileIndex::MF)?;
        path.iter().try_fold(FileIndex::MF, |directory, fid| self.child(directory, *fid))
    }

    /// The ADFs whose AID begins with `aid`, in the order in which they were made.
    pub fn adfs<'a>(&'a self, aid: &'a [u8]) -> impl Iterator<Item = (FileIndex, &'a File)> {
        self.all()
            .filter(move |(_, file)| matches!(&file.kind, FileKind::Adf { aid: own } if own.starts_with(aid)))
    }

    /// The identifiers from the MF down to a file, both included.
    pub fn path_of(&self, index: FileIndex) -> Vec<Fid> {
        let mut path = Vec::new();
        let mut at = Some(index);
        while let Some(file) = at.and_then(|index| self.file(index)) {
            path.insert(0, file.fid);
            at = file.parent;
        }
        path
    }

    /// The contents of an EF.
    pub fn content(&self, index: FileIndex) -> Option<&[u8]> {
        self.bodies.get(self.file(index)?.body?).map(|body| body.0.as_slice())
    }

    /// The contents of an EF, to change them; a file with records must keep their number and length.
    pub fn content_mut(&mut self, index: FileIndex) -> Option<&mut Vec<u8>> {
        let body = self.file(index)?.body?;
        self.bodies.get_mut(body).map(|body| &mut body.0)
    }

    /// Record `number`, from 1.
    pub fn record(&self, index: FileIndex, number: usize) -> Option<&[u8]> {
        let length = self.file(index)?.kind.record_length()?;
        self.content(index)?.chunks(length).nth(number.checked_sub(1)?)
    }

    /// How many records a file has.
    pub fn records(&self, index: FileIndex) -> Option<usize> {
        let length = self.file(index)?.kind.record_length()?;
        Some(self.content(index)?.len() / length.max(1))
    }

    /// The octets of the contents of all files together.
    pub fn memory(&self) -> usize {
        self.bodies.iter().map(|body| body.len()).sum()
    }
}
