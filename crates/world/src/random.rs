//! The randomness trait and its deterministic implementation.

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// A source of random bytes. Protocol crates never draw bytes from the operating system.
pub trait Random: Send + Sync {
    /// Fills `bytes` completely.
    fn fill(&self, bytes: &mut [u8]);
}

impl<D: Random + ?Sized> Random for Arc<D> {
    fn fill(&self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }
}

/// A deterministic source of random bytes: block `n` of its stream is SHA-256(seed, n).
///
/// Anyone with the seed can compute every key that is made from it. This source is therefore for
/// tests, simulations and replays only. The sizes of the calls do not change the stream. A clone
/// continues the same stream. Give each party its own [`branch`](Self::branch), so that its bytes
/// do not depend on the order in which the parties run.
#[derive(Clone)]
pub struct SeededRandom {
    seed: [u8; 32],
    stream: Arc<Mutex<Stream>>,
}

#[derive(Default)]
struct Stream {
    next_block: u64,
    left: Vec<u8>,
}

impl SeededRandom {
    /// Creates a source from a 256-bit seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, stream: Arc::default() }
    }

    /// Creates a source from the SHA-256 hash of a text.
    pub fn from_text(seed: &str) -> Self {
        Self::new(Sha256::digest(seed.as_bytes()).into())
    }

    /// Returns a source that depends on the same seed and `name` only, no matter how many bytes
    /// were drawn before.
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

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if stream.left.is_empty() {
                let block = Sha256::new()
                    .chain_update(self.seed)
                    .chain_update(b"block")
                    .chain_update(stream.next_block.to_be_bytes());
                stream.next_block += 1;
                // Bytes are taken from the end, so the block is stored in reverse order.
                stream.left = block.finalize().iter().rev().copied().collect();
            }
            *byte = stream.left.pop().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(random: &SeededRandom, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        random.fill(&mut bytes);
        bytes
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_regardless_of_call_sizes() {
        let at_once = draw(&SeededRandom::from_text("7"), 100);
        let random = SeededRandom::from_text("7");
        let in_parts = [draw(&random, 1), draw(&random, 63), draw(&random.clone(), 36)].concat();
        assert_eq!(at_once, in_parts);
        assert_ne!(at_once, draw(&SeededRandom::from_text("8"), 100));
    }

    #[test]
    fn a_branch_depends_only_on_seed_and_name() {
        let random = SeededRandom::from_text("7");
        let early = draw(&random.branch("card"), 40);
        draw(&random, 1000);
        assert_eq!(early, draw(&random.branch("card"), 40));
        assert_ne!(early, draw(&random.branch("server"), 40));
    }

    #[test]
    fn the_stream_matches_its_documentation() {
        let first = Sha256::digest([&[9; 32][..], b"block", &[0; 8]].concat());
        let second = Sha256::digest([&[9; 32][..], b"block", &[0, 0, 0, 0, 0, 0, 0, 1]].concat());
        assert_eq!(draw(&SeededRandom::new([9; 32]), 64), [first, second].concat());
    }
}
