//! Conversations with the card as data: commands and their expected responses.

use profile::ProfileElement;
use profile::generic::Subscription;

use super::files::{own_package, with_enabled, with_generated, with_ts48};
use super::server::TestPackage;
use super::testbed::Testbed;

#[track_caller]
pub(super) fn converse(testbed: &mut Testbed, conversation: &[(&str, &str)]) {
    for (number, (command, answer)) in conversation.iter().enumerate() {
        let found = testbed.apdu(command);
        assert_eq!(found, answer.replace(' ', ""), "line {}: {command}", number + 1);
    }
}

const SELECT_ISD_R: &str = "00A4040010 A0000005591010FFFFFFFF8900000100";

#[test]
fn without_a_profile_only_the_isd_r_and_the_ecasd_exist() {
    let mut testbed = Testbed::new();
    let eid = testbed.card.eid().to_string();
    converse(
        &mut testbed,
        &[
            ("00A40004023F00", "6A82"),
            ("00A4040407 A0000000871002", "6A82"),
            ("00B0000000", "6D00"),
            ("80AA000005 A903830107", "9000"),
            ("80AA000005 A903830207", "6A80"),
            ("80AA000000", "6A80"),
            (SELECT_ISD_R, "6121"),
            ("00C0000021", "6F1F 8410 A0000005591010FFFFFFFF8900000100 A504 9F6501FF E005 8203 020600 9000"),
            // The data are available only once.
            ("00C0000021", "6F00"),
            ("00A4040C09 A0000005591010FFFF", "9000"),
            ("00A4040C04 A0000005", "6700"),
            ("00A4040C10 A0000005591010FFFFFFFF8900000200", "9000"),
            ("80CA005A00", &format!("5A10{eid}9000")),
            ("80CA004200", "6A88"),
            ("80E29100 03 BF3E00", "6D00"),
            ("00A4040C10 A0000005591010FFFFFFFF8900000300", "6A82"),
            ("00A4040C0C A00000055910100000000000", "6A82"),
        ],
    );
}

#[test]
fn store_data_must_reach_the_isd_r_in_order() {
    let mut testbed = Testbed::new();
    let eid = testbed.card.eid().to_string();
    let answer = format!("BF3E12 5A10{eid} 9000");
    converse(
        &mut testbed,
        &[
            ("80E2910006 BF3E035C015A", "6D00"),
            (SELECT_ISD_R, "6121"),
            ("80E2910006 BF3E035C015A", "6115"),
            ("80C0000010", &format!("BF3E125A10{}6105", &eid[..22])),
            ("80C0000006", "6C05"),
            ("80C0000005", &format!("{}9000", &eid[22..])),
            // The command has an Le, as in T=1.
            ("80E2910006 BF3E035C015A00", &answer),
            // The command is sent in two blocks.
            ("80E2110002 BF3E", "9000"),
            ("80E2910104 035C015A00", &answer),
            // The second block without the first; the first block twice; a gap in the block
            // numbers.
            ("80E2910104 035C015A", "6A86"),
            ("80E2110002 BF3E", "9000"),
            ("80E2910204 035C015A", "6A86"),
            ("80E2910104 035C015A", "6A86"),
            ("80E2110002 BF3E", "9000"),
            ("80E2910006 BF3E035C015A00", &answer),
            // P1 other than 11 and 91, no data, the wrong class, an interindustry class byte.
            ("80E2900006 BF3E035C015A", "6A86"),
            ("80E29100", "6700"),
            ("00E2910006 BF3E035C015A", "6E00"),
            // An incomplete tag, truncated data, an unknown tag.
            ("80E2910001 BF", "6A80"),
            ("80E2910005 BF3E035C01", "6A80"),
            // GetEID with another tag than that of the EID, with two tags, and with none.
            ("80E2910006 BF3E035C014F", "6A80"),
            ("80E2910007 BF3E045C025A4F", "6A80"),
            ("80E2910005 BF3E025C00", "6A80"),
            ("80E2910003 BF7F00", "6A88"),
            ("80E2910004 BF360000", "6985"),
            ("80E2910002 8600", "6985"),
            // The selection on one channel does not affect another.
            ("0070000001", "01 9000"),
            ("81E2910006 BF3E035C015A", "6D00"),
        ],
    );
}

