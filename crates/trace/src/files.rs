//! Names of files and applications. The names of files are those of the TCA's templates.

use profile::element::FileSystemKind;
use profile::template::{self, Shape};
use rsp::ids::Aid;

/// What is selected by a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Application {
    /// The MF and what is in it.
    #[default]
    Mf,
    Usim,
    Isim,
    Csim,
    IsdR,
    Ecasd,
    IsdP,
    /// Any other.
    Other,
}

impl Application {
    /// The application that an AID, or the start of one, names.
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

    /// The templates that name its files.
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

    /// The name of a file: the one in `directory` (0 for the application itself) if there is one there.
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

    /// The name of a file by its short identifier.
    pub(super) fn short_file(self, directory: u16, sfi: u8) -> Option<String> {
        let (_, row) = self.rows().find(|(place, row)| *place == directory && sfi != 0 && row.sfi == sfi)?;
        Some(written(row.name))
    }

    /// Every file of the templates with the directory that it is in.
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

/// The standard's spelling: `ef-imsi` is EF.IMSI, `df-df-5gs` DF.5GS.
fn written(name: &str) -> String {
    let name = name.replacen("df-df-", "df-", 1).to_uppercase();
    name.replacen('-', ".", 1)
}

/// Whether the contents of a file are keys that a USIM has agreed on: TS 31.102 sections 4.2.3, 4.2.4, 4.2.92, 4.4.3,
/// 4.4.11.
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
    fn files_have_the_names_of_their_directories() {
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
    fn files_with_keys_are_known_by_the_names_that_the_templates_give() {
        for (directory, fid) in
            [(0, 0x6F08), (0, 0x6F09), (0, 0x6FE4), (0x5FC0, 0x4F03), (0x5FC0, 0x4F04), (0x5FC0, 0x4F05)]
        {
            let name = Application::Usim.file(directory, fid).unwrap();
            assert!(holds_keys(&name), "{name}");
        }
    }
}
