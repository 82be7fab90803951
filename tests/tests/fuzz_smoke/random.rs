//! Seeded random choices and mutations.

use world::{Dice, SeededDice};

pub(crate) struct Hand(pub(crate) SeededDice);

impl Hand {
    pub(crate) fn number(&self, below: usize) -> usize {
        let mut octets = [0; 8];
        self.0.fill(&mut octets);
        usize::try_from(u64::from_be_bytes(octets) % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn octet(&self) -> u8 {
        u8::try_from(self.number(256)).unwrap()
    }

    pub(crate) fn octets(&self, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length];
        self.0.fill(&mut octets);
        octets
    }

    /// Returns true with this probability in percent.
    pub(crate) fn chance(&self, percent: usize) -> bool {
        self.number(100) < percent
    }

    pub(crate) fn pick<'a, T>(&self, among: &'a [T]) -> &'a T {
        &among[self.number(among.len())]
    }

    /// Mutates data: flips bits; removes, repeats, inserts or truncates octets.
    pub(crate) fn spoil(&self, octets: &[u8]) -> Vec<u8> {
        let mut spoiled = octets.to_vec();
        for _ in 0..=self.number(4) {
            let at = self.number(spoiled.len());
            match self.number(6) {
                0 if !spoiled.is_empty() => spoiled[at] ^= 1 << self.number(8),
                1 => spoiled.truncate(at),
                2 if !spoiled.is_empty() => drop(spoiled.remove(at)),
                3 => spoiled.insert(at, self.octet()),
                4 => {
                    let piece: Vec<u8> = spoiled.iter().skip(at).take(self.number(40)).copied().collect();
                    let to = self.number(spoiled.len());
                    spoiled.splice(to..to, piece);
                }
                _ if !spoiled.is_empty() => spoiled[at] = *self.pick(&[0x00, 0x7F, 0x80, 0x82, 0x84, 0xFF]),
                _ => {}
            }
        }
        spoiled
    }
}
