//! The profile header, compared with the contents of the profile.

use std::collections::BTreeSet;

use rsp::der::{Tag, tlv};
use rsp::ids::{Iccid, Oid};

use super::{CSIM, ISIM, InstalledPackage, NON_IMSI_USIM, Report, USIM, hex, rules};
use crate::element::{
    AlgoConfiguration, AlgorithmId, FileSystemKind, ProfileElement, ProfileHeader, Service,
};
use crate::files::{FileIndex, FileKind};
use crate::identities;
use crate::octets::Fid;

pub(super) fn check(installed: &InstalledPackage<'_>, report: &mut Report) {
    let Some(header) = installed.package.header() else { return };
    fields(installed, header, report);
    iccid(installed, header, report);
    services(installed, header, report);
    templates(installed, header, report);
}

fn fields(installed: &InstalledPackage<'_>, header: &ProfileHeader, report: &mut Report) {
    let place = |at: &str| installed.place(0, at);
    if let Some(name) = header.profile_type.as_ref().filter(|name| !(1..=100).contains(&name.len())) {
        let what = format!("the name has {} octets", name.len());
        report.add(&rules::PROFILE_TYPE, place("profileType"), what);
    }
    if let Some(pol) = &header.pol {
        let wrong = match pol.0.as_slice() {
            [rules] if rules & 0x06 == 0x06 => {
                Some("the profile must not be deleted, but must be deleted when it is disabled")
            }
            [rules] if rules & 0xF8 != 0 => Some("bits 8 to 4 are reserved"),
            [_] => None,
            _ => Some("the value is not one octet"),
        };
        if let Some(wrong) = wrong {
            report.add(&rules::POLICY_RULES, place("pol"), format!("{pol}: {wrong}"));
        }
    }
    if let Some(parameters) = &header.connectivity_parameters {
        let objects = tlv::each(parameters).unwrap_or_default();
        let known = |object: &&[u8]| matches!(tlv::split(object), Some((Tag(0xA0..=0xA2), _)));
        if objects.is_empty() || !objects.iter().all(known) {
            let what = format!("{} is not a sequence of the objects A0, A1 and A2", hex(parameters));
            report.add(&rules::CONNECTIVITY, place("connectivityParameters"), what);
        }
    }
    for needed in header.mandatory_aids.iter().flatten() {
        if !(5..=16).contains(&needed.aid.len()) {
            let what = format!("an AID of {} octets", needed.aid.len());
            report.add(&rules::AID_SHAPE, place("eUICC-Mandatory-AIDs"), what);
        }
    }
    let has_iot = installed.elements().any(|(_, element)| match element {
        ProfileElement::FileSystem(files) => {
            matches!(files.kind, FileSystemKind::Iot | FileSystemKind::OptIot)
        }
        _ => false,
    });
    match (&header.iot_options, has_iot) {
        (Some(_), false) if installed.complete => {
            report.add(&rules::IOT_OPTIONS, place("iotOptions"), "the package has no PE-IoT");
        }
        (None, true) => {
            report.add(&rules::IOT_OPTIONS, place(""), "the package has a PE-IoT, but no iotOptions")
        }
        _ => {}
    }
}

fn iccid(installed: &InstalledPackage<'_>, header: &ProfileHeader, report: &mut Report) {
    const EF_ICCID: Fid = Fid(0x2FE2);
    // The installation reports an ICCID that does not have ten bytes.
    let Ok(octets) = <[u8; 10]>::try_from(header.iccid.0.as_slice()) else { return };
    let place = installed.place(0, "iccid");
    let files = &installed.profile.files;
    let file = files.child(FileIndex::MF, EF_ICCID);
    if let Some((index, content)) = file.and_then(|index| Some((index, files.content(index)?)))
        && content != octets.map(|octet| octet.rotate_left(4))
    {
        let what = format!("{} is not {} with its digits swapped", hex(content), header.iccid);
        report.add(&rules::ICCID_DIFFERS, installed.place_of(index), what);
    }
    let Ok(iccid) = Iccid::from_profile_header(&octets) else {
        return report.add(&rules::ICCID_DIGITS, place, format!("{} is not an ICCID", header.iccid));
    };
    let digits = iccid.to_string();
    if let Some(right) = with_right_check_digit(iccid) {
        let what = format!("{digits} should be {right}");
        report.add(&rules::ICCID_CHECK_DIGIT, place.clone(), what);
    }
    if !digits.starts_with("89") {
        report.add(&rules::ICCID_MII, place, format!("{digits} does not begin with 89"));
    }
}

