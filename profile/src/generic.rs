//! A package of the project's own: one USIM with Milenage or the test algorithm, as small as a working profile can be.
//!
//! TCA 2.3, everything by template. The same subscription gives the same octets.

use rsp::der::Unknown;

use crate::element::{
    AkaParameter, AlgoConfiguration, AlgoParameter, AlgorithmId, ApplicationInstance, End, Fcp, FileItem,
    FileSystemElement, FileSystemKind, KeyComponent, KeyObject, NamedFile, PeHeader, PinCodes,
    PinCodesChoice, PinConfiguration, PinKeyReference, ProfileElement, ProfileHeader, PukCodes,
    PukConfiguration, PukKeyReference, SecurityDomain, Service, ServicesList,
};
use crate::{Fid, Octets, Oid, Package};

/// What distinguishes one subscription from another.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// ICCID in the order of the profile header, filled with F.
    pub iccid: [u8; 10],
    /// IMSI, 6 to 15 digits.
    pub imsi: String,
    /// Digits of the network code: 2 or 3.
    pub mnc_digits: u8,
    /// Ki.
    pub key: [u8; 16],
    /// OPc; not used by the test algorithm.
    pub opc: [u8; 16],
    /// How the USIM authenticates.
    pub algorithm: Algorithm,
    /// EF.SPN: up to 16 letters, digits and blanks.
    pub operator_name: String,
    /// EF.MSISDN, international digits without +.
    pub msisdn: Option<String>,
    /// PIN1, which is disabled; PUK1; PIN2; PUK2; ADM1: 4 to 8 digits, the PUKs 8.
    pub codes: Codes,
    /// The keys of the MNO-SD.
    pub security_domain_key: [u8; 16],
}

/// How a USIM authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// TS 35.206.
    Milenage,
    /// TS 34.108 section 8.1.2.
    UsimTest,
}

/// PINs and their like, as digits.
#[derive(Clone, Debug)]
pub struct Codes {
    /// PIN1.
    pub pin1: String,
    /// Unblocks PIN1.
    pub puk1: String,
    /// PIN2.
    pub pin2: String,
    /// Unblocks PIN2.
    pub puk2: String,
    /// The administrator's.
    pub adm1: String,
}

impl Default for Codes {
    fn default() -> Self {
        let code = str::to_owned;
        Self {
            pin1: code("0000"),
            puk1: code("11111111"),
            pin2: code("9999"),
            puk2: code("22222222"),
            adm1: code("55555555"),
        }
    }
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            iccid: [0xFF; 10],
            imsi: "001010000000001".to_owned(),
            mnc_digits: 2,
            key: [0; 16],
            opc: [0; 16],
            algorithm: Algorithm::Milenage,
            operator_name: "Landfall".to_owned(),
            msisdn: None,
            codes: Codes::default(),
            security_domain_key: *b"landfall mno-sd!",
        }
    }
}

/// The USIM's AID: 3GPP's RID and application code, then as the TS.48 profile has it.
const USIM_AID: [u8; 12] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02, 0xFF, 0x49, 0xFF, 0x05, 0x89];

/// Security conditions in the expanded format (TS 102 221 section 9.3): always, PIN1, PIN2, ADM1.
const ALWAYS: &str = "9000";
const PIN1: &str = "A406830101950108";
const PIN2: &str = "A406830181950108";
const ADM1: &str = "A40683010A950108";

/// The access rules to which the templates refer by number, 1 to 15: access mode and condition, in pairs.
/// Mode 01 reads, 02 updates, 58 and the like activate, deactivate and terminate; 84 32 is INCREASE.
const ACCESS_RULES: [&[(&str, &str)]; 15] = [
    &[("800101", ALWAYS), ("800102", PIN1), ("800158", ADM1)],
    &[("800101", PIN1), ("80015A", ADM1)],
    &[("80015B", ADM1)],
    &[("800101", ALWAYS), ("800102", PIN2), ("800158", ADM1)],
    &[("800103", PIN1), ("800158", ADM1)],
    &[("800101", PIN1), ("800102", ADM1), ("800158", ADM1)],
    &[("800101", PIN1), ("800102", PIN2), ("840132", PIN1), ("800158", ADM1)],
    &[("800101", PIN1), ("800102", PIN2), ("800158", ADM1)],
    &[("800101", ADM1), ("800102", PIN1), ("800158", ADM1)],
    &[("800101", ALWAYS), ("80015A", ADM1)],
    &[("800101", ALWAYS), ("800158", ADM1)],
    &[("800101", PIN1), ("800158", ADM1)],
    &[("800103", ADM1)],
    &[("80015E", ADM1)],
    &[("800103", ALWAYS), ("800158", ADM1)],
];

