//! Decoding of PEs from JSON with their ASN.1 names.

use serde_json::Value;

use super::{FileSystemElement, FileSystemKind, NamedFile, PeHeader, ProfileElement, UnknownElement};
use crate::json::{FromJson, Misread, alternative, field, object};
use crate::template;

impl FromJson for UnknownElement {
    fn from_json(value: &Value) -> Result<Self, Misread> {
        let object = object(value, &["tag", "contents"])?;
        let tag: String = field(object, "tag")?;
        let number = u32::from_str_radix(&tag, 16).ok();
        let tag = number
            .map(rsp::der::Tag)
            .ok_or_else(|| Misread::new("a tag in hex digits is expected here").within("tag"))?;
        Ok(Self { tag, contents: field(object, "contents")? })
    }
}

impl FileSystemElement {
    fn from_json(kind: FileSystemKind, value: &Value) -> Result<Self, Misread> {
        let header = kind.header_name();
        let names: Vec<&str> = template::elements(kind).iter().map(|element| element.name).collect();
        let known: Vec<&str> =
            [header, "templateID", "unknown"].into_iter().chain(names.iter().copied()).collect();
        let object = object(value, &known)?;
        let mut files = Vec::new();
        for name in names {
            if object.contains_key(name) {
                files.push(NamedFile { name, items: field(object, name)? });
            }
        }
        Ok(Self {
            kind,
            header: field::<PeHeader>(object, header)?,
            template_id: field(object, "templateID")?,
            files,
            unknown: field(object, "unknown")?,
        })
    }
}

impl ProfileElement {
    /// Decodes a PE from its JSON: `{ "<name of the alternative>": { ... } }`. NULL is null or
    /// true.
    ///
    /// # Errors
    /// The JSON is not a valid PE.
    pub fn from_json(value: &Value) -> Result<Self, Misread> {
        let (name, inner) = alternative(value)?;
        let read = match name {
            "header" => FromJson::from_json(inner).map(Self::Header),
            "genericFileManagement" => FromJson::from_json(inner).map(Self::GenericFileManagement),
            "pinCodes" => FromJson::from_json(inner).map(Self::PinCodes),
            "pukCodes" => FromJson::from_json(inner).map(Self::PukCodes),
            "akaParameter" => FromJson::from_json(inner).map(Self::AkaParameter),
            "cdmaParameter" => FromJson::from_json(inner).map(Self::CdmaParameter),
            "securityDomain" => FromJson::from_json(inner).map(Self::SecurityDomain),
            "rfm" => FromJson::from_json(inner).map(Self::Rfm),
            "application" => FromJson::from_json(inner).map(Self::Application),
            "nonStandard" => FromJson::from_json(inner).map(Self::NonStandard),
            "end" => FromJson::from_json(inner).map(Self::End),
            "unknown" => FromJson::from_json(inner).map(Self::Unknown),
            _ => match FileSystemKind::ALL.into_iter().find(|kind| kind.name() == name) {
                Some(kind) => FileSystemElement::from_json(kind, inner).map(Self::FileSystem),
                None => Err(Misread::new("no profile element has this name")),
            },
        };
        read.map_err(|misread| misread.within(name))
    }
}
