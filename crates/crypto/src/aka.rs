//! Authentication and key agreement (AKA): 3GPP TS 33.102 sections 6.3 and 6.8.1, network and card
//! side.
//!
//! The network builds authentication vectors and reads AUTS. The card checks AUTN and makes AUTS.
//! The card also decides whether a sequence number is fresh, outside this module.

use std::fmt;

use elliptic_curve::subtle::ConstantTimeEq;

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
    /// MAC-A in AUTN differs from the result of f1: the network does not hold this subscriber's
    /// keys.
    #[error(
        "MAC-A does not match: AUTN was not made with this subscriber's K; compare K, OPc and algorithm on both ends"
    )]
    MacA,
    /// MAC-S in AUTS differs from the result of f1*: the card does not hold this subscriber's keys.
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

/// The results of f2, f3, f4 and f5 for one RAND.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// f2: the response.
    pub res: Res,
    /// f3: the cipher key.
    pub ck: Secret<[u8; 16]>,
    /// f4: the integrity key.
    pub ik: Secret<[u8; 16]>,
    /// f5: the anonymity key.
    pub ak: Ak,
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

/// A 48-bit sequence number: SEQ || IND, where IND has [`Sqn::IND_LENGTH`] bits (TS 33.102 annex
/// C.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sqn(u64);

impl Sqn {
    /// The number of bits of IND according to annex C.3.2: the card's array has 32 entries.
    pub const IND_LENGTH: u32 = 5;
    /// The highest sequence number.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// Creates a sequence number. Returns `None` above 48 bits.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// Creates a sequence number from SEQ (43 bits) and IND (5 bits). Returns `None` if either is
    /// too large.
    #[must_use]
    pub const fn from_seq_ind(seq: u64, ind: u8) -> Option<Self> {
        if seq <= Self::MAX.seq() && ind <= Self::MAX.ind() {
            Some(Self(seq << Self::IND_LENGTH | ind as u64))
        } else {
            None
        }
    }

    /// Decodes a sequence number from its 6 octets.
    #[must_use]
    pub const fn from_bytes([b0, b1, b2, b3, b4, b5]: [u8; 6]) -> Self {
        Self(u64::from_be_bytes([0, 0, b0, b1, b2, b3, b4, b5]))
    }

    /// Encodes the sequence number to its 6 octets.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 6] {
        let [_, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    /// Returns the whole number, SEQ || IND.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Returns SEQ, the counter.
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.0 >> Self::IND_LENGTH
    }

    /// Returns IND, the index of the entry in the card's array.
    #[must_use]
    pub const fn ind(self) -> u8 {
        (self.0 & ((1 << Self::IND_LENGTH) - 1)) as u8
    }
}

impl fmt::Debug for Sqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sqn({:012x}, SEQ {}, IND {})", self.0, self.seq(), self.ind())
    }
}

/// The authentication management field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amf([u8; 2]);

impl Amf {
    /// The value that f1* uses instead of AMF, so that AUTS does not have to carry one: TS 33.102
    /// section 6.3.3.
    pub const RESYNCHRONISATION: Self = Self([0, 0]);

    /// Decodes AMF from its 2 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(bytes)
    }

    /// Encodes AMF to its 2 octets.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0
    }
}

/// MAC-A or MAC-S; compared in constant time.
#[derive(Debug, Clone, Copy, Eq)]
pub struct Mac([u8; 8]);

impl Mac {
    /// Creates a MAC from its 8 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the 8 octets.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl PartialEq for Mac {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// RES or XRES, 4 to 16 octets (TUAK also allows 32); compared in constant time.
#[derive(Debug, Clone, Eq)]
pub struct Res(Vec<u8>);

impl Res {
    /// Returns the octets. The length depends on the algorithm.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True if this equals the card's response.
    #[must_use]
    pub fn matches(&self, answer: &[u8]) -> bool {
        self.0.as_slice().ct_eq(answer).into()
    }

    pub(crate) const fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

impl PartialEq for Res {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

/// The anonymity key AK or AK*: hides sequence numbers from eavesdroppers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ak([u8; 6]);

impl Ak {
    /// Creates an anonymity key from its 6 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Returns SQN xor AK. Applying it twice restores SQN.
    #[must_use]
    pub const fn conceal(self, sqn: Sqn) -> Sqn {
        Sqn(sqn.0 ^ Sqn::from_bytes(self.0).0)
    }
}

impl fmt::Debug for Ak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ak(..)")
    }
}

#[cfg(test)]
mod tests;
