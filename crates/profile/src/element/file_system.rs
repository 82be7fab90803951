//! The PEs that create files by template: one structure for all, with the elements listed in a
//! table.

use rsp::der::{Asn1, DecodeError, Problem, Reader, Tag, Unknown, write_tlv};
use rsp::ids::Oid;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{FileItem, FileSystemKind, PeHeader};
use crate::macros::Present;
use crate::template;

/// A file that the package names, and the steps that create it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The ASN.1 name of the element, such as `ef-imsi`.
    pub name: &'static str,
    /// The steps in order.
    pub items: Vec<FileItem>,
}

/// A PE that creates files by template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystemElement {
    /// The type.
    pub kind: FileSystemKind,
    /// The PE header.
    pub header: PeHeader,
    /// The template and its version.
    pub template_id: Oid,
    /// The files in the order of the ASN.1.
    pub files: Vec<NamedFile>,
    /// Files that this version does not know, as received.
    pub unknown: Unknown,
}

impl FileSystemElement {
    /// The steps of the file `name`, if the package lists it.
    pub fn file(&self, name: &str) -> Option<&[FileItem]> {
        self.files.iter().find(|file| file.name == name).map(|file| file.items.as_slice())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut contents = Vec::new();
        self.header.encode_as(HEADER, &mut contents);
        self.template_id.encode_as(TEMPLATE_ID, &mut contents);
        let mut numbered = numbered(self.kind);
        for file in &self.files {
            // A name that belongs to another PE or is at the wrong position has no tag, so it
            // cannot be encoded.
            if let Some((tag, _)) = numbered.find(|(_, name)| *name == file.name) {
                file.items.encode_as(tag, &mut contents);
            }
        }
        contents.extend_from_slice(&self.unknown.0);
        write_tlv(self.kind.tag(), &contents, out);
    }

    pub(super) fn decode(kind: FileSystemKind, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut inner = reader.enter(kind.tag())?;
        let header =
            PeHeader::decode_as(HEADER, &mut inner).map_err(|error| error.within(kind.header_name()))?;
        let template_id =
            Oid::decode_as(TEMPLATE_ID, &mut inner).map_err(|error| error.within("templateID"))?;
        let mut files = Vec::new();
        for (tag, name) in numbered(kind) {
            let items =
                Option::<Vec<FileItem>>::decode_as(tag, &mut inner).map_err(|error| error.within(name))?;
            files.extend(items.map(|items| NamedFile { name, items }));
        }
        if let Some(next) = inner.peek()?
            && numbered(kind).any(|(tag, _)| tag == next)
        {
            return Err(
                inner.error(Problem::BadValue("the elements are out of order, or one of them is repeated"))
            );
        }
        let unknown = Unknown::decode_as(Tag::CHOICE, &mut inner)?;
        Ok(Self { kind, header, template_id, files, unknown })
    }
}

const HEADER: Tag = Tag(0xA0);
const TEMPLATE_ID: Tag = Tag(0x81);

/// The tags and names of the files of `kind`, which follow the header and the template.
fn numbered(kind: FileSystemKind) -> impl Iterator<Item = (Tag, &'static str)> {
    (2u8..).zip(template::elements(kind)).map(|(number, element)| (Tag::context(number, true), element.name))
}

impl Serialize for FileSystemElement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.kind.header_name(), &self.header)?;
        map.serialize_entry("templateID", &self.template_id)?;
        for file in &self.files {
            map.serialize_entry(file.name, &file.items)?;
        }
        if self.unknown.is_present() {
            map.serialize_entry("unknown", &self.unknown)?;
        }
        map.end()
    }
}
