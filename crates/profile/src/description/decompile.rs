//! Decompilation of a package into a description.

use rsp::der::{Reader, Tag};
use rsp::ids::{Iccid, Imsi, Plmn};
use serde_json::Value;

use super::places::{At, Directories, In, PLACES, place};
use super::subscription::{access_classes, ims_names};
use super::{
    Algorithm, Code, Description, Digits, FilesBy, Format, Identity, Isim, KeySet, KeyType, Network, Rfm,
    coding, layout, terms,
};
use crate::element::{
    AlgoConfiguration, FileSystemKind, PinCodesChoice, PinKeyReference, ProfileElement, PukKeyReference,
    SecurityDomain,
};
use crate::identities::{Identities, Identity as Stored};
use crate::{Fid, FileSystem, Package, ProfileFiles};

/// A decompiled description.
#[derive(Clone, Debug)]
pub struct Decompiled {
    /// The description, which builds the same bytes.
    pub description: Description,
    /// The parts for which the description has no key, each with the reason. They stay as bytes in
    /// their element.
    pub notes: Vec<String>,
    /// True if the keys of the description describe the whole package, so that no element had to be
    /// written out.
    pub by_terms_alone: bool,
}

/// Decompiles a package: by keys alone if these build the same bytes, otherwise with the elements
/// written out.
///
/// # Errors
/// The package has an element that a description cannot contain; the error names it.
pub fn decompile(package: &Package) -> Result<Decompiled, String> {
    let mut found = Found::default();
    found.elements(package);
    if let Ok(files) = FileSystem::build(package) {
        found.files(&files);
    }
    let Found { description, notes } = found;
    if layout::elements(&description) == package.elements {
        return Ok(Decompiled { description, notes: Vec::new(), by_terms_alone: true });
    }
    written_out(package, description, notes)
}

fn written_out(package: &Package, full: Description, mut notes: Vec<String>) -> Result<Decompiled, String> {
    let mut description = only_with_names(full);
    let values = terms::of(&description);
    let paths = FileSystem::build(package).map(|files| Directories::of(&files)).unwrap_or_default();
    for (number, element) in package.elements.iter().enumerate() {
        let mut value = serde_json::to_value(element).map_err(|e| format!("element {number}: {e}"))?;
        place(&mut value, &values, &paths);
        match value {
            Value::Object(object) => description.element.push(object),
            _ => {
                return Err(format!(
                    "element {number}, {}, cannot be written in a description",
                    element.name()
                ));
            }
        }
    }
    // A term that no element refers to would have no effect.
    for term in values {
        if !super::raw::mentions(&description, &term.name)
            && let Some(source) = term.source.filter(|source| !placed_otherwise(&description, source))
        {
            notes.push(format!(
                "{source}: the package has another encoding of this value; the bytes stay in the element"
            ));
            forget(&mut description, source);
        }
    }
    notes.sort();
    notes.dedup();
    let rebuilt =
        super::raw::elements(&description, &description.element).map_err(|mistakes| mistakes.to_string())?;
    match rebuilt.iter().zip(&package.elements).position(|(new, old)| new != old) {
        None if rebuilt.len() == package.elements.len() => {}
        at => return Err(format!("element {} cannot be reproduced", at.unwrap_or(rebuilt.len()))),
    }
    Ok(Decompiled { description, notes, by_terms_alone: false })
}

/// True if an element refers to another term that has the same source.
fn placed_otherwise(description: &Description, source: &str) -> bool {
    terms::of(description)
        .iter()
        .any(|term| term.source == Some(source) && super::raw::mentions(description, &term.name))
}

/// Reduces the terms to those that written-out elements can refer to.
fn only_with_names(full: Description) -> Description {
    let mut d = full;
    d.format = Format::default();
    d.files = FilesBy::default();
    let a = &mut d.authentication;
    a.rotation_constants = None;
    a.xoring_constants = None;
    a.auth_counter_max = None;
    a.keccak = None;
    a.sqn_options = None;
    a.sqn_delta = None;
    a.sqn_age_limit = None;
    d.codes.pin1_enabled = false;
    d.usim.emergency = None;
    if let Some(isim) = &mut d.isim {
        isim.pcscf.clear();
        isim.impu.iter_mut().for_each(|list| list.truncate(1));
    }
    d.security_domain.aid = None;
    d.security_domain.toolkit = None;
    d.rfm.clear();
    d.identity.clear();
    d
}

