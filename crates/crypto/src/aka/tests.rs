use super::*;
use crate::hex::{unhex, unhex_array};
use crate::milenage;
use crate::tuak::{ResLength, TuakKey};

/// Test set 1 of TS 35.208. AUTN and AUTS are computed from its values according to TS 33.102.
fn set_1() -> (Algorithm, [u8; 16], Sqn, Amf) {
    let k = unhex_array("465b5ce8b199b49faa5f0a2ee238a6bc");
    let opc = milenage::opc(&k, &unhex_array("cdc202d5123e20f62b6d676ac72cb318"));
    let rand = unhex_array("23553cbe9637a89d218ae64dae47bf35");
    let sqn = Sqn::from_bytes(unhex_array("ff9bb4d0b607"));
    (Algorithm::Milenage(Milenage::new(k, opc)), rand, sqn, Amf::from_bytes([0xb9, 0xb9]))
}

/// K 00..0f with the test algorithm, as in the generic test profiles of TS.48.
fn test_profile() -> (Algorithm, [u8; 16], Sqn, Amf) {
    let k = std::array::from_fn(|at| at as u8);
    let sqn = Sqn::from_seq_ind(9, 3).unwrap();
    (Algorithm::UsimTest(UsimTest::new(k)), [0x5c; 16], sqn, Amf::from_bytes([0x80, 0]))
}

/// Test set 1 of TS 35.233. The length of RES also affects AK.
fn tuak() -> (Algorithm, [u8; 16], Sqn, Amf) {
    let topc = unhex_array("bd04d9530e87513c5d837ac2ad954623a8e2330c115305a73eb45d1f40cccbff");
    let algorithm = Tuak::new(TuakKey::from_bytes(&[0xab; 16]).unwrap(), topc);
    let algorithm = algorithm.with_res_length(ResLength::Bits32);
    (Algorithm::Tuak(algorithm), [0x42; 16], Sqn::from_bytes([0x11; 6]), Amf::from_bytes([0xff, 0xff]))
}

/// AUTN and AUTS are computed from the values of the test set according to TS 33.102.
#[test]
fn the_vector_of_tuak_test_set_1_is_reproduced() {
    let (algorithm, rand, sqn, amf) = tuak();
    let autn = algorithm.vector(rand, sqn, amf).autn;
    assert_eq!(autn.to_bytes(), unhex_array("608e0f8a8145fffff9a54e6aeaa8618d"));
    // f1* of the test set is for AMF ffff; AUTS uses 0000.
    let auts = algorithm.make_auts(&rand, sqn).to_bytes();
    assert_eq!(auts[..6], unhex("f6be7a2c1f29"));
    assert_eq!(algorithm.f1_star(&rand, sqn, amf).to_bytes(), unhex_array("e94b4dc6c7297df3"));
}

#[test]
fn the_vector_of_milenage_test_set_1_is_reproduced() {
    let (algorithm, rand, sqn, amf) = set_1();
    let vector = algorithm.vector(rand, sqn, amf);
    assert_eq!(vector.autn.to_bytes(), unhex_array("55f328b43577b9b94a9ffac354dfafb3"));
    assert_eq!(vector.xres.as_bytes(), unhex("a54211d5e3ba50bf"));
    assert_eq!(*vector.ck.expose(), unhex_array("b40ba9a3c58b2a05bbf0d987b21bf8cb"));
    assert_eq!(*vector.ik.expose(), unhex_array("f769bcd751044604127672711c6d3441"));
    let auts = algorithm.make_auts(&rand, sqn);
    assert_eq!(auts.to_bytes(), unhex_array("ba853f3c123ccf44e93596e355c6"));
}

/// The output of libosmocore's tests/auth/milenage_test, which makes the vector with SQN 33 + 1 and
/// reads an AUTS.
#[test]
fn libosmocore_vectors() {
    let k: [u8; 16] = std::array::from_fn(|at| at as u8);
    let algorithm = Algorithm::Milenage(Milenage::new(k, k));
    let rand = [0; 16];
    let vector = algorithm.vector(rand, Sqn::new(34).unwrap(), Amf::from_bytes([0, 0]));
    assert_eq!(vector.autn.to_bytes(), unhex_array("ec9320c2c2120000c8b7de2a3449f1bd"));
    assert_eq!(*vector.ik.expose(), unhex_array("12cb2dd3e0ec8378f6fc1d606c619f47"));
    assert_eq!(*vector.ck.expose(), unhex_array("7200a184d8f2c758fbdf87900ddbf275"));
    assert!(vector.xres.matches(&unhex("e9fc88ccc8a35381")));
    let triplet = algorithm.triplet(&rand);
    assert_eq!(triplet.sres, unhex_array("215fdb4d"));
    assert_eq!(*triplet.kc.expose(), unhex_array("6de816a759a42912"));
    let auts = Auts::from_bytes(unhex_array("8711a0ec9e1637df17f80b384ee4"));
    assert_eq!(algorithm.parse_auts(&rand, &auts), Ok(Sqn::new(31).unwrap()));
}

