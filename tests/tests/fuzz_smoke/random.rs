//! Seeded random choices and mutations.

use world::{Random as _, SeededRandom};

pub(crate) struct Random(pub(crate) SeededRandom);

impl Random {
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
    pub(crate) fn mutate_octets(&self, octets: &[u8]) -> Vec<u8> {
        let mut mutated = octets.to_vec();
        for _ in 0..=self.number(4) {
            let at = self.number(mutated.len());
            match self.number(6) {
                0 if !mutated.is_empty() => mutated[at] ^= 1 << self.number(8),
                1 => mutated.truncate(at),
                2 if !mutated.is_empty() => drop(mutated.remove(at)),
                3 => mutated.insert(at, self.octet()),
                4 => {
                    let piece: Vec<u8> = mutated.iter().skip(at).take(self.number(40)).copied().collect();
                    let to = self.number(mutated.len());
                    mutated.splice(to..to, piece);
                }
                _ if !mutated.is_empty() => mutated[at] = *self.pick(&[0x00, 0x7F, 0x80, 0x82, 0x84, 0xFF]),
                _ => {}
            }
        }
        mutated
    }
}
