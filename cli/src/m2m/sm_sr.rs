//! An SM-SR with its interfaces: SOAP for other servers, HTTPS with pre-shared keys for cards, an
//! SMSC, and a timer.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use certs::{Pki, ServerName, m2m::Owner};
use crypto::Secret;
use http::Request;
use net::{
    Client, ClientAuth, ClientTls, PskKeys, ServerTls,
    smpp::{Esme, EsmeSettings},
};
use rsp::{ids::Oid, ota::trigger::SessionTrigger, sgp02::Namespace};
use sm_sr::{
    Config, Credentials, SmSr,
    config::CardAddress,
    es5::{Engine, Es5Config, HttpsEndpoint, Wake},
    records::{Key, Peer, PeerRole},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use world::{BoxFuture, Clock, Events, Fault, LinkFault, PhoneNumber, Records, World, link_from};

use super::{factory::CardAddresses, messages::Messages, operator::SOAP_PATH};
use crate::{
    faults::ActiveFaults,
    parties::{Running, identity, local_address, tls_roots},
    peers::{Delivery, TlsPeers},
};

/// URL path of the cards' HTTP requests.
pub const CARD_PATH: &str = "/es5";

/// Parameters of an SM-SR.
pub struct Setup<'a> {
    /// PKI with its certificates and keys.
    pub pki: &'a Pki,
    /// Name of the SM-SR, from which its OID is derived.
    pub name: &'a str,
    /// Listener for other servers.
    pub listener: TcpListener,
    /// Address announced to other servers, `host:port`; default: that of the listener.
    pub address: Option<String>,
    /// Host names in its certificate.
    pub names: &'a [ServerName],
    /// Listener for the cards' HTTPS sessions. Without it, cards are reached by short messages
    /// only.
    pub cards: Option<TcpListener>,
    /// Address of these sessions announced to cards; default: that of the listener.
    pub cards_address: Option<SocketAddr>,
    /// Number to which cards send short messages.
    pub number: PhoneNumber,
    /// SMPP account at an SMSC, if there is one.
    pub smsc: Option<EsmeSettings>,
    /// Records.
    pub records: Arc<dyn Records>,
    /// Clock and random source.
    pub world: &'a World,
    /// Receiver of events.
    pub events: Arc<dyn Events>,
    /// Client that resolves the addresses of peers.
    pub client: Client,
    /// Recording of the outgoing messages, if wanted.
    pub messages: Option<Messages>,
    /// Time limits for cards; default: [`Es5Config::at`].
    pub patience: Option<Es5Config>,
    /// Active faults.
    pub active_faults: &'a ActiveFaults,
}

/// A running SM-SR.
pub struct RunningSmSr {
    /// The server.
    pub server: SmSr,
    /// OID of the SM-SR.
    pub id: Oid,
    /// Address announced to other servers, `host:port`.
    pub address: String,
    /// Address and number for cards.
    pub card_side: CardAddresses,
    soap: Running,
    cards: Option<CardListener>,
    /// SMPP client; runs until it is dropped.
    _writer: Option<Arc<Esme>>,
    _delivery: Delivery,
}

impl RunningSmSr {
    /// Returns the SM-SR as a peer of other servers.
    pub fn partner(&self) -> super::sm_dp::SoapPeer {
        super::sm_dp::SoapPeer { id: self.id.clone(), authority: self.address.clone() }
    }

    /// Registers a peer at the SM-SR.
    ///
    /// # Errors
    /// The records cannot be written.
    pub async fn knows(
        &self,
        id: &Oid,
        name: &str,
        role: PeerRole,
        authority: Option<&str>,
    ) -> Result<(), Fault> {
        let peer = Peer {
            id: id.clone(),
            name: name.to_owned(),
            role,
            endpoint: authority.map(|authority| format!("https://{authority}{SOAP_PATH}")),
            namespace: Namespace::V3,
        };
        self.server.register_peer(&peer).await
    }

    /// Registers the EUM with its transport key.
    ///
    /// # Errors
    /// The records cannot be written.
    pub async fn knows_eum(&self, id: &Oid, transport: Option<[u8; 16]>) -> Result<(), Fault> {
        let transport_key = transport.map(|key| Key::new(key.to_vec()));
        self.knows(id, "EUM", PeerRole::Eum { transport_key }, None).await
    }

    /// Waits for open requests, then stops.
    pub async fn stop(self) {
        self.soap.stop().await;
        if let Some(cards) = self.cards {
            cards.stop().await;
        }
    }
}

