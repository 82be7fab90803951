//! A package without findings, and access to its elements.

use profile::element::{
    AdfRfmAccess, AkaParameter, AlgoConfiguration, AlgoParameter, Fcp, FileItem, FileManagement,
    FileSystemElement, FileSystemKind, GenericFileManagement, NamedFile, PeHeader, PinCodes, PinCodesChoice,
    PinConfiguration, ProfileElement, ProfileHeader, PukConfiguration, Rfm, SecurityDomain, Service,
    UiccApplicationParameters,
};
use profile::generic::{Subscription, generic};
use profile::{Fid, Octets, Oid, Package};
use rsp::der::Unknown;

pub(crate) fn octets(text: &str) -> Octets {
    Octets::from_hex(text).unwrap()
}

pub(crate) fn fill(text: &str) -> FileItem {
    FileItem::FillFileContent(octets(text))
}

pub(crate) fn descriptor(fcp: Fcp) -> FileItem {
    FileItem::FileDescriptor(Box::new(fcp))
}

fn named(name: &'static str, items: Vec<FileItem>) -> NamedFile {
    NamedFile { name, items }
}

pub(crate) fn template(kind: FileSystemKind, oid: Oid, number: u16, files: Vec<NamedFile>) -> ProfileElement {
    ProfileElement::FileSystem(FileSystemElement {
        kind,
        header: PeHeader::mandated(number),
        template_id: oid,
        files,
        unknown: Unknown::default(),
    })
}

/// The USIM's and the ISIM's AID.
pub(crate) const USIM_AID: &str = "A0000000871002FF49FF0589";
pub(crate) const ISIM_AID: &str = "A0000000871004FF49FF0589";

/// Services 10, 12, 19, 21, 33, 85, 124, 125, 134.
const UST: &str = "000A140001000000000010000000001820";

fn df_5gs() -> ProfileElement {
    let files = vec![
        named("df-df-5gs", vec![descriptor(Fcp::default())]),
        named("ef-routing-indicator", vec![fill("F0FF0000")]),
    ];
    template(FileSystemKind::Df5gs, Oid::template(13, 4), 100, files)
}

/// Profile A with one key, then the null scheme.
pub(crate) const SUCI: &str =
    "A00401010000A12580010A812000112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF";

fn df_saip() -> ProfileElement {
    let size = Fcp { ef_file_size: Some(octets("30")), ..Fcp::default() };
    let files = vec![
        named("df-df-saip", vec![descriptor(Fcp::default())]),
        named("ef-suci-calc-info-usim", vec![descriptor(size), fill(SUCI)]),
    ];
    template(FileSystemKind::DfSaip, Oid::template(14, 1), 101, files)
}

/// DF.TELECOM with a link to the USIM's EF.MSISDN, and a BER-TLV file in the USIM.
fn files_by_path() -> ProfileElement {
    let create = |fid, descriptor: &str, rule: &str| Fcp {
        file_id: Some(Fid(fid)),
        file_descriptor: Some(octets(descriptor)),
        security_attributes_referenced: Some(octets(rule)),
        ..Fcp::default()
    };
    let link = Fcp {
        link_path: Some(octets("7FD06F40")),
        short_ef_id: Some(octets("")),
        ..create(0x6F40, "42210018", "2F0602")
    };
    let urls = Fcp {
        ef_file_size: Some(octets("0400")),
        short_ef_id: Some(octets("")),
        ..create(0x6FFE, "7921", "6F0602")
    };
    let commands = vec![
        FileManagement::FilePath(octets("")),
        FileManagement::CreateFcp(Box::new(create(0x7F10, "7821", "2F060E"))),
        FileManagement::CreateFcp(Box::new(link)),
        FileManagement::FilePath(octets("7FD0")),
        FileManagement::CreateFcp(Box::new(urls)),
    ];
    ProfileElement::GenericFileManagement(GenericFileManagement {
        header: PeHeader::mandated(102),
        commands: vec![commands],
        unknown: Unknown::default(),
    })
}

