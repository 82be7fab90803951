//! ES10b.LoadEuiccPackage: SGP.32 section 5.9.1. Checks of the package, the result and its storage.

use crypto::Curve;
use rsp::der::{Asn1, Opaque, Raw};
use rsp::finding::FindingKind;
use rsp::ids::{Eid, TransactionId};
use rsp::sgp22::es10c::ProfileInfoListRequest;
use rsp::sgp32::package::{Eco, GetRat, ListEim, MAX_COUNTER, UnsetFallbackAttribute};
use rsp::sgp32::{EuiccPackage, EuiccPackageRequest, EuiccPackageResult, EuiccPackageSigned, Psmo};

use super::super::profiles::REFRESHES;
use super::super::testbed::Testbed;
use super::testbed::{
    Eim, card_in_use, delete, disable, enable, enabled, error, refresh, results, testbed_load,
};
use crate::{AfterFailure, IotVersion, SizeError};

fn list() -> Psmo {
    Psmo::ListProfileInfo(ProfileInfoListRequest { search_criteria: None, tag_list: Some(vec![0x5A]) })
}

/// A package that changes nothing.
fn harmless() -> EuiccPackage {
    EuiccPackage::of_psmos([Psmo::GetRat(GetRat {})])
}

/// Modifies a package before it is signed.
fn modified(
    testbed: &Testbed,
    eim: &mut Eim,
    change: impl FnOnce(&mut EuiccPackageSigned),
) -> EuiccPackageRequest {
    let mut package = eim.package(testbed, harmless()).euicc_package_signed.into_value();
    change(&mut package);
    eim.sign(package)
}

#[test]
fn a_package_of_a_stranger_gets_an_unsigned_error() {
    // req: SGP.32-5.9.1-Signature
    for (version, unknown, known) in [
        (IotVersion::V1_2, "unsigned none, token none", "unsigned none, token 1"),
        (IotVersion::V1_3, "unsigned 127, token none", "unsigned 127, token 1"),
    ] {
        let (mut testbed, mut eim) = card_in_use(|iot| iot.version = version);
        let before = testbed.memory();
        let mut stranger = Eim::new("stranger");
        let request = stranger.package(&testbed, harmless());
        assert_eq!(error(&mut testbed, &stranger, &request), unknown);
        let mut impostor = Eim { key: stranger.key.clone(), counter: 100, ..eim.clone() };
        let request = impostor.package(&testbed, harmless());
        assert_eq!(error(&mut testbed, &eim, &request), known);
        // The signature covers the association token.
        let mut without_token = Eim { token: None, ..eim.clone() };
        let request = without_token.package(&testbed, harmless());
        assert_eq!(error(&mut testbed, &eim, &request), known);
        let mut altered = eim.clone().package(&testbed, harmless());
        altered.eim_signature.truncate(63);
        assert_eq!(error(&mut testbed, &eim, &altered), known);
        assert_eq!(testbed.memory(), before);
        assert_eq!(eim.run(&mut testbed, [list()]).len(), 1);
    }
}

#[test]
fn eid_and_counter_are_checked_in_this_order() {
    // req: SGP.32-5.9.1-Order
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let other: Eid = "89001012012341234012345678901224".parse().unwrap();
    let request = modified(&testbed, &mut eim, |package| {
        package.eid_value = other;
        package.counter_value = 0;
    });
    assert_eq!(error(&mut testbed, &eim, &request), "signed 3");
    for (counter, code) in [(1, "signed 4"), (0, "signed 4"), (-1, "signed 4"), (MAX_COUNTER + 1, "signed 6")]
    {
        let request = modified(&testbed, &mut eim, |package| package.counter_value = counter);
        assert_eq!(error(&mut testbed, &eim, &request), code, "{counter}");
    }
    // Errors do not use up a counter. A gap is allowed, up to the maximum.
    for counter in [2, 4, MAX_COUNTER] {
        let request = modified(&testbed, &mut eim, |package| package.counter_value = counter);
        let result = testbed_load(&mut testbed, &request);
        assert!(matches!(result, EuiccPackageResult::EuiccPackageResultSigned(_)), "{result:?}");
        assert_eq!(error(&mut testbed, &eim, &request), "signed 4");
    }
}

