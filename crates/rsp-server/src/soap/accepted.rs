//! The deviations of one message. They are collected when the message is decoded, and reported
//! after it has been handled.

use std::sync::{Arc, Mutex, PoisonError};

use rsp::finding::{self, Finding};

/// The deviations that were accepted in one message. All copies share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Accepted(Arc<Mutex<Vec<Finding>>>);

impl Accepted {
    /// Runs a decoder and keeps the deviations that it accepts. If a message is decoded
    /// again, its deviations are kept once.
    pub(super) fn collect<T>(&self, decode: impl FnOnce() -> T) -> T {
        let (result, found) = finding::collect(decode);
        self.keep(found);
        result
    }

    /// Runs a task and keeps the deviations that its decoders accept.
    pub(super) async fn collect_from<T>(&self, task: impl Future<Output = T>) -> T {
        let (result, found) = finding::collect_from(task).await;
        self.keep(found);
        result
    }

    fn keep(&self, found: Vec<Finding>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for finding in found {
            if all.len() < finding::MAX_FINDINGS && !all.contains(&finding) {
                all.push(finding);
            }
        }
    }

    /// Returns the deviations found so far.
    pub(super) fn all(&self) -> Vec<Finding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use rsp::finding::{FindingKind, MAX_FINDINGS};

    use super::*;

    #[test]
    fn the_deviations_of_a_message_are_kept_once_and_limited() {
        let accepted = Accepted::default();
        for first in [0, 0, 20, 40] {
            accepted.collect(|| {
                for number in first..first + 20 {
                    finding::report(FindingKind::UnknownElement, || number.to_string());
                }
            });
        }
        let expected =
            (0..MAX_FINDINGS).map(|number| Finding::new(FindingKind::UnknownElement, number.to_string()));
        assert_eq!(accepted.all(), expected.collect::<Vec<_>>());
    }
}
