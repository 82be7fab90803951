use super::*;
use crate::hex::{unhex, unhex_array};

const CURVES: [Curve; 2] = [Curve::P256, Curve::BrainpoolP256r1];

/// Octets that look random and are the same on every run.
fn dice(seed: u8) -> impl FnMut(&mut [u8]) {
    let mut state = [seed; 32];
    move |out| {
        for octet in out {
            state = Sha256::digest(state).into();
            *octet = state[0];
        }
    }
}

fn secret(curve: Curve, d: &str) -> SecretKey {
    SecretKey::from_bytes(curve, &unhex_array(d)).unwrap()
}

/// RFC 6979 appendix A.2.5, P-256 with SHA-256.
#[test]
fn rfc_6979_vectors() {
    let key = secret(Curve::P256, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    let public = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                  7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    assert_eq!(key.public_key().to_sec1(), unhex_array(public));
    for (message, r, s) in [
        (
            "sample",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            "test",
            "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
            "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ),
    ] {
        let signature = key.sign(message.as_bytes());
        assert_eq!(signature.as_bytes(), unhex([r, s].concat().as_str()).as_slice());
        assert_eq!(key.public_key().verify(message.as_bytes(), &signature), Ok(()));
    }
}

/// RFC 7027 appendix A.1, brainpoolP256r1.
#[test]
fn rfc_7027_vector() {
    let curve = Curve::BrainpoolP256r1;
    let a = secret(curve, "81db1ee100150ff2ea338d708271be38300cb54241d79950f77b063039804f1d");
    let b = secret(curve, "55e40bc41e37e3e2ad25c3c6654511ffa8474a91a0032087593852d3e7d76bd3");
    let public_a = "0444106e913f92bc02a1705d9953a8414db95e1aaa49e81d9e85f929a8e3100be5\
                    8ab4846f11caccb73ce49cbdd120f5a900a69fd32c272223f789ef10eb089bdc";
    let public_b = "048d2d688c6cf93e1160ad04cc4429117dc2c41825e1e9fca0addd34e6f1b39f7b\
                    990c57520812be512641e47034832106bc7d3e8dd0e4c7f1136d7006547cec6a";
    let x_z = "89afc39d41d3b327814b80940b042590f96556ec91e6ae7939bce31f3a18bf2b";
    assert_eq!(a.public_key().to_sec1(), unhex_array(public_a));
    assert_eq!(b.public_key().to_sec1(), unhex_array(public_b));
    assert_eq!(*a.agree(&b.public_key()).unwrap().expose(), unhex_array(x_z));
    assert_eq!(*b.agree(&a.public_key()).unwrap().expose(), unhex_array(x_z));
}

/// The key agreement of our worked example of SGP.02 key establishment; not a GSMA vector.
#[test]
fn key_agreement_on_p256() {
    let (ours, theirs) = (secret(Curve::P256, &"11".repeat(32)), secret(Curve::P256, &"22".repeat(32)));
    let shs = "ccfc261f58193c98ca4ad4a53bbac6f0ee29bc4d48438090446908622ca79af6";
    assert_eq!(*ours.agree(&theirs.public_key()).unwrap().expose(), unhex_array(shs));
    assert_eq!(*theirs.agree(&ours.public_key()).unwrap().expose(), unhex_array(shs));
}

/// Made by OpenSSL 4.0.3 through Python's cryptography 50.0.2: for each key the public key, an agreement with
/// the key 33..33, a randomised and a deterministic (RFC 6979) signature over "interop".
#[test]
fn openssl_vectors() {
    for (curve, d, public, agreed, randomised, deterministic) in [
        (
            Curve::P256,
            "11",
            "040217e617f0b6443928278f96999e69a23a4f2c152bdf6d6cdf66e5b80282d4ed\
             194a7debcb97712d2dda3ca85aa8765a56f45fc758599652f2897c65306e5794",
            "39a10ced504c975c9e089753c8250af85a2521eaa13d721f3395bc7bb45b92f5",
            "304502204ecdbf01dcc5fa8f02b8956142b93e3db8a4bd2b74fc6b15c5f0763795714729\
             022100adb5e3d1c10fbec05d7cfd1a2f7cd1d77cfd046c807293924e5a0b380c00c491",
            "f62833a5555cd696cf74a832df90125270e2ea78a731da316e846149b49f1a86\
             84c16c1d68d965b12e64f39dddf2dae9b2827010fa28eebf852dfb32ea032afc",
        ),
        (
            Curve::BrainpoolP256r1,
            "22",
            "046674461d273a4ee6d2cededa425696ddfdd8cbbe0e36ce9244ec611fe027b531\
             2e6d0798f28b235c9bdbc96ae40e4c5695f1f07f2489cacea981ec0e83bb9de5",
            "188b2bcdb7032d2034a3b4188cbe31ed8955f16ba4bbb4b1d4ea07ff5452e601",
            "304502201c6f7ed3017164e49a224fc72184b28b586751f65fabceea9168f3e04e79a785\
             0221009762e7f5539e4cf9ab73d53d2a7fa5d5cd333be70fa53e55861b4eb473003e67",
            "23e32ea16118f67a7d0e16a24ffd2480e19c0c802c7a3569611ea37e28a3fefc\
             3ed71833d010dbc3dbb94f6fc2debdd914187d07cb36b2ff2efb4fa671d073bb",
        ),
    ] {
        let key = secret(curve, &d.repeat(32));
        assert_eq!(key.public_key().to_sec1(), unhex_array(public));
        let peer = secret(curve, &"33".repeat(32)).public_key();
        assert_eq!(*key.agree(&peer).unwrap().expose(), unhex_array(agreed));
        let randomised = Signature::from_der(&unhex(randomised)).unwrap();
        assert_eq!(key.public_key().verify(b"interop", &randomised), Ok(()));
        assert_eq!(*key.sign(b"interop").as_bytes(), unhex_array(deterministic));
    }
}

#[test]
fn a_signature_verifies_only_over_its_message_by_its_key() {
    for curve in CURVES {
        let key = SecretKey::generate(curve, &mut dice(1));
        let other = SecretKey::generate(curve, &mut dice(2));
        let signature = key.sign(b"message");
        let public = key.public_key();
        assert_eq!(public.verify(b"message", &signature), Ok(()));
        assert_eq!(public.verify(b"Message", &signature), Err(BadSignature::Mismatch));
        assert_eq!(other.public_key().verify(b"message", &signature), Err(BadSignature::Mismatch));
        for bit in (0..512).step_by(7) {
            let mut bytes = *signature.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(public.verify(b"message", &Signature::from_bytes(bytes)).is_err());
        }
        for bytes in [[0; 64], [0xff; 64]] {
            assert!(public.verify(b"message", &Signature::from_bytes(bytes)).is_err());
        }
    }
}

#[test]
fn a_private_key_is_from_1_to_n_minus_1() {
    let orders = [
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7",
    ];
    for (curve, order) in CURVES.into_iter().zip(orders) {
        let order: [u8; 32] = unhex_array(order);
        let mut last = order;
        last[31] -= 1;
        let mut one = [0; 32];
        one[31] = 1;
        for refused in [[0; 32], order, [0xff; 32]] {
            assert_eq!(SecretKey::from_bytes(curve, &refused).err(), Some(KeyError::OutOfRange(curve)));
        }
        for accepted in [one, last] {
            assert_eq!(*SecretKey::from_bytes(curve, &accepted).unwrap().to_bytes().expose(), accepted);
        }
        // Generating draws again until the number is in range.
        let mut draws = [[0; 32], order, last].into_iter();
        let key = SecretKey::generate(curve, &mut |out| out.copy_from_slice(&draws.next().unwrap()));
        assert_eq!(*key.to_bytes().expose(), last);
    }
}

#[test]
fn a_public_key_is_a_point_on_its_curve() {
    for curve in CURVES {
        let public = SecretKey::generate(curve, &mut dice(3)).public_key();
        let sec1 = public.to_sec1();
        let compressed = [&[2 | sec1[64] & 1][..], &sec1[1..33]].concat();
        assert_eq!(PublicKey::from_sec1(curve, &sec1), Ok(public.clone()));
        assert_eq!(PublicKey::from_sec1(curve, &compressed), Ok(public));

        let mut off_curve = sec1;
        off_curve[64] ^= 1;
        let mut hybrid = sec1;
        hybrid[0] = 6;
        let compact = [&[5][..], &sec1[1..33]].concat();
        for refused in [&[][..], &[0], &[0; 65], &sec1[1..], &sec1[..64], &off_curve, &hybrid, &compact] {
            assert_eq!(PublicKey::from_sec1(curve, refused), Err(KeyError::NotAPoint(curve)));
        }
        let other = if curve == Curve::P256 { Curve::BrainpoolP256r1 } else { Curve::P256 };
        assert_eq!(PublicKey::from_sec1(other, &sec1), Err(KeyError::NotAPoint(other)));
    }
}

#[test]
fn keys_on_different_curves_do_not_agree() {
    let [own, peer] = CURVES.map(|curve| SecretKey::generate(curve, &mut dice(4)));
    let refused = own.agree(&peer.public_key()).map(drop);
    assert_eq!(refused, Err(KeyError::DifferentCurves { own: Curve::P256, peer: Curve::BrainpoolP256r1 }));
}

#[test]
fn debug_does_not_show_secrets() {
    let key = secret(Curve::P256, &"5a".repeat(32));
    let shared = key.agree(&key.public_key()).unwrap();
    assert_eq!(format!("{key:?} {shared:?}"), "SecretKey(NIST P-256, ..) SharedSecret(Secret(..))");
}
