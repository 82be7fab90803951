//! Files: their references, and the properties that the standards fix.

use std::collections::BTreeSet;

use rsp::der::{Tag, tlv};

use super::tables::{self, Length};
use super::{ISIM, InstalledPackage, NON_IMSI_USIM, Report, USIM, hex, is_blank, path_of, rules};
use crate::access::Access;
use crate::element::{Fcp, FileItem, FileManagement, PinKeyReference, ProfileElement};
use crate::facts::{Pin, PinCodesOf};
use crate::files::{File, FileIndex, FileKind};
use crate::octets::{Fid, Octets};

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    let files = &installed.profile.files;
    let mut reported = BTreeSet::new();
    let mut aids: Vec<&Octets> = Vec::new();
    for (index, file) in files.all() {
        access(installed, index, file, &mut reported, report);
        identifiers(installed, index, file, report);
        length(installed, index, file, report);
        if file.kind.is_directory() {
            pin_status(installed, index, file, report);
        }
        match &file.kind {
            FileKind::Adf { aid } => {
                if aids.contains(&aid) {
                    report.add(&rules::AID_TWICE, installed.place_of(index), format!("{aid} is not unique"));
                }
                aids.push(aid);
            }
            FileKind::BerTlv { maximum_size, reserved_size }
                if *maximum_size != 0 && reserved_size > maximum_size =>
            {
                let what = format!("{reserved_size} octets are reserved of {maximum_size}");
                report.add(&rules::BER_TLV_SIZE, installed.place_of(index), what);
            }
            _ => {}
        }
    }
    access_rules(installed, report);
    if installed.whole {
        dir(installed, &aids, report);
    }
    steps(installed, report);
}

/// Checks that the rule of the file exists and can be satisfied.
fn access(
    installed: &InstalledPackage<'_>,
    index: FileIndex,
    file: &File,
    reported: &mut BTreeSet<(FileIndex, u8, u8)>,
    report: &mut Report,
) {
    let files = &installed.profile.files;
    let place = || installed.place_of(index);
    let Some(reference) = file.access_rule else {
        return report.add(&rules::NO_ACCESS_RULE, place(), "the file has no access rule");
    };
    let Some(arr) = files.arr_of(index) else {
        // The EF.ARR is reported as missing only if all files could be created.
        if installed.whole {
            let what =
                format!("EF.ARR {} is neither in the directory of the file nor above it", reference.arr);
            report.add(&rules::ARR_MISSING, place(), what);
        }
        return;
    };
    let Some(record) = files.record(arr, usize::from(reference.record)) else {
        let records = files.records(arr).unwrap_or_default();
        let what = format!("{} has {records} records, not {}", path_of(files, arr), reference.record);
        return report.add(&rules::ARR_RECORD_MISSING, place(), what);
    };
    let at = format!("record {}", reference.record);
    let is_new = |reported: &mut BTreeSet<_>, code| reported.insert((arr, reference.record, code));
    if is_blank(record) {
        if is_new(reported, 0) {
            let what = format!("{} refers to this record, and the record is empty", path_of(files, index));
            report.add(&rules::ARR_RECORD_BLANK, installed.place_in(arr, &at), what);
        }
        return;
    }
    let Some(granted) = Access::of(record, file.kind.is_directory()) else { return };
    let directory = if file.kind.is_directory() { index } else { file.parent.unwrap_or(FileIndex::MF) };
    let codes: BTreeSet<PinKeyReference> = granted.iter().flat_map(Access::codes).collect();
    for code in codes {
        if code == UNIVERSAL_PIN || !installed.knows_codes() || applies(installed, directory, code) {
            continue;
        }
        if is_new(reported, code.0) {
            let rule = match installed.profile.facts.pins.iter().any(|pins| has(&pins.codes, code)) {
                true => &rules::RULE_WITHOUT_PIN_NOTE,
                false => &rules::RULE_WITHOUT_PIN,
            };
            let what =
                format!("{} requires {code}, which does not apply in its directory", path_of(files, index));
            report.add(rule, installed.place_in(arr, &at), what);
        }
    }
}

