//! Commands on files that no known profile package has: SEARCH RECORD, INCREASE, data objects,
//! deactivated files.

use crypto::Curve;
use profile::element::{
    Fcp, FileManagement, GenericFileManagement, PeHeader, PinCodes, PinCodesChoice, PinConfiguration,
    PinKeyReference, ProprietaryInfo, PukKeyReference,
};
use profile::generic::Subscription;
use profile::{Fid, Octets, ProfileElement, generic};
use rsp::der::Unknown;
use rsp::sgp22::es10c::EnableResult;
use world::RamMemory;

use super::conversations::converse;
use super::files::with_enabled;
use super::server::{Server, TestPackage, outcome};
use super::testbed::{Testbed, pki};

fn octets(digits: &str) -> Octets {
    Octets::from_hex(&digits.replace(' ', "")).unwrap()
}

/// CREATE FILE in the MF with this rule of EF.ARR 2F10, without a short identifier.
fn create(fid: u16, descriptor: &str, rule: u8, change: impl FnOnce(&mut Fcp)) -> FileManagement {
    let mut fcp = Fcp {
        file_id: Some(Fid(fid)),
        file_descriptor: Some(octets(descriptor)),
        security_attributes_referenced: Some([0x2F, 0x10, rule].into()),
        short_ef_id: Some(Octets::default()),
        ..Fcp::default()
    };
    change(&mut fcp);
    FileManagement::CreateFcp(Box::new(fcp))
}

fn size(digits: &str) -> impl FnOnce(&mut Fcp) {
    let size = octets(digits);
    move |fcp| fcp.ef_file_size = Some(size)
}

fn content(digits: &str) -> FileManagement {
    FileManagement::FillFileContent(octets(digits))
}

/// A card with these additional files in the generic profile, and these access rules.
fn with_files(rules: &[&str], files: Vec<FileManagement>) -> Testbed {
    with_files_and_codes(rules, files, vec![])
}

fn with_files_and_codes(rules: &[&str], files: Vec<FileManagement>, codes: Vec<PinConfiguration>) -> Testbed {
    with_enabled(&test_package(rules, files, codes))
}

fn test_package(rules: &[&str], files: Vec<FileManagement>, codes: Vec<PinConfiguration>) -> TestPackage {
    const RULE: usize = 0x40;
    let rules: String =
        rules.iter().map(|rule| format!("{:F<1$}", rule.replace(' ', ""), 2 * RULE)).collect();
    let mut commands = vec![
        create(0x2F10, "42210040", 1, |fcp| {
            fcp.ef_file_size = Some(octets(&format!("{:04X}", rules.len() / 2)))
        }),
        content(&rules),
    ];
    commands.extend(files);
    let header = PeHeader::mandated(99);
    let element = GenericFileManagement { header, commands: vec![commands], unknown: Unknown::default() };
    let iccid = *b"\x89\x01\x02\x03\x04\x05\x06\x07\x08\x9F";
    let mut package = generic(&Subscription { iccid, ..Subscription::default() });
    let mut own = package.elements.iter_mut().find_map(|element| match element {
        ProfileElement::PinCodes(PinCodes { pin_codes: PinCodesChoice::Pinconfig(own), .. }) => Some(own),
        _ => None,
    });
    for code in codes {
        let own = &mut *own.as_mut().unwrap();
        own.retain(|other| other.key_reference != code.key_reference);
        own.push(code);
    }
    let end = package.elements.len() - 1;
    package.elements.insert(end, ProfileElement::GenericFileManagement(element));
    TestPackage::of(package.encode())
}

/// An access rule that permits every operation.
const ANYTHING: &str = "80015B 9000 840132 9000";

