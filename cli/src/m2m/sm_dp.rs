//! The SM-DP beside the SM-DP+: on the same records, at the same socket.

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
use sm_dp::{
    SmDp,
    m2m::{Config, Credentials},
};
use world::{Clock, Events, Fault, Link, Records, World, link_from};

use super::{
    messages::Messages,
    operator::{SOAP_PATH, peer},
};
use crate::{
    faults::Trouble,
    parties::{self, identity, tls_roots},
    peers::{Delivery, TlsPeers},
};

/// The name under which the PKI has the SM-DP.
pub const NAME_IN_PKI: &str = "Landfall SM-DP";

/// Partners of the SM-DP for M2M devices (SGP.02)
#[derive(Args, Clone, Debug, Default)]
pub struct Partners {
    /// An SM-SR through which M2M devices are reached; may be repeated
    #[arg(long = "sm-sr", value_name = "OID@HOST:PORT")]
    sm_srs: Vec<Partner>,
    /// An operator of M2M devices, and where it takes callbacks and notifications; may be repeated
    #[arg(long = "m2m-operator", value_name = "OID@HOST:PORT")]
    m2m_operators: Vec<Partner>,
    /// The number under which a device is reached once it has enabled this profile of the stock; may be repeated
    #[arg(long = "msisdn", value_name = "ICCID=NUMBER")]
    numbers: Vec<Number>,
}

/// Somebody who speaks SOAP, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partner {
    /// Its OID.
    pub id: Oid,
    /// `host:port`.
    pub authority: String,
}

impl FromStr for Partner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, authority) = text.split_once('@').ok_or("there is no @ before its address")?;
        let id = id.parse().map_err(|e| format!("{id:?} is no object identifier: {e}"))?;
        if authority.is_empty() {
            return Err("there is no address after the @".to_owned());
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
        let (iccid, number) = text.split_once('=').ok_or("there is no = between ICCID and number")?;
        let iccid = iccid.parse().map_err(|e| format!("{iccid:?} is no ICCID: {e}"))?;
        let msisdn = number.trim_start_matches('+').parse()?;
        Ok(Self { iccid, address: SubscriptionAddress { imsi: None, msisdn: Some(msisdn) } })
    }
}

impl Partners {
    /// Whether anybody was named: without an SM-SR there is no M2M.
    pub fn any(&self) -> bool {
        !self.sm_srs.is_empty() || !self.m2m_operators.is_empty()
    }
}

/// What the SM-DP needs to start.
pub struct Setup<'a> {
    /// Its certificates and keys.
    pub pki: &'a Pki,
    /// `host:port` at which it is reached.
    pub authority: &'a str,
    /// The names in its certificate.
    pub names: &'a [ServerName],
    /// Its records: those of the SM-DP+.
    pub records: Arc<dyn Records>,
    /// Clock and dice.
    pub world: &'a World,
    /// Who is told what happens.
    pub events: Arc<dyn Events>,
    /// How it finds others.
    pub client: Client,
    /// Where what it says to others is kept, if it is.
    pub messages: Option<Messages>,
    /// What goes wrong.
    pub trouble: &'a Trouble,
}

/// An SM-DP that delivers what waits, and its OID.
///
/// # Errors
/// A certificate is missing, or the records cannot be opened.
pub fn start(setup: Setup<'_>) -> Result<(SmDp, Delivery), Fault> {
    let Setup { pki, authority, names, records, world, events, client, messages, trouble } = setup;
    let own = pki.m2m_server(Owner::SmDp, NAME_IN_PKI, names).map_err(|e| {
        Fault::caused_by(
            e,
            "the SM-DP has no certificates for M2M",
            "use a PKI that has the CI's key; `landfall certs init` makes one",
        )
    })?;
    let anchors = pki.anchors().map_err(|e| {
        Fault::caused_by(e, "the SM-DP trusts no CI", "make a PKI with `landfall certs init`")
    })?;
    let config = Config::new(NAME_IN_PKI, own.oid.clone(), format!("https://{authority}{SOAP_PATH}"));
    let eums = pki.eum(crypto::Curve::P256).into_iter().cloned().collect();
    let credentials =
        Credentials::new(own.card.certificate.octets().to_vec(), own.card.key.clone(), anchors, eums);
    let tls = ClientTls::new(&tls_roots(pki), Some(&identity(&own.tls)), Arc::clone(&world.clock))?;
    let peers = TlsPeers::new(client, tls).keeping(messages).in_trouble(trouble);
    let woken = peers.woken();
    let sm_dp = SmDp::new(config, credentials, records, world.clone(), events).with_peers(Arc::new(peers));
    let server = sm_dp.clone();
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock);
    let delivery = Delivery::drive("SM-SRs and operators", woken, clock, move || {
        let server = server.clone();
        Box::pin(async move { server.due().await })
    });
    Ok((sm_dp, delivery))
}

/// Makes the partners known to the SM-DP.
///
/// # Errors
/// The records fail.
pub async fn introduce(sm_dp: &SmDp, partners: &Partners) -> Result<(), Fault> {
    for Partner { id, authority } in &partners.sm_srs {
        sm_dp.register_sm_sr(&peer(id.clone(), authority)).await?;
    }
    for Partner { id, authority } in &partners.m2m_operators {
        sm_dp.register_operator(&peer(id.clone(), authority)).await?;
    }
    for Number { iccid, address } in &partners.numbers {
        sm_dp.set_subscription_address(*iccid, address).await?;
    }
    Ok(())
}

/// Both servers at one socket: SOAP is for the SM-DP, everything else for the SM-DP+.
pub fn beside(sm_dp_plus: Link, sm_dp: &SmDp) -> Link {
    let sm_dp = sm_dp.link();
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let link = if request.uri().path() == SOAP_PATH { sm_dp.clone() } else { sm_dp_plus.clone() };
        async move { world::send(&link, request).await }
    }))
}

/// The OID of the SM-DP in a PKI.
///
/// # Errors
/// The PKI cannot tell.
pub fn oid(pki: &Pki) -> Result<Oid, Fault> {
    pki.m2m_oid(Owner::SmDp, NAME_IN_PKI)
        .map_err(|e| Fault::caused_by(e, "cannot tell the OID of the SM-DP", "check the PKI"))
}

/// TLS of an operator of M2M devices, as the client of others and as the server that they call back; and its OID.
///
/// # Errors
/// The PKI has no key of a CI.
pub fn operator_tls(
    pki: &Pki,
    name: &str,
    names: &[ServerName],
    clock: Arc<dyn Clock>,
) -> Result<(ClientTls, net::ServerTls, Oid), Fault> {
    let credential = pki.m2m_operator(name, names).map_err(|e| {
        Fault::caused_by(
            e,
            format!("there is no certificate for operator {name:?}"),
            "use a PKI that has the CI's key; `landfall certs init` makes one",
        )
    })?;
    let oid = credential.certificate.registered_ids().first().cloned().ok_or_else(|| {
        Fault::new("the operator has no object identifier", "its certificate names none", "report this")
    })?;
    let own = identity(&credential);
    let client = ClientTls::new(&tls_roots(pki), Some(&own), Arc::clone(&clock))?;
    let server = net::ServerTls::new(&own, &net::ClientAuth::Optional(tls_roots(pki)), clock)?;
    Ok((client, server, oid))
}

/// The client that finds the SM-DP, and others where they are.
pub fn client(settings: &crate::settings::Settings) -> Client {
    parties::client(&settings.sm_dp_names, &settings.sm_dp)
}
