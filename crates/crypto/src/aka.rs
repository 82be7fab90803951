//! Authentication and key agreement (AKA): 3GPP TS 33.102 sections 6.3 and 6.8.1, network and card
//! side.
//!
//! The network builds authentication vectors and reads AUTS. The card checks AUTN and makes AUTS.
//! The card also decides whether a sequence number is fresh, outside this module.

pub use crate::aka_values::{Ak, Amf, KeySet, Mac, Res, Sqn};
use crate::milenage::Milenage;
use crate::secret::Secret;
use crate::tuak::Tuak;
use crate::usim_test::UsimTest;

/// The functions f1 to f5* and f1* of a subscriber: the algorithm with its keys.
#[derive(Debug, Clone)]
pub enum Algorithm {
    /// MILENAGE: TS 35.206.
    Milenage(Milenage),
    /// TUAK: TS 35.231.
    Tuak(Tuak),
    /// The test algorithm: TS 34.108 section 8.1.2.
    UsimTest(UsimTest),
}

/// The reason why AUTN or AUTS is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AkaError {
    /// MAC-A in AUTN differs from the result of f1: the network does not have the keys of this
    /// subscriber.
    #[error(
        "MAC-A does not match: AUTN was not made with this subscriber's K; compare K, OPc and algorithm on both ends"
    )]
    MacA,
    /// MAC-S in AUTS differs from the result of f1*: the card does not have the keys of this
    /// subscriber.
    #[error(
        "MAC-S does not match: AUTS was not made with this subscriber's K and this RAND; discard it and send another challenge"
    )]
    MacS,
}

/// An authentication vector ("quintet"): TS 33.102 section 6.3.2.
#[derive(Debug, Clone)]
pub struct Vector {
    /// The challenge.
    pub rand: [u8; 16],
    /// The token that authenticates the network to the card.
    pub autn: Autn,
    /// The response that the card must send.
    pub xres: Res,
    /// The cipher key.
    pub ck: Secret<[u8; 16]>,
    /// The integrity key.
    pub ik: Secret<[u8; 16]>,
}

/// The contents of an AUTN with a correct MAC-A, and the keys of the card's response.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The sequence number. The card still has to check that it is fresh.
    pub sqn: Sqn,
    /// The authentication management field.
    pub amf: Amf,
    /// RES, CK, IK and AK.
    pub keys: KeySet,
}

/// A GSM authentication triplet without its RAND: TS 33.102 section 6.8.1.2.
#[derive(Debug, Clone)]
pub struct Triplet {
    /// The response.
    pub sres: [u8; 4],
    /// The cipher key.
    pub kc: Secret<[u8; 8]>,
}

impl Algorithm {
    /// Network: builds an authentication vector for this challenge, sequence number and management
    /// field.
    #[must_use]
    pub fn vector(&self, rand: [u8; 16], sqn: Sqn, amf: Amf) -> Vector {
        let autn = self.build_autn(&rand, sqn, amf);
        let KeySet { res, ck, ik, ak: _ } = self.f2345(&rand);
        Vector { rand, autn, xres: res, ck, ik }
    }