#[test]
fn search_record_finds_records_by_contents() {
    let files = vec![
        create(0x2F20, "42210004", 1, |fcp| {
            fcp.ef_file_size = Some(octets("18"));
            fcp.short_ef_id = Some(octets("A0"));
        }),
        content("01020304 02010304 01020401 FFFFFFFF 01020304 04040102"),
        create(0x2F21, "4121", 1, size("04")),
    ];
    converse(
        &mut with_files(&[ANYTHING], files),
        &[
            ("00A2010402 0102", "6986"),
            ("00A4000C02 2F20", "9000"),
            // The search goes forward from record 1, and backward from record 6. The first match
            // becomes the current record.
            ("00A2010402 0102", "6103"),
            ("00C0000003", "010305 9000"),
            ("00A2060502 0102 00", "050301 9000"),
            ("00B2000400", "01020304 9000"),
            ("00A2000404 01020304 00", "05 9000"),
            ("00A2000504 01020304 00", "0501 9000"),
            ("00B2000202", "6C04"),
            ("00B2000204", "04040102 9000"),
            // If there is no match, the current record does not change.
            ("00A2010403 020202 00", "6282"),
            ("00B2000400", "04040102 9000"),
            ("00A2010405 0102030405 00", "6282"),
            ("00A2070401 01 00", "6A83"),
            // The EF is addressed by its short identifier and has no current record, so the search
            // begins at the first or last record.
            ("00A200A402 0102 00", "010305 9000"),
            ("00A4000C02 2F21", "9000"),
            ("00A200A502 0102 00", "050301 9000"),
            ("00A4000C02 2F20", "9000"),
            // Enhanced search at an offset and after a value, starting with a record and after a
            // record.
            ("00A2010604 0402 0102 00", "06 9000"),
            ("00A2010604 0401 0203 00", "0105 9000"),
            ("00A2010604 0C01 0203 00", "0105 9000"),
            ("00A2010604 0C02 0103 00", "02 9000"),
            ("00A2010604 0E01 0203 00", "05 9000"),
            ("00A2050604 0F01 0203 00", "01 9000"),
            ("00A2050604 0D01 0203 00", "0501 9000"),
            ("00A2060603 0600 04 00", "6282"),
            ("00A2010603 0700 01 00", "6282"),
            ("00A2010603 0000 01 00", "6A80"),
            ("00A2010603 1400 01 00", "6A80"),
            ("00A2010602 0400", "6700"),
            ("00A2010601 04", "6700"),
            ("00A2010400", "6700"),
            ("00A2010701 01", "6A86"),
            ("00A2010201 01", "6A86"),
            ("80A2010401 01", "6E00"),
            ("00A4000C02 2F21", "9000"),
            ("00A2010401 01", "6981"),
        ],
    );
}

#[test]
fn increase_works_up_to_the_maximum_value() {
    let files = vec![
        create(0x2F21, "46210003", 1, |fcp| {
            fcp.ef_file_size = Some(octets("09"));
            fcp.short_ef_id = Some(octets("08"));
        }),
        content("0000FE 000002 000001"),
        create(0x2F22, "42210003", 1, size("03")),
        create(0x2F23, "46210003", 2, size("03")),
    ];
    let mut testbed = with_files(&[ANYTHING, "800101 9000"], files);
    converse(
        &mut testbed,
        &[
            ("8032000001 01", "6986"),
            ("8032810003 000001", "6106"),
            ("00C0000006", "0000FF 000001 9000"),
            // The file is the current file, and its newest record is the current record.
            ("00B2000400", "0000FF 9000"),
            ("8032000001 02 00", "000101 02 9000"),
            ("00B2010400", "000101 9000"),
            ("00B2020400", "0000FF 9000"),
            ("00B2030400", "0000FE 9000"),
            ("8032000003 FFFEFE 00", "FFFFFF FFFEFE 9000"),
            ("8032000001 01 00", "9850"),
            ("8032000003 000000 00", "FFFFFF 000000 9000"),
            ("00B2030400", "000101 9000"),
            ("8032000004 00000001", "6700"),
            ("8032000000", "6700"),
            ("8032000101 01", "6A86"),
            ("8032200001 01", "6A86"),
            ("80329F0001 01", "6A86"),
            ("8032820001 01", "6A82"),
            ("0032000001 01", "6E00"),
            ("00A4000C02 2F22", "9000"),
            ("8032000001 01", "6981"),
            // The right to update does not include the right to increase.
            ("00A4000C02 2F23", "9000"),
            ("8032000001 01", "6982"),
        ],
    );
    testbed.reset();
    testbed.expect("00B2010C00", "FFFFFF 9000");
}

