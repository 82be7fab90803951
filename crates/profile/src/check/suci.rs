//! The data with which a terminal or a USIM conceals the subscription: TS 31.102 sections 4.4.11.8
//! to 4.4.11.11.

use super::{InstalledPackage, NON_IMSI_USIM, Report, USIM, hex, is_blank, rules};
use crate::files::FileIndex;
use crate::octets::Fid;
use crate::usim::{ProtectionScheme, SuciCalcInfo, Usim};

const DF_5GS: Fid = Fid(0x5FC0);
const DF_SAIP: Fid = Fid(0x5FD0);
const EF_SUCI_CALC_INFO: Fid = Fid(0x4F07);
const EF_SUCI_CALC_INFO_USIM: Fid = Fid(0x4F01);
const EF_ROUTING_INDICATOR: Fid = Fid(0x4F0A);

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    for adf in installed.adfs_of(&[USIM, NON_IMSI_USIM]) {
        let Some(usim) = installed.profile.usim_in(adf) else { continue };
        let files = &installed.profile.files;
        let file = |directory, fid| files.child(files.child(adf, directory)?, fid);
        let terminal = file(DF_5GS, EF_SUCI_CALC_INFO);
        let own = file(DF_SAIP, EF_SUCI_CALC_INFO_USIM);
        for index in [terminal, own].into_iter().flatten() {
            info(installed, index, usim, report);
        }
        if installed.whole {
            who(installed, adf, usim, (terminal, own), report);
        }
        if let Some(index) = file(DF_5GS, EF_ROUTING_INDICATOR) {
            routing_indicator(installed, index, report);
        }
    }
}

/// Checks that the terminal or the USIM, whichever computes the SUCI, finds the data that it needs.
fn who(
    installed: &InstalledPackage<'_>,
    adf: FileIndex,
    usim: Usim<'_>,
    (terminal, own): (Option<FileIndex>, Option<FileIndex>),
    report: &mut Report,
) {
    match (usim.has_service(124), usim.has_service(125)) {
        (true, true) if own.is_none() => {
            let what = "the USIM conceals the identity (service 125), but DF.SAIP has no 4F01";
            report.add(&rules::SUCI_MISSING, installed.place_of(adf), what);
        }
        (true, true) => {
            let readable = terminal.filter(|index| has_info(installed, *index));
            if let Some(index) = readable {
                let what = "the USIM conceals the identity (service 125), but the profile has this file for the terminal too";
                report.add(&rules::SUCI_READABLE, installed.place_of(index), what);
            }
        }
        (true, false) if terminal.is_none() => {
            let what = "the terminal conceals the identity (service 124), but DF.5GS has no 4F07";
            report.add(&rules::SUCI_MISSING, installed.place_of(adf), what);
        }
        _ => {}
    }
}

fn has_info(installed: &InstalledPackage<'_>, index: FileIndex) -> bool {
    installed.profile.files.content(index).is_some_and(|content| !is_blank(content))
}

fn info(installed: &InstalledPackage<'_>, index: FileIndex, usim: Usim<'_>, report: &mut Report) {
    let Some(content) = installed.profile.files.content(index).filter(|content| !is_blank(content)) else {
        return;
    };
    let Some(info) = SuciCalcInfo::of(content) else {
        return report.add(&rules::SUCI_UNREADABLE, installed.place_of(index), hex(content));
    };
    if info.schemes.is_empty() {
        report.add(&rules::SUCI_NO_SCHEME, installed.place_of(index), "the list of schemes is empty");
    }
    for scheme in &info.schemes {
        self::scheme(installed, index, &info, *scheme, report);
    }
    for (number, key) in (1..).zip(&info.keys) {
        if !info.schemes.iter().any(|scheme| usize::from(scheme.key_index) == number) {
            let what = format!("no scheme uses key {number} (identifier {})", key.identifier);
            report.add(&rules::SUCI_KEY_UNUSED, installed.place_of(index), what);
        }
    }
    if !usim.has_service(124) && info.schemes.iter().any(|scheme| scheme.identifier != 0) {
        let what = "the file contains schemes, but service 124 is not set";
        report.add(&rules::SUCI_NOT_AVAILABLE, installed.place_of(index), what);
    }
}

fn scheme(
    installed: &InstalledPackage<'_>,
    index: FileIndex,
    info: &SuciCalcInfo<'_>,
    scheme: ProtectionScheme,
    report: &mut Report,
) {
    let place = || installed.place_in(index, &format!("scheme {}", scheme.identifier));
    if matches!(scheme.identifier, 3..=11 | 16..) {
        report.add(&rules::SUCI_SCHEME, place(), format!("scheme {} is reserved", scheme.identifier));
    }
    if (scheme.identifier == 0) != (scheme.key_index == 0) {
        let what = format!("the key index of the null scheme is {}", scheme.key_index);
        return report.add(&rules::SUCI_KEY_MISSING, place(), what);
    }
    if scheme.identifier == 0 {
        return;
    }
    let Some(key) = info.key(scheme) else {
        let what = format!("the scheme refers to key {} of {}", scheme.key_index, info.keys.len());
        return report.add(&rules::SUCI_KEY_MISSING, place(), what);
    };
    let fits = match (scheme.identifier, key.key) {
        (1, key) => key.len() == 32,
        (2, [0x02 | 0x03, ..]) => key.key.len() == 33,
        (2, [0x04, ..]) => key.key.len() == 65,
        (2, _) => false,
        _ => true,
    };
    if !fits {
        let what = format!("key {} is {}", scheme.key_index, hex(key.key));
        report.add(&rules::SUCI_KEY_LENGTH, place(), what);
    }
}

fn routing_indicator(installed: &InstalledPackage<'_>, index: FileIndex, report: &mut Report) {
    let Some([first, second, ..]) = installed.profile.files.content(index) else { return };
    if [*first, *second] == [0xFF; 2] {
        return;
    }
    let nibbles = [first & 0x0F, first >> 4, second & 0x0F, second >> 4];
    let digits = nibbles.iter().take_while(|nibble| **nibble <= 9).count();
    if digits == 0 || !nibbles.iter().skip(digits).all(|nibble| *nibble == 0x0F) {
        let what = format!("{first:02X}{second:02X} is not a number of one to four digits");
        report.add(&rules::ROUTING_INDICATOR, installed.place_of(index), what);
    }
}
