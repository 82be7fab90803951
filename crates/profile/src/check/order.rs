//! The order of PEs, and missing PEs. The installation finds the order errors that an
//! eUICC refuses.

use super::{CSIM, ISIM, InstalledPackage, NON_IMSI_USIM, Report, USIM, rules};
use crate::element::{FileSystemKind, ProfileElement};
use crate::files::{FileIndex, FileKind};
use crate::octets::Octets;

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    codes(installed, report);
    parameters(installed, report);
    domains(installed, report);
}

fn codes(installed: &InstalledPackage<'_>, report: &mut Report) {
    let mut has_mf = false;
    let mut has_puks = false;
    for (number, element) in installed.elements() {
        match element {
            ProfileElement::FileSystem(files) => {
                has_mf |= matches!(files.kind, FileSystemKind::Mf | FileSystemKind::Iot);
            }
            ProfileElement::GenericFileManagement(_) => has_mf = true,
            ProfileElement::PukCodes(_) => {
                if !has_mf {
                    report.add(
                        &rules::CODES_BEFORE_MF,
                        installed.place(number, ""),
                        "unblocking codes before the MF",
                    );
                }
                if has_puks {
                    report.add(
                        &rules::PUK_CODES_TWICE,
                        installed.place(number, ""),
                        "a second PE with unblocking codes",
                    );
                }
                has_puks = true;
            }
            ProfileElement::Unknown(other) => {
                let what = format!("the PE with tag {} is unknown", other.tag);
                report.add(&rules::UNKNOWN_PE, installed.place(number, ""), what);
            }
            ProfileElement::NonStandard(other) => {
                let what = format!("the PE is proprietary to {}", other.issuer_id);
                report.add(&rules::UNKNOWN_PE, installed.place(number, ""), what);
            }
            _ => {}
        }
    }
}

/// Checks that authentication parameters follow the application to which they belong.
fn parameters(installed: &InstalledPackage<'_>, report: &mut Report) {
    let is = |adf: FileIndex, codes: &[&[u8]]| {
        let file = installed.profile.files.file(adf);
        file.is_some_and(|file| match &file.kind {
            FileKind::Adf { aid } => codes.iter().any(|code| aid.starts_with(code)),
            _ => false,
        })
    };
    let mut with_cdma = Vec::new();
    for ((number, element), adf) in installed.elements().zip(&installed.adfs) {
        // The installation has reported a missing application.
        let Some(adf) = *adf else { continue };
        let place = installed.place(number, "");
        match element {
            ProfileElement::CdmaParameter(_) if !is(adf, &[CSIM]) => {
                report.add(&rules::CDMA_ELSEWHERE, place, "the application before this PE is not a CSIM");
            }
            ProfileElement::CdmaParameter(_) => with_cdma.push(adf),
            ProfileElement::AkaParameter(_) if is(adf, &[CSIM]) => {
                report.add(&rules::AKA_ELSEWHERE, place, "the application before this PE is a CSIM");
            }
            _ => {}
        }
    }
    let aka = &installed.profile.facts.aka;
    let refused =
        installed.elements().filter(|(_, element)| matches!(element, ProfileElement::AkaParameter(_)));
    let all_taken = refused.count() == aka.len();
    for adf in installed.adfs_of(&[USIM, NON_IMSI_USIM, ISIM]) {
        if installed.complete && all_taken && !aka.iter().any(|aka| aka.adf == adf) {
            let what = "no PE-AKAParameter follows this application";
            report.add(&rules::NO_KEYS_FOR_NAA, installed.place_of(adf), what);
        }
    }
    for adf in installed.adfs_of(&[CSIM]) {
        if installed.complete && !with_cdma.contains(&adf) {
            let what = "no PE-CDMAParameter follows this application";
            report.add(&rules::NO_KEYS_FOR_NAA, installed.place_of(adf), what);
        }
    }
    if installed.whole && installed.adfs_of(&[USIM, NON_IMSI_USIM, ISIM, CSIM]).next().is_none() {
        let what = "the package has no USIM, ISIM or CSIM";
        report.add(&rules::NO_NAA, super::Place::default(), what);
    }
}

/// Checks the security domains and the PEs that belong to them.
fn domains(installed: &InstalledPackage<'_>, report: &mut Report) {
    let mut known: Vec<&Octets> = Vec::new();
    let mut first: Option<usize> = None;
    for (number, element) in installed.elements() {
        let place = |at: &str| installed.place(number, at);
        let needs = |report: &mut Report, aid: Option<&Octets>, at: &str, known: &[&Octets]| {
            // An instance that names no security domain belongs to the MNO-SD.
            let is_there = aid.map_or(!known.is_empty(), |aid| known.contains(&aid));
            if !is_there {
                let domain = aid.map_or("the operator's".to_owned(), ToString::to_string);
                let what = format!("no earlier security domain has the AID {domain}");
                report.add(&rules::SD_UNKNOWN, place(at), what);
            }
        };
        match element {
            ProfileElement::SecurityDomain(domain) => {
                if let Some(aid) = &domain.instance.extradite_security_domain_aid {
                    needs(report, Some(aid), "extraditeSecurityDomainAID", &known);
                }
                known.push(&domain.instance.instance_aid);
                first = first.or(Some(number));
            }
            ProfileElement::Rfm(rfm) => {
                needs(report, rfm.security_domain_aid.as_ref(), "securityDomainAID", &known);
            }
            ProfileElement::Application(application) => {
                if let Some(block) = &application.load_block {
                    needs(report, block.security_domain_aid.as_ref(), "loadBlock.securityDomainAID", &known);
                }
                for instance in application.instance_list.iter().flatten() {
                    let aid = instance.extradite_security_domain_aid.as_ref();
                    needs(report, aid, "instanceList.extraditeSecurityDomainAID", &known);
                }
            }
            ProfileElement::AkaParameter(_)
            | ProfileElement::PinCodes(_)
            | ProfileElement::PukCodes(_)
            | ProfileElement::FileSystem(_) => {
                if let Some(first) = first.take() {
                    let what = format!("PE {} {} follows this security domain", number + 1, element.name());
                    report.add(&rules::SD_TOO_EARLY, installed.place(first, ""), what);
                }
            }
            _ => {}
        }
    }
    let is_iot = installed.package.header().is_some_and(|header| header.iot_options.is_some());
    if installed.complete && known.is_empty() && !is_iot {
        report.add(&rules::NO_MNO_SD, super::Place::default(), "the package has no security domain");
    }
}
