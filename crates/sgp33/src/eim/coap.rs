//! The IPA of the tester over CoAP: SGP.32 section 6.1.1.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use coap::message::{Kind, Message};
use coap::{BlockSize, Client, Datagrams, DialDatagrams, Transmission};
use sgp23::Stop;
use world::{BoxFuture, LinkFault};

use super::testbed::Testbed;

/// Maximum number of messages in a record. A peer that sends without end must not fill the memory.
const MAX_MESSAGES: usize = 10_000;

/// Maximum time to wait for the reply to a message of its own.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// The messages of the association with an eIM. Clones share their state.
#[derive(Clone)]
pub(crate) struct Record {
    dial: Arc<dyn DialDatagrams>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    association: Option<Arc<dyn Datagrams>>,
    sent: Vec<Bytes>,
    received: Vec<Bytes>,
}

impl Testbed<'_> {
    /// Uses CoAP for the further requests of the case, with blocks of at most this size.
    ///
    /// # Errors
    /// There is no CoAP.
    pub(crate) fn over_coap(&mut self, block_size: BlockSize) -> Result<Record, Stop> {
        let dial = self.eim.coap.clone().ok_or_else(|| Stop::needs("ESipa over CoAP"))?;
        let record = Record { dial, state: Arc::default() };
        let configuration = &self.eim.configuration;
        let address = configuration.eim_fqdn.as_ref().unwrap_or(&configuration.eim_id);
        let host = address.split(':').next().unwrap_or_default();
        let transmission = Transmission { block_size, ..Transmission::default() };
        let dial: Arc<dyn DialDatagrams> = Arc::new(record.clone());
        self.esipa = Client::new(dial, host, self.eim.world.clone(), transmission).link();
        Ok(record)
    }
}

impl Record {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the messages of the tester so far.
    pub(crate) fn sent(&self) -> Vec<Message> {
        self.state().sent.iter().filter_map(|datagram| Message::decode(datagram).ok()).collect()
    }

    /// Returns the messages of the eIM so far.
    ///
    /// # Errors
    /// A datagram is no message.
    pub(crate) fn received(&self) -> Result<Vec<Message>, Stop> {
        let decoded = self.state().received.iter().map(Message::decode).collect::<Result<_, _>>();
        decoded.map_err(|error| Stop::failed(format!("a datagram of the eIM: {error}")))
    }

    /// Returns the latest request, and the first message of the eIM with its message ID.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn latest_exchange(&self) -> Result<(Message, Message), Stop> {
        let request = self.sent().into_iter().rfind(|message| message.code.is_request());
        let request = request.ok_or_else(|| Stop::needs("a request over CoAP"))?;
        let mut received = self.received()?.into_iter();
        let reply =
            received.find(|message| message.kind == Kind::Acknowledgement && message.id == request.id);
        Ok((request, reply.ok_or_else(|| Stop::failed("the eIM did not acknowledge the request"))?))
    }

    /// Sends a message, and waits for the reply with its message ID.
    ///
    /// # Errors
    /// There is none in time.
    pub(crate) async fn reply_to(&self, message: &Message) -> Result<Message, Stop> {
        let association = self.state().association.clone();
        let association = association.ok_or_else(|| Stop::needs("an association over CoAP"))?;
        association.send(message.encode()).await?;
        let reply = async {
            loop {
                if let Ok(reply) = Message::decode(&association.receive().await?)
                    && reply.id == message.id
                {
                    return Ok::<_, LinkFault>(reply);
                }
            }
        };
        match tokio::time::timeout(REPLY_TIMEOUT, reply).await {
            Ok(reply) => Ok(reply?),
            Err(_) => Err(Stop::failed(format!("no reply within {} s", REPLY_TIMEOUT.as_secs()))),
        }
    }
}

impl DialDatagrams for Record {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        Box::pin(async {
            let inner = self.dial.dial().await?;
            let association: Arc<dyn Datagrams> =
                Arc::new(Recorded { inner, state: Arc::clone(&self.state) });
            self.state().association = Some(Arc::clone(&association));
            Ok(association)
        })
    }
}

/// An association whose datagrams are recorded.
struct Recorded {
    inner: Arc<dyn Datagrams>,
    state: Arc<Mutex<State>>,
}

impl Recorded {
    fn record(&self, datagram: &Bytes, list: impl FnOnce(&mut State) -> &mut Vec<Bytes>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let list = list(&mut state);
        if list.len() < MAX_MESSAGES {
            list.push(datagram.clone());
        }
    }
}

impl Datagrams for Recorded {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        self.record(&datagram, |state| &mut state.sent);
        self.inner.send(datagram)
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        Box::pin(async {
            let datagram = self.inner.receive().await?;
            self.record(&datagram, |state| &mut state.received);
            Ok(datagram)
        })
    }
}
