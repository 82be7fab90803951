//! X.690 section 11.5: default values are omitted in DER.

use super::{InstalledPackage, Report, rules};
use crate::diff::flattened;
use crate::element::ProfileElement;
use crate::facts::{ROTATION_CONSTANTS, default_xoring_constants};

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    for (number, element) in installed.elements() {
        for (path, value) in flattened(element) {
            let name = path.rsplit('.').next().unwrap_or_default();
            if default_of(element, name).is_some_and(|default| default == value) {
                report.add(
                    &rules::DEFAULT_WRITTEN,
                    installed.place(number, &path),
                    format!("{value} is the default"),
                );
            }
        }
    }
}

/// The default of a component of PEDefinitions in readable form; `None` for sqnInit, whose default
/// cannot be written in ASN.1.
fn default_of(element: &ProfileElement, name: &str) -> Option<String> {
    let default = match name {
        "specialFileInformation" | "keyAccess" => "00",
        "fileDetails" => "01",
        "lcsi" => "05",
        "rotationConstants" => return Some(hex::encode_upper(ROTATION_CONSTANTS)),
        "xoringConstants" => return Some(hex::encode_upper(default_xoring_constants().0)),
        "numberOfKeccak" => "1",
        "sqnOptions" => "02",
        "sqnDelta" | "sqnAgeLimit" => "000010000000",
        "pinAttributes" => "7",
        "maxNumOfAttemps-retryNumLeft" if matches!(element, ProfileElement::PinCodes(_)) => "51",
        "maxNumOfAttemps-retryNumLeft" => "170",
        "macLength" => "8",
        "lifeCycleState" => "07",
        _ => return None,
    };
    Some(default.to_owned())
}