#[test]
fn a_package_in_one_signature_form_or_the_other_is_accepted() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let mut request = eim.package(&testbed, harmless());
    let integer = |half: &[u8]| {
        let mut octets = half.to_vec();
        if octets[0] & 0x80 != 0 {
            octets.insert(0, 0);
        }
        rsp::der::tlv_bytes(rsp::der::Tag::INTEGER, &octets)
    };
    let (r, s) = request.eim_signature.split_at(32);
    let der = rsp::der::tlv_bytes(rsp::der::Tag::SEQUENCE, &[integer(r), integer(s)].concat());
    request.eim_signature = der;
    let result = testbed_load(&mut testbed, &request);
    assert_eq!(results(&eim.verified(&testbed, &result)).len(), 1);
    assert!(testbed.card.findings().iter().any(|found| found.kind == FindingKind::DerSignature));

    let change = |description: &mut crate::CardDescription| {
        super::testbed::make_iot(description, |_| {});
        description.strict = true;
    };
    let mut strict = Testbed::with(super::super::testbed::pki(), change, world::RamMemory::default());
    super::testbed::associate(&mut strict, &Eim::new("eim-1").configuration());
    assert_eq!(error(&mut strict, &eim, &request), "unsigned none, token 1");
}

#[test]
fn the_result_echoes_the_package_and_is_kept_until_it_is_removed() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let request = eim.package(&testbed, harmless());
    let transaction_id = request.euicc_package_signed.eim_transaction_id.clone();
    let octets = testbed.es10(&request.to_der()).unwrap();
    let result = EuiccPackageResult::from_der(&octets).unwrap();
    let data = eim.verified(&testbed, &result);
    assert_eq!(data.eim_transaction_id, transaction_id);
    assert_ne!(transaction_id, None);
    // The number of the result belongs to the card, and not to the eIM.
    assert_ne!(data.seq_number, data.counter_value);
    testbed.reset();

    let all = testbed.es10_text("BF2B04A0028200");
    assert!(all.ends_with(&hex::encode_upper(&octets)) && all.contains("A2"), "{all}");
    let by_number = format!("BF2B05A0038001{:02X}", data.seq_number);
    assert!(testbed.es10_text(&by_number).ends_with(&hex::encode_upper(&octets)));
    // A search for notifications does not return results.
    assert!(!testbed.es10_text("BF2B00").contains(&hex::encode_upper(&octets)));
    // Search criteria without their tag.
    assert_eq!(testbed.es10_text("BF2B028200"), "BF2B0381017F");
    let remove = format!("BF30038001{:02X}", data.seq_number);
    assert_eq!(testbed.es10_text(&remove), "BF3003800100");
    assert_eq!(testbed.es10_text(&remove), "BF3003800101");
    assert_eq!(testbed.es10_text(&by_number), "BF2B02A000");
    // The replay is refused, although the result was removed.
    assert_eq!(error(&mut testbed, &eim, &request), "signed 4");
}

