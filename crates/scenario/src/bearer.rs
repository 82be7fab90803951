//! Bearers in use: how long octets take over them, and what is lost.
//!
//! A [`Bearer`] is data ([`fleet::bearers`]). A [`Carrier`] is one device's use of one: it makes a link or a message centre as
//! slow and as lossy as the bearer, and counts what went over it. Devices do not take each other's capacity; a cell's load is in
//! its figures.

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
    BoxFuture, Dice, Fault, Link, LinkFault, LinkFaultKind, MessageId, SeededDice, ShortMessages, Submission,
    SubmitFault, link_from,
};

/// One device's use of one bearer. A clone is the same use: losses are thrown and octets are counted for both.
#[derive(Clone)]
pub struct Carrier(Arc<Inner>);

struct Inner {
    bearer: Bearer,
    dice: SeededDice,
    began: Instant,
    usage: Mutex<Usage>,
}

/// What went over a bearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// HTTP requests that were begun.
    pub requests: u64,
    /// TLS handshakes.
    pub handshakes: u64,
    /// Short messages that were begun.
    pub messages: u64,
    /// Octets from the device, retransmissions and overhead included.
    pub octets_up: u64,
    /// Octets towards the device, likewise.
    pub octets_down: u64,
    /// Requests, answers and short messages that were lost and sent again.
    pub retransmissions: u64,
    /// Exchanges that were given up.
    pub given_up: u64,
    /// How long somebody waited for the bearer: delays, octets, losses, and that it be there.
    pub busy: Duration,
}

impl Sub for Usage {
    type Output = Self;

    /// What went over it between two moments.
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

/// Which way octets go.
#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

/// A message was lost as often as it may be sent.
struct Lost;

impl Carrier {
    /// A use of this bearer that begins now, losing what these dice say.
    pub fn new(bearer: &Bearer, dice: SeededDice) -> Self {
        let (bearer, began) = (bearer.clone(), Instant::now());
        Self(Arc::new(Inner { bearer, dice, began, usage: Mutex::default() }))
    }

    /// The bearer.
    pub fn bearer(&self) -> &Bearer {
        &self.0.bearer
    }

    /// What went over it so far.
    pub fn usage(&self) -> Usage {
        *self.usage_mut()
    }

    /// The same peer over this bearer, with a TLS connection of its own.
    ///
    /// # Errors
    /// The bearer carries no packets.
    pub fn link(&self, peer: Link) -> Result<Link, Fault> {
        let packets = self.bearer().packets.ok_or_else(|| self.not("packets"))?;
        Ok(OverPackets { carrier: self.clone(), packets }.layer(peer))
    }

    /// The same message centre over this bearer.
    ///
    /// # Errors
    /// The bearer carries no short messages.
    pub fn messages<S: ShortMessages>(&self, centre: S) -> Result<Carried<S>, Fault> {
        let messages = self.bearer().messages.ok_or_else(|| self.not("short messages"))?;
        Ok(Carried { carrier: self.clone(), messages, centre })
    }

    /// Carries one short message with so many octets to the device, or from it.
    ///
    /// # Errors
    /// The bearer carries no short messages, is not there, or has lost it.
    pub(crate) async fn short_message(&self, octets: usize, is_to_device: bool) -> Result<(), String> {
        let messages = self.bearer().messages.ok_or_else(|| self.not("short messages").to_string())?;
        self.usage_mut().messages += 1;
        self.is_there().await?;
        let way = if is_to_device { Way::Down } else { Way::Up };
        let carried = self.carry(way, count(octets), Duration::from_millis(messages.message_ms)).await;
        carried.map_err(|Lost| format!("lost {} times on {}", self.bearer().tries, self.bearer().id))
    }

    /// Carries so many octets of a connection to the device, or from it, as packets.
    ///
    /// # Errors
    /// The bearer carries no packets, is not there, or has lost them.
    pub(crate) async fn packets(&self, octets: usize, is_to_device: bool) -> Result<(), String> {
        let packets = self.bearer().packets.ok_or_else(|| self.not("packets").to_string())?;
        self.is_there().await?;
        let way = if is_to_device { Way::Down } else { Way::Up };
        // What carries no data is a packet as well.
        let carried = OverPackets { carrier: self.clone(), packets }.send(way, count(octets).max(1)).await;
        carried.map_err(|Lost| format!("lost {} times on {}", self.bearer().tries, self.bearer().id))
    }

    fn not(&self, what: &str) -> Fault {
        let Bearer { id, name, .. } = self.bearer();
        Fault::new(
            format!("cannot use the bearer {id}"),
            format!("{name} carries no {what}"),
            "take another bearer",
        )
    }

    /// Waits until the bearer is there.
    async fn is_there(&self) -> Result<(), String> {
        let Bearer { availability, window_s, patience_s, .. } = self.0.bearer;
        let from = Instant::now();
        loop {
            let window = self.0.began.elapsed().as_secs() / window_s.max(1);
            // A window of its own dice: whether it is there does not depend on who asks, nor how often.
            if chance(&self.0.dice.branch(&format!("window {window}")), availability) {
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
                return Err(format!("the bearer {} was not there for {patience_s} s", self.0.bearer.id));
            }
        }
    }

    /// Carries one message of so many octets one way, again and again until it arrives.
    async fn carry(&self, way: Way, octets: u64, airtime: Duration) -> Result<(), Lost> {
        let Bearer { delay_ms, loss, tries, retransmit_ms, .. } = self.0.bearer;
        for sent in 1..=tries {
            let is_lost = chance(&self.0.dice, loss);
            let takes = match is_lost {
                true => Duration::from_millis(retransmit_ms),
                false => Duration::from_millis(delay_ms) + airtime,
            };
            self.pass(takes).await;
            let mut usage = self.usage_mut();
            match way {
                Way::Up => usage.octets_up += octets,
                Way::Down => usage.octets_down += octets,
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

/// Makes a link as slow and as lossy as a bearer. Each link has a TLS connection of its own.
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
        self.send(Way::Up, octets_of_request(&request)).await.map_err(lost)?;
        let answer = world::send(peer, request).await?;
        self.send(Way::Down, octets_of_answer(&answer)).await.map_err(lost)?;
        *connection() = Some(Instant::now() + Duration::from_secs(self.packets.keep_s));
        Ok(answer)
    }

    async fn send(&self, way: Way, data: u64) -> Result<(), Lost> {
        let octets = self.packets.octets(data);
        let airtime = match way {
            Way::Up => self.packets.up(octets),
            Way::Down => self.packets.down(octets),
        };
        self.carrier.carry(way, octets, airtime).await
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

/// A message centre over a bearer: towards the device.
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
            let carried = self.carrier.carry(Way::Down, data, airtime).await;
            carried.map_err(|Lost| {
                let Bearer { tries, id, .. } = self.carrier.bearer();
                SubmitFault::Unreachable(format!("lost {tries} times on {id}"))
            })?;
            self.centre.submit(submission).await
        })
    }
}

/// Whether it happens, when it happens with this probability.
pub(crate) fn chance(dice: &impl Dice, probability: f64) -> bool {
    let mut octets = [0; 4];
    dice.fill(&mut octets);
    f64::from(u32::from_be_bytes(octets)) < probability * 4_294_967_296.0
}

/// What a request has as HTTP/1.1: line, headers, body.
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
