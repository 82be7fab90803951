//! Signatures of eIM and eUICC on the interface ESep: SGP.32 sections 2.11.1.1 and 2.11.2.1.

use crate::{
    der::{Asn1, Reader, Tag},
    finding::{FindingKind, report},
};

/// The tag of associationToken in the octets that are signed.
const ASSOCIATION_TOKEN: Tag = Tag(0x84);

/// The association token in the octets that are signed, if the eIM has none.
const NO_TOKEN: i64 = 0;

/// Returns the octets that a signature of an eIM or an eUICC covers: the inner SEQUENCE as sent,
/// followed by the data object of the association token, or `84 01 00` without a token. `signed` is
/// the whole SEQUENCE: euiccPackageSigned, euiccPackageResultDataSigned or
/// euiccPackageErrorDataSigned.
pub fn signed_octets(signed: &[u8], association_token: Option<i64>) -> Vec<u8> {
    let mut octets = signed.to_vec();
    association_token.unwrap_or(NO_TOKEN).encode_as(ASSOCIATION_TOKEN, &mut octets);
    octets
}

/// The length of r and of s on the curves of the standard in octets.
const COORDINATE: usize = 32;

/// Returns an ECDSA signature as r followed by s, the form of the standard (BSI TR-03111 section
/// 5.2.1). The DER form, a SEQUENCE of two INTEGERs, is a finding. Returns `None` if the octets have
/// neither form.
pub fn fixed_length(signature: &[u8]) -> Option<[u8; 2 * COORDINATE]> {
    if let Ok(fixed) = signature.try_into() {
        return Some(fixed);
    }
    let mut outer = Reader::new(signature);
    let mut inner = outer.enter(Tag::SEQUENCE).ok()?;
    let mut fixed = [0; 2 * COORDINATE];
    for half in fixed.chunks_exact_mut(COORDINATE) {
        let contents = inner.contents(Tag::INTEGER).ok()?;
        let zeros = contents.iter().take_while(|octet| **octet == 0).count();
        let significant = contents.get(zeros..)?;
        let at = half.len().checked_sub(significant.len())?;
        half.get_mut(at..)?.copy_from_slice(significant);
    }
    if !inner.is_empty() || !outer.is_empty() {
        return None;
    }
    report(FindingKind::DerSignature, || format!("{} octets", signature.len()));
    Some(fixed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::*;
    use crate::finding::collect;

    #[test]
    fn the_signed_octets_end_with_the_token_or_with_zero() {
        assert_eq!(signed_octets(&[0x30, 0x00], Some(1)), [0x30, 0, 0x84, 1, 1]);
        assert_eq!(signed_octets(&[0x30, 0x00], Some(200)), [0x30, 0, 0x84, 2, 0, 200]);
        assert_eq!(signed_octets(&[0x30, 0x00], None), [0x30, 0, 0x84, 1, 0]);
    }

    #[test]
    fn a_signature_in_der_is_converted_and_reported() {
        let (fixed, findings) = collect(|| fixed_length(&[7; 64]));
        assert_eq!((fixed, findings.len()), (Some([7; 64]), 0));
        // r has a leading zero octet, and s is short.
        let r = [vec![0x02, 33, 0], vec![0x99; 32]].concat();
        let der = [vec![0x30, 38], r, vec![0x02, 1, 5]].concat();
        let (fixed, findings) = collect(|| fixed_length(&der));
        let expected: Vec<u8> = [vec![0x99; 32], vec![0; 31], vec![5]].concat();
        assert_eq!(fixed.unwrap().to_vec(), expected);
        assert_eq!(findings.first().unwrap().kind, FindingKind::DerSignature);
        for wrong in [&der[..37], &[0x30, 0], &[0; 63], &[], &[der.clone(), vec![0]].concat()] {
            assert_eq!(collect(|| fixed_length(wrong)), (None, vec![]));
        }
        let too_long = [vec![0x30, 40, 0x02, 33], vec![1; 33], vec![0x02, 3, 1, 1, 1]].concat();
        assert_eq!(fixed_length(&too_long), None);
    }
}
