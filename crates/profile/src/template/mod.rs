//! File structure templates: the files that a template creates, and their default properties.
//!
//! TCA "eUICC Profile Package: Interoperable Format", Annex A. There is one table for each PE, with
//! one row for each file in the order of the ASN.1. The tag of an element is its position in the
//! table plus 2. A row contains the first version of the template with this file, and the changes
//! of later versions.

use crate::element::FileSystemKind;

mod csim;
mod iot;
mod isim;
mod mf;
mod telecom;
mod usim;
mod usim_dfs;

/// The type of a file. A size of 0 must be given by the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The master file.
    Mf,
    /// An application's directory.
    Adf,
    /// A directory, which contains the files that follow in the table.
    Df,
    /// A transparent EF.
    Transparent(u32),
    /// A linear fixed EF.
    LinearFixed {
        /// Number of records.
        records: u32,
        /// Length of a record in bytes.
        length: u32,
    },
    /// A cyclic EF.
    Cyclic {
        /// Number of records.
        records: u32,
        /// Length of a record in bytes.
        length: u32,
    },
    /// A BER-TLV structure EF.
    BerTlv(u32),
}

/// A file of a template.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// Its ASN.1 name.
    pub name: &'static str,
    /// Its identifier; 0 if the package must give one.
    pub fid: u16,
    /// Its type.
    pub shape: Shape,
    /// The record of EF.ARR with its access rule.
    pub arr: u8,
    /// Its short identifier; 0 if it has none.
    pub sfi: u8,
    /// Its contents, or the contents of each record, in hexadecimal digits. `...` repeats the byte
    /// before it until the length is reached, a final `*` repeats the whole pattern, and an empty
    /// text means FF in all bytes.
    pub default: &'static str,
    /// True if every package must name the file.
    pub mandatory: bool,
    /// True if the package must supply the contents.
    pub content_required: bool,
    /// True if it is updated often.
    pub high_update: bool,
    /// The first version of the template with this file.
    pub since: u8,
    /// The change by a later version: the version, the new type and the new contents.
    pub changed: Option<(u8, Shape, &'static str)>,
}

impl Element {
    const fn sfi(mut self, sfi: u8) -> Self {
        self.sfi = sfi;
        self
    }

    const fn default(mut self, pattern: &'static str) -> Self {
        self.default = pattern;
        self
    }

    const fn mandatory(mut self) -> Self {
        self.mandatory = true;
        self
    }

    const fn content_required(mut self) -> Self {
        self.content_required = true;
        self
    }

    const fn high_update(mut self) -> Self {
        self.high_update = true;
        self
    }

    const fn since(mut self, version: u8) -> Self {
        self.since = version;
        self
    }

    const fn changed(mut self, version: u8, shape: Shape, pattern: &'static str) -> Self {
        self.changed = Some((version, shape, pattern));
        self
    }

    /// The row in `version` of the template; `None` if the file was added later.
    pub fn at(&self, version: u8) -> Option<Self> {
        let mut element = *self;
        if let Some((from, shape, default)) = self.changed
            && version >= from
        {
            element.shape = shape;
            element.default = default;
        }
        (version >= self.since).then_some(element)
    }
}

const fn element(name: &'static str, fid: u16, shape: Shape, arr: u8) -> Element {
    Element {
        name,
        fid,
        shape,
        arr,
        sfi: 0,
        default: "",
        mandatory: false,
        content_required: false,
        high_update: false,
        since: 1,
        changed: None,
    }
}

const fn directory(name: &'static str, fid: u16, shape: Shape) -> Element {
    element(name, fid, shape, 14)
}

const fn transparent(name: &'static str, fid: u16, size: u32, arr: u8) -> Element {
    element(name, fid, Shape::Transparent(size), arr)
}

const fn linear_fixed(name: &'static str, fid: u16, records: u32, length: u32, arr: u8) -> Element {
    element(name, fid, Shape::LinearFixed { records, length }, arr)
}

const fn cyclic(name: &'static str, fid: u16, records: u32, length: u32, arr: u8) -> Element {
    element(name, fid, Shape::Cyclic { records, length }, arr)
}

const fn ber_tlv(name: &'static str, fid: u16, arr: u8) -> Element {
    element(name, fid, Shape::BerTlv(0), arr)
}

