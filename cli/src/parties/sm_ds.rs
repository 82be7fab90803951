//! The SM-DS as a party.

use std::sync::Arc;

use certs::Pki;
use crypto::Curve;
use net::{ClientAuth, ServerTls, SqliteRecords};
use sm_ds::{Config, Credentials, SmDs};
use tokio::net::TcpListener;
use world::{Clock, Events, Fault, World};

use super::Running;
use crate::{pki, settings::Settings};

/// The SM-DS of the settings on its records, not listening yet.
///
/// # Errors
/// A certificate is missing, an address is malformed, or the records cannot be opened.
pub fn sm_ds(settings: &Settings, pki: &Pki, world: &World, events: Arc<dyn Events>) -> Result<SmDs, Fault> {
    let (first, others) = super::parsed(&super::addresses(&settings.sm_ds_names, &settings.sm_ds))?;
    let mut config = Config::new(first);
    config.other_addresses = others;
    let credentials = Credentials::from_pki(pki).map_err(|e| {
        Fault::caused_by(e, "the SM-DS has no certificates", "make a PKI with `landfall certs init`")
    })?;
    let records = SqliteRecords::open(settings.data_dir.join("sm-ds.sqlite"))?;
    Ok(SmDs::new(config, credentials, Arc::new(records), world.clone(), events))
}

/// The same, serving over TLS; see [`super::sm_dp_tls`].
///
/// # Errors
/// As [`sm_ds()`]; or there is no TLS certificate and none can be issued.
pub fn serve_sm_ds(
    listener: TcpListener,
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
) -> Result<Running, Fault> {
    let server = sm_ds(settings, pki, world, events)?;
    Running::serve(listener, Some(sm_ds_tls(settings, pki, Arc::clone(&world.clock))?), server.link())
}

/// TLS of the SM-DS; see [`super::sm_dp_tls`].
///
/// # Errors
/// There is no certificate and none can be issued.
pub fn sm_ds_tls(settings: &Settings, pki: &Pki, clock: Arc<dyn Clock>) -> Result<ServerTls, Fault> {
    let names = pki::names_of(&settings.sm_ds, &settings.sm_ds_names)?;
    let kept = pki.ds(Curve::P256).map(|ds| ds.tls);
    let issue = |validity| pki.issue_ds_tls(&names, validity);
    let credential = super::server_credential("SM-DS", kept, issue, &names, clock.now())?;
    let auth = ClientAuth::Optional(super::tls_roots(pki));
    ServerTls::new(&super::identity(&credential), &auth, clock)
}
