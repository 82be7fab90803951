//! Connections of a party to its peers (operators, SM-DSs, SM-SRs), and the task that sends pending
//! messages and runs other background work.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use certs::{Pki, Role};
use clap::Args;
use http::Request;
use net::{Client, ClientTls};
use rsp::ids::{InvalidId, Oid, SmdpAddress};
use rsp_server::{AllowedAddresses, InvalidNamespace, Namespace, due::Due};
use sm_dp::{Peers, Requesters, SmDpPlus};
use testbed::background;
use tokio::{sync::Notify, task::JoinHandle};
use world::{BoxFuture, Clock, Fault, Link, link_from};

use crate::{faults::ActiveFaults, m2m::messages::Messages, output::remark, parties, settings::Settings};

/// Maximum open connections. Operators choose the addresses, so the number needs a limit.
const MAX_LINKS: usize = 256;

/// Operators that may order
#[derive(Args, Clone, Debug, Default)]
pub struct Operators {
    /// Operator: [NAME=]OID[@HOST:PORT][,namespace=N]; reports go to the address (repeatable)
    /// [default: all operators of the PKI]
    #[arg(long = "operator", value_name = "OID@HOST:PORT")]
    operators: Vec<OperatorArgument>,
}

impl Operators {
    /// Returns the callers that may use ES2+.
    pub fn requesters(&self) -> Requesters {
        if self.operators.is_empty() { Requesters::ByCertificate } else { Requesters::Listed }
    }
}

/// Addresses that peers may name
#[derive(Args, Clone, Debug, Default)]
pub struct AllowAddress {
    /// Address that ConfirmOrder or ReplyTo may name besides those of peers, or `any` (repeatable)
    #[arg(long = "allow-address", value_name = "HOST:PORT")]
    addresses: Vec<AddressArgument>,
}

/// Value of `--allow-address`. `None` stands for `any`.
#[derive(Clone, Debug)]
struct AddressArgument(Option<SmdpAddress>);

impl FromStr for AddressArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self(None)),
            _ => text.parse().map(|address| Self(Some(address))).map_err(|e: InvalidId| e.to_string()),
        }
    }
}

impl AllowAddress {
    /// Returns the allowed addresses.
    pub fn allowed(&self) -> AllowedAddresses {
        let listed = self.addresses.iter().map(|AddressArgument(address)| address.clone());
        listed.collect::<Option<_>>().map_or(AllowedAddresses::Any, AllowedAddresses::Listed)
    }
}

/// Value of `--operator`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OperatorArgument(sm_dp::Operator);

impl FromStr for OperatorArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let no = |e: InvalidId| e.to_string();
        let (text, namespace) = match text.split_once(",namespace=") {
            Some((text, namespace)) => {
                (text, namespace.parse().map_err(|e: InvalidNamespace| e.to_string())?)
            }
            None => (text, Namespace::default()),
        };
        let (who, address) = match text.rsplit_once('@') {
            Some((who, address)) => (who, Some(address.parse::<SmdpAddress>().map_err(no)?)),
            None => (text, None),
        };
        let (name, oid) = who.split_once('=').unwrap_or((who, who));
        if name.is_empty() {
            return Err("the name before `=` is empty".to_owned());
        }
        Ok(Self(sm_dp::Operator {
            identifier: name.to_owned(),
            certificate_oid: oid.parse::<Oid>().map_err(no)?,
            es2plus_address: address,
            namespace,
        }))
    }
}

/// Background task of a party. It stops when this is dropped.
pub struct Delivery(JoinHandle<()>);

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Registers the operators at the SM-DP+, connects it to its peers, and starts its background task,
/// which delivers pending messages and deletes expired sessions.
///
/// # Errors
/// There is no client certificate, or the records cannot be written.
pub async fn connect(
    sm_dp: SmDpPlus,
    operators: &Operators,
    pki: &Pki,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    active_faults: &ActiveFaults,
) -> Result<(SmDpPlus, Delivery), Fault> {
    for OperatorArgument(operator) in &operators.operators {
        sm_dp.register_operator(operator).await?;
    }
    let names = crate::pki::server_names(settings)?;
    let tls = |server| Ok::<_, Fault>(parties::sm_dp_client_tls(pki, &names, server, Arc::clone(clock))?.0);
    let peers = TlsPeers::new(parties::device_client(settings), tls(None)?)
        .with_sm_ds_tls(tls(Some(Role::DsTls))?)
        .with_faults(active_faults);
    let woken = peers.woken();
    let sm_dp = sm_dp.with_peers(Arc::new(peers));
    let server = sm_dp.clone();
    let delivery = Delivery::drive("operators and SM-DSs", woken, Arc::clone(clock), move || {
        let server = server.clone();
        Box::pin(async move {
            let mut due = Due::from(server.deliver_due().await?);
            due.later(rsp_server::delete_expired_sessions(&server).await?);
            Ok(due)
        })
    });
    Ok((sm_dp, delivery))
}

