//! The attachments of the subscribers and the delivery of short messages to them: paging, delivery
//! reports, and the alert when a subscriber who did not answer is reachable again (TS 23.040
//! section 3.2.7).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsp::ids::{Imsi, Plmn};
use rsp::ota::sms::Address;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::messages::AttachId;
use super::short_messages::{MobileTerminated, RpAnswer};

/// Time in which a reachable device answers a page. A device that executes commands of its card
/// answers late.
const PAGING: Duration = Duration::from_secs(10);
/// Time in which the device delivers the message to its card and reports. TS 24.011 section 10
/// gives 35 to 45 seconds for timer TR1N.
const REPORT: Duration = Duration::from_secs(40);

/// The reason why a subscriber was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// No network has an attachment of the subscriber.
    #[error("the subscriber is not attached")]
    NotAttached,
    /// The device did not answer the page.
    #[error("the device did not answer the page")]
    NoPagingResponse,
    /// The device accepted the message but sent no report.
    #[error("the device did not report")]
    NoReport,
}

#[derive(Default)]
pub(super) struct Attachments {
    state: Mutex<State>,
    /// Notified when a message arrives for a subscriber or when an attachment ends.
    changed: Notify,
    /// Notified when a subscriber becomes reachable again.
    became_reachable: Notify,
}

#[derive(Default)]
struct State {
    attachments: BTreeMap<AttachId, Attachment>,
    by_imsi: BTreeMap<Imsi, AttachId>,
    /// Subscribers who became reachable (again) and were not yet returned by `next_reachable`.
    reachable: BTreeSet<Imsi>,
    /// The last message reference that was assigned.
    reference: u32,
}

struct Attachment {
    imsi: Imsi,
    plmn: Plmn,
    waiting: VecDeque<Waiting>,
    under_way: BTreeMap<u32, oneshot::Sender<RpAnswer>>,
    /// True if a message was not answered.
    was_missed: bool,
}

struct Waiting {
    message: MobileTerminated,
    taken: oneshot::Sender<()>,
    answer: oneshot::Sender<RpAnswer>,
}

/// The attachment does not exist (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoSuchAttachment;

impl Attachments {
    /// Attaches a subscriber to this network. An earlier attachment of the subscriber ends.
    pub(super) fn attached(&self, id: &AttachId, imsi: Imsi, plmn: Plmn) {
        let mut state = self.state();
        let (waiting, under_way) = (VecDeque::new(), BTreeMap::new());
        let attachment = Attachment { imsi, plmn, waiting, under_way, was_missed: false };
        state.attachments.insert(id.clone(), attachment);
        if let Some(former) = state.by_imsi.insert(imsi, id.clone()) {
            state.attachments.remove(&former);
        }
        state.reachable.insert(imsi);
        drop(state);
        self.became_reachable.notify_one();
        self.changed.notify_waiters();
    }

    /// Ends an attachment.
    pub(super) fn detached(&self, id: &AttachId) {
        let mut state = self.state();
        if let Some(attachment) = state.attachments.remove(id)
            && state.by_imsi.get(&attachment.imsi) == Some(id)
        {
            state.by_imsi.remove(&attachment.imsi);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Ends the attachment of a subscriber.
    pub(super) fn cancelled(&self, imsi: Imsi) {
        let attached = self.state().by_imsi.get(&imsi).cloned();
        if let Some(id) = attached {
            self.detached(&id);
        }
    }

    /// Returns the subscriber and the network of an attachment.
    pub(super) fn of(&self, id: &AttachId) -> Option<(Imsi, Plmn)> {
        self.state().attachments.get(id).map(|attachment| (attachment.imsi, attachment.plmn))
    }

    /// Returns the network that a subscriber is attached to.
    pub(super) fn plmn_of(&self, imsi: Imsi) -> Option<Plmn> {
        let state = self.state();
        state.attachments.get(state.by_imsi.get(&imsi)?).map(|attachment| attachment.plmn)
    }

    /// Records that a message for this subscriber could not be delivered. The subscriber is
    /// announced as reachable when the device listens again.
    pub(super) fn mark_missed(&self, imsi: Imsi) {
        let mut state = self.state();
        if let Some(id) = state.by_imsi.get(&imsi).cloned()
            && let Some(attachment) = state.attachments.get_mut(&id)
        {
            attachment.was_missed = true;
        }
    }

    /// Makes all waiting calls check their condition again, after a change of coverage.
    pub(super) fn recheck(&self) {
        self.changed.notify_waiters();
    }

    /// Waits for the next subscriber who becomes reachable. Intended for one caller.
    pub(super) async fn next_reachable(&self) -> Imsi {
        loop {
            if let Some(imsi) = self.state().reachable.pop_first() {
                return imsi;
            }
            self.became_reachable.notified().await;
        }
    }

    /// Delivers a message to a subscriber and returns the device's report.
    pub(super) async fn page(
        &self,
        imsi: Imsi,
        service_centre: Address,
        tpdu: Vec<u8>,
    ) -> Result<RpAnswer, Absent> {
        let (taken, is_taken) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let (id, reference) = {
            let mut state = self.state();
            state.reference = state.reference.wrapping_add(1);
            let reference = state.reference;
            let id = state.by_imsi.get(&imsi).cloned().ok_or(Absent::NotAttached)?;
            let attachment = state.attachments.get_mut(&id).ok_or(Absent::NotAttached)?;
            let message = MobileTerminated { reference, service_centre, tpdu };
            attachment.waiting.push_back(Waiting { message, taken, answer });
            (id, reference)
        };
        self.changed.notify_waiters();
        let why = match timeout(PAGING, is_taken).await {
            Ok(Ok(())) => match timeout(REPORT, answered).await {
                Ok(Ok(answer)) => return Ok(answer),
                _ => Absent::NoReport,
            },
            _ => Absent::NoPagingResponse,
        };
        if let Some(attachment) = self.state().attachments.get_mut(&id) {
            attachment.waiting.retain(|waiting| waiting.message.reference != reference);
            attachment.under_way.remove(&reference);
            attachment.was_missed = true;
        }
        Err(why)
    }

    /// Returns the next message for the device. Waits for it as long as `is_served` returns true.
    pub(super) async fn next(
        &self,
        id: &AttachId,
        is_served: impl Fn(Plmn) -> bool,
    ) -> Result<Option<MobileTerminated>, NoSuchAttachment> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no notification is lost, even one that comes before the wait.
            changed.as_mut().enable();
            {
                let mut state = self.state();
                let attachment = state.attachments.get_mut(id).ok_or(NoSuchAttachment)?;
                if !is_served(attachment.plmn) {
                    return Ok(None);
                }
                if std::mem::take(&mut attachment.was_missed) {
                    let imsi = attachment.imsi;
                    state.reachable.insert(imsi);
                    self.became_reachable.notify_one();
                    continue;
                }
                while let Some(Waiting { message, taken, answer }) = attachment.waiting.pop_front() {
                    // The sender may have given up.
                    if taken.send(()).is_ok() {
                        attachment.under_way.insert(message.reference, answer);
                        return Ok(Some(message));
                    }
                }
            }
            changed.await;
        }
    }

    /// Processes the device's report of a message. A report of an unknown message is ignored.
    pub(super) fn report(
        &self,
        id: &AttachId,
        reference: u32,
        answer: RpAnswer,
    ) -> Result<(), NoSuchAttachment> {
        let mut state = self.state();
        let attachment = state.attachments.get_mut(id).ok_or(NoSuchAttachment)?;
        if let Some(pending_report) = attachment.under_way.remove(&reference) {
            // The sender may have given up.
            let _ = pending_report.send(answer);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
