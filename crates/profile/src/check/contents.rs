//! Contents of the files of a subscription: TS 31.102 section 4.2.

use rsp::ids::Imsi;

use super::{InstalledPackage, NON_IMSI_USIM, Report, USIM, hex, is_blank, rules};
use crate::files::FileIndex;
use crate::octets::Fid;

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    for adf in installed.adfs_of(&[USIM, NON_IMSI_USIM]) {
        let usim = Files { installed, adf };
        usim.subscription(report);
        usim.name(report);
        usim.numbers(report);
        usim.networks(report);
    }
}

struct Files<'a, 'p> {
    installed: &'a InstalledPackage<'p>,
    adf: FileIndex,
}

impl<'a> Files<'a, '_> {
    fn content(&self, fid: u16) -> Option<(FileIndex, &'a [u8])> {
        let files = &self.installed.profile.files;
        let index = files.child(self.adf, Fid(fid))?;
        Some((index, files.content(index)?))
    }

    fn records(&self, fid: u16) -> Vec<(FileIndex, String, &'a [u8])> {
        let files = &self.installed.profile.files;
        let Some(index) = files.child(self.adf, Fid(fid)) else { return Vec::new() };
        let records = (1..=files.records(index).unwrap_or_default())
            .filter_map(|number| Some((index, format!("record {number}"), files.record(index, number)?)));
        records.filter(|(_, _, record)| !is_blank(record)).collect()
    }

    fn subscription(&self, report: &mut Report) {
        let place = |index| self.installed.place_of(index);
        let mut imsi = None;
        if let Some((index, content)) = self.content(0x6F07).filter(|(_, content)| content.len() == 9) {
            match Imsi::from_ef(content) {
                Ok(read) => imsi = Some(read),
                Err(_) if is_blank(content) => {
                    report.add(&rules::IMSI_BLANK, place(index), "the file contains no IMSI");
                }
                Err(_) => report.add(&rules::IMSI, place(index), format!("{} is not an IMSI", hex(content))),
            }
        }
        if let Some((index, [mode, _, _, digits, ..])) = self.content(0x6FAD) {
            if !matches!(digits & 0x0F, 2 | 3) {
                report.add(&rules::MNC_LENGTH, place(index), format!("the fourth octet is {digits:02X}"));
            }
            if !matches!(mode, 0x00 | 0x01 | 0x02 | 0x04 | 0x80 | 0x81) {
                report.add(&rules::OPERATION_MODE, place(index), format!("the first octet is {mode:02X}"));
            }
        }
        // A blank EF.ACC is reported only if all files of the package could be created and filled.
        let classes = self.content(0x6F78).filter(|(_, content)| self.installed.whole || !is_blank(content));
        if let Some((index, [high, low])) = classes {
            let classes = u16::from_be_bytes([*high, *low]);
            let own = classes & 0x03FF;
            let what = format!("{classes:04X}");
            if own == 0 {
                report.add(&rules::ACC_NONE, place(index), what.clone());
            } else if own.count_ones() > 1 {
                report.add(&rules::ACC_MANY, place(index), what.clone());
            }
            if classes & 0x0400 != 0 {
                report.add(&rules::ACC_TEN, place(index), what);
            }
            let last = imsi.and_then(|imsi: Imsi| imsi.to_string().bytes().last());
            if let Some(digit) = last.map(|digit| u32::from(digit.wrapping_sub(b'0')))
                && own.count_ones() == 1
                && own.trailing_zeros() != digit
            {
                let what = format!("class {}, and the IMSI ends with {digit}", own.trailing_zeros());
                report.add(&rules::ACC_IMSI, place(index), what);
            }
        }
    }

    fn name(&self, report: &mut Report) {
        let Some((index, [condition, name @ ..])) = self.content(0x6F46) else { return };
        let used = name.iter().rposition(|octet| *octet != 0xFF).map_or(0, |last| last + 1);
        let name = name.get(..used).unwrap_or_default();
        let is_readable = match name {
            [0x80, ucs2 @ ..] => ucs2.len() % 2 == 0,
            [0x81, length, _, rest @ ..] => rest.len() == usize::from(*length),
            [0x82, length, _, _, rest @ ..] => rest.len() == usize::from(*length),
            _ => name.iter().all(|octet| *octet < 0x80),
        };
        // A name that consists of FF only is not set yet.
        let is_set = *condition != 0xFF || !name.is_empty();
        if is_set && (!is_readable || condition & 0xFC != 0) {
            let what = format!("{condition:02X} {}", hex(name));
            report.add(&rules::SPN, self.installed.place_of(index), what);
        }
    }

    fn numbers(&self, report: &mut Report) {
        // MSISDN, FDN, SDN, BDN, MBDN: the number is in the last fourteen bytes. The first of them
        // is the length of the others.
        for fid in [0x6F40, 0x6F3B, 0x6F49, 0x6FC7] {
            for (index, at, record) in self.records(fid) {
                let number = record.len().checked_sub(14).and_then(|start| record.get(start..));
                let Some([length, _, digits @ ..]) = number else { continue };
                let is_right = match length {
                    0xFF => true,
                    0..=11 => {
                        let used = usize::from(*length).saturating_sub(1);
                        are_digits(digits.get(..used.min(10)).unwrap_or_default())
                    }
                    _ => false,
                };
                if !is_right {
                    let what = hex(number.unwrap_or_default());
                    report.add(&rules::MSISDN, self.installed.place_in(index, &at), what);
                }
            }
        }
        for (index, at, record) in self.records(0x6F42) {
            let parameters = record.len().checked_sub(28).and_then(|start| record.get(start..));
            let Some(parameters @ [indicators, ..]) = parameters else { continue };
            let centre = parameters.get(13..25).unwrap_or_default();
            // If bit 2 is set, the record has no SMSC address.
            let is_right = match centre {
                _ if indicators & 0x02 != 0 => true,
                [length @ 1..=11, _, digits @ ..] => {
                    are_digits(digits.get(..usize::from(*length).saturating_sub(1)).unwrap_or_default())
                }
                _ => false,
            };
            if !is_right {
                report.add(&rules::SMSP, self.installed.place_in(index, &at), hex(centre));
            }
        }
    }

    fn networks(&self, report: &mut Report) {
        for (fid, entry) in [(0x6F60, 5), (0x6F61, 5), (0x6F62, 5), (0x6F7B, 3), (0x6FD9, 3)] {
            let Some((index, content)) = self.content(fid) else { continue };
            for (number, octets) in (1..).zip(content.chunks_exact(entry)) {
                let Some(plmn) = octets.first_chunk::<3>() else { continue };
                if !is_network(*plmn) {
                    let place = self.installed.place_in(index, &format!("entry {number}"));
                    report.add(&rules::PLMN, place, hex(octets));
                }
            }
        }
    }
}

/// True for swapped digits, including `*`, `#` and similar, padded with F at the end only.
fn are_digits(octets: &[u8]) -> bool {
    let nibbles: Vec<u8> = octets.iter().flat_map(|octet| [octet & 0x0F, octet >> 4]).collect();
    let used = nibbles.iter().take_while(|nibble| **nibble != 0x0F).count();
    nibbles.iter().skip(used).all(|nibble| *nibble == 0x0F)
}

/// TS 24.008 section 10.5.1.3; FF FF FF is an empty entry, and the digit D matches any digit.
fn is_network([first, second, third]: [u8; 3]) -> bool {
    if [first, second, third] == [0xFF; 3] {
        return true;
    }
    let is_digit = |nibble: u8| matches!(nibble, 0..=9 | 0x0D);
    [first & 0x0F, first >> 4, second & 0x0F, third & 0x0F, third >> 4].into_iter().all(is_digit)
        && (second >> 4 == 0x0F || is_digit(second >> 4))
}
