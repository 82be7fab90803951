//! The files of an installed profile, as the card serves them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::interner::Interner;
use crate::octets::{Fid, Octets};

/// Maximum number of files of a profile. The largest known packages have several hundred.
pub const MAX_FILES: usize = 4096;

/// Maximum nesting depth of directories, including the MF. The standards use at most four.
pub const MAX_DEPTH: usize = 16;

/// Maximum total size of all file contents in bytes: about the memory of a large eUICC.
pub const MAX_FILE_MEMORY: usize = 2 << 20;

/// The index of a file within one [`ProfileFiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileIndex(pub(crate) usize);

impl FileIndex {
    /// The master file.
    pub const MF: Self = Self(0);

    /// The position of the file among all, from 0.
    pub fn number(self) -> usize {
        self.0
    }
}

/// The type of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// The master file.
    Mf,
    /// A directory.
    Df,
    /// An application's directory, selected by its AID.
    Adf {
        /// The complete AID.
        aid: Octets,
    },
    /// A transparent EF.
    Transparent,
    /// A linear fixed EF with records of `record_length` bytes.
    LinearFixed {
        /// Length of a record in bytes.
        record_length: u16,
    },
    /// A cyclic EF. The first record of the contents is record 1, the newest.
    Cyclic {
        /// Length of a record in bytes.
        record_length: u16,
    },
    /// A BER-TLV structure EF: data objects, one after the other in the contents.
    BerTlv {
        /// Maximum total size of the data objects in bytes; 0 for no limit but the memory.
        maximum_size: u32,
        /// Reserved size in bytes.
        reserved_size: u32,
    },
}

impl FileKind {
    /// True if it is a directory.
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

    /// The bytes that an EF occupies if its contents have this length: at least the reserved size.
    pub fn charged(&self, length: usize) -> usize {
        match self {
            Self::BerTlv { reserved_size, .. } => {
                length.max(usize::try_from(*reserved_size).unwrap_or(usize::MAX))
            }
            _ => length,
        }
    }

    /// The abbreviation of the type in the tables of the TCA.
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

/// The location of a file's access rule: tag 8B of its FCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccessRule {
    /// The EF.ARR, searched from the file's directory upwards.
    pub arr: Fid,
    /// The record in it.
    pub record: u8,
}

impl AccessRule {
    /// The three bytes of tag 8B.
    pub fn octets(self) -> [u8; 3] {
        let [high, low] = self.arr.0.to_be_bytes();
        [high, low, self.record]
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct File {
    /// The identifier of the file. For an ADF, the temporary identifier.
    pub fid: Fid,
    /// The ASN.1 name of the element that created it, if it came from a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its directory; `None` for the MF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<FileIndex>,
    /// Its type.
    pub kind: FileKind,
    /// Its short identifier, 1 to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sfi: Option<u8>,
    /// Life cycle status integer: 05 activated, 04 deactivated, 0C terminated.
    pub life_cycle: u8,
    /// The location of its access rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_rule: Option<AccessRule>,
    /// The bytes of tag 82, without the number of records.
    pub descriptor: Octets,
    /// Special file information, tag C0: bit 8 updated often, bit 7 readable and updatable while
    /// deactivated.
    pub special_information: u8,
    /// The bytes of tag C6 of a directory: the applicable PINs.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub pin_status_template: Octets,
    /// The index of its contents; `None` for a directory. Linked files share contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<usize>,
    /// The file that this file is a link to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<FileIndex>,
}

fn is_empty(octets: &Octets) -> bool {
    octets.0.is_empty()
}

/// All files of a profile: as installed, and the changes since.
///
/// A clone shares everything with its original. A change copies only the part that it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileFiles {
    image: Image,
    changes: Changes,
}

/// The files as installed. Cards with the same package share nearly all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The MF first, each directory before its files.
    pub files: Arc<Vec<File>>,
    /// The contents of EFs; each file has the index of its own.
    pub contents: Arc<Vec<Arc<Vec<u8>>>>,
}

/// Changes since the installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files whose state has changed.
    pub files: BTreeMap<FileIndex, Arc<File>>,
    /// Changed contents, by their index in [`Image::contents`].
    pub contents: BTreeMap<usize, Arc<Vec<u8>>>,
}

impl Image {
    /// Replaces each part that is equal to an earlier one by that part, so that it is stored once.
    pub fn share(&mut self, files: &Interner<Vec<File>>, contents: &Interner<Vec<u8>>) {
        self.files = files.share(std::mem::take(&mut self.files));
        let own = self.contents.iter().map(|content| contents.share(Arc::clone(content)));
        self.contents = Arc::new(own.collect());
    }
}

impl ProfileFiles {
    /// The files of an image with changes.
    pub fn new(image: Image, changes: Changes) -> Self {
        Self { image, changes }
    }

    /// The files as installed.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The files as installed, for sharing them with other cards.
    pub fn image_mut(&mut self) -> &mut Image {
        &mut self.image
    }

    /// The changes since the installation.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Every file, the MF first and each directory before its files.
    pub fn all(&self) -> impl Iterator<Item = (FileIndex, &File)> {
        let current = |(index, file)| {
            let index = FileIndex(index);
            (index, self.changes.files.get(&index).map_or(file, AsRef::as_ref))
        };
        self.image.files.iter().enumerate().map(current)
    }

    /// A file.
    pub fn file(&self, index: FileIndex) -> Option<&File> {
        let changed = self.changes.files.get(&index).map(AsRef::as_ref);
        changed.or_else(|| self.image.files.get(index.0))
    }

    /// A file, for changing its state.
    pub fn file_mut(&mut self, index: FileIndex) -> Option<&mut File> {
        let Self { image, changes } = self;
        let original = image.files.get(index.0)?;
        Some(Arc::make_mut(changes.files.entry(index).or_insert_with(|| Arc::new(original.clone()))))
    }

