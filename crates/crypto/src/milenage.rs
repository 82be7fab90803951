//! MILENAGE, the example algorithm set of 3GPP TS 35.206 for f1, f1*, f2, f3, f4, f5 and f5*.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

use crate::aka_values::{Ak, Amf, KeySet, Mac, Res, Sqn};
use crate::secret::Secret;

/// A subscriber's MILENAGE instance: K, OPc and the constants of the operator's variant.
#[derive(Debug, Clone)]
pub struct Milenage {
    k: Secret<[u8; 16]>,
    opc: Secret<[u8; 16]>,
    constants: Constants,
}

impl Milenage {
    /// Creates an instance with the constants of TS 35.206 section 4.1.
    #[must_use]
    pub fn new(k: [u8; 16], opc: [u8; 16]) -> Self {
        Self::with_constants(k, opc, Constants::default())
    }

    /// Creates an instance with operator-specific constants.
    #[must_use]
    pub const fn with_constants(k: [u8; 16], opc: [u8; 16], constants: Constants) -> Self {
        Self { k: Secret::new(k), opc: Secret::new(opc), constants }
    }

    /// f1: computes MAC-A, which authenticates the network.
    #[must_use]
    pub fn f1(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        let [mac_a @ .., _, _, _, _, _, _, _, _] = self.out1(rand, sqn, amf);
        Mac::from_bytes(mac_a)
    }

    /// f1*: computes MAC-S, which authenticates the card in AUTS.
    #[must_use]
    pub fn f1_star(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> Mac {
        let [_, _, _, _, _, _, _, _, mac_s @ ..] = self.out1(rand, sqn, amf);
        Mac::from_bytes(mac_s)
    }

    /// f2, f3, f4 and f5: compute RES, CK, IK and AK. RES has 8 octets.
    #[must_use]
    pub fn f2345(&self, rand: &[u8; 16]) -> KeySet {
        let kernel = self.kernel();
        let temp = kernel.temp(rand);
        let [second, third, fourth, _] = self.constants.later();
        let [a0, a1, a2, a3, a4, a5, _, _, res @ ..] = kernel.out(temp, second);
        KeySet {
            res: Res::new(res.to_vec()),
            ck: kernel.out(temp, third).into(),
            ik: kernel.out(temp, fourth).into(),
            ak: Ak::from_bytes([a0, a1, a2, a3, a4, a5]),
        }
    }

    /// f5*: computes the anonymity key that conceals SQN in AUTS.
    #[must_use]
    pub fn f5_star(&self, rand: &[u8; 16]) -> Ak {
        let kernel = self.kernel();
        let [_, _, _, fifth] = self.constants.later();
        let [a0, a1, a2, a3, a4, a5, ..] = kernel.out(kernel.temp(rand), fifth);
        Ak::from_bytes([a0, a1, a2, a3, a4, a5])
    }

    fn out1(&self, rand: &[u8; 16], sqn: Sqn, amf: Amf) -> [u8; 16] {
        let kernel = self.kernel();
        let half = u128::from(sqn.value()) << 16 | u128::from(u16::from_be_bytes(amf.to_bytes()));
        let in1 = half << 64 | half;
        let (r1, c1) = self.constants.first();
        kernel.last(kernel.temp(rand) ^ (in1 ^ kernel.opc).rotate_left(r1) ^ c1)
    }

    fn kernel(&self) -> Kernel {
        Kernel { cipher: Aes128::new(self.k.expose().into()), opc: u128::from_be_bytes(*self.opc.expose()) }
    }
}

/// The operator-specific constants: TS 35.206 section 4.1; section 5.3 explains how to choose them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constants {
    /// r1 to r5: the number of bits of left rotation, modulo 128.
    pub r: [u8; 5],
    /// c1 to c5: the values that are combined with the input of the last encryption by exclusive
    /// or.
    pub c: [[u8; 16]; 5],
}

impl Default for Constants {
    fn default() -> Self {
        Self { r: [64, 0, 32, 64, 96], c: [0_u128, 1, 2, 4, 8].map(u128::to_be_bytes) }
    }
}

impl Constants {
    fn first(&self) -> (u32, u128) {
        let ([r1, ..], [c1, ..]) = (self.r, self.c);
        (u32::from(r1), u128::from_be_bytes(c1))
    }

    fn later(&self) -> [(u32, u128); 4] {
        let ([_, r2, r3, r4, r5], [_, c2, c3, c4, c5]) = (self.r, self.c);
        [(r2, c2), (r3, c3), (r4, c4), (r5, c5)].map(|(r, c)| (u32::from(r), u128::from_be_bytes(c)))
    }
}

/// The kernel function E\[\]K with its expanded key, and OPc.
struct Kernel {
    cipher: Aes128,
    opc: u128,
}

impl Kernel {
    fn temp(&self, rand: &[u8; 16]) -> u128 {
        encrypt(&self.cipher, u128::from_be_bytes(*rand) ^ self.opc)
    }

    fn out(&self, temp: u128, (r, c): (u32, u128)) -> [u8; 16] {
        self.last((temp ^ self.opc).rotate_left(r) ^ c)
    }

    fn last(&self, block: u128) -> [u8; 16] {
        (encrypt(&self.cipher, block) ^ self.opc).to_be_bytes()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // The cipher wipes its key schedule itself.
        self.opc.zeroize();
    }
}

/// Computes OPc = E\[OP\]K xor OP: TS 35.206 section 4.1. OP belongs to the operator, OPc to the
/// subscriber.
#[must_use]
pub fn opc(k: &[u8; 16], op: &[u8; 16]) -> [u8; 16] {
    let op = u128::from_be_bytes(*op);
    (encrypt(&Aes128::new(k.into()), op) ^ op).to_be_bytes()
}

fn encrypt(cipher: &Aes128, block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

#[cfg(test)]
mod tests;
