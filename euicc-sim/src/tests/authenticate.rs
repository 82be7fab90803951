//! AUTHENTICATE: TS 31.102 section 7.1, TS 33.102 section 6.3 and annex C.

use std::num::NonZeroU8;

use crypto::aka::{Algorithm, Amf, Auts, Sqn};
use crypto::milenage::{Constants, Milenage};
use crypto::tuak::{ResLength, Tuak, TuakKey};
use crypto::usim_test::UsimTest;
use profile::element::{
    AkaParameter, AlgoConfiguration, AlgoParameter, AlgorithmId, FileItem, MappingParameter, PinCodes,
    PinCodesChoice, PinConfiguration, PinKeyReference,
};
use profile::generic::Subscription;
use profile::{Package, ProfileElement, generic};

use super::files::{
    SELECT_USIM, VERIFY_ADM1, generated, own_package, ts48, with_enabled, with_generated, with_ts48,
};
use super::server::TestPackage;
use super::testbed::Testbed;

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn challenge(algorithm: &Algorithm, rand: [u8; 16], sqn: Sqn) -> String {
    let autn = algorithm.build_autn(&rand, sqn, Amf::from_bytes([0x80, 0]));
    format!("0088008122 10{} 10{}", hex::encode(rand), hex::encode(autn.to_bytes()))
}

