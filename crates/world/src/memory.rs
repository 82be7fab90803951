//! Non-volatile memory of a card, a device or a home network: named cells, changed batch by batch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Fault;

/// Memory that survives a power cut.
///
/// After a cut during [`commit`](Self::commit), [`load`](Self::load) gives the cells before the batch or those after
/// it, never a mixture.
pub trait Memory: Send {
    /// Every cell by its name; none in a memory that is new.
    fn load(&self) -> Result<Cells, Fault>;

    /// Makes every change of the batch, or none. When it returns, they survive a power cut; after a fault the cells
    /// are as they were.
    fn commit(&mut self, batch: Batch) -> Result<(), Fault>;
}

/// The cells of a memory by their names.
pub type Cells = BTreeMap<String, Content>;

impl<M: Memory + ?Sized> Memory for Box<M> {
    fn load(&self) -> Result<Cells, Fault> {
        (**self).load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        (**self).commit(batch)
    }
}

/// Changes that are made together: the new content of a cell, or that it is no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(Vec<(String, Option<Content>)>);

impl Batch {
    /// A batch of nothing but one cell.
    pub fn of(cell: impl Into<String>, content: impl Into<Content>) -> Self {
        let mut batch = Self::default();
        batch.put(cell, content);
        batch
    }

    /// The cell gets this content, whether or not it was there.
    pub fn put(&mut self, cell: impl Into<String>, content: impl Into<Content>) {
        self.0.push((cell.into(), Some(content.into())));
    }

    /// The cell goes.
    pub fn remove(&mut self, cell: impl Into<String>) {
        self.0.push((cell.into(), None));
    }

    /// The changes in the order in which they were noted; of two to one cell the later counts.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = (&str, Option<&Content>)> {
        self.0.iter().map(|(cell, content)| (cell.as_str(), content.as_ref()))
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the cells are once the changes are made.
    pub fn apply_to(self, cells: &mut Cells) {
        for (cell, content) in self.0 {
            match content {
                Some(content) => drop(cells.insert(cell, content)),
                None => drop(cells.remove(&cell)),
            }
        }
    }
}

/// What is in a cell: octets, in pieces that can be shared with whoever wrote them. Where one piece ends and the next
/// begins means nothing.
#[derive(Clone)]
pub struct Content(Pieces);

#[derive(Clone)]
enum Pieces {
    One(Arc<Vec<u8>>),
    Many(Arc<Vec<Arc<Vec<u8>>>>),
}

impl Content {
    /// A value as JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON, which is a bug.
    pub fn json(value: &impl Serialize) -> Result<Self, Fault> {
        let octets = serde_json::to_vec(value);
        octets.map(Self::from).map_err(|why| {
            Fault::caused_by(why, "cannot write down the content of a memory", "report this as a bug")
        })
    }

    /// The value whose JSON it is.
    ///
    /// # Errors
    /// It is not the JSON of such a value.
    pub fn from_json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.0 {
            Pieces::One(octets) => serde_json::from_slice(octets),
            Pieces::Many(_) => serde_json::from_slice(&self.to_vec()),
        }
    }

    /// The pieces, which together are the content.
    pub fn pieces(&self) -> &[Arc<Vec<u8>>] {
        match &self.0 {
            Pieces::One(octets) => std::slice::from_ref(octets),
            Pieces::Many(pieces) => pieces,
        }
    }

    /// How many octets.
    pub fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// Whether there are no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The octets in one.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().iter().flat_map(|piece| piece.iter().copied()).collect()
    }

    /// The content as one piece: the one it has, if it has only one.
    pub fn whole(&self) -> Arc<Vec<u8>> {
        match &self.0 {
            Pieces::One(octets) => Arc::clone(octets),
            Pieces::Many(_) => Arc::new(self.to_vec()),
        }
    }

    /// The content in pieces of these lengths: those it has, if they are so; none if the lengths do not add up to it.
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

/// How much, not what: keys are among it.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} octets>", self.len())
    }
}

/// Memory that lasts as long as the process. A clone is the same memory, so that a test can pull a card out and put
/// its memory under a new one. Pieces of contents stay shared with whoever wrote them.
#[derive(Clone, Debug, Default)]
pub struct RamMemory(Arc<Mutex<Cells>>);

impl RamMemory {
    /// A memory with these cells.
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
    fn where_a_piece_ends_means_nothing() {
        let [whole, cut] = [Content::from(b"abcd".to_vec()), Content::from(pieces(&[b"a", b"", b"bcd"]))];
        assert_eq!(whole, cut);
        assert_eq!(cut.len(), 4);
        assert_eq!(*cut.whole(), b"abcd");
        assert_ne!(whole, Content::from(pieces(&[b"a", b"bce"])));
        assert_ne!(whole, Content::from(pieces(&[b"a", b"bcde"])));
        assert_eq!(format!("{cut:?}"), "<4 octets>");
    }

    #[test]
    fn content_is_cut_as_asked_and_shared_where_it_is_cut_so_already() {
        let own = pieces(&[b"a", b"bcd"]);
        let content = Content::from(Arc::clone(&own));
        assert!(Arc::ptr_eq(&content.cut(&[1, 3]).unwrap(), &own));
        assert_eq!(content.cut(&[2, 0, 2]).unwrap(), pieces(&[b"ab", b"", b"cd"]));
        for wrong in [&[1, 2][..], &[1, 4], &[5], &[]] {
            assert_eq!(content.cut(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn of_two_changes_to_a_cell_the_later_counts_and_a_clone_is_the_same_memory() {
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
