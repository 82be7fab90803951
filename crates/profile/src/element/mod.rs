//! ProfileElement (PE): the elements of a profile package.

use rsp::der::{Asn1, DecodeError, Null, Problem, Reader, Tag, write_tlv};
use rsp::ids::Oid;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::macros::{always_present, fields};
use crate::octets::Octets;

mod access;
mod aka;
mod application;
mod file;
mod file_system;
mod file_system_kind;
mod header;
mod json;

pub use access::{
    PinCodes, PinCodesChoice, PinConfiguration, PinKeyReference, PukCodes, PukConfiguration, PukKeyReference,
};
pub use aka::{AkaParameter, AlgoConfiguration, AlgoParameter, AlgorithmId, CdmaParameter, MappingParameter};
pub use application::{
    AdditionalContactlessParameters, AdfRfmAccess, Application, ApplicationInstance, ApplicationLoadPackage,
    ApplicationSystemParameters, CatTpParameters, ControlReferenceTemplate, KeyComponent, KeyObject,
    OpenPersoData, Rfm, SecurityDomain, UiccApplicationParameters,
};
pub use file::{Fcp, FileItem, FileManagement, GenericFileManagement, ProprietaryInfo};
pub use file_system::{FileSystemElement, NamedFile};
pub use file_system_kind::FileSystemKind;
pub use header::{IotOptions, MandatoryAid, ProfileHeader, Service, ServicesList};

fields! {
    /// The first element of every PE except the profile header.
    #[derive(Default)]
    pub struct PeHeader = 0x30 {
        "mandated" mandated: Option<Null> = 0x80,
        "identification" identification: i64 = 0x81,
    }
}

impl PeHeader {
    /// The header of a PE that must be supported.
    pub fn mandated(identification: u16) -> Self {
        Self {
            mandated: Some(Null),
            identification: i64::from(identification),
            unknown: rsp::der::Unknown::default(),
        }
    }
}

fields! {
    /// PE-NonStandard: its meaning is defined by `issuer_id`.
    pub struct NonStandard = 0xA9 {
        "nonStandard-header" header: PeHeader = 0xA0,
        "issuerID" issuer_id: Oid = 0x81,
        "content" content: Octets = 0x82,
    }
}

fields! {
    /// PE-End: the last PE.
    pub struct End = 0xAA {
        "end-header" header: PeHeader = 0xA0,
    }
}

/// A PE of a type that is reserved or unknown to this version, as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownElement {
    /// The tag of the alternative.
    pub tag: Tag,
    /// The contents.
    pub contents: Octets,
}

impl UnknownElement {
    /// The PE header at the start of the contents, where every PE has it.
    pub fn header(&self) -> Option<PeHeader> {
        PeHeader::decode_as(Tag(0xA0), &mut Reader::new(&self.contents)).ok()
    }
}

impl Serialize for UnknownElement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("tag", &self.tag.to_string())?;
        map.serialize_entry("contents", &self.contents)?;
        map.end()
    }
}

/// A PE.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileElement {
    /// The profile and its requirements.
    Header(ProfileHeader),
    /// Files by path, without a template.
    GenericFileManagement(GenericFileManagement),
    /// PINs and administrative codes of the present directory.
    PinCodes(PinCodes),
    /// Unblocking codes.
    PukCodes(PukCodes),
    /// Authentication parameters of a USIM or ISIM.
    AkaParameter(Box<AkaParameter>),
    /// Authentication parameters of a CSIM.
    CdmaParameter(CdmaParameter),
    /// A security domain and its keys.
    SecurityDomain(Box<SecurityDomain>),
    /// A remote file management instance.
    Rfm(Rfm),
    /// An application: load block, instances, or both.
    Application(Box<Application>),
    /// A proprietary PE.
    NonStandard(NonStandard),
    /// The end of the package.
    End(End),
    /// Files by template.
    FileSystem(FileSystemElement),
    /// A PE of a later version, or a reserved one.
    Unknown(UnknownElement),
}

