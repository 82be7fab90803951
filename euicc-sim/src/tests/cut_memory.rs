//! A memory that simulates power cuts and write failures.

use std::sync::{Arc, Mutex};

use world::{Batch, Cells, Fault, Memory, RamMemory};

/// A memory whose writes fail, beginning with write `fails_at`. Either all further writes fail, or
/// a given number of them.
#[derive(Clone)]
pub(crate) struct CutMemory {
    inner: RamMemory,
    attempts: Arc<Mutex<usize>>,
    written: Arc<Mutex<Vec<Cells>>>,
    fails_at: usize,
    /// True if the first failing write takes effect nevertheless: the power was cut after it.
    after: bool,
    /// The number of failing writes.
    failures: usize,
}

impl CutMemory {
    pub(crate) fn new(cells: Cells, fails_at: usize, after: bool) -> Self {
        let inner = RamMemory::of(cells);
        Self {
            inner,
            attempts: Arc::default(),
            written: Arc::default(),
            fails_at,
            after,
            failures: usize::MAX,
        }
    }

    /// A memory whose writes do not fail.
    pub(crate) fn intact(cells: Cells) -> Self {
        Self::new(cells, usize::MAX, false)
    }

    /// A memory whose failing writes have no effect, and which works again after `failures` of
    /// them.
    pub(crate) fn failing(cells: Cells, fails_at: usize, failures: usize) -> Self {
        Self { failures, ..Self::new(cells, fails_at, false) }
    }

    /// The number of successful writes.
    pub(crate) fn writes(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    /// The cells after each write.
    pub(crate) fn written(&self) -> Vec<Cells> {
        self.written.lock().unwrap().clone()
    }

    pub(crate) fn cells(&self) -> Cells {
        self.inner.load().unwrap()
    }
}

impl Memory for CutMemory {
    fn load(&self) -> Result<Cells, Fault> {
        self.inner.load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        let number = {
            let mut attempts = self.attempts.lock().unwrap();
            *attempts += 1;
            *attempts - 1
        };
        let fails = number >= self.fails_at && number - self.fails_at < self.failures;
        if !fails || self.after && number == self.fails_at {
            self.inner.commit(batch)?;
            self.written.lock().unwrap().push(self.inner.load()?);
        }
        if fails { Err(Fault::new("cannot write", "no power", "retry later")) } else { Ok(()) }
    }
}
