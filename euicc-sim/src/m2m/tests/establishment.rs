//! Key establishment: accepted and refused variants.

use crypto::{Curve, SecretKey};
use rsp::ids::Aid;
use rsp::ota::script::Chaining;

use super::download::send;
use super::oce::{Certificate, Plan, Point, SM_DP, SM_SR, ci, derive, establish, open, personalised};
use super::testbed::{BOOTSTRAP, ISD_R, NEW, NO_RULES, Testbed, aes_keys, aid, lv, package};
use crate::state::m2m::LifeCycle;

/// A card with an ISD-P without keys.
fn testbed() -> Testbed {
    let mut testbed = Testbed::new();
    assert_eq!(testbed.create(NEW, None), "009000");
    testbed
}

/// Asserts that the plan is refused at the first or the second STORE DATA and changes nothing.
#[track_caller]
fn assert_refused(testbed: &mut Testbed, plan: &Plan, at: usize, status: &str) {
    let before = testbed.memory();
    let answers: [String; 2] = establish(testbed, plan).into();
    assert!(
        answers[at].ends_with(status) && answers[at].len() == 4,
        "{answers:?}, expected {status} at {at}"
    );
    assert!(testbed.memory() == before);
}

#[test]
fn an_isd_p_gets_its_keys_with_every_format_of_the_point() {
    for point in [Point::Bare, Point::WithoutHeader, Point::Nested] {
        let mut testbed = testbed();
        let plan = Plan { point, ..Plan::for_isd_p(NEW) };
        let (first, second) = establish(&mut testbed, &plan);
        assert!(first.starts_with("8510") && first.ends_with("9000"));
        let (receipt, keys) = derive(&plan, &[], &[]);
        assert_eq!(second, format!("8610{}9000", hex::encode_upper(receipt)));
        assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Personalised));
        let isd_p = testbed.state().isd_p(&Aid::isd_p(NEW)).unwrap();
        let set = isd_p.key_set(0x30).unwrap();
        assert_eq!(aes_keys(set).to_vec(), keys);
        assert_eq!(set.counter, 0);
    }
}

#[test]
fn octets_after_the_certificate_are_refused() {
    for (plan, status) in [(Plan::for_isd_r(0x02), "6A80"), (Plan::for_isd_p(NEW), "6A88")] {
        let mut testbed = testbed();
        let mut apdus = plan.first();
        let certificate = apdus.pop().unwrap();
        let group = &certificate[10..certificate.len() - 2];
        apdus.push(format!("80E20900{}00", lv(&format!("{group}00"))));
        let answers = testbed.apdus(ISD_R, plan.chaining[0], &apdus);
        assert_eq!(answers.last().unwrap(), status);
    }
}

#[test]
fn the_template_determines_the_inputs_of_the_derivation() {
    let mut testbed = testbed();
    // One base key is used for all three keys.
    let plan = Plan { usage: 0x5C, more: String::new(), ..Plan::for_isd_p(NEW) };
    let (receipt, keys) = derive(&plan, &[], &[]);
    assert_eq!(establish(&mut testbed, &plan).1, format!("8610{}9000", hex::encode_upper(receipt)));
    let set = testbed.state().isd_p(&Aid::isd_p(NEW)).unwrap().key_set(0x30).unwrap().clone();
    assert_eq!(aes_keys(&set), [keys[0]; 3]);

    // The plan has a HostID, a counter and another key version. SIN and SDIN are empty, because the
    // ISD-P does not have them yet.
    let plan = Plan {
        scenario: 0x0C,
        version: 0x3F,
        more: "9103000005 4501AA 8402BBCC".replace(' ', ""),
        ..Plan::for_isd_p(NEW)
    };
    let (receipt, _) = derive(&plan, &[], &[2, 0xBB, 0xCC, 0, 0]);
    assert_eq!(establish(&mut testbed, &plan).1, format!("8610{}9000", hex::encode_upper(receipt)));
    assert_eq!(testbed.state().isd_p(&Aid::isd_p(NEW)).unwrap().key_set(0x3F).unwrap().counter, 5);

    // The card adds a random value to the derivation. The value differs each time.
    let plan = Plan { scenario: 0x0B, ..Plan::for_isd_p(NEW) };
    let answers = [establish(&mut testbed, &plan).1, establish(&mut testbed, &plan).1];
    assert_ne!(answers[0], answers[1]);
    for answer in answers {
        let (random, receipt) = answer.strip_prefix("8510").unwrap().split_at(32);
        let (expected, _) = derive(&plan, &hex::decode(random).unwrap(), &[]);
        assert_eq!(receipt, format!("8610{}9000", hex::encode_upper(expected)));
    }
}