/// Checks that each record of each EF.ARR is a rule or empty. Records to which no file refers are
/// checked too, because a file that is created later (TS 102 222) can refer to them.
fn access_rules(installed: &InstalledPackage<'_>, report: &mut Report) {
    let files = &installed.profile.files;
    let known = |file: &File| {
        matches!((file.parent, file.fid), (Some(FileIndex::MF), Fid(0x2F06)) | (_, Fid(0x6F06)))
    };
    let named = files.all().filter(|(_, file)| known(file)).map(|(index, _)| index);
    let referred_to = files.all().filter_map(|(index, _)| files.arr_of(index));
    let all: BTreeSet<FileIndex> = named.chain(referred_to).collect();
    for arr in all {
        for number in 1..=files.records(arr).unwrap_or_default() {
            // A record is valid for a directory if it is valid for a file, so one check is
            // sufficient.
            let wrong = |record: &&[u8]| !is_blank(record) && Access::of(record, false).is_none();
            if let Some(record) = files.record(arr, number).filter(wrong) {
                let place = installed.place_in(arr, &format!("record {number}"));
                report.add(&rules::ARR_RECORD_UNREADABLE, place, hex(record));
            }
        }
    }
}

/// TS 102 221 section 9.4.1: the universal PIN replaces the PINs of applications.
const UNIVERSAL_PIN: PinKeyReference = PinKeyReference(0x11);

fn has(codes: &PinCodesOf, code: PinKeyReference) -> bool {
    matches!(codes, PinCodesOf::Own(own) if own.iter().any(|pin| pin.reference == code))
}

/// True if a code belongs to the directory or to one above it.
fn applies(installed: &InstalledPackage<'_>, directory: FileIndex, code: PinKeyReference) -> bool {
    let pins = &installed.profile.facts.pins;
    let own = |directory: FileIndex| pins.iter().filter(move |pins| pins.directory == directory);
    installed.profile.files.ancestors(directory).any(|directory| {
        own(directory).any(|pins| match &pins.codes {
            PinCodesOf::SharedWith(other) => own(*other).any(|pins| has(&pins.codes, code)),
            codes => has(codes, code),
        })
    })
}

impl InstalledPackage<'_> {
    /// True if every PE with codes was accepted; otherwise a code that seems to be missing may be
    /// in a refused PE.
    pub(super) fn knows_codes(&self) -> bool {
        let all = self.elements().filter(|(_, element)| matches!(element, ProfileElement::PinCodes(_)));
        self.complete && all.count() == self.profile.facts.pins.len()
    }
}

fn pin_status(installed: &InstalledPackage<'_>, index: FileIndex, file: &File, report: &mut Report) {
    let place = || installed.place_in(index, "pinStatusTemplateDO");
    let named = &file.pin_status_template;
    for (number, reference) in named.iter().enumerate() {
        let code = PinKeyReference(*reference);
        if named.iter().take(number).any(|other| other == reference) {
            report.add(&rules::PIN_STATUS_TWICE, place(), format!("{code} is contained twice"));
        } else if installed.knows_codes() && code != UNIVERSAL_PIN && !applies(installed, index, code) {
            let what = format!("{code} is a code neither of this directory nor of one above it");
            report.add(&rules::PIN_STATUS_UNKNOWN, place(), what);
        }
    }
    let own = installed.profile.facts.pins.iter().filter(|pins| pins.directory == index);
    let codes = own.filter_map(|pins| match &pins.codes {
        PinCodesOf::Own(own) => Some(own),
        PinCodesOf::SharedWith(_) => None,
    });
    let is_of_user = |pin: &&Pin| super::codes::is_of_user(pin.reference);
    for pin in codes.flatten().filter(is_of_user).filter(|pin| !named.contains(&pin.reference.0)) {
        let what =
            format!("the PIN status template does not contain {}, a code of the directory", pin.reference);
        report.add(&rules::PIN_NOT_IN_STATUS, place(), what);
    }
}

