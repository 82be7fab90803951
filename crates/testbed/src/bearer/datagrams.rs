//! Datagrams over a bearer, for CoAP. CoAP itself repeats what is lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use coap::{ACK_TIMEOUT, Datagrams, DialDatagrams};
use fleet::bearers::Bearer;
use tokio::time::{Instant, sleep_until};
use world::{BoxFuture, Fault, LinkFault, LinkFaultKind};

use super::{Carrier, Direction, OverPackets, chance, count};

/// Octets of the headers of a datagram: IPv4 (20), UDP (8), and a record of DTLS 1.2 with AES-GCM (37).
const OVERHEAD: u64 = 65;
/// Octets of the largest CoAP message: a block of 1,024 octets with its options.
const LARGEST_MESSAGE: u64 = 1100;

impl Carrier {
    /// Wraps the associations with a server with this bearer. Each association begins with the
    /// handshake of the bearer.
    ///
    /// # Errors
    /// The bearer carries no packets.
    pub fn datagrams(&self, server: Arc<dyn DialDatagrams>) -> Result<Arc<dyn DialDatagrams>, Fault> {
        let packets = self.bearer().packets.ok_or_else(|| self.not("packets"))?;
        Ok(Arc::new(Dial { server, over: OverPackets { carrier: self.clone(), packets } }))
    }
}

/// Returns the time that a CoAP client on this bearer waits for an acknowledgement before it repeats
/// a message: the round trip of the largest message, at least the default of CoAP.
pub fn ack_timeout(bearer: &Bearer) -> Duration {
    let airtime = bearer.packets.map(|packets| {
        let octets = LARGEST_MESSAGE + OVERHEAD;
        packets.up(octets) + packets.down(octets)
    });
    let round_trip = Duration::from_millis(2 * bearer.delay_ms) + airtime.unwrap_or_default();
    round_trip.max(ACK_TIMEOUT)
}

struct Dial {
    server: Arc<dyn DialDatagrams>,
    over: OverPackets,
}

impl DialDatagrams for Dial {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        Box::pin(async {
            available(&self.over.carrier).await?;
            let inner = self.server.dial().await?;
            self.over.shake_hands().await;
            let arriving = Mutex::default();
            let over = self.over.clone();
            Ok(Arc::new(OverBearer { inner, over, arriving }) as Arc<dyn Datagrams>)
        })
    }
}

/// An association over a bearer.
struct OverBearer {
    inner: Arc<dyn Datagrams>,
    over: OverPackets,
    /// Datagrams on their way to the device, with the times of their arrival.
    arriving: Mutex<VecDeque<(Instant, Bytes)>>,
}

impl OverBearer {
    /// Counts a datagram. Returns its time on the way, or `None` if it is lost.
    fn transmit(&self, way: Direction, datagram: &Bytes) -> Option<Duration> {
        let carrier = &self.over.carrier;
        let Bearer { delay_ms, loss, .. } = *carrier.bearer();
        let octets = count(datagram.len()) + OVERHEAD;
        let is_lost = chance(&carrier.0.random, loss);
        let takes = Duration::from_millis(delay_ms) + self.over.airtime(way, octets);
        let mut usage = carrier.usage_mut();
        match way {
            Direction::Up => {
                usage.requests += 1;
                usage.octets_up += octets;
            }
            Direction::Down => usage.octets_down += octets,
        }
        usage.busy += takes;
        usage.retransmissions += u64::from(is_lost);
        (!is_lost).then_some(takes)
    }

    fn arriving(&self) -> MutexGuard<'_, VecDeque<(Instant, Bytes)>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Datagrams for OverBearer {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        Box::pin(async move {
            available(&self.over.carrier).await?;
            match self.transmit(Direction::Up, &datagram) {
                None => Ok(()),
                Some(takes) => {
                    sleep_until(Instant::now() + takes).await;
                    self.inner.send(datagram).await
                }
            }
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        Box::pin(async move {
            loop {
                let next = {
                    let mut arriving = self.arriving();
                    match arriving.front() {
                        Some((at, _)) if *at > Instant::now() => Some(*at),
                        Some(_) => {
                            if let Some((_, datagram)) = arriving.pop_front() {
                                return Ok(datagram);
                            }
                            None
                        }
                        None => None,
                    }
                };
                tokio::select! {
                    biased;
                    datagram = self.inner.receive() => {
                        let datagram = datagram?;
                        if let Some(takes) = self.transmit(Direction::Down, &datagram) {
                            self.arriving().push_back((Instant::now() + takes, datagram));
                        }
                    }
                    () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                }
            }
        })
    }
}

/// Waits until the bearer is available.
async fn available(carrier: &Carrier) -> Result<(), LinkFault> {
    let unavailable = |why| LinkFault::new(LinkFaultKind::Unreachable, "server", why);
    carrier.is_there().await.map_err(unavailable)
}