/// Kc of test set 1 is published with YggdraSIM and agrees with the conversion function c3 of TS
/// 33.102. SRES is computed with the conversion function c2.
#[test]
fn the_gsm_values_of_milenage_test_set_1_are_reproduced() {
    let (algorithm, rand, ..) = set_1();
    let triplet = algorithm.triplet(&rand);
    assert_eq!(triplet.sres, unhex_array("46f8416a"));
    assert_eq!(*triplet.kc.expose(), unhex_array("eae4be823af9a08b"));
}

#[test]
fn sres_pads_a_res_that_does_not_fill_whole_words() {
    let res = Res::new(vec![1, 2, 3, 4, 0x10, 0x20]);
    assert_eq!(sres(&res), [0x11, 0x22, 3, 4]);
}

#[test]
fn the_card_accepts_the_vectors_of_the_network() {
    for (algorithm, rand, sqn, amf) in [set_1(), test_profile(), tuak()] {
        let vector = algorithm.vector(rand, sqn, amf);
        let checked = algorithm.check_autn(&rand, &Autn::from_bytes(vector.autn.to_bytes())).unwrap();
        assert_eq!((checked.sqn, checked.amf), (sqn, amf));
        assert!(vector.xres.matches(checked.keys.res.as_bytes()));
        assert!(!vector.xres.matches(&[]));
        assert_eq!(checked.keys.ck.expose(), vector.ck.expose());

        let sqn_ms = Sqn::from_seq_ind(77, 5).unwrap();
        let auts = algorithm.make_auts(&rand, sqn_ms);
        assert_eq!(algorithm.parse_auts(&rand, &Auts::from_bytes(auts.to_bytes())), Ok(sqn_ms));
    }
}

#[test]
fn a_flipped_bit_is_refused() {
    let (algorithm, rand, sqn, amf) = set_1();
    let autn = algorithm.build_autn(&rand, sqn, amf).to_bytes();
    for bit in 0..8 * autn.len() {
        let mut flipped = autn;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refused = algorithm.check_autn(&rand, &Autn::from_bytes(flipped)).map(drop);
        assert_eq!(refused, Err(AkaError::MacA));
    }
    let auts = algorithm.make_auts(&rand, sqn).to_bytes();
    for bit in 0..8 * auts.len() {
        let mut flipped = auts;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(algorithm.parse_auts(&rand, &Auts::from_bytes(flipped)), Err(AkaError::MacS));
    }
    let mut other_rand = rand;
    other_rand[0] ^= 1;
    assert!(algorithm.check_autn(&other_rand, &Autn::from_bytes(autn)).is_err());
    assert!(algorithm.parse_auts(&other_rand, &Auts::from_bytes(auts)).is_err());
}

#[test]
fn sqn_is_seq_and_ind() {
    let sqn = Sqn::from_seq_ind(0x123, 0x1f).unwrap();
    assert_eq!((sqn.value(), sqn.seq(), sqn.ind()), (0x123 << 5 | 0x1f, 0x123, 0x1f));
    assert_eq!(Sqn::from_bytes(sqn.to_bytes()), sqn);
    assert_eq!(Sqn::from_bytes([0xff; 6]), Sqn::MAX);
    assert_eq!(Sqn::new(1 << 48), None);
    assert_eq!(Sqn::from_seq_ind(1 << 43, 0), None);
    assert_eq!(Sqn::from_seq_ind(0, 32), None);
    assert_eq!(Sqn::from_seq_ind((1 << 43) - 1, 31), Some(Sqn::MAX));
}

#[test]
fn debug_does_not_show_keys() {
    let (algorithm, rand, sqn, amf) = test_profile();
    let shown =
        format!("{algorithm:?} {:?} {:?}", algorithm.vector(rand, sqn, amf), algorithm.f2345(&rand).ak);
    assert!(shown.contains("ck: Secret(..), ik: Secret(..)"), "{shown}");
    assert!(shown.contains("Ak(..)") && shown.contains("UsimTest(.."), "{shown}");
}
