use super::*;
use crate::hex::{unhex, unhex_array};

/// The values of each set: K, RAND, SQN, AMF; TOP; TOPc; f1; f1*; f2; f3; f4; f5, f5*, iterations.
///
/// The six test sets of 3GPP TS 35.233 section 6 (TS 35.232 has the same values with intermediate
/// results). libosmocore, CryptoMobile and a third transcription agree on them. The lengths of the
/// values are those of the set.
const TEST_SETS: [&str; 6] = [
    "abababababababababababababababab 42424242424242424242424242424242 111111111111 ffff \
     5555555555555555555555555555555555555555555555555555555555555555 \
     bd04d9530e87513c5d837ac2ad954623a8e2330c115305a73eb45d1f40cccbff \
     f9a54e6aeaa8618d \
     e94b4dc6c7297df3 \
     657acd64 \
     d71a1e5c6caffe986a26f783e5c78be1 \
     be849fa2564f869aecee6f62d4337e72 \
     719f1e9b9054 e7af6b3d0e38 1",
    "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0 0123456789abcdef0123456789abcdef 0123456789ab abcd \
     808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f \
     305425427e18c503c8a4b294ea72c95d0c36c6c6b29d0c65de5974d5977f8524 \
     c0b8c2d4148ec7aa5f1d78a97e4d1d58 \
     ef81af7290f7842c6ceafa537fa0745b \
     e9d749dc4eea0035 \
     a4cb6f6529ab17f8337f27baa8234d47 \
     2274155ccf4199d5e2abcbf621907f90 \
     480a9345cc1e f84eb338848c 1",
    "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0 0123456789abcdef0123456789abcdef 0123456789ab abcd \
     808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f \
     305425427e18c503c8a4b294ea72c95d0c36c6c6b29d0c65de5974d5977f8524 \
     d97b75a1776065271b1e212bc3b1bf173f438b21e6c64a55a96c372e085e5cc5 \
     427bbf07c6e3a86c54f8c5216499f3909a6fd4a164c9fe235b1550258111b821 \
     07021c73e7635c7d \
     4d59ac796834eb85d11fa148a5058c3c \
     126d47500136fdc5ddfd14f19ebf16749ce4b6435323fbb5715a3a796a6082bd \
     1d6622c4e59a f84eb338848c 1",
    "b8da837a50652d6ac7c97da14f6acc61 6887e55425a966bd86c9661a5fa72be8 0dea2ee2c5af df1e \
     0952be13556c32ebc58195d9dd930493e12a9003669988ffde5fa1f0fe35cc01 \
     2bc16eb657a68e1f446f08f57c0efb1d493527a2e652ce281eb6ca0e4487760a \
     749214087958dd8f58bfcdf869d8ae3f \
     619e865afe80e382aee13063f9dfb56d \
     4041ce438e3e38e8aa96562eed83ac43 \
     3e3bc01bea0cd914c4c2c83ce2d92757 \
     666a8e6f577b1aa77b7fd53cebb8a3d6 \
     1f880d005119 45e617d77fe5 1",
    "1574ca56881d05c189c82880f789c9cd4244955f4426aa2b69c29f15770e5aa5 c570aac68cde651fb1e3088322498bef c89bb71f3a41 297d \
     e59f6eb10ea406813f4991b0b9e02f181edf4c7e17b480f66d34da35ee88c95e \
     3c6052e41532a28a47aa3cbb89f223e8f3aaa976aecd48bc3e7d6165a55eff62 \
     d7340dad02b4cb01 \
     c6021e2e66accb15 \
     84d89b41db1867ffd4c7ba1d82163f4d526a20fbae5418fbb526940b1eeb905c \
     d419676afe5ab58c1d8bee0d43523a4d2f52ef0b31a4676a0c334427a988fe65 \
     205533e505661b61d05cc0eac87818f4 \
     d7b3d2d4980a ca9655264986 1",
    "1574ca56881d05c189c82880f789c9cd4244955f4426aa2b69c29f15770e5aa5 c570aac68cde651fb1e3088322498bef c89bb71f3a41 297d \
     e59f6eb10ea406813f4991b0b9e02f181edf4c7e17b480f66d34da35ee88c95e \
     b04a66f26c62fcd6c82de22a179ab65506ecf47f56245cd149966cfa9cec7a51 \
     90d2289ed1ca1c3dbc2247bb480d431ac71d2e4a7677f6e997cfddb0cbad88b7 \
     427355dbac30e825063aba61b556e87583abac638e3ab01c4c884ad9d458dc2f \
     d67e6e64590d22eecba7324afa4af4460c93f01b24506d6e12047d789a94c867 \
     ede57edfc57cdffe1aae75066a1b7479bbc3837438e88d37a801cccc9f972b89 \
     48ed9299126e5057402fe01f9201cf25249f9c5c0ed2afcf084755daff1d3999 \
     6aae8d18c448 8c5f33b61f4e 2",
];