#[test]
fn a_channel_must_be_opened_and_inherits_no_selection() {
    let mut testbed = with_generated();
    converse(
        &mut testbed,
        &[
            ("01A4000C02 3F00", "6881"),
            ("4FB0000001", "6881"),
            ("00A4040C07 A0000000871002", "9000"),
            ("0070000001", "01 9000"),
            // The MF is selected, not the USIM of the requesting channel.
            ("01B0870000", "6A82"),
            ("01A4000C02 6F07", "6A82"),
            ("01A4040C10 A0000005591010FFFFFFFF8900000100", "9000"),
            ("0170000001", "02 9000"),
            ("82E2910003 BF2E00", "6D00"),
            ("02A4000C02 2FE2", "9000"),
            ("00708002", "9000"),
            ("02A4000C02 2FE2", "6881"),
            ("0070800200", "6881"),
            ("0070800000", "6A86"),
            ("0070000101", "6A86"),
            ("0070000002", "6C01"),
            // A channel is opened by its number. It cannot be opened again while it is open.
            ("01700005", "9000"),
            ("01700005", "6A86"),
            ("41A4000C02 2FE2", "9000"),
            ("00700014", "6A86"),
            ("41708005", "9000"),
            ("41A4000C02 2FE2", "6881"),
            // A channel can close itself.
            ("0170800100", "9000"),
            ("01A4000C02 3F00", "6881"),
            ("00B0870009", "080910101032547698 9000"),
        ],
    );
    // Nineteen channels besides the basic channel.
    for number in 1..=19 {
        testbed.expect("0070000001", &format!("{number:02X}9000"));
    }
    testbed.expect("0070000001", "6A81");
    testbed.expect("4FA4000C02 2FE2", "9000");
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn files_are_selected_by_identifier_path_parent_and_name() {
    let mut testbed = with_ts48();
    converse(
        &mut testbed,
        &[
            ("00A4000402 2FE2", "611E"),
            ("00C000001E", "621C 82024121 83022FE2 A503C00140 8A0105 8B032F0603 8002000A 880110 9000"),
            ("00A4000402 3F00", "6128"),
            (
                "00C0000028",
                "6226 82027821 83023F00 A506800171870101 8A0105 8B032F0601 C60C 900160 830101 83010A 83010B 9000",
            ),
            ("00A4040C07 A0000000871002", "9000"),
            ("00A4000C02 6F07", "9000"),
            ("00A4000C02 7F10", "6A82"),
            // Files are selected by path from the MF and from the current DF. The ADF is selected
            // by its reserved identifier.
            ("00A4080C04 7FFF6F07", "9000"),
            ("00A4080C04 7F106F3A", "9000"),
            ("00A4080C04 7F106FF0", "6A82"),
            ("00A4080C02 7F10", "9000"),
            ("00A4090C02 5F50", "9000"),
            ("00A4030C", "9000"),
            ("00A4000C02 7FFF", "9000"),
            ("00A4000C02 3F00", "9000"),
            ("00A4030C", "6A82"),
            // The child that is selected must be a DF in the current directory.
            ("00A4010C02 7F10", "9000"),
            ("00A4010C02 5F3A", "9000"),
            ("00A4010C02 4F30", "6A82"),
            ("00A4010C02 5F50", "6A82"),
            ("00A4000C02 3F00", "9000"),
            // The temporary identifier of an ADF cannot be selected.
            ("00A4000C02 7FD0", "6A82"),
            ("00A4000C01 7F", "6700"),
            ("00A4020C02 2FE2", "6A86"),
            ("00A400FF02 2FE2", "6A86"),
            ("00A4040C07 A0000000871002", "9000"),
            // There is no next USIM.
            ("00A4040E07 A0000000871002", "6A82"),
            ("00A4040C05 A000000087", "9000"),
            ("00A4040E05 A000000087", "9000"),
            ("80F2000100", "840CA0000000871004FF49FF0589 9000"),
            ("80F2000C00", "9000"),
            ("80F2010C00", "9000"),
            ("80F2020C00", "9000"),
            ("80F2030C00", "6A86"),
            ("80F2000300", "6A86"),
            // Termination: the MF is selected, and the channel has no application.
            ("00A4044C07 A0000000871002", "6A82"),
            ("00A4044C04 A0000000", "6700"),
            ("00A4044C07 A0000000871004", "9000"),
            ("80F2000100", "9000"),
            ("00A4000C02 7FFF", "6A82"),
            ("00A4000C02 2FE2", "9000"),
            ("00A4042C07 A0000000871002", "6A86"),
            ("00A4046C07 A0000000871002", "6A86"),
        ],
    );
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn binary_and_record_files_can_be_read() {
    let mut testbed = with_ts48();
    let usim = "61144F0CA0000000871002FF49FF058950045553494D";
    let usim = format!("{usim:F<66}9000");
    let isim = "61144F0CA0000000871004FF49FF058950044953494D";
    let isim = format!("{isim:F<66}9000");
    let csim = "61184F10A0000003431002F310FFFF89020000FF50044353494D";
    let csim = format!("{csim:F<66}9000");
    converse(
        &mut testbed,
        &[
            ("00B0000001", "6986"),
            ("00A4000C02 2FE2", "9000"),
            ("00B0000000", "98001032547698103214 9000"),
            ("00B0000203", "103254 9000"),
            ("00B0000800", "3214 9000"),
            ("00B0000803", "6C02"),
            ("00B0000A01", "6B00"),
            ("00B2010400", "6981"),
            ("00B08200 00", "98001032547698103214 9000"),
            ("00B0A20000", "6A86"),
            ("00B08900 00", "6A82"),
            // Records are read by number, as the next or previous record, and by short identifier.
            ("00A4000C02 2F00", "9000"),
            ("00B0000000", "6981"),
            ("00B2010421", &usim),
            ("00B2020400", &isim),
            ("00B2010420", "6C21"),
            ("00B2050400", "6A83"),
            ("00B2000221", &usim),
            ("00B2000221", &isim),
            ("00B2000221", &csim),
            ("00B2000321", &isim),
            ("00B2000321", &usim),
            ("00B2000321", "6A83"),
            ("00B2010221", "6A86"),
            ("00B2000721", "6A86"),
            ("00B2 03F421", &csim),
        ],
    );
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn access_rights_are_checked_and_pin_attempts_are_counted() {
    let mut testbed = with_ts48();
    let adm1 = super::files::VERIFY_ADM1;
    converse(
        &mut testbed,
        &[
            ("00A4040C07 A0000000871002", "9000"),
            // The first of the PINs that apply in this directory is disabled.
            (
                "80F2000000",
                "6230 82027821 840CA0000000871002FF49FF0589 A503800171 8A0105 8B032F0601 C60F 9001B0 830181 830101 83010A 83010B 9000",
            ),
            ("00A4000C02 6F07", "9000"),
            // UPDATE requires ADM1. The PIN is disabled, so READ requires nothing.
            ("00B0000009", "080910101032547698 9000"),
            ("00D6000001 08", "6982"),
            ("0020000A08 3535353535353536", "63C9"),
            ("0020000A", "63C9"),
            (adm1, "9000"),
            ("0020000A", "63CA"),
            ("00D6000001 08", "9000"),
            ("00D6000901 08", "6B00"),
            ("00D6000802 9898", "6700"),
            // PIN 1 is first disabled, and is then enabled, changed, blocked and unblocked.
            ("0020000108 30303030FFFFFFFF", "6984"),
            ("0026000108 30303030FFFFFFFF", "6984"),
            ("0028000108 31303030FFFFFFFF", "63C2"),
            ("0028000108 30303030FFFFFFFF", "9000"),
            (
                "80F2000000",
                "6230 82027821 840CA0000000871002FF49FF0589 A503800171 8A0105 8B032F0601 C60F 9001F0 830181 830101 83010A 83010B 9000",
            ),
            ("0028000108 30303030FFFFFFFF", "6984"),
            ("0024000110 30303030FFFFFFFF 31323334FFFFFFFF", "9000"),
            ("0024000108 30303030FFFFFFFF", "6700"),
            ("0020000207 30303030FFFFFF", "6A88"),
        ],
    );
    testbed.reset();
    converse(
        &mut testbed,
        &[
            ("00A4040C07 A0000000871002", "9000"),
            ("00A4000C02 6F07", "9000"),
            ("00B0000009", "6982"),
            ("00D6000001 08", "6982"),
            ("0088008011 10 00112233445566778899AABBCCDDEEFF", "6982"),
            ("00200001", "63C3"),
            ("0020000107 31323334FFFFFF", "6700"),
            ("0020000108 30303030FFFFFFFF", "63C2"),
            ("0020000108 30303030FFFFFFFF", "63C1"),
            ("0020000108 30303030FFFFFFFF", "6983"),
            ("0020000108 31323334FFFFFFFF", "6983"),
            ("002C0001", "63CA"),
            ("002C000110 3131313131313130 34333231FFFFFFFF", "63C9"),
            ("002C000110 3131313131313131 34333231FFFFFFFF", "9000"),
            ("00B0000009", "080910101032547698 9000"),
            ("002C0001", "63CA"),
            // Local PINs belong to their application.
            ("0020008108 39393939FFFFFFFF", "9000"),
            ("0026008108 39393939FFFFFFFF", "6985"),
            ("00A4000C02 3F00", "9000"),
            ("0020008108 39393939FFFFFFFF", "6A88"),
        ],
    );
    testbed.reset();
    // An attempt is counted before the response, and the counter persists over a reset.
    converse(&mut testbed, &[("00200001", "63C3"), ("0020000108 30303030FFFFFFFF", "63C2")]);
    testbed.reset();
    testbed.expect("00200001", "63C2");
}

#[test]
fn a_profile_switch_clears_the_selection_of_every_channel() {
    let mut testbed = with_generated();
    let iccid = testbed.profiles()[0].iccid.unwrap();
    testbed.expect("00A4000C02 2FE2", "9000");
    testbed.disable(iccid, false);
    testbed.expect("00B0000000", "6D00");
    testbed.expect("00A4000C02 3F00", "6A82");
    testbed.enable(iccid, false);
    testbed.expect("00B0000000", "6D00");
    testbed.expect("00A4000C02 3F00", "9000");
    testbed.expect("00A4000C02 2FE2", "9000");
}

// req: TS.102.221-11-Class, TS.102.221-11-Instruction
#[test]
fn unknown_classes_and_instructions_are_refused() {
    let mut testbed = with_generated();
    converse(
        &mut testbed,
        &[
            ("80A4000C02 3F00", "6E00"),
            ("A0A4000002 3F00", "6E00"),
            ("00F2000000", "6E00"),
            ("00FE000000", "6D00"),
            ("0061000000", "6D00"),
            // MANAGE SECURE CHANNEL, SUSPEND UICC and EXCHANGE CAPABILITIES are not supported.
            ("0073000000", "6D00"),
            ("0075000000", "6D00"),
            ("80760000044C3C4C3C", "6D00"),
            ("807A000000", "6D00"),
            ("10A4000C02 3F00", "6884"),
            ("04A4000C02 3F00", "6882"),
            ("00A4000C023F", "6700"),
            ("00", "6700"),
            ("8012000000", "6985"),
            ("801400000C 8103010104 82028281 830100", "6985"),
            ("80100000", "6700"),
            ("8010000001FF", "9000"),
        ],
    );
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn the_mno_sd_exists_with_its_profile_and_permits_no_authentication() {
    let mut testbed = with_ts48();
    let iccid = testbed.profiles()[0].iccid.unwrap();
    converse(
        &mut testbed,
        &[
            ("00A4040408 A000000151000000 00", "6F10 8408 A000000151000000 A504 9F6501FF 9000"),
            ("80CA006600", "6A88"),
            ("80F28000024F00", "6982"),
            ("80E60200024F00", "6982"),
            ("80E2910003BF2E00", "6982"),
            ("8050000008 0102030405060708", "6D00"),
            ("00B0000000", "6D00"),
            ("00A4000C02 3F00", "9000"),
            ("80CA00E000", "6D00"),
            ("00A4040C08 A000000151000000", "9000"),
        ],
    );
    let keys = testbed.read("80CA00E000");
    // Key 1 of version 1, a DES key of sixteen octets, comes first.
    assert!(keys.starts_with("E0") && keys.contains("C00401018010"), "{keys}");
    testbed.disable(iccid, false);
    testbed.expect("80CA00E000", "6D00");
    testbed.expect("00A4040C08 A000000151000000", "6A82");
}

#[test]
fn a_key_too_long_for_its_template_is_not_reported() {
    for (octets, expected) in [(0xFF, "E008 C006 0101 A1FF 88FF 9000"), (0x100, "6A88")] {
        let mut package = own_package(Subscription::default(), &[]);
        for element in &mut package.elements {
            let ProfileElement::SecurityDomain(domain) = element else { continue };
            let keys = domain.key_list.as_mut().unwrap();
            keys.truncate(1);
            let mut modulus = keys[0].key_components[0].clone();
            keys[0].key_components[0].key_data = vec![0x5A; 0xFF].as_slice().into();
            (modulus.key_type, modulus.key_data) = ([0xA1].into(), vec![0x5A; octets].as_slice().into());
            keys[0].key_components.insert(0, modulus);
        }
        let mut testbed = with_enabled(&TestPackage::of(package.encode()));
        testbed.expect("00A4040C08 A000000151000000", "9000");
        testbed.expect("80CA00E000", expected);
    }
}
