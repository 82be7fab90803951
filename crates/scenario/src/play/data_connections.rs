//! The data connections of a device over the bearer of its current network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use coap::{Datagrams, DialDatagrams};
use fleet::bearers::{Bearer, Packets};
use http::{Request, Response};
use network::{Networks, Radio};
use rsp::ids::Plmn;
use world::{BoxFuture, Fault, Link, LinkFault, LinkFaultKind, SeededRandom, link_from};

use super::radio_environment::RadioState;
use faults::FaultInjector;
use testbed::bearer::{Carrier, Usage, ack_timeout};

/// The data connections of one device while it is awake. Clones share their state.
#[derive(Clone)]
pub(super) struct DataConnections(Arc<Inner>);

struct Inner {
    networks: Arc<Networks>,
    bearers: Arc<BTreeMap<Plmn, Bearer>>,
    radio_state: Arc<Mutex<RadioState>>,
    random: SeededRandom,
    faults: FaultInjector,
    carriers: Mutex<BTreeMap<LineId, Carrier>>,
}

/// The ID of a bearer, and the data rate in kilobits per second to which the network limits it.
type LineId = (String, Option<u32>);

impl DataConnections {
    pub(super) fn new(
        networks: Arc<Networks>,
        bearers: Arc<BTreeMap<Plmn, Bearer>>,
        radio_state: Arc<Mutex<RadioState>>,
        random: SeededRandom,
        faults: FaultInjector,
    ) -> Self {
        Self(Arc::new(Inner { networks, bearers, radio_state, random, faults, carriers: Mutex::default() }))
    }

    /// Wraps a link to a peer. Each request uses the bearer of the current network.
    pub(super) fn to(&self, peer: Link) -> Link {
        let (this, open) = (self.clone(), Arc::new(Mutex::new(BTreeMap::new())));
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (this, peer, open) = (this.clone(), peer.clone(), Arc::clone(&open));
            async move { this.send(peer, &open, request).await }
        }))
    }

    async fn send(
        &self,
        peer: Link,
        open: &Mutex<BTreeMap<LineId, Link>>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkFault> {
        let host = request.uri().host().unwrap_or("server").to_owned();
        let unreachable = |why: String| LinkFault::new(LinkFaultKind::Unreachable, host.clone(), why);
        let plmn = self.network().await.map_err(unreachable)?;
        let line = self.line(plmn, peer, open).map_err(|fault| unreachable(fault.to_string()))?;
        world::send(&line, request).await
    }

    /// The network that carries the packets of the device at present.
    async fn network(&self) -> Result<Plmn, String> {
        let attached = self.0.radio_state.lock().unwrap_or_else(PoisonError::into_inner).attached;
        let plmn = attached.ok_or("the device is not registered")?;
        if !matches!(self.0.networks.system_information(plmn).await, Ok(Some(_))) {
            return Err(format!("network {plmn} has lost its coverage"));
        }
        if self.0.faults.carries_nothing(plmn) {
            return Err(format!("network {plmn} carries no packets of the device"));
        }
        Ok(plmn)
    }

    /// Opens associations with a server over the bearer of the current network.
    pub(super) fn datagrams(&self, server: Arc<dyn DialDatagrams>) -> Arc<dyn DialDatagrams> {
        Arc::new(Dial { connections: self.clone(), server })
    }

    /// The time that a CoAP client of the device waits for an acknowledgement: that of the slowest
    /// bearer.
    pub(super) fn ack_timeout(&self) -> Duration {
        self.0.bearers.values().map(ack_timeout).max().unwrap_or(coap::ACK_TIMEOUT)
    }

    fn line(&self, plmn: Plmn, peer: Link, open: &Mutex<BTreeMap<LineId, Link>>) -> Result<Link, Fault> {
        let (id, carrier) = self.carrier(plmn)?;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = open.get(&id) {
            return Ok(line.clone());
        }
        let line = carrier.link(peer)?;
        open.insert(id, line.clone());
        Ok(line)
    }

    fn carrier(&self, plmn: Plmn) -> Result<(LineId, Carrier), Fault> {
        let throttle = self.0.radio_state.lock().unwrap_or_else(PoisonError::into_inner).throttle_kbps;
        let bearer = self.0.bearers.get(&plmn).ok_or_else(|| {
            Fault::new("there is no data connection", format!("network {plmn} has no bearer"), "report this")
        })?;
        let id = (bearer.id.clone(), throttle);
        let new = || match throttle {
            None => Carrier::new(bearer, self.0.random.branch(&bearer.id)),
            Some(kbps) => {
                let random = self.0.random.branch(&format!("{} at {kbps} kbit/s", bearer.id));
                Carrier::new(&throttled(bearer, kbps), random)
            }
        };
        let carrier = self.carriers().entry(id.clone()).or_insert_with(new).clone();
        Ok((id, carrier))
    }

    /// The traffic by bearer.
    pub(super) fn usage(&self) -> Vec<(String, Usage)> {
        self.carriers().iter().map(|((id, _), carrier)| (id.clone(), carrier.usage())).collect()
    }

    fn carriers(&self) -> MutexGuard<'_, BTreeMap<LineId, Carrier>> {
        self.0.carriers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens associations over the data connections of a device.
struct Dial {
    connections: DataConnections,
    server: Arc<dyn DialDatagrams>,
}

impl DialDatagrams for Dial {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        Box::pin(async {
            let connections = self.connections.clone();
            let plmn = connections.network().await.map_err(unreachable)?;
            let over = |(_, carrier): (LineId, Carrier)| carrier.datagrams(Arc::clone(&self.server));
            let dial = connections.carrier(plmn).and_then(over);
            let inner = dial.map_err(|fault| unreachable(fault.to_string()))?.dial().await?;
            Ok(Arc::new(Association { connections, inner }) as Arc<dyn Datagrams>)
        })
    }
}

/// An association of a device, which ends when its network carries no more packets.
struct Association {
    connections: DataConnections,
    inner: Arc<dyn Datagrams>,
}

impl Datagrams for Association {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        Box::pin(async move {
            self.connections.network().await.map_err(unreachable)?;
            self.inner.send(datagram).await
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        self.inner.receive()
    }
}

fn unreachable(why: String) -> LinkFault {
    LinkFault::new(LinkFaultKind::Unreachable, "server", why)
}

/// The bearer with this data rate at most.
fn throttled(bearer: &Bearer, kbps: u32) -> Bearer {
    let most = u64::from(kbps) * 1000;
    let packets = bearer.packets.map(|packets| Packets {
        down_bps: packets.down_bps.min(most),
        up_bps: packets.up_bps.min(most),
        ..packets
    });
    Bearer { packets, ..bearer.clone() }
}
