//! The number of the last commit of a store, kept outside the store.
//!
//! A store that has lost its last commits (a deleted journal, a truncated file, an older copy) is
//! often valid in itself. The mark shows the loss: its number is higher than that of the store.
//!
//! A commit writes the mark after it is durable, and does not sync it. The mark is therefore never
//! ahead of the store, but after a power cut it can be behind. It survives the end of the process,
//! even by SIGKILL.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

/// An identifier that distinguishes a store from others.
pub(crate) type StoreId = [u8; 16];

const HEADING: &str = "landfall-commits 1";
/// Length of a mark: heading, identifier, number, checksum, and what separates them.
const LENGTH: usize = HEADING.len() + 1 + 32 + 1 + 20 + 1 + 16 + 1;

/// The last commit of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitMark {
    /// The store that the mark belongs to.
    pub(crate) store: StoreId,
    /// The number of the last commit.
    pub(crate) number: u64,
}

/// The content of a file that can contain a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoundMark {
    /// The file is empty.
    Nothing,
    /// The file has another content.
    Damaged,
    /// The file contains a mark.
    Mark(CommitMark),
}

impl CommitMark {
    /// Reads the mark.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(file: &File) -> io::Result<FoundMark> {
        // One octet more than a mark shows that the file is longer.
        let mut octets = [0; LENGTH + 1];
        let mut length = 0;
        while let Some(rest) = octets.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, length as u64)? {
                0 => break,
                read => length += read,
            }
        }
        let text = octets.get(..length).and_then(|octets| str::from_utf8(octets).ok());
        Ok(match text {
            Some("") => FoundMark::Nothing,
            text => text.and_then(Self::decode).map_or(FoundMark::Damaged, FoundMark::Mark),
        })
    }

    /// Writes the mark in one call, so that a process that is killed leaves the old mark or the new
    /// one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(self, file: &File) -> io::Result<()> {
        file.write_all_at(self.encode().as_bytes(), 0)
    }

    fn encode(self) -> String {
        let text = format!("{HEADING} {} {:020}", hex::encode(self.store), self.number);
        format!("{text} {}\n", checksum(&text))
    }

    fn decode(text: &str) -> Option<Self> {
        let (text, found) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        let (store, number) = text.strip_prefix(HEADING)?.strip_prefix(' ')?.split_once(' ')?;
        let mut mark = Self { store: [0; 16], number: number.parse().ok()? };
        hex::decode_to_slice(store, &mut mark.store).ok()?;
        // Upper-case digits are not accepted, so that a wrong bit in their case is noticed.
        (found == checksum(text) && mark.encode().starts_with(text)).then_some(mark)
    }
}

fn checksum(text: &str) -> String {
    hex::encode(Sha256::digest(text).get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: CommitMark = CommitMark { store: [0xA5; 16], number: 4711 };

    fn found(content: &[u8]) -> FoundMark {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        std::fs::write(&path, content).unwrap();
        CommitMark::read(&File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(folder.path().join("mark")).unwrap();
        assert_eq!(CommitMark::read(&file).unwrap(), FoundMark::Nothing);
        for number in [u64::MAX, 0, 4711] {
            let mark = CommitMark { number, ..MARK };
            mark.write(&file).unwrap();
            assert_eq!(CommitMark::read(&file).unwrap(), FoundMark::Mark(mark));
            assert_eq!(file.metadata().unwrap().len(), LENGTH as u64);
        }
    }

    #[test]
    fn a_mark_with_a_wrong_bit_or_another_length_is_damaged() {
        let whole = MARK.encode().into_bytes();
        assert_eq!(found(&whole), FoundMark::Mark(MARK));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut wrong = whole.clone();
                wrong[at] ^= 1 << bit;
                assert_eq!(found(&wrong), FoundMark::Damaged, "bit {bit} of octet {at}");
            }
            let expected = if at == 0 { FoundMark::Nothing } else { FoundMark::Damaged };
            assert_eq!(found(&whole[..at]), expected, "cut to {at} octets");
        }
        assert_eq!(found(&[&whole[..], b"\n"].concat()), FoundMark::Damaged);
    }
}
