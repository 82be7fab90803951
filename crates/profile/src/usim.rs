//! The subscription in the files of a USIM: TS 31.102 section 4.2.

mod suci;

use rsp::ids::{Imsi, Plmn};

use crate::files::{FileIndex, FileKind, ProfileFiles};
use crate::install::InstalledProfile;
use crate::octets::Fid;

pub use suci::{HomeNetworkKey, ProtectionScheme, SuciCalcInfo};

/// RID of 3GPP and the application code of the USIM: TS 101 220 Annex E.
pub(crate) const AID: [u8; 7] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02];

/// RID of 3GPP and the application code of a USIM without IMSI: TS 31.102 annex N.
pub(crate) const AID_NON_IMSI: [u8; 7] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x0B];

const EF_IMSI: Fid = Fid(0x6F07);
const EF_UST: Fid = Fid(0x6F38);
const EF_AD: Fid = Fid(0x6FAD);
const EF_SPN: Fid = Fid(0x6F46);
const EF_GID1: Fid = Fid(0x6F3E);
const EF_GID2: Fid = Fid(0x6F3F);

/// The files of one USIM.
#[derive(Clone, Copy, Debug)]
pub struct Usim<'a> {
    files: &'a ProfileFiles,
    adf: FileIndex,
}

impl InstalledProfile {
    /// The first USIM of the profile.
    pub fn usim(&self) -> Option<Usim<'_>> {
        let (adf, _) = self.files.adfs(&AID).next()?;
        Some(Usim { files: &self.files, adf })
    }

    /// The USIM in this directory, with or without IMSI; `None` if it belongs to another
    /// application.
    pub fn usim_in(&self, adf: FileIndex) -> Option<Usim<'_>> {
        match &self.files.file(adf)?.kind {
            FileKind::Adf { aid } if aid.starts_with(&AID) || aid.starts_with(&AID_NON_IMSI) => {
                Some(Usim { files: &self.files, adf })
            }
            _ => None,
        }
    }
}

impl<'a> Usim<'a> {
    /// Its directory.
    pub fn adf(self) -> FileIndex {
        self.adf
    }

    /// True if EF.UST (section 4.2.8) lists a service, counted from 1, as available.
    pub fn has_service(self, number: usize) -> bool {
        let bit = number.saturating_sub(1);
        let octet = self.content(EF_UST).and_then(|table| table.get(bit / 8));
        number > 0 && octet.is_some_and(|octet| octet >> (bit % 8) & 1 == 1)
    }

    /// EF.IMSI (section 4.2.2); `None` if it contains no IMSI.
    pub fn imsi(self) -> Option<Imsi> {
        Imsi::from_ef(self.content(EF_IMSI)?).ok()
    }

    /// The home network, which is the beginning of the IMSI. EF.AD (section 4.2.18) defines the
    /// length of the network code. If EF.AD is too short for this field, the network code has two
    /// digits, as all codes had when such cards were made.
    pub fn home(self) -> Option<Plmn> {
        let mnc_digits = self.content(EF_AD).and_then(|ad| ad.get(3)).map_or(2, |octet| octet & 0x0F);
        self.imsi()?.plmn(mnc_digits.into())
    }

    /// The name in EF.SPN (section 4.2.12), if it is in the default alphabet. Names in UCS2 are not
    /// decoded.
    pub fn service_provider_name(self) -> Option<String> {
        // The first byte is the display condition.
        in_default_alphabet(self.content(EF_SPN)?.get(1..)?)
    }

    /// EF.GID1 (section 4.2.10); `None` if it is empty.
    pub fn gid1(self) -> Option<&'a [u8]> {
        self.filled(EF_GID1)
    }

    /// EF.GID2 (section 4.2.11); `None` if it is empty.
    pub fn gid2(self) -> Option<&'a [u8]> {
        self.filled(EF_GID2)
    }

    fn content(self, fid: Fid) -> Option<&'a [u8]> {
        self.files.child(self.adf, fid).and_then(|file| self.files.content(file))
    }

    fn filled(self, fid: Fid) -> Option<&'a [u8]> {
        self.content(fid).filter(|octets| octets.iter().any(|octet| *octet != 0xFF))
    }
}

pub(crate) fn in_default_alphabet(octets: &[u8]) -> Option<String> {
    let used = octets.iter().take_while(|octet| **octet != 0xFF);
    let name: Option<String> = used.map(|octet| DEFAULT_ALPHABET.chars().nth(usize::from(*octet))).collect();
    name.filter(|name| !name.is_empty())
}

/// The default alphabet of TS 23.038 section 6.2.1; the escape character is shown as a blank, as
/// that section says.
pub(crate) const DEFAULT_ALPHABET: &str = concat!(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?",
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generic::{Subscription, generic};
    use crate::install::Capabilities;

    fn installed(imsi: &str, mnc_digits: u8) -> InstalledProfile {
        let package = generic(&Subscription { imsi: imsi.to_owned(), mnc_digits, ..Subscription::default() });
        InstalledProfile::of(&package, &Capabilities::default()).unwrap()
    }

    /// The same profile with other contents of one file.
    fn with(mut profile: InstalledProfile, fid: Fid, content: &[u8]) -> InstalledProfile {
        let file = profile.files.child(profile.usim().unwrap().adf(), fid).unwrap();
        *profile.files.content_mut(file).unwrap() = content.to_vec();
        profile
    }

    #[test]
    fn the_length_of_the_home_network_comes_from_ef_ad() {
        let home = |profile: InstalledProfile| Some(profile.usim()?.home()?.to_string());
        assert_eq!(home(installed("001010123456789", 2)).as_deref(), Some("001-01"));
        assert_eq!(home(installed("310410123456789", 3)).as_deref(), Some("310-410"));
        let three = || installed("310410123456789", 3);
        assert_eq!(home(with(three(), EF_AD, &[0, 0, 0])).as_deref(), Some("310-41"));
        assert_eq!(home(with(three(), EF_AD, &[0, 0, 0, 0])), None, "a reserved value");
        assert_eq!(home(with(three(), EF_IMSI, &[0xFF; 9])), None);
    }

    #[test]
    fn services_are_counted_from_one() {
        let profile = with(installed("001010123456789", 2), EF_UST, &[0x81, 0x00, 0x02]);
        let usim = profile.usim().unwrap();
        let available: Vec<usize> = (0..100).filter(|number| usim.has_service(*number)).collect();
        assert_eq!(available, [1, 8, 18]);
    }

    #[test]
    fn an_empty_group_identifier_is_absent() {
        let profile = installed("001010123456789", 2);
        let usim = profile.usim().unwrap();
        assert_eq!((usim.gid1(), usim.gid2()), (None, None));
        assert_eq!(usim.imsi().unwrap().to_string(), "001010123456789");
        assert_eq!(usim.service_provider_name().as_deref(), Some("Landfall"));
    }

    #[test]
    fn a_name_is_decoded_from_the_default_alphabet() {
        assert_eq!(DEFAULT_ALPHABET.chars().count(), 128);
        // TS.48's EF.SPN.
        assert_eq!(in_default_alphabet(b"GSMA\x11TEST\xFF\xFF").as_deref(), Some("GSMA_TEST"));
        assert_eq!(in_default_alphabet(b"\xFF\xFF"), None);
        assert_eq!(in_default_alphabet(b"\x80\x04"), None);
    }
}