#[test]
fn an_sm_sr_establishes_another_key_set_of_the_isd_r() {
    let mut testbed = Testbed::new();
    let plan = Plan { more: "91050000000001".to_owned(), ..Plan::for_isd_r(0x02) };
    let (receipt, keys) = derive(&plan, &[], &[]);
    assert_eq!(establish(&mut testbed, &plan).1, format!("8610{}9000", hex::encode_upper(receipt)));
    let set = testbed.state().key_set(0x02).unwrap();
    assert_eq!(aes_keys(set).to_vec(), keys);
    assert_eq!(set.counter, 1);
    // The existing key set is kept.
    assert!(testbed.state().key_set(0x01).is_some());
    // SIN and SDIN are those of the description.
    let plan = Plan { scenario: 0x0D, more: "91008401BB".to_owned(), ..Plan::for_isd_r(0x03) };
    let (receipt, _) = derive(&plan, &[], &[1, 0xBB, 2, 1, 2, 2, 3, 4]);
    assert_eq!(establish(&mut testbed, &plan).1, format!("8610{}9000", hex::encode_upper(receipt)));
}

// req: SGP.02-4.1.1.8-Certificate
#[test]
fn a_certificate_must_be_signed_by_the_ci_be_valid_today_and_have_the_right_role() {
    let mut testbed = testbed();
    let right = Certificate::of(SM_DP);
    let another = SecretKey::from_bytes(Curve::P256, &[0x66; 32]).unwrap();
    let mut certificates = vec![
        (Certificate { signer: another.clone(), ..right.clone() }.octets(), "6982"),
        (Certificate { expires: "20261121", ..right.clone() }.octets(), "6982"),
        (Certificate { effective: Some("20261123"), ..right.clone() }.octets(), "6982"),
        (Certificate::of(SM_SR).octets(), "6982"),
        (Certificate::of("C80103").octets(), "6A80"),
        (Certificate::of("C9020102").octets(), "6982"),
        (Certificate { expires: "2026112A", ..right.clone() }.octets(), "6A80"),
    ];
    // One altered bit in the signed part or in the signature.
    let whole = right.octets();
    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    certificates.push((altered, "6982"));
    let mut altered = whole.clone();
    altered[6] ^= 1;
    certificates.push((altered, "6982"));
    for (certificate, status) in certificates {
        assert_refused(&mut testbed, &Plan { certificate, ..Plan::for_isd_p(NEW) }, 0, status);
    }
    // The certificate is valid on the first and on the last day of its validity.
    for right in [
        Certificate { expires: "20261122", ..right.clone() },
        Certificate { effective: Some("20261122"), ..right.clone() },
    ] {
        let plan = Plan { certificate: right.octets(), scenario: 0x09, ..Plan::for_isd_p(NEW) };
        assert!(establish(&mut testbed, &plan).1.ends_with("9000"));
    }
    // An SM-DP must not establish keys of the ISD-R.
    assert_refused(&mut testbed, &Plan { certificate: right.octets(), ..Plan::for_isd_r(2) }, 0, "6982");
}

#[test]
fn every_element_of_a_certificate_is_required_in_its_order() {
    let mut testbed = testbed();
    let whole = Certificate::of(SM_DP).octets();
    let (_, contents) = rsp::der::tlv::split(&whole).unwrap();
    let elements = rsp::der::tlv::each(contents).unwrap();
    let of = |elements: Vec<&[u8]>| rsp::der::tlv_bytes(rsp::der::Tag(0x7F21), &elements.concat());
    for left_out in 0..elements.len() {
        let mut others = elements.clone();
        others.remove(left_out);
        assert_refused(&mut testbed, &Plan { certificate: of(others), ..Plan::for_isd_p(NEW) }, 0, "6A80");
        let mut swapped = elements.clone();
        swapped.swap(left_out, (left_out + 1) % elements.len());
        assert_refused(&mut testbed, &Plan { certificate: of(swapped), ..Plan::for_isd_p(NEW) }, 0, "6A80");
    }
    // The certificate is truncated at every octet.
    for length in 0..whole.len() {
        let certificate = whole[..length].to_vec();
        assert_refused(&mut testbed, &Plan { certificate, ..Plan::for_isd_p(NEW) }, 0, "6A80");
    }
}