    /// The files in a directory; if it is a link, those of its target.
    pub fn children(&self, directory: FileIndex) -> impl Iterator<Item = (FileIndex, &File)> {
        let real = self.file(directory).and_then(|file| file.link).unwrap_or(directory);
        self.all().filter(move |(_, file)| file.parent == Some(real))
    }

    /// The file `fid` in a directory. An ADF is found in the MF by its temporary identifier.
    pub fn child(&self, directory: FileIndex, fid: Fid) -> Option<FileIndex> {
        self.children(directory).find(|(_, file)| file.fid == fid).map(|(index, _)| index)
    }

    /// The EF with this short identifier in a directory.
    pub fn by_sfi(&self, directory: FileIndex, sfi: u8) -> Option<FileIndex> {
        self.children(directory).find(|(_, file)| file.sfi == Some(sfi)).map(|(index, _)| index)
    }

    /// The file at the end of a path from the MF (the MF may be its first step or be omitted).
    pub fn by_path(&self, path: &[Fid]) -> Option<FileIndex> {
        let path = match path {
            [Fid::MF, rest @ ..] => rest,
            _ => path,
        };
        self.file(FileIndex::MF)?;
        path.iter().try_fold(FileIndex::MF, |directory, fid| self.child(directory, *fid))
    }

    /// The ADFs whose AID begins with `aid`, in the order of their creation.
    pub fn adfs<'a>(&'a self, aid: &'a [u8]) -> impl Iterator<Item = (FileIndex, &'a File)> {
        self.all()
            .filter(move |(_, file)| matches!(&file.kind, FileKind::Adf { aid: own } if own.starts_with(aid)))
    }

    /// A file and the directories above it, up to the MF.
    pub fn ancestors(&self, index: FileIndex) -> impl Iterator<Item = FileIndex> {
        std::iter::successors(Some(index), |index| self.file(*index)?.parent)
    }

    /// The identifiers from the MF down to a file, both included.
    pub fn path_of(&self, index: FileIndex) -> Vec<Fid> {
        let files = self.ancestors(index).filter_map(|index| self.file(index));
        let mut path: Vec<_> = files.map(|file| file.fid).collect();
        path.reverse();
        path
    }

    /// The EF.ARR with the rule of a file, searched from its directory upwards.
    pub fn arr_of(&self, index: FileIndex) -> Option<FileIndex> {
        let file = self.file(index)?;
        let arr = file.access_rule?.arr;
        let directory = file.parent.unwrap_or(FileIndex::MF);
        self.ancestors(directory).find_map(|directory| self.child(directory, arr))
    }

    /// The contents of an EF.
    pub fn content(&self, index: FileIndex) -> Option<&[u8]> {
        let body = self.file(index)?.body?;
        self.changes
            .contents
            .get(&body)
            .or_else(|| self.image.contents.get(body))
            .map(|content| content.as_slice())
    }

    /// The contents of an EF as installed.
    pub fn as_installed(&self, index: FileIndex) -> Option<&[u8]> {
        self.image.contents.get(self.file(index)?.body?).map(|content| content.as_slice())
    }

    /// The contents of an EF, for changing them. A file with records must keep their number and
    /// length.
    pub fn content_mut(&mut self, index: FileIndex) -> Option<&mut Vec<u8>> {
        let body = self.file(index)?.body?;
        let Self { image, changes } = self;
        let original = image.contents.get(body)?;
        Some(Arc::make_mut(changes.contents.entry(body).or_insert_with(|| Arc::clone(original))))
    }

    /// Record `number`, from 1.
    pub fn record(&self, index: FileIndex, number: usize) -> Option<&[u8]> {
        let length = self.file(index)?.kind.record_length()?;
        self.content(index)?.chunks(length).nth(number.checked_sub(1)?)
    }

    /// Number of records of a file.
    pub fn records(&self, index: FileIndex) -> Option<usize> {
        let length = self.file(index)?.kind.record_length()?;
        Some(self.content(index)?.len() / length.max(1))
    }

    /// Total bytes of all files: their contents, plus the reserved space of files of BER-TLV
    /// structure.
    pub fn memory(&self) -> usize {
        let changed = |body| self.changes.contents.get(&body);
        let contents = self.image.contents.iter().enumerate();
        let contents = contents.map(|(body, content)| changed(body).unwrap_or(content).len());
        let files = self.all().filter(|(_, file)| file.link.is_none());
        let kept_free = files.map(|(index, file)| {
            let length = self.content(index).map_or(0, <[u8]>::len);
            file.kind.charged(length).saturating_sub(length)
        });
        contents.chain(kept_free).fold(0, usize::saturating_add)
    }

    /// Number of files.
    pub(crate) fn len(&self) -> usize {
        self.image.files.len()
    }

    /// Adds a file to the image.
    pub(crate) fn make(&mut self, file: File) -> FileIndex {
        let files = Arc::make_mut(&mut self.image.files);
        files.push(file);
        FileIndex(files.len().saturating_sub(1))
    }

    /// Adds contents to the image and returns their index.
    pub(crate) fn make_content(&mut self, content: Vec<u8>) -> usize {
        let contents = Arc::make_mut(&mut self.image.contents);
        contents.push(Arc::new(content));
        contents.len().saturating_sub(1)
    }

    /// The contents of an EF in the image.
    pub(crate) fn made_content(&mut self, index: FileIndex) -> Option<&mut Vec<u8>> {
        let body = self.image.files.get(index.0)?.body?;
        Arc::make_mut(&mut self.image.contents).get_mut(body).map(Arc::make_mut)
    }
}
