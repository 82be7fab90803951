//! Links to servers: HTTP over TLS over a channel of the terminal.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use device::ipa::{Binding, EimLinks};
use device::lpa::Links;
use http::uri::Authority;
use http::{Request, Response};
use net::http::StreamClient;
use net::{ClientTls, ServerTrust};
use rsp::ids::SmdpAddress;
use rsp::sgp32::EimConfigurationData;
use tokio::sync::Mutex;
use world::{Clock, Fault, Link, LinkFault, LinkFaultKind, link_from};

use crate::channel::ChannelStream;
use crate::sleep::sleep;
use crate::tls::trust_of;
use crate::toolkit::SharedToolkit;

const HTTPS: u16 = 443;

/// The keys and certificates of servers that the IPA trusts.
#[derive(Clone)]
pub struct ServerTls {
    /// For eIMs whose configuration has no key and no certificate.
    pub eims: ServerTrust,
    /// For SM-DP+s and SM-DSs.
    pub rsp_servers: ClientTls,
    /// The clock for the validity of certificates.
    pub clock: Arc<dyn Clock>,
}

/// The servers of an IPA. At most one of them is connected at a time.
#[derive(Clone)]
pub(crate) struct Servers {
    toolkit: SharedToolkit,
    tls: ServerTls,
    addresses: Arc<BTreeMap<String, SocketAddr>>,
    answer_seconds: u64,
    connected: Arc<Mutex<Option<Connected>>>,
}

struct Connected {
    authority: Authority,
    client: StreamClient,
}

impl Servers {
    pub(crate) fn new(
        toolkit: SharedToolkit,
        tls: ServerTls,
        addresses: BTreeMap<String, SocketAddr>,
        answer_seconds: u64,
    ) -> Self {
        Self { toolkit, tls, addresses: Arc::new(addresses), answer_seconds, connected: Arc::default() }
    }

    /// Closes the connection.
    pub(crate) async fn disconnect(&self) {
        *self.connected.lock().await = None;
    }

    fn link(&self, address: &str, tls: ClientTls) -> Result<Link, Fault> {
        let authority: Authority = address.parse().map_err(|error| {
            let next = "give host:port, such as eim.example.com or 192.0.2.1:8450";
            Fault::usage_caused_by(error, format!("cannot use {address:?} as the address of a server"), next)
        })?;
        let address = self.address(&authority)?;
        let servers = self.clone();
        Ok(link_from(tower::service_fn(move |request| {
            let (servers, authority, tls) = (servers.clone(), authority.clone(), tls.clone());
            async move { servers.send(&authority, address, &tls, request).await }
        })))
    }

    fn address(&self, authority: &Authority) -> Result<SocketAddr, Fault> {
        let host = authority.host().trim_matches(['[', ']']);
        if let Some(address) = self.addresses.get(&host.to_ascii_lowercase()) {
            return Ok(*address);
        }
        let ip: IpAddr = host.parse().map_err(|error| {
            let next = "add the host to `servers` of the IPA in the card's description";
            Fault::usage_caused_by(error, format!("the card has no address of {host}"), next)
        })?;
        Ok(SocketAddr::new(ip, authority.port_u16().unwrap_or(HTTPS)))
    }

    async fn send(
        &self,
        authority: &Authority,
        address: SocketAddr,
        tls: &ClientTls,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkFault> {
        let mut connected = self.connected.lock().await;
        // A connection is kept only after a complete exchange.
        let reusable =
            connected.take().filter(|known| known.authority == *authority && !known.client.is_closed());
        let exchange = async {
            let mut client = match reusable {
                Some(known) => known.client,
                None => self.connect(authority, address, tls).await?,
            };
            let answer = client.send(request).await?;
            Ok((client, answer))
        };
        let (client, answer) = tokio::select! {
            biased;
            exchanged = exchange => exchanged?,
            () = self.silence() => {
                let why = format!("the server sent nothing for {} s", self.answer_seconds);
                return Err(LinkFault::new(LinkFaultKind::Timeout, authority.as_str(), why));
            }
        };
        *connected = Some(Connected { authority: authority.clone(), client });
        Ok(answer)
    }

    async fn connect(
        &self,
        authority: &Authority,
        address: SocketAddr,
        tls: &ClientTls,
    ) -> Result<StreamClient, LinkFault> {
        let unreachable = |why| LinkFault::new(LinkFaultKind::Unreachable, authority.as_str(), why);
        let stream = ChannelStream::open(&self.toolkit, address).await.map_err(unreachable)?;
        StreamClient::connect(stream, authority, tls).await
    }

    /// Waits until the server has sent nothing for the permitted time.
    async fn silence(&self) {
        loop {
            let before = self.toolkit.lock().octets_received();
            sleep(&self.toolkit, self.answer_seconds).await;
            if self.toolkit.lock().octets_received() == before {
                return;
            }
        }
    }
}

impl EimLinks for Servers {
    fn link(&self, eim: &EimConfigurationData, binding: Binding) -> Result<Link, Fault> {
        if binding == Binding::Coap {
            return Err(Fault::new(
                format!("the IPA in the card cannot reach {}", eim.eim_id),
                "the eIM supports only CoAP, and this IPA has only HTTPS",
                "let the eIM listen for HTTPS too, and associate the card with its new configuration",
            ));
        }
        let trust = trust_of(eim, &self.tls.eims);
        let tls = ClientTls::trusting(trust, Arc::clone(&self.tls.clock))?;
        Self::link(self, eim.eim_fqdn.as_ref().unwrap_or(&eim.eim_id), tls)
    }
}

impl Links for Servers {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        Self::link(self, address.as_str(), self.tls.rsp_servers.clone())
    }
}
