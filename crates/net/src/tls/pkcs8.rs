//! PKCS#8 encoding of P-256 keys for rustls.

use zeroize::Zeroizing;

/// PrivateKeyInfo v1 (RFC 5958) for id-ecPublicKey on secp256r1, up to the 32 bytes of the scalar:
/// the AlgorithmIdentifier and the start of the inner ECPrivateKey (RFC 5915). All lengths are
/// fixed because the curve is.
const BEFORE_SCALAR: [u8; 36] = [
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, // PrivateKeyInfo, version 0
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, // id-ecPublicKey 1.2.840.10045.2.1
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // secp256r1 1.2.840.10045.3.1.7
    0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20, // ECPrivateKey, version 1, privateKey
];
/// The publicKey `[1]` BIT STRING of the ECPrivateKey, up to the 65 bytes of the point.
const BEFORE_POINT: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00];

/// Returns the PKCS#8 DER of a P-256 key, given its scalar and its uncompressed public point.
pub fn pkcs8_p256(scalar: &[u8; 32], public: &[u8; 65]) -> Zeroizing<Vec<u8>> {
    // A single allocation of the final size leaves no copy of the scalar in freed memory.
    let mut der = Zeroizing::new(Vec::with_capacity(BEFORE_SCALAR.len() + 32 + BEFORE_POINT.len() + 65));
    der.extend_from_slice(&BEFORE_SCALAR);
    der.extend_from_slice(scalar);
    der.extend_from_slice(&BEFORE_POINT);
    der.extend_from_slice(public);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    /// rcgen implements the same RFCs with ring.
    #[test]
    fn the_der_equals_that_of_rcgen() {
        let key = rcgen::KeyPair::generate().unwrap();
        let expected = key.serialize_der();
        let public: [u8; 65] = key.public_key_raw().try_into().unwrap();
        let scalar: [u8; 32] = expected[BEFORE_SCALAR.len()..][..32].try_into().unwrap();
        assert_eq!(pkcs8_p256(&scalar, &public).as_slice(), expected);
    }
}