fn isim() -> ProfileElement {
    let adf = Fcp {
        file_id: Some(Fid(0x7FD1)),
        df_name: Some(octets(ISIM_AID)),
        pin_status_template_do: Some(octets("01810A")),
        ..Fcp::default()
    };
    let sized = |size: &str| Fcp { ef_file_size: Some(octets(size)), ..Fcp::default() };
    let records =
        |descriptor: &str, size: &str| Fcp { file_descriptor: Some(octets(descriptor)), ..sized(size) };
    let files = vec![
        named("adf-isim", vec![descriptor(adf)]),
        named("ef-impi", vec![descriptor(sized("05")), fill("8003614062")]),
        named("ef-impu", vec![descriptor(records("42210009", "09")), fill("80077369703A614062")]),
        named("ef-domain", vec![descriptor(sized("03")), fill("800162")]),
        named("ef-ist", vec![descriptor(sized("02")), fill("0000")]),
        named("ef-ad", vec![fill("000000")]),
        named("ef-arr", vec![]),
    ];
    template(FileSystemKind::Isim, Oid::template(8, 1), 103, files)
}

fn rfm() -> ProfileElement {
    ProfileElement::Rfm(Rfm {
        header: PeHeader::mandated(106),
        instance_aid: octets("A00000055910100001"),
        security_domain_aid: None,
        tar_list: Some(vec![octets("B00120")]),
        minimum_security_level: octets("16"),
        uicc_access_domain: octets("00"),
        uicc_admin_access_domain: octets("00"),
        adf_rfm_access: Some(AdfRfmAccess {
            adf_aid: octets(USIM_AID),
            adf_access_domain: octets("00"),
            adf_admin_access_domain: octets("00"),
            unknown: Unknown::default(),
        }),
        unknown: Unknown::default(),
    })
}

/// The package: USIM with 5G files, ISIM, links, an operator's security domain with a TAR, remote
/// file management.
pub(crate) fn good() -> Package {
    let mut package = generic(&Subscription {
        iccid: rsp::ids::Iccid::with_luhn("8972499000000000123").unwrap().to_profile_header(),
        msisdn: Some("5511987654321".to_owned()),
        key: *b"one key of mine.",
        opc: *b"and one opc too.",
        ..Subscription::default()
    });
    let arr = items(&mut package, FileSystemKind::Usim, "ef-arr").clone();
    let after = place(&package, "akaParameter") + 1;
    let mut isim = isim();
    if let ProfileElement::FileSystem(isim) = &mut isim {
        isim.files.iter_mut().filter(|file| file.name == "ef-arr").for_each(|file| file.items = arr.clone());
        // In the order of the ASN.1.
        let order =
            |name: &str| profile::template::elements(isim.kind).iter().position(|row| row.name == name);
        isim.files.sort_by_key(|file| order(file.name));
    }
    let mut pins = package.elements[place(&package, "pinCodes")].clone();
    if let ProfileElement::PinCodes(pins) = &mut pins {
        pins.header.identification = 104;
        pins.pin_codes = PinCodesChoice::FilePath(octets("7FD0"));
    }
    let mut aka = package.elements[place(&package, "akaParameter")].clone();
    if let ProfileElement::AkaParameter(aka) = &mut aka {
        aka.header.identification = 105;
    }
    let more = [df_5gs(), df_saip(), files_by_path(), isim, pins, aka];
    package.elements.splice(after..after, more);
    let end = package.elements.len() - 1;
    package.elements.insert(end, rfm());

    let ust = items(&mut package, FileSystemKind::Usim, "ef-ust");
    *ust = vec![descriptor(Fcp { ef_file_size: Some(octets("11")), ..Fcp::default() }), fill(UST)];
    let dir = items(&mut package, FileSystemKind::Mf, "ef-dir");
    if let Some(FileItem::FileDescriptor(fcp)) = dir.first_mut() {
        fcp.ef_file_size = Some(octets("42"));
    }
    dir.push(FileItem::FillFileOffset(11));
    dir.push(fill(&format!("61144F0C{ISIM_AID}50044953494D")));
    sd(&mut package).instance.application_parameters = Some(UiccApplicationParameters {
        toolkit: Some(octets("010000000002010203B2010000")),
        ..UiccApplicationParameters::default()
    });
    let header = header(&mut package);
    header.mandatory_services.services = vec![
        Service::USIM,
        Service::ISIM,
        Service::MILENAGE,
        Service::BER_TLV,
        Service::GET_IDENTITY,
        Service::PROFILE_A_X25519,
    ];
    header.mandatory_gfste_list.extend([Oid::template(13, 4), Oid::template(14, 1), Oid::template(8, 1)]);
    package
}

