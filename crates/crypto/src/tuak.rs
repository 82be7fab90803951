//! TUAK, the second example algorithm set for f1, f1*, f2, f3, f4, f5 and f5*: 3GPP TS 35.231,
//! based on Keccak-f\[1600\].

use std::num::NonZeroU8;

use keccak::{Keccak, State1600};
use zeroize::{Zeroize, Zeroizing};

use crate::aka_values::{Ak, Amf, KeySet, Mac, Res, Sqn};
use crate::secret::Secret;

/// A subscriber's TUAK instance: K, TOPc, the length of RES and the number of iterations of the
/// permutation.
///
/// AUTN, AUTS and the keys of TS 33.102 have 64-bit MACs and 128-bit keys. TS 35.231 also allows
/// other lengths, which f1 to f5* do not use.
#[derive(Debug, Clone)]
pub struct Tuak {
    k: TuakKey,
    topc: Secret<[u8; 32]>,
    res_length: ResLength,
    iterations: NonZeroU8,
}

/// The subscriber key K.
#[derive(Debug, Clone)]
pub enum TuakKey {
    /// 128 bits.
    Bits128(Secret<[u8; 16]>),
    /// 256 bits.
    Bits256(Secret<[u8; 32]>),
}

/// The length of RES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResLength {
    /// 32 bits.
    Bits32 = 4,
    /// 64 bits.
    Bits64 = 8,
    /// 128 bits.
    Bits128 = 16,
    /// 256 bits, more than TS 33.102 allows.
    Bits256 = 32,
}

impl ResLength {
    /// Converts from a number of octets. Returns `None` for a length that TS 35.231 does not allow.
    #[must_use]
    pub const fn from_octets(octets: u8) -> Option<Self> {
        match octets {
            4 => Some(Self::Bits32),
            8 => Some(Self::Bits64),
            16 => Some(Self::Bits128),
            32 => Some(Self::Bits256),
            _ => None,
        }
    }
}

impl Tuak {
    /// Creates an instance with RES of 64 bits and one iteration, the minimum of TS 35.231.
    #[must_use]
    pub const fn new(k: TuakKey, topc: [u8; 32]) -> Self {
        Self { k, topc: Secret::new(topc), res_length: ResLength::Bits64, iterations: NonZeroU8::MIN }
    }

    /// Sets the length of RES.
    #[must_use]
    pub const fn with_res_length(mut self, length: ResLength) -> Self {
        self.res_length = length;
        self
    }

    /// Sets the number of iterations of the permutation.
    #[must_use]
    pub const fn with_iterations(mut self, iterations: NonZeroU8) -> Self {
        self.iterations = iterations;
        self
    }

    /// f1: computes MAC-A of 64 bits.
    #[must_use]
    pub fn f1(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        Mac::from_bytes(self.out1(F1, MAC, rand, sqn, amf).first(0))
    }

    /// f1*: computes MAC-S of 64 bits.
    #[must_use]
    pub fn f1_star(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        Mac::from_bytes(self.out1(F1_STAR, MAC, rand, sqn, amf).first(0))
    }

    /// f2, f3, f4 and f5: compute RES, CK and IK of 128 bits, and AK.
    #[must_use]
    pub fn f2345(&self, rand: &[u8; 16]) -> KeySet {
        let out = self.out2345(KEYS_OF_128_BITS, rand);
        KeySet { res: self.res(&out), ck: out.first(CK).into(), ik: out.first(IK).into(), ak: out.ak() }
    }

    /// f5*: computes the anonymity key that conceals SQN in AUTS.
    #[must_use]
    pub fn f5_star(&self, rand: &[u8; 16]) -> Ak {
        self.k.out(self.iterations, self.topc.expose(), F5_STAR, rand, &[0; 2], &[0; 6]).ak()
    }

