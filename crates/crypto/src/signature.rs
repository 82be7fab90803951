//! ECDSA signatures: the plain format (BSI TR-03111 section 5.2.1) of RSP messages and the DER
//! format (section 5.2.2) of X.509.

use std::fmt;

/// The length of r and of s on a 256-bit curve in octets.
const SCALAR: usize = 32;

/// An ECDSA signature in plain format: r || s, 32 octets each.
///
/// The octets are kept as received. Verification checks whether r and s are in range.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 2 * SCALAR]);

/// A signature that does not verify, or octets that are not a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// A plain signature on a 256-bit curve has exactly 64 octets.
    #[error("a plain ECDSA signature has 64 octets, this one has {0}; pass r || s without a header")]
    Length(usize),
    /// The octets are not `SEQUENCE { INTEGER, INTEGER }` in DER with both integers in 1 .. 2^256 -
    /// 1.
    #[error("not a DER ECDSA signature: {0}; check that the octets are the BIT STRING's content, unpadded")]
    Der(&'static str),
    /// The signature was not made over this message by the holder of this key.
    #[error(
        "the signature does not match the message and the public key; check which key and which octets were signed"
    )]
    Mismatch,
}

impl Signature {
    /// Creates a signature from r || s.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Creates a signature from r || s of unchecked length. Fails with [`BadSignature::Length`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, BadSignature> {
        bytes.try_into().map(Self).map_err(|_| BadSignature::Length(bytes.len()))
    }

    /// Returns r || s.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Encodes the signature as `ECDSA-Sig-Value` of RFC 3279 section 2.2.3, as in X.509.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let (r, s) = self.0.split_at(SCALAR);
        let content = [integer_to_der(r), integer_to_der(s)].concat();
        // The two integers have at most 33 octets each, so every length fits the short form.
        [&[SEQUENCE, short_length(&content)], content.as_slice()].concat()
    }

    /// Decodes `ECDSA-Sig-Value`, strictly DER. Fails with [`BadSignature::Der`].
    pub fn from_der(der: &[u8]) -> Result<Self, BadSignature> {
        let (content, rest) = take_tlv(der, SEQUENCE)?;
        let (r, after_r) = take_tlv(content, INTEGER)?;
        let (s, after_s) = take_tlv(after_r, INTEGER)?;
        if !rest.is_empty() || !after_s.is_empty() {
            return Err(BadSignature::Der("trailing octets"));
        }
        let mut bytes = [0; 2 * SCALAR];
        let (r_out, s_out) = bytes.split_at_mut(SCALAR);
        scalar_from_der(r, r_out)?;
        scalar_from_der(s, s_out)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

fn integer_to_der(scalar: &[u8]) -> Vec<u8> {
    let zeros = scalar.iter().take_while(|octet| **octet == 0).count();
    let (_, magnitude) = scalar.split_at(zeros.min(scalar.len().saturating_sub(1)));
    let sign: &[u8] = if magnitude.first().is_some_and(|octet| octet & 0x80 != 0) { &[0] } else { &[] };
    let content = [sign, magnitude].concat();
    [&[INTEGER, short_length(&content)], content.as_slice()].concat()
}

fn short_length(content: &[u8]) -> u8 {
    u8::try_from(content.len()).unwrap_or(u8::MAX)
}

/// Splits off one TLV with a short-form length.
fn take_tlv(der: &[u8], expected: u8) -> Result<(&[u8], &[u8]), BadSignature> {
    let [tag, length, rest @ ..] = der else { return Err(BadSignature::Der("truncated")) };
    if *tag != expected {
        return Err(BadSignature::Der("not a SEQUENCE of two INTEGERs"));
    }
    if *length & 0x80 != 0 {
        return Err(BadSignature::Der("longer than a signature on a 256-bit curve"));
    }
    rest.split_at_checked(usize::from(*length)).ok_or(BadSignature::Der("truncated"))
}

fn scalar_from_der(integer: &[u8], out: &mut [u8]) -> Result<(), BadSignature> {
    let magnitude = match integer {
        [] => return Err(BadSignature::Der("an INTEGER without content")),
        [0] => return Err(BadSignature::Der("r or s is zero")),
        [0, next, ..] if next & 0x80 == 0 => {
            return Err(BadSignature::Der("an INTEGER with an unnecessary leading zero"));
        }
        [0, magnitude @ ..] => magnitude,
        [first, ..] if first & 0x80 != 0 => return Err(BadSignature::Der("r or s is negative")),
        magnitude => magnitude,
    };
    let start = out.len().checked_sub(magnitude.len());
    let place = start
        .and_then(|start| out.get_mut(start..))
        .ok_or(BadSignature::Der("r or s has more than 256 bits"))?;
    place.copy_from_slice(magnitude);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_r_s(r: &[u8], s: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes[32 - r.len()..32].copy_from_slice(r);
        bytes[64 - s.len()..].copy_from_slice(s);
        Signature::from_bytes(bytes)
    }

    #[test]
    fn der_is_minimal_and_decodes_to_the_same_signature() {
        for (r, s, der) in [
            (vec![1], vec![0x7f], vec![0x30, 6, 2, 1, 1, 2, 1, 0x7f]),
            (vec![0x80], vec![0x01, 0x00], vec![0x30, 8, 2, 2, 0, 0x80, 2, 2, 1, 0]),
            (
                vec![0xff; 32],
                vec![0x7f; 32],
                [&[0x30, 69, 2, 33, 0][..], &[0xff; 32], &[2, 32], &[0x7f; 32]].concat(),
            ),
        ] {
            let signature = from_r_s(&r, &s);
            assert_eq!(signature.to_der(), der);
            assert_eq!(Signature::from_der(&der), Ok(signature));
        }
    }

    #[test]
    fn invalid_der_is_refused() {
        for der in [
            &[][..],
            &[0x30],
            &[0x31, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 7, 2, 1, 1, 2, 1, 1],
            &[0x30, 6, 2, 1, 1, 2, 1, 1, 0],
            &[0x30, 7, 2, 1, 1, 2, 1, 1, 0],
            &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 7, 2, 2, 0, 1, 2, 1, 1],
            &[0x30, 6, 2, 1, 0x81, 2, 1, 1],
            &[0x30, 6, 2, 1, 0, 2, 1, 1],
            &[0x30, 5, 2, 0, 2, 1, 1],
            &[&[0x30, 38, 2, 33][..], &[1; 33], &[2, 1, 1]].concat(),
        ] {
            assert!(matches!(Signature::from_der(der), Err(BadSignature::Der(_))), "{der:02x?}");
        }
    }

    #[test]
    fn a_plain_signature_has_64_octets() {
        assert_eq!(Signature::from_slice(&[0; 63]), Err(BadSignature::Length(63)));
        assert_eq!(Signature::from_slice(&[1; 64]), Ok(Signature::from_bytes([1; 64])));
    }
}