impl ProfileElement {
    /// The name of the alternative in the ASN.1.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::GenericFileManagement(_) => "genericFileManagement",
            Self::PinCodes(_) => "pinCodes",
            Self::PukCodes(_) => "pukCodes",
            Self::AkaParameter(_) => "akaParameter",
            Self::CdmaParameter(_) => "cdmaParameter",
            Self::SecurityDomain(_) => "securityDomain",
            Self::Rfm(_) => "rfm",
            Self::Application(_) => "application",
            Self::NonStandard(_) => "nonStandard",
            Self::End(_) => "end",
            Self::FileSystem(element) => element.kind.name(),
            Self::Unknown(_) => "unknown",
        }
    }

    /// The PE header. The profile header has none, and an unknown PE has one if its contents begin
    /// like one.
    pub fn header(&self) -> Option<PeHeader> {
        match self {
            Self::Header(_) => None,
            Self::GenericFileManagement(element) => Some(element.header.clone()),
            Self::PinCodes(element) => Some(element.header.clone()),
            Self::PukCodes(element) => Some(element.header.clone()),
            Self::AkaParameter(element) => Some(element.header.clone()),
            Self::CdmaParameter(element) => Some(element.header.clone()),
            Self::SecurityDomain(element) => Some(element.header.clone()),
            Self::Rfm(element) => Some(element.header.clone()),
            Self::Application(element) => Some(element.header.clone()),
            Self::NonStandard(element) => Some(element.header.clone()),
            Self::End(element) => Some(element.header.clone()),
            Self::FileSystem(element) => Some(element.header.clone()),
            Self::Unknown(element) => element.header(),
        }
    }

    /// The number of the PE in a status report.
    pub fn identification(&self) -> Option<u16> {
        self.header().and_then(|header| u16::try_from(header.identification).ok())
    }

    /// True if the PE must be supported.
    pub fn is_mandated(&self) -> bool {
        self.header().is_some_and(|header| header.mandated.is_some())
    }
}

impl Asn1 for ProfileElement {
    const TAG: Tag = Tag::CHOICE;

    fn encode_as(&self, _: Tag, out: &mut Vec<u8>) {
        fn write<T: Asn1>(element: &T, out: &mut Vec<u8>) {
            element.encode_as(T::TAG, out);
        }
        match self {
            Self::Header(element) => write(element, out),
            Self::GenericFileManagement(element) => write(element, out),
            Self::PinCodes(element) => write(element, out),
            Self::PukCodes(element) => write(element, out),
            Self::AkaParameter(element) => write(element, out),
            Self::CdmaParameter(element) => write(element, out),
            Self::SecurityDomain(element) => write(element, out),
            Self::Rfm(element) => write(element, out),
            Self::Application(element) => write(element, out),
            Self::NonStandard(element) => write(element, out),
            Self::End(element) => write(element, out),
            Self::FileSystem(element) => element.encode(out),
            Self::Unknown(element) => write_tlv(element.tag, &element.contents, out),
        }
    }

    fn decode_as(expected: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        fn read<T: Asn1>(reader: &mut Reader<'_>) -> Result<T, DecodeError> {
            T::decode_as(T::TAG, reader)
        }
        let Some(tag) = reader.peek()? else { return Err(reader.error(Problem::Missing { expected })) };
        let (name, decoded) = match tag {
            ProfileHeader::TAG => ("header", read(reader).map(Self::Header)),
            GenericFileManagement::TAG => {
                ("genericFileManagement", read(reader).map(Self::GenericFileManagement))
            }
            PinCodes::TAG => ("pinCodes", read(reader).map(Self::PinCodes)),
            PukCodes::TAG => ("pukCodes", read(reader).map(Self::PukCodes)),
            AkaParameter::TAG => ("akaParameter", read(reader).map(Self::AkaParameter)),
            CdmaParameter::TAG => ("cdmaParameter", read(reader).map(Self::CdmaParameter)),
            SecurityDomain::TAG => ("securityDomain", read(reader).map(Self::SecurityDomain)),
            Rfm::TAG => ("rfm", read(reader).map(Self::Rfm)),
            Application::TAG => ("application", read(reader).map(Self::Application)),
            NonStandard::TAG => ("nonStandard", read(reader).map(Self::NonStandard)),
            End::TAG => ("end", read(reader).map(Self::End)),
            _ => match FileSystemKind::of_tag(tag) {
                Some(kind) => (kind.name(), FileSystemElement::decode(kind, reader).map(Self::FileSystem)),
                None => {
                    let (tag, contents) = reader.tlv()?;
                    ("unknown", Ok(Self::Unknown(UnknownElement { tag, contents: contents.into() })))
                }
            },
        };
        decoded.map_err(|error| error.within(name))
    }

    fn starts_with(_: Tag, _: Tag) -> bool {
        true
    }
}

impl Serialize for ProfileElement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Header(element) => map.serialize_entry(self.name(), element),
            Self::GenericFileManagement(element) => map.serialize_entry(self.name(), element),
            Self::PinCodes(element) => map.serialize_entry(self.name(), element),
            Self::PukCodes(element) => map.serialize_entry(self.name(), element),
            Self::AkaParameter(element) => map.serialize_entry(self.name(), element),
            Self::CdmaParameter(element) => map.serialize_entry(self.name(), element),
            Self::SecurityDomain(element) => map.serialize_entry(self.name(), element),
            Self::Rfm(element) => map.serialize_entry(self.name(), element),
            Self::Application(element) => map.serialize_entry(self.name(), element),
            Self::NonStandard(element) => map.serialize_entry(self.name(), element),
            Self::End(element) => map.serialize_entry(self.name(), element),
            Self::FileSystem(element) => map.serialize_entry(self.name(), element),
            Self::Unknown(element) => map.serialize_entry(self.name(), element),
        }?;
        map.end()
    }
}

always_present!(AlgoConfiguration, PinCodesChoice, ServicesList);
