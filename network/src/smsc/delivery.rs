//! Delivery of stored messages to devices: attempts, their schedule and their end.

use std::sync::Arc;
use std::time::Duration;

use rsp::ids::Imsi;
use rsp::ota::sms::FAILURE_BUSY;
use tokio::task::JoinSet;
use world::{Fault, IncomingDelivery, MessageId, MessageState, Receipt, Receipts, ShortMessage};

use super::faults::{Direction, SmsFaultKind};
use super::store::Delivery;
use super::{LOOK_AGAIN, Smsc, State, log_store_failure, tpdu};
use crate::causes::RpCause;
use crate::reach::Absent;
use crate::short_messages::RpAnswer;

/// Delay before a message is retried after its record could not be stored.
const AFTER_A_FAULT: Duration = Duration::from_secs(60);

/// The outcome of a delivery attempt.
enum Attempt {
    Ended(MessageState, String, Option<ShortMessage>),
    /// The message is dropped silently (an injected fault).
    Lost,
    Later(String),
    /// Delivery is delayed (an injected fault); nothing was attempted.
    Postponed(Duration),
}

impl Smsc {
    /// Delivers messages to devices until the future is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut attempts = JoinSet::new();
        loop {
            let work = self.work.notified();
            tokio::pin!(work);
            work.as_mut().enable();
            for (imsi, id) in self.due() {
                let smsc = Arc::clone(&self);
                attempts.spawn(async move {
                    smsc.try_to_deliver(imsi, &id).await;
                    smsc.state().busy.remove(&imsi);
                    smsc.work.notify_waiters();
                });
            }
            tokio::select! {
                // The branches are polled in a fixed order, not in tokio's random order, so that
                // the same seed gives the same run.
                biased;
                imsi = self.networks.next_reachable() => self.is_reachable(imsi),
                // The task itself notifies `work` when it ends. This branch only removes finished
                // tasks.
                Some(_) = attempts.join_next() => {}
                () = work => {}
                () = tokio::time::sleep(self.until_next()) => {}
            }
        }
    }

    /// Returns one due message for each subscriber to whom none is being delivered. Messages whose
    /// validity period is over are ended here.
    fn due(&self) -> Vec<(Imsi, MessageId)> {
        let now = self.world.now();
        let mut state = self.state();
        let State { store, schedule, busy, .. } = &mut *state;
        let (mut due, mut over) = (Vec::new(), Vec::new());
        for (id, stored) in &store.messages {
            if schedule.get(id).is_some_and(|at| *at > now) {
                continue;
            }
            match self.networks.by_number(&stored.submission.message.to) {
                // This message or another message to the same subscriber is being delivered. The
                // end of that delivery notifies `work`.
                Some(imsi) if busy.contains(&imsi) => {}
                // req: TS.23.040-3.2-Validity
                _ if stored.expires <= now => {
                    over.push((id.clone(), MessageState::Expired, "the validity period is over"));
                }
                Some(imsi) => {
                    busy.insert(imsi);
                    due.push((imsi, id.clone()));
                }
                None => over.push((id.clone(), MessageState::Undeliverable, "the number is not assigned")),
            }
        }
        for (id, ended, why) in over {
            self.ended(&mut state, &id, ended, why, None);
        }
        due
    }

    fn until_next(&self) -> Duration {
        let now = self.world.now();
        let state = self.state();
        // A message that is already due waits for the delivery of another message to the same
        // subscriber. The end of that delivery notifies `work`.
        let times = state.store.messages.iter().flat_map(|(id, stored)| {
            state.schedule.get(id).copied().into_iter().chain([stored.expires]).filter(|at| *at > now)
        });
        times.min().map_or(LOOK_AGAIN, |at| at.since(now).min(LOOK_AGAIN))
    }

    fn is_reachable(&self, imsi: Imsi) {
        let mut state = self.state();
        let State { store, schedule, .. } = &mut *state;
        schedule.retain(|id, _| {
            let to = store.messages.get(id).map(|stored| &stored.submission.message.to);
            to.is_some_and(|to| self.networks.by_number(to) != Some(imsi))
        });
    }

    async fn try_to_deliver(&self, imsi: Imsi, id: &MessageId) {
        let (stored, fault) = {
            let mut state = self.state();
            let Some(stored) = state.store.messages.get(id).cloned() else { return };
            (stored, state.next_fault(Direction::ToDevice))
        };
        let attempt = self.attempt(imsi, &stored.submission.message, fault).await;
        let mut state = self.state();
        match attempt {
            Attempt::Ended(ended, why, report) => self.ended(&mut state, id, ended, &why, report),
            Attempt::Lost => {
                let lost = state.store.end(id, MessageState::Unknown, Vec::new());
                self.is_written(&mut state, id, lost);
            }
            Attempt::Later(why) => {
                let written = state.store.failed(id);
                if !self.is_written(&mut state, id, written) {
                    return;
                }
                let Some(attempts) = state.store.messages.get(id).map(|stored| stored.attempts) else {
                    return;
                };
                tracing::debug!(%id, attempts, why, "delivery of a short message failed; it will be retried");
                let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
                let pause = self.settings.retries.get(at).or(self.settings.retries.last());
                self.postpone(&mut state, imsi, pause.copied().unwrap_or(LOOK_AGAIN));
            }
            Attempt::Postponed(by) => {
                let at = self.world.now().plus(by).min(stored.expires);
                state.schedule.insert(id.clone(), at);
            }
        }
    }

    /// Delays all messages to this subscriber.
    fn postpone(&self, state: &mut State, imsi: Imsi, by: Duration) {
        let at = self.world.now().plus(by);
        let of_subscriber = state
            .store
            .messages
            .iter()
            .filter(|(_, stored)| self.networks.by_number(&stored.submission.message.to) == Some(imsi));
        for (id, stored) in of_subscriber {
            let at = at.min(stored.expires);
            let next = state.schedule.entry(id.clone()).or_insert(at);
            *next = at.max(*next);
        }
    }

    async fn attempt(&self, imsi: Imsi, message: &ShortMessage, fault: Option<SmsFaultKind>) -> Attempt {
        match fault {
            Some(SmsFaultKind::Lose) => return Attempt::Lost,
            Some(SmsFaultKind::Delay(by)) => return Attempt::Postponed(by),
            Some(SmsFaultKind::Double | SmsFaultKind::LoseAnswer) | None => {}
        }
        let tpdu = match tpdu::deliver(message, self.world.now()) {
            Ok(tpdu) => tpdu,
            Err(why) => return Attempt::Ended(MessageState::Undeliverable, why, None),
        };
        let mut answer = self.networks.page(imsi, self.address.clone(), tpdu.clone()).await;
        if fault == Some(SmsFaultKind::Double) && answer.is_ok() {
            // The answer to the first copy is treated as lost, so the message is sent again at
            // once.
            answer = self.networks.page(imsi, self.address.clone(), tpdu).await.or(answer);
        }
        if fault == Some(SmsFaultKind::LoseAnswer) {
            answer = Err(Absent::NoReport);
        }
        match answer {
            Ok(RpAnswer::Ack(report)) => {
                let (_, user_data) = tpdu::delivery_report(&report);
                Attempt::Ended(MessageState::Delivered, String::new(), report_of(message, user_data))
            }
            Ok(RpAnswer::Error(cause, report)) => {
                let (failure, user_data) = tpdu::delivery_report(&report);
                let why = match failure {
                    Some(failure) => format!("RP-Cause {}, TP-FCS {failure:02X}", cause.0),
                    None => format!("RP-Cause {}", cause.0),
                };
                let is_temporary = failure == Some(FAILURE_BUSY)
                    || matches!(cause, RpCause::MEMORY_CAPACITY_EXCEEDED | RpCause::TEMPORARY_FAILURE);
                if is_temporary {
                    return Attempt::Later(why);
                }
                Attempt::Ended(MessageState::Undeliverable, why, report_of(message, user_data))
            }
            Err(absent) => Attempt::Later(absent.to_string()),
        }
    }

    /// Ends a message and queues the report and the receipt that the client requested.
    fn ended(
        &self,
        state: &mut State,
        id: &MessageId,
        ended: MessageState,
        why: &str,
        report: Option<ShortMessage>,
    ) {
        let Some(stored) = state.store.messages.get(id) else { return };
        let now = self.world.now();
        let wants = match stored.submission.receipts {
            Receipts::None => false,
            Receipts::Always => true,
            Receipts::OnFailure => ended != MessageState::Delivered,
        };
        let receipt = wants.then(|| Receipt {
            id: id.clone(),
            to: stored.submission.message.to.clone(),
            from: stored.submission.message.from.clone(),
            state: ended,
            submitted: stored.accepted,
            ended: now,
            why: why.to_owned(),
        });
        let told_to = |arrived| {
            let account = stored.account.clone()?;
            Some(Delivery { account, not_before: now, arrived })
        };
        let report = report.map(|report| IncomingDelivery::Report(id.clone(), report));
        let deliveries =
            report.into_iter().chain(receipt.map(IncomingDelivery::Receipt)).filter_map(told_to).collect();
        let written = state.store.end(id, ended, deliveries);
        if self.is_written(state, id, written) {
            state.schedule.remove(id);
            self.arrivals.notify_waiters();
        }
    }

    /// Returns true if a record was stored. Otherwise delays the message, because an immediate
    /// retry would loop without a pause for as long as the memory fails.
    fn is_written(&self, state: &mut State, id: &MessageId, written: Result<(), Fault>) -> bool {
        written
            .map_err(|fault| {
                log_store_failure(&fault);
                state.schedule.insert(id.clone(), self.world.now().plus(AFTER_A_FAULT));
            })
            .is_ok()
    }
}

/// Returns the card's delivery report as a message from its device.
fn report_of(message: &ShortMessage, user_data: Option<rsp::ota::sms::UserData>) -> Option<ShortMessage> {
    let user_data = user_data?;
    Some(ShortMessage {
        from: message.to.clone(),
        to: message.from.clone(),
        protocol_identifier: message.protocol_identifier,
        data_coding: message.data_coding,
        has_header: !user_data.header.is_empty(),
        user_data: user_data.to_bytes(),
    })
}