/// The bits of INSTANCE for CK and IK of 256 bits.
const CK_256: u8 = 0x04;
const IK_256: u8 = 0x02;

#[test]
fn published_test_sets() {
    for (number, set) in (1..).zip(TEST_SETS) {
        let values: Vec<&str> = set.split_whitespace().collect();
        let [k, rand, sqn, amf, top, expected_topc, f1, f1_star, f2, f3, f4, f5, f5_star, iterations] =
            values[..]
        else {
            panic!("14 values: {set}")
        };
        let [f1, f1_star, f2, f3, f4] = [f1, f1_star, f2, f3, f4].map(unhex);
        let k = TuakKey::from_bytes(&unhex(k)).unwrap();
        let (rand, sqn) = (unhex_array(rand), Sqn::from_bytes(unhex_array(sqn)));
        let amf = Amf::from_bytes(unhex_array(amf));
        let iterations = iterations.parse().unwrap();
        let topc = topc(&k, &unhex_array(top), iterations);
        assert_eq!(topc, unhex_array(expected_topc), "TOPc of set {number}");
        let tuak = Tuak::new(k, topc)
            .with_res_length(ResLength::from_octets(f2.len() as u8).unwrap())
            .with_iterations(iterations);
        // The values are computed in the lengths of the set. Some lengths exceed those that TS
        // 33.102 allows.
        let mac = |function| tuak.out1(function, f1.len() as u8, &rand, sqn, amf).octets(0, f1.len());
        assert_eq!(mac(F1), f1, "f1 of set {number}");
        assert_eq!(mac(F1_STAR), f1_star, "f1* of set {number}");
        let longer = |key: &[u8], bit| if key.len() == 32 { bit } else { 0 };
        let out = tuak.out2345(longer(&f3, CK_256) | longer(&f4, IK_256), &rand);
        assert_eq!(tuak.res(&out).as_bytes(), f2, "f2 of set {number}");
        assert_eq!(out.octets(CK, f3.len()), f3, "f3 of set {number}");
        assert_eq!(out.octets(IK, f4.len()), f4, "f4 of set {number}");
        assert_eq!(out.ak(), Ak::from_bytes(unhex_array(f5)), "f5 of set {number}");
        assert_eq!(tuak.f5_star(&rand), Ak::from_bytes(unhex_array(f5_star)), "f5* of set {number}");

        // The public functions give the same values where the set has the lengths of TS 33.102.
        if f1.len() == 8 {
            assert_eq!(tuak.f1(&rand, sqn, amf).to_bytes(), *f1);
            assert_eq!(tuak.f1_star(&rand, sqn, amf).to_bytes(), *f1_star);
        }
        if f3.len() == 16 && f4.len() == 16 {
            let keys = tuak.f2345(&rand);
            assert_eq!((keys.res.as_bytes(), &keys.ck.expose()[..]), (&*f2, &*f3));
            assert_eq!((&keys.ik.expose()[..], keys.ak), (&*f4, Ak::from_bytes(unhex_array(f5))));
        }
    }
}

#[test]
fn a_key_has_16_or_32_octets() {
    for octets in [0, 15, 17, 24, 31, 33] {
        assert!(TuakKey::from_bytes(&vec![7; octets]).is_none(), "{octets}");
    }
}
