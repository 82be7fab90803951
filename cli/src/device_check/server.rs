//! The SM-DP+ of one case: fresh records with one released order.

use std::{future::pending, path::PathBuf, sync::Arc, time::Duration};

use certs::Pki;
use faults::FaultInjector;
use net::ServerTls;
use rsp::ids::Iccid;
use serde_json::json;
use sm_dp::{ProfileState, SmDpPlus, admin::preset::NewOrder, stock::ProfileOptions};
use testbed::subscription::own_package;
use tokio::net::{TcpListener, TcpStream};
use world::{Fault, MemoryRecords, NullEvents, Records, World};

use super::calls::CallLog;
use crate::{
    faults::{ActiveFaults, run_with},
    parties::{self, Running, TlsServer},
    settings::{ListenAddress, Settings},
};

/// Home network of the ordered profiles.
const HOME: &str = "724-99";

/// The configuration that all cases share.
pub(crate) struct Setup {
    /// Settings of the SM-DP+, with its listening address.
    pub(crate) settings: Settings,
    /// PKI of the SM-DP+ and of the cards.
    pub(crate) pki: Arc<Pki>,
    pub(crate) world: World,
    /// True if the package of an order can be bound only once.
    pub(crate) bind_once: bool,
}

impl Setup {
    /// Path of the root certificate of the SM-DP+.
    pub(crate) fn root(&self) -> PathBuf {
        self.settings.root_certificate()
    }

    /// Prepares an SM-DP+ that listens and has an order for profile `number`.
    pub(crate) async fn order(&self, number: u64) -> Result<OrderedServer, Fault> {
        let mut settings = self.settings.clone();
        let listener = parties::listen_at(&mut settings.sm_dp, "--listen").await?;
        let records: Arc<dyn Records> = Arc::new(MemoryRecords::default());
        let sm_dp =
            parties::sm_dp_on(&settings, &self.pki, &self.world, Arc::new(NullEvents), Arc::clone(&records))?;
        let package = own_package(HOME, number, "Device check")?;
        let iccid = sm_dp.add_profile(&package, &ProfileOptions::default()).await?;
        let rebinding = if self.bind_once { "Refused" } else { "Allowed" };
        let order: NewOrder = serde_json::from_value(json!({ "iccid": iccid, "rebinding": rebinding }))
            .map_err(|e| Fault::caused_by(e, "cannot place an order", "report this"))?;
        let ordered = sm_dp.ensure_order(&order).await?.into_inner();
        let matching_id = ordered.order.and_then(|order| order.matching_id).unwrap_or_default();
        Ok(OrderedServer { settings, listener: Some(listener), records, sm_dp, iccid, matching_id })
    }
}

/// An SM-DP+ with one order.
pub(crate) struct OrderedServer {
    settings: Settings,
    /// The listener of the first process.
    listener: Option<TcpListener>,
    records: Arc<dyn Records>,
    /// The server without faults, to read its records.
    sm_dp: SmDpPlus,
    /// The ordered profile.
    pub(crate) iccid: Iccid,
    /// The MatchingID of the order.
    pub(crate) matching_id: String,
}

impl OrderedServer {
    /// The address of the SM-DP+ for devices.
    pub(crate) fn address(&self) -> String {
        parties::reachable(&self.settings)
    }

    /// The activation code of the order.
    pub(crate) fn activation_code(&self) -> String {
        format!("LPA:1${}${}", self.address(), self.matching_id)
    }

    /// The server whose records can be read while [`OrderedServer::serve`] runs.
    pub(crate) fn without_faults(&self) -> SmDpPlus {
        self.sm_dp.clone()
    }

    /// The listening address.
    pub(crate) fn listens(&self) -> String {
        self.settings.sm_dp.clone()
    }

    /// The TLS configuration of the SM-DP+, with the faults of its certificate.
    pub(crate) fn tls(&self, setup: &Setup, injector: &FaultInjector) -> Result<ServerTls, Fault> {
        let (settings, clock) = (&self.settings, &setup.world.clock);
        let listens = ListenAddress { address: settings.sm_dp.clone(), curve: None };
        let names = &settings.sm_dp_names;
        let active_faults = ActiveFaults::of(injector.clone());
        parties::served_tls(TlsServer::SmDp, &listens, names, &setup.pki, settings, clock, &active_faults)
    }

    /// Serves with these faults until this future is dropped. After a crash the server restarts with
    /// the same records.
    pub(crate) async fn serve(
        mut self,
        setup: &Setup,
        tls: ServerTls,
        injector: FaultInjector,
        log: &CallLog,
    ) -> Result<(), Fault> {
        let (settings, records, first) = (self.settings, self.records, &mut self.listener);
        run_with(Some(injector.clone()), async |active_faults| {
            let listener = match first.take() {
                Some(listener) => listener,
                None => net::listen(&settings.sm_dp).await?,
            };
            let records = active_faults.records("sm-dp", Arc::clone(&records));
            let events = Arc::new(log.clone());
            let sm_dp = parties::sm_dp_on(&settings, &setup.pki, &setup.world, events, records)?;
            let link = log.over(active_faults.incoming(sm_dp.link()), injector.clone());
            let _running = Running::serve(listener, Some(tls.clone()), link)?;
            pending().await
        })
        .await
    }
}

/// Returns the state of the profile of the only order.
pub(crate) async fn state(sm_dp: &SmDpPlus) -> Result<ProfileState, Fault> {
    let profile = sm_dp.orders().await?.into_iter().next();
    profile.map(|profile| profile.state).ok_or_else(|| {
        Fault::new("cannot read the order of a case", "its records contain no profile", "report this")
    })
}

/// Interval between two attempts to connect to a server that restarts.
const CONNECT_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until the server listens. After a crash it listens again only after a delay.
pub(crate) async fn until_reachable(address: &str) {
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(CONNECT_INTERVAL).await;
    }
}
