//! The short message service centre (SMSC): store and forward (3GPP TS 23.040 section 3.2), for the
//! devices of the simulated networks and for SMPP clients with accounts (ESMEs; `net::smpp` accepts
//! their connections).
//!
//! A message is stored before it is acknowledged. Delivery is attempted when the subscriber is
//! reachable, and otherwise on a schedule until the validity period ends. Class, protocol
//! identifier, user data header and concatenation are passed through unchanged. The card's delivery
//! report is returned to the client.

mod faults;
mod store;
pub mod tpdu;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsp::ids::Imsi;
use rsp::ota::sms::{Address, FAILURE_BUSY};
use rsp::time::Timestamp;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use world::{
    BoxFuture, CentreRefusal, DeliveryTicket, Fault, IncomingDelivery, Memory, MessageCentre, MessageId,
    MessageState, PhoneNumber, QueuedDelivery, Receipt, Receipts, ShortMessage, Submission, SubmitFault,
    World,
};

pub use faults::{Direction, SmsFaultKind};
pub use writer::LocalClient;

use super::networks::Networks;
use super::reach::Absent;
use super::short_messages::{MessageReceiver, RpAnswer, RpCause};
use store::{Delivery, Store, Stored};

/// Maximum messages stored at a time. Beyond it a client is throttled.
const MAX_STORED: usize = 100_000;
/// Maximum deliveries that wait for one client. Beyond it, messages to the client are refused, and
/// so are its submissions, because they would lead to further receipts.
const MAX_WAITING: usize = 10_000;
/// Delay before a message is retried after its record could not be stored.
const AFTER_A_FAULT: Duration = Duration::from_secs(60);
/// The longest validity period, 63 weeks: TS 23.040 section 9.2.3.12.1.
const LONGEST_VALIDITY: Duration = Duration::from_secs(63 * 7 * 86_400);
/// Longest sleep between two checks of the clock, because the clock can be moved.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// The settings of an SMSC.
#[derive(Clone, Debug)]
pub struct SmscSettings {
    /// The address of the SMSC, as devices see it.
    pub number: PhoneNumber,
    /// The accounts of the clients.
    pub accounts: Vec<Account>,
    /// The validity period of messages that specify none.
    pub validity: Duration,
    /// The delays after failed delivery attempts. The last one also applies to all further
    /// attempts.
    pub retries: Vec<Duration>,
}

/// The account of an SMPP client.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The system_id of SMPP.
    pub name: String,
    /// The password.
    pub password: String,
    /// The client's numbers: its permitted sender addresses, and the numbers by which devices reach
    /// it. The first is the default sender address.
    pub numbers: Vec<PhoneNumber>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({:?} {:?})", self.name, self.numbers)
    }
}

impl SmscSettings {
    /// Creates the settings for this address and these accounts, with a validity period of one day
    /// and a retry schedule that is usual in mobile networks.
    pub fn new(number: PhoneNumber, accounts: Vec<Account>) -> Self {
        let retries = [30, 120, 300, 900, 3600].map(Duration::from_secs).to_vec();
        Self { number, accounts, validity: Duration::from_secs(86_400), retries }
    }
}

/// The short message service centre.
pub struct Smsc {
    settings: SmscSettings,
    address: Address,
    networks: Arc<Networks>,
    world: World,
    state: Mutex<State>,
    /// Notified when there may be a message to send.
    work: Notify,
    /// Notified when there is a delivery for a client.
    arrivals: Notify,
}

struct State {
    store: Store,
    /// The time of the next attempt of each message. A message without an entry is due at once.
    schedule: BTreeMap<MessageId, Timestamp>,
    /// Subscribers to whom a message is being delivered.
    busy: BTreeSet<Imsi>,
    fault_source: Option<FaultSource>,
}

/// The function that decides about the fault of each message.
type FaultSource = Box<dyn Fn(Direction) -> Option<SmsFaultKind> + Send>;

