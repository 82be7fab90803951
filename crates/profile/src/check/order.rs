//! The order of PEs, and missing PEs. The walk through the package finds the order errors that an
//! eUICC refuses.

use super::{CSIM, ISIM, NON_IMSI_USIM, Report, USIM, Walked, rules};
use crate::element::{FileSystemKind, ProfileElement};
use crate::files::{FileIndex, FileKind};
use crate::octets::Octets;

pub(super) fn check(walked: &Walked<'_>, report: &mut Report) {
    codes(walked, report);
    parameters(walked, report);
    domains(walked, report);
}

fn codes(walked: &Walked<'_>, report: &mut Report) {
    let mut has_mf = false;
    let mut has_puks = false;
    for (number, element) in walked.elements() {
        match element {
            ProfileElement::FileSystem(files) => {
                has_mf |= matches!(files.kind, FileSystemKind::Mf | FileSystemKind::Iot);
            }
            ProfileElement::GenericFileManagement(_) => has_mf = true,
            ProfileElement::PukCodes(_) => {
                if !has_mf {
                    report.add(
                        &rules::CODES_BEFORE_MF,
                        walked.place(number, ""),
                        "unblocking codes before the MF",
                    );
                }
                if has_puks {
                    report.add(
                        &rules::PUK_CODES_TWICE,
                        walked.place(number, ""),
                        "a second PE with unblocking codes",
                    );
                }
                has_puks = true;
            }
            ProfileElement::Unknown(other) => {
                let what = format!("nobody here knows a PE with tag {}", other.tag);
                report.add(&rules::UNKNOWN_PE, walked.place(number, ""), what);
            }
            ProfileElement::NonStandard(other) => {
                let what = format!("only {} knows what it is", other.issuer_id);
                report.add(&rules::UNKNOWN_PE, walked.place(number, ""), what);
            }
            _ => {}
        }
    }
}

/// Checks that authentication parameters follow the application to which they belong.
fn parameters(walked: &Walked<'_>, report: &mut Report) {
    let is = |adf: FileIndex, codes: &[&[u8]]| {
        let file = walked.profile.files.file(adf);
        file.is_some_and(|file| match &file.kind {
            FileKind::Adf { aid } => codes.iter().any(|code| aid.starts_with(code)),
            _ => false,
        })
    };
    let mut with_cdma = Vec::new();
    for ((number, element), adf) in walked.elements().zip(&walked.adfs) {
        // The walk through the package has reported a missing application.
        let Some(adf) = *adf else { continue };
        let place = walked.place(number, "");
        match element {
            ProfileElement::CdmaParameter(_) if !is(adf, &[CSIM]) => {
                report.add(&rules::CDMA_ELSEWHERE, place, "the application before it is no CSIM");
            }
            ProfileElement::CdmaParameter(_) => with_cdma.push(adf),
            ProfileElement::AkaParameter(_) if is(adf, &[CSIM]) => {
                report.add(&rules::AKA_ELSEWHERE, place, "the application before it is a CSIM");
            }
            _ => {}
        }
    }
    let aka = &walked.profile.facts.aka;
    let refused = walked.elements().filter(|(_, element)| matches!(element, ProfileElement::AkaParameter(_)));
    let all_taken = refused.count() == aka.len();
    for adf in walked.adfs_of(&[USIM, NON_IMSI_USIM, ISIM]) {
        if walked.complete && all_taken && !aka.iter().any(|aka| aka.adf == adf) {
            let what = "no PE-AKAParameter follows this application";
            report.add(&rules::NO_KEYS_FOR_NAA, walked.place_of(adf), what);
        }
    }
    for adf in walked.adfs_of(&[CSIM]) {
        if walked.complete && !with_cdma.contains(&adf) {
            let what = "no PE-CDMAParameter follows this application";
            report.add(&rules::NO_KEYS_FOR_NAA, walked.place_of(adf), what);
        }
    }
    if walked.whole && walked.adfs_of(&[USIM, NON_IMSI_USIM, ISIM, CSIM]).next().is_none() {
        let what = "there is no USIM, ISIM or CSIM";
        report.add(&rules::NO_NAA, super::Place::default(), what);
    }
}

/// Security domains and the PEs that belong to them.
fn domains(walked: &Walked<'_>, report: &mut Report) {
    let mut known: Vec<&Octets> = Vec::new();
    let mut first: Option<usize> = None;
    for (number, element) in walked.elements() {
        let place = |at: &str| walked.place(number, at);
        let needs = |report: &mut Report, aid: Option<&Octets>, at: &str, known: &[&Octets]| {
            // An instance that names no security domain belongs to the MNO-SD.
            let is_there = aid.map_or(!known.is_empty(), |aid| known.contains(&aid));
            if !is_there {
                let domain = aid.map_or("the operator's".to_owned(), ToString::to_string);
                let what = format!("no security domain before it is {domain}");
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
                    let what = format!("PE {} {} comes after it", number + 1, element.name());
                    report.add(&rules::SD_TOO_EARLY, walked.place(first, ""), what);
                }
            }
            _ => {}
        }
    }
    let is_iot = walked.package.header().is_some_and(|header| header.iot_options.is_some());
    if walked.complete && known.is_empty() && !is_iot {
        report.add(&rules::NO_MNO_SD, super::Place::default(), "there is no security domain");
    }
}