#[test]
fn a_full_list_of_results_loses_the_oldest() {
    // req: SGP.32-2.11.2-Full
    let (mut testbed, mut eim) = card_in_use(|iot| iot.max_results = 3);
    for _ in 0..4 {
        eim.send(&mut testbed, harmless());
    }
    let counters: Vec<i64> = testbed
        .state()
        .iot()
        .results
        .iter()
        .map(|result| match &*result.signed.0 {
            EuiccPackageResult::EuiccPackageResultSigned(signed) => {
                signed.euicc_package_result_data_signed.counter_value
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counters, [3, 4, 5]);
}

#[test]
fn the_first_failure_ends_the_package_unless_the_card_continues() {
    for (after_failure, expected) in [
        (AfterFailure::Stop, vec!["840102"]),
        (AfterFailure::StopWithProcessingTerminated, vec!["840102", "02017F"]),
        (AfterFailure::Continue, vec!["840102", "830100"]),
    ] {
        let (mut testbed, mut eim) = card_in_use(|iot| iot.after_failure = after_failure);
        assert_eq!(eim.run(&mut testbed, [disable(2), enable(2)]), expected);
        testbed.reset();
        let continued = after_failure == AfterFailure::Continue;
        assert_eq!(enabled(&mut testbed), Some(if continued { 2 } else { 1 }));
    }
}

#[test]
fn operations_before_a_damaged_one_are_executed() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let good = Opaque::from(Raw::new(delete(3)));
    let unknown = Opaque::new(vec![0xBF, 0x7F, 0]);
    let damaged = Opaque::new(vec![0xA3, 0x02, 0x5A, 0x00]);
    for bad in [unknown, damaged] {
        let package = EuiccPackage::PsmoList(vec![good.clone(), bad, Opaque::from(Raw::new(enable(2)))]);
        let first = if testbed.profiles().len() == 3 { "850100" } else { "850101" };
        let expected = if first == "850100" { vec![first, "020102"] } else { vec![first] };
        assert_eq!(eim.send(&mut testbed, package), expected);
    }
    assert_eq!(testbed.profiles().len(), 2);
    // Operations of the other kind are unknown.
    let eco = Opaque::new(Raw::new(Eco::ListEim(ListEim {})).bytes().to_vec());
    assert_eq!(eim.send(&mut testbed, EuiccPackage::PsmoList(vec![eco])), ["020102"]);
    assert_eq!(eim.send(&mut testbed, EuiccPackage::PsmoList(vec![])), [""; 0]);
}

#[test]
fn a_package_enables_and_disables_at_most_one_profile_and_lists_before_changes() {
    // req: SGP.32-2.11.1.1-OneEnable, SGP.32-2.11.1.1-OneDisable, SGP.32-2.11.1.1-ListAfterChange
    let (mut testbed, mut eim) = card_in_use(|iot| iot.after_failure = AfterFailure::Continue);
    let operations = [enable(2), enable(3), disable(1), list()];
    assert_eq!(eim.run(&mut testbed, operations), ["830100", "83017F", "84017F", "BF2D0381010B"]);
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(2));
    assert_eq!(eim.run(&mut testbed, [disable(2), disable(2), list()])[1..], ["84017F", "BF2D0381010B"]);
    testbed.reset();
    assert_eq!(enabled(&mut testbed), None);
    assert_eq!(eim.run(&mut testbed, [delete(1), list()]), ["850100", "BF2D0381010B"]);
    let listed = eim.run(&mut testbed, [list(), delete(2)]);
    assert!(listed[0].starts_with("BF2D1EA01C") && listed[1] == "850100", "{listed:?}");
}

#[test]
fn a_profile_that_is_marked_to_be_disabled_can_be_replaced() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    assert_eq!(eim.run(&mut testbed, [disable(1), enable(2)]), ["840100", "830100"]);
    assert_eq!(enabled(&mut testbed), Some(1));
    testbed.reset();
    assert_eq!(enabled(&mut testbed), Some(2));
}

#[test]
fn the_switch_follows_the_package_with_refresh() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    testbed.expect(REFRESHES, "9000");
    assert_eq!(eim.run(&mut testbed, [enable(2)]), ["830100"]);
    assert_eq!(enabled(&mut testbed), Some(1));
    // Until the REFRESH was performed, another switch is refused.
    assert_eq!(eim.run(&mut testbed, [enable(3)]), ["830105"]);
    assert_eq!(eim.run(&mut testbed, [disable(1)]), ["840105"]);
    refresh(&mut testbed);
    assert_eq!(enabled(&mut testbed), Some(2));
}

#[test]
fn a_result_that_is_too_large_ends_the_package() {
    let (mut testbed, mut eim) = card_in_use(|iot| iot.max_result_size = 60);
    // The list of three profiles has 49 octets, so there is no room for the code of another operation.
    let listed = eim.run(&mut testbed, [list(), delete(3)]);
    assert!(listed[0].starts_with("BF2D") && listed[1..] == ["020101"], "{listed:?}");
    let whole = Psmo::ListProfileInfo(ProfileInfoListRequest { search_criteria: None, tag_list: None });
    assert_eq!(eim.run(&mut testbed, [whole, delete(3)]), ["020101"]);
    assert_eq!(testbed.profiles().len(), 3);
}