#[test]
fn data_objects_are_set_retrieved_listed_and_deleted() {
    let ber_tlv = |fid, maximum: &str| {
        let info =
            ProprietaryInfo { maximum_file_size: Octets::from_hex(maximum), ..ProprietaryInfo::default() };
        create(fid, "7921", 1, |fcp| {
            fcp.proprietary_ef_info = Some(info);
            fcp.short_ef_id = Some([((fid & 0x1F) as u8) << 3].into());
        })
    };
    let files = vec![ber_tlv(0x2F21, "20"), ber_tlv(0x2F22, "0400"), create(0x2F23, "4121", 1, size("02"))];
    let mut testbed = with_files(&[ANYTHING], files);
    converse(
        &mut testbed,
        &[
            ("80CB008001 5C", "6986"),
            ("80CB008101 5C 00", "5C00 9000"),
            ("80CA000000", "6D00"),
            (
                "00A4000402 2F21 00",
                "6227 82027921 83022F21 A50E C00100 840101 85020000 86020020 8A0105 8B032F1001 80020000 880108 9000",
            ),
            ("80CB008001 80 00", "6A88"),
            ("80DB008004 80021122", "9000"),
            ("80DB008006 9F1F03 AABBCC", "9000"),
            ("80DB008002 A000", "9000"),
            ("80CB008001 80 00", "80021122 9000"),
            ("80CB008002 9F1F", "6106"),
            ("00C0000006", "9F1F03AABBCC 9000"),
            ("80CB008001 5C 00", "5C04 80 9F1F A0 9000"),
            // An object is replaced in its position, and is deleted by a command with its tag only.
            ("80DB008003 800133", "9000"),
            ("80CB008001 80 00", "800133 9000"),
            ("80DB008002 9F1F", "9000"),
            ("80DB008002 9F1F", "6A88"),
            ("80CB008001 5C 00", "5C02 80 A0 9000"),
            // The file has at most 32 octets. Two objects of 3 and 2 octets are stored in it.
            ("80DB00801B 8119 00000000000000000000000000000000000000000000000000", "9000"),
            ("80DB008003 820101", "6A84"),
            ("80DB008001 81", "9000"),
            ("80DB00801C 811A 0000000000000000000000000000000000000000000000000000", "6A84"),
            // A first block that announces too much data is refused at once.
            ("80DB008003 817F00", "6A84"),
            // A missing tag, a tag of another class, a length that is not DER, more data than
            // announced.
            ("80DB008001 9F", "6A80"),
            ("80DB008003 5C0100", "6A80"),
            ("80DB008003 040100", "6A80"),
            ("80DB008004 83800100", "6A80"),
            ("80DB008004 83010000", "6A80"),
            ("80DB0080", "6700"),
            ("80DB018003 830100", "6A86"),
            ("80DB00A003 830100", "6A86"),
            ("80DB009D03 830100", "6A82"),
            ("00CB008001 83 00", "6E00"),
            ("00B0810000", "6981"),
            ("00A4000C02 2F23", "9000"),
            ("80DB008003 830100", "6981"),
            ("80CB008001 83 00", "6981"),
        ],
    );
    testbed.reset();
    converse(&mut testbed, &[("80CB008101 5C 00", "5C0280A0 9000"), ("80CB008001 80 00", "800133 9000")]);
}

#[test]
fn a_data_object_is_transferred_in_blocks() {
    let files = vec![create(0x2F21, "7921", 1, |fcp| fcp.short_ef_id = Some(octets("08")))];
    let mut testbed = with_files(&[ANYTHING], files);
    let value = |octet: &str, count| octet.repeat(count);
    let ff = value("FF", 300);
    converse(
        &mut testbed,
        &[
            // The object is 80 82 01 2C and 300 octets. Its blocks have 4, 0, 100, 100 and 100
            // octets.
            ("80DB000003 112233", "6985"),
            ("80DB008104 8082012C", "63F1"),
            (&format!("80DB000064{}", value("11", 100)), "63F1"),
            // The last block was corrupted, so the sender repeats it.
            (&format!("80DB000064{}", value("EE", 100)), "63F1"),
            (&format!("80DB004064{}", value("22", 100)), "63F1"),
            // Nothing has been written yet. A read is another transfer and ends this one.
            (&format!("80DB000064{}", value("33", 100)), "9000"),
            (&format!("80DB000064{}", value("33", 100)), "6A80"),
            ("80DB000003 112233", "6985"),
        ],
    );
    let object = format!("8082012C{}{}{}", value("11", 100), value("22", 100), value("33", 100));
    // In T=0, the card returns the warning before the data. The warning is repeated until the last
    // block.
    testbed.expect("80CB008001 80", "62F1");
    testbed.expect("80C0000000", &format!("{}62F1", &object[..512]));
    testbed.expect("80CB000000", &format!("{}9000", &object[512..]));
    testbed.expect("80CB004000", &format!("{}9000", &object[512..]));
    testbed.expect("80CB008001 80 64", &format!("{}62F1", &object[..200]));
    testbed.expect("80CB004064", &format!("{}62F1", &object[..200]));
    testbed.expect("80CB000064", &format!("{}62F1", &object[200..400]));
    // Another channel has its own transfers.
    testbed.expect("0070000001", "019000");
    testbed.expect("81CB000064", "6985");
    testbed.expect("81CB008101 80 10", &format!("{}62F1", &object[..32]));
    testbed.expect("80CB000064", &format!("{}62F1", &object[400..600]));
    // With extended length the data are returned at once.
    testbed.expect("80CB0080 000001 80 0000", &format!("{object}9000"));
    // Selecting another EF, or the same EF again, ends the transfer.
    testbed.expect("80CB008001 80 64", &format!("{}62F1", &object[..200]));
    testbed.expect("00A4000C02 2F21", "9000");
    testbed.expect("80CB000064", "6985");
    // An incomplete object changes nothing, even after a reset.
    testbed.expect("80DB008104 8082012C", "63F1");
    testbed.expect(&format!("80DB0000FF{}", &ff[..510]), "63F1");
    testbed.reset();
    testbed.expect("80CB0081 000001 80 0000", &format!("{object}9000"));
}