/// Starts an SM-SR on its records, with all listeners.
///
/// # Errors
/// A certificate is missing, or a record or a socket fails.
pub fn start(setup: Setup<'_>) -> Result<RunningSmSr, Fault> {
    let Setup { pki, name, listener, names, cards, number, smsc, records, world, events, client, .. } = setup;
    let own = pki.m2m_server(Owner::SmSr, name, names).map_err(|e| {
        Fault::caused_by(
            e,
            format!("the SM-SR {name:?} has no certificates"),
            "use a PKI with the key of the CI, such as that of `landfall certs init`",
        )
    })?;
    let anchors = pki.anchors().map_err(|e| crate::pki::missing_certificate(e, "the SM-SR trusts no CI"))?;
    let listens = local_address(&listener)?;
    let address = match setup.address {
        Some(address) => address,
        None => announced("--address", "HOST:PORT", listens)?.to_string(),
    };
    let https = match (&cards, setup.cards_address) {
        (Some(_), Some(address)) => Some(address),
        (Some(cards), None) => Some(announced("--cards-address", "IP:PORT", local_address(cards)?)?),
        (None, _) => None,
    };
    let mut config = Config::new(name, own.oid.clone());
    let card_side = CardAddresses { number: number.clone(), https, path: CARD_PATH.to_owned() };
    config.card_address = CardAddress { sms: Some(number.digits().to_owned()), https: card_side.session() };
    let mut es5 = setup.patience.unwrap_or_else(|| Es5Config::at(number));
    match &cards {
        Some(_) => {
            es5.https =
                Some(HttpsEndpoint { trigger: SessionTrigger::default(), path: CARD_PATH.to_owned() });
        }
        // Without HTTPS, a download may use the maximum number of short messages per
        // packet.
        None => es5.most_messages = usize::from(u8::MAX),
    }
    let credentials = Credentials::new(anchors, own.card.certificate.octets().to_vec(), own.card.key.clone());
    let tls = ClientTls::new(&tls_roots(pki), Some(&identity(&own.tls)), Arc::clone(&world.clock))?;
    let peers = TlsPeers::new(client, tls).recording(setup.messages).with_faults(setup.active_faults);
    let woken = peers.woken();
    let uri = format!("https://{address}{SOAP_PATH}");
    let server =
        SmSr::new(config, credentials, uri, es5, records, world.clone(), events).with_peers(Arc::new(peers));
    // The engine shares these two settings with all its clones.
    let _ = server.engine().clone().with_wake(Arc::new(Woken(Arc::clone(&woken))));
    let writer = smsc.map(|settings| {
        let sink = Arc::new(server.engine().clone());
        let writer = Arc::new(Esme::start(settings, sink, Arc::clone(&world.clock)));
        let _ =
            server.engine().clone().with_short_messages(Arc::clone(&writer) as Arc<dyn world::ShortMessages>);
        writer
    });
    let running = server.clone();
    let delivery = Delivery::drive(
        "cards and other parties",
        woken,
        Arc::clone(&world.clock) as Arc<dyn Clock>,
        move || {
            let server = running.clone();
            Box::pin(async move { server.due().await })
        },
    );
    let server_tls =
        ServerTls::new(&identity(&own.tls), &ClientAuth::Optional(tls_roots(pki)), Arc::clone(&world.clock))?;
    let active_faults = setup.active_faults;
    let soap = Running::serve(listener, Some(server_tls), active_faults.incoming(server.link()))?;
    let cards =
        cards.map(|cards| CardListener::open(cards, server.engine().clone(), active_faults)).transpose()?;
    Ok(RunningSmSr {
        server,
        id: own.oid,
        address,
        card_side,
        soap,
        cards,
        _writer: writer,
        _delivery: delivery,
    })
}

/// Returns the address to announce: that of the listener, unless it is unspecified (0.0.0.0).
fn announced(flag: &str, form: &str, listens: SocketAddr) -> Result<SocketAddr, Fault> {
    match listens.ip().is_unspecified() {
        false => Ok(listens),
        true => Err(Fault::new(
            "the SM-SR has no address to announce",
            format!("it listens on all addresses of this host ({listens})"),
            format!("give its address with {flag} {form}"),
        )),
    }
}

/// Wakes the background task when something is due for a card.
struct Woken(Arc<Notify>);

impl Wake for Woken {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// HTTPS listener for cards.
struct CardListener {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl CardListener {
    fn open(listener: TcpListener, engine: Engine, active_faults: &ActiveFaults) -> Result<Self, Fault> {
        let (stop, stopped) = oneshot::channel::<()>();
        let keys = Arc::new(Keys(engine.clone()));
        let service = link_from(tower::service_fn(move |request: Request<Bytes>| {
            let engine = engine.clone();
            async move { Ok::<_, LinkFault>(engine.https(request).await) }
        }));
        let serve = net::serve_psk(listener, keys, active_faults.incoming(service), async {
            // The listener stops when the sender is dropped.
            let _ = stopped.await;
        })?;
        Ok(Self { stop: Some(stop), task: tokio::spawn(serve) })
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        // A failure means that the task was aborted, so that there is nothing to wait for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for CardListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Pre-shared keys of the cards, from the records.
struct Keys(Engine);

impl PskKeys for Keys {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(self.0.psk(identity))
    }
}
