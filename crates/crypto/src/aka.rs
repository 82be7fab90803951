//! Authentication and key agreement: 3GPP TS 33.102 sections 6.3 and 6.8.1, both ends.
//!
//! The network's end builds authentication vectors and reads AUTS; the card's end checks AUTN and makes AUTS.
//! Whether a sequence number is fresh is for the card to decide and not looked at here.

use std::fmt;

use elliptic_curve::subtle::ConstantTimeEq;

use crate::milenage::Milenage;
use crate::secret::Secret;
use crate::tuak::Tuak;
use crate::usim_test::UsimTest;

/// The functions f1 to f5*, f1* of a subscriber: the algorithm together with its keys.
#[derive(Debug, Clone)]
pub enum Algorithm {
    /// TS 35.206.
    Milenage(Milenage),
    /// TS 35.231.
    Tuak(Tuak),
    /// TS 34.108 section 8.1.2.
    UsimTest(UsimTest),
}

/// Why an authentication token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AkaError {
    /// MAC-A in AUTN is not what f1 gives: the network does not hold this subscriber's keys.
    #[error(
        "MAC-A does not match: AUTN was not made with this subscriber's K; compare K, OPc and algorithm on both ends"
    )]
    MacA,
    /// MAC-S in AUTS is not what f1* gives: the card does not hold this subscriber's keys.
    #[error(
        "MAC-S does not match: AUTS was not made with this subscriber's K and this RAND; drop it and challenge again"
    )]
    MacS,
}

/// An authentication vector ("quintet"): TS 33.102 section 6.3.2.
#[derive(Debug, Clone)]
pub struct Vector {
    /// The challenge.
    pub rand: [u8; 16],
    /// The token that proves the network to the card.
    pub autn: Autn,
    /// The answer that the card must give.
    pub xres: Res,
    /// The cipher key.
    pub ck: Secret<[u8; 16]>,
    /// The integrity key.
    pub ik: Secret<[u8; 16]>,
}

/// What AUTN says, once MAC-A has been found right, and what the card would answer.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The sequence number; the card still has to find it fresh.
    pub sqn: Sqn,
    /// The authentication management field.
    pub amf: Amf,
    /// RES, CK, IK and AK.
    pub keys: KeySet,
}