/// Asserts the behaviour of a USIM with these keys.
fn check_authentication(testbed: &mut Testbed, algorithm: &Algorithm) {
    let rand = [0x5A; 16];
    let sqn = |seq, ind| Sqn::from_seq_ind(seq, ind).unwrap();
    let vector = algorithm.vector(rand, sqn(1, 0), Amf::from_bytes([0x80, 0]));
    let kc = crypto::aka::kc(&vector.ck, &vector.ik);
    let mut expected = vec![0xDB];
    for part in [vector.xres.as_bytes(), vector.ck.expose(), vector.ik.expose(), kc.expose()] {
        expected.push(u8::try_from(part.len()).unwrap());
        expected.extend_from_slice(part);
    }
    let expected = hex::encode_upper(expected);
    let fresh = challenge(algorithm, rand, sqn(1, 0));
    testbed.expect(&fresh, "6985");
    testbed.read(SELECT_USIM);
    assert_eq!(testbed.read(&fresh), expected);

    // A repeated challenge, even after a reset, returns the card's own sequence number.
    testbed.reset();
    testbed.read(SELECT_USIM);
    let auts = hex::decode(testbed.read(&fresh)).unwrap();
    assert_eq!(auts[..2], [0xDC, 14]);
    let auts = Auts::from_bytes(auts[2..].try_into().unwrap());
    assert_eq!(algorithm.parse_auts(&rand, &auts), Ok(sqn(1, 0)));

    // Another index has its own sequence number. A number too far ahead is not fresh, except for
    // the test algorithm.
    let has_delta = !matches!(algorithm, Algorithm::UsimTest(_));
    assert!(testbed.read(&challenge(algorithm, rand, sqn(1, 1))).starts_with("DB"));
    assert!(testbed.read(&challenge(algorithm, rand, sqn(1, 1))).starts_with("DC"));
    assert!(testbed.read(&challenge(algorithm, rand, sqn(1 + 0x1000_0000, 2))).starts_with("DB"));
    let far = testbed.read(&challenge(algorithm, rand, sqn(2 + 2 * 0x1000_0000, 3)));
    assert!(far.starts_with(if has_delta { "DC" } else { "DB" }), "{far}");
    assert!(testbed.read(&challenge(algorithm, rand, sqn(2, 0))).starts_with("DB"));

    // A forged challenge.
    let mut forged = fresh.clone();
    forged.replace_range(fresh.len() - 1.., if fresh.ends_with('0') { "1" } else { "0" });
    testbed.expect(&forged, "9862");
    testbed.expect(&fresh.replacen("00880081", "00880084", 1), "9864");
    for context in ["80", "81"] {
        testbed.expect(&format!("008800{context}10 00112233445566778899AABBCCDDEEFF"), "6700");
    }
    testbed.expect(&fresh.replacen("00880081", "00880082", 1), "9864");
    testbed.expect(&fresh.replacen("00880081", "00880083", 1), "6A86");
    testbed.expect(&fresh.replacen("00880081", "00880181", 1), "6A86");

    let triplet = algorithm.triplet(&rand);
    assert_eq!(
        testbed.read(&format!("0088008011 10{}", hex::encode(rand))),
        hex::encode_upper([&[4][..], &triplet.sres, &[8], triplet.kc.expose()].concat())
    );
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn every_profile_authenticates_with_the_test_algorithm_it_names() {
    for (name, package) in ts48("der") {
        println!("{name}");
        check_authentication(
            &mut with_enabled(&TestPackage::of(package)),
            &Algorithm::UsimTest(UsimTest::new(KEY)),
        );
    }
}

/// A package with modified authentication parameters in all applications.
fn changed(mut package: Package, change: impl Fn(&mut AkaParameter)) -> TestPackage {
    for element in &mut package.elements {
        if let ProfileElement::AkaParameter(aka) = element {
            change(aka);
        }
    }
    TestPackage::of(package.encode())
}

/// A generated package with another algorithm.
fn with_algorithm(change: impl Fn(&mut AlgoParameter)) -> TestPackage {
    changed(generated(), |aka| {
        if let AlgoConfiguration::AlgoParameter(own) = &mut aka.algo_configuration {
            change(own);
        }
    })
}

// req: TS.33.102-Sqn
#[test]
fn a_profile_authenticates_with_milenage() {
    let test_package = with_algorithm(|own| {
        own.algorithm_id = AlgorithmId::MILENAGE;
        own.opc = [0x77; 16].into();
    });
    let algorithm = Algorithm::Milenage(Milenage::new(KEY, [0x77; 16]));
    check_authentication(&mut with_enabled(&test_package), &algorithm);
}

#[test]
fn a_built_profile_authenticates() {
    // Services 27 (GSM access) and 38 (GSM security context).
    let services = [27, 38];
    let subscription = Subscription { key: KEY, opc: [0x77; 16], ..Subscription::default() };
    let package = own_package(subscription.clone(), &services);
    let algorithm = Algorithm::Milenage(Milenage::new(KEY, [0x77; 16]));
    check_authentication(&mut with_enabled(&TestPackage::of(package.encode())), &algorithm);
    let with_test = Subscription { algorithm: generic::Algorithm::UsimTest, ..subscription };
    let package = own_package(with_test, &services);
    let algorithm = UsimTest::new(KEY).with_res_length(16).unwrap();
    check_authentication(
        &mut with_enabled(&TestPackage::of(package.encode())),
        &Algorithm::UsimTest(algorithm),
    );
}

#[test]
fn milenage_constants_of_the_operator_are_used() {
    let constants =
        Constants { r: [8, 24, 40, 104, 120], c: std::array::from_fn(|at| [0x10 + at as u8; 16]) };
    let test_package = with_algorithm(|own| {
        own.algorithm_id = AlgorithmId::MILENAGE;
        own.opc = [0x77; 16].into();
        own.rotation_constants = Some(constants.r.into());
        own.xoring_constants = Some(constants.c.concat().into());
    });
    let algorithm = Milenage::with_constants(KEY, [0x77; 16], constants);
    check_authentication(&mut with_enabled(&test_package), &Algorithm::Milenage(algorithm));
}

/// A profile built by the test. The first list contains the key references of its enabled PINs. The
/// value of each PIN repeats the last digit of its reference. The second list is the PIN status
/// template of the USIM.
fn with_pins(references: &[u8], template: &[u8]) -> Testbed {
    let mut package = own_package(Subscription::default(), &[]);
    let pins = package.elements.iter_mut().find_map(|element| match element {
        ProfileElement::PinCodes(PinCodes { pin_codes: PinCodesChoice::Pinconfig(pins), .. }) => Some(pins),
        _ => None,
    });
    let own = references.iter().map(|reference| PinConfiguration {
        key_reference: PinKeyReference(*reference),
        pin_value: [b'0' + reference % 10; 8].into(),
        unblocking_pin_reference: None,
        pin_attributes: Some(7),
        max_attempts_retries_left: None,
        unknown: Default::default(),
    });
    *pins.unwrap() = own.collect();
    for element in &mut package.elements {
        let ProfileElement::FileSystem(element) = element else { continue };
        for file in element.files.iter_mut().filter(|file| file.name == "adf-usim") {
            let [FileItem::FileDescriptor(fcp)] = &mut file.items[..] else { panic!("one descriptor") };
            fcp.pin_status_template_do = Some(template.into());
        }
    }
    let mut testbed = with_enabled(&TestPackage::of(package.encode()));
    testbed.read(SELECT_USIM);
    testbed
}

/// VERIFY PIN with a value as in `with_pins`.
fn verify(reference: u8) -> String {
    format!("002000{reference:02X}08 {}", format!("3{}", reference % 10).repeat(8))
}

#[test]
fn an_application_requires_its_own_pin() {
    // Columns: PINs, PIN status template of the USIM, PINs verified one after the other, the status
    // word before each verification, and whether the USIM authenticates after all of them.
    for (codes, template, presented, before, after) in [
        (&[1][..], &[1, 0x81, 0x0A][..], &[1][..], "6982", true),
        (&[1, 2], &[2, 0x82, 0x0A], &[1, 2], "6982", true),
        (&[1, 2], &[2, 0x82, 0x0A], &[1], "6982", false),
        (&[1, 2, 8], &[2, 8], &[1, 2, 8], "6982", true),
        (&[1, 2, 8], &[2, 8], &[1, 2], "6982", false),
        // The universal PIN applies if the application has no enabled PIN.
        (&[1, 2, 17], &[2, 17], &[2], "6982", true),
        (&[1, 2, 17], &[2, 17], &[17], "6982", false),
        (&[1, 17], &[2, 17], &[1, 17], "6982", true),
        (&[1, 17], &[2, 17], &[1], "6982", false),
        (&[1, 17], &[1], &[1], "6982", true),
        // If there is no template, the PIN of a card with one application applies.
        (&[1, 17], &[], &[1], "6982", true),
        (&[1, 17], &[], &[], "6982", false),
    ] {
        let mut testbed = with_pins(codes, template);
        let challenge = format!("0088008122 10{} 10{}", "5A".repeat(16), "00".repeat(16));
        for reference in presented {
            testbed.expect(&challenge, before);
            testbed.expect(&verify(*reference), "9000");
        }
        // The card detects the forged challenge only after the PIN check.
        let expected = if after { "9862" } else { before };
        assert_eq!(testbed.apdu(&challenge), expected, "{codes:?} {template:?} {presented:?}");
    }
    // A disabled PIN is not required.
    let mut testbed = with_pins(&[2], &[2]);
    testbed.expect(&verify(2).replacen("0020", "0026", 1), "9000");
    testbed.reset();
    testbed.read(SELECT_USIM);
    testbed.expect(&format!("0088008122 10{} 10{}", "5A".repeat(16), "00".repeat(16)), "9862");
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn an_application_authenticates_only_while_it_is_the_current_one() {
    let mut testbed = with_ts48();
    let gsm = format!("0088008011 10{}", hex::encode([0x5A; 16]));
    testbed.read(SELECT_USIM);
    // AUTHENTICATE is allowed while the current directory is the ADF or a subdirectory of it, also
    // with a selected file, and not in another directory.
    for (select, status) in [
        ("00A4000C02 7FFF", "610E"),
        ("00A4000C02 6F07", "610E"),
        ("00A4080C04 7FFF5FC0", "610E"),
        ("00A4000C02 3F00", "6985"),
        ("00A4080C02 7F10", "6985"),
        ("00A4000C02 7FFF", "610E"),
    ] {
        testbed.expect(select, "9000");
        testbed.expect(&gsm, status);
    }
}

#[test]
fn a_profile_authenticates_with_tuak() {
    for (key, options, length, iterations) in [
        (&KEY[..], 0x00, ResLength::Bits32, 1),
        (&KEY[..], 0x01, ResLength::Bits64, 3),
        (&[0xC3; 32][..], 0x02, ResLength::Bits128, 255),
    ] {
        let test_package = with_algorithm(|own| {
            own.algorithm_id = AlgorithmId::TUAK;
            own.algorithm_options = [options].into();
            own.key = key.into();
            own.opc = [0x77; 32].into();
            own.number_of_keccak = (iterations != 1).then_some(i64::from(iterations));
        });
        let algorithm = Tuak::new(TuakKey::from_bytes(key).unwrap(), [0x77; 32])
            .with_res_length(length)
            .with_iterations(NonZeroU8::new(iterations).unwrap());
        check_authentication(&mut with_enabled(&test_package), &Algorithm::Tuak(algorithm));
    }
}

const SELECT_ISIM: &str = "00A4040C07 A0000000871004";

/// The outcome of a challenge: DB, DC, or the status word.
fn outcome_of(testbed: &mut Testbed, challenge: &str) -> String {
    let answer = testbed.apdu(challenge);
    match answer.strip_prefix("61") {
        Some(length) => testbed.apdu(&format!("00C00000{length}"))[..2].to_owned(),
        None => answer,
    }
}

/// A TS.48 package whose ISIM shares the Milenage parameters of the USIM.
fn with_mapping(change: impl Fn(&mut AkaParameter)) -> TestPackage {
    let usim = "A0000000871002FF49FF0589";
    let (_, package) = ts48("der").swap_remove(0);
    changed(Package::decode(&package).unwrap(), |aka| {
        let AlgoConfiguration::AlgoParameter(own) = &mut aka.algo_configuration else { panic!("own keys") };
        own.algorithm_id = AlgorithmId::MILENAGE;
        own.opc = [0x77; 16].into();
        aka.sqn_init = None;
        // The second element of the package belongs to the ISIM.
        if aka.header.identification > 15 {
            aka.algo_configuration = AlgoConfiguration::MappingParameter(MappingParameter {
                mapping_options: [0x06].into(),
                mapping_source: hex::decode(usim).unwrap().into(),
                unknown: Default::default(),
            });
        }
        change(aka);
    })
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn usim_and_isim_with_shared_keys_share_their_counters() {
    let algorithm = Algorithm::Milenage(Milenage::new(KEY, [0x77; 16]));
    let sqn = |seq, ind| Sqn::from_seq_ind(seq, ind).unwrap();
    let test_package = with_mapping(|_| {});
    let mut testbed = with_enabled(&test_package);
    testbed.read(SELECT_USIM);
    let first = challenge(&algorithm, [0x5A; 16], sqn(4, 0));
    assert_eq!(outcome_of(&mut testbed, &first), "DB");
    // A number accepted by the USIM is used up for the ISIM, and vice versa.
    testbed.read(SELECT_ISIM);
    assert_eq!(outcome_of(&mut testbed, &first), "DC");
    let second = challenge(&algorithm, [0x5A; 16], sqn(5, 1));
    assert_eq!(outcome_of(&mut testbed, &second), "DB");
    testbed.reset();
    testbed.read(SELECT_USIM);
    assert_eq!(outcome_of(&mut testbed, &second), "DC");

    // The ISIM can have its own delta even if it shares the sequence numbers.
    let test_package = with_mapping(|aka| {
        if matches!(aka.algo_configuration, AlgoConfiguration::MappingParameter(_)) {
            aka.sqn_delta = Some([0, 0, 0, 0, 0, 5].into());
        }
    });
    let mut testbed = with_enabled(&test_package);
    for (select, seq, expected) in
        [(SELECT_USIM, 50, "DB"), (SELECT_ISIM, 56, "DC"), (SELECT_ISIM, 55, "DB"), (SELECT_USIM, 100, "DB")]
    {
        testbed.read(select);
        assert_eq!(outcome_of(&mut testbed, &challenge(&algorithm, [0x5A; 16], sqn(seq, 0))), expected);
    }

    // If the ISIM has its own sequence numbers, it counts separately.
    let init: Vec<_> = (0..32).map(|_| [0, 0, 0, 0, 0, 9].into()).collect();
    let test_package = with_mapping(|aka| {
        if matches!(aka.algo_configuration, AlgoConfiguration::MappingParameter(_)) {
            aka.sqn_init = Some(init.clone());
        }
    });
    let mut testbed = with_enabled(&test_package);
    for (select, seq, expected) in
        [(SELECT_USIM, 9, "DB"), (SELECT_ISIM, 9, "DC"), (SELECT_ISIM, 10, "DB"), (SELECT_USIM, 10, "DB")]
    {
        testbed.read(select);
        assert_eq!(outcome_of(&mut testbed, &challenge(&algorithm, [0x5A; 16], sqn(seq, 0))), expected);
    }
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn an_isim_has_no_gsm_values() {
    let test_package = with_mapping(|_| {});
    let algorithm = Algorithm::Milenage(Milenage::new(KEY, [0x77; 16]));
    let mut testbed = with_enabled(&test_package);
    testbed.read(SELECT_ISIM);
    let rand = [0x5A; 16];
    let sqn = Sqn::from_seq_ind(1, 0).unwrap();
    let vector = algorithm.vector(rand, sqn, Amf::from_bytes([0x80, 0]));
    let mut expected = vec![0xDB];
    for part in [vector.xres.as_bytes(), vector.ck.expose(), vector.ik.expose()] {
        expected.push(u8::try_from(part.len()).unwrap());
        expected.extend_from_slice(part);
    }
    assert_eq!(testbed.read(&challenge(&algorithm, rand, sqn)), hex::encode_upper(expected));
    testbed.expect(&format!("0088008011 10{}", hex::encode(rand)), "6A86");
    // The authentication contexts for HTTP digest and GBA.
    testbed.expect(&challenge(&algorithm, rand, sqn).replacen("00880081", "00880082", 1), "9864");
    testbed.expect(&challenge(&algorithm, rand, sqn).replacen("00880081", "00880084", 1), "9864");
}

#[test]
fn services_of_ef_ust_determine_the_gsm_functions() {
    let mut testbed = with_generated();
    let algorithm = Algorithm::UsimTest(UsimTest::new(KEY));
    let gsm = format!("0088008011 10{}", hex::encode([0x5A; 16]));
    // Service 27 is bit 3 of octet 4, service 38 is bit 6 of octet 5.
    for (seq, table, length, gsm_outcome) in [
        (1, "9EFFBF1DFF", 1 + 3 * 17 + 9, "610E"),
        (2, "9EFFBF19FF", 1 + 3 * 17, "610E"),
        (3, "9EFFBF1DDF", 1 + 3 * 17 + 9, "9864"),
    ] {
        testbed.read(SELECT_USIM);
        testbed.expect(VERIFY_ADM1, "9000");
        testbed.expect("00A4000C02 6F38", "9000");
        testbed.expect(&format!("00D6000005 {table}"), "9000");
        let sqn = Sqn::from_seq_ind(seq, 0).unwrap();
        assert_eq!(testbed.read(&challenge(&algorithm, [0x5A; 16], sqn)).len(), 2 * length, "{table}");
        testbed.expect(&gsm, gsm_outcome);
    }
}

#[test]
fn the_number_of_authentications_is_limited_by_the_package() {
    let test_package = with_algorithm(|own| {
        own.algorithm_id = AlgorithmId::MILENAGE;
        own.opc = [0x77; 16].into();
        own.auth_counter_max = Some([0, 0, 4].into());
    });
    let algorithm = Algorithm::Milenage(Milenage::new(KEY, [0x77; 16]));
    let mut testbed = with_enabled(&test_package);
    testbed.read(SELECT_USIM);
    let fresh = challenge(&algorithm, [0x5A; 16], Sqn::from_seq_ind(1, 0).unwrap());
    let gsm = format!("0088008011 10{}", hex::encode([0x5A; 16]));
    // Attempts are counted regardless of the outcome, and across a reset.
    assert_eq!(outcome_of(&mut testbed, &fresh), "DB");
    assert_eq!(outcome_of(&mut testbed, &fresh), "DC");
    testbed.expect(&fresh.replacen("5a", "5b", 1), "9862");
    testbed.reset();
    testbed.read(SELECT_USIM);
    testbed.expect(&gsm, "610E");
    testbed.expect(&gsm, "6985");
    testbed.expect(&fresh, "6985");
}

#[test]
fn a_test_usim_resynchronises_on_request() {
    let mut testbed = with_generated();
    let algorithm = Algorithm::UsimTest(UsimTest::new(KEY));
    testbed.read(SELECT_USIM);
    let rand = [0x5A; 16];
    let sqn = |seq| Sqn::from_seq_ind(seq, 0).unwrap();
    assert_eq!(outcome_of(&mut testbed, &challenge(&algorithm, rand, sqn(6))), "DB");
    let autn = algorithm.build_autn(&rand, sqn(7), UsimTest::AMF_RESYNCH).to_bytes();
    let resynchronisation = format!("0088008122 10{} 10{}", hex::encode(rand), hex::encode(autn));
    let auts = hex::decode(testbed.read(&resynchronisation)).unwrap();
    assert_eq!(auts[..2], [0xDC, 14]);
    let auts = Auts::from_bytes(auts[2..].try_into().unwrap());
    assert_eq!(algorithm.parse_auts(&rand, &auts), Ok(sqn(6)));
    // The sequence number has not been used up.
    assert_eq!(outcome_of(&mut testbed, &challenge(&algorithm, rand, sqn(7))), "DB");
}