impl State {
    /// Returns the fault of the next message in this direction.
    fn next_fault(&mut self, direction: Direction) -> Option<SmsFaultKind> {
        self.fault_source.as_ref().and_then(|fault_source| fault_source(direction))
    }
}

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
    /// Opens the SMSC for these networks with the messages that `memory` holds. Messages are
    /// delivered only while [`run`](Self::run) is polled.
    ///
    /// # Errors
    /// The memory cannot be read, the number of the SMSC is invalid, or an account cannot be used
    /// over SMPP.
    pub fn open(
        settings: SmscSettings,
        networks: Arc<Networks>,
        memory: impl Memory + 'static,
        world: World,
    ) -> Result<Arc<Self>, Fault> {
        let address = tpdu::address(&settings.number).ok_or_else(|| {
            Fault::new(
                "cannot start the service centre",
                format!("{} is not a valid address (TS 23.040)", settings.number),
                "use a telephone number of up to 20 digits",
            )
        })?;
        for Account { name, password, .. } in &settings.accounts {
            world::check_account(name, password).map_err(|why| {
                Fault::new(
                    format!("the account {name:?} cannot be used over SMPP"),
                    why,
                    "use a shorter name or password",
                )
            })?;
        }
        let state = State {
            store: Store::open(memory)?,
            schedule: BTreeMap::new(),
            busy: BTreeSet::new(),
            fault_source: None,
        };
        let (work, arrivals) = (Notify::new(), Notify::new());
        let networks_of_centre = Arc::clone(&networks);
        let smsc =
            Arc::new(Self { settings, address, networks, world, state: Mutex::new(state), work, arrivals });
        let weak = Arc::downgrade(&smsc);
        networks_of_centre.set_service_centre(weak);
        Ok(smsc)
    }

    /// Returns the address of the SMSC.
    pub fn number(&self) -> &PhoneNumber {
        &self.settings.number
    }

    /// Sets the function that decides about the fault of each message.
    pub fn set_fault_source(&self, what: impl Fn(Direction) -> Option<SmsFaultKind> + Send + 'static) {
        self.state().fault_source = Some(Box::new(what));
    }

    /// Returns the number of messages that wait for devices.
    pub fn waiting(&self) -> usize {
        self.state().store.messages.len()
    }

    /// Returns an in-process client with the account of this name.
    pub fn account(self: &Arc<Self>, name: impl Into<String>) -> LocalClient {
        LocalClient { smsc: Arc::clone(self), account: name.into() }
    }

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
                // Fixed order instead of tokio's random one, so that the same seed gives the same
                // run.
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
                // This message or another one to the same subscriber is being delivered. Its end is
                // notified.
                Some(imsi) if busy.contains(&imsi) => {}
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
        // A message that is already due waits for another one to the same subscriber, whose end is
        // notified.
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

    fn accept(&self, account: Option<&str>, submission: Submission) -> Result<MessageId, SubmitFault> {
        let accepted = self.world.now();
        let validity = submission.validity.unwrap_or(self.settings.validity).min(LONGEST_VALIDITY);
        tpdu::deliver(&submission.message, accepted).map_err(SubmitFault::Refused)?;
        let stored = Stored {
            account: account.map(str::to_owned),
            submission,
            accepted,
            expires: accepted.plus(validity),
            attempts: 0,
        };
        let mut state = self.state();
        let is_full = account.is_some_and(|account| state.store.waiting_for(account) >= MAX_WAITING);
        if is_full || state.store.messages.len() >= MAX_STORED {
            return Err(SubmitFault::Throttled);
        }
        let added = state.store.add(stored);
        drop(state);
        self.work.notify_waiters();
        added.map_err(|fault| SubmitFault::Unreachable(fault.to_string()))
    }

    fn account_named(&self, account: &str) -> Option<&Account> {
        self.settings.accounts.iter().find(|each| each.name == account)
    }

    fn client_with(&self, number: &PhoneNumber) -> Option<&Account> {
        self.settings.accounts.iter().find(|each| each.numbers.iter().any(|own| own.is_same(number)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

fn log_store_failure(fault: &Fault) {
    tracing::warn!(%fault, "the service centre could not store a change");
}

impl MessageReceiver for Smsc {
    fn submitted(&self, imsi: Imsi, tpdu: Vec<u8>) -> BoxFuture<'_, RpAnswer> {
        Box::pin(async move {
            self.accept_from_device(imsi, &tpdu).unwrap_or_else(|cause| RpAnswer::Error(cause, Vec::new()))
        })
    }
}

impl Smsc {
    fn accept_from_device(&self, imsi: Imsi, tpdu: &[u8]) -> Result<RpAnswer, RpCause> {
        let from = self.networks.number_of(imsi).ok_or(RpCause::UNKNOWN_SUBSCRIBER)?;
        let message = tpdu::submitted(tpdu, from).map_err(|why| {
            tracing::debug!(%imsi, why, "a device sent a malformed short message");
            RpCause::INVALID_MESSAGE
        })?;
        let now = self.world.now();
        if let Some(account) = self.client_with(&message.to) {
            let account = account.name.clone();
            let mut state = self.state();
            if state.store.waiting_for(&account) >= MAX_WAITING {
                return Err(RpCause::TEMPORARY_FAILURE);
            }
            let (copies, not_before) = match state.next_fault(Direction::FromDevice) {
                Some(SmsFaultKind::Lose) => (0, now),
                Some(SmsFaultKind::Double) => (2, now),
                Some(SmsFaultKind::Delay(by)) => (1, now.plus(by)),
                Some(SmsFaultKind::LoseAnswer) | None => (1, now),
            };
            let delivery = Delivery { account, not_before, arrived: IncomingDelivery::Message(message) };
            let kept = state.store.bring(vec![delivery; copies]);
            drop(state);
            if let Err(fault) = kept {
                log_store_failure(&fault);
                return Err(RpCause::TEMPORARY_FAILURE);
            }
            self.arrivals.notify_waiters();
        } else if self.networks.by_number(&message.to).is_some() {
            let submission = Submission { message, validity: None, receipts: Receipts::None };
            self.accept(None, submission).map_err(|fault| match fault {
                SubmitFault::Refused(_) => RpCause::INVALID_MESSAGE,
                SubmitFault::Throttled | SubmitFault::Unbound | SubmitFault::Unreachable(_) => {
                    RpCause::TEMPORARY_FAILURE
                }
            })?;
        } else {
            return Err(RpCause::UNASSIGNED_NUMBER);
        }
        Ok(RpAnswer::Ack(tpdu::submit_report(now)))
    }
}

impl MessageCentre for Smsc {
    fn admit(&self, account: &str, password: &str) -> Result<(), CentreRefusal> {
        match self.account_named(account) {
            Some(known) if known.password == password => Ok(()),
            Some(_) => Err(CentreRefusal::WrongPassword),
            None => Err(CentreRefusal::UnknownAccount),
        }
    }

    fn submit(
        &self,
        account: &str,
        mut submission: Submission,
    ) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        let refused = |why: String| Err(SubmitFault::Refused(why));
        let answer = match self.account_named(account) {
            None => refused(format!("unknown account {account:?}")),
            Some(known) => {
                let message = &mut submission.message;
                if message.from.digits().is_empty()
                    && let Some(first) = known.numbers.first()
                {
                    message.from = first.clone();
                }
                if !known.numbers.iter().any(|own| own.is_same(&message.from)) {
                    refused(format!("{} is not a number of account {account}", message.from))
                } else if self.networks.by_number(&message.to).is_none() {
                    refused(format!("the number {} is not assigned", message.to))
                } else {
                    self.accept(Some(account), submission)
                }
            }
        };
        Box::pin(async { answer })
    }

    fn state(&self, account: &str, id: &MessageId) -> Option<MessageState> {
        Smsc::state(self).store.state(account, id)
    }

    fn cancel(&self, account: &str, id: &MessageId) -> Result<bool, Fault> {
        let mut state = Smsc::state(self);
        if !state.store.is_of(account, id) {
            return Ok(false);
        }
        state.schedule.remove(id);
        state.store.end(id, MessageState::Deleted, Vec::new()).map(|()| true)
    }

    fn next<'a>(&'a self, account: &'a str) -> BoxFuture<'a, QueuedDelivery> {
        Box::pin(async move {
            loop {
                let arrivals = self.arrivals.notified();
                tokio::pin!(arrivals);
                arrivals.as_mut().enable();
                let now = self.world.now();
                let mut wait = LOOK_AGAIN;
                {
                    let state = Smsc::state(self);
                    let of_subscriber =
                        state.store.deliveries.iter().filter(|(_, delivery)| delivery.account == account);
                    for (ticket, delivery) in of_subscriber {
                        if delivery.not_before <= now {
                            return QueuedDelivery {
                                ticket: ticket.clone(),
                                arrived: delivery.arrived.clone(),
                            };
                        }
                        wait = wait.min(delivery.not_before.since(now));
                    }
                }
                tokio::select! {
                    // Fixed order instead of tokio's random one, so that the same seed gives the
                    // same run.
                    biased;
                    () = arrivals => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        })
    }

    fn taken(&self, account: &str, ticket: &DeliveryTicket) -> Result<(), Fault> {
        Smsc::state(self).store.taken(account, ticket)
    }
}

#[cfg(test)]
mod tests;
