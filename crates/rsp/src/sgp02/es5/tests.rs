use super::*;
use crate::{ota::script::Script, sgp02::eis::ProfileState};

fn hex(octets: &[u8]) -> String {
    ::hex::encode_upper(octets)
}

fn octets(text: &str) -> Vec<u8> {
    ::hex::decode(text.replace(' ', "")).unwrap()
}

/// The script was computed independently.
#[test]
fn enable_profile_is_the_known_script() {
    let script = Script::of_apdus([enable_profile(&Aid::isd_p(0x11))]);
    assert_eq!(hex(&script.to_bytes()), "AA1C221A80E28800153A03124F10A0000005591010FFFFFFFF8900001100");
}

#[test]
fn create_isdp_contains_three_aids_and_the_memory() {
    let (load_file, module) = (Aid::isd_p(0x0D), Aid::isd_p(0x0E));
    assert_eq!(
        hex(&create_isd_p(&load_file, &module, &Aid::isd_p(0x12), 0x1_0000)),
        "80E60C0047\
         10A0000005591010FFFFFFFF8900000D00\
         10A0000005591010FFFFFFFF8900000E00\
         10A0000005591010FFFFFFFF8900001200\
         0380C0000EC90481020370EF06830400010000\
         0000"
    );
}

#[test]
fn other_commands_have_the_known_octets() {
    let aid = Aid::isd_p(0x11);
    assert_eq!(hex(&delete_profile(&aid)), "80E40040124F10A0000005591010FFFFFFFF890000110000");
    assert_eq!(hex(&handle_notification_confirmation(7)), "80E28900073A08044E02000700");
    assert_eq!(hex(&finalise_isd_r_handover(&[(1, 1, 3), (0x41, 1, 2)])), "80E400000AF203010103F20341010200");
    assert_eq!(hex(&get_status(None)), "80F240020A4F005C064F9F70538F9100");
    assert_eq!(
        hex(&install_for_personalization(&aid)),
        "80E6200016000010A0000005591010FFFFFFFF890000110000000000"
    );
    let addressing = SmsrAddressing { sms: Some(octets("91214365")), ..SmsrAddressing::default() };
    assert_eq!(hex(&update_smsr_addressing(&addressing)), "80E288000B3A0708A306810491214365");
    assert_eq!(
        hex(&put_key(0x40, 1, KeyType::TlsPsk, 16, &[0xAB; 16], &[1, 2, 3])),
        format!("80D8000118408511{}{}0301020300", "10", "AB".repeat(16))
    );
}

/// The template of a live trace, and the octets that the receipt covers.
#[test]
fn the_control_reference_template_equals_that_of_a_live_server() {
    let agreement = KeyAgreement::scp03(0x09);
    assert_eq!(hex(&agreement.to_bytes()), "A615900203099501108001888101108201018301309100");
    let signed = agreement.signed(&[0x04; 65], &[0xCC; 16]);
    assert_eq!(hex(&signed[..6]), "3A0217A61590");
    assert_eq!(hex(&signed[signed.len() - 19..]), format!("008510{}", "CC".repeat(16)));
    let sent = agreement.store_data(&[0x04; 65], &[0x55; 64]);
    // Lc is that of the same trace.
    assert_eq!(hex(&sent[..5]), "80E28901A1");
    assert_eq!(
        hex(&Receipt::covered(&agreement, Some(&[1, 2]))),
        "A61590020309950110800188810110820101830130910085020102"
    );
}

#[test]
fn a_long_data_group_has_a_three_octet_length_and_an_extended_apdu() {
    let stored = store_certificate(&[0x55; 300]);
    assert_eq!(hex(&stored), format!("80E20900000131{}{}0000", "3A01FF012C", "55".repeat(300)));
    // A group of 255 octets: FF also marks a three-octet length.
    assert_eq!(hex(&data_group(0x3A01, &[0x55; 255])), format!("3A01FF00FF{}", "55".repeat(255)));
    assert_eq!(hex(&data_group(0x3A01, &[0x55; 254])), format!("3A01FE{}", "55".repeat(254)));
    // The longest short command and the shortest extended command.
    assert_eq!(hex(&apdu([0; 4], &[0x55; 255], true)), format!("00000000FF{}00", "55".repeat(255)));
    assert_eq!(hex(&apdu([0; 4], &[0x55; 256], true)), format!("00000000000100{}0000", "55".repeat(256)));
    assert_eq!(hex(&apdu([0; 4], &[0x55; 256], false)), format!("00000000000100{}", "55".repeat(256)));
}

#[test]
fn responses_decode() {
    let status = octets(
        "E3 28 4F10A0000005591010FFFFFFFF8900001100 9F70013F 530101 8F0400010000 91020100 00 \
         E3 16 4F10A0000005591010FFFFFFFF8900001200 9F70011F",
    );
    assert!(IsdPStatus::parse_all(&status).is_err(), "a wrong length");
    let status = octets(
        "E3 23 4F10A0000005591010FFFFFFFF8900001100 9F70013F 530101 8F0400010000 9102 0100 \
         E3 16 4F10A0000005591010FFFFFFFF8900001200 9F70011F",
    );
    let all = IsdPStatus::parse_all(&status).unwrap();
    let [first, second] = all.as_slice() else { panic!("{all:?}") };
    assert!(first.is_enabled() && first.fallback == Some(true));
    assert_eq!((first.granted_memory, first.free_memory), (Some(0x1_0000), Some(0x100)));
    assert_eq!(second.state.unwrap().profile_state(), ProfileState::Disabled);

    let resources = CardResources::parse(&octets("FF210C 810102 820400012345 83020400 ")).unwrap_err();
    assert!(!resources.to_string().is_empty());
    let resources = CardResources::parse(&octets("FF210D 810102 820400012345 83020400 ")).unwrap();
    assert_eq!((resources.applications, resources.free_non_volatile), (2, 0x1_2345));

    assert_eq!(deleted_isd_ps(&[]).unwrap(), []);
    assert_eq!(deleted_isd_ps(&octets("8000")).unwrap(), []);
    let deleted = deleted_isd_ps(&octets("8012 4F10A0000005591010FFFFFFFF8900001100")).unwrap();
    assert_eq!(deleted, [Aid::isd_p(0x11)]);
    assert!(deleted_isd_ps(&octets("8101")).is_err());

    let receipt = Receipt::parse(&octets("8502AABB 8603010203")).unwrap();
    assert_eq!(receipt.derivation_random, Some(vec![0xAA, 0xBB]));
    assert!(Receipt::parse(&octets("8502AABB")).is_err());
    assert_eq!(random_challenge(&[&[0x85, 16][..], &[7; 16]].concat()).unwrap(), [7; 16]);
    assert!(random_challenge(&[0x85, 1, 7]).is_err());
}
