use super::*;

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

#[test]
fn a_signature_verifies_only_over_its_message_by_its_key() {
    for curve in CURVES {
        let key = SecretKey::generate(curve, &mut dice(1));
        let other = SecretKey::generate(curve, &mut dice(2));
        let signature = key.sign(b"message");
        assert_eq!(key.public_key().verify(b"message", &signature), Ok(()));
        assert_eq!(key.public_key().verify(b"Message", &signature), Err(BadSignature::Mismatch));
        assert_eq!(other.public_key().verify(b"message", &signature), Err(BadSignature::Mismatch));
        for bit in 0..512 {
            let mut bytes = *signature.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(key.public_key().verify(b"message", &Signature::from_bytes(bytes)).is_err());
        }
        for bytes in [[0; 64], [0xff; 64]] {
            assert!(key.public_key().verify(b"message", &Signature::from_bytes(bytes)).is_err());
        }
    }
}
