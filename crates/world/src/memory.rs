//! Non-volatile memory of a card, a device or a home network: named cells that change in atomic
//! batches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Fault;

/// Memory that survives a power cut.
///
/// After a power cut during [`commit`](Self::commit), [`load`](Self::load) returns the cells before
/// the batch or those after it, never a mixture.
pub trait Memory: Send {
    /// Returns all cells by name. A new memory has none.
    fn load(&self) -> Result<Cells, Fault>;

    /// Makes all changes of the batch, or none. When it returns `Ok`, the changes survive a power
    /// cut; after a fault the cells are unchanged.
    fn commit(&mut self, batch: Batch) -> Result<(), Fault>;
}

/// The cells of a memory by name.
pub type Cells = BTreeMap<String, Content>;

impl<M: Memory + ?Sized> Memory for Box<M> {
    fn load(&self) -> Result<Cells, Fault> {
        (**self).load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        (**self).commit(batch)
    }
}

/// Changes that are made together. Each sets or removes a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(Vec<(String, Option<Content>)>);

impl Batch {
    /// Creates a batch that sets one cell.
    pub fn of(cell: impl Into<String>, content: impl Into<Content>) -> Self {
        let mut batch = Self::default();
        batch.put(cell, content);
        batch
    }

    /// Sets a cell, whether or not it exists.
    pub fn put(&mut self, cell: impl Into<String>, content: impl Into<Content>) {
        self.0.push((cell.into(), Some(content.into())));
    }

    /// Removes a cell.
    pub fn remove(&mut self, cell: impl Into<String>) {
        self.0.push((cell.into(), None));
    }

    /// Returns the changes in the order in which they were added. The last change to a cell wins.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = (&str, Option<&Content>)> {
        self.0.iter().map(|(cell, content)| (cell.as_str(), content.as_ref()))
    }

    /// True if the batch contains no change.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies the changes to `cells`.
    pub fn apply_to(self, cells: &mut Cells) {
        for (cell, content) in self.0 {
            match content {
                Some(content) => drop(cells.insert(cell, content)),
                None => drop(cells.remove(&cell)),
            }
        }
    }
}

/// The content of a cell: octets in pieces that can be shared with the code that wrote them. The
/// boundaries of the pieces have no meaning.
#[derive(Clone)]
pub struct Content(Pieces);

#[derive(Clone)]
enum Pieces {
    One(Arc<Vec<u8>>),
    Many(Arc<Vec<Arc<Vec<u8>>>>),
}

impl Content {
    /// Encodes a value as JSON.
    ///
    /// # Errors
    /// The value cannot be encoded as JSON, which is a bug.
    pub fn json(value: &impl Serialize) -> Result<Self, Fault> {
        let octets = serde_json::to_vec(value);
        octets.map(Self::from).map_err(|why| {
            Fault::caused_by(why, "cannot encode the content of a memory cell", "report this as a bug")
        })
    }

    /// Decodes a value from JSON.
    ///
    /// # Errors
    /// The content is not the JSON of such a value.
    pub fn from_json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.0 {
            Pieces::One(octets) => serde_json::from_slice(octets),
            Pieces::Many(_) => serde_json::from_slice(&self.to_vec()),
        }
    }

    /// Returns the pieces. Their concatenation is the content.
    pub fn pieces(&self) -> &[Arc<Vec<u8>>] {
        match &self.0 {
            Pieces::One(octets) => std::slice::from_ref(octets),
            Pieces::Many(pieces) => pieces,
        }
    }

    /// Returns the number of octets.
    pub fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// True if the content is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the octets of all pieces.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().iter().flat_map(|piece| piece.iter().copied()).collect()
    }

    /// Returns the content as one piece, without a copy if it already consists of one piece.
    pub fn whole(&self) -> Arc<Vec<u8>> {
        match &self.0 {
            Pieces::One(octets) => Arc::clone(octets),
            Pieces::Many(_) => Arc::new(self.to_vec()),
        }
    }

    /// Returns the content in pieces of these lengths, without a copy if it is already divided so.
    /// Returns `None` if the lengths do not add up to the length of the content.
    pub fn cut(&self, lengths: &[usize]) -> Option<Arc<Vec<Arc<Vec<u8>>>>> {
        if let Pieces::Many(pieces) = &self.0
            && pieces.iter().map(|piece| piece.len()).eq(lengths.iter().copied())
        {
            return Some(Arc::clone(pieces));
        }
        let whole = self.to_vec();
        let mut rest = whole.as_slice();
        let mut cut = Vec::with_capacity(lengths.len());
        for length in lengths {
            let (piece, after) = rest.split_at_checked(*length)?;
            cut.push(Arc::new(piece.to_vec()));
            rest = after;
        }
        rest.is_empty().then(|| Arc::new(cut))
    }
}