/// The package for a subscription.
pub fn generic(subscription: &Subscription) -> Package {
    let mut elements = vec![header(subscription)];
    let mut number = 0;
    let mut next = || {
        number += 1;
        PeHeader::mandated(number)
    };
    elements.push(mf(subscription, next()));
    elements.push(pukcodes(&subscription.codes, next()));
    elements.push(pins(
        next(),
        vec![
            pin(PinKeyReference::PIN_APPL1, &subscription.codes.pin1, Some(PukKeyReference::PUK_APPL1), 6),
            pin(PinKeyReference::ADM1, &subscription.codes.adm1, None, 3),
        ],
    ));
    elements.push(usim(subscription, next()));
    if let Some(msisdn) = &subscription.msisdn {
        let file = file("ef-msisdn", None, vec![content(&ef_msisdn(msisdn))]);
        elements.push(by_template(FileSystemKind::OptUsim, 5, next(), vec![file]));
    }
    elements.push(pins(
        next(),
        vec![pin(
            PinKeyReference::SECOND_PIN_APPL1,
            &subscription.codes.pin2,
            Some(PukKeyReference::SECOND_PUK_APPL1),
            3,
        )],
    ));
    elements.push(aka(subscription, next()));
    elements.push(security_domain(subscription, next()));
    elements.push(ProfileElement::End(End { header: next(), unknown: Unknown::default() }));
    Package { elements }
}

fn header(subscription: &Subscription) -> ProfileElement {
    let algorithm = match subscription.algorithm {
        Algorithm::Milenage => Service::MILENAGE,
        Algorithm::UsimTest => Service::USIM_TEST_ALGORITHM,
    };
    let mut templates = vec![Oid::template(1, 1), Oid::template(4, 1)];
    if subscription.msisdn.is_some() {
        templates.push(Oid::template(5, 1));
    }
    ProfileElement::Header(ProfileHeader {
        major_version: 2,
        minor_version: 3,
        profile_type: Some("Landfall generic".to_owned()),
        iccid: subscription.iccid.into(),
        pol: None,
        mandatory_services: ServicesList {
            services: vec![Service::USIM, algorithm],
            unknown: Unknown::default(),
        },
        mandatory_gfste_list: templates,
        connectivity_parameters: None,
        mandatory_aids: None,
        iot_options: None,
        unknown: Unknown::default(),
    })
}

fn mf(subscription: &Subscription, header: PeHeader) -> ProfileElement {
    let directory = Fcp { pin_status_template_do: Some(Octets(vec![0x01, 0x0A])), ..Fcp::default() };
    let mut ef_iccid = subscription.iccid;
    ef_iccid.iter_mut().for_each(|octet| *octet = octet.rotate_left(4));
    let entry = [&[0x61, 0x14, 0x4F, 0x0C], USIM_AID.as_slice(), &[0x50, 0x04], b"USIM"].concat();
    by_template(
        FileSystemKind::Mf,
        1,
        header,
        vec![
            file("mf", Some(directory), vec![]),
            file("ef-iccid", None, vec![content(&ef_iccid)]),
            file("ef-dir", Some(records(1, 0x21)), vec![content(&entry)]),
            arr("ef-arr"),
        ],
    )
}

