//! The short message service centre (SMSC): store and forward (3GPP TS 23.040 section 3.2), for the
//! devices of the simulated networks and for SMPP clients with accounts (ESMEs; `net::smpp` accepts
//! their connections).
//!
//! A message is stored before it is acknowledged. Delivery is attempted when the subscriber is
//! reachable, and otherwise on a schedule until the validity period ends. Class, protocol
//! identifier, user data header and concatenation are passed through unchanged. The card's delivery
//! report is returned to the client.

mod delivery;
mod faults;
mod store;
pub mod tpdu;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crypto::Secret;
use rsp::ids::Imsi;
use rsp::ota::sms::Address;
use rsp::time::Timestamp;
use serde::{Deserialize, Deserializer};
use tokio::sync::Notify;
use world::{
    BoxFuture, CentreRefusal, DeliveryTicket, Fault, IncomingDelivery, Memory, MessageCentre, MessageId,
    MessageState, PhoneNumber, QueuedDelivery, Receipts, Submission, SubmitFault, World,
};

pub use faults::{Direction, SmsFaultKind};
pub use writer::LocalClient;

use super::causes::RpCause;
use super::networks::Networks;
use super::short_messages::{MessageReceiver, RpAnswer};
use store::{Delivery, Store, Stored};

/// Maximum messages stored at a time. Over this limit a client is throttled.
const MAX_STORED: usize = 100_000;
/// Maximum deliveries that wait for one client. Over this limit, messages to the client are
/// refused, and so are its submissions, because they would lead to further receipts.
const MAX_WAITING: usize = 10_000;
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
    #[serde(deserialize_with = "secret")]
    pub password: Secret<String>,
    /// The client's numbers: its permitted sender addresses, and the numbers by which devices reach
    /// it. The first is the default sender address.
    pub numbers: Vec<PhoneNumber>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
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

/// The function that selects the fault of each message, if any.
type FaultSource = Box<dyn Fn(Direction) -> Option<SmsFaultKind> + Send>;

impl State {
    /// Returns the fault of the next message in this direction.
    fn next_fault(&mut self, direction: Direction) -> Option<SmsFaultKind> {
        self.fault_source.as_ref().and_then(|fault_source| fault_source(direction))
    }
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
            Fault::usage(
                "cannot start the service centre",
                format!("{} is not a valid address (TS 23.040)", settings.number),
                "use a telephone number of up to 20 digits",
            )
        })?;
        for Account { name, password, .. } in &settings.accounts {
            world::check_account(name, password.expose()).map_err(|why| {
                Fault::usage(
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

    /// Sets the function that selects the fault of each message, if any.
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
            Some(known) if crypto::is_equal(known.password.expose().as_bytes(), password.as_bytes()) => {
                Ok(())
            }
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
                    // The branches are polled in a fixed order, not in tokio's random order, so
                    // that the same seed gives the same run.
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