impl Delivery {
    /// Starts the background task of a party; see [`background::run`]. If the records fail, a message
    /// names `whom` the work is for.
    pub fn drive(
        whom: &'static str,
        woken: Arc<Notify>,
        clock: Arc<dyn Clock>,
        due: impl Fn() -> BoxFuture<'static, Result<Due, Fault>> + Send + 'static,
    ) -> Self {
        let report = move |fault| {
            remark(&format!("background work for {whom} has failed, and will be retried: {fault}"));
        };
        Self(tokio::spawn(background::run(woken, clock, due, report)))
    }
}

/// Connections to peers over TLS. Each connection is kept for further messages.
pub struct TlsPeers {
    client: Client,
    tls: ClientTls,
    /// The configuration for ES12, if it is another.
    sm_ds_tls: Option<ClientTls>,
    links: Mutex<HashMap<String, Link>>,
    woken: Arc<Notify>,
    messages: Option<Messages>,
    active_faults: ActiveFaults,
}

impl TlsPeers {
    /// Creates connections with this client and this client certificate.
    pub fn new(client: Client, tls: ClientTls) -> Self {
        let (links, woken) = (Mutex::default(), Arc::new(Notify::new()));
        Self {
            client,
            tls,
            sm_ds_tls: None,
            links,
            woken,
            messages: None,
            active_faults: ActiveFaults::none(),
        }
    }

    /// Uses another configuration for requests on ES12.
    #[must_use]
    pub fn with_sm_ds_tls(self, tls: ClientTls) -> Self {
        Self { sm_ds_tls: Some(tls), ..self }
    }

    /// Records all messages as files.
    #[must_use]
    pub fn recording(self, messages: Option<Messages>) -> Self {
        Self { messages, ..self }
    }

    /// Injects faults into the connections.
    #[must_use]
    pub fn with_faults(self, active_faults: &ActiveFaults) -> Self {
        Self { active_faults: active_faults.clone(), ..self }
    }

    /// Notified when there is something to deliver.
    pub fn woken(&self) -> Arc<Notify> {
        Arc::clone(&self.woken)
    }

    fn link_to(&self, address: &str) -> Result<Link, Fault> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(address) {
            return Ok(link.clone());
        }
        let mut link = self.client.link(address, Some(self.tls.clone()))?;
        if let Some(tls) = &self.sm_ds_tls {
            link = by_interface(self.client.link(address, Some(tls.clone()))?, link);
        }
        if let Some(messages) = &self.messages {
            link = messages.over(link);
        }
        let link = self.active_faults.outgoing(link);
        // All connections are closed at the limit. This is rare, and costs only a new handshake per
        // peer.
        if links.len() >= MAX_LINKS {
            links.clear();
        }
        links.insert(address.to_owned(), link.clone());
        Ok(link)
    }
}

/// Returns a link that sends requests on ES12 to `sm_ds`, and all others to `others`.
fn by_interface(sm_ds: Link, others: Link) -> Link {
    let is_es12 = |request: &Request<Bytes>| request.uri().path().starts_with("/gsma/rsp2/es12/");
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let link = if is_es12(&request) { sm_ds.clone() } else { others.clone() };
        async move { world::send(&link, request).await }
    }))
}

impl Peers for TlsPeers {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        self.link_to(address.as_str())
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}

impl eim::Peers for TlsPeers {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        self.link_to(address.as_str())
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}

impl rsp_server::soap::Peers for TlsPeers {
    fn link(&self, authority: &str) -> Result<Link, Fault> {
        self.link_to(authority)
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_identified_by_its_oid_or_by_a_name() {
        let read = |text: &str| text.parse::<OperatorArgument>().map(|operator| operator.0);
        let operator = read("ACME=2.999.20.1@127.0.0.1:8445").unwrap();
        assert_eq!(operator.identifier, "ACME");
        assert_eq!(operator.certificate_oid.to_string(), "2.999.20.1");
        assert_eq!(operator.es2plus_address.unwrap().as_str(), "127.0.0.1:8445");
        assert_eq!(read("2.999.20.1@bss.example").unwrap().identifier, "2.999.20.1");
        let operator = read("ACME=2.999.20.1,namespace=acme").unwrap();
        assert_eq!((operator.es2plus_address, operator.namespace.as_str()), (None, "acme"));
        assert!(read("2.999.20.1").unwrap().namespace.is_default());
        for bad in ["ACME@bss.example", "ACME=2.999.20.1@", "=2.999.20.1", "2.999.20.1,namespace=", ""] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
