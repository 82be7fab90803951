//! Sends the messages in the outbox. The messages of each addressee are sent in order, and each is
//! retried until the addressee accepts it.
//!
//! A message is deleted only after its peer has accepted it. A message that was accepted just
//! before a power cut is therefore sent twice, with the same functionCallIdentifier.

mod events;

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use rsp::{
    finding,
    ids::SmdpAddress,
    sgp22::{
        Function,
        es2plus::{HandleDownloadProgressInfo, HandleDownloadProgressInfoRequest},
        json,
    },
    time::Timestamp,
};
use rsp_server::Namespace;
use serde::Serialize;
use world::{BoxFuture, Call, Event, Events, Fault, Link, LinkFault, LinkFaultKind, Outcome, Tx};

use crate::{
    config::{FIRST_REDELIVERY_DELAY, MAX_REDELIVERY_DELAY},
    peers::Peers,
    records::{ADDRESSEES, Addressee, Message, OPERATORS, OUTBOX, Outgoing, Peer},
    server::SmDpPlus,
};

/// The outcome of a delivery attempt.
enum Delivery {
    /// The peer accepted the message, refused it permanently, or no longer exists.
    Done,
    /// The delivery must be retried.
    Not(String),
}

impl SmDpPlus {
    /// Sets the outgoing connections. Further calls have no effect.
    #[must_use]
    pub fn with_peers(self, peers: Arc<dyn Peers>) -> Self {
        // A second value is ignored, because it would have missed the wake-ups that the first value
        // received.
        let _ = self.0.peers.set(peers);
        self
    }

    pub(crate) fn wake(&self) {
        if let Some(peers) = self.0.peers.get() {
            peers.wake();
        }
    }

