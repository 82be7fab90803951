//! Set-up of the SM-DS.

use std::sync::Arc;

use certs::Pki;
use net::ServerTls;
use sm_ds::{Config, Credentials, SmDs};
use tokio::net::TcpListener;
use world::{Clock, Events, Fault, Records, World};

use super::Running;
use crate::{
    faults::ActiveFaults,
    peers::Delivery,
    pki,
    settings::{ListenAddress, Settings},
};

/// Opens the SM-DS of the settings on its records, without listening.
///
/// # Errors
/// A certificate is missing, an address is malformed, or the records cannot be opened.
pub fn sm_ds(settings: &Settings, pki: &Pki, world: &World, events: Arc<dyn Events>) -> Result<SmDs, Fault> {
    sm_ds_on(settings, pki, world, events, sm_ds_records(settings)?)
}

fn sm_ds_records(settings: &Settings) -> Result<Arc<dyn Records>, Fault> {
    let path = settings.data_dir.join("sm-ds.sqlite");
    super::open_records(settings, &path, sm_ds::records::STORED_FORM)
}

/// Opens the SM-DS of the settings on these records, without listening.
///
/// # Errors
/// A certificate is missing, or an address is malformed.
pub fn sm_ds_on(
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
    records: Arc<dyn Records>,
) -> Result<SmDs, Fault> {
    let mut all = super::addresses(&settings.sm_ds_names, &settings.sm_ds);
    for further in &settings.sm_ds_further {
        all.extend(super::addresses(&settings.sm_ds_names, &further.address));
    }
    let (first, others) = super::parsed(&all)?;
    let mut config = Config::new(first);
    config.server.other_addresses = others;
    let credentials = Credentials::from_pki(pki)
        .map_err(|e| crate::pki::missing_certificate(e, "the SM-DS has no certificates"))?;
    Ok(SmDs::new(config, credentials, records, world.clone(), events))
}

/// Starts the SM-DS of the settings with the active faults, and its background task. It accepts TLS
/// connections; see [`super::served_tls`].
///
/// # Errors
/// As [`sm_ds()`], or there is no TLS certificate and none can be issued.
pub fn serve_sm_ds(
    listener: TcpListener,
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
    active_faults: &ActiveFaults,
) -> Result<(Running, Delivery), Fault> {
    let server = faulty_sm_ds(settings, pki, world, events, active_faults)?;
    let listens = ListenAddress { address: settings.sm_ds.clone(), curve: settings.sm_ds_curve };
    let running = serve_sm_ds_at(listener, &listens, &server, settings, pki, &world.clock, active_faults)?;
    Ok((running, drive_sm_ds(&server, &world.clock)))
}

/// Opens the SM-DS of the settings with the active faults of its records, without listening.
///
/// # Errors
/// As [`sm_ds()`].
pub fn faulty_sm_ds(
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
    active_faults: &ActiveFaults,
) -> Result<SmDs, Fault> {
    sm_ds_on(settings, pki, world, events, active_faults.records("sm-ds", sm_ds_records(settings)?))
}

/// Serves an SM-DS on one listener. A listener with a curve presents only a certificate on this
/// curve.
///
/// # Errors
/// There is no TLS certificate and none can be issued.
pub fn serve_sm_ds_at(
    listener: TcpListener,
    listens: &ListenAddress,
    server: &SmDs,
    settings: &Settings,
    pki: &Pki,
    clock: &Arc<dyn Clock>,
    active_faults: &ActiveFaults,
) -> Result<Running, Fault> {
    let names = &settings.sm_ds_names;
    let tls = super::served_tls(super::TlsServer::SmDs, listens, names, pki, settings, clock, active_faults)?;
    Running::serve(listener, Some(tls), active_faults.incoming_at_sm_ds(server.link()))
}

/// Starts the background task of an SM-DS, which deletes expired sessions.
pub fn drive_sm_ds(server: &SmDs, clock: &Arc<dyn Clock>) -> Delivery {
    let server = server.clone();
    Delivery::drive("sessions of LPAs", Arc::default(), Arc::clone(clock), move || {
        let server = server.clone();
        Box::pin(async move { Ok(Some(rsp_server::delete_expired_sessions(&server).await?).into()) })
    })
}

/// Returns the TLS configuration of the SM-DS; see [`super::sm_dp_tls`].
///
/// # Errors
/// There is no certificate, and none can be issued.
pub fn sm_ds_tls(settings: &Settings, pki: &Pki, clock: Arc<dyn Clock>) -> Result<ServerTls, Fault> {
    let names = pki::names_of(&settings.sm_ds, &settings.sm_ds_names)?;
    let kept = pki.ds(pki.tls_curve()).map(|ds| ds.tls);
    let issue = |validity| pki.issue_ds_tls(&names, validity);
    let credential = super::server_credential("SM-DS", kept, issue, &names, clock.now())?;
    super::TlsServer::SmDs.tls_on(None, pki, &credential, clock)
}
