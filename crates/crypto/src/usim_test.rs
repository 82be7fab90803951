//! The test algorithm for authentication: 3GPP TS 34.108 section 8.1.2.
//!
//! It consists of exclusive or without any cryptography and is for test cards only. The generic
//! test profiles of TS.48 use it.

use std::fmt;

use crate::aka_values::{Ak, Amf, KeySet, Mac, Res, Sqn};
use crate::secret::Secret;

/// A subscriber's instance of the test algorithm.
#[derive(Clone)]
pub struct UsimTest {
    k: Secret<[u8; 16]>,
    res_length: u8,
}

/// An invalid length of RES. RES has 4 to 16 octets: TS 33.102 section 6.3.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("RES cannot have {0} octets; the test algorithm allows 4 to 16")]
pub struct BadResLength(pub u8);

impl UsimTest {
    /// The AMF with which a tester makes a test USIM start resynchronisation, regardless of the
    /// sequence number.
    pub const AMF_RESYNCH: Amf = Amf::from_bytes([0xFF, 0xFF]);

    /// Creates an instance with RES of 16 octets, the length that TS 34.108 suggests.
    #[must_use]
    pub const fn new(k: [u8; 16]) -> Self {
        Self { k: Secret::new(k), res_length: 16 }
    }

    /// Sets the length of RES in octets, 4 to 16.
    pub fn with_res_length(mut self, octets: u8) -> Result<Self, BadResLength> {
        if !(4..=16).contains(&octets) {
            return Err(BadResLength(octets));
        }
        self.res_length = octets;
        Ok(self)
    }

    /// f1: computes MAC-A.
    #[must_use]
    pub fn f1(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        let [xdout @ .., _, _, _, _, _, _, _, _] = self.xdout(rand);
        let cdout = sqn.value() << 16 | u64::from(u16::from_be_bytes(amf.to_bytes()));
        Mac::from_bytes((u64::from_be_bytes(xdout) ^ cdout).to_be_bytes())
    }

    /// f1*: the same function as f1.
    #[must_use]
    pub fn f1_star(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        self.f1(rand, sqn, amf)
    }

    /// f2, f3, f4 and f5: compute RES, CK, IK and AK.
    #[must_use]
    pub fn f2345(&self, rand: &[u8; 16]) -> KeySet {
        let xdout = self.xdout(rand);
        let rotated = |octets: u32| u128::from_be_bytes(xdout).rotate_left(8 * octets).to_be_bytes();
        KeySet {
            res: Res::new(xdout.into_iter().take(self.res_length.into()).collect()),
            ck: rotated(1).into(),
            ik: rotated(2).into(),
            ak: self.f5_star(rand),
        }
    }

    /// f5*: the same function as f5.
    #[must_use]
    pub fn f5_star(&self, rand: &[u8; 16]) -> Ak {
        let [_, _, _, a3, a4, a5, a6, a7, a8, ..] = self.xdout(rand);
        Ak::from_bytes([a3, a4, a5, a6, a7, a8])
    }

    fn xdout(&self, rand: &[u8; 16]) -> [u8; 16] {
        (u128::from_be_bytes(*self.k.expose()) ^ u128::from_be_bytes(*rand)).to_be_bytes()
    }
}

impl fmt::Debug for UsimTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UsimTest(.., RES of {} octets)", self.res_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::unhex_array;

    /// TS 34.108 has no worked example. The values were computed from its formulas, independently
    /// of this code. AUTN and the order of CK, IK and AK agree with the algorithm XOR-3G of
    /// libosmocore.
    #[test]
    fn the_independently_computed_example_is_reproduced() {
        let algorithm = UsimTest::new(std::array::from_fn(|at| at as u8));
        let rand = unhex_array("23553cbe9637a89d218ae64dae47bf35");
        let keys = algorithm.f2345(&rand);
        assert_eq!(keys.res.as_bytes(), unhex_array::<16>("23543ebd9232ae9a2983ec46a24ab13a"));
        assert_eq!(*keys.ck.expose(), unhex_array("543ebd9232ae9a2983ec46a24ab13a23"));
        assert_eq!(*keys.ik.expose(), unhex_array("3ebd9232ae9a2983ec46a24ab13a2354"));
        assert_eq!(keys.ak, Ak::from_bytes(unhex_array("bd9232ae9a29")));
        assert_eq!(algorithm.f5_star(&rand), keys.ak);
        let sqn = Sqn::from_bytes(unhex_array("000000000021"));
        let mac = algorithm.f1(&rand, sqn, Amf::from_bytes([0x80, 0x00]));
        assert_eq!(mac, Mac::from_bytes(unhex_array("23543ebd92132e9a")));
        assert_eq!(algorithm.f1_star(&rand, sqn, Amf::from_bytes([0x80, 0x00])), mac);
    }

    #[test]
    fn res_has_4_to_16_octets() {
        for octets in 4..=16 {
            let algorithm = UsimTest::new([7; 16]).with_res_length(octets).unwrap();
            assert_eq!(algorithm.f2345(&[0; 16]).res.as_bytes(), &vec![7; usize::from(octets)]);
        }
        for octets in [0, 3, 17, 255] {
            assert_eq!(UsimTest::new([7; 16]).with_res_length(octets).err(), Some(BadResLength(octets)));
        }
    }
}