#[test]
fn data_objects_are_limited_by_the_memory_of_the_card() {
    let files = vec![create(0x2F21, "7921", 1, |fcp| fcp.short_ef_id = Some(octets("08")))];
    let mut testbed = with_files(&[ANYTHING], files);
    let free = |testbed: &mut Testbed| testbed.free_memory();
    let before = free(&mut testbed);
    testbed.expect(&format!("80DB0081 00 8008 8083 FFFFF0{}", "00".repeat(0x8003)), "6A84");
    assert_eq!(free(&mut testbed), before);
    testbed.expect(&format!("80DB0081 00 8004 8082 8000{}", "00".repeat(0x8000)), "9000");
    assert_eq!(free(&mut testbed), before - 0x8004);
    testbed.expect("80DB008101 80", "9000");
    assert_eq!(free(&mut testbed), before);
}

#[test]
fn incomplete_objects_share_the_free_memory() {
    let file = |fid, sfi| create(fid, "7921", 1, move |fcp| fcp.short_ef_id = Some(octets(sfi)));
    let mut testbed = with_files(&[ANYTHING], vec![file(0x2F21, "08"), file(0x2F22, "10")]);
    testbed.expect("0070000001", "019000");
    let free = testbed.free_memory();
    // Half of the first object has been received but not written when the other channel requests
    // more than the remaining memory.
    let half = free / 2;
    testbed.expect(&format!("80DB0081 00 0005 8083 {:06X}", free - 5), "63F1");
    for _ in 0..half / 0x8000 {
        testbed.expect(&format!("80DB0000 00 8000 {}", "00".repeat(0x8000)), "63F1");
    }
    assert_eq!(testbed.free_memory(), free);
    testbed.expect(&format!("81DB0082 00 0005 8083 {:06X}", free / 4 * 3), "6A84");
    testbed.expect(&format!("81DB0082 00 0005 8083 {:06X}", free / 4), "63F1");
    // The first object can be completed. An abandoned object of the other channel takes no memory.
    testbed.expect("00A4000C02 2F21", "9000");
    testbed.expect(&format!("81DB0082 00 0005 8083 {:06X}", free / 4 * 3), "63F1");
}

#[test]
fn memory_reserved_for_data_objects_is_not_available_to_others() {
    let reserved = create(0x2F21, "7921", 1, |fcp| {
        fcp.short_ef_id = Some(octets("08"));
        fcp.ef_file_size = Some(octets("4000"));
    });
    let other = create(0x2F22, "7921", 1, |fcp| fcp.short_ef_id = Some(octets("10")));
    let mut testbed = with_files(&[ANYTHING], vec![reserved, other]);
    assert!(testbed.read("00A4000402 2F21").contains("85024000"));
    let free = |testbed: &mut Testbed| testbed.free_memory();
    let before = free(&mut testbed);
    // Objects within the reserved size need no additional memory. Objects beyond this size need
    // additional memory, all of which is released again.
    testbed.expect(&format!("80DB0081 00 4000 8082 3FFC{}", "00".repeat(0x3FFC)), "9000");
    assert_eq!(free(&mut testbed), before);
    testbed.expect("80DB008104 81021122", "9000");
    assert_eq!(free(&mut testbed), before - 4);
    testbed.expect("80DB008101 80", "9000");
    assert_eq!(free(&mut testbed), before);
    // Another file cannot use the reserved memory.
    let rest = before - 5;
    testbed.expect(&format!("80DB0082 00 0005 8083 {rest:06X}"), "63F1");
    for _ in 0..rest / 0x8000 {
        testbed.expect(&format!("80DB0000 00 8000 {}", "00".repeat(0x8000)), "63F1");
    }
    let last = rest % 0x8000;
    testbed.expect(&format!("80DB0000 00 {last:04X} {}", "00".repeat(last as usize)), "9000");
    assert_eq!(free(&mut testbed), 0);
    testbed.expect("80DB008203 8101 00", "6A84");
    testbed.expect(&format!("80DB0081 00 3FFC 8082 3FF8{}", "00".repeat(0x3FF8)), "9000");
    testbed.expect("80DB008103 8201 00", "6A84");
}