#[test]
fn a_signature_must_cover_the_template_the_key_and_the_challenge() {
    let mut testbed = testbed();
    // A signature by another signer, one over an earlier challenge, and one over an empty
    // challenge.
    assert_refused(&mut testbed, &Plan { signer: ci(), ..Plan::for_isd_p(NEW) }, 1, "6982");
    let first = testbed.apdus(ISD_R, Some(Chaining::First), &Plan::for_isd_p(NEW).first()).pop().unwrap();
    let challenge = super::oce::challenge(&first);
    assert_refused(&mut testbed, &Plan { challenge, ..Plan::for_isd_p(NEW) }, 1, "6982");
    assert_refused(&mut testbed, &Plan { challenge: Some(Vec::new()), ..Plan::for_isd_p(NEW) }, 1, "6982");

    // Every octet of the second STORE DATA is altered.
    let plan = Plan::for_isd_p(NEW);
    let first = testbed.apdus(ISD_R, Some(Chaining::First), &plan.first()).pop().unwrap();
    let second = hex::decode(plan.second(&super::oce::challenge(&first).unwrap())).unwrap();
    let before = testbed.memory();
    let snapshot = testbed.snapshot();
    for octet in 5..second.len() - 1 {
        testbed.restore(&snapshot);
        let mut altered = second.clone();
        altered[octet] ^= 0x01;
        let answer = testbed.apdus(ISD_R, Some(Chaining::Last), &[hex::encode(altered)]).concat();
        assert!(matches!(answer.as_str(), "6A80" | "6982" | "6A88" | "6985"), "octet {octet}: {answer}");
        assert!(testbed.memory() == before, "octet {octet}");
    }
    // The command is truncated at every octet. Its lengths are correct.
    for length in 0..second.len() - 6 {
        testbed.restore(&snapshot);
        let apdu = format!("80E28901{}00", lv(&hex::encode_upper(&second[5..5 + length])));
        let apdu = if length == 0 { "80E2890100".to_owned() } else { apdu };
        let answer = testbed.apdus(ISD_R, Some(Chaining::Last), &[apdu]).concat();
        assert_eq!(answer, "6A80", "{length} octets");
        assert!(testbed.memory() == before);
    }
    // The unaltered command is accepted once.
    testbed.restore(&snapshot);
    let apdu = hex::encode(&second);
    let answers = testbed.apdus(ISD_R, Some(Chaining::Following), std::slice::from_ref(&apdu)).concat();
    assert!(answers.ends_with("9000"), "{answers}");
    assert_eq!(testbed.apdus(ISD_R, Some(Chaining::Last), &[apdu]), ["6A86"]);
}

#[test]
fn a_challenge_is_valid_for_one_attempt() {
    let mut testbed = testbed();
    let plan = Plan::for_isd_p(NEW);
    let first = testbed.apdus(ISD_R, Some(Chaining::First), &plan.first()).pop().unwrap();
    let challenge = super::oce::challenge(&first).unwrap();
    let wrong = Plan { signer: ci(), ..plan.clone() }.second(&challenge);
    assert_eq!(testbed.apdus(ISD_R, Some(Chaining::Following), &[wrong]), ["6982"]);
    // The refusal has ended the chain.
    let script = rsp::ota::script::Script::of_apdus([hex::decode(plan.second(&challenge)).unwrap()]);
    let response = testbed.run(ISD_R, &script.chained(Chaining::Last));
    assert_eq!(response.chaining, Some(rsp::ota::script::ChainingFailure::NoPreviousScript));
    assert!(response.answers.is_empty());
}

// req: SGP.02-4.1.1.8-Order
#[test]
fn the_second_store_data_needs_the_first() {
    let mut testbed = testbed();
    let second = Plan::for_isd_p(NEW).second(&[0; 16]);
    let install = Plan::for_isd_p(NEW).first().remove(0);
    // The command is sent as the first block, and as the second block without a first one.
    let as_first = second.replacen("80E28901", "80E28900", 1);
    assert_eq!(testbed.apdus(ISD_R, None, &[install.clone(), as_first.clone()]), ["9000", "6985"]);
    assert_eq!(testbed.apdus(ISD_R, None, &[install, second]), ["9000", "6A86"]);
    assert_eq!(testbed.apdus(ISD_R, None, &[as_first]), ["6985"]);
    // The command is sent to another ISD-P than the certificate was.
    assert_eq!(testbed.create(NEW + 1, None), "009000");
    let plan = Plan::for_isd_p(NEW);
    let first = testbed.apdus(ISD_R, Some(Chaining::First), &plan.first()).pop().unwrap();
    let second = plan.second(&super::oce::challenge(&first).unwrap());
    let install = Plan::for_isd_p(NEW + 1).first().remove(0);
    assert_eq!(testbed.apdus(ISD_R, Some(Chaining::Last), &[install, second]), ["9000", "6A86"]);
}

