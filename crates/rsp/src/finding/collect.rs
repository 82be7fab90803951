//! Collection of the findings of a decoder.
//!
//! Deviations are found deep inside decoders, below serde and below the DER codec, whose results
//! have no place for them. A decoder therefore reports each deviation to the collection of its
//! thread, and the party that received the message takes the collection. Decoders never await, so a
//! collection contains the findings of one message only. A transaction awaits its records, so its
//! collection is installed each time it is polled.

use std::{cell::RefCell, future::poll_fn, mem, pin::pin};

use super::{Finding, FindingKind};
use crate::status::cut;

/// The maximum number of findings of one message. Further ones are dropped.
pub const MAX_FINDINGS: usize = 32;

/// The maximum length of the detail of a collected finding in octets.
const MAX_DETAIL: usize = 200;

thread_local! {
    static COLLECTION: RefCell<Option<Vec<Finding>>> = const { RefCell::new(None) };
}

/// Runs a decoder, and returns its result with the deviations that it accepted.
pub fn collect<T>(decode: impl FnOnce() -> T) -> (T, Vec<Finding>) {
    let outer = COLLECTION.replace(Some(Vec::new()));
    let result = decode();
    let findings = COLLECTION.replace(outer).unwrap_or_default();
    (result, findings)
}

/// Runs a task, and returns its result with the deviations that the decoders in it accepted, unless
/// another collection has taken them.
pub async fn collect_from<T>(task: impl Future<Output = T>) -> (T, Vec<Finding>) {
    let mut task = pin!(task);
    let mut found = Vec::new();
    let result = poll_fn(|context| {
        let outer = COLLECTION.replace(Some(mem::take(&mut found)));
        let polled = task.as_mut().poll(context);
        found = COLLECTION.replace(outer).unwrap_or_default();
        polled
    })
    .await;
    (result, found)
}

/// Reports a deviation that a decoder accepts. Has no effect outside [`collect`]. `detail` contains
/// the value that deviates.
pub fn report(kind: FindingKind, detail: impl FnOnce() -> String) {
    COLLECTION.with_borrow_mut(|collection| {
        let Some(findings) = collection.as_mut().filter(|findings| findings.len() < MAX_FINDINGS) else {
            return;
        };
        let finding = Finding::new(kind, cut(detail(), MAX_DETAIL));
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_collection_has_the_findings_of_its_own_decoder_once_and_up_to_the_limit() {
        let found = |detail: &str| report(FindingKind::NotDer, || detail.to_owned());
        found("nobody collects");
        let (inner, outer) = collect(|| {
            found("outer");
            let ((), inner) = collect(|| {
                found("inner");
                found("inner");
            });
            found("outer, after the inner one");
            inner
        });
        let details = |findings: &[Finding]| findings.iter().map(|it| it.detail.clone()).collect::<Vec<_>>();
        assert_eq!(details(&inner), ["inner"]);
        assert_eq!(details(&outer), ["outer", "outer, after the inner one"]);
        let ((), many) = collect(|| (0..100).for_each(|number| found(&number.to_string())));
        assert_eq!(many.len(), MAX_FINDINGS);
    }

    #[test]
    fn tasks_that_run_by_turns_have_their_own_findings() {
        let task = |name: &'static str| {
            collect_from(async move {
                for step in 0..3 {
                    report(FindingKind::NotDer, || format!("{name} {step}"));
                    let mut is_ready = false;
                    poll_fn(
                        |_| if mem::replace(&mut is_ready, true) { Poll::Ready(()) } else { Poll::Pending },
                    )
                    .await;
                }
            })
        };
        let (mut one, mut other) = (pin!(task("one")), pin!(task("other")));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(one.as_mut().poll(&mut context).is_pending());
            assert!(other.as_mut().poll(&mut context).is_pending());
        }
        for (mut task, name) in [(one, "one"), (other, "other")] {
            let Poll::Ready(((), findings)) = task.as_mut().poll(&mut context) else { panic!("{name}") };
            let details: Vec<_> = findings.into_iter().map(|finding| finding.detail).collect();
            assert_eq!(details, [0, 1, 2].map(|step| format!("{name} {step}")));
        }
    }
}