#[test]
fn a_deactivated_file_is_selected_with_a_warning_and_cannot_be_used() {
    let transparent = |fid, life_cycle: u8, special: u8| {
        create(fid, "4121", 1, |fcp| {
            fcp.ef_file_size = Some(octets("02"));
            fcp.lcsi = Some([life_cycle].into());
            let special_file_information = Some([special].into());
            fcp.proprietary_ef_info =
                Some(ProprietaryInfo { special_file_information, ..ProprietaryInfo::default() });
        })
    };
    let files = vec![
        transparent(0x2F21, 0x05, 0x00),
        transparent(0x2F22, 0x04, 0x40),
        transparent(0x2F23, 0x0C, 0x40),
        create(0x2F24, "4121", 2, size("02")),
    ];
    let mut testbed = with_files(&[ANYTHING, "800103 9000 800118 A406 83010A 950108"], files);
    converse(
        &mut testbed,
        &[
            ("0004000000", "6986"),
            ("00A4000C02 2F21", "9000"),
            ("00B0000000", "FFFF 9000"),
            ("0004000000", "9000"),
            ("00B0000000", "6984"),
            ("00D6000001 00", "6984"),
            // In T=0, the card returns first the warning and then the data. If there is an Le, it
            // returns both at once.
            ("00A4000402 2F21", "6283"),
            ("00C0000000", "6C1D"),
            ("00C000001D", "621B 82024121 83022F21 A503C00100 8A0104 8B032F1001 80020002 8800 9000"),
            ("00A4000402 2F21 00", "621B 82024121 83022F21 A503C00100 8A0104 8B032F1001 80020002 8800 6283"),
            ("00A4000C02 2F21", "6283"),
            // This file can be read and updated although it is deactivated. INCREASE and other
            // commands are refused.
            ("00A4000C02 2F22", "6283"),
            ("00D6000001 11", "9000"),
            ("00B0000000", "11FF 9000"),
            ("00A4000C02 2F23", "6285"),
            ("00B0000000", "6984"),
            ("0044000000", "6984"),
            // The file is addressed by its identifier and by its path. It becomes the current EF.
            ("0044000002 2F21", "9000"),
            ("00B0000000", "FFFF 9000"),
            ("0004080002 2F22", "9000"),
            ("0044090002 2F22", "9000"),
            ("00B0000000", "11FF 9000"),
            ("0044000002 2FFF", "6A82"),
            ("0044010002 2F21", "6A86"),
            ("0044000102 2F21", "6A86"),
            ("0044000002 3F00", "6981"),
            ("8044000002 2F21", "6E00"),
            // A rule can require more for DEACTIVATE FILE than for reading.
            ("00A4000C02 2F24", "9000"),
            ("0004000000", "6982"),
            ("0020000A08 3535353535353535", "9000"),
            ("0004000000", "9000"),
            ("00B0000000", "6984"),
        ],
    );
    // The state persists over a reset.
    testbed.reset();
    testbed.expect("00A4000C02 2F24", "6283");
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn response_data_are_available_to_the_next_command_only() {
    let mut testbed = super::files::with_ts48();
    converse(
        &mut testbed,
        &[
            ("00A4000402 2FE2", "611E"),
            // Requests for a part of the data, for too many octets, and for the rest.
            ("00C0000008", "621C820241218302 6116"),
            ("00C0000017", "6C16"),
            ("00C0000000", "6C16"),
            ("00C0000100", "6A86"),
            ("00C0000016", "6F00"),
            ("00A4000402 2FE2", "611E"),
            ("00C0000001 00", "6700"),
            ("00C000001E", "6F00"),
            // A command on another channel discards the data.
            ("0070000001", "01 9000"),
            ("00A4000402 2FE2", "611E"),
            ("01A4000C02 2FE2", "9000"),
            ("00C000001E", "6F00"),
            ("01C000001E", "6F00"),
            ("4FA4000C02 2FE2", "6881"),
        ],
    );
}

/// An enabled PIN of eight equal digits.
fn code(reference: u8, digit: u8, unblocking_pin_reference: Option<PukKeyReference>) -> PinConfiguration {
    PinConfiguration {
        key_reference: PinKeyReference(reference),
        pin_value: [digit; 8].into(),
        unblocking_pin_reference,
        pin_attributes: Some(7),
        max_attempts_retries_left: Some(0x33),
        unknown: Unknown::default(),
    }
}

/// Returns PIN 1, a universal PIN, ADM 1 and ADM 6.
fn codes() -> Vec<PinConfiguration> {
    let unblocked_by = Some(PukKeyReference::PUK_APPL1);
    vec![
        code(0x01, b'1', unblocked_by),
        code(0x11, b'2', None),
        code(0x0A, b'3', None),
        code(0x8A, b'4', None),
    ]
}

#[test]
fn an_access_rule_permits_only_the_operations_that_it_names() {
    const PIN: &str = "A406 830101 950108";
    const ADM: &str = "A406 83010A 950108";
    // The digits stand for five states. In the first, nothing is verified. In each further state,
    // one more code is verified: PIN 1, ADM 1, the universal PIN, ADM 6.
    let table = [
        ("800101 9000".to_owned(), "11111"),
        ("800101 9700".to_owned(), "00000"),
        ("800102 9000".to_owned(), "00000"),
        ("800181 9000".to_owned(), "11111"),
        ("800182 9000".to_owned(), "00000"),
        ("8001F8 9000".to_owned(), "00000"),
        // Conditions by command header: this command, another command, a command that differs in
        // one part.
        ("8401B0 9000".to_owned(), "11111"),
        ("8401B2 9000".to_owned(), "00000"),
        ("8C0400B200B0 9000".to_owned(), "11111"),
        ("8F0400B00000 9000".to_owned(), "11111"),
        ("8702B001 9000".to_owned(), "00000"),
        (String::new(), "00000"),
        (format!("800101 {PIN}"), "01111"),
        (format!("800101 {ADM}"), "00111"),
        ("800101 A406 830111 950108".to_owned(), "00011"),
        ("800101 A406 83018A 950108".to_owned(), "00001"),
        ("800101 A403 830101".to_owned(), "01111"),
        ("800101 A406 830101 950180".to_owned(), "00000"),
        ("800101 A406 830102 950108".to_owned(), "00000"),
        ("800101 B406 830101 950108".to_owned(), "00000"),
        (format!("800101 A010 {PIN} {ADM}"), "01111"),
        (format!("800101 AF10 {PIN} {ADM}"), "00111"),
        (format!("800101 AF0A {PIN} 9700"), "00000"),
        ("800101 AF00".to_owned(), "00000"),
        ("800101 A000".to_owned(), "00000"),
        (format!("800101 A708 {PIN}"), "10000"),
        (format!("800101 AF12 {PIN} A708 {ADM}"), "01000"),
        (format!("800101 A012 A708 {PIN} {ADM}"), "10111"),
        // Several conditions are alternatives. The first mode with the bit applies.
        (format!("800101 {ADM} {PIN}"), "01111"),
        (format!("800102 9000 800101 {ADM} 800101 9000"), "00111"),
        (format!("800103 {PIN} 800158 {ADM}"), "01111"),
        // A mode of a proprietary state machine covers no operation, so the second condition is
        // not an alternative.
        (format!("800101 {PIN} 9C0100 9000"), "01111"),
        // A truncated rule.
        ("800101 9000 8001".to_owned(), "00000"),
    ];
    let rules: Vec<&str> =
        std::iter::once(ANYTHING).chain(table.iter().map(|(rule, _)| rule.as_str())).collect();
    let numbers = 2..;
    let files =
        numbers.zip(&table).map(|(rule, _)| create(0x2F60 + u16::from(rule), "4121", rule, size("01")));
    let mut testbed = with_files_and_codes(&rules, files.collect(), codes());
    let presented =
        ["", "0020000108 3131313131313131", "0020000A08 3333333333333333", "0020001108 3232323232323232"];
    let presented = presented.into_iter().chain(["0020008A08 3434343434343434"]);
    for (state, verify) in presented.enumerate() {
        if !verify.is_empty() {
            testbed.expect(verify, "9000");
        }
        for (rule, (text, rights)) in (2..).zip(&table) {
            testbed.expect(&format!("00A4000C02{:04X}", 0x2F60 + rule), "9000");
            let expected = if rights.as_bytes()[state] == b'1' { "FF9000" } else { "6982" };
            assert_eq!(testbed.apdu("00B0000000"), expected, "{text} in state {state}");
        }
    }
    let number_of = |rights| table.iter().position(|(_, other)| *other == rights).unwrap();
    let (pin, not_pin) = (number_of("01111"), number_of("10000"));
    // A disabled PIN counts as verified.
    testbed.expect("0026000108 3131313131313131", "9000");
    testbed.reset();
    testbed.expect(&format!("00A4000C02 {:04X}", 0x2F62 + pin), "9000");
    testbed.expect("00B0000000", "FF9000");
    testbed.expect(&format!("00A4000C02 {:04X}", 0x2F62 + not_pin), "9000");
    testbed.expect("00B0000000", "6982");
}

#[test]
fn pins_apply_to_the_whole_card_and_their_state_is_reported() {
    let rules = [ANYTHING, "800101 A406 830101 950108"];
    let mut testbed = with_files_and_codes(&rules, vec![create(0x2F21, "4121", 2, size("01"))], codes());
    let wrong = "002C000110 3939393939393939 3535353535353535";
    converse(
        &mut testbed,
        &[
            // A PIN verified on one channel is verified on all.
            ("0070000001", "01 9000"),
            ("01A4000C02 2F21", "9000"),
            ("01B0000000", "6982"),
            ("0020000108 3131313131313131", "9000"),
            ("01B0000000", "FF 9000"),
            // A wrong PIN revokes the verification.
            ("0120000108 3030303030303030", "63C2"),
            ("01B0000000", "6982"),
            ("0020000100", "63C2"),
            ("0020000108 3131313131313131", "9000"),
            ("0020000100", "63C3"),
            ("0020010100", "6A86"),
            ("8020000100", "6E00"),
            // The PIN is blocked: VERIFY, CHANGE and DISABLE are refused, and UNBLOCK can be tried
            // ten times.
            ("0024000110 3030303030303030 3030303030303030", "63C2"),
            ("0026000108 3030303030303030", "63C1"),
            ("0020000108 3030303030303030", "6983"),
            ("0020000100", "6983"),
            ("0024000110 3131313131313131 3030303030303030", "6983"),
            ("0026000108 3131313131313131", "6983"),
            ("002C000100", "63CA"),
            (wrong, "63C9"),
            (wrong, "63C8"),
            ("002C000110 3131313131313131 3535353535353535", "9000"),
            ("002C000100", "63CA"),
            ("0020000108 3535353535353535", "9000"),
            ("002C000108 3131313131313131", "6700"),
            // The universal PIN cannot be unblocked.
            ("002C001110 3131313131313131 3535353535353535", "6A88"),
        ],
    );
    for left in (0..10).rev() {
        let expected = if left == 0 { "6983".to_owned() } else { format!("63C{left:X}") };
        testbed.expect(wrong, &expected);
    }
    testbed.expect("002C000110 3131313131313131 3535353535353535", "6983");
    testbed.expect("002C000100", "6983");
}

#[test]
fn a_challenge_has_the_requested_length_and_never_repeats() {
    let mut testbed = with_files(&[ANYTHING], vec![]);
    let (one, two) = (testbed.read("0084000008"), testbed.read("0084000008"));
    assert_eq!(one.len(), 16);
    assert_ne!(one, two);
    assert_eq!(testbed.read("0084000000").len(), 512);
    converse(
        &mut testbed,
        &[("0084000108", "6A86"), ("00840000", "6700"), ("008400000100", "6700"), ("8084000008", "6E00")],
    );
}

#[test]
fn the_effects_of_every_command_are_in_the_memory() {
    let files = vec![
        create(0x2F21, "46210003", 1, size("03")),
        FileManagement::FillFileContent([0, 0, 5].into()),
        create(0x2F22, "7921", 1, |_| {}),
        create(0x2F23, "4121", 1, size("01")),
    ];
    let test_package = test_package(&[ANYTHING], files, codes());
    let memory = RamMemory::default();
    let mut testbed = Testbed::with(pki(), |_| {}, memory.clone());
    let server = Server::new(&testbed, Curve::P256);
    assert_eq!(outcome(&server.download(&mut testbed, &test_package)), Ok(()));
    assert_eq!(testbed.enable(test_package.iccid(), false), EnableResult::OK);
    converse(
        &mut testbed,
        &[
            ("00A4000C02 3F00", "9000"),
            ("00A4000C02 2F21", "9000"),
            ("8032000001 02 00", "000007 02 9000"),
            ("00A4000C02 2F22", "9000"),
            ("80DB008003 8001AA", "9000"),
            ("0020000108 3030303030303030", "63C2"),
            ("0024000A10 3333333333333333 3636363636363636", "9000"),
            ("0004000002 2F23", "9000"),
        ],
    );
    converse(
        &mut Testbed::with(pki(), |_| {}, memory),
        &[
            ("00A4000C02 2F21", "9000"),
            ("00B2010400", "000007 9000"),
            ("00A4000C02 2F22", "9000"),
            ("80CB008001 80 00", "8001AA 9000"),
            ("00A4000C02 2F23", "6283"),
            ("0020000100", "63C2"),
            ("0020000A08 3636363636363636", "9000"),
        ],
    );
}

#[test]
fn a_linked_directory_has_its_own_position() {
    let directory = |fid, link: &str| {
        create(fid, "7821", 1, |fcp| fcp.link_path = Some(octets(link)).filter(|link| !link.is_empty()))
    };
    let to = |path: &str| FileManagement::FilePath(octets(path));
    let files = vec![
        directory(0x7F30, ""),
        directory(0x5F30, ""),
        create(0x4F01, "4121", 1, size("01")),
        to(""),
        directory(0x7F31, ""),
        directory(0x5F31, "7F305F30"),
    ];
    converse(
        &mut with_files(&[ANYTHING], files),
        &[
            // Enter the directory through a link, and leave it through the same link.
            ("00A4080C06 7F315F314F01", "9000"),
            ("00D6000001 77", "9000"),
            ("00A4030C", "9000"),
            ("00A4000C02 5F31", "9000"),
            ("00A4000C02 4F01", "9000"),
            ("00B0000000", "77 9000"),
            ("00A4000C02 7F31", "9000"),
            ("00A4000C02 5F30", "6A82"),
            // Enter the directory through the other path.
            ("00A4080C06 7F305F304F01", "9000"),
            ("00B0000000", "77 9000"),
            ("00A4000C02 5F31", "6A82"),
            ("00A4000C02 7F30", "9000"),
        ],
    );
}

#[test]
fn a_partial_aid_selects_the_occurrence_that_p2_names() {
    const ISD_R: &str = "A0000005591010FFFFFFFF8900000100";
    const ECASD: &str = "A0000005591010FFFFFFFF8900000200";
    let mut testbed = Testbed::new();
    let select = |testbed: &mut Testbed, p2: &str| {
        let answer = testbed.apdu(&format!("00A404{p2}0D {}", &ISD_R[..26]));
        if !answer.starts_with("61") {
            return answer;
        }
        let template = testbed.read(&format!("00C00000{}", &answer[2..]));
        [ISD_R, ECASD].into_iter().find(|aid| template.contains(&format!("8410{aid}"))).unwrap().to_owned()
    };
    let (first, last, next, previous) = ("00", "01", "02", "03");
    for (p2, selected) in [
        (first, ISD_R),
        (last, ECASD),
        (first, ISD_R),
        (next, ECASD),
        (next, "6A82"),
        (previous, ISD_R),
        (previous, "6A82"),
    ] {
        assert_eq!(select(&mut testbed, p2), selected, "P2 {p2}");
    }
    // Without a current application, the next occurrence is the first and the previous one the last.
    for (p2, selected) in [(next, ISD_R), (previous, ECASD)] {
        testbed.reset();
        assert_eq!(select(&mut testbed, p2), selected, "P2 {p2} after a reset");
    }
}

#[test]
fn manage_channel_has_no_data() {
    let mut testbed = Testbed::new();
    for (command, status) in [
        ("0070000001 55", "6700"),
        ("0070000101 55", "6700"),
        ("0070800101 55", "6700"),
        ("0070010001 55", "6A86"),
        ("00708014", "6A86"),
    ] {
        testbed.expect(command, status);
    }
}
