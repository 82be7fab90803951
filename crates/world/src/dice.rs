//! Randomness as a trait.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Gives random bytes. Nothing in a protocol crate asks the operating system.
pub trait Dice: Send + Sync {
    /// Fills the whole of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

impl<D: Dice + ?Sized> Dice for Arc<D> {
    fn fill(&self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }
}

/// Dice whose every throw follows from a seed: block `n` of the stream is SHA-256(seed, n).
///
/// Whoever knows the seed knows every key made from it, so these are for tests, simulations and replays. How the
/// stream is cut into calls does not change it. A clone continues the same stream; for a party of its own take a
/// [`branch`](Self::branch), so that the order in which parties run does not change what each of them throws.
#[derive(Clone)]
pub struct SeededDice {
    seed: [u8; 32],
    stream: Arc<Mutex<Stream>>,
}

#[derive(Default)]
struct Stream {
    next_block: u64,
    left: Vec<u8>,
}

impl SeededDice {
    /// Dice from a whole seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, stream: Arc::default() }
    }

    /// Dice from a seed that a person can type: the seed is its SHA-256.
    pub fn from_text(seed: &str) -> Self {
        Self::new(Sha256::digest(seed.as_bytes()).into())
    }

    /// Other dice that follow from the same seed and `name` alone, however often these have been thrown.
    pub fn branch(&self, name: &str) -> Self {
        Self::new(
            Sha256::new()
                .chain_update(self.seed)
                .chain_update(b"branch")
                .chain_update(name)
                .finalize()
                .into(),
        )
    }
}

impl Dice for SeededDice {
    fn fill(&self, bytes: &mut [u8]) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if stream.left.is_empty() {
                let block = Sha256::new()
                    .chain_update(self.seed)
                    .chain_update(b"block")
                    .chain_update(stream.next_block.to_be_bytes());
                stream.next_block += 1;
                // Taken from the end, so turned round.
                stream.left = block.finalize().iter().rev().copied().collect();
            }
            *byte = stream.left.pop().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throw(dice: &SeededDice, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        dice.fill(&mut bytes);
        bytes
    }

    #[test]
    fn same_seed_same_bytes_however_they_are_drawn() {
        let at_once = throw(&SeededDice::from_text("7"), 100);
        let dice = SeededDice::from_text("7");
        let in_parts = [throw(&dice, 1), throw(&dice, 63), throw(&dice.clone(), 36)].concat();
        assert_eq!(at_once, in_parts);
        assert_ne!(at_once, throw(&SeededDice::from_text("8"), 100));
    }

    #[test]
    fn a_branch_depends_on_seed_and_name_only() {
        let dice = SeededDice::from_text("7");
        let early = throw(&dice.branch("card"), 40);
        throw(&dice, 1000);
        assert_eq!(early, throw(&dice.branch("card"), 40));
        assert_ne!(early, throw(&dice.branch("server"), 40));
    }

    #[test]
    fn the_stream_is_the_documented_one() {
        let first = Sha256::digest([&[9; 32][..], b"block", &[0; 8]].concat());
        let second = Sha256::digest([&[9; 32][..], b"block", &[0, 0, 0, 0, 0, 0, 0, 1]].concat());
        assert_eq!(throw(&SeededDice::new([9; 32]), 64), [first, second].concat());
    }
}