/// The ICCID with its correct check digit (ITU-T E.118); `None` if the digit is correct.
pub fn with_right_check_digit(iccid: Iccid) -> Option<Iccid> {
    let digits = iccid.to_string();
    let right = digits.get(..digits.len().saturating_sub(1)).and_then(|most| Iccid::with_luhn(most).ok());
    right.filter(|right| *right != iccid)
}

/// The services that the profile uses, with the element that uses each.
fn used(installed: &InstalledPackage<'_>) -> Vec<(Service, String)> {
    let mut used = Vec::new();
    let files = &installed.profile.files;
    for (service, multiple, codes) in [
        (Service::USIM, Some(Service::MULTIPLE_USIM), &[USIM, NON_IMSI_USIM][..]),
        (Service::ISIM, Some(Service::MULTIPLE_ISIM), &[ISIM]),
        (Service::CSIM, Some(Service::MULTIPLE_CSIM), &[CSIM]),
    ] {
        let adfs: Vec<_> = installed.adfs_of(codes).collect();
        used.extend(adfs.first().map(|_| (service, format!("the package has a {service}"))));
        if let (Some(multiple), 2..) = (multiple, adfs.len()) {
            used.push((multiple, format!("the package has {} of them", adfs.len())));
        }
    }
    for (_, element) in installed.elements() {
        match element {
            ProfileElement::AkaParameter(parameter) => {
                let AlgoConfiguration::AlgoParameter(own) = &parameter.algo_configuration else { continue };
                let service = match (own.algorithm_id, own.key.expose().len()) {
                    (AlgorithmId::MILENAGE, _) => Service::MILENAGE,
                    (AlgorithmId::TUAK, 16) => Service::TUAK128,
                    (AlgorithmId::TUAK, 32) => Service::TUAK256,
                    (AlgorithmId::USIM_TEST_ALGORITHM, _) => Service::USIM_TEST_ALGORITHM,
                    _ => continue,
                };
                used.push((service, format!("an application authenticates with {}", own.algorithm_id)));
            }
            ProfileElement::CdmaParameter(_) => {
                used.push((Service::CAVE, "there is an A-key for CAVE".to_owned()));
            }
            ProfileElement::SecurityDomain(domain) if domain.cat_tp_parameters.is_some() => {
                used.push((Service::CAT_TP, "a security domain has catTpParameters".to_owned()));
            }
            ProfileElement::FileSystem(element) if element.kind == FileSystemKind::Eap => {
                used.push((Service::EAP, "there is a DF.EAP".to_owned()));
            }
            _ => {}
        }
    }
    if files.all().any(|(_, file)| matches!(file.kind, FileKind::BerTlv { .. })) {
        used.push((Service::BER_TLV, "there are BER-TLV files".to_owned()));
    }
    if files.all().any(|(_, file)| file.kind.is_directory() && file.link.is_some()) {
        used.push((Service::DF_LINK, "a directory is a link".to_owned()));
    }
    for usim in installed.adfs_of(&[USIM, NON_IMSI_USIM]).filter_map(|adf| installed.profile.usim_in(adf)) {
        if !usim.has_service(125) {
            continue;
        }
        used.push((Service::GET_IDENTITY, "service 125: the USIM conceals the identity".to_owned()));
        for scheme in usim.suci_calc_info().iter().flat_map(|info| &info.schemes) {
            let service = match scheme.identifier {
                1 => Service::PROFILE_A_X25519,
                2 => Service::PROFILE_B_P256,
                _ => continue,
            };
            used.push((service, format!("the USIM conceals with scheme {}", scheme.identifier)));
        }
    }
    used
}

