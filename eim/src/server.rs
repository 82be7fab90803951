//! The server, and the functions that its environment calls.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response};
use rsp::ids::{Eid, SmdpAddress, TransactionId};
use rsp::sgp32::EimConfigurationData;
use rsp_server::{
    Core,
    api::{EventLog, Waits, WatchedRecords},
    due::WorkQueue,
};
use world::{Events, Fault, Link, Records, Tx, World};

use crate::{
    config::Config,
    credentials::Credentials,
    devices::{self, NewDevice},
    orders::{self, NewOrder},
    records::{DEVICES, Device, EimConfiguration, ORDERS, Order, order_key},
    signing,
};

/// An eIM. Clones share one server. Several servers can also share the same records.
#[derive(Clone)]
pub struct Eim(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) core: Core<Config, Credentials>,
    pub(crate) log: Arc<EventLog>,
    /// The requests to the admin API that wait for a change.
    pub(crate) waits: Arc<Waits>,
    /// Links to SM-DP+s and SM-DSs, if they have been set.
    pub(crate) peers: OnceLock<Arc<dyn Peers>>,
    /// The recipients to which notifications are being delivered.
    pub(crate) deliveries: WorkQueue,
}

/// The outgoing connections of the eIM, which its environment supplies.
pub trait Peers: Send + Sync {
    /// Returns a link to an SM-DP+ (ES9+') or SM-DS (ES11').
    ///
    /// # Errors
    /// Fails if no link to this address is possible.
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault>;

    /// Signals that a notification waits for delivery and that [`Eim::deliver_due`] must run.
    fn wake(&self) {}
}

impl<F> Peers for F
where
    F: Fn(&SmdpAddress) -> Result<Link, Fault> + Send + Sync,
{
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        self(address)
    }
}

impl Eim {
    /// Creates a server that keeps its state in `records`.
    pub fn new(
        config: Config,
        credentials: Credentials,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> Self {
        let waits = Arc::<Waits>::default();
        let log = Arc::new(EventLog::over(events, Arc::clone(&waits)));
        let records = Arc::new(WatchedRecords::new(records, Arc::clone(&waits)));
        let core = Core::new(config, credentials, records, world, log.clone());
        let (peers, deliveries) = (OnceLock::new(), WorkQueue::default());
        Self(Arc::new(Inner { core, log, waits, peers, deliveries }))
    }

    /// Sets the outgoing connections. Further calls have no effect.
    #[must_use]
    pub fn with_peers(self, peers: Arc<dyn Peers>) -> Self {
        // A second value is ignored, because it would have missed the wake-ups that the first value
        // received.
        let _ = self.0.peers.set(peers);
        self
    }

    /// Ends the requests to the admin API that wait, so that the server can stop.
    pub fn end_waits(&self) {
        self.0.waits.end();
    }

    pub(crate) fn records(&self) -> &dyn Records {
        &*self.0.core.records
    }

    /// Returns a link to ESipa, for a listening socket or a client in the same process.
    pub fn link(&self) -> Link {
        rsp_server::link(self)
    }

    /// Handles one HTTP request of an IPA.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        rsp_server::handle(self, request).await
    }

    /// Returns the configuration with which an eUICC is associated with this eIM, for AddInitialEim or
    /// addEim.
    pub fn configuration(&self) -> EimConfiguration {
        signing::own_configuration(&self.0.core.config, &self.0.core.credentials)
    }

    /// Returns [`Eim::configuration`] as an eUICC receives it.
    pub fn configuration_data(&self) -> EimConfigurationData {
        signing::configuration_data(&self.configuration())
    }

    /// Registers a device with which the eIM is associated. A device that is registered already gets the
    /// new association, and its orders stay.
    ///
    /// # Errors
    /// A certificate is invalid, or the records fail.
    pub async fn register(&self, device: &NewDevice) -> Result<Device, Fault> {
        let core = &self.0.core;
        let now = core.world.now();
        let registered = world::transact(&*core.records, |tx| {
            Box::pin(async move { devices::register(&mut core.context(tx, now), device).await })
        });
        registered.await?
    }

    /// Places an order. Returns its eimTransactionId.
    ///
    /// # Errors
    /// The device is unknown, the package is invalid, the device has too many orders, or the records
    /// fail.
    pub async fn order(&self, order: &NewOrder) -> Result<TransactionId, Fault> {
        let core = &self.0.core;
        let now = core.world.now();
        let placed = world::transact(&*core.records, |tx| {
            Box::pin(async move { orders::place(&mut core.context(tx, now), order).await })
        });
        Ok(placed.await??.0)
    }

    /// Returns a device.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn device(&self, eid: Eid) -> Result<Option<Device>, Fault> {
        Tx::begin(self.records()).get(&DEVICES, &eid.to_string()).await
    }

    /// Returns an order.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn order_of(&self, id: &TransactionId) -> Result<Option<Order>, Fault> {
        Tx::begin(self.records()).get(&ORDERS, &order_key(id)).await
    }
}
