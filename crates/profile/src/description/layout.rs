//! Builds the PEs of a description: a minimal USIM, and the elements that the keys of the
//! description add.
//!
//! The same description gives the same bytes. A missing mandatory value becomes FF or 00. This
//! happens only if personalisation supplies the value later; otherwise [`super::mistakes`] has
//! already refused the description.

use rsp::der::Unknown;
use rsp::ids::Oid;

use super::adf::{ISIM_AID, ISIM_FID, USIM_AID, USIM_FID};
use super::shapes::{arr, arr_with_never_read, content, file, hex, in_order, in_records, of_size, sized};
use super::subscription::{self, access_classes};
use super::{Algorithm, Code, Description, FilesBy, Format, Isim, KeyType, coding, identities, own, paths};
use crate::element::{
    AdfRfmAccess, AkaParameter, AlgoConfiguration, AlgoParameter, ApplicationInstance, End, Fcp,
    FileSystemElement, FileSystemKind, GenericFileManagement, KeyComponent, KeyObject, NamedFile, PeHeader,
    PinCodes, PinCodesChoice, PinConfiguration, PinKeyReference, ProfileElement, ProfileHeader, PukCodes,
    PukConfiguration, PukKeyReference, Rfm, SecurityDomain, Service, ServicesList, UiccApplicationParameters,
};
use crate::facts::{ROTATION_CONSTANTS, default_xoring_constants};
use crate::template;
use crate::{Fid, Octets, SecretOctets};

/// The default key. It is public, so it must be used for tests only.
const TEST_KEY: [u8; 16] = *b"landfall mno-sd!";

/// The PEs of a description.
pub(crate) fn elements(description: &Description) -> Vec<ProfileElement> {
    let description = &identities::with_room(description);
    let mut layout = Layout { description, elements: Vec::new() };
    layout.whole();
    let mut elements = layout.elements;
    if description.files == FilesBy::Paths {
        elements = paths::of(elements);
    }
    elements.insert(0, header(description, &elements));
    elements
}

struct Layout<'a> {
    description: &'a Description,
    elements: Vec<ProfileElement>,
}

