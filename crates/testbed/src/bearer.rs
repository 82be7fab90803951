//! Simulated use of a bearer: transmission times and losses.
//!
//! A [`Bearer`] is data ([`fleet::bearers`]). A [`Carrier`] is one device's use of a bearer: it
//! adds the delays and losses of the bearer to a link or an SMSC, and counts the traffic. Devices
//! do not share capacity; the load of a cell is part of the bearer's figures.

mod datagrams;

use std::ops::Sub;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fleet::bearers::{Bearer, Messages, Packets};
use http::{HeaderMap, Request, Response};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use tower::Layer;
use world::{
    BoxFuture, Fault, Link, LinkFault, LinkFaultKind, MessageId, Random, SeededRandom, ShortMessages,
    Submission, SubmitFault, link_from,
};

pub use datagrams::ack_timeout;

/// One device's use of one bearer. Clones share random numbers and counters.
#[derive(Clone)]
pub struct Carrier(Arc<Inner>);

struct Inner {
    bearer: Bearer,
    random: SeededRandom,
    began: Instant,
    usage: Mutex<Usage>,
}

/// Traffic over a bearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// HTTP requests that were started, and CoAP messages from the device.
    pub requests: u64,
    /// TLS handshakes.
    pub handshakes: u64,
    /// Short messages that were started.
    pub messages: u64,
    /// Octets from the device, including retransmissions and overhead.
    pub octets_up: u64,
    /// Octets to the device, including retransmissions and overhead.
    pub octets_down: u64,
    /// Requests, answers, CoAP messages and short messages that were lost and retransmitted.
    pub retransmissions: u64,
    /// Exchanges that were abandoned.
    pub given_up: u64,
    /// Total waiting time: delays, transmission, losses, and periods without the bearer.
    pub busy: Duration,
}

impl Sub for Usage {
    type Output = Self;

    /// The difference of two counts: the traffic since the earlier one.
    fn sub(self, earlier: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            handshakes: self.handshakes.saturating_sub(earlier.handshakes),
            messages: self.messages.saturating_sub(earlier.messages),
            octets_up: self.octets_up.saturating_sub(earlier.octets_up),
            octets_down: self.octets_down.saturating_sub(earlier.octets_down),
            retransmissions: self.retransmissions.saturating_sub(earlier.retransmissions),
            given_up: self.given_up.saturating_sub(earlier.given_up),
            busy: self.busy.saturating_sub(earlier.busy),
        }
    }
}

/// The direction of a transmission.
#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// Error: all transmissions of a message were lost.
struct Lost;

impl Carrier {
    /// Starts a use of this bearer now. `random` decides about losses.
    pub fn new(bearer: &Bearer, random: SeededRandom) -> Self {
        let (bearer, began) = (bearer.clone(), Instant::now());
        Self(Arc::new(Inner { bearer, random, began, usage: Mutex::default() }))
    }

    /// The bearer.
    pub fn bearer(&self) -> &Bearer {
        &self.0.bearer
    }

    /// The traffic so far.
    pub fn usage(&self) -> Usage {
        *self.usage_mut()
    }

    /// Wraps the link to a peer with this bearer. The link has its own TLS connection.
    ///
    /// # Errors
    /// The bearer carries no packets.
    pub fn link(&self, peer: Link) -> Result<Link, Fault> {
        let packets = self.bearer().packets.ok_or_else(|| self.not("packets"))?;
        Ok(OverPackets { carrier: self.clone(), packets }.layer(peer))
    }

    /// Wraps an SMSC with this bearer.
    ///
    /// # Errors
    /// The bearer carries no short messages.
    pub fn messages<S: ShortMessages>(&self, centre: S) -> Result<Carried<S>, Fault> {
        let messages = self.bearer().messages.ok_or_else(|| self.not("short messages"))?;
        Ok(Carried { carrier: self.clone(), messages, centre })
    }

