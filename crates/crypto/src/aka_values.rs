//! The values of authentication and key agreement: 3GPP TS 33.102 section 6.3.
//!
//! The algorithms compute these values; `aka` combines them and exports them.

use std::fmt;

use elliptic_curve::subtle::ConstantTimeEq;

use crate::secret::Secret;

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
    /// The value that f1* uses instead of AMF, because AUTS contains no AMF: TS 33.102 section 6.3.3.
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
