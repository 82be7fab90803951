//! Faults of CoAP messages, as a wrapper around the datagrams of an association.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use coap::message::{Kind, Token};
use coap::{Datagrams, DialDatagrams, Message};
use tokio::time::{Instant, sleep, sleep_until};
use world::{BoxFuture, LinkFault};

use super::acts::{CoapAct, FROM_SERVER, TO_SERVER};
use super::catalogue::FaultId;
use super::{FaultInjector, FaultSpec, InjectedFault};

/// The token of a message with a wrong one. A client counts its tokens from 1.
const OTHER_TOKEN: u16 = 0xFFFF;

impl FaultInjector {
    /// Wraps the associations of a client with the faults of CoAP messages.
    pub fn coap_client(&self, dial: Arc<dyn DialDatagrams>) -> Arc<dyn DialDatagrams> {
        Arc::new(FaultyDial { dial, faults: self.clone() })
    }

    /// Wraps an association with the faults of CoAP messages. `is_server` is true at the end of the
    /// server.
    pub fn datagrams(&self, inner: Arc<dyn Datagrams>, is_server: bool) -> Arc<dyn Datagrams> {
        let (sent, received) = Default::default();
        Arc::new(FaultyDatagrams { inner, faults: self.clone(), is_server, sent, received })
    }

    fn next_coap_fault(&self, direction: &str) -> Option<InjectedFault> {
        self.next_fault(|spec: &FaultSpec| matches!(spec.id(), FaultId::Coap(_)) && spec.is_at(&[direction]))
    }
}

struct FaultyDial {
    dial: Arc<dyn DialDatagrams>,
    faults: FaultInjector,
}

impl DialDatagrams for FaultyDial {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        Box::pin(async { Ok(self.faults.datagrams(self.dial.dial().await?, false)) })
    }
}

struct FaultyDatagrams {
    inner: Arc<dyn Datagrams>,
    faults: FaultInjector,
    is_server: bool,
    /// Messages that are sent after the next one.
    sent: Mutex<Vec<Bytes>>,
    received: Mutex<Received>,
}

#[derive(Default)]
struct Received {
    /// Messages that arrive after the next one.
    reordered: Vec<Bytes>,
    /// Messages that arrive now.
    arrived: VecDeque<Bytes>,
    /// Messages that arrive later.
    delayed: Vec<(Instant, Bytes)>,
}

impl FaultyDatagrams {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn direction(&self, is_sent: bool) -> &'static str {
        if is_sent == self.is_server { FROM_SERVER } else { TO_SERVER }
    }

    /// Applies the faults to a message that was received.
    fn arrive(&self, datagram: Bytes) {
        let injected = self.faults.next_coap_fault(self.direction(false));
        let mut received = self.received();
        let before = std::mem::take(&mut received.reordered);
        match changed(injected, datagram) {
            Changed::Now(datagrams) => received.arrived.extend(datagrams),
            Changed::Late(after, datagram) => received.delayed.push((Instant::now() + after, datagram)),
            Changed::AfterNext(datagram) => received.reordered.push(datagram),
        }
        received.arrived.extend(before);
    }
}

impl Datagrams for FaultyDatagrams {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        Box::pin(async move {
            let injected = self.faults.next_coap_fault(self.direction(true));
            let before = std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner));
            match changed(injected, datagram) {
                Changed::Now(datagrams) => {
                    for datagram in datagrams {
                        self.inner.send(datagram).await?;
                    }
                }
                Changed::Late(after, datagram) => {
                    let inner = Arc::clone(&self.inner);
                    tokio::spawn(async move {
                        sleep(after).await;
                        // The association can be over by then.
                        let _ = inner.send(datagram).await;
                    });
                }
                Changed::AfterNext(datagram) => {
                    self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(datagram);
                }
            }
            for late in before {
                self.inner.send(late).await?;
            }
            Ok(())
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        Box::pin(async move {
            loop {
                let late = {
                    let mut received = self.received();
                    let now = Instant::now();
                    let due = received.delayed.iter().position(|(at, _)| *at <= now);
                    if let Some(due) = due {
                        let (_, datagram) = received.delayed.remove(due);
                        received.arrived.push_back(datagram);
                    }
                    if let Some(datagram) = received.arrived.pop_front() {
                        return Ok(datagram);
                    }
                    received.delayed.iter().map(|(at, _)| *at).min()
                };
                tokio::select! {
                    biased;
                    datagram = self.inner.receive() => self.arrive(datagram?),
                    () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {}
                }
            }
        })
    }
}

/// What becomes of a message.
enum Changed {
    Now(Vec<Bytes>),
    Late(std::time::Duration, Bytes),
    AfterNext(Bytes),
}

fn changed(injected: Option<InjectedFault>, datagram: Bytes) -> Changed {
    let Some(injected) = injected else { return Changed::Now(vec![datagram]) };
    let FaultId::Coap(act) = injected.id() else { return Changed::Now(vec![datagram]) };
    match act {
        CoapAct::Lose => Changed::Now(Vec::new()),
        CoapAct::Duplicate => Changed::Now(vec![datagram.clone(), datagram]),
        CoapAct::Reorder => Changed::AfterNext(datagram),
        CoapAct::Delay => Changed::Late(injected.time(), datagram),
        CoapAct::Truncate => Changed::Now(vec![injected.truncate(&datagram)]),
        CoapAct::Corrupt => Changed::Now(vec![injected.corrupt(&datagram)]),
        CoapAct::Reset | CoapAct::WrongToken => Changed::Now(vec![replaced(act, datagram)]),
    }
}

/// Returns another message in the place of this one. A datagram that is not a message stays as it is.
fn replaced(act: CoapAct, datagram: Bytes) -> Bytes {
    let Ok(message) = Message::decode(&datagram) else { return datagram };
    match act {
        CoapAct::Reset => Message::empty(Kind::Reset, message.id).encode(),
        _ if message.token == Token::default() => datagram,
        _ => Message { token: Token::of(OTHER_TOKEN), ..message }.encode(),
    }
}
