//! An SM-SR with its four doors: SOAP for other parties, HTTPS with pre-shared keys for cards, a message centre, and
//! a timer.

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
    es5::{Engine, Es5Config, HttpsDoor, Wake},
    records::{Key, Peer, PeerRole},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use world::{BoxFuture, Clock, Events, Fault, LinkFault, PhoneNumber, Records, World, link_from};

use super::{factory::CardSide, messages::Messages, operator::SOAP_PATH};
use crate::{
    faults::Trouble,
    parties::{Running, identity, local_address, tls_roots},
    peers::{Delivery, TlsPeers},
};

/// Where cards post.
pub const CARD_PATH: &str = "/es5";

/// What an SM-SR needs to start.
pub struct Setup<'a> {
    /// Certificates and keys.
    pub pki: &'a Pki,
    /// Its name, from which its OID follows.
    pub name: &'a str,
    /// Where other parties ask.
    pub listener: TcpListener,
    /// Where others are told that it is, `host:port`; where it listens, unless something else is wanted.
    pub address: Option<String>,
    /// The names in its certificate.
    pub names: &'a [ServerName],
    /// Where cards come in over HTTPS; without it they are reached by short messages alone.
    pub cards: Option<TcpListener>,
    /// Where cards are told that that is; where it listens, unless something else is wanted.
    pub cards_address: Option<SocketAddr>,
    /// The number to which cards write.
    pub number: PhoneNumber,
    /// Its account at a message centre, if there is one.
    pub centre: Option<EsmeSettings>,
    /// Its records.
    pub records: Arc<dyn Records>,
    /// Clock and dice.
    pub world: &'a World,
    /// Who is told what happens.
    pub events: Arc<dyn Events>,
    /// How it finds others.
    pub client: Client,
    /// Where what it says to others is kept, if it is.
    pub messages: Option<Messages>,
    /// How patient it is with cards; [`Es5Config::at`] unless something else is wanted.
    pub patience: Option<Es5Config>,
    /// What goes wrong.
    pub trouble: &'a Trouble,
}

/// An SM-SR that runs.
pub struct Party {
    /// The server.
    pub server: SmSr,
    /// Its OID.
    pub id: Oid,
    /// Where other parties ask: `host:port`, as they are told.
    pub address: String,
    /// Where cards come in, and to which number they write.
    pub card_side: CardSide,
    soap: Running,
    cards: Option<Door>,
    /// Sends until it is dropped.
    _writer: Option<Arc<Esme>>,
    _delivery: Delivery,
}

impl Party {
    /// As it is known to others.
    pub fn partner(&self) -> super::sm_dp::Partner {
        super::sm_dp::Partner { id: self.id.clone(), authority: self.address.clone() }
    }

    /// Makes a party known to it.
    ///
    /// # Errors
    /// The records fail.
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

    /// The EUM, with whom it has agreed on this transport key.
    ///
    /// # Errors
    /// The records fail.
    pub async fn knows_eum(&self, id: &Oid, transport: Option<[u8; 16]>) -> Result<(), Fault> {
        let transport_key = transport.map(|key| Key::new(key.to_vec()));
        self.knows(id, "EUM", PeerRole::Eum { transport_key }, None).await
    }

    /// Lets the requests under way finish, then stops.
    pub async fn stop(self) {
        self.soap.stop().await;
        if let Some(cards) = self.cards {
            cards.stop().await;
        }
    }
}

