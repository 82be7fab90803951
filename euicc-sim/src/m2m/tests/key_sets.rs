//! Keys of the ISD-R: PUT KEY, and the handover to another SM-SR.

use super::oce::{Plan, establish};
use super::oce::{cbc_encrypt, check_value};
use super::testbed::{DEK, DEK_81, ISD_R, SCP80, SCP81, Testbed, lv};
use crate::m2m::keys::KeySet;
use rsp::ota::script::Script;

/// A key for PUT KEY, encrypted with a DEK.
fn key(kind: &str, value: [u8; 16], dek: &[u8; 16], check: bool) -> String {
    let wrapped = hex::encode_upper(cbc_encrypt(dek, &value));
    let check = if check { hex::encode_upper(check_value(&value)) } else { String::new() };
    format!("{kind}1110{wrapped}{}", lv(&check))
}

fn put(p1: &str, p2: &str, version: &str, keys: &[String]) -> String {
    format!("80D8{p1}{p2}{}00", lv(&format!("{version}{}", keys.concat())))
}

fn psk(set: &KeySet) -> [u8; 16] {
    set.psk(1).unwrap().expose().try_into().unwrap()
}

fn dek(set: &KeySet) -> [u8; 16] {
    *set.dek().unwrap().expose()
}

#[track_caller]
fn assert_refused(testbed: &mut Testbed, apdu: &str, status: &str) {
    let before = testbed.memory();
    testbed.expect(apdu, status);
    assert!(testbed.memory() == before, "{apdu}");
}

#[test]
fn new_keys_are_encrypted_with_the_dek_of_the_session() {
    let mut testbed = Testbed::new();
    let keys = [key("85", [0x51; 16], &DEK, false), key("88", [0x52; 16], &DEK, true)];
    let check = hex::encode_upper(check_value(&[0x52; 16]));
    testbed.expect(&put("00", "81", "41", &keys), &format!("41{check}9000"));
    let set = testbed.state().key_set(0x41).unwrap();
    assert_eq!((psk(set), dek(set)), ([0x51; 16], [0x52; 16]));
    // In an HTTPS session the DEK of the HTTPS keys is used. The length before the encrypted key is
    // omitted, as in pySim.
    let wrapped = hex::encode_upper(cbc_encrypt(&DEK_81, &[0x61; 16]));
    let apdu = put("00", "01", "42", &[format!("8510{wrapped}00")]);
    let script = Script::of_apdus([hex::decode(apdu).unwrap()]);
    let answer = testbed.try_run(ISD_R, SCP81, &script).unwrap();
    assert_eq!(super::testbed::text(&answer), ["429000"]);
    assert_eq!(psk(testbed.state().key_set(0x42).unwrap()), [0x61; 16]);
    // Keys of a missing version cannot be decrypted.
    let answer = testbed.try_run(ISD_R, 0x0F, &script).unwrap();
    assert_eq!(super::testbed::text(&answer), ["6985"]);
}

#[test]
fn keys_of_the_given_version_are_replaced() {
    let mut testbed = Testbed::new();
    let new = |value: u8| key("85", [value; 16], &DEK, false);
    // An existing key is not replaced without P1.
    assert_refused(&mut testbed, &put("00", "01", "40", &[new(0x77)]), "6985");
    testbed.expect(&put("40", "01", "40", &[new(0x77)]), "409000");
    let set = testbed.state().key_set(SCP81).unwrap();
    assert_eq!((psk(set), dek(set)), ([0x77; 16], DEK_81));
    // The new keys can have a new version number.
    testbed.expect(&put("40", "01", "43", &[new(0x78)]), "439000");
    assert!(testbed.state().key_set(SCP81).is_none());
    testbed.expect(&put("00", "01", "44", &[new(0x79)]), "449000");
    assert_refused(&mut testbed, &put("43", "01", "44", &[new(0x78)]), "6985");
    assert_refused(&mut testbed, &put("45", "01", "45", &[new(0x78)]), "6A88");
    // Keys with another purpose cannot be replaced, because the keys for packets would then be
    // lost.
    assert_refused(&mut testbed, &put("01", "01", "45", &[new(0x78)]), "6985");
    assert_refused(&mut testbed, &put("44", "01", "02", &[key("88", [0x52; 16], &DEK, true)]), "6985");
}

#[test]
fn a_counter_restarts_only_if_both_packet_keys_change() {
    let new = |value: u8| key("88", [value; 16], &DEK, true);
    let (kic, kid) = (0x01, 0x02);
    for (first, keys, expected) in [
        ("01", vec![new(0x71)], 7),
        ("02", vec![new(0x72)], 7),
        ("03", vec![new(0x73)], 7),
        ("82", vec![new(0x72), new(0x73)], 7),
        // With unchanged keys old packets could be replayed.
        ("81", vec![new(kic), new(kid)], 7),
        ("81", vec![new(0x71), new(kid)], 7),
        ("81", vec![new(kic), new(0x72), new(0x73)], 7),
        ("81", vec![new(0x71), new(0x72)], 0),
        ("81", vec![new(0x71), new(0x72), new(0x73)], 0),
    ] {
        for version in ["01", "02"] {
            let mut testbed = Testbed::new();
            testbed.state_mut().key_set_mut(SCP80).unwrap().counter = 7;
            let answer = testbed.es5(&put("01", first, version, &keys));
            assert!(answer.ends_with("9000"), "{answer}");
            let set = testbed.state().key_set(version.parse().unwrap()).unwrap();
            assert_eq!(set.counter, expected, "{} keys from {first} as {version}", keys.len());
        }
    }
    // Adding a missing key does not restart the counter.
    let mut testbed = Testbed::new();
    let set = testbed.state_mut().key_set_mut(SCP80).unwrap();
    (set.counter, set.keys) = (7, set.keys.iter().filter(|key| key.id != 1).cloned().collect());
    testbed.expect(&put("00", "01", "01", &[key("88", [0x71; 16], &DEK, false)]), "019000");
    assert_eq!(testbed.state().key_set(SCP80).unwrap().counter, 7);
}

