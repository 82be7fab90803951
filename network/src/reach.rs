//! Who is attached where, and how short messages find the way there: paging, the answer, and that a subscriber who did
//! not answer has come back (TS 23.040 section 3.2.7).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsp::ids::{Imsi, Plmn};
use rsp::ota::sms::Address;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::messages::AttachId;
use super::short_messages::{MobileTerminated, RpAnswer};

/// Within this a device that is there answers a page. It may be executing what its card wants, which takes its time.
const PAGING: Duration = Duration::from_secs(10);
/// Within this it has handed the message to its card: TS 24.011 section 10, timer TR1N is 35 to 45 seconds.
const REPORT: Duration = Duration::from_secs(40);

/// Why a subscriber was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// No network has the subscriber.
    #[error("the subscriber is not attached")]
    NotAttached,
    /// Nobody answered the page.
    #[error("the device did not answer the page")]
    NoPagingResponse,
    /// The device took the message, and was not heard of again.
    #[error("the device did not report")]
    NoReport,
}

#[derive(Default)]
pub(super) struct Attachments {
    state: Mutex<State>,
    /// Something came for somebody, or somebody is gone.
    changed: Notify,
    /// Somebody is back.
    back: Notify,
}

#[derive(Default)]
struct State {
    attachments: BTreeMap<AttachId, Attachment>,
    by_imsi: BTreeMap<Imsi, AttachId>,
    /// Subscribers who can be reached (again).
    reachable: BTreeSet<Imsi>,
    /// The last reference given out.
    reference: u32,
}

struct Attachment {
    imsi: Imsi,
    plmn: Plmn,
    waiting: VecDeque<Waiting>,
    under_way: BTreeMap<u32, oneshot::Sender<RpAnswer>>,
    /// A message was not answered.
    was_missed: bool,
}

struct Waiting {
    message: MobileTerminated,
    taken: oneshot::Sender<()>,
    answer: oneshot::Sender<RpAnswer>,
}

/// An attachment that is no more, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoSuchAttachment;

impl Attachments {
    /// A subscriber is attached here from now on, and nowhere else.
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
        self.back.notify_one();
        self.changed.notify_waiters();
    }

    /// A subscriber is attached nowhere any more.
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

    /// Whose attachment it is, and where.
    pub(super) fn of(&self, id: &AttachId) -> Option<(Imsi, Plmn)> {
        self.state().attachments.get(id).map(|attachment| (attachment.imsi, attachment.plmn))
    }

    /// Where a subscriber is.
    pub(super) fn plmn_of(&self, imsi: Imsi) -> Option<Plmn> {
        let state = self.state();
        state.attachments.get(state.by_imsi.get(&imsi)?).map(|attachment| attachment.plmn)
    }

    /// A message for this subscriber could not be brought: when the device listens again, that is told.
    pub(super) fn missed(&self, imsi: Imsi) {
        let mut state = self.state();
        if let Some(id) = state.by_imsi.get(&imsi).cloned()
            && let Some(attachment) = state.attachments.get_mut(&id)
        {
            attachment.was_missed = true;
        }
    }

    /// Whatever waits is to be looked at again: a network has gone off the air.
    pub(super) fn look_again(&self) {
        self.changed.notify_waiters();
    }

    /// The next subscriber who has become reachable. For one who listens.
    pub(super) async fn next_reachable(&self) -> Imsi {
        loop {
            if let Some(imsi) = self.state().reachable.pop_first() {
                return imsi;
            }
            self.back.notified().await;
        }
    }

    /// Brings a message to a subscriber.
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

    /// The next message for the device; waits for it as long as `goes_on` says so.
    pub(super) async fn next(
        &self,
        id: &AttachId,
        goes_on: impl Fn(Plmn) -> bool,
    ) -> Result<Option<MobileTerminated>, NoSuchAttachment> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on nothing is missed, even if it comes before the wait.
            changed.as_mut().enable();
            {
                let mut state = self.state();
                let attachment = state.attachments.get_mut(id).ok_or(NoSuchAttachment)?;
                if !goes_on(attachment.plmn) {
                    return Ok(None);
                }
                if std::mem::take(&mut attachment.was_missed) {
                    let imsi = attachment.imsi;
                    state.reachable.insert(imsi);
                    self.back.notify_one();
                    continue;
                }
                while let Some(Waiting { message, taken, answer }) = attachment.waiting.pop_front() {
                    // Whoever paged may have given up.
                    if taken.send(()).is_ok() {
                        attachment.under_way.insert(message.reference, answer);
                        return Ok(Some(message));
                    }
                }
            }
            changed.await;
        }
    }

    /// The device's answer to a message. One to no message is passed over.
    pub(super) fn report(
        &self,
        id: &AttachId,
        reference: u32,
        answer: RpAnswer,
    ) -> Result<(), NoSuchAttachment> {
        let mut state = self.state();
        let attachment = state.attachments.get_mut(id).ok_or(NoSuchAttachment)?;
        if let Some(waits) = attachment.under_way.remove(&reference) {
            // Whoever paged may have given up.
            let _ = waits.send(answer);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
