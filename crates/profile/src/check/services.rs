//! Service tables compared with the existing files: TS 31.102 section 4.2.8, TS 31.103 section
//! 4.2.7.

use super::tables::{ISIM_FILES, ISIM_SERVICES, USIM_DEPENDS, USIM_FILES, USIM_SERVICES};
use super::{ISIM, InstalledPackage, NON_IMSI_USIM, Report, USIM, rules};
use crate::element::ProfileElement;
use crate::files::FileIndex;
use crate::octets::Fid;

const EF_UST: Fid = Fid(0x6F38);
const EF_EST: Fid = Fid(0x6F56);
const EF_IST: Fid = Fid(0x6F07);
const DF_TELECOM: u16 = 0x7F10;

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    // Files are reported as missing only if all files could be created.
    if !installed.whole {
        return;
    }
    for adf in installed.adfs_of(&[USIM, NON_IMSI_USIM]) {
        let Some((ust, table)) = table(installed, adf, EF_UST) else { continue };
        let has = |number: usize| has(table, number);
        files(installed, adf, ust, &has, (USIM_FILES, &USIM_SERVICES), report);
        if !has(33) {
            report.add(&rules::SERVICE_33, installed.place_of(ust), "service 33 is not set");
        }
        for (part, whole) in USIM_DEPENDS {
            if has(*part) && !has(*whole) {
                let what = format!("{} is set, but {} is not", named(*part), named(*whole));
                report.add(&rules::SERVICE_DEPENDS, installed.place_of(ust), what);
            }
        }
        let Some((est, enabled)) = self::table(installed, adf, EF_EST) else { continue };
        for (bit, service) in [(1, 2), (2, 6), (3, 35)] {
            if self::has(enabled, bit) && !has(service) {
                let what = format!("{} is enabled, but not available", named(service));
                report.add(&rules::EST, installed.place_of(est), what);
            }
        }
    }
    for adf in installed.adfs_of(&[ISIM]) {
        let Some((ist, table)) = table(installed, adf, EF_IST) else { continue };
        files(installed, adf, ist, &|number| has(table, number), (ISIM_FILES, &ISIM_SERVICES), report);
    }
}

fn named(service: usize) -> String {
    name_of(&USIM_SERVICES, service)
}

fn name_of(names: &[&str], service: usize) -> String {
    let name = service.checked_sub(1).and_then(|place| names.get(place));
    name.map_or_else(|| format!("service {service}"), |name| format!("service {service} ({name})"))
}

fn table<'a>(installed: &'a InstalledPackage<'_>, adf: FileIndex, fid: Fid) -> Option<(FileIndex, &'a [u8])> {
    let index = installed.profile.files.child(adf, fid)?;
    Some((index, installed.profile.files.content(index)?))
}

fn has(table: &[u8], number: usize) -> bool {
    let bit = number.saturating_sub(1);
    table.get(bit / 8).is_some_and(|octet| octet >> (bit % 8) & 1 == 1)
}

type Services<'a> = (&'a [(usize, &'a [&'a [u16]])], &'a [&'a str]);

fn files(
    installed: &InstalledPackage<'_>,
    adf: FileIndex,
    table: FileIndex,
    has: &dyn Fn(usize) -> bool,
    (services, names): Services<'_>,
    report: &mut Report,
) {
    for (service, paths) in services {
        for path in *paths {
            let from = if path.first() == Some(&DF_TELECOM) { FileIndex::MF } else { adf };
            let files = &installed.profile.files;
            let found = path.iter().try_fold(from, |directory, fid| files.child(directory, Fid(*fid)));
            let shown: Vec<String> = path.iter().map(|fid| format!("{fid:04X}")).collect();
            match (has(*service), found) {
                (true, None) => {
                    let what = format!(
                        "{} is set, but the package has no {}",
                        name_of(names, *service),
                        shown.join("/")
                    );
                    report.add(&rules::SERVICE_WITHOUT_FILE, installed.place_of(table), what);
                }
                (false, Some(file)) if is_named(installed, file) && file_alone(services, path) => {
                    let what = format!("{} is not set", name_of(names, *service));
                    report.add(&rules::FILE_WITHOUT_SERVICE, installed.place_of(file), what);
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
fn is_named(installed: &InstalledPackage<'_>, index: FileIndex) -> bool {
    let Some(file) = installed.profile.files.file(index) else { return false };
    let maker =
        installed.makers.get(index.number()).and_then(|number| installed.package.elements.get(*number));
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