    /// Returns all waiting messages, sorted by addressee and time.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn outbox(&self) -> Result<Vec<(String, Message)>, Fault> {
        Tx::begin(self.records()).peek_list(&OUTBOX, "").await
    }

    /// Delivers all due messages, to all addressees concurrently. Returns the time at which the
    /// next message is due, or `None` if no message waits.
    ///
    /// # Errors
    /// Fails if the records fail. Messages that were accepted before the failure may be sent again.
    pub async fn deliver_due(&self) -> Result<Option<Timestamp>, Fault> {
        let addressees = Tx::begin(self.records()).peek_list(&ADDRESSEES, "").await?;
        let deliveries = addressees.into_iter().map(|(key, addressee)| -> BoxFuture<'_, _> {
            Box::pin(async move { self.deliver_to(&key, addressee).await })
        });
        let mut next = None;
        for due in together(deliveries.collect()).await {
            next = [next, due?].into_iter().flatten().min();
        }
        Ok(next)
    }

    async fn deliver_to(&self, to: &str, mut addressee: Addressee) -> Result<Option<Timestamp>, Fault> {
        let mut held = None;
        loop {
            let now = self.0.core.world.now();
            let waiting = Tx::begin(self.records()).peek_list(&OUTBOX, to).await?;
            let count = waiting.len();
            let is_held = |message: &Message| message.held_until.filter(|until| *until > now);
            held = [held, waiting.iter().filter_map(|(_, message)| is_held(message)).min()]
                .into_iter()
                .flatten()
                .min();
            let due: Vec<_> = waiting.into_iter().filter(|(_, message)| is_held(message).is_none()).collect();
            if due.is_empty() {
                return Ok(held);
            }
            for (key, message) in due {
                let now = self.0.core.world.now();
                if addressee.next_attempt > now {
                    return Ok([Some(addressee.next_attempt), held].into_iter().flatten().min());
                }
                match self.deliver(&key, &addressee.peer, &message).await? {
                    Delivery::Done => {
                        addressee.failures = 0;
                        addressee.waiting = 0;
                        self.delete(&key, to, &addressee).await?;
                    }
                    Delivery::Not(why) if now >= message.since.plus(self.0.core.config.delivery_lifetime) => {
                        tracing::warn!(%why, to, "message discarded: its peer has not accepted it within the delivery lifetime");
                        self.give_up(&key, &message).await?;
                        // The queue is assumed to have room again. The next failure counts the
                        // waiting messages.
                        addressee.waiting = 0;
                        self.delete(&key, to, &addressee).await?;
                    }
                    // req: SGP.22-5.3.5-Retry
                    Delivery::Not(_) => {
                        addressee.next_attempt = now.plus(wait_after(addressee.failures));
                        addressee.failures = addressee.failures.saturating_add(1);
                        addressee.waiting = count;
                        self.put(to, &addressee).await?;
                    }
                }
            }
        }
    }

    /// Makes one delivery attempt.
    async fn deliver(&self, key: &str, peer: &Peer, message: &Message) -> Result<Delivery, Fault> {
        match (peer, &message.call) {
            (Peer::Operator(identifier), Outgoing::HandleDownloadProgressInfo(body)) => {
                self.report_progress(identifier, body, &message.namespace).await
            }
            (Peer::SmDs(address), _) => self.deliver_event(key, address, message).await,
            // An operator is called with no other function, so no such message is ever posted.
            (Peer::Operator(_), _) => Ok(Delivery::Done),
        }
    }

    async fn report_progress(
        &self,
        identifier: &str,
        body: &HandleDownloadProgressInfoRequest,
        namespace: &Namespace,
    ) -> Result<Delivery, Fault> {
        let operator = Tx::begin(self.records()).get(&OPERATORS, identifier).await?;
        let Some(address) = operator.and_then(|operator| operator.es2plus_address) else {
            return Ok(Delivery::Done);
        };
        let call = self.send::<HandleDownloadProgressInfo>(&address, body).await;
        let (_, findings) = finding::collect(|| call.result.as_ref().map(json::acknowledgement));
        let outcome = match &call.result {
            Ok(response) if response.status().is_success() => Outcome::Done,
            // A retry would get the same reply, and the messages behind this one would wait for it.
            Ok(response) if is_final(response.status()) => {
                Outcome::Refused(format!("HTTP {}; the message is discarded", response.status()))
            }
            Ok(response) => Outcome::Failed(format!("HTTP {}", response.status())),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.0.core.events.emit(
            Event::new(self.0.core.world.now(), "SM-DP+", HandleDownloadProgressInfo::title())
                .with_peer("ES2+", identifier.to_owned())
                .with_bytes(call.sent, 0)
                .with_outcome(outcome.clone())
                .with_findings(findings)
                .with_note(format!("{} {}", body.notification_point_id, body.iccid))
                .with_namespace(String::from(namespace.clone())),
        );
        Ok(match outcome {
            Outcome::Failed(why) => Delivery::Not(why),
            Outcome::Done | Outcome::Refused(_) => Delivery::Done,
        })
    }

    /// Sends the request of a function.
    async fn send<F: Function<Request: Serialize>>(
        &self,
        address: &SmdpAddress,
        request: &F::Request,
    ) -> Call<Response<Bytes>> {
        let request = json::request(&F::path(), self.0.core.config.server.protocol_version, request);
        match self.link_to(address) {
            Ok(link) => Call::send(&link, request).await,
            Err(fault) => Call {
                sent: request.body().len(),
                received: 0,
                result: Err(fault.into()),
                findings: Vec::new(),
            },
        }
    }

    fn link_to(&self, address: &SmdpAddress) -> Result<Link, LinkFault> {
        let unreachable = |why: String| LinkFault::new(LinkFaultKind::Unreachable, address.to_string(), why);
        let peers = self.0.peers.get();
        let peers = peers.ok_or_else(|| unreachable("this server has no outgoing connections".to_owned()))?;
        peers.link(address).map_err(|fault| unreachable(fault.to_string()))
    }

    async fn delete(&self, key: &str, to: &str, addressee: &Addressee) -> Result<(), Fault> {
        world::transact(self.records(), |tx| {
            Box::pin(async move {
                tx.delete(&OUTBOX, key);
                if tx.get(&ADDRESSEES, to).await?.is_some_and(|kept| kept != *addressee) {
                    tx.put(&ADDRESSEES, to, addressee)?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn put(&self, to: &str, addressee: &Addressee) -> Result<(), Fault> {
        world::transact(self.records(), |tx| Box::pin(async move { tx.put(&ADDRESSEES, to, addressee) }))
            .await
    }
}

/// True if the status rejects the request itself rather than asking for a later retry.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// Delay after the given number of previous failures.
fn wait_after(failures: u32) -> Duration {
    FIRST_REDELIVERY_DELAY.saturating_mul(2u32.saturating_pow(failures)).min(MAX_REDELIVERY_DELAY)
}

/// Runs all futures concurrently, so that one slow peer does not delay the others.
async fn together<T>(mut running: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut done = Vec::new();
    poll_fn(move |cx| {
        running.retain_mut(|future| match future.as_mut().poll(cx) {
            Poll::Ready(it) => {
                done.push(it);
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() { Poll::Ready(std::mem::take(&mut done)) } else { Poll::Pending }
    })
    .await
}