impl From<Vec<u8>> for Content {
    fn from(mut octets: Vec<u8>) -> Self {
        octets.shrink_to_fit();
        Arc::new(octets).into()
    }
}

impl From<Arc<Vec<u8>>> for Content {
    fn from(octets: Arc<Vec<u8>>) -> Self {
        Self(Pieces::One(octets))
    }
}

impl From<Arc<Vec<Arc<Vec<u8>>>>> for Content {
    fn from(pieces: Arc<Vec<Arc<Vec<u8>>>>) -> Self {
        Self(Pieces::Many(pieces))
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Pieces::One(own), Pieces::One(other)) => own == other,
            (Pieces::Many(own), Pieces::Many(other)) if own == other => true,
            _ => self.len() == other.len() && self.to_vec() == other.to_vec(),
        }
    }
}

impl Eq for Content {}

/// Shows only the length, because the content may include keys.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} octets>", self.len())
    }
}

/// Memory that lasts as long as the process. A clone is the same memory, so that a test can create
/// a new card with the memory of an old one. Content stays shared with the code that wrote it.
#[derive(Clone, Debug, Default)]
pub struct RamMemory(Arc<Mutex<Cells>>);

impl RamMemory {
    /// Creates a memory with these cells.
    pub fn of(cells: Cells) -> Self {
        Self(Arc::new(Mutex::new(cells)))
    }
}

impl Memory for RamMemory {
    fn load(&self) -> Result<Cells, Fault> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        batch.apply_to(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(of: &[&[u8]]) -> Arc<Vec<Arc<Vec<u8>>>> {
        Arc::new(of.iter().map(|piece| Arc::new(piece.to_vec())).collect())
    }

    #[test]
    fn the_boundaries_of_pieces_have_no_meaning() {
        let [whole, cut] = [Content::from(b"abcd".to_vec()), Content::from(pieces(&[b"a", b"", b"bcd"]))];
        assert_eq!(whole, cut);
        assert_eq!(cut.len(), 4);
        assert_eq!(*cut.whole(), b"abcd");
        assert_ne!(whole, Content::from(pieces(&[b"a", b"bce"])));
        assert_ne!(whole, Content::from(pieces(&[b"a", b"bcde"])));
        assert_eq!(format!("{cut:?}"), "<4 octets>");
        let many = [pieces(&[b"ab", b"cd"]), pieces(&[b"ab", b"cx"])].map(Content::from);
        assert_ne!(many[0], many[1]);
        assert_ne!(Content::from(b"abcd".to_vec()), Content::from(b"abcx".to_vec()));
        assert!(!cut.is_empty() && !whole.is_empty());
        assert!(Content::from(pieces(&[b"", b""])).is_empty());
    }

    #[test]
    fn a_boxed_memory_behaves_like_the_memory_in_the_box() {
        let mut memory: Box<dyn Memory> = Box::new(RamMemory::default());
        memory.commit(Batch::of("a", vec![1])).unwrap();
        assert_eq!(Memory::load(&memory).unwrap(), Cells::from([("a".to_owned(), vec![1].into())]));
        assert!(Batch::default().is_empty() && !Batch::of("a", vec![1]).is_empty());
    }

    #[test]
    fn content_is_cut_as_requested_and_shared_if_already_divided_so() {
        let own = pieces(&[b"a", b"bcd"]);
        let content = Content::from(Arc::clone(&own));
        assert!(Arc::ptr_eq(&content.cut(&[1, 3]).unwrap(), &own));
        assert_eq!(content.cut(&[2, 0, 2]).unwrap(), pieces(&[b"ab", b"", b"cd"]));
        for wrong in [&[1, 2][..], &[1, 4], &[5], &[]] {
            assert_eq!(content.cut(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_last_change_to_a_cell_wins_and_a_clone_is_the_same_memory() {
        let mut memory = RamMemory::default();
        let other = memory.clone();
        let mut batch = Batch::of("a", vec![1]);
        batch.put("b", vec![2]);
        batch.remove("a");
        batch.put("b", vec![3]);
        memory.commit(batch).unwrap();
        assert_eq!(other.load().unwrap(), Cells::from([("b".to_owned(), vec![3].into())]));
    }
}
