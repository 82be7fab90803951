//! The DTLS client.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use coap::{Datagrams, DialDatagrams, Transmission};
use http::uri::Authority;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags};
use openssl::x509::{X509, X509VerifyResult};
use tokio::net::UdpSocket;
use world::{BoxFuture, Clock, Fault, Link, LinkFault, LinkFaultKind, World};

use super::association::{Association, Carrier, DatagramLayer, HandshakeFailure};
use super::engine::{self, Engine};
use crate::http::Client;
use crate::tls::ServerTrust;

/// The port of CoAP over DTLS: RFC 7252 section 6.2.
const COAPS: u16 = 5684;
/// Maximum time of a handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// DTLS configuration of a client. Clones share it.
#[derive(Clone)]
pub struct ClientDtls {
    context: SslContext,
    trust: ServerTrust,
    clock: Arc<dyn Clock>,
    layer: Option<Arc<DatagramLayer>>,
}

impl ClientDtls {
    /// Returns a configuration that trusts these servers at the time of `clock`.
    ///
    /// # Errors
    /// A certificate is unusable.
    pub fn new(trust: ServerTrust, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let context = context(&trust).map_err(|error| {
            Fault::usage_caused_by(
                error,
                "cannot trust these certificates",
                "give at least one certificate, in DER",
            )
        })?;
        Ok(Self { context, trust, clock, layer: None })
    }

    /// Wraps the CoAP messages of each association, such as with faults.
    #[must_use]
    pub fn with_layer(
        self,
        layer: impl Fn(Arc<dyn Datagrams>) -> Arc<dyn Datagrams> + Send + Sync + 'static,
    ) -> Self {
        Self { layer: Some(Arc::new(layer)), ..self }
    }

    /// Returns the state of a new association with a server.
    fn engine(&self, host: &str) -> Result<Engine, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        let ip: Option<IpAddr> = host.parse().ok();
        let verification = ssl.param_mut();
        verification.set_time(self.clock.now().0.div_euclid(1000));
        verification
            .set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
        match ip {
            Some(ip) => verification.set_ip(ip)?,
            None => {
                verification.set_host(host)?;
                ssl.set_hostname(host)?;
            }
        }
        Engine::new(ssl, false)
    }

    /// Checks what the handshake has not checked.
    fn check(&self, association: &Association) -> Result<(), String> {
        let Some((certificate, key)) = association.peer_certificate() else {
            return Err("the server has no certificate".to_owned());
        };
        match &self.trust {
            ServerTrust::Certificates { check, .. } => check(&certificate),
            ServerTrust::PinnedKey(pinned) if *pinned == key => Ok(()),
            ServerTrust::PinnedKey(_) => Err("the server has another key than the pinned one".to_owned()),
        }
    }
}

fn context(trust: &ServerTrust) -> Result<SslContext, ErrorStack> {
    let mut builder = engine::context(SslMethod::dtls_client())?;
    match trust {
        ServerTrust::Certificates { anchors, .. } => {
            let mut store = X509StoreBuilder::new()?;
            for anchor in anchors {
                store.add_cert(X509::from_der(anchor)?)?;
            }
            store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
            builder.set_verify_cert_store(store.build())?;
            builder.set_verify(SslVerifyMode::PEER);
        }
        // The key is compared after the handshake, in which the server has proved that it has it.
        ServerTrust::PinnedKey(_) => builder.set_verify(SslVerifyMode::NONE),
    }
    Ok(builder.build())
}

impl fmt::Debug for ClientDtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientDtls")
    }
}

impl Client {
    /// Returns a link to the server at `address` (`host` or `host:port`) over CoAP and DTLS. Its
    /// requests must be those of the ASN.1 binding of ESipa.
    ///
    /// The time-outs are those of CoAP: see [`coap::Client`].
    ///
    /// # Errors
    /// The address is invalid.
    pub fn coap_link(
        &self,
        address: &str,
        dtls: ClientDtls,
        world: World,
        transmission: Transmission,
    ) -> Result<Link, Fault> {
        let dial = self.dial_of(address, dtls)?;
        let host = dial.host.clone();
        Ok(coap::Client::new(Arc::new(dial), &host, world, transmission).link())
    }

    /// Returns the associations with the server at `address` (`host` or `host:port`) over DTLS.
    ///
    /// # Errors
    /// The address is invalid.
    pub fn coap_dial(&self, address: &str, dtls: ClientDtls) -> Result<Arc<dyn DialDatagrams>, Fault> {
        Ok(Arc::new(self.dial_of(address, dtls)?))
    }

    fn dial_of(&self, address: &str, dtls: ClientDtls) -> Result<Dial, Fault> {
        let authority: Authority = address.parse().map_err(|error| {
            Fault::usage_caused_by(
                error,
                format!("cannot use {address:?} as the address of a server"),
                "give host:port, such as 127.0.0.1:5684 or eim.example.com",
            )
        })?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (connect_to, peer) = self.route(&host, authority.port_u16().unwrap_or(COAPS));
        Ok(Dial { connect_to, dtls, host, peer })
    }
}

struct Dial {
    connect_to: String,
    dtls: ClientDtls,
    host: String,
    peer: String,
}

impl DialDatagrams for Dial {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        Box::pin(async {
            let mut last = self.fault(LinkFaultKind::Unresolved, "the name has no address");
            let addresses = tokio::net::lookup_host(&self.connect_to).await;
            for address in addresses.map_err(|error| self.fault(LinkFaultKind::Unresolved, error))? {
                match self.connect(address).await {
                    Ok(association) => {
                        let association: Arc<dyn Datagrams> = Arc::new(association);
                        return Ok(match &self.dtls.layer {
                            Some(layer) => layer(association),
                            None => association,
                        });
                    }
                    Err(fault) => last = fault,
                }
            }
            Err(last)
        })
    }
}

impl Dial {
    async fn connect(&self, address: SocketAddr) -> Result<Association, LinkFault> {
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await.map_err(|error| self.explain(&error))?;
        socket.connect(address).await.map_err(|error| self.explain(&error))?;
        let engine = self.dtls.engine(&self.host).map_err(|error| self.fault(LinkFaultKind::Tls, error))?;
        let carrier = Carrier::Connected(socket);
        let established =
            Association::establish(engine, carrier, self.peer.clone(), CONNECT_TIMEOUT, None).await;
        let association = established.map_err(|failure| match failure {
            HandshakeFailure::Io(error) => self.explain(&error),
            HandshakeFailure::Timeout => self.fault(LinkFaultKind::Timeout, "no DTLS handshake"),
            HandshakeFailure::Dtls(_, verified) if verified != X509VerifyResult::OK => {
                self.fault(LinkFaultKind::Tls, verified.error_string())
            }
            HandshakeFailure::Dtls(error, _) => self.fault(LinkFaultKind::Tls, error),
        })?;
        if let Err(why) = self.dtls.check(&association) {
            association.close().await;
            return Err(self.fault(LinkFaultKind::Tls, why));
        }
        Ok(association)
    }

    fn explain(&self, error: &io::Error) -> LinkFault {
        self.fault(crate::http::kind_of(error), error)
    }

    fn fault(&self, kind: LinkFaultKind, why: impl ToString) -> LinkFault {
        LinkFault::new(kind, self.peer.as_str(), why.to_string())
    }
}