/// The files that a PE can name, in the order of its tags.
pub fn elements(kind: FileSystemKind) -> &'static [Element] {
    match kind {
        FileSystemKind::Mf => mf::MF,
        FileSystemKind::Cd => mf::CD,
        FileSystemKind::Telecom => telecom::TELECOM,
        FileSystemKind::Usim => usim::USIM,
        FileSystemKind::OptUsim => usim::OPT_USIM,
        FileSystemKind::Isim => isim::ISIM,
        FileSystemKind::OptIsim => isim::OPT_ISIM,
        FileSystemKind::Phonebook => telecom::PHONEBOOK,
        FileSystemKind::GsmAccess => usim_dfs::GSM_ACCESS,
        FileSystemKind::Csim => csim::CSIM,
        FileSystemKind::OptCsim => csim::OPT_CSIM,
        FileSystemKind::Eap => usim_dfs::EAP,
        FileSystemKind::Df5gs => usim_dfs::DF_5GS,
        FileSystemKind::DfSaip => usim_dfs::DF_SAIP,
        FileSystemKind::DfSnpn => usim_dfs::DF_SNPN,
        FileSystemKind::Df5gprose => usim_dfs::DF_5GPROSE,
        FileSystemKind::Iot => iot::IOT,
        FileSystemKind::OptIot => iot::OPT_IOT,
    }
}

/// The number of the template under 2.23.143.1.2 and its newest supported version.
pub fn number(kind: FileSystemKind) -> (u8, u8) {
    match kind {
        FileSystemKind::Mf => (1, 1),
        FileSystemKind::Cd => (2, 1),
        FileSystemKind::Telecom => (3, 2),
        FileSystemKind::Usim => (4, 2),
        FileSystemKind::OptUsim => (5, 3),
        FileSystemKind::Phonebook => (6, 1),
        FileSystemKind::GsmAccess => (7, 1),
        FileSystemKind::Isim => (8, 1),
        FileSystemKind::OptIsim => (9, 2),
        FileSystemKind::Csim => (10, 2),
        FileSystemKind::OptCsim => (11, 2),
        FileSystemKind::Eap => (12, 1),
        FileSystemKind::Df5gs => (13, 4),
        FileSystemKind::DfSaip => (14, 1),
        FileSystemKind::DfSnpn => (15, 1),
        FileSystemKind::Df5gprose => (16, 1),
        FileSystemKind::Iot => (17, 1),
        FileSystemKind::OptIot => (18, 1),
    }
}

/// True if files that the package does not name are created as well.
pub fn created_by_default(kind: FileSystemKind) -> bool {
    matches!(
        kind,
        FileSystemKind::Mf
            | FileSystemKind::Usim
            | FileSystemKind::Isim
            | FileSystemKind::Csim
            | FileSystemKind::Iot
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_hex_with_one_wildcard_at_most() {
        for kind in FileSystemKind::ALL {
            for element in elements(kind) {
                for pattern in [element.default, element.changed.map_or("", |(_, _, pattern)| pattern)] {
                    let digits = pattern.trim_end_matches('*').replacen("...", "", 1);
                    assert!(hex::decode(&digits).is_ok(), "{} {pattern}", element.name);
                }
            }
        }
    }

    #[test]
    fn identifiers_are_unique_within_a_directory() {
        for kind in FileSystemKind::ALL {
            let mut here: Vec<u16> = Vec::new();
            for element in elements(kind) {
                if matches!(element.shape, Shape::Df | Shape::Adf | Shape::Mf) {
                    here.clear();
                }
                assert!(element.fid == 0 || !here.contains(&element.fid), "{} of {kind:?}", element.name);
                here.push(element.fid);
            }
        }
    }

    #[test]
    fn the_last_three_file_system_elements_have_long_tags() {
        assert_eq!(FileSystemKind::Mf.tag().to_string(), "B0");
        assert_eq!(FileSystemKind::DfSnpn.tag().to_string(), "BE");
        assert_eq!(FileSystemKind::Df5gprose.tag().to_string(), "BF1F");
        assert_eq!(FileSystemKind::OptIot.tag().to_string(), "BF21");
    }
}
