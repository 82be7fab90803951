//! AUTHENTICATE: TS 31.102 section 7.1, TS 33.102 section 6.3 and annex C.

use std::num::NonZeroU8;

use crypto::aka::{Algorithm, Amf, Auts, Sqn};
use crypto::milenage::Milenage;
use crypto::tuak::{ResLength, Tuak, TuakKey};
use crypto::usim_test::UsimTest;
use profile::element::{AkaParameter, AlgoConfiguration, AlgoParameter, AlgorithmId};
use profile::{Package, ProfileElement};

use super::bench::Bench;
use super::files::{SELECT_USIM, ts48, with_enabled};
use super::server::Goods;

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn challenge(algorithm: &Algorithm, rand: [u8; 16], sqn: Sqn) -> String {
    let autn = algorithm.build_autn(&rand, sqn, Amf::from_bytes([0x80, 0]));
    format!("0088008122 10{} 10{}", hex::encode(rand), hex::encode(autn.to_bytes()))
}

/// What a USIM with these keys must do.
fn check_authentication(bench: &mut Bench, algorithm: &Algorithm) {
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
    bench.expect(&fresh, "6985");
    bench.read(SELECT_USIM);
    assert_eq!(bench.read(&fresh), expected);

    // Replayed, also after a power cut: the card tells its own number.
    bench.reset();
    bench.read(SELECT_USIM);
    let auts = hex::decode(bench.read(&fresh)).unwrap();
    assert_eq!(auts[..2], [0xDC, 14]);
    let auts = Auts::from_bytes(auts[2..].try_into().unwrap());
    assert_eq!(algorithm.parse_auts(&rand, &auts), Ok(sqn(1, 0)));

    // Another index has a row of its own; too far ahead is not fresh.
    assert!(bench.read(&challenge(algorithm, rand, sqn(1, 1))).starts_with("DB"));
    assert!(bench.read(&challenge(algorithm, rand, sqn(1, 1))).starts_with("DC"));
    assert!(bench.read(&challenge(algorithm, rand, sqn(1 + 0x1000_0000, 2))).starts_with("DB"));
    assert!(bench.read(&challenge(algorithm, rand, sqn(3 + 2 * 0x1000_0000, 3))).starts_with("DC"));
    assert!(bench.read(&challenge(algorithm, rand, sqn(2, 0))).starts_with("DB"));

    // Not made with these keys.
    let mut forged = fresh.clone();
    forged.replace_range(fresh.len() - 1.., if fresh.ends_with('0') { "1" } else { "0" });
    bench.expect(&forged, "9862");
    bench.expect(&fresh.replacen("00880081", "00880084", 1), "9864");
    bench.expect("0088008110 00112233445566778899AABBCCDDEEFF", "6700");

    let triplet = algorithm.triplet(&rand);
    assert_eq!(
        bench.read(&format!("0088008011 10{}", hex::encode(rand))),
        hex::encode_upper([&[4][..], &triplet.sres, &[8], triplet.kc.expose()].concat())
    );
}

#[test]
fn every_profile_authenticates_with_the_test_algorithm_it_names() {
    for (name, package) in ts48("der") {
        println!("{name}");
        check_authentication(
            &mut with_enabled(&Goods::of(package)),
            &Algorithm::UsimTest(UsimTest::new(KEY)),
        );
    }
}

/// A TS.48 package with other authentication parameters in all its applications.
fn package_with(change: impl Fn(&mut AkaParameter)) -> Option<Goods> {
    let (_, package) = ts48("der").into_iter().next()?;
    let mut package = Package::decode(&package).unwrap();
    for element in &mut package.elements {
        if let ProfileElement::AkaParameter(aka) = element {
            change(aka);
        }
    }
    Some(Goods::of(package.encode()))
}

/// A TS.48 package with another algorithm in all its applications.
fn with_algorithm(change: impl Fn(&mut AlgoParameter)) -> Option<Goods> {
    package_with(|aka| {
        if let AlgoConfiguration::AlgoParameter(own) = &mut aka.algo_configuration {
            change(own);
        }
    })
}

#[test]
fn a_profile_with_milenage_authenticates_with_milenage() {
    let Some(goods) = with_algorithm(|own| {
        own.algorithm_id = AlgorithmId::MILENAGE;
        own.opc = [0x77; 16].into();
    }) else {
        return;
    };
    let algorithm = Algorithm::Milenage(Milenage::new(KEY, [0x77; 16]));
    check_authentication(&mut with_enabled(&goods), &algorithm);
}

#[test]
fn a_profile_with_tuak_authenticates_with_tuak() {
    for (key, options, length, iterations) in [
        (&KEY[..], 0x00, ResLength::Bits32, 1),
        (&KEY[..], 0x01, ResLength::Bits64, 3),
        (&[0xC3; 32][..], 0x02, ResLength::Bits128, 255),
    ] {
        let Some(goods) = with_algorithm(|own| {
            own.algorithm_id = AlgorithmId::TUAK;
            own.algorithm_options = [options].into();
            own.key = key.into();
            own.opc = [0x77; 32].into();
            own.number_of_keccak = (iterations != 1).then_some(i64::from(iterations));
        }) else {
            return;
        };
        let algorithm = Tuak::new(TuakKey::from_bytes(key).unwrap(), [0x77; 32])
            .with_res_length(length)
            .with_iterations(NonZeroU8::new(iterations).unwrap());
        check_authentication(&mut with_enabled(&goods), &Algorithm::Tuak(algorithm));
    }
}