    /// Transmits one short message with `octets` octets of user data to the device or from it.
    ///
    /// # Errors
    /// The bearer carries no short messages, is unavailable, or has lost the message.
    pub async fn short_message(&self, octets: usize, is_to_device: bool) -> Result<(), String> {
        let messages = self.bearer().messages.ok_or_else(|| self.not("short messages").to_string())?;
        self.usage_mut().messages += 1;
        self.is_there().await?;
        let way = if is_to_device { Direction::Down } else { Direction::Up };
        let carried = self.carry(way, count(octets), Duration::from_millis(messages.message_ms)).await;
        carried.map_err(|Lost| format!("lost {} times on {}", self.bearer().tries, self.bearer().id))
    }

    /// Transmits `octets` octets of a connection as packets to the device or from it.
    ///
    /// # Errors
    /// The bearer carries no packets, is unavailable, or has lost them.
    pub async fn packets(&self, octets: usize, is_to_device: bool) -> Result<(), String> {
        let packets = self.bearer().packets.ok_or_else(|| self.not("packets").to_string())?;
        self.is_there().await?;
        let way = if is_to_device { Direction::Down } else { Direction::Up };
        // A segment without data is also a packet.
        let carried = OverPackets { carrier: self.clone(), packets }.send(way, count(octets).max(1)).await;
        carried.map_err(|Lost| format!("lost {} times on {}", self.bearer().tries, self.bearer().id))
    }

    fn not(&self, what: &str) -> Fault {
        let Bearer { id, name, .. } = self.bearer();
        Fault::new(
            format!("cannot use the bearer {id} ({name})"),
            format!("it carries no {what}"),
            "choose another bearer",
        )
    }

    /// Waits until the bearer is available.
    async fn is_there(&self) -> Result<(), String> {
        let Bearer { availability, window_s, patience_s, .. } = self.0.bearer;
        let from = Instant::now();
        loop {
            let window = self.0.began.elapsed().as_secs() / window_s.max(1);
            // Each window has its own random numbers, so that its availability is independent of
            // the requests.
            if chance(&self.0.random.branch(&format!("window {window}")), availability) {
                self.usage_mut().busy += from.elapsed();
                return Ok(());
            }
            let next = self.0.began + Duration::from_secs((window + 1).saturating_mul(window_s));
            let give_up = from + Duration::from_secs(patience_s);
            tokio::time::sleep_until(next.min(give_up)).await;
            if next > give_up {
                let mut usage = self.usage_mut();
                usage.busy += from.elapsed();
                usage.given_up += 1;
                return Err(format!("the bearer {} was unavailable for {patience_s} s", self.0.bearer.id));
            }
        }
    }

    /// Transmits one message in one direction, with retransmissions until it arrives.
    async fn carry(&self, way: Direction, octets: u64, airtime: Duration) -> Result<(), Lost> {
        let Bearer { delay_ms, loss, tries, retransmit_ms, .. } = self.0.bearer;
        for sent in 1..=tries {
            let is_lost = chance(&self.0.random, loss);
            let takes = match is_lost {
                true => Duration::from_millis(retransmit_ms),
                false => Duration::from_millis(delay_ms) + airtime,
            };
            self.pass(takes).await;
            let mut usage = self.usage_mut();
            match way {
                Direction::Up => usage.octets_up += octets,
                Direction::Down => usage.octets_down += octets,
            }
            if !is_lost {
                return Ok(());
            }
            match sent < tries {
                true => usage.retransmissions += 1,
                false => usage.given_up += 1,
            }
        }
        Err(Lost)
    }

    async fn pass(&self, time: Duration) {
        self.usage_mut().busy += time;
        if !time.is_zero() {
            sleep(time).await;
        }
    }

    fn usage_mut(&self) -> MutexGuard<'_, Usage> {
        self.0.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the delays and losses of a bearer to a link. Each link has its own TLS connection.
#[derive(Clone)]
struct OverPackets {
    carrier: Carrier,
    packets: Packets,
}

impl Layer<Link> for OverPackets {
    type Service = Link;

