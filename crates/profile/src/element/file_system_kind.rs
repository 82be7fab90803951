//! The types of PEs that create files by template: their tags and names.

use rsp::der::Tag;

/// The type of a file system PE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the alternative of ProfileElement with that name")]
pub enum FileSystemKind {
    Mf,
    Cd,
    Telecom,
    Usim,
    OptUsim,
    Isim,
    OptIsim,
    Phonebook,
    GsmAccess,
    Csim,
    OptCsim,
    Eap,
    Df5gs,
    DfSaip,
    DfSnpn,
    Df5gprose,
    Iot,
    OptIot,
}

impl FileSystemKind {
    /// All types, in the order of the ASN.1.
    pub const ALL: [Self; 18] = [
        Self::Mf,
        Self::Cd,
        Self::Telecom,
        Self::Usim,
        Self::OptUsim,
        Self::Isim,
        Self::OptIsim,
        Self::Phonebook,
        Self::GsmAccess,
        Self::Csim,
        Self::OptCsim,
        Self::Eap,
        Self::Df5gs,
        Self::DfSaip,
        Self::DfSnpn,
        Self::Df5gprose,
        Self::Iot,
        Self::OptIot,
    ];

    /// The tag of the alternative: 16 and up, in the order of the ASN.1.
    pub fn tag(self) -> Tag {
        Tag::context(16 + self as u8, true)
    }

    /// The type with this tag.
    pub fn of_tag(tag: Tag) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tag() == tag)
    }

    /// The name of the alternative and the name of its header element.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Mf => ("mf", "mf-header"),
            Self::Cd => ("cd", "cd-header"),
            Self::Telecom => ("telecom", "telecom-header"),
            Self::Usim => ("usim", "usim-header"),
            Self::OptUsim => ("opt-usim", "optusim-header"),
            Self::Isim => ("isim", "isim-header"),
            Self::OptIsim => ("opt-isim", "optisim-header"),
            Self::Phonebook => ("phonebook", "phonebook-header"),
            Self::GsmAccess => ("gsm-access", "gsm-access-header"),
            Self::Csim => ("csim", "csim-header"),
            Self::OptCsim => ("opt-csim", "optcsim-header"),
            Self::Eap => ("eap", "eap-header"),
            Self::Df5gs => ("df-5gs", "df-5gs-header"),
            Self::DfSaip => ("df-saip", "df-saip-header"),
            Self::DfSnpn => ("df-snpn", "df-snpn-header"),
            Self::Df5gprose => ("df-5gprose", "df-5g-prose-header"),
            Self::Iot => ("iot", "iot-header"),
            Self::OptIot => ("opt-iot", "optiot-header"),
        }
    }

    /// The name of the alternative in the ASN.1.
    pub fn name(self) -> &'static str {
        self.names().0
    }

    /// The name of its header element.
    pub(super) fn header_name(self) -> &'static str {
        self.names().1
    }
}