fn forget(d: &mut Description, source: &str) {
    match source {
        "profile-type" => d.profile_type = None,
        "iccid" => d.iccid = None,
        "imsi" => d.imsi = None,
        "mnc-digits" => d.mnc_digits = None,
        "access-classes" => d.access_classes = None,
        "msisdn" => d.msisdn = None,
        "pol1" => d.pol1 = None,
        "connectivity-parameters" => d.connectivity_parameters = None,
        "authentication.ki" => d.authentication.ki = None,
        "authentication.opc" => d.authentication.opc = None,
        "authentication.options" => d.authentication.options = None,
        "codes.pin1" => d.codes.pin1 = None,
        "codes.puk1" => d.codes.puk1 = None,
        "codes.pin2" => d.codes.pin2 = None,
        "codes.puk2" => d.codes.puk2 = None,
        "codes.adm1" => d.codes.adm1 = None,
        "usim.spn" => (d.usim.spn, d.usim.spn_display) = (None, None),
        "usim.services" => d.usim.services = None,
        "usim.enabled-services" => d.usim.enabled_services = None,
        "usim.smsc" => d.usim.smsc = None,
        "usim.home-plmns" => d.usim.home_plmns = None,
        "usim.operator-plmns" => d.usim.operator_plmns = None,
        "usim.user-plmns" => d.usim.user_plmns = None,
        "usim.equivalent-plmns" => d.usim.equivalent_plmns = None,
        "usim.forbidden-plmns" => d.usim.forbidden_plmns = None,
        "usim.gid1" => d.usim.gid1 = None,
        "usim.gid2" => d.usim.gid2 = None,
        "5g.routing-indicator" => d.five_g.routing_indicator = None,
        "5g.suci-keys" => (d.five_g.suci_keys, d.five_g.suci_by_usim) = (None, false),
        "5g.supi-nai" => d.five_g.supi_nai = None,
        "5g.ursp" => d.five_g.ursp = None,
        "isim.impi" => d.isim.iter_mut().for_each(|isim| isim.impi = None),
        "isim.impu" => d.isim.iter_mut().for_each(|isim| isim.impu = None),
        "isim.domain" => d.isim.iter_mut().for_each(|isim| isim.domain = None),
        "security-domain.keys" => d.security_domain.keys.clear(),
        _ => {}
    }
}

/// The values found in a package.
#[derive(Default)]
struct Found {
    description: Description,
    notes: Vec<String>,
}