#[test]
fn the_number_of_key_sets_is_limited() {
    let mut testbed = Testbed::new();
    let apdu =
        |version: u8| put("00", "01", &format!("{version:02X}"), &[key("85", [0x51; 16], &DEK, false)]);
    let before = testbed.state().key_sets.len();
    // Sixteen sets are possible.
    for version in (0x41..).take(16 - before).collect::<Vec<u8>>() {
        let version_in_answer = format!("{version:02X}9000");
        testbed.expect(&apdu(version), &version_in_answer);
    }
    assert_eq!(testbed.state().key_sets.len(), 16);
    assert_refused(&mut testbed, &apdu(0x4F), "6A84");
}

// req: SGP.02-4.1.1.9-InvalidKey
#[test]
fn an_invalid_key_is_refused() {
    let mut testbed = Testbed::new();
    let good = key("88", [0x52; 16], &DEK, true);
    let psk = key("85", [0x51; 16], &DEK, false);
    let mut wrong_check = good.clone();
    wrong_check.replace_range(wrong_check.len() - 2.., "00");
    for (p2, version, keys) in [
        ("81", "41", vec![psk.clone(), wrong_check]),
        // A PSK in an SCP80 key set, an AES key instead of the PSK in an SCP81 key set, and
        // unsupported versions.
        ("01", "02", vec![psk.clone()]),
        ("01", "41", vec![good.clone()]),
        ("01", "30", vec![good.clone()]),
        ("01", "70", vec![good.clone()]),
        ("01", "00", vec![good.clone()]),
        // Invalid identifiers: 0, and the fourth of three keys.
        ("00", "02", vec![good.clone()]),
        ("04", "02", vec![good.clone()]),
        // Two keys where one was announced, no key, an invalid type, a truncated key.
        ("01", "02", vec![good.clone(), good.clone()]),
        ("01", "02", vec![]),
        ("01", "02", vec![good.replacen("88", "80", 1)]),
        ("01", "02", vec![good[..20].to_owned()]),
        ("01", "02", vec!["880F000000000000000000000000000000 00".replace(' ', "")]),
        ("01", "02", vec![good.replacen("8811 10".replace(' ', "").as_str(), "881120", 1)]),
    ] {
        assert_refused(&mut testbed, &put("00", p2, version, &keys), "6A80");
    }
    assert_refused(&mut testbed, "80D8000100", "6A80");
    assert_refused(&mut testbed, "00D8000100", "6E00");
}

#[test]
fn a_handover_deletes_the_keys_of_the_previous_sm_sr() {
    let mut testbed = Testbed::new();
    establish(&mut testbed, &Plan::for_isd_r(0x02));
    let run = |testbed: &mut Testbed, secured: u8, apdu: &str| {
        let script = Script::of_apdus([hex::decode(apdu).unwrap()]);
        super::testbed::text(&testbed.try_run(ISD_R, secured, &script).unwrap()).concat()
    };
    let finalise = "80E4000005F20302010300";
    // Ranges that omit keys of the session completely or in part, and malformed ranges.
    for (secured, apdu, status) in [
        (SCP80, finalise, "6985"),
        (0x02, "80E4000005F20301010300", "6985"),
        (0x02, "80E4000005F20302010200", "6985"),
        (0x02, "80E400000AF203020102F20340010200", "6985"),
        (0x02, "80E4000005F20302030100", "6A80"),
        (0x02, "80E4000004F202010100", "6A80"),
        (0x02, "80E4000003C1010100", "6A80"),
        (0x02, "80E4000000", "6A80"),
    ] {
        let before = testbed.memory();
        assert_eq!(run(&mut testbed, secured, apdu), status, "{apdu}");
        assert!(testbed.memory() == before, "{apdu}");
    }
    // A range for a missing key is accepted: an SM-SR may list the HTTPS key that it offered.
    assert_eq!(run(&mut testbed, 0x02, "80E400000AF203020103F20341010200"), "009000");
    let left: Vec<u8> = testbed.state().key_sets.iter().map(|set| set.version).collect();
    assert_eq!(left, [0x02]);
    // A repetition finds nothing to delete.
    assert_eq!(run(&mut testbed, 0x02, finalise), "009000");
}

// req: SGP.02-4.1.1.9-KeepsKeys
#[test]
fn the_last_packet_keys_are_kept_in_every_session() {
    let mut testbed = Testbed::new();
    let run = |testbed: &mut Testbed, apdu: &str| {
        let script = Script::of_apdus([hex::decode(apdu).unwrap()]);
        super::testbed::text(&testbed.try_run(ISD_R, SCP81, &script).unwrap()).concat()
    };
    // The ranges keep no key for packets, only the DEK, or KIc without KID.
    for kept in ["", "F203010303", "F203010101"] {
        let before = testbed.memory();
        let (length, also) = (5 + kept.len() / 2, format!("F203400102{kept}"));
        assert_eq!(run(&mut testbed, &format!("80E40000{length:02X}{also}00")), "6985", "{kept}");
        assert!(testbed.memory() == before, "{kept}");
    }
    // If there is another key set for packets, either of the two may be deleted, but not both.
    establish(&mut testbed, &Plan::for_isd_r(0x02));
    assert_eq!(run(&mut testbed, "80E400000AF203400102F20302010300"), "009000");
    assert_eq!(run(&mut testbed, "80E400000AF203400102F20301010300"), "6985");
}
