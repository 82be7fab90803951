//! The defects: name, change of the valid package, and expected findings. The first finding must be
//! at the given PE; other findings must be notes.

use profile::element::FileSystemKind as Kind;
use profile::element::{Application, FileItem, PeHeader, PinKeyReference, ProfileElement};
use profile::{Package, SecretOctets};

use crate::good::*;

pub(crate) struct Defect {
    pub(crate) name: &'static str,
    pub(crate) break_it: fn(&mut Package),
    pub(crate) findings: &'static [&'static str],
    pub(crate) element: &'static str,
}

macro_rules! defects {
    ($( $name:literal in $element:literal gives $($finding:literal),+ : $package:ident $break_it:block )*) => {
        pub(super) const DEFECTS: &[crate::table::Defect] = &[$( crate::table::Defect {
            name: $name,
            break_it: |$package: &mut Package| $break_it,
            findings: &[$($finding),+],
            element: $element,
        } ),*];
    };
}

mod contents;
mod identities;
mod structure;

/// All defects.
pub(crate) fn defects() -> impl Iterator<Item = &'static Defect> {
    structure::DEFECTS.iter().chain(contents::DEFECTS).chain(identities::DEFECTS)
}

fn swap(package: &mut Package, first: &str, second: &str) {
    let (first, second) = (place(package, first), place(package, second));
    package.elements.swap(first, second);
}

fn remove(package: &mut Package, name: &str) -> ProfileElement {
    let place = place(package, name);
    package.elements.remove(place)
}

fn before_end(package: &mut Package, element: ProfileElement) {
    let end = package.elements.len() - 1;
    package.elements.insert(end, element);
}

fn code(digits: &[u8; 8]) -> SecretOctets {
    digits.as_slice().into()
}

fn ust(package: &mut Package, set: &[usize], clear: &[usize]) {
    let Some(FileItem::FillFileContent(table)) = items(package, Kind::Usim, "ef-ust").last_mut() else {
        unreachable!()
    };
    for service in set {
        table.0[(service - 1) / 8] |= 1 << ((service - 1) % 8);
    }
    for service in clear {
        table.0[(service - 1) / 8] &= !(1 << ((service - 1) % 8));
    }
}

fn application() -> Application {
    Application::loading(PeHeader::mandated(200), octets("A000000559AA01"), octets("0102"))
}

/// The first record of the USIM's EF.ARR.
fn write_first(package: &mut Package, record: &str) {
    let items = items(package, Kind::Usim, "ef-arr");
    let old = items.iter().position(|item| matches!(item, FileItem::FillFileContent(_))).unwrap();
    let length = |item: &FileItem| match item {
        FileItem::FillFileContent(content) => content.len(),
        _ => 0,
    };
    let (before, new) = (length(&items[old]), fill(record));
    let after = length(&new);
    items[old] = new;
    if let Some(FileItem::FillFileOffset(offset)) = items.get_mut(old + 1) {
        *offset += i64::try_from(before).unwrap() - i64::try_from(after).unwrap();
    }
}

fn key_list(package: &mut Package) -> &mut Vec<profile::element::KeyObject> {
    sd(package).key_list.as_mut().unwrap()
}

fn add_adm(package: &mut Package) {
    let mut adm = pins(package)[1].clone();
    adm.key_reference = PinKeyReference::ADM1;
    pins(package).push(adm);
}