fn usim(subscription: &Subscription, header: PeHeader) -> ProfileElement {
    let directory = Fcp {
        file_id: Some(Fid(0x7FD0)),
        df_name: Some(Octets(USIM_AID.to_vec())),
        pin_status_template_do: Some(Octets(vec![0x01, 0x81, 0x0A])),
        ..Fcp::default()
    };
    let mut spn = vec![0x00];
    spn.extend(subscription.operator_name.bytes().take(16));
    let last_digit = subscription.imsi.bytes().last().map_or(0, |digit| digit.wrapping_sub(b'0') % 10);
    by_template(
        FileSystemKind::Usim,
        4,
        header,
        vec![
            file("adf-usim", Some(directory), vec![]),
            file("ef-imsi", None, vec![content(&ef_imsi(&subscription.imsi))]),
            arr("ef-arr"),
            file("ef-ust", None, vec![content(&service_table())]),
            file("ef-spn", None, vec![content(&spn)]),
            file("ef-est", None, vec![content(&[0x00])]),
            // TS 31.102 section 4.2.15: the class is the last digit of the IMSI.
            file("ef-acc", None, vec![content(&(1u16 << last_digit).to_be_bytes())]),
            file("ef-ad", None, vec![content(&[0x00, 0x00, 0x00, subscription.mnc_digits])]),
            // 112, no category.
            file("ef-ecc", Some(records(1, 4)), vec![content(&[0x11, 0xF2, 0xFF, 0x00])]),
        ],
    )
}

/// TS 31.102 section 4.2.8, services by number: what the files above serve, and nothing else.
fn service_table() -> [u8; 14] {
    const SMS: usize = 10;
    const SMSP: usize = 12;
    const SPN: usize = 19;
    const ALWAYS_SET: usize = 33;
    const EPS_MOBILITY_MANAGEMENT: usize = 85;
    let mut table = [0; 14];
    for service in [SMS, SMSP, SPN, ALWAYS_SET, EPS_MOBILITY_MANAGEMENT] {
        if let Some(octet) = table.get_mut((service - 1) / 8) {
            *octet |= 1 << ((service - 1) % 8);
        }
    }
    table
}

/// TS 31.102 section 4.2.2: length, then the parity with the first digit, then pairs of digits swapped.
fn ef_imsi(imsi: &str) -> Vec<u8> {
    let digits: Vec<u8> = imsi.bytes().map(|digit| digit.wrapping_sub(b'0') & 0x0F).take(15).collect();
    let odd = if digits.len() % 2 == 1 { 0x9 } else { 0x1 };
    let nibbles: Vec<u8> = std::iter::once(odd).chain(digits).collect();
    let mut octets = vec![u8::try_from(nibbles.len().div_ceil(2)).unwrap_or(8)];
    octets.extend(swapped(&nibbles));
    octets
}

/// TS 31.102 section 4.2.26: ten octets of name, then length, type of number, digits.
fn ef_msisdn(msisdn: &str) -> Vec<u8> {
    let digits: Vec<u8> = msisdn.bytes().map(|digit| digit.wrapping_sub(b'0') & 0x0F).take(20).collect();
    let number = swapped(&digits);
    let mut octets = vec![0xFF; 10];
    octets.push(u8::try_from(number.len() + 1).unwrap_or(0xFF));
    octets.push(0x91);
    octets.extend(number);
    octets
}

fn swapped(nibbles: &[u8]) -> Vec<u8> {
    nibbles
        .chunks(2)
        .map(|pair| match pair {
            [low, high] => high << 4 | low,
            [low] => 0xF0 | low,
            _ => 0xFF,
        })
        .collect()
}

fn pukcodes(codes: &Codes, header: PeHeader) -> ProfileElement {
    let puk = |key_reference, value: &str| PukConfiguration {
        key_reference,
        puk_value: code(value).as_slice().into(),
        max_attempts_retries_left: Some(0xAA),
        unknown: Unknown::default(),
    };
    ProfileElement::PukCodes(PukCodes {
        header,
        puk_codes: vec![
            puk(PukKeyReference::PUK_APPL1, &codes.puk1),
            puk(PukKeyReference::SECOND_PUK_APPL1, &codes.puk2),
        ],
        unknown: Unknown::default(),
    })
}