    fn layer(&self, peer: Link) -> Link {
        let this = self.clone();
        let connection = Arc::new(Mutex::new(None));
        link_from(tower::service_fn(move |request| {
            let (this, peer, connection) = (this.clone(), peer.clone(), Arc::clone(&connection));
            async move { this.exchange(&peer, &connection, request).await }
        }))
    }
}

impl OverPackets {
    async fn exchange(
        &self,
        peer: &Link,
        open_until: &Mutex<Option<Instant>>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkFault> {
        let name = request.uri().authority().map_or_else(|| "server".to_owned(), ToString::to_string);
        let fault = |kind, why: String| LinkFault::new(kind, name.clone(), why);
        let connection = || open_until.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = |_: Lost| {
            *connection() = None;
            let why = format!("lost {} times on {}", self.carrier.0.bearer.tries, self.carrier.0.bearer.id);
            fault(LinkFaultKind::Timeout, why)
        };
        self.carrier.usage_mut().requests += 1;
        self.carrier.is_there().await.map_err(|why| fault(LinkFaultKind::Unreachable, why))?;
        let is_open = connection().is_some_and(|until| until > Instant::now());
        if !is_open {
            self.shake_hands().await;
        }
        self.send(Direction::Up, octets_of_request(&request)).await.map_err(lost)?;
        let answer = world::send(peer, request).await?;
        self.send(Direction::Down, octets_of_answer(&answer)).await.map_err(lost)?;
        *connection() = Some(Instant::now() + Duration::from_secs(self.packets.keep_s));
        Ok(answer)
    }

    async fn send(&self, way: Direction, data: u64) -> Result<(), Lost> {
        let octets = self.packets.octets(data);
        self.carrier.carry(way, octets, self.airtime(way, octets)).await
    }

    fn airtime(&self, way: Direction, octets: u64) -> Duration {
        match way {
            Direction::Up => self.packets.up(octets),
            Direction::Down => self.packets.down(octets),
        }
    }

    async fn shake_hands(&self) {
        let Packets { tls_down, tls_up, .. } = self.packets;
        self.carrier.pass(self.packets.handshake(self.carrier.0.bearer.delay_ms)).await;
        let mut usage = self.carrier.usage_mut();
        usage.handshakes += 1;
        usage.octets_up += tls_up;
        usage.octets_down += tls_down;
    }
}

/// An SMSC behind a bearer, for messages to the device.
pub struct Carried<S> {
    carrier: Carrier,
    messages: Messages,
    centre: S,
}

impl<S: ShortMessages> ShortMessages for Carried<S> {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        Box::pin(async move {
            self.carrier.usage_mut().messages += 1;
            self.carrier.is_there().await.map_err(SubmitFault::Unreachable)?;
            let data = count(submission.message.user_data.len());
            let airtime = Duration::from_millis(self.messages.message_ms);
            let carried = self.carrier.carry(Direction::Down, data, airtime).await;
            carried.map_err(|Lost| {
                let Bearer { tries, id, .. } = self.carrier.bearer();
                SubmitFault::Unreachable(format!("lost {tries} times on {id}"))
            })?;
            self.centre.submit(submission).await
        })
    }
}

/// Returns true with this probability.
pub(crate) fn chance(random: &impl Random, probability: f64) -> bool {
    let mut octets = [0; 4];
    random.fill(&mut octets);
    f64::from(u32::from_be_bytes(octets)) < probability * 4_294_967_296.0
}

/// The size of a request in HTTP/1.1: request line, headers and body.
fn octets_of_request(request: &Request<Bytes>) -> u64 {
    let target = request.uri().path_and_query().map_or(1, |path| path.as_str().len());
    let line = request.method().as_str().len() + target + " ".len() + " HTTP/1.1\r\n".len();
    count(line + octets_of_headers(request.headers()) + request.body().len())
}

fn octets_of_answer(answer: &Response<Bytes>) -> u64 {
    let reason = answer.status().canonical_reason().unwrap_or_default().len();
    count("HTTP/1.1 200 \r\n".len() + reason + octets_of_headers(answer.headers()) + answer.body().len())
}

fn octets_of_headers(headers: &HeaderMap) -> usize {
    let each = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + ": ".len() + value.len() + "\r\n".len()
    };
    headers.iter().map(each).sum::<usize>() + "\r\n".len()
}

fn count(octets: usize) -> u64 {
    u64::try_from(octets).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