fn services(installed: &InstalledPackage<'_>, header: &ProfileHeader, report: &mut Report) {
    let listed: BTreeSet<Service> = header.mandatory_services.services.iter().copied().collect();
    let place = || installed.place(0, "eUICC-Mandatory-services");
    let used = used(installed);
    let mut reported = BTreeSet::new();
    for (service, why) in &used {
        if !listed.contains(service) && reported.insert(*service) {
            let rule = match *service {
                Service::CAVE => &rules::CAVE_NOT_LISTED,
                _ => &rules::SERVICE_NOT_LISTED,
            };
            report.add(rule, place(), format!("{why}, but {service} is not listed"));
        }
    }
    let is_used = |service: Service| used.iter().any(|(used, _)| *used == service);
    let has = |wanted: fn(&ProfileElement) -> bool| installed.elements().any(|(_, element)| wanted(element));
    // An instance of a built-in function needs no runtime environment in the header, because the
    // maker of the card chose the environment.
    let has_application =
        has(|element| matches!(element, ProfileElement::Application(it) if !identities::is_applet(it)));
    let is_any_listed = |services: &[Service]| services.iter().any(|service| listed.contains(service));
    if has_application && !is_any_listed(&[Service::JAVACARD, Service::MULTOS]) {
        let what = "the package has applications, but neither javacard nor multos is listed";
        report.add(&rules::SERVICE_NOT_LISTED, place(), what);
    }
    for service in listed.iter().copied() {
        let not_used = |report: &mut Report| {
            let what = format!("{service} is listed, but nothing in the package uses it");
            report.add(&rules::SERVICE_NOT_USED, place(), what);
        };
        match service {
            Service::GET_IDENTITY | Service::PROFILE_A_X25519 | Service::PROFILE_B_P256 => {
                if !is_any_listed(&[Service::USIM, Service::ISIM]) {
                    let what = format!("{service} is listed without usim or isim");
                    report.add(&rules::SERVICE_WITHOUT_BASE, place(), what);
                } else if installed.complete && !is_used(service) {
                    let what = format!("{service} is listed, but nothing in the package uses it yet");
                    report.add(&rules::SUCI_NOT_USED, place(), what);
                }
            }
            Service::JAVACARD | Service::MULTOS if installed.complete && !has_application => not_used(report),
            service if IN_SIGHT.contains(&service) && installed.whole && !is_used(service) => {
                not_used(report)
            }
            service if service.name().is_none() => {
                report.add(&rules::SERVICE_UNKNOWN, place(), format!("{service} is unknown"));
            }
            _ => {}
        }
        let base = match service {
            Service::GBA_USIM | Service::MULTIPLE_USIM => Service::USIM,
            Service::GBA_ISIM | Service::MULTIPLE_ISIM => Service::ISIM,
            Service::MULTIPLE_CSIM => Service::CSIM,
            _ => continue,
        };
        if !listed.contains(&base) {
            let what = format!("{service} is listed without {base}");
            report.add(&rules::SERVICE_WITHOUT_BASE, place(), what);
        }
    }
}

/// The services whose use can be recognised in a package.
const IN_SIGHT: [Service; 15] = [
    Service::USIM,
    Service::ISIM,
    Service::CSIM,
    Service::MILENAGE,
    Service::TUAK128,
    Service::TUAK256,
    Service::USIM_TEST_ALGORITHM,
    Service::CAVE,
    Service::EAP,
    Service::MULTIPLE_USIM,
    Service::MULTIPLE_ISIM,
    Service::MULTIPLE_CSIM,
    Service::BER_TLV,
    Service::DF_LINK,
    Service::CAT_TP,
];

fn templates(installed: &InstalledPackage<'_>, header: &ProfileHeader, report: &mut Report) {
    let listed = &header.mandatory_gfste_list;
    let place = || installed.place(0, "eUICC-Mandatory-GFSTEList");
    let mut used: Vec<&Oid> = Vec::new();
    for (number, element) in installed.elements() {
        let ProfileElement::FileSystem(files) = element else { continue };
        let oid = &files.template_id;
        used.push(oid);
        if !listed.contains(oid) && oid.as_template().is_some() {
            let what = format!("template {oid} is not in the header's eUICC-Mandatory-GFSTEList");
            report.add(&rules::TEMPLATE_NOT_LISTED, installed.place(number, "templateID"), what);
        }
    }
    for (number, oid) in listed.iter().enumerate() {
        if listed.iter().take(number).any(|other| other == oid) {
            report.add(&rules::TEMPLATE_TWICE, place(), format!("template {oid} is listed twice"));
        } else if installed.complete && oid.as_template().is_some() && !used.contains(&oid) {
            let what = format!("template {oid} is listed, but no PE uses it");
            report.add(&rules::TEMPLATE_NOT_USED, place(), what);
        }
    }
}