// req: SGP.02-4.1.1.8-Template
#[test]
fn an_unsupported_template_is_refused() {
    let mut testbed = testbed();
    let right = Plan::for_isd_p(NEW);
    for (scenario, usage, version, more) in [
        // No certificate; HostID or SDIN if the bit for them is not set, and this bit
        // without HostID.
        (0x01, 0x10, 0x30, "9100"),
        (0x09, 0x10, 0x30, "91008401AA"),
        (0x09, 0x10, 0x30, "91004501AA"),
        (0x0D, 0x10, 0x30, "9100"),
        // An invalid key usage, and key versions that are not those of SCP03.
        (0x09, 0x11, 0x30, "9100"),
        (0x09, 0x10, 0x2F, "9100"),
        (0x09, 0x10, 0x40, "9100"),
        (0x09, 0x10, 0x01, "9100"),
        (0x09, 0x10, 0x70, "9100"),
        // A counter that has an invalid length or is too large for SCP03.
        (0x09, 0x10, 0x30, "910101"),
        (0x09, 0x10, 0x30, "91050100000000"),
        // An element that occurs twice.
        (0x09, 0x10, 0x30, "91009100"),
    ] {
        let plan = Plan { scenario, usage, version, more: more.to_owned(), ..right.clone() };
        assert_refused(&mut testbed, &plan, 1, "6A80");
    }
    // SCP80 requires three keys and has its own range of versions.
    assert_refused(&mut testbed, &Plan { usage: 0x5C, ..Plan::for_isd_r(0x02) }, 1, "6A80");
    for version in [0x00, 0x10, 0x30, 0x40, 0x70] {
        assert_refused(&mut testbed, &Plan::for_isd_r(version), 1, "6A80");
    }
}

#[test]
fn existing_keys_are_replaced_only_on_request() {
    let mut testbed = testbed();
    let once = Plan { scenario: 0x08, ..Plan::for_isd_p(NEW) };
    assert!(establish(&mut testbed, &once).1.ends_with("9000"));
    assert_refused(&mut testbed, &once, 1, "6985");
    assert!(establish(&mut testbed, &Plan::for_isd_p(NEW)).1.ends_with("9000"));
    assert_refused(&mut testbed, &Plan { scenario: 0x08, ..Plan::for_isd_r(0x01) }, 1, "6985");
}

// req: SGP.02-4.1.1.8-LifeCycle
#[test]
fn a_missing_isd_p_or_one_with_a_profile_gets_no_keys() {
    let mut testbed = Testbed::new();
    for (number, first) in [(NEW, "6A88"), (NO_RULES, "6985"), (BOOTSTRAP, "6985")] {
        let before = testbed.memory();
        let answers = testbed.apdus(ISD_R, Some(Chaining::First), &Plan::for_isd_p(number).first());
        assert_eq!(answers.last().unwrap(), first);
        assert!(testbed.memory() == before);
    }
    for (apdu, status) in [
        (format!("80E62000{}", lv(&format!("0000{}0000", lv(&aid(NO_RULES))))), "6A80"),
        (format!("80E62001{}", lv(&format!("0000{}000000", lv(&aid(NO_RULES))))), "6A86"),
        ("80E62000".to_owned(), "6A80"),
    ] {
        testbed.expect(&apdu, status);
    }
    // An ISD-P that gets its profile between the two STORE DATA commands gets no keys either.
    let keys = personalised(&mut testbed, NEW);
    let plan = Plan::for_isd_p(NEW);
    let first = testbed.apdus(ISD_R, Some(Chaining::First), &plan.first()).pop().unwrap();
    let mut host = open(&mut testbed, keys, NEW);
    send(&mut testbed, &mut host, NEW, &package(NEW, None), 1000);
    assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Disabled));
    let before = testbed.memory();
    let second = plan.second(&super::oce::challenge(&first).unwrap());
    assert_eq!(testbed.apdus(ISD_R, Some(Chaining::Last), &[second]), ["6985"]);
    assert!(testbed.memory() == before);
    // A function of the ISD-R does not apply to an ISD-P.
    let install = Plan::for_isd_p(NO_RULES).first().remove(0);
    let enable = super::testbed::store_data(&super::testbed::isd_p_group("3A03", NO_RULES));
    assert_eq!(testbed.apdus(ISD_R, None, &[install, enable]), ["9000", "6A88"]);
}