fn pins(header: PeHeader, pins: Vec<PinConfiguration>) -> ProfileElement {
    ProfileElement::PinCodes(PinCodes {
        header,
        pin_codes: PinCodesChoice::Pinconfig(pins),
        unknown: Unknown::default(),
    })
}

/// `attributes`: bit 1 enabled, the others as TS.48 has them for the same code.
fn pin(
    key_reference: PinKeyReference,
    value: &str,
    unblocked_by: Option<PukKeyReference>,
    attributes: i64,
) -> PinConfiguration {
    PinConfiguration {
        key_reference,
        pin_value: code(value).as_slice().into(),
        unblocking_pin_reference: unblocked_by,
        pin_attributes: Some(attributes),
        max_attempts_retries_left: Some(if key_reference == PinKeyReference::ADM1 { 0xAA } else { 0x33 }),
        unknown: Unknown::default(),
    }
}

/// TS 102 221 section 9.5.1: ASCII digits, filled with FF.
fn code(digits: &str) -> [u8; 8] {
    let mut octets = [0xFF; 8];
    octets.iter_mut().zip(digits.bytes()).for_each(|(octet, digit)| *octet = digit);
    octets
}

fn aka(subscription: &Subscription, header: PeHeader) -> ProfileElement {
    let algorithm_id = match subscription.algorithm {
        Algorithm::Milenage => AlgorithmId::MILENAGE,
        Algorithm::UsimTest => AlgorithmId::USIM_TEST_ALGORITHM,
    };
    ProfileElement::AkaParameter(Box::new(AkaParameter {
        header,
        algo_configuration: AlgoConfiguration::AlgoParameter(Box::new(AlgoParameter {
            algorithm_id,
            algorithm_options: Octets(vec![0x02]),
            key: subscription.key.as_slice().into(),
            opc: subscription.opc.as_slice().into(),
            rotation_constants: None,
            xoring_constants: None,
            auth_counter_max: None,
            number_of_keccak: None,
            unknown: Unknown::default(),
        })),
        sqn_options: None,
        sqn_delta: None,
        sqn_age_limit: None,
        sqn_init: None,
        unknown: Unknown::default(),
    }))
}

/// The MNO-SD: GlobalPlatform's security domain package, the AID, privileges and parameters of TS.48.
fn security_domain(subscription: &Subscription, header: PeHeader) -> ProfileElement {
    let hex = |text| Octets::from_hex(text).unwrap_or_default();
    let key = |identifier: u8, usage: u8| KeyObject {
        key_usage_qualifier: Octets(vec![usage]),
        key_access: None,
        key_identifier: Octets(vec![identifier]),
        key_version_number: Octets(vec![0x01]),
        key_counter_value: None,
        key_components: vec![KeyComponent {
            key_type: Octets(vec![0x88]),
            key_data: subscription.security_domain_key.as_slice().into(),
            mac_length: None,
            unknown: Unknown::default(),
        }],
        unknown: Unknown::default(),
    };
    ProfileElement::SecurityDomain(Box::new(SecurityDomain {
        header,
        instance: ApplicationInstance {
            application_load_package_aid: hex("A0000001515350"),
            class_aid: hex("A000000151535041"),
            instance_aid: hex("A000000151000000"),
            extradite_security_domain_aid: None,
            application_privileges: hex("82DC00"),
            life_cycle_state: Some(hex("0F")),
            application_specific_parameters_c9: hex("810280008201F08301F08701F0"),
            system_specific_parameters: None,
            application_parameters: None,
            process_data: None,
            control_reference_template: None,
            unknown: Unknown::default(),
        },
        key_list: Some(vec![key(1, 0x18), key(2, 0x14), key(3, 0x48)]),
        sd_perso_data: None,
        open_perso_data: None,
        cat_tp_parameters: None,
        unknown: Unknown::default(),
    }))
}

/// EF.ARR with every rule, one a record.
fn arr(name: &'static str) -> NamedFile {
    let rules: Vec<Vec<u8>> = ACCESS_RULES
        .iter()
        .map(|rule| {
            let text: String = rule.iter().flat_map(|(mode, condition)| [*mode, *condition]).collect();
            Octets::from_hex(&text).unwrap_or_default().0
        })
        .collect();
    let length = rules.iter().map(Vec::len).max().unwrap_or_default();
    let mut items = Vec::new();
    for rule in &rules {
        items.push(content(rule));
        items.push(FileItem::FillFileOffset(i64::try_from(length - rule.len()).unwrap_or_default()));
    }
    items.pop();
    file(name, Some(records(rules.len(), length)), items)
}