/// An SM-SR on its records, listening.
///
/// # Errors
/// A certificate is missing, or a record or a socket fails.
pub fn start(setup: Setup<'_>) -> Result<Party, Fault> {
    let Setup { pki, name, listener, names, cards, number, centre, records, world, events, client, .. } =
        setup;
    let own = pki.m2m_server(Owner::SmSr, name, names).map_err(|e| {
        Fault::caused_by(
            e,
            format!("the SM-SR {name:?} has no certificates"),
            "use a PKI that has the CI's key; `landfall certs init` makes one",
        )
    })?;
    let anchors = pki.anchors().map_err(|e| {
        Fault::caused_by(e, "the SM-SR trusts no CI", "make a PKI with `landfall certs init`")
    })?;
    let listens = local_address(&listener)?;
    let address = match setup.address {
        Some(address) => address,
        None => told("--address", "HOST:PORT", listens)?.to_string(),
    };
    let https = match (&cards, setup.cards_address) {
        (Some(_), Some(address)) => Some(address),
        (Some(cards), None) => Some(told("--cards-address", "IP:PORT", local_address(cards)?)?),
        (None, _) => None,
    };
    let mut config = Config::new(name, own.oid.clone());
    let card_side = CardSide { number: number.clone(), https, path: CARD_PATH.to_owned() };
    config.card_address = CardAddress { sms: Some(number.digits().to_owned()), https: card_side.session() };
    let mut es5 = setup.patience.unwrap_or_else(|| Es5Config::at(number));
    match &cards {
        Some(_) => {
            es5.https = Some(HttpsDoor { trigger: SessionTrigger::default(), path: CARD_PATH.to_owned() });
        }
        // Where nothing else can ever be had, a download goes by as many messages as a packet can have.
        None => es5.most_messages = usize::from(u8::MAX),
    }
    let credentials = Credentials::new(anchors, own.card.certificate.octets().to_vec(), own.card.key.clone());
    let tls = ClientTls::new(&tls_roots(pki), Some(&identity(&own.tls)), Arc::clone(&world.clock))?;
    let peers = TlsPeers::new(client, tls).keeping(setup.messages).in_trouble(setup.trouble);
    let woken = peers.woken();
    let uri = format!("https://{address}{SOAP_PATH}");
    let server =
        SmSr::new(config, credentials, uri, es5, records, world.clone(), events).with_peers(Arc::new(peers));
    // The engine keeps both for every clone.
    let _ = server.engine().clone().with_wake(Arc::new(Woken(Arc::clone(&woken))));
    let writer = centre.map(|settings| {
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
    let trouble = setup.trouble;
    let soap = Running::serve(listener, Some(server_tls), trouble.comes_in(server.link()))?;
    let cards = cards.map(|cards| Door::open(cards, server.engine().clone(), trouble)).transpose()?;
    Ok(Party { server, id: own.oid, address, card_side, soap, cards, _writer: writer, _delivery: delivery })
}

/// Where others are told to come, which is where somebody listens if that is one place.
fn told(flag: &str, form: &str, listens: SocketAddr) -> Result<SocketAddr, Fault> {
    match listens.ip().is_unspecified() {
        false => Ok(listens),
        true => Err(Fault::new(
            "others cannot be told where the SM-SR is",
            format!("it listens at every address of this host ({listens})"),
            format!("say where it is reached with {flag} {form}"),
        )),
    }
}

/// Something is due for a card: the timer loop looks again.
struct Woken(Arc<Notify>);

impl Wake for Woken {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// The door for cards.
struct Door {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Door {
    fn open(listener: TcpListener, engine: Engine, trouble: &Trouble) -> Result<Self, Fault> {
        let (stop, stopped) = oneshot::channel::<()>();
        let keys = Arc::new(Keys(engine.clone()));
        let service = link_from(tower::service_fn(move |request: Request<Bytes>| {
            let engine = engine.clone();
            async move { Ok::<_, LinkFault>(engine.https(request).await) }
        }));
        let serve = net::serve_psk(listener, keys, trouble.comes_in(service), async {
            // A dropped sender stops it as well as a sent word.
            let _ = stopped.await;
        })?;
        Ok(Self { stop: Some(stop), task: tokio::spawn(serve) })
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        // As with every other door.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The keys of cards, as the records have them.
struct Keys(Engine);

impl PskKeys for Keys {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(self.0.psk(identity))
    }
}