impl Found {
    fn elements(&mut self, package: &Package) {
        let d = &mut self.description;
        let mut by_template = false;
        let mut by_path = false;
        for element in &package.elements {
            match element {
                ProfileElement::Header(header) => {
                    d.format = if header.major_version >= 3 { Format::V3_3 } else { Format::V2_3 };
                    d.profile_type = header.profile_type.clone();
                    let digits = header.iccid.0.clone().try_into().ok();
                    d.iccid = digits.and_then(|digits| Iccid::from_profile_header(&digits).ok());
                    d.pol1 = header.pol.clone().filter(|pol| pol.len() == 1);
                    d.connectivity_parameters = header.connectivity_parameters.clone();
                }
                ProfileElement::FileSystem(element) => by_template |= element.kind == FileSystemKind::Usim,
                ProfileElement::GenericFileManagement(_) => by_path = true,
                ProfileElement::PinCodes(codes) => {
                    let PinCodesChoice::Pinconfig(pins) = &codes.pin_codes else { continue };
                    for pin in pins {
                        let place = match pin.key_reference {
                            PinKeyReference::PIN_APPL1 => &mut d.codes.pin1,
                            PinKeyReference::SECOND_PIN_APPL1 => &mut d.codes.pin2,
                            PinKeyReference::ADM1 => &mut d.codes.adm1,
                            _ => continue,
                        };
                        if place.is_none() {
                            *place = Code::of(pin.pin_value.expose());
                        }
                        if pin.key_reference == PinKeyReference::PIN_APPL1 {
                            d.codes.pin1_enabled = pin.pin_attributes.unwrap_or(7) & 1 != 0;
                        }
                    }
                }
                ProfileElement::PukCodes(codes) => {
                    for puk in &codes.puk_codes {
                        let value = Code::of(puk.puk_value.expose());
                        match puk.key_reference {
                            PukKeyReference::PUK_APPL1 => d.codes.puk1 = value,
                            PukKeyReference::SECOND_PUK_APPL1 => d.codes.puk2 = value,
                            _ => {}
                        }
                    }
                }
                ProfileElement::AkaParameter(aka) if d.authentication.ki.is_none() => {
                    let AlgoConfiguration::AlgoParameter(own) = &aka.algo_configuration else { continue };
                    let Some(algorithm) = Algorithm::of(own.algorithm_id) else {
                        self.notes.push(format!("authentication: algorithm {} is unknown", own.algorithm_id));
                        continue;
                    };
                    d.authentication = super::Authentication {
                        algorithm,
                        ki: Some(own.key.clone()),
                        opc: Some(own.opc.clone()),
                        op: None,
                        options: Some(own.algorithm_options.clone()),
                        rotation_constants: own.rotation_constants.clone(),
                        xoring_constants: own.xoring_constants.clone(),
                        auth_counter_max: own.auth_counter_max.clone(),
                        keccak: own.number_of_keccak.and_then(|number| u8::try_from(number).ok()),
                        sqn_options: aka.sqn_options.clone(),
                        sqn_delta: aka.sqn_delta.clone(),
                        sqn_age_limit: aka.sqn_age_limit.clone(),
                    };
                }
                ProfileElement::SecurityDomain(domain) if d.security_domain.keys.is_empty() => {
                    d.security_domain.keys = key_sets(domain);
                    d.security_domain.aid = Some(domain.instance.instance_aid.clone());
                    let parameters = domain.instance.application_parameters.as_ref();
                    d.security_domain.toolkit = parameters.and_then(|parameters| parameters.toolkit.clone());
                }
                ProfileElement::Rfm(rfm) => d.rfm.push(Rfm {
                    aid: rfm.instance_aid.clone(),
                    tar: rfm.tar_list.clone().unwrap_or_default(),
                    security_level: Some(rfm.minimum_security_level.clone()),
                    access: Some(rfm.uicc_access_domain.clone()),
                    usim: rfm.adf_rfm_access.is_some(),
                }),
                _ => {}
            }
        }
        if by_path && !by_template {
            d.files = FilesBy::Paths;
        }
    }

    fn files(&mut self, files: &ProfileFiles) {
        let directories = Directories::of(files);
        if directories.0.iter().any(|(directory, ..)| *directory == In::Isim) {
            self.description.isim = Some(Isim::default());
        }
        for (directory, fid, name, term, at) in PLACES {
            let Some((_, index, _)) = directories.0.iter().find(|(known, ..)| *known == directory) else {
                continue;
            };
            let Some(file) = files.child(*index, Fid(fid)) else { continue };
            let Some(content) =
                files.content(file).filter(|content| content.iter().any(|octet| *octet != 0xFF))
            else {
                continue;
            };
            let read = match at {
                At::Octet(at) => content.get(at..).and_then(|content| self.read(term, content)),
                At::Anywhere => (0..content.len()).find_map(|at| self.read(term, content.get(at..)?)),
            };
            if read.is_none() {
                self.notes.push(format!(
                    "{name}: the contents differ from the encoding of the term {term}; they stay in the element"
                ));
            }
        }
        let usim = directories.0.iter().find(|(known, ..)| *known == In::Usim);
        if let Some(file) = usim.and_then(|(_, usim, _)| files.child(*usim, Fid(0x6FB7))) {
            let records =
                (1..=files.records(file).unwrap_or_default()).filter_map(|number| files.record(file, number));
            let numbers = records.map(emergency_of).collect::<Option<Vec<_>>>();
            self.description.usim.emergency = numbers;
        }
        if let Some((_, isim, _)) = directories.0.iter().find(|(known, ..)| *known == In::Isim) {
            let texts = |fid| {
                let file = files.child(*isim, Fid(fid))?;
                let records = (1..=files.records(file)?).filter_map(|number| files.record(file, number));
                records.map(coding::tagged_of).collect::<Option<Vec<_>>>()
            };
            if let Some(own) = &mut self.description.isim {
                own.impu = texts(0x6F04).or(own.impu.take());
                let host = |text: String| text.strip_prefix('\0').map(str::to_owned);
                own.pcscf =
                    texts(0x6F09).and_then(|list| list.into_iter().map(host).collect()).unwrap_or_default();
            }
        }
        if let Some(Ok(Identities(table))) = Identities::of(files) {
            let others = table.into_iter().filter(|identity| !identity.countries.is_empty());
            self.description.identity = others.map(|other| self.identity(other, &directories)).collect();
        }
        if !self.description.identity.is_empty() {
            self.forget_ims_names_of_the_imsi();
        }
    }

