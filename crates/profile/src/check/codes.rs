//! PINs, administrative codes and unblocking codes.

use super::{InstalledPackage, Report, rules};
use crate::element::{PinCodesChoice, PinConfiguration, PinKeyReference, ProfileElement, PukConfiguration};
use crate::facts::PinCodesOf;
use crate::files::FileIndex;

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    let facts = &installed.profile.facts;
    let mut used = Vec::new();
    let mut all_read = true;
    for (number, element) in installed.elements() {
        match element {
            ProfileElement::PinCodes(codes) => {
                let PinCodesChoice::Pinconfig(codes) = &codes.pin_codes else { continue };
                for code in codes {
                    pin(installed, number, code, report);
                    used.extend(code.unblocking_pin_reference);
                }
            }
            ProfileElement::PukCodes(codes) => {
                codes.puk_codes.iter().for_each(|code| puk(installed, number, code, report));
            }
            ProfileElement::Unknown(_) => all_read = false,
            _ => {}
        }
    }
    for (number, element) in installed.elements() {
        let (ProfileElement::PukCodes(codes), true) = (element, installed.complete) else { continue };
        for code in codes.puk_codes.iter().filter(|code| !used.contains(&code.key_reference)) {
            let at = code.key_reference.to_string();
            report.add(
                &rules::PUK_UNUSED,
                installed.place(number, at),
                "no PIN refers to this unblocking code",
            );
        }
    }
    if installed.knows_codes() {
        directories(installed, report);
    }
    let has_pin = facts.pins.iter().any(|pins| {
        pins.directory == FileIndex::MF
            && matches!(&pins.codes, PinCodesOf::Own(own) if own.iter().any(|pin| pin.reference.0 <= 8))
    });
    let refused = report.findings.iter().any(|finding| finding.place.element == "pinCodes");
    let is_iot = installed.package.header().is_some_and(|header| header.iot_options.is_some());
    if installed.complete && all_read && !has_pin && !refused && !is_iot {
        report.add(&rules::NO_PIN, super::Place::default(), "the MF has no PIN of an application");
    }
}

fn directories(installed: &InstalledPackage<'_>, report: &mut Report) {
    let pins = &installed.profile.facts.pins;
    // The accepted PEs in the order in which the installer recorded their codes.
    let mut pes = installed.elements().filter(|(_, element)| matches!(element, ProfileElement::PinCodes(_)));
    for (known, of) in pins.iter().enumerate() {
        let Some((number, _)) = pes.next() else { return };
        if pins.iter().take(known).any(|other| other.directory == of.directory) {
            let what =
                format!("{} has codes already", super::path_of(&installed.profile.files, of.directory));
            report.add(&rules::PINS_TWICE, installed.place(number, ""), what);
        }
        if let PinCodesOf::SharedWith(other) = of.codes
            && !pins.iter().any(|pins| pins.directory == other && matches!(pins.codes, PinCodesOf::Own(_)))
        {
            let what = format!("{} has no codes of its own", super::path_of(&installed.profile.files, other));
            report.add(&rules::PINS_OF_NONE, installed.place(number, "filePath"), what);
        }
    }
}

fn pin(installed: &InstalledPackage<'_>, number: usize, code: &PinConfiguration, report: &mut Report) {
    let reference = code.key_reference;
    let place = |field: &str| installed.place(number, format!("{reference}.{field}"));
    if reference.name().is_none() {
        let what = format!("{:02X} is not a code reference", reference.0);
        report.add(&rules::CODE_UNKNOWN, place("keyReference"), what);
    }
    let is_of_user = is_of_user(reference);
    let value = code.pin_value.expose();
    if is_of_user && value.len() == 8 {
        let digits = value.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let filling = value.iter().skip(digits);
        if digits < 4 || !filling.into_iter().all(|octet| *octet == 0xFF) {
            report.add(
                &rules::PIN_DIGITS,
                place("pinValue"),
                "the value is not 4 to 8 digits, padded with FF",
            );
        }
    }
    if let Some(attributes) = code.pin_attributes.filter(|attributes| !(0..=7).contains(attributes)) {
        report.add(&rules::PIN_ATTRIBUTES, place("pinAttributes"), format!("the value is {attributes}"));
    }
    attempts(code.max_attempts_retries_left, is_of_user.then_some(3), report, || {
        place("maxNumOfAttemps-retryNumLeft")
    });
    match code.unblocking_pin_reference {
        None if is_of_user => {
            report.add(
                &rules::PIN_WITHOUT_PUK,
                place("unblockingPINReference"),
                "the PIN has no unblocking code",
            );
        }
        Some(puk) if is_of_user && puk.0 != reference.0 => {
            let what = format!("the unblocking code of the PIN is {puk}");
            report.add(&rules::PUK_OF_ANOTHER, place("unblockingPINReference"), what);
        }
        _ => {}
    }
}

fn puk(installed: &InstalledPackage<'_>, number: usize, code: &PukConfiguration, report: &mut Report) {
    let place = |field: &str| installed.place(number, format!("{}.{field}", code.key_reference));
    if code.key_reference.name().is_none() {
        let what = format!("{:02X} is not an unblocking code reference", code.key_reference.0);
        report.add(&rules::CODE_UNKNOWN, place("keyReference"), what);
    }
    let value = code.puk_value.expose();
    if value.len() == 8 && !value.iter().all(u8::is_ascii_digit) {
        report.add(&rules::PUK_DIGITS, place("pukValue"), "the value is not 8 digits");
    }
    attempts(code.max_attempts_retries_left, Some(10), report, || place("maxNumOfAttemps-retryNumLeft"));
}

fn attempts(value: Option<i64>, usual: Option<i64>, report: &mut Report, place: impl Fn() -> super::Place) {
    // The installation reports an invalid byte.
    let Some(value @ 0..=0xFF) = value else { return };
    let (most, left) = (value >> 4, value & 0x0F);
    let what = format!("{value:02X}: {left} of {most} attempts are left");
    if left > most {
        report.add(&rules::ATTEMPTS, place(), what);
    } else if left == 0 {
        report.add(&rules::BLOCKED, place(), what);
    } else if usual.is_some_and(|usual| usual != most) {
        report.add(&rules::PIN_ATTEMPTS, place(), what);
    }
}

/// True for the PINs and second PINs of applications, false for administrative codes.
pub(super) fn is_of_user(reference: PinKeyReference) -> bool {
    matches!(reference.0, 1..=8 | 129..=136)
}
