//! Service tables compared with the existing files: TS 31.102 section 4.2.8, TS 31.103 section
//! 4.2.7.

use super::tables::{ISIM_FILES, ISIM_SERVICES, USIM_DEPENDS, USIM_FILES, USIM_SERVICES};
use super::{ISIM, NON_IMSI_USIM, Report, USIM, Walked, rules};
use crate::element::ProfileElement;
use crate::files::FileIndex;
use crate::octets::Fid;

const EF_UST: Fid = Fid(0x6F38);
const EF_EST: Fid = Fid(0x6F56);
const EF_IST: Fid = Fid(0x6F07);
const DF_TELECOM: u16 = 0x7F10;

pub(super) fn check(walked: &Walked<'_>, report: &mut Report) {
    // Files are reported as missing only if all files could be created.
    if !walked.whole {
        return;
    }
    for adf in walked.adfs_of(&[USIM, NON_IMSI_USIM]) {
        let Some((ust, table)) = table(walked, adf, EF_UST) else { continue };
        let has = |number: usize| has(table, number);
        files(walked, adf, ust, &has, (USIM_FILES, &USIM_SERVICES), report);
        if !has(33) {
            report.add(&rules::SERVICE_33, walked.place_of(ust), "service 33 is not set");
        }
        for (part, whole) in USIM_DEPENDS {
            if has(*part) && !has(*whole) {
                let what = format!("{} is set, {} is not", named(*part), named(*whole));
                report.add(&rules::SERVICE_DEPENDS, walked.place_of(ust), what);
            }
        }
        let Some((est, enabled)) = self::table(walked, adf, EF_EST) else { continue };
        for (bit, service) in [(1, 2), (2, 6), (3, 35)] {
            if self::has(enabled, bit) && !has(service) {
                let what = format!("{} is enabled, and not available", named(service));
                report.add(&rules::EST, walked.place_of(est), what);
            }
        }
    }
    for adf in walked.adfs_of(&[ISIM]) {
        let Some((ist, table)) = table(walked, adf, EF_IST) else { continue };
        files(walked, adf, ist, &|number| has(table, number), (ISIM_FILES, &ISIM_SERVICES), report);
    }
}

fn named(service: usize) -> String {
    name_of(&USIM_SERVICES, service)
}

fn name_of(names: &[&str], service: usize) -> String {
    let name = service.checked_sub(1).and_then(|place| names.get(place));
    name.map_or_else(|| format!("service {service}"), |name| format!("service {service} ({name})"))
}

fn table<'a>(walked: &'a Walked<'_>, adf: FileIndex, fid: Fid) -> Option<(FileIndex, &'a [u8])> {
    let index = walked.profile.files.child(adf, fid)?;
    Some((index, walked.profile.files.content(index)?))
}

fn has(table: &[u8], number: usize) -> bool {
    let bit = number.saturating_sub(1);
    table.get(bit / 8).is_some_and(|octet| octet >> (bit % 8) & 1 == 1)
}

type Services<'a> = (&'a [(usize, &'a [&'a [u16]])], &'a [&'a str]);

fn files(
    walked: &Walked<'_>,
    adf: FileIndex,
    table: FileIndex,
    has: &dyn Fn(usize) -> bool,
    (services, names): Services<'_>,
    report: &mut Report,
) {
    for (service, paths) in services {
        for path in *paths {
            let from = if path.first() == Some(&DF_TELECOM) { FileIndex::MF } else { adf };
            let files = &walked.profile.files;
            let found = path.iter().try_fold(from, |directory, fid| files.child(directory, Fid(*fid)));
            let shown: Vec<String> = path.iter().map(|fid| format!("{fid:04X}")).collect();
            match (has(*service), found) {
                (true, None) => {
                    let what =
                        format!("{} is set, and there is no {}", name_of(names, *service), shown.join("/"));
                    report.add(&rules::SERVICE_WITHOUT_FILE, walked.place_of(table), what);
                }
                (false, Some(file)) if is_named(walked, file) && file_alone(services, path) => {
                    let what = format!("{} is not set", name_of(names, *service));
                    report.add(&rules::FILE_WITHOUT_SERVICE, walked.place_of(file), what);
                }
                _ => {}
            }
        }
    }
}

/// True if the file belongs to one service only.
fn file_alone(services: &[(usize, &[&[u16]])], path: &[u16]) -> bool {
    services.iter().filter(|(_, paths)| paths.contains(&path)).count() == 1
}

/// True if the package names the file. The template creates other files whether the package names
/// them or not.
fn is_named(walked: &Walked<'_>, index: FileIndex) -> bool {
    let Some(file) = walked.profile.files.file(index) else { return false };
    let maker = walked.makers.get(index.number()).and_then(|number| walked.package.elements.get(*number));
    match (maker, &file.name) {
        (Some(ProfileElement::FileSystem(element)), Some(name)) => {
            // A file that the package must name does not show that the package wants the service.
            let mandatory = |row: &&crate::template::Element| row.name == name && row.mandatory;
            element.file(name).is_some()
                && crate::template::elements(element.kind).iter().find(mandatory).is_none()
        }
        (Some(ProfileElement::GenericFileManagement(_)), _) => true,
        _ => false,
    }
}