fn identifiers(installed: &InstalledPackage<'_>, index: FileIndex, file: &File, report: &mut Report) {
    let files = &installed.profile.files;
    let is_mf = matches!(file.kind, FileKind::Mf);
    if !is_mf && matches!(file.fid, Fid(0x3F00 | 0x3FFF | 0x7FFF | 0xFFFF)) {
        report.add(&rules::RESERVED_FID, installed.place_of(index), format!("{} is reserved", file.fid));
    }
    let (Some(sfi), Some(parent)) = (file.sfi, file.parent) else { return };
    let twin = files.children(parent).find(|(other, twin)| *other < index && twin.sfi == Some(sfi));
    if let Some((_, twin)) = twin {
        let what = format!("{} has the same short identifier {sfi:02X}", twin.fid);
        report.add(&rules::SFI_TWICE, installed.place_of(index), what);
    }
}

/// The length of the file that the standards require; `None` if they require none.
fn fixed(installed: &InstalledPackage<'_>, file: &File) -> Option<Length> {
    let files = &installed.profile.files;
    let parent = file.parent?;
    let of =
        |table: &[(u16, Length)]| table.iter().find(|(fid, _)| *fid == file.fid.0).map(|(_, length)| *length);
    let is = |directory: FileIndex, codes: &[&[u8]]| match files.file(directory).map(|file| &file.kind) {
        Some(FileKind::Adf { aid }) => codes.iter().any(|code| aid.starts_with(code)),
        _ => false,
    };
    const USIMS: &[&[u8]] = &[USIM, NON_IMSI_USIM];
    if parent == FileIndex::MF {
        return of(tables::MF);
    }
    if is(parent, USIMS) {
        return of(tables::USIM);
    }
    if is(parent, &[ISIM]) {
        return of(tables::ISIM);
    }
    let directory = files.file(parent)?;
    let row =
        tables::USIM_DIRECTORIES.iter().find(|(of, fid, _)| (*of, *fid) == (directory.fid.0, file.fid.0));
    directory.parent.filter(|above| is(*above, USIMS)).and(row).map(|(_, _, length)| *length)
}

fn length(installed: &InstalledPackage<'_>, index: FileIndex, file: &File, report: &mut Report) {
    let Some(fixed) = fixed(installed, file).filter(|_| !file.kind.is_directory() && file.link.is_none())
    else {
        return;
    };
    let files = &installed.profile.files;
    let (length, record) = (files.content(index).map_or(0, <[u8]>::len), file.kind.record_length());
    let wrong = match (fixed, record) {
        (Length::Exactly(right), None) if length != right => format!("{length} octets, not {right}"),
        (Length::Least(least), None) if length < least => format!("{length} octets, not {least} at least"),
        (Length::Times(unit, least), None) if length % unit != 0 || length / unit < least => {
            format!("{length} octets, not {least} or more entries of {unit}")
        }
        (Length::Record(right), Some(record)) if record != right => {
            format!("records of {record} octets, not {right}")
        }
        (Length::RecordLeast(least), Some(record)) if record < least => {
            format!("records of {record} octets, not {least} at least")
        }
        (Length::Record(_) | Length::RecordLeast(_), None) => "the file has no records".to_owned(),
        (Length::Exactly(_) | Length::Least(_) | Length::Times(..), Some(_)) => {
            "the file has records".to_owned()
        }
        _ => return,
    };
    report.add(&rules::FILE_SIZE, installed.place_of(index), wrong);
}