/// The descriptor of a linear fixed file.
fn records(count: usize, length: usize) -> Fcp {
    let [high, low] = u16::try_from(length).unwrap_or_default().to_be_bytes();
    let size = u16::try_from(count * length).unwrap_or_default().to_be_bytes();
    Fcp {
        file_descriptor: Some(Octets(vec![0x42, 0x21, high, low])),
        ef_file_size: Some(Octets(size.iter().copied().skip_while(|octet| *octet == 0).collect())),
        ..Fcp::default()
    }
}

fn file(name: &'static str, descriptor: Option<Fcp>, content: Vec<FileItem>) -> NamedFile {
    let mut items: Vec<FileItem> =
        descriptor.map(|fcp| FileItem::FileDescriptor(Box::new(fcp))).into_iter().collect();
    items.extend(content);
    NamedFile { name, items }
}

fn content(octets: &[u8]) -> FileItem {
    FileItem::FillFileContent(Octets(octets.to_vec()))
}

fn by_template(
    kind: FileSystemKind,
    template: u8,
    header: PeHeader,
    files: Vec<NamedFile>,
) -> ProfileElement {
    ProfileElement::FileSystem(FileSystemElement {
        kind,
        header,
        template_id: Oid::template(template, 1),
        files,
        unknown: Unknown::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, FileIndex, InstalledProfile};

    fn subscription() -> Subscription {
        Subscription {
            iccid: [0x89, 0x72, 0x49, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x2F],
            imsi: "724990000000012".to_owned(),
            key: [7; 16],
            opc: [9; 16],
            operator_name: "Local Brasil".to_owned(),
            msisdn: Some("5511987654321".to_owned()),
            ..Subscription::default()
        }
    }

    #[test]
    fn the_package_is_read_back_as_it_was_made() {
        let package = generic(&subscription());
        let bytes = package.encode();
        assert_eq!(Package::decode(&bytes).unwrap(), package);
        assert_eq!(generic(&subscription()).encode(), bytes);
    }

    #[test]
    fn a_card_can_install_it_and_finds_the_subscription_in_it() {
        let package = generic(&subscription());
        let installed = InstalledProfile::of(&package, &Capabilities::default()).unwrap();
        let files = &installed.files;
        let (adf, _) = files.adfs(&USIM_AID).next().unwrap();
        let read =
            |directory, fid| files.content(files.child(directory, Fid(fid)).unwrap()).unwrap().to_vec();
        assert_eq!(read(FileIndex::MF, 0x2FE2), [0x98, 0x27, 0x94, 0, 0, 0, 0, 0, 0x10, 0xF2]);
        assert_eq!(read(adf, 0x6F07), [0x08, 0x79, 0x42, 0x99, 0x00, 0x00, 0x00, 0x00, 0x21]);
        assert_eq!(read(adf, 0x6FAD), [0, 0, 0, 2]);
        assert_eq!(read(adf, 0x6F46), [&[0x00], b"Local Brasil".as_slice(), &[0xFF; 4]].concat());
        assert_eq!(read(adf, 0x6F78), [0x00, 0x04]);
        assert_eq!(read(adf, 0x6F40)[10..20], [0x08, 0x91, 0x55, 0x11, 0x89, 0x67, 0x45, 0x23, 0xF1, 0xFF]);
        assert_eq!(files.records(files.child(FileIndex::MF, Fid(0x2F06)).unwrap()), Some(15));
        let aka = installed.facts.aka.first().unwrap();
        assert_eq!((aka.key.expose(), aka.opc.expose()), ([7; 16].as_slice(), [9; 16].as_slice()));
        assert_eq!(installed.facts.security_domains.len(), 1);
        assert_eq!(installed.facts.pins.len(), 2);
    }
}
