//! Checksums of records, and the digest of all of them.

use sha2::{Digest, Sha256};

/// The first 16 octets of a SHA-256 hash.
pub(crate) type Checksum = [u8; 16];

/// Returns the checksum of a record. It also covers collection, key and version, so that a
/// renamed record and an older content are noticed.
pub(crate) fn of_record(collection: &str, key: &str, version: u64, content: &[u8]) -> Checksum {
    let mut hash = Sha256::new_with_prefix(b"record");
    for name in [collection, key] {
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name);
    }
    hash.update(version.to_be_bytes());
    hash.update(content);
    first_half(hash)
}

/// Returns the first half of the hash.
pub(crate) fn first_half(hash: Sha256) -> Checksum {
    let mut half = Checksum::default();
    half.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    half
}

/// The sum of the checksums of a set of records, modulo 2^128. Its value does not depend on their
/// order, and a change of one record needs only the old and the new checksum of that record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest128(u128);

impl Digest128 {
    /// Adds a record.
    pub(crate) fn add(&mut self, record: Checksum) {
        self.0 = self.0.wrapping_add(u128::from_be_bytes(record));
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, record: Checksum) {
        self.0 = self.0.wrapping_sub(u128::from_be_bytes(record));
    }

    /// Returns the octets.
    pub(crate) fn octets(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Returns the digest with these octets.
    pub(crate) fn from_octets(octets: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_covers_every_part_of_a_record_and_their_boundaries() {
        let record = of_record("orders", "a", 7, b"content");
        assert_eq!(record, of_record("orders", "a", 7, b"content"));
        for other in [
            of_record("order", "sa", 7, b"content"),
            of_record("orders", "b", 7, b"content"),
            of_record("orders", "a", 8, b"content"),
            of_record("orders", "a", 7, b"contents"),
        ] {
            assert_ne!(record, other);
        }
    }

    #[test]
    fn a_digest_depends_on_the_set_and_not_on_the_order() {
        let [a, b] = [of_record("c", "a", 1, b""), of_record("c", "b", 1, b"")];
        let (mut first, mut second) = (Digest128::default(), Digest128::default());
        first.add(a);
        first.add(b);
        second.add(b);
        assert_ne!(first, second);
        second.add(a);
        assert_eq!(first, second);
        second.remove(b);
        second.remove(a);
        assert_eq!(second, Digest128::default());
        assert_eq!(Digest128::from_octets(first.octets()), first);
    }
}