    /// Network: builds AUTN = (SQN xor AK) || AMF || MAC-A.
    #[must_use]
    pub fn build_autn(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Autn {
        Autn { concealed_sqn: self.f2345(rand).ak.conceal(sqn), amf, mac_a: self.f1(rand, sqn, amf) }
    }

    /// Network: checks MAC-S in AUTS and returns the card's sequence number SQN_MS.
    ///
    /// `rand` is the challenge to which AUTS responds. Fails with [`AkaError::MacS`].
    pub fn parse_auts(&self, rand: &[u8; 16], auts: &Auts) -> Result<Sqn, AkaError> {
        let sqn_ms = self.f5_star(rand).conceal(auts.concealed_sqn);
        let mac_s = self.f1_star(rand, sqn_ms, Amf::RESYNCHRONISATION);
        if mac_s == auts.mac_s { Ok(sqn_ms) } else { Err(AkaError::MacS) }
    }

    /// Card: opens AUTN and checks MAC-A. Fails with [`AkaError::MacA`].
    pub fn check_autn(&self, rand: &[u8; 16], autn: &Autn) -> Result<Checked, AkaError> {
        let keys = self.f2345(rand);
        let sqn = keys.ak.conceal(autn.concealed_sqn);
        let mac_a = self.f1(rand, sqn, autn.amf);
        if mac_a == autn.mac_a { Ok(Checked { sqn, amf: autn.amf, keys }) } else { Err(AkaError::MacA) }
    }

    /// Card: makes AUTS = (SQN_MS xor AK*) || MAC-S. It is sent when AUTN is correct but its SQN is
    /// not fresh.
    #[must_use]
    pub fn make_auts(&self, rand: &[u8; 16], sqn_ms: Sqn) -> Auts {
        Auts {
            concealed_sqn: self.f5_star(rand).conceal(sqn_ms),
            mac_s: self.f1_star(rand, sqn_ms, Amf::RESYNCHRONISATION),
        }
    }

    /// Network and card, in a GSM security context: derives SRES and Kc from the UMTS values.
    #[must_use]
    pub fn triplet(&self, rand: &[u8; 16]) -> Triplet {
        let keys = self.f2345(rand);
        Triplet { sres: sres(&keys.res), kc: kc(&keys.ck, &keys.ik) }
    }

    /// f1: computes MAC-A.
    #[must_use]
    pub fn f1(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        match self {
            Self::Milenage(algorithm) => algorithm.f1(rand, sqn, amf),
            Self::Tuak(algorithm) => algorithm.f1(rand, sqn, amf),
            Self::UsimTest(algorithm) => algorithm.f1(rand, sqn, amf),
        }
    }

    /// f1*: computes MAC-S.
    #[must_use]
    pub fn f1_star(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        match self {
            Self::Milenage(algorithm) => algorithm.f1_star(rand, sqn, amf),
            Self::Tuak(algorithm) => algorithm.f1_star(rand, sqn, amf),
            Self::UsimTest(algorithm) => algorithm.f1_star(rand, sqn, amf),
        }
    }

    /// f2, f3, f4 and f5: compute RES, CK, IK and AK.
    #[must_use]
    pub fn f2345(&self, rand: &[u8; 16]) -> KeySet {
        match self {
            Self::Milenage(algorithm) => algorithm.f2345(rand),
            Self::Tuak(algorithm) => algorithm.f2345(rand),
            Self::UsimTest(algorithm) => algorithm.f2345(rand),
        }
    }

    /// f5*: computes AK*.
    #[must_use]
    pub fn f5_star(&self, rand: &[u8; 16]) -> Ak {
        match self {
            Self::Milenage(algorithm) => algorithm.f5_star(rand),
            Self::Tuak(algorithm) => algorithm.f5_star(rand),
            Self::UsimTest(algorithm) => algorithm.f5_star(rand),
        }
    }
}

/// The conversion function c3: Kc = CK1 xor CK2 xor IK1 xor IK2.
#[must_use]
pub fn kc(ck: &Secret<[u8; 16]>, ik: &Secret<[u8; 16]>) -> Secret<[u8; 8]> {
    let [c0, c1, c2, c3, c4, c5, c6, c7, ck2 @ ..] = *ck.expose();
    let [i0, i1, i2, i3, i4, i5, i6, i7, ik2 @ ..] = *ik.expose();
    let halves = [[c0, c1, c2, c3, c4, c5, c6, c7], ck2, [i0, i1, i2, i3, i4, i5, i6, i7], ik2];
    Secret::new(halves.map(u64::from_be_bytes).into_iter().fold(0, |kc, half| kc ^ half).to_be_bytes())
}

/// The conversion function c2: the four words of RES, zero-padded, combined with exclusive or.
#[must_use]
pub fn sres(res: &Res) -> [u8; 4] {
    let mut sres = [0; 4];
    for word in res.as_bytes().chunks(4) {
        sres.iter_mut().zip(word).for_each(|(out, octet)| *out ^= octet);
    }
    sres
}

/// AUTN: SQN concealed by AK, AMF and MAC-A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autn {
    concealed_sqn: Sqn,
    amf: Amf,
    mac_a: Mac,
}

impl Autn {
    /// Decodes AUTN from its 16 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [s0, s1, s2, s3, s4, s5, a0, a1, mac_a @ ..] = bytes;
        Self {
            concealed_sqn: Sqn::from_bytes([s0, s1, s2, s3, s4, s5]),
            amf: Amf::from_bytes([a0, a1]),
            mac_a: Mac::from_bytes(mac_a),
        }
    }

    /// Encodes AUTN to its 16 octets.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        let [s0, s1, s2, s3, s4, s5] = self.concealed_sqn.to_bytes();
        let [a0, a1] = self.amf.to_bytes();
        let [m0, m1, m2, m3, m4, m5, m6, m7] = self.mac_a.to_bytes();
        [s0, s1, s2, s3, s4, s5, a0, a1, m0, m1, m2, m3, m4, m5, m6, m7]
    }
}

/// AUTS: SQN_MS concealed by AK*, and MAC-S.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auts {
    concealed_sqn: Sqn,
    mac_s: Mac,
}

impl Auts {
    /// Decodes AUTS from its 14 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 14]) -> Self {
        let [s0, s1, s2, s3, s4, s5, mac_s @ ..] = bytes;
        Self { concealed_sqn: Sqn::from_bytes([s0, s1, s2, s3, s4, s5]), mac_s: Mac::from_bytes(mac_s) }
    }

    /// Encodes AUTS to its 14 octets.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 14] {
        let [s0, s1, s2, s3, s4, s5] = self.concealed_sqn.to_bytes();
        let [m0, m1, m2, m3, m4, m5, m6, m7] = self.mac_s.to_bytes();
        [s0, s1, s2, s3, s4, s5, m0, m1, m2, m3, m4, m5, m6, m7]
    }
}

#[cfg(test)]
mod tests;