    /// Removes the names of the ISIM that follow from the IMSI. Derived names change with the
    /// identity, but explicit names stay the same for all identities.
    fn forget_ims_names_of_the_imsi(&mut self) {
        let Some(isim) = self.description.isim.clone() else { return };
        let own = ims_names(&self.description, &isim);
        let made = ims_names(&self.description, &Isim::default());
        if let Some(isim) = &mut self.description.isim {
            isim.impi.take_if(|_| own.impi == made.impi);
            isim.impu.take_if(|_| own.impu == made.impu);
            isim.domain.take_if(|_| own.domain == made.domain);
        }
    }

    /// Reads the terms of an identity from its files in EF.IDENTITIES.
    fn identity(&self, stored: Stored, directories: &Directories) -> Identity {
        let Stored { countries, imsi, keys, files } = stored;
        let mut other = Self::default();
        other.description.imsi = Some(imsi);
        for file in &files {
            let (fid, directory) = file.path.split_last().unwrap_or((&Fid::MF, &[]));
            let path: String = directory.iter().map(Fid::to_string).collect();
            let directory =
                directories.0.iter().find(|(.., own)| *own == path).map(|(directory, ..)| *directory);
            let place = PLACES.iter().find(|(of, id, ..)| Some(*of) == directory && Fid(*id) == *fid);
            // A file without a term would be missing when the description is built again.
            let Some((_, _, _, term, at)) = place else { continue };
            let contents: &[u8] = &file.contents;
            let _ = match at {
                At::Octet(at) => contents.get(*at..).and_then(|contents| other.read(term, contents)),
                At::Anywhere => (0..contents.len()).find_map(|at| other.read(term, contents.get(at..)?)),
            };
        }
        let Description { mnc_digits, access_classes, usim, .. } = other.description;
        let own = &self.description.usim;
        let (ki, opc) = keys.unzip();
        Identity {
            countries,
            imsi,
            mnc_digits,
            ki,
            opc,
            access_classes,
            smsc: usim.smsc.filter(|smsc| own.smsc.as_ref() != Some(smsc)),
            spn: usim.spn.filter(|spn| own.spn.as_ref() != Some(spn)),
            home_plmns: usim.home_plmns,
            operator_plmns: usim.operator_plmns,
            equivalent_plmns: usim.equivalent_plmns,
        }
    }

