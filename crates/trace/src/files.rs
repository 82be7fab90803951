//! Names of files and applications. The file names are taken from the file system templates of the
//! TCA.

use profile::element::FileSystemKind;
use profile::template::{self, Shape};
use rsp::ids::Aid;

/// An application that can be selected by its AID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Application {
    /// The MF and its files, which is selected without an AID.
    #[default]
    Mf,
    Usim,
    Isim,
    Csim,
    IsdR,
    Ecasd,
    IsdP,
    /// Any other application.
    Other,
}

impl Application {
    /// Returns the application of an AID, or of the beginning of one.
    pub(super) fn of(aid: &[u8]) -> Self {
        match aid {
            _ if aid == Aid::ISD_R => Self::IsdR,
            _ if aid == Aid::ECASD => Self::Ecasd,
            [0xA0, 0, 0, 0x05, 0x59, 0x10, 0x10, _, _, _, _, 0x89, ..] => Self::IsdP,
            [0xA0, 0, 0, 0, 0x87, 0x10, 0x02, ..] => Self::Usim,
            [0xA0, 0, 0, 0, 0x87, 0x10, 0x04, ..] => Self::Isim,
            [0xA0, 0, 0, 0x03, 0x43, 0x10, 0x02, ..] => Self::Csim,
            _ => Self::Other,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mf => "MF",
            Self::Usim => "ADF.USIM",
            Self::Isim => "ADF.ISIM",
            Self::Csim => "ADF.CSIM",
            Self::IsdR => "ISD-R",
            Self::Ecasd => "ECASD",
            Self::IsdP => "ISD-P",
            Self::Other => "an application",
        }
    }

    /// Returns the templates that define the names of its files.
    fn templates(self) -> &'static [FileSystemKind] {
        use FileSystemKind as K;
        match self {
            Self::Mf => &[K::Mf, K::Cd, K::Telecom],
            Self::Usim => &[
                K::Usim,
                K::OptUsim,
                K::Phonebook,
                K::GsmAccess,
                K::Df5gs,
                K::DfSaip,
                K::DfSnpn,
                K::Df5gprose,
                K::OptIot,
            ],
            Self::Isim => &[K::Isim, K::OptIsim],
            Self::Csim => &[K::Csim, K::OptCsim],
            Self::IsdR | Self::Ecasd | Self::IsdP | Self::Other => &[],
        }
    }

    /// Returns the name of a file. A file in `directory` (0 for the application itself) takes
    /// precedence.
    pub(super) fn file(self, directory: u16, fid: u16) -> Option<String> {
        match fid {
            0x3F00 => return Some("MF".to_owned()),
            0x7FFF => return Some("the current ADF".to_owned()),
            _ => {}
        }
        let rows = || self.rows();
        let found = rows()
            .find(|(place, row)| *place == directory && row.fid == fid)
            .or_else(|| rows().find(|(_, row)| row.fid == fid));
        let (_, row) = found.or_else(|| Self::Mf.rows().find(|(_, row)| row.fid == fid))?;
        Some(written(row.name))
    }

    /// Returns the name of a file by its short file identifier.
    pub(super) fn short_file(self, directory: u16, sfi: u8) -> Option<String> {
        let (_, row) = self.rows().find(|(place, row)| *place == directory && sfi != 0 && row.sfi == sfi)?;
        Some(written(row.name))
    }

    /// Returns every file of the templates with its directory.
    fn rows(self) -> impl Iterator<Item = (u16, &'static template::Element)> {
        self.templates().iter().flat_map(|kind| {
            let mut directory = 0;
            template::elements(*kind).iter().map(move |row| {
                if matches!(row.shape, Shape::Df) {
                    directory = row.fid;
                    (0, row)
                } else {
                    (directory, row)
                }
            })
        })
    }
}

/// Converts a template's name to the standard's spelling: `ef-imsi` to EF.IMSI, `df-df-5gs` to
/// DF.5GS.
fn written(name: &str) -> String {
    let name = name.replacen("df-df-", "df-", 1).to_uppercase();
    name.replacen('-', ".", 1)
}

/// True if the file contains keys that a USIM has negotiated: TS 31.102 sections 4.2.3, 4.2.4,
/// 4.2.92, 4.4.3, 4.4.11.
pub(super) fn holds_keys(name: &str) -> bool {
    const KEYS: [&str; 8] = [
        "EF.KEYS",
        "EF.KEYSPS",
        "EF.KC",
        "EF.KCGPRS",
        "EF.EPSNSC",
        "EF.5GS3GPPNSC",
        "EF.5GSN3GPPNSC",
        "EF.5GAUTHKEYS",
    ];
    KEYS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_according_to_their_directories() {
        let name = |application: Application, directory, fid| application.file(directory, fid);
        assert_eq!(name(Application::Mf, 0, 0x2FE2).as_deref(), Some("EF.ICCID"));
        assert_eq!(name(Application::Usim, 0, 0x6F07).as_deref(), Some("EF.IMSI"));
        assert_eq!(name(Application::Isim, 0, 0x6F02).as_deref(), Some("EF.IMPI"));
        assert_eq!(name(Application::Usim, 0, 0x5FC0).as_deref(), Some("DF.5GS"));
        assert_eq!(name(Application::Usim, 0x5FC0, 0x4F01).as_deref(), Some("EF.5GS3GPPLOCI"));
        assert_eq!(name(Application::Usim, 0x5F3B, 0x4F20).as_deref(), Some("EF.KC"));
        assert_eq!(name(Application::Usim, 0, 0x7F10).as_deref(), Some("DF.TELECOM"));
        assert_eq!(name(Application::Usim, 0, 0x1234), None);
        assert_eq!(Application::Usim.short_file(0, 0x07).as_deref(), Some("EF.IMSI"));
    }

    #[test]
    fn files_with_keys_are_recognised_by_their_template_names() {
        for (directory, fid) in
            [(0, 0x6F08), (0, 0x6F09), (0, 0x6FE4), (0x5FC0, 0x4F03), (0x5FC0, 0x4F04), (0x5FC0, 0x4F05)]
        {
            let name = Application::Usim.file(directory, fid).unwrap();
            assert!(holds_keys(&name), "{name}");
        }
    }
}