#[test]
fn a_package_that_is_too_large_is_refused() {
    let many = || EuiccPackage::of_psmos((0..200).map(|_| Psmo::GetRat(GetRat {})));
    for (form, version, expected) in [
        (SizeError::Signed, IotVersion::V1_2, "signed 15"),
        (SizeError::Unsigned, IotVersion::V1_3, "unsigned 15, token 1"),
        (SizeError::Unsigned, IotVersion::V1_2, "unsigned none, token 1"),
    ] {
        let (mut testbed, mut eim) = card_in_use(|iot| {
            iot.max_package_size = 400;
            iot.oversized_package = form;
            iot.version = version;
        });
        let request = eim.package(&testbed, many());
        assert_eq!(error(&mut testbed, &eim, &request), expected);
        // The counter is not used up.
        eim.counter -= 1;
        assert_eq!(eim.send(&mut testbed, harmless()).len(), 1);
    }
}

#[test]
fn a_package_of_the_maximum_size_is_accepted() {
    let many = || EuiccPackage::of_psmos((0..20).map(|_| Psmo::GetRat(GetRat {})));
    let (testbed, mut eim) = card_in_use(|_| {});
    let size = Raw::new(eim.package(&testbed, many())).bytes().len();
    for maximum in [size, size - 1] {
        let (mut testbed, mut eim) = card_in_use(|iot| {
            iot.max_package_size = maximum;
            iot.oversized_package = SizeError::Signed;
        });
        let request = eim.package(&testbed, many());
        if maximum == size {
            let result = testbed_load(&mut testbed, &request);
            assert_eq!(results(&eim.verified(&testbed, &result)).len(), 20);
        } else {
            assert_eq!(error(&mut testbed, &eim, &request), "signed 15");
        }
    }
}

#[test]
fn the_result_is_signed_with_the_key_of_the_ci_that_the_eim_chose() {
    let mut testbed = super::testbed::card(|_| {});
    let mut eim = Eim::new("eim-1");
    let brainpool = testbed.pki.ci(Curve::BrainpoolP256r1).unwrap().subject_key_id().unwrap().0.clone();
    let mut configuration = eim.configuration();
    configuration.euicc_ci_pk_id = Some(rsp::ids::SubjectKeyIdentifier(brainpool));
    eim.token = super::testbed::associate(&mut testbed, &configuration);
    let request = eim.package(&testbed, harmless());
    let EuiccPackageResult::EuiccPackageResultSigned(signed) = testbed_load(&mut testbed, &request) else {
        panic!("the package was refused")
    };
    let signature = crypto::Signature::from_slice(&signed.euicc_sign_epr).unwrap();
    let covered = signed.signed_octets(eim.token);
    testbed.public_key(Curve::BrainpoolP256r1).verify(&covered, &signature).unwrap();
}

#[test]
fn the_bytes_of_a_result_are_those_of_the_standard() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let package = EuiccPackage::of_psmos([
        Psmo::SetDefaultDpAddress(rsp::sgp32::es10b::SetDefaultDpAddressRequest {
            default_dp_address: "smdp.example.com".to_owned(),
        }),
        Psmo::UnsetFallbackAttribute(UnsetFallbackAttribute {}),
    ]);
    let mut signed = eim.package(&testbed, package).euicc_package_signed.into_value();
    signed.eim_transaction_id = Some(TransactionId(vec![0xAB, 0xCD]));
    let request = eim.sign(signed);
    let octets = testbed.es10(&request.to_der()).unwrap();
    let number = testbed.next_sequence_number() - 1;
    let results = "BF6503800100 8E0102".replace(' ', "");
    let data = format!("800565696D2D318101028202ABCD8301{number:02X}3009{results}");
    let expected = format!("BF5163A06130{:02X}{data}5F3740", data.len() / 2);
    let octets = hex::encode_upper(octets);
    assert_eq!(octets[..expected.len()], expected[..]);
    assert_eq!(octets.len(), expected.len() + 128);
}
