//! The SM-DP (SGP.02), on the records and the socket of the SM-DP+.

use std::{str::FromStr, sync::Arc};

use bytes::Bytes;
use certs::{Pki, ServerName, m2m::Owner};
use clap::Args;
use http::Request;
use net::{Client, ClientTls};
use rsp::{
    ids::{Iccid, Oid},
    sgp02::common::SubscriptionAddress,
};
use rsp_server::AllowedAddresses;
use sm_dp::SmDp;
use testbed::m2m::assembly::{SmDpSetup, operator_credential};
use world::{Clock, Events, Fault, Link, Records, World, link_from};

use super::{
    messages::Messages,
    operator::{SOAP_PATH, peer},
};
use crate::{
    faults::ActiveFaults,
    parties::{client_auth, identity, tls_roots},
    peers::{Delivery, TlsPeers},
};

/// Name of the SM-DP in the PKI.
pub const NAME_IN_PKI: &str = "Landfall SM-DP";

/// M2M peers of the SM-DP (SGP.02)
#[derive(Args, Clone, Debug, Default)]
pub struct M2mPeers {
    /// SM-SR of M2M devices (repeatable)
    #[arg(long = "sm-sr", value_name = "OID@HOST:PORT")]
    sm_srs: Vec<SoapPeer>,
    /// Operator of M2M devices and its address for callbacks and notifications (repeatable)
    #[arg(long = "m2m-operator", value_name = "OID@HOST:PORT")]
    m2m_operators: Vec<SoapPeer>,
    /// MSISDN of a profile in stock, used after it has been enabled (repeatable)
    #[arg(long = "msisdn", value_name = "ICCID=NUMBER")]
    numbers: Vec<Number>,
}

/// A SOAP peer and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoapPeer {
    /// OID of the peer.
    pub id: Oid,
    /// Address, `host:port`.
    pub authority: String,
}

impl FromStr for SoapPeer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, authority) = text.split_once('@').ok_or("missing `@` before the address")?;
        let id = id.parse().map_err(|e| format!("{id:?} is not an object identifier: {e}"))?;
        if authority.is_empty() {
            return Err("missing address after `@`".to_owned());
        }
        Ok(Self { id, authority: authority.to_owned() })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Number {
    iccid: Iccid,
    address: SubscriptionAddress,
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (iccid, number) = text.split_once('=').ok_or("missing `=` between ICCID and number")?;
        let iccid = iccid.parse().map_err(|e| format!("{iccid:?} is not an ICCID: {e}"))?;
        let msisdn = number.trim_start_matches('+').parse()?;
        Ok(Self { iccid, address: SubscriptionAddress { imsi: None, msisdn: Some(msisdn) } })
    }
}

impl M2mPeers {
    /// True if there is an M2M peer. Without peers, the SM-DP is not started.
    pub fn any(&self) -> bool {
        !self.sm_srs.is_empty() || !self.m2m_operators.is_empty()
    }
}

/// Parameters of an SM-DP.
pub struct Setup<'a> {
    /// PKI with its certificates and keys.
    pub pki: &'a Pki,
    /// Address announced to peers, `host:port`.
    pub authority: &'a str,
    /// Host names in its certificate.
    pub names: &'a [ServerName],
    /// Records, shared with the SM-DP+.
    pub records: Arc<dyn Records>,
    /// Clock and random source.
    pub world: &'a World,
    /// Receiver of events.
    pub events: Arc<dyn Events>,
    /// Client that resolves the addresses of peers.
    pub client: Client,
    /// Recording of the outgoing messages, if wanted.
    pub messages: Option<Messages>,
    /// Addresses that callers may name in ReplyTo.
    pub reply_addresses: AllowedAddresses,
    /// Active faults.
    pub active_faults: &'a ActiveFaults,
}

/// Starts an SM-DP with its background task, without listening.
///
/// # Errors
/// A certificate is missing, or the records cannot be opened.
pub fn start(setup: Setup<'_>) -> Result<(SmDp, Delivery), Fault> {
    let Setup { pki, authority, names, records, world, events, client, messages, active_faults, .. } = setup;
    let own = SmDpSetup::new(pki, NAME_IN_PKI, NAME_IN_PKI, authority, names)?
        .with_reply_addresses(setup.reply_addresses);
    let tls = ClientTls::new(&tls_roots(pki), Some(&identity(&own.tls)), Arc::clone(&world.clock))?;
    let peers = TlsPeers::new(client, tls).recording(messages).with_faults(active_faults);
    let woken = peers.woken();
    let sm_dp = own.server(records, world.clone(), events, Arc::new(peers));
    let server = sm_dp.clone();
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock);
    let delivery = Delivery::drive("SM-SRs and operators", woken, clock, move || {
        let server = server.clone();
        Box::pin(async move { server.due().await })
    });
    Ok((sm_dp, delivery))
}

/// Registers the peers at the SM-DP.
///
/// # Errors
/// The records cannot be written.
pub async fn register_peers(sm_dp: &SmDp, m2m_peers: &M2mPeers) -> Result<(), Fault> {
    for SoapPeer { id, authority } in &m2m_peers.sm_srs {
        sm_dp.register_sm_sr(&peer(id.clone(), authority)).await?;
    }
    for SoapPeer { id, authority } in &m2m_peers.m2m_operators {
        sm_dp.register_operator(&peer(id.clone(), authority)).await?;
    }
    for Number { iccid, address } in &m2m_peers.numbers {
        sm_dp.set_subscription_address(*iccid, address).await?;
    }
    Ok(())
}

/// Combines both servers at one socket: SOAP requests go to the SM-DP, all others to the SM-DP+.
pub fn combine(sm_dp_plus: Link, sm_dp: &SmDp) -> Link {
    let sm_dp = sm_dp.link();
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let link = if request.uri().path() == SOAP_PATH { sm_dp.clone() } else { sm_dp_plus.clone() };
        async move { world::send(&link, request).await }
    }))
}

/// Returns the OID of the SM-DP.
///
/// # Errors
/// The PKI cannot derive the OID.
pub fn oid(pki: &Pki) -> Result<Oid, Fault> {
    pki.m2m_oid(Owner::SmDp, NAME_IN_PKI)
        .map_err(|e| Fault::caused_by(e, "cannot determine the OID of the SM-DP", "check the PKI"))
}

/// Returns the TLS configurations of an M2M operator, as a client and as the server for callbacks,
/// and its OID.
///
/// # Errors
/// The PKI has no CI key.
pub fn operator_tls(
    pki: &Pki,
    name: &str,
    names: &[ServerName],
    clock: Arc<dyn Clock>,
) -> Result<(ClientTls, net::ServerTls, Oid), Fault> {
    let (credential, oid) = operator_credential(pki, name, names)?;
    let own = identity(&credential);
    let client = ClientTls::new(&tls_roots(pki), Some(&own), Arc::clone(&clock))?;
    let server = net::ServerTls::new(&own, &client_auth(pki)?, clock)?;
    Ok((client, server, oid))
}