/// The index of the first PE of this name.
pub(crate) fn place(package: &Package, name: &str) -> usize {
    package.elements.iter().position(|element| element.name() == name).unwrap()
}

/// The first PE of a type.
macro_rules! first {
    ($package:expr, $variant:ident) => {
        $package
            .elements
            .iter_mut()
            .find_map(|element| match element {
                ProfileElement::$variant(element) => Some(element),
                _ => None,
            })
            .unwrap()
    };
}

pub(crate) fn header(package: &mut Package) -> &mut ProfileHeader {
    first!(package, Header)
}

pub(crate) fn sd(package: &mut Package) -> &mut SecurityDomain {
    first!(package, SecurityDomain)
}

pub(crate) fn rfm_of(package: &mut Package) -> &mut Rfm {
    first!(package, Rfm)
}

pub(crate) fn aka(package: &mut Package) -> &mut AkaParameter {
    first!(package, AkaParameter)
}

pub(crate) fn algorithm(package: &mut Package) -> &mut AlgoParameter {
    match &mut aka(package).algo_configuration {
        AlgoConfiguration::AlgoParameter(own) => own,
        AlgoConfiguration::MappingParameter(_) => unreachable!(),
    }
}

pub(crate) fn puks(package: &mut Package) -> &mut Vec<PukConfiguration> {
    &mut first!(package, PukCodes).puk_codes
}

/// The codes of the MF.
pub(crate) fn pins(package: &mut Package) -> &mut Vec<PinConfiguration> {
    let codes: &mut PinCodes = first!(package, PinCodes);
    match &mut codes.pin_codes {
        PinCodesChoice::Pinconfig(codes) => codes,
        PinCodesChoice::FilePath(_) => unreachable!(),
    }
}

pub(crate) fn commands(package: &mut Package) -> &mut Vec<FileManagement> {
    &mut first!(package, GenericFileManagement).commands[0]
}

/// The descriptor of a file created by path.
pub(crate) fn created(package: &mut Package, fid: u16) -> &mut Fcp {
    let found = commands(package).iter_mut().find_map(|command| match command {
        FileManagement::CreateFcp(fcp) if fcp.file_id == Some(Fid(fid)) => Some(fcp.as_mut()),
        _ => None,
    });
    found.unwrap()
}

pub(crate) fn files(package: &mut Package, kind: FileSystemKind) -> &mut FileSystemElement {
    let found = package.elements.iter_mut().find_map(|element| match element {
        ProfileElement::FileSystem(element) if element.kind == kind => Some(element),
        _ => None,
    });
    found.unwrap()
}

/// The steps of a file by template.
pub(crate) fn items<'a>(package: &'a mut Package, kind: FileSystemKind, name: &str) -> &'a mut Vec<FileItem> {
    &mut files(package, kind).files.iter_mut().find(|file| file.name == name).unwrap().items
}

/// The descriptor of a file by template.
pub(crate) fn fcp<'a>(package: &'a mut Package, kind: FileSystemKind, name: &str) -> &'a mut Fcp {
    let items = items(package, kind, name);
    if !matches!(items.first(), Some(FileItem::FileDescriptor(_))) {
        items.insert(0, descriptor(Fcp::default()));
    }
    match items.first_mut() {
        Some(FileItem::FileDescriptor(fcp)) => fcp,
        _ => unreachable!(),
    }
}

/// Sets the contents of a file.
pub(crate) fn write(package: &mut Package, kind: FileSystemKind, name: &str, content: &str) {
    let items = items(package, kind, name);
    items.retain(|item| matches!(item, FileItem::FileDescriptor(_)));
    items.push(fill(content));
}

/// Lists a file that the package leaves to its template.
pub(crate) fn name(package: &mut Package, kind: FileSystemKind, name: &'static str, items: Vec<FileItem>) {
    let files = &mut files(package, kind).files;
    files.push(NamedFile { name, items });
    let order = |name: &str| profile::template::elements(kind).iter().position(|row| row.name == name);
    files.sort_by_key(|file| order(file.name));
}
