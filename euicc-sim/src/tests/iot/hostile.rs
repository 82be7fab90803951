//! Attacks on an IoT card: each gets an error and has no effect.

use rsp::der::{Asn1, Raw};
use rsp::sgp32::{Eco, EuiccPackage, EuiccPackageResult};
use world::{Random, SeededRandom};

use super::super::testbed::Testbed;
use super::testbed::{Eim, card_in_use, delete, enable, error, install, set_fallback};

/// True if the card refused the octets.
fn is_refused(testbed: &mut Testbed, octets: &[u8]) -> bool {
    match testbed.es10(octets) {
        Err(status) => status.starts_with('6'),
        Ok(answer) => match EuiccPackageResult::from_der(&answer) {
            Ok(EuiccPackageResult::EuiccPackageResultSigned(_)) => false,
            Ok(_) => true,
            // The segment of a package that another tag began.
            Err(_) => answer.is_empty(),
        },
    }
}

#[test]
fn a_package_with_one_altered_octet_is_refused() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let original = eim.package(&testbed, EuiccPackage::of_psmos([delete(3), enable(2)])).to_der();
    let before = testbed.memory();
    for at in 0..original.len() {
        for flip in [0x01, 0x80] {
            let mut altered = original.clone();
            altered[at] ^= flip;
            assert!(is_refused(&mut testbed, &altered), "octet {at} with {flip:02X}");
            assert_eq!(testbed.memory(), before, "octet {at} with {flip:02X}");
        }
    }
    for length in 0..original.len() {
        assert!(is_refused(&mut testbed, &original[..length]), "{length} octets");
    }
    assert_eq!(testbed.memory(), before);
    // The card was not harmed: it executes the original.
    assert!(!is_refused(&mut testbed, &original));
}

#[test]
fn functions_survive_random_data() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    install(&mut testbed, 4, |metadata| metadata.fallback_allowed = Some(true));
    assert_eq!(eim.run(&mut testbed, [set_fallback(4)]), ["8D0100"]);
    let random = SeededRandom::from_text("hostile");
    for tag in [
        0x2B, 0x2D, 0x30, 0x42, 0x51, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F, 0x64,
        0x65,
    ] {
        for length in 0..40_u8 {
            let mut octets = vec![0; usize::from(length)];
            random.fill(&mut octets);
            // Half of the contents begin with a context tag and a valid length.
            if length >= 2 && length % 2 == 0 {
                octets[0] = [0x80, 0x81, 0x82, 0xA0, 0xA1, 0x30][usize::from(octets[0] % 6)];
                octets[1] = length - 2;
            }
            let command = [&[0xBF, tag, length][..], &octets].concat();
            let _ = testbed.es10(&command);
        }
    }
    let (mut eims, results) = (testbed.state().iot().eims.clone(), testbed.state().iot().results.len());
    assert_eq!((eims.len(), results), (1, 2));
    assert_eq!(eims.remove(0).counter, eim.counter);
}

/// A package with very many operations, and one with very large elements.
#[test]
fn large_packages_are_refused_or_executed_within_the_limits() {
    let (mut testbed, mut eim) = card_in_use(|iot| iot.max_package_size = 60_000);
    testbed.block = 255;
    let mut many = vec![enable(9)];
    many.extend((0..3000).map(|_| delete(9)));
    assert_eq!(eim.run(&mut testbed, many), ["830101"]);
    let huge = Eim::new(&"x".repeat(40_000)).configuration();
    let package = EuiccPackage::of_ecos([Eco::AddEim(Box::new(huge))]);
    assert_eq!(eim.send(&mut testbed, package), ["A803020107"]);
    let request = eim.package(&testbed, EuiccPackage::of_psmos((0..4500).map(|_| delete(9))));
    assert_eq!(error(&mut testbed, &eim, &request), "signed 15");
    assert_eq!(testbed.state().iot().eims.len(), 1);
}

#[test]
fn an_eim_cannot_use_a_package_for_another_eim_or_another_card() {
    let (mut testbed, mut one) = card_in_use(|_| {});
    let mut two = Eim::new("eim-2");
    let add = Eco::AddEim(Box::new(two.configuration()));
    assert_eq!(one.send(&mut testbed, EuiccPackage::of_ecos([add])), ["A803840102"]);
    two.token = Some(2);
    let before = testbed.memory();
    // Signed by one for two, and with the token of the other.
    let mut in_the_name_of_two = Eim { id: two.id.clone(), ..one.clone() };
    let request = in_the_name_of_two.package(&testbed, EuiccPackage::of_psmos([delete(3)]));
    assert_eq!(error(&mut testbed, &one, &request), "unsigned none, token 2");
    let mut with_other_token = Eim { token: Some(1), ..two.clone() };
    let request = with_other_token.package(&testbed, EuiccPackage::of_psmos([delete(3)]));
    assert_eq!(error(&mut testbed, &two, &request), "unsigned none, token 2");
    let mut package =
        two.package(&testbed, EuiccPackage::of_psmos([delete(3)])).euicc_package_signed.into_value();
    package.eid_value.0[15] ^= 1;
    let request = two.sign(package);
    assert_eq!(error(&mut testbed, &two, &request), "signed 3");
    // The operations of another package under a valid signature.
    let mut request = two.package(&testbed, EuiccPackage::of_psmos([enable(2)]));
    let mut other = request.euicc_package_signed.clone().into_value();
    other.euicc_package = EuiccPackage::of_psmos([delete(3)]);
    request.euicc_package_signed = Raw::new(other);
    assert_eq!(error(&mut testbed, &two, &request), "unsigned none, token 2");
    assert_eq!(testbed.memory(), before);
}