impl Layout<'_> {
    fn whole(&mut self) {
        let d = self.description;
        self.mf();
        self.pukcodes();
        self.pins(vec![
            pin(
                PinKeyReference::PIN_APPL1,
                &code(&d.codes.pin1, "0000"),
                Some(PukKeyReference::PUK_APPL1),
                6 | i64::from(d.codes.pin1_enabled),
            ),
            pin(PinKeyReference::ADM1, &code(&d.codes.adm1, "55555555"), None, 3),
        ]);
        self.usim();
        self.opt_usim();
        self.pins(vec![pin(
            PinKeyReference::SECOND_PIN_APPL1,
            &code(&d.codes.pin2, "9999"),
            Some(PukKeyReference::SECOND_PUK_APPL1),
            3,
        )]);
        self.aka();
        self.five_g();
        if let Some(isim) = &d.isim {
            self.isim(isim);
        }
        self.own_files();
        self.security_domain();
        self.rfm();
        if !d.identity.is_empty() {
            let header = self.header();
            self.elements.push(identities::applet(header));
        }
        let header = self.header();
        self.elements.push(ProfileElement::End(End { header, unknown: Unknown::default() }));
    }

    /// The PE header of the next PE. PEs are numbered from the one after the profile header.
    fn header(&self) -> PeHeader {
        PeHeader::mandated(u16::try_from(self.elements.len() + 1).unwrap_or_default())
    }

    fn by_template(&mut self, kind: FileSystemKind, files: Vec<NamedFile>) {
        let (number, newest) = template::number(kind);
        let version = match self.description.format {
            Format::V2_3 => 1,
            Format::V3_3 => newest,
        };
        let files = files.into_iter().map(|file| sized(kind, version, file)).collect();
        self.elements.push(ProfileElement::FileSystem(FileSystemElement {
            kind,
            header: self.header(),
            template_id: Oid::template(number, version),
            files: in_order(kind, files),
            unknown: Unknown::default(),
        }));
    }

    fn mf(&mut self) {
        let directory = Fcp { pin_status_template_do: Some(Octets(vec![0x01, 0x0A])), ..Fcp::default() };
        let iccid = self.description.iccid.map_or([0xFF; 10], |iccid| iccid.0);
        let entry =
            |aid: &[u8], label: &[u8]| [&[0x61, 0x14, 0x4F, 0x0C], aid, &[0x50, 0x04], label].concat();
        let mut applications = vec![entry(&USIM_AID, b"USIM")];
        if self.description.isim.is_some() {
            applications.push(entry(&ISIM_AID, b"ISIM"));
        }
        self.by_template(
            FileSystemKind::Mf,
            vec![
                file("mf", Some(directory), vec![]),
                file("ef-iccid", None, vec![content(&iccid)]),
                in_records("ef-dir", 0x21, &applications),
                if self.description.identity.is_empty() { arr() } else { arr_with_never_read() },
            ],
        );
    }

    fn usim(&mut self) {
        let d = self.description;
        let imsi = d.imsi.map_or([0xFF; 9].to_vec(), |imsi| used(imsi.to_ef()));
        let emergency: Vec<Vec<u8>> = match &d.usim.emergency {
            None => vec![emergency("112")],
            Some(numbers) => numbers.iter().map(|number| emergency(number.digits())).collect(),
        };
        let enabled = coding::services(d.usim.enabled_services.as_deref().unwrap_or_default());
        let mut files = vec![
            file("adf-usim", Some(adf(USIM_FID, &USIM_AID)), vec![]),
            file("ef-imsi", None, vec![content(&imsi)]),
            arr(),
            file("ef-ust", None, vec![content(&services(d))]),
            file("ef-spn", None, vec![content(&subscription::spn(d))]),
            file("ef-est", None, vec![content(if enabled.is_empty() { &[0x00] } else { &enabled })]),
            file("ef-acc", None, vec![content(&access_classes(d))]),
            file("ef-ad", None, vec![content(&subscription::administrative(d))]),
            in_records("ef-ecc", 4, &emergency),
        ];
        if let Some(smsc) = &d.usim.smsc {
            files.push(file("ef-smsp", None, vec![content(&subscription::smsp(smsc))]));
        }
        if let Some(list) = &d.usim.forbidden_plmns {
            files.push(file("ef-fplmn", None, vec![content(&subscription::plmns(list))]));
        }
        self.by_template(FileSystemKind::Usim, files);
    }

    fn opt_usim(&mut self) {
        let usim = &self.description.usim;
        let mut files = Vec::new();
        if let Some(msisdn) = &self.description.msisdn {
            let record = [vec![0xFF; 10], coding::number(msisdn.digits())].concat();
            files.push(file("ef-msisdn", None, vec![content(&record)]));
        }
        for (name, group) in [("ef-gid1", &usim.gid1), ("ef-gid2", &usim.gid2)] {
            files.extend(
                group.as_ref().map(|group| file(name, Some(of_size(group.len())), vec![content(group)])),
            );
        }
        for (name, _, list) in subscription::LISTS {
            let list = identities::padded(self.description, list);
            files.extend(list.map(|list| file(name, None, vec![content(&list)])));
        }
        if !files.is_empty() {
            self.by_template(FileSystemKind::OptUsim, files);
        }
    }

    fn five_g(&mut self) {
        let five_g = &self.description.five_g;
        if super::is_default(five_g) {
            return;
        }
        let keys = five_g.suci_keys.as_deref().unwrap_or_default();
        let suci = coding::suci(if five_g.suci_by_usim { &[] } else { keys });
        let digits = five_g.routing_indicator.as_ref().map_or("0", super::Digits::digits);
        let mut files = vec![
            file("df-df-5gs", None, vec![]),
            file("ef-5gs3gpploci", None, vec![]),
            file("ef-5gsn3gpploci", None, vec![]),
            file("ef-5gs3gppnsc", None, vec![]),
            file("ef-5gsn3gppnsc", None, vec![]),
            file("ef-5gauthkeys", None, vec![content(&[0xFF])]),
            file("ef-suci-calc-info", Some(of_size(suci.len())), vec![content(&suci)]),
            file("ef-routing-indicator", None, vec![content(&coding::routing_indicator(digits))]),
        ];
        if let Some(nai) = &five_g.supi_nai {
            let nai = coding::tagged(nai);
            files.push(file("ef-supinai", Some(of_size(nai.len())), vec![content(&nai)]));
        }
        self.by_template(FileSystemKind::Df5gs, files);
        if five_g.suci_by_usim {
            let suci = coding::suci(keys);
            self.by_template(
                FileSystemKind::DfSaip,
                vec![
                    file("df-df-saip", None, vec![]),
                    file("ef-suci-calc-info-usim", Some(of_size(suci.len())), vec![content(&suci)]),
                ],
            );
        }
    }

    fn isim(&mut self, isim: &Isim) {
        let subscription::ImsNames { impi, impu, domain } = subscription::ims_names(self.description, isim);
        let longest = impu.iter().map(Vec::len).max().unwrap_or(1);
        let table = u8::from(!isim.pcscf.is_empty());
        self.by_template(
            FileSystemKind::Isim,
            vec![
                file("adf-isim", Some(adf(ISIM_FID, &ISIM_AID)), vec![]),
                file("ef-impi", Some(of_size(impi.len())), vec![content(&impi)]),
                in_records("ef-impu", longest, &impu),
                file("ef-domain", Some(of_size(domain.len())), vec![content(&domain)]),
                file("ef-ist", None, vec![content(&[&[table], [0; 13].as_slice()].concat())]),
                arr(),
            ],
        );
        if !isim.pcscf.is_empty() {
            let hosts: Vec<Vec<u8>> =
                isim.pcscf.iter().map(|host| coding::tagged(&format!("\0{host}"))).collect();
            let longest = hosts.iter().map(Vec::len).max().unwrap_or(1);
            self.by_template(FileSystemKind::OptIsim, vec![in_records("ef-pcscf", longest, &hosts)]);
        }
        let header = self.header();
        self.elements.push(ProfileElement::PinCodes(PinCodes {
            header,
            pin_codes: PinCodesChoice::FilePath(USIM_FID.0.to_be_bytes().into()),
            unknown: Unknown::default(),
        }));
        self.aka();
    }

    fn own_files(&mut self) {
        let commands = own::commands(self.description);
        if !commands.is_empty() {
            let header = self.header();
            self.elements.push(ProfileElement::GenericFileManagement(GenericFileManagement {
                header,
                commands: vec![commands],
                unknown: Unknown::default(),
            }));
        }
    }

    fn pukcodes(&mut self) {
        let codes = &self.description.codes;
        let puk = |key_reference, value: [u8; 8]| PukConfiguration {
            key_reference,
            puk_value: value.into(),
            // DER omits the default: ten attempts, of which ten remain.
            max_attempts_retries_left: None,
            unknown: Unknown::default(),
        };
        let header = self.header();
        self.elements.push(ProfileElement::PukCodes(PukCodes {
            header,
            puk_codes: vec![
                puk(PukKeyReference::PUK_APPL1, code(&codes.puk1, "11111111")),
                puk(PukKeyReference::SECOND_PUK_APPL1, code(&codes.puk2, "22222222")),
            ],
            unknown: Unknown::default(),
        }));
    }

    fn pins(&mut self, pins: Vec<PinConfiguration>) {
        let header = self.header();
        self.elements.push(ProfileElement::PinCodes(PinCodes {
            header,
            pin_codes: PinCodesChoice::Pinconfig(pins),
            unknown: Unknown::default(),
        }));
    }

    fn aka(&mut self) {
        let a = &self.description.authentication;
        let opc_length = a.algorithm.opc_length().unwrap_or(16);
        let header = self.header();
        self.elements.push(ProfileElement::AkaParameter(Box::new(AkaParameter {
            header,
            algo_configuration: AlgoConfiguration::AlgoParameter(Box::new(AlgoParameter {
                algorithm_id: a.algorithm.id(),
                algorithm_options: a.options.clone().unwrap_or_else(|| [0x02].into()),
                key: a.ki.clone().unwrap_or_else(|| [0; 16].into()),
                opc: a.effective_opc().unwrap_or_else(|| vec![0; opc_length].into()),
                rotation_constants: unless(&a.rotation_constants, &ROTATION_CONSTANTS),
                xoring_constants: unless(&a.xoring_constants, &default_xoring_constants()),
                auth_counter_max: a.auth_counter_max.clone(),
                number_of_keccak: a.keccak.filter(|times| *times != 1).map(i64::from),
                unknown: Unknown::default(),
            })),
            sqn_options: unless(&a.sqn_options, &[0x02]),
            sqn_delta: unless(&a.sqn_delta, &[0, 0, 0x10, 0, 0, 0]),
            sqn_age_limit: unless(&a.sqn_age_limit, &[0, 0, 0x10, 0, 0, 0]),
            sqn_init: None,
            unknown: Unknown::default(),
        })));
    }

    /// The MNO-SD: GlobalPlatform's security domain package, with the privileges and parameters of
    /// TS.48.
    fn security_domain(&mut self) {
        let domain = &self.description.security_domain;
        let mut key_list = Vec::new();
        let test = [super::KeySet {
            version: 1,
            r#type: KeyType::Aes,
            enc: TEST_KEY.into(),
            mac: TEST_KEY.into(),
            dek: TEST_KEY.into(),
        }];
        for set in if domain.keys.is_empty() { test.as_slice() } else { &domain.keys } {
            for (identifier, usage, value) in [(1, 0x18, &set.enc), (2, 0x14, &set.mac), (3, 0x48, &set.dek)]
            {
                key_list.push(key(set.version, identifier, usage, set.r#type, value));
            }
        }
        let toolkit = domain.toolkit.clone().map(|toolkit| UiccApplicationParameters {
            toolkit: Some(toolkit),
            ..UiccApplicationParameters::default()
        });
        let header = self.header();
        self.elements.push(ProfileElement::SecurityDomain(Box::new(SecurityDomain {
            header,
            instance: ApplicationInstance {
                application_load_package_aid: hex("A0000001515350"),
                class_aid: hex("A000000151535041"),
                instance_aid: domain.aid.clone().unwrap_or_else(|| hex("A000000151000000")),
                extradite_security_domain_aid: None,
                application_privileges: hex("82DC00"),
                life_cycle_state: Some(hex("0F")),
                application_specific_parameters_c9: hex("810280008201F08301F08701F0"),
                system_specific_parameters: None,
                application_parameters: toolkit,
                process_data: None,
                control_reference_template: None,
                unknown: Unknown::default(),
            },
            key_list: Some(key_list),
            sd_perso_data: None,
            open_perso_data: None,
            cat_tp_parameters: None,
            unknown: Unknown::default(),
        })));
    }

    fn rfm(&mut self) {
        for rfm in &self.description.rfm {
            let all = rfm.access.clone().unwrap_or_else(|| [0x00].into());
            let header = self.header();
            self.elements.push(ProfileElement::Rfm(Rfm {
                header,
                instance_aid: rfm.aid.clone(),
                security_domain_aid: None,
                tar_list: Some(rfm.tar.clone()),
                minimum_security_level: rfm.security_level.clone().unwrap_or_else(|| [0x16].into()),
                uicc_access_domain: all.clone(),
                uicc_admin_access_domain: all.clone(),
                adf_rfm_access: rfm.usim.then(|| AdfRfmAccess {
                    adf_aid: USIM_AID.into(),
                    adf_access_domain: all.clone(),
                    adf_admin_access_domain: all,
                    unknown: Unknown::default(),
                }),
                unknown: Unknown::default(),
            }));
        }
    }
}

impl super::Authentication {
    /// OPc as given, or derived from OP and K.
    pub(crate) fn effective_opc(&self) -> Option<SecretOctets> {
        let from_op = || {
            let ki: [u8; 16] = self.ki.as_ref()?.expose().try_into().ok()?;
            let op: [u8; 16] = self.op.as_ref()?.expose().try_into().ok()?;
            Some(crypto::milenage::opc(&ki, &op).into())
        };
        self.opc.clone().or_else(from_op)
    }
}

/// The profile header, with the services that the PEs need.
fn header(description: &Description, elements: &[ProfileElement]) -> ProfileElement {
    let a = &description.authentication;
    let mut services = vec![Service::USIM];
    services.push(match a.algorithm {
        Algorithm::Milenage => Service::MILENAGE,
        Algorithm::Tuak if a.ki.as_ref().is_some_and(|ki| ki.expose().len() == 32) => Service::TUAK256,
        Algorithm::Tuak => Service::TUAK128,
        Algorithm::Test => Service::USIM_TEST_ALGORITHM,
    });
    if description.isim.is_some() {
        services.push(Service::ISIM);
    }
    if description.five_g.ursp.is_some() {
        services.push(Service::BER_TLV);
    }
    if description.five_g.suci_by_usim {
        services.push(Service::GET_IDENTITY);
        services.extend(description.five_g.suci_keys.iter().flatten().map(|key| match key.profile {
            super::SuciProfile::A => Service::PROFILE_A_X25519,
            super::SuciProfile::B => Service::PROFILE_B_P256,
        }));
    }
    services.sort_unstable();
    services.dedup();
    let mut templates: Vec<Oid> = elements
        .iter()
        .filter_map(|element| match element {
            ProfileElement::FileSystem(element) => Some(element.template_id.clone()),
            _ => None,
        })
        .collect();
    templates.sort();
    let (major_version, minor_version) = match description.format {
        Format::V2_3 => (2, 3),
        Format::V3_3 => (3, 3),
    };
    ProfileElement::Header(ProfileHeader {
        major_version,
        minor_version,
        profile_type: Some(description.profile_type.clone().unwrap_or_else(|| "Landfall generic".to_owned())),
        iccid: description.iccid.map_or([0xFF; 10], |iccid| iccid.to_profile_header()).into(),
        pol: description.pol1.clone(),
        mandatory_services: ServicesList { services, unknown: Unknown::default() },
        mandatory_gfste_list: templates,
        connectivity_parameters: description.connectivity_parameters.clone(),
        mandatory_aids: (!description.identity.is_empty()).then(|| vec![identities::needed()]),
        iot_options: None,
        unknown: Unknown::default(),
    })
}

/// EF.UST (TS 31.102 section 4.2.8): by default exactly the services that the files need.
fn services(d: &Description) -> Vec<u8> {
    const SMS: u8 = 10;
    const SMSP: u8 = 12;
    const SPN: u8 = 19;
    const ALWAYS_SET: u8 = 33;
    const EPS_MOBILITY_MANAGEMENT: u8 = 85;
    let mut numbers = vec![SMS, SMSP, SPN, ALWAYS_SET, EPS_MOBILITY_MANAGEMENT];
    let five_g = &d.five_g;
    let with_suci = five_g.suci_keys.is_some() || five_g.routing_indicator.is_some();
    let further = [
        (d.usim.gid1.is_some(), 17),
        (d.usim.gid2.is_some(), 18),
        (d.usim.user_plmns.is_some(), 20),
        (d.msisdn.is_some(), 21),
        (d.usim.operator_plmns.is_some(), 42),
        (d.usim.home_plmns.is_some(), 43),
        (d.usim.equivalent_plmns.is_some(), 71),
        // 5GS mobility management information, 5G security parameters.
        (!super::is_default(five_g), 122),
        (!super::is_default(five_g), 123),
        (with_suci, 124),
        (five_g.suci_by_usim, 125),
        (five_g.supi_nai.is_some(), 130),
        (five_g.ursp.is_some(), 132),
    ];
    numbers.extend(further.into_iter().filter_map(|(there, number)| there.then_some(number)));
    let mut table = coding::services(d.usim.services.as_ref().unwrap_or(&numbers));
    // The table fills the file of the template, because an unwritten byte is FF and would mark its
    // services as available.
    let size = match d.format {
        Format::V2_3 => 14,
        Format::V3_3 => 17,
    };
    table.resize(table.len().max(size), 0);
    table
}

/// The value, or `None` if it is the default, which DER omits.
fn unless(value: &Option<Octets>, default: &[u8]) -> Option<Octets> {
    value.clone().filter(|value| value.0 != default)
}

/// A record of EF.ECC: three octets of digits, no category.
fn emergency(digits: &str) -> Vec<u8> {
    let mut octets = coding::swapped(digits);
    octets.resize(3, 0xFF);
    octets.push(0x00);
    octets
}

/// The IMSI without its padding.
pub(super) fn used(ef: [u8; 9]) -> Vec<u8> {
    let length = ef.first().map_or(9, |length| usize::from(*length) + 1);
    ef.into_iter().take(length).collect()
}

fn code(given: &Option<Code>, default: &str) -> [u8; 8] {
    let default = || default.parse::<Code>().map(|code| code.octets()).unwrap_or([0xFF; 8]);
    given.as_ref().map_or_else(default, Code::octets)
}

/// A code. Bit 1 of `attributes` means "enabled"; the other bits are those of the same code in
/// TS.48.
fn pin(
    key_reference: PinKeyReference,
    value: &[u8; 8],
    unblocked_by: Option<PukKeyReference>,
    attributes: i64,
) -> PinConfiguration {
    PinConfiguration {
        key_reference,
        pin_value: value.as_slice().into(),
        unblocking_pin_reference: unblocked_by,
        // DER omits the defaults 7 and 33.
        pin_attributes: (attributes != 7).then_some(attributes),
        max_attempts_retries_left: (key_reference == PinKeyReference::ADM1).then_some(0xAA),
        unknown: Unknown::default(),
    }
}

fn key(version: u8, identifier: u8, usage: u8, kind: KeyType, value: &SecretOctets) -> KeyObject {
    let key_type = match kind {
        KeyType::Aes => 0x88,
        KeyType::TripleDes => 0x80,
    };
    KeyObject {
        key_usage_qualifier: [usage].into(),
        key_access: None,
        key_identifier: [identifier].into(),
        key_version_number: [version].into(),
        key_counter_value: None,
        key_components: vec![KeyComponent {
            key_type: [key_type].into(),
            key_data: value.clone(),
            mac_length: None,
            unknown: Unknown::default(),
        }],
        unknown: Unknown::default(),
    }
}

fn adf(fid: Fid, aid: &[u8]) -> Fcp {
    Fcp {
        file_id: Some(fid),
        df_name: Some(aid.into()),
        pin_status_template_do: Some(Octets(vec![0x01, 0x81, 0x0A])),
        ..Fcp::default()
    }
}