/// Compares EF.DIR with the applications of the package.
fn dir(installed: &InstalledPackage<'_>, aids: &[&Octets], report: &mut Report) {
    const EF_DIR: Fid = Fid(0x2F00);
    let files = &installed.profile.files;
    let dir = files.child(FileIndex::MF, EF_DIR);
    let mut listed: Vec<&[u8]> = Vec::new();
    for (index, number) in
        dir.into_iter().flat_map(|dir| (1..=files.records(dir).unwrap_or_default()).map(move |n| (dir, n)))
    {
        let Some(record) = files.record(index, number).filter(|record| !is_blank(record)) else { continue };
        let place = || installed.place_in(index, &format!("record {number}"));
        let mut reader = rsp::der::Reader::new(record);
        let template = reader.contents(Tag(0x61)).ok();
        let aid = template.and_then(|template| tlv::find(template, Tag(0x4F)).ok()?);
        match aid.and_then(tlv::split) {
            Some((_, aid)) => {
                if !aids.iter().any(|own| own.0 == aid) {
                    report.add(
                        &rules::DIR_TO_NOTHING,
                        place(),
                        format!("the package has no application {}", hex(aid)),
                    );
                }
                listed.push(aid);
            }
            None => report.add(&rules::DIR_UNREADABLE, place(), hex(record)),
        }
    }
    for (index, file) in files.all() {
        let FileKind::Adf { aid } = &file.kind else { continue };
        if !listed.contains(&aid.0.as_slice()) {
            let what = format!("EF.DIR does not list {aid}");
            report.add(&rules::DIR_WITHOUT_APPLICATION, installed.place_of(index), what);
        }
    }
}

/// Checks the steps with which a package creates a file.
fn steps(installed: &InstalledPackage<'_>, report: &mut Report) {
    for (number, element) in installed.elements() {
        match element {
            ProfileElement::FileSystem(element) => {
                for file in &element.files {
                    let place = || installed.place(number, file.name);
                    let is_descriptor = |item: &FileItem| matches!(item, FileItem::FileDescriptor(_));
                    let is_left_out = |item: &FileItem| matches!(item, FileItem::DoNotCreate(_));
                    if file.items.iter().any(is_left_out) && file.items.len() > 1 {
                        report.add(
                            &rules::DO_NOT_CREATE_ALONE,
                            place(),
                            "doNotCreate is combined with other steps",
                        );
                    }
                    if file.items.iter().skip(1).any(is_descriptor)
                        && !file.items.first().is_some_and(is_descriptor)
                    {
                        report.add(&rules::DESCRIPTOR_FIRST, place(), "the descriptor is not the first step");
                    }
                    let is_link = file.items.iter().any(|item| match item {
                        FileItem::FileDescriptor(fcp) => is_link(fcp),
                        _ => false,
                    });
                    if is_link && file.items.iter().any(|item| matches!(item, FileItem::FillFileContent(_))) {
                        report.add(&rules::LINK_CONTENT, place(), "the file is a link, but has contents");
                    }
                }
            }
            ProfileElement::GenericFileManagement(element) => {
                let mut link = false;
                for command in element.commands.iter().flatten() {
                    match command {
                        FileManagement::FilePath(_) => link = false,
                        FileManagement::CreateFcp(fcp) => {
                            link = is_link(fcp);
                            link_structure(installed, number, fcp, report);
                        }
                        FileManagement::FillFileContent(_) if link => {
                            let what = "contents after a link";
                            report.add(
                                &rules::LINK_CONTENT,
                                installed.place(number, "fillFileContent"),
                                what,
                            );
                            link = false;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_link(fcp: &Fcp) -> bool {
    fcp.link_path.as_ref().is_some_and(|path| !path.is_empty())
}

fn link_structure(installed: &InstalledPackage<'_>, number: usize, fcp: &Fcp, report: &mut Report) {
    let files = &installed.profile.files;
    let path = fcp.link_path.as_ref().filter(|path| !path.is_empty()).and_then(|path| Fid::path(path));
    let Some(target) = path.and_then(|path| files.file(files.by_path(&path)?)) else { return };
    let (Some(given), Some(fid)) = (&fcp.file_descriptor, fcp.file_id) else { return };
    let ([own, ..], [real, ..]) = (given.0.as_slice(), target.descriptor.0.as_slice()) else { return };
    let record = |descriptor: &[u8]| match descriptor {
        [_, _, high, low] => u16::from_be_bytes([*high, *low]),
        [_, _, low] => u16::from(*low),
        _ => 0,
    };
    if (own & 0x3F, record(given)) != (real & 0x3F, record(&target.descriptor)) {
        let what = format!("{given} leads to a file with {}", target.descriptor);
        report.add(&rules::LINK_RECORDS, installed.place(number, format!("createFCP {fid}")), what);
    }
}
