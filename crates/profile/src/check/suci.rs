//! The data with which a terminal or a USIM conceals the subscription: TS 31.102 sections 4.4.11.8
//! to 4.4.11.11.

use super::{NON_IMSI_USIM, Report, USIM, Walked, hex, is_blank, rules};
use crate::files::FileIndex;
use crate::octets::Fid;
use crate::usim::{ProtectionScheme, SuciCalcInfo, Usim};

const DF_5GS: Fid = Fid(0x5FC0);
const DF_SAIP: Fid = Fid(0x5FD0);
const EF_SUCI_CALC_INFO: Fid = Fid(0x4F07);
const EF_SUCI_CALC_INFO_USIM: Fid = Fid(0x4F01);
const EF_ROUTING_INDICATOR: Fid = Fid(0x4F0A);

pub(super) fn check(walked: &Walked<'_>, report: &mut Report) {
    for adf in walked.adfs_of(&[USIM, NON_IMSI_USIM]) {
        let Some(usim) = walked.profile.usim_in(adf) else { continue };
        let files = &walked.profile.files;
        let file = |directory, fid| files.child(files.child(adf, directory)?, fid);
        let terminal = file(DF_5GS, EF_SUCI_CALC_INFO);
        let own = file(DF_SAIP, EF_SUCI_CALC_INFO_USIM);
        for index in [terminal, own].into_iter().flatten() {
            info(walked, index, usim, report);
        }
        if walked.whole {
            who(walked, adf, usim, (terminal, own), report);
        }
        if let Some(index) = file(DF_5GS, EF_ROUTING_INDICATOR) {
            routing_indicator(walked, index, report);
        }
    }
}

/// Checks that the terminal or the USIM, whichever computes the SUCI, finds the data that it needs.
fn who(
    walked: &Walked<'_>,
    adf: FileIndex,
    usim: Usim<'_>,
    (terminal, own): (Option<FileIndex>, Option<FileIndex>),
    report: &mut Report,
) {
    match (usim.has_service(124), usim.has_service(125)) {
        (true, true) if own.is_none() => {
            let what = "the USIM conceals the identity (service 125), and DF.SAIP has no 4F01";
            report.add(&rules::SUCI_MISSING, walked.place_of(adf), what);
        }
        (true, true) => {
            let readable = terminal.filter(|index| has_info(walked, *index));
            if let Some(index) = readable {
                let what =
                    "the USIM conceals the identity (service 125), and the terminal finds this as well";
                report.add(&rules::SUCI_READABLE, walked.place_of(index), what);
            }
        }
        (true, false) if terminal.is_none() => {
            let what = "the terminal conceals the identity (service 124), and DF.5GS has no 4F07";
            report.add(&rules::SUCI_MISSING, walked.place_of(adf), what);
        }
        _ => {}
    }
}

fn has_info(walked: &Walked<'_>, index: FileIndex) -> bool {
    walked.profile.files.content(index).is_some_and(|content| !is_blank(content))
}

fn info(walked: &Walked<'_>, index: FileIndex, usim: Usim<'_>, report: &mut Report) {
    let Some(content) = walked.profile.files.content(index).filter(|content| !is_blank(content)) else {
        return;
    };
    let Some(info) = SuciCalcInfo::of(content) else {
        return report.add(&rules::SUCI_UNREADABLE, walked.place_of(index), hex(content));
    };
    if info.schemes.is_empty() {
        report.add(&rules::SUCI_NO_SCHEME, walked.place_of(index), "the list of schemes is empty");
    }
    for scheme in &info.schemes {
        self::scheme(walked, index, &info, *scheme, report);
    }
    for (number, key) in (1..).zip(&info.keys) {
        if !info.schemes.iter().any(|scheme| usize::from(scheme.key_index) == number) {
            let what = format!("key {number} (identifier {}) is nobody's", key.identifier);
            report.add(&rules::SUCI_KEY_UNUSED, walked.place_of(index), what);
        }
    }
    if !usim.has_service(124) && info.schemes.iter().any(|scheme| scheme.identifier != 0) {
        let what = "there are schemes, and service 124 is not set";
        report.add(&rules::SUCI_NOT_AVAILABLE, walked.place_of(index), what);
    }
}

fn scheme(
    walked: &Walked<'_>,
    index: FileIndex,
    info: &SuciCalcInfo<'_>,
    scheme: ProtectionScheme,
    report: &mut Report,
) {
    let place = || walked.place_in(index, &format!("scheme {}", scheme.identifier));
    if matches!(scheme.identifier, 3..=11 | 16..) {
        report.add(&rules::SUCI_SCHEME, place(), format!("scheme {} is reserved", scheme.identifier));
    }
    if (scheme.identifier == 0) != (scheme.key_index == 0) {
        let what = format!("its key index is {}", scheme.key_index);
        return report.add(&rules::SUCI_KEY_MISSING, place(), what);
    }
    if scheme.identifier == 0 {
        return;
    }
    let Some(key) = info.key(scheme) else {
        let what = format!("it names key {} of {}", scheme.key_index, info.keys.len());
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

fn routing_indicator(walked: &Walked<'_>, index: FileIndex, report: &mut Report) {
    let Some([first, second, ..]) = walked.profile.files.content(index) else { return };
    if [*first, *second] == [0xFF; 2] {
        return;
    }
    let nibbles = [first & 0x0F, first >> 4, second & 0x0F, second >> 4];
    let digits = nibbles.iter().take_while(|nibble| **nibble <= 9).count();
    if digits == 0 || !nibbles.iter().skip(digits).all(|nibble| *nibble == 0x0F) {
        let what = format!("{first:02X}{second:02X} is not a number of one to four digits");
        report.add(&rules::ROUTING_INDICATOR, walked.place_of(index), what);
    }
}
