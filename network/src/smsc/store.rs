//! The stored state of the SMSC: messages to devices that are not delivered yet, and deliveries
//! that wait for clients. Each of them is a cell of the [`Memory`]. The cell is written before the
//! message is acknowledged.

use std::collections::{BTreeMap, VecDeque};

use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};
use world::{
    Batch, Content, DeliveryTicket, Fault, IncomingDelivery, Memory, MessageId, MessageState, Submission,
};

/// Maximum final states that are remembered for queries of clients. They are kept in memory only:
/// after a restart the answer is "no such message".
const MAX_ENDED: usize = 10_000;

const MESSAGE: &str = "message/";
const DELIVERY: &str = "delivery/";
const COUNTER: &str = "counter";

/// A message to a device that is not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// The account that submitted the message; `None` if a device submitted it.
    pub(super) account: Option<String>,
    pub(super) submission: Submission,
    pub(super) accepted: Timestamp,
    pub(super) expires: Timestamp,
    /// The number of failed delivery attempts.
    pub(super) attempts: u32,
}

/// A message, report or receipt for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub(super) account: String,
    pub(super) not_before: Timestamp,
    pub(super) arrived: IncomingDelivery,
}

pub(super) struct Store {
    memory: Box<dyn Memory>,
    counter: u64,
    pub(super) messages: BTreeMap<MessageId, Stored>,
    pub(super) deliveries: BTreeMap<DeliveryTicket, Delivery>,
    ended: BTreeMap<MessageId, (String, MessageState)>,
    ended_order: VecDeque<MessageId>,
}

impl Store {
    pub(super) fn open(memory: impl Memory + 'static) -> Result<Self, Fault> {
        let bad = |cell: &str, why: String| {
            let next = "restore the file from a copy, or remove it to begin without messages";
            Fault::new(
                "cannot use the messages of the service centre",
                format!("its entry {cell}: {why}"),
                next,
            )
        };
        let (mut counter, mut messages, mut deliveries) = (0, BTreeMap::new(), BTreeMap::new());
        for (name, cell) in memory.load()? {
            if let Some(id) = name.strip_prefix(MESSAGE) {
                let stored = cell.from_json().map_err(|why| bad(&name, why.to_string()))?;
                messages.insert(MessageId(id.to_owned()), stored);
            } else if let Some(ticket) = name.strip_prefix(DELIVERY) {
                let delivery = cell.from_json().map_err(|why| bad(&name, why.to_string()))?;
                deliveries.insert(DeliveryTicket(ticket.to_owned()), delivery);
            } else if name == COUNTER {
                counter = cell.from_json().map_err(|why| bad(&name, why.to_string()))?;
            }
        }
        let (ended, ended_order) = (BTreeMap::new(), VecDeque::new());
        Ok(Self { memory: Box::new(memory), counter, messages, deliveries, ended, ended_order })
    }

    /// Stores a new message.
    pub(super) fn add(&mut self, stored: Stored) -> Result<MessageId, Fault> {
        let mut batch = Batch::default();
        let id = MessageId(self.number(&mut batch)?);
        batch.put(format!("{MESSAGE}{id}"), Content::json(&stored)?);
        self.memory.commit(batch)?;
        self.messages.insert(id.clone(), stored);
        Ok(id)
    }

    /// Counts a failed delivery attempt.
    pub(super) fn failed(&mut self, id: &MessageId) -> Result<(), Fault> {
        let Some(stored) = self.messages.get(id) else { return Ok(()) };
        let attempts = stored.attempts.saturating_add(1);
        let stored = Stored { attempts, ..stored.clone() };
        self.memory.commit(Batch::of(format!("{MESSAGE}{id}"), Content::json(&stored)?))?;
        self.messages.insert(id.clone(), stored);
        Ok(())
    }

    /// Ends a message and queues the deliveries about it.
    pub(super) fn end(
        &mut self,
        id: &MessageId,
        state: MessageState,
        deliveries: Vec<Delivery>,
    ) -> Result<(), Fault> {
        let mut batch = Batch::default();
        batch.remove(format!("{MESSAGE}{id}"));
        let deliveries = self.deliver(deliveries, &mut batch)?;
        self.memory.commit(batch)?;
        if let Some(Stored { account: Some(account), .. }) = self.messages.remove(id) {
            self.ended.insert(id.clone(), (account, state));
            self.ended_order.push_back(id.clone());
            if self.ended_order.len() > MAX_ENDED
                && let Some(oldest) = self.ended_order.pop_front()
            {
                self.ended.remove(&oldest);
            }
        }
        self.deliveries.extend(deliveries);
        Ok(())
    }

    /// Queues deliveries for clients.
    pub(super) fn bring(&mut self, deliveries: Vec<Delivery>) -> Result<(), Fault> {
        let mut batch = Batch::default();
        let deliveries = self.deliver(deliveries, &mut batch)?;
        self.memory.commit(batch)?;
        self.deliveries.extend(deliveries);
        Ok(())
    }

    /// Removes a delivery that the client has acknowledged.
    pub(super) fn taken(&mut self, account: &str, ticket: &DeliveryTicket) -> Result<(), Fault> {
        if self.deliveries.get(ticket).is_some_and(|delivery| delivery.account == account) {
            let mut batch = Batch::default();
            batch.remove(format!("{DELIVERY}{}", ticket.0));
            self.memory.commit(batch)?;
            self.deliveries.remove(ticket);
        }
        Ok(())
    }

    /// Returns the number of deliveries that wait for this account.
    pub(super) fn waiting_for(&self, account: &str) -> usize {
        self.deliveries.values().filter(|delivery| delivery.account == account).count()
    }

    /// Returns the state of a message of this account.
    pub(super) fn state(&self, account: &str, id: &MessageId) -> Option<MessageState> {
        if self.is_of(account, id) {
            return Some(MessageState::Enroute);
        }
        self.ended.get(id).filter(|(own, _)| own == account).map(|(_, state)| *state)
    }

    /// True if the message is waiting and belongs to this account.
    pub(super) fn is_of(&self, account: &str, id: &MessageId) -> bool {
        self.messages.get(id).is_some_and(|stored| stored.account.as_deref() == Some(account))
    }

    fn deliver(
        &mut self,
        deliveries: Vec<Delivery>,
        batch: &mut Batch,
    ) -> Result<Vec<(DeliveryTicket, Delivery)>, Fault> {
        let mut ticketed = Vec::new();
        for delivery in deliveries {
            let ticket = DeliveryTicket(self.number(batch)?);
            batch.put(format!("{DELIVERY}{}", ticket.0), Content::json(&delivery)?);
            ticketed.push((ticket, delivery));
        }
        Ok(ticketed)
    }

    /// Returns a number that was never used, with leading zeros so that it sorts numerically. A
    /// number may be skipped if the commit fails.
    fn number(&mut self, batch: &mut Batch) -> Result<String, Fault> {
        self.counter = self.counter.saturating_add(1);
        batch.put(COUNTER, Content::json(&self.counter)?);
        Ok(format!("{:012}", self.counter))
    }
}
