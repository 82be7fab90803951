//! The short messages and BIP channels of an M2M device, over the bearer of its network.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use network::Radio;
use rsp::ids::Plmn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use world::{BoxByteStream, BoxFuture, Dial, LinkFault, LinkFaultKind, MemoryHosts};

use super::radio_environment::RadioState;
use super::simulated_world::SimulatedWorld;
use faults::FaultInjector;
use testbed::bearer::Carrier;
use testbed::transport::{CardConnection, Transports};

/// Maximum number of octets of a connection that are sent over the bearer at once.
const IN_FLIGHT: usize = 16 * 1024;

/// One device's use of the bearers. Clones share their state.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) radio_state: Arc<Mutex<RadioState>>,
    pub(super) carriers: Arc<BTreeMap<Plmn, Carrier>>,
    pub(super) faults: FaultInjector,
    pub(super) sim: Weak<SimulatedWorld>,
    pub(super) index: usize,
}

/// The hosts to which a card can connect.
pub(super) struct Channels {
    pub(super) hosts: MemoryHosts,
    pub(super) transports: Arc<dyn Transports>,
    pub(super) line: Line,
}

impl Line {
    /// Transmits one short message. Returns true if it arrives.
    pub(super) async fn message(&self, plmn: Plmn, octets: usize, is_to_device: bool) -> bool {
        let Some(carrier) = self.carriers.get(&plmn) else { return false };
        let before = carrier.usage();
        let is_through = carrier.short_message(octets, is_to_device).await.is_ok();
        self.account(carrier, before, 1);
        is_through
    }

    /// Transmits octets of a connection that was opened in this network.
    async fn packets(&self, plmn: Plmn, octets: usize, is_to_device: bool) -> Result<(), String> {
        if self.attached() != Some(plmn) {
            return Err(format!("the device has left network {plmn}"));
        }
        let sim = self.sim.upgrade().ok_or("the run has ended")?;
        if !matches!(sim.radio.networks.system_information(plmn).await, Ok(Some(_))) {
            return Err(format!("network {plmn} has lost its coverage"));
        }
        if self.faults.carries_nothing(plmn) {
            return Err(format!("network {plmn} carries no packets of the device"));
        }
        let carrier = self.carriers.get(&plmn).ok_or_else(|| format!("network {plmn} has no bearer"))?;
        let before = carrier.usage();
        let carried = carrier.packets(octets, is_to_device).await;
        self.account(carrier, before, 0);
        carried
    }

    fn attached(&self) -> Option<Plmn> {
        self.radio_state.lock().unwrap_or_else(PoisonError::into_inner).attached
    }

    fn account(&self, carrier: &Carrier, before: testbed::bearer::Usage, messages: u64) {
        let used = carrier.usage() - before;
        if let Some(sim) = self.sim.upgrade() {
            let octets = used.octets_up.saturating_add(used.octets_down);
            sim.used(self.index, &carrier.bearer().id, octets, messages);
        }
    }

    /// Transmits in both directions until both ends have closed. A loss breaks the connection.
    async fn connect(
        self,
        plmn: Plmn,
        connection: Box<dyn CardConnection>,
        device: DuplexStream,
        server: BoxByteStream,
    ) {
        let ((from_device, to_device), (from_server, to_server)) = (split(device), split(server));
        let up = self.carry(plmn, &*connection, (from_device, to_server), false);
        let down = self.carry(plmn, &*connection, (from_server, to_device), true);
        // Both ends notice the end of the connection and report it themselves.
        let _broken = tokio::try_join!(up, down);
    }

    async fn carry(
        &self,
        plmn: Plmn,
        connection: &dyn CardConnection,
        (mut from, mut to): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        is_to_device: bool,
    ) -> io::Result<()> {
        let mut octets = vec![0; IN_FLIGHT];
        loop {
            let read = from.read(&mut octets).await?;
            let Some(data) = octets.get(..read).filter(|data| !data.is_empty()) else {
                return to.shutdown().await;
            };
            self.packets(plmn, read, is_to_device).await.map_err(io::Error::other)?;
            to.write_all(&connection.carry(data, is_to_device)?).await?;
        }
    }
}

impl Dial for Channels {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        Box::pin(async move {
            let unreachable =
                |why: String| LinkFault::new(LinkFaultKind::Unreachable, format!("{host}:{port}"), why);
            let plmn = self.line.attached();
            let plmn = plmn.ok_or_else(|| unreachable("the device is not registered".to_owned()))?;
            // One message requests the connection, and one accepts it.
            for is_to_device in [false, true] {
                self.line.packets(plmn, 0, is_to_device).await.map_err(unreachable)?;
            }
            let server = self.hosts.dial(host, port).await?;
            let connection =
                self.transports.connect_card().map_err(|fault| unreachable(fault.to_string()))?;
            let (own, device) = duplex(IN_FLIGHT);
            tokio::spawn(self.line.clone().connect(plmn, connection, device, server));
            let own: BoxByteStream = Box::new(own);
            Ok(own)
        })
    }
}