/// What f2, f3, f4 and f5 give for one RAND.
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
    /// The network's end: a vector for this challenge, sequence number and management field.
    #[must_use]
    pub fn vector(&self, rand: [u8; 16], sqn: Sqn, amf: Amf) -> Vector {
        let autn = self.build_autn(&rand, sqn, amf);
        let KeySet { res, ck, ik, ak: _ } = self.f2345(&rand);
        Vector { rand, autn, xres: res, ck, ik }
    }

    /// The network's end: AUTN = (SQN xor AK) || AMF || MAC-A.
    #[must_use]
    pub fn build_autn(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Autn {
        Autn { concealed_sqn: self.f2345(rand).ak.conceal(sqn), amf, mac_a: self.f1(rand, sqn, amf) }
    }

    /// The network's end: the card's sequence number SQN_MS, once MAC-S has been found right.
    ///
    /// `rand` is the challenge that AUTS answers. Fails with [`AkaError::MacS`].
    pub fn parse_auts(&self, rand: &[u8; 16], auts: &Auts) -> Result<Sqn, AkaError> {
        let sqn_ms = self.f5_star(rand).conceal(auts.concealed_sqn);
        let mac_s = self.f1_star(rand, sqn_ms, Amf::RESYNCHRONISATION);
        if mac_s == auts.mac_s { Ok(sqn_ms) } else { Err(AkaError::MacS) }
    }

    /// The card's end: opens AUTN and checks MAC-A. Fails with [`AkaError::MacA`].
    pub fn check_autn(&self, rand: &[u8; 16], autn: &Autn) -> Result<Checked, AkaError> {
        let keys = self.f2345(rand);
        let sqn = keys.ak.conceal(autn.concealed_sqn);
        let mac_a = self.f1(rand, sqn, autn.amf);
        if mac_a == autn.mac_a { Ok(Checked { sqn, amf: autn.amf, keys }) } else { Err(AkaError::MacA) }
    }

    /// The card's end: AUTS = (SQN_MS xor AK*) || MAC-S, when AUTN was right but its SQN not fresh.
    #[must_use]
    pub fn make_auts(&self, rand: &[u8; 16], sqn_ms: Sqn) -> Auts {
        Auts {
            concealed_sqn: self.f5_star(rand).conceal(sqn_ms),
            mac_s: self.f1_star(rand, sqn_ms, Amf::RESYNCHRONISATION),
        }
    }

    /// Both ends, in a GSM security context: SRES and Kc made from the UMTS values.
    #[must_use]
    pub fn triplet(&self, rand: &[u8; 16]) -> Triplet {
        let keys = self.f2345(rand);
        Triplet { sres: sres(&keys.res), kc: kc(&keys.ck, &keys.ik) }
    }

    /// f1: MAC-A.
    #[must_use]
    pub fn f1(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        match self {
            Self::Milenage(algorithm) => algorithm.f1(rand, sqn, amf),
            Self::Tuak(algorithm) => algorithm.f1(rand, sqn, amf),
            Self::UsimTest(algorithm) => algorithm.f1(rand, sqn, amf),
        }
    }

    /// f1*: MAC-S.
    #[must_use]
    pub fn f1_star(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        match self {
            Self::Milenage(algorithm) => algorithm.f1_star(rand, sqn, amf),
            Self::Tuak(algorithm) => algorithm.f1_star(rand, sqn, amf),
            Self::UsimTest(algorithm) => algorithm.f1_star(rand, sqn, amf),
        }
    }

    /// f2, f3, f4 and f5: RES, CK, IK and AK.
    #[must_use]
    pub fn f2345(&self, rand: &[u8; 16]) -> KeySet {
        match self {
            Self::Milenage(algorithm) => algorithm.f2345(rand),
            Self::Tuak(algorithm) => algorithm.f2345(rand),
            Self::UsimTest(algorithm) => algorithm.f2345(rand),
        }
    }

    /// f5*: AK*.
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

/// The conversion function c2: the four words of RES, filled up with zeros, added together.
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
    /// From its 16 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [s0, s1, s2, s3, s4, s5, a0, a1, mac_a @ ..] = bytes;
        Self {
            concealed_sqn: Sqn::from_bytes([s0, s1, s2, s3, s4, s5]),
            amf: Amf::from_bytes([a0, a1]),
            mac_a: Mac::from_bytes(mac_a),
        }
    }

    /// Its 16 octets.
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
    /// From its 14 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 14]) -> Self {
        let [s0, s1, s2, s3, s4, s5, mac_s @ ..] = bytes;
        Self { concealed_sqn: Sqn::from_bytes([s0, s1, s2, s3, s4, s5]), mac_s: Mac::from_bytes(mac_s) }
    }

    /// Its 14 octets.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 14] {
        let [s0, s1, s2, s3, s4, s5] = self.concealed_sqn.to_bytes();
        let [m0, m1, m2, m3, m4, m5, m6, m7] = self.mac_s.to_bytes();
        [s0, s1, s2, s3, s4, s5, m0, m1, m2, m3, m4, m5, m6, m7]
    }
}

/// A sequence number of 48 bits: SEQ || IND, with IND of [`Sqn::IND_LENGTH`] bits (TS 33.102 annex C.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sqn(u64);

impl Sqn {
    /// Bits of IND, as annex C.3.2 has it: 32 places in the card's array.
    pub const IND_LENGTH: u32 = 5;
    /// The highest sequence number.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// From a number; none above 48 bits.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// From SEQ (43 bits) and IND (5 bits); none if either has more.
    #[must_use]
    pub const fn from_seq_ind(seq: u64, ind: u8) -> Option<Self> {
        if seq <= Self::MAX.seq() && ind <= Self::MAX.ind() {
            Some(Self(seq << Self::IND_LENGTH | ind as u64))
        } else {
            None
        }
    }

    /// From its 6 octets.
    #[must_use]
    pub const fn from_bytes([b0, b1, b2, b3, b4, b5]: [u8; 6]) -> Self {
        Self(u64::from_be_bytes([0, 0, b0, b1, b2, b3, b4, b5]))
    }

    /// Its 6 octets.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 6] {
        let [_, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// SEQ: what counts.
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.0 >> Self::IND_LENGTH
    }

    /// IND: which place of the card's array it belongs to.
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
    /// What f1* takes in place of AMF, so that AUTS need not carry one: TS 33.102 section 6.3.3.
    pub const RESYNCHRONISATION: Self = Self([0, 0]);

    /// From its 2 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(bytes)
    }

    /// Its 2 octets.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0
    }
}

/// MAC-A or MAC-S; compared in constant time.
#[derive(Debug, Clone, Copy, Eq)]
pub struct Mac([u8; 8]);

impl Mac {
    /// From its 8 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Its 8 octets.
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

/// RES or XRES, 4 to 16 octets (TUAK has 32 also); compared in constant time.
#[derive(Debug, Clone, Eq)]
pub struct Res(Vec<u8>);

impl Res {
    /// The octets, as many as the algorithm gives.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is what a card answered.
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

/// The anonymity key AK or AK*: hides sequence numbers from who listens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ak([u8; 6]);

impl Ak {
    /// From its 6 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// SQN xor AK; done twice, it is SQN again.
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