    /// A term from the bytes of its file.
    fn read(&mut self, term: &str, content: &[u8]) -> Option<()> {
        let d = &mut self.description;
        let (u, g) = (&mut d.usim, &mut d.five_g);
        match term {
            "ef-iccid" => (content == d.iccid?.0).then_some(())?,
            "ef-imsi" => d.imsi = Some(Imsi::from_ef(content).ok()?),
            "mnc-digits" => {
                d.mnc_digits = Some(content.first().copied().filter(|digits| (2..=3).contains(digits))?)
            }
            "ef-acc" => {
                let found = content.get(..2)?;
                if access_classes(d) != found {
                    let bits = found.iter().fold(0u16, |bits, octet| bits << 8 | u16::from(*octet));
                    d.access_classes = Some((0..16).filter(|class| bits >> class & 1 == 1).collect());
                }
            }
            "ef-spn" => {
                let (display, name) = content.split_first()?;
                u.spn = Some(coding::name_of(name)?);
                u.spn_display = Some([*display].into());
            }
            "ef-ust" => u.services = Some(coding::services_of(content)),
            "ef-est" => {
                u.enabled_services = Some(coding::services_of(content)).filter(|list| !list.is_empty())
            }
            "smsc" => u.smsc = Some(international(&coding::number_of(content)?)?),
            "msisdn" => d.msisdn = Some(international(&coding::number_of(content)?)?),
            "ef-hplmnwact" => u.home_plmns = networks(content)?,
            "ef-oplmnwact" => u.operator_plmns = networks(content)?,
            "ef-plmnwact" => u.user_plmns = networks(content)?,
            "ef-ehplmn" => u.equivalent_plmns = plmns(content)?,
            "ef-fplmn" => u.forbidden_plmns = plmns(content)?,
            "ef-gid1" => u.gid1 = Some(content.into()),
            "ef-gid2" => u.gid2 = Some(content.into()),
            "ef-routing-indicator" => {
                g.routing_indicator = Some(coding::routing_indicator_of(content)?.parse().ok()?)
            }
            "ef-suci-calc-info" => g.suci_keys = Some(coding::suci_of(content)?),
            "ef-suci-calc-info-usim" => {
                // Only one list becomes a term. If the USIM has its own list, the list of the
                // terminal stays in its element.
                g.suci_keys = Some(coding::suci_of(content)?);
                g.suci_by_usim = true;
            }
            "ef-ursp" => g.ursp = Some(Reader::new(content).contents(Tag(0x80)).ok()?.into()),
            "ef-impi" => d.isim.as_mut()?.impi = Some(coding::tagged_of(content)?),
            "ef-impu" => d.isim.as_mut()?.impu = Some(vec![coding::tagged_of(content)?]),
            "ef-domain" => d.isim.as_mut()?.domain = Some(coding::tagged_of(content)?),
            _ => return None,
        }
        Some(())
    }
}

fn international(digits: &str) -> Option<Digits> {
    format!("+{digits}").parse().ok()
}

/// Networks up to the first empty position; an empty list is not a term.
fn networks(content: &[u8]) -> Option<Option<Vec<Network>>> {
    let list: Vec<Network> =
        content.as_chunks::<5>().0.iter().map_while(|entry| Network::of(*entry)).collect();
    Some(Some(list).filter(|list| !list.is_empty()))
}

fn plmns(content: &[u8]) -> Option<Option<Vec<Plmn>>> {
    let list: Vec<Plmn> =
        content.as_chunks::<3>().0.iter().map_while(|entry| Plmn::from_bytes(*entry).ok()).collect();
    Some(Some(list).filter(|list| !list.is_empty()))
}

fn emergency_of(record: &[u8]) -> Option<Digits> {
    let [digits @ .., 0x00] = record else { return None };
    let text: String = digits.iter().map(|octet| format!("{:02x}", octet.rotate_left(4))).collect();
    text.trim_end_matches('f').parse().ok().filter(|_| digits.len() == 3)
}

/// The key sets that have all three keys, if these have the same type.
fn key_sets(domain: &SecurityDomain) -> Vec<KeySet> {
    let keys = domain.key_list.as_deref().unwrap_or_default();
    let key = |version: u8, identifier: u8| {
        let key = keys
            .iter()
            .find(|key| *key.key_version_number == [version] && *key.key_identifier == [identifier])?;
        let [component] = key.key_components.as_slice() else { return None };
        let kind = match *component.key_type {
            [0x88] => KeyType::Aes,
            [0x80] => KeyType::TripleDes,
            _ => return None,
        };
        Some((kind, component.key_data.clone()))
    };
    let mut versions: Vec<u8> =
        keys.iter().filter_map(|key| key.key_version_number.first().copied()).collect();
    versions.dedup();
    let set = |version: u8| {
        let ((kind, enc), (second, mac), (third, dek)) =
            (key(version, 1)?, key(version, 2)?, key(version, 3)?);
        (kind == second && kind == third).then_some(KeySet { version, r#type: kind, enc, mac, dek })
    };
    versions.into_iter().filter_map(set).collect()
}
