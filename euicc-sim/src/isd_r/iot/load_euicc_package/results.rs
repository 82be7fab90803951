//! The results of the operations of a package, with their maximum size.

use rsp::der::{Opaque, Raw};
use rsp::sgp32::EuiccResultData;
use rsp::sgp32::result::ProcessingTerminated;

/// The outcome of an operation.
pub(super) struct Outcome {
    pub(super) data: EuiccResultData,
    pub(super) is_success: bool,
}

/// The results of the operations that were run.
pub(super) struct Results {
    pub(super) entries: Vec<Opaque<EuiccResultData>>,
    octets: usize,
    most: usize,
}

/// The number of octets of the longest result that is a code or an association token, and of
/// processingTerminated after it.
const RESERVED: usize = 16;

impl Results {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: Vec::new(), octets: 0, most }
    }

    /// True if the code of one more operation fits. An operation must not be run without it, because
    /// the eIM would not know its result.
    pub(super) fn has_room(&self) -> bool {
        self.octets.saturating_add(RESERVED) <= self.most
    }

    /// Adds a result. Returns false if it does not fit.
    pub(super) fn push(&mut self, data: EuiccResultData) -> bool {
        let entry = Opaque::from(Raw::new(data));
        let octets = self.octets.saturating_add(entry.bytes().len());
        let fits = octets <= self.most;
        if fits {
            self.octets = octets;
            self.entries.push(entry);
        }
        fits
    }

    /// Adds the reason for which the further operations are not run.
    pub(super) fn terminate(&mut self, reason: ProcessingTerminated) {
        self.entries.push(Opaque::from(Raw::new(EuiccResultData::ProcessingTerminated(reason))));
    }
}