    fn out1(&self, function: u8, mac_length: u8, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Out {
        let instance = function | mac_length;
        self.k.out(self.iterations, self.topc.expose(), instance, rand, &amf.to_bytes(), &sqn.to_bytes())
    }

    fn out2345(&self, key_lengths: u8, rand: &[u8; 16]) -> Out {
        let res = match self.res_length {
            ResLength::Bits32 => 0,
            length => length as u8,
        };
        let instance = F2345 | res | key_lengths;
        self.k.out(self.iterations, self.topc.expose(), instance, rand, &[0; 2], &[0; 6])
    }

    fn res(&self, out: &Out) -> Res {
        Res::new(out.octets(0, self.res_length as usize))
    }
}

/// Computes TOPc from TOP: TS 35.231 section 6.1. TOP belongs to the operator, TOPc to the
/// subscriber.
#[must_use]
pub fn topc(k: &TuakKey, top: &[u8; 32], iterations: NonZeroU8) -> [u8; 32] {
    k.out(iterations, top, 0, &[0; 16], &[0; 2], &[0; 6]).first(0)
}

/// The octet INSTANCE is the sum of three values: the function, the length of MAC or RES in octets
/// (0 for RES of 4 octets), and the bits for the lengths of CK, IK and K.
const F1: u8 = 0x00;
const F1_STAR: u8 = 0x80;
const F2345: u8 = 0x40;
const F5_STAR: u8 = 0xC0;
const KEYS_OF_128_BITS: u8 = 0x00;
const K_256: u8 = 0x01;

/// The length of a 64-bit MAC in octets.
const MAC: u8 = 8;

const ALGONAME: &[u8] = b"TUAK1.0";

/// The offsets in OUT, in octets, of the outputs other than MAC and RES.
const CK: usize = 32;
const IK: usize = 64;
const AK: usize = 96;

impl TuakKey {
    /// Creates a key from 16 or 32 octets. Returns `None` for any other length.
    #[must_use]
    pub fn from_bytes(octets: &[u8]) -> Option<Self> {
        match octets.len() {
            16 => octets.try_into().ok().map(|k| Self::Bits128(Secret::new(k))),
            _ => octets.try_into().ok().map(|k| Self::Bits256(Secret::new(k))),
        }
    }

    /// Fills IN and applies the permutation: TS 35.231 section 6.2. The standard and Keccak number
    /// bits in opposite directions, so the octets of every field are reversed on input and on
    /// output.
    fn out(
        &self,
        iterations: NonZeroU8,
        topc: &[u8; 32],
        instance: u8,
        rand: &[u8; 16],
        amf: &[u8; 2],
        sqn: &[u8; 6],
    ) -> Out {
        let (k, instance): (&[u8], u8) = match self {
            Self::Bits128(k) => (k.expose(), instance),
            Self::Bits256(k) => (k.expose(), instance | K_256),
        };
        let fields: [&[u8]; 7] = [topc, &[instance], ALGONAME, rand, amf, sqn, k];
        let mut wiped = Zeroizing::new([0; 200]);
        let block: &mut [u8; 200] = &mut wiped;
        for (place, octet) in block.iter_mut().zip(fields.iter().flat_map(|field| field.iter().rev())) {
            *place = *octet;
        }
        // Keccak padding after 96 octets, with a rate of 136 octets.
        block[96] = 0x1F;
        block[135] = 0x80;
        let (lanes, _) = block.as_chunks::<8>();
        let mut state: State1600 = [0; 25];
        for (lane, octets) in state.iter_mut().zip(lanes) {
            *lane = u64::from_le_bytes(*octets);
        }
        Keccak::new().with_f1600(|f1600| (0..iterations.get()).for_each(|_| f1600(&mut state)));
        for (octets, lane) in block.as_chunks_mut::<8>().0.iter_mut().zip(state) {
            *octets = lane.to_le_bytes();
        }
        state.zeroize();
        Out(wiped)
    }
}

/// The output of the permutation, OUT.
struct Out(Zeroizing<[u8; 200]>);

impl Out {
    fn octets(&self, at: usize, length: usize) -> Vec<u8> {
        let mut octets: Vec<u8> = self.0.iter().skip(at).take(length).copied().collect();
        octets.reverse();
        octets
    }

    fn first<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut octets = [0; N];
        octets.iter_mut().rev().zip(self.0.iter().skip(at)).for_each(|(octet, out)| *octet = *out);
        octets
    }

    fn ak(&self) -> Ak {
        Ak::from_bytes(self.first(AK))
    }
}

#[cfg(test)]
mod tests;
