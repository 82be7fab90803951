//! An SM-SR with its interfaces: SOAP for other servers, HTTPS with pre-shared keys for cards, an
//! SMSC, and a timer.

use std::{net::SocketAddr, sync::Arc};

use certs::{Pki, ServerName, m2m::Owner};
use crypto::Curve;
use net::{
    Client, ClientTls,
    smpp::{Esme, EsmeSettings},
};
use rsp::ids::Oid;
use rsp_server::AllowedAddresses;
use sm_sr::{
    SmSr,
    es5::{Engine, Es5Config},
};
use testbed::m2m::assembly::{CardKeys, Party, SmSrSetup, card_link};
use tokio::net::TcpListener;
use world::{Clock, Events, Fault, PhoneNumber, Records, World};

pub use testbed::m2m::assembly::CARD_PATH;

use super::{factory::CardAddresses, messages::Messages};
use crate::{
    faults::ActiveFaults,
    parties::{Running, TlsListener, identity, issued_tls, local_address, serve_with_tls, tls_roots},
    peers::{Delivery, TlsPeers},
};

/// Parameters of an SM-SR.
pub struct Setup<'a> {
    /// PKI with its certificates and keys.
    pub pki: &'a Pki,
    /// Name of the SM-SR, from which its OID is derived.
    pub name: &'a str,
    /// Listeners for other servers.
    pub listeners: Vec<TlsListener>,
    /// Address announced to other servers, `host:port`; default: that of the first listener.
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
    /// Addresses that callers may name in ReplyTo.
    pub reply_addresses: AllowedAddresses,
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
    soap: Vec<Running>,
    cards: Option<Running>,
    /// SMPP client; runs until it is dropped.
    _writer: Option<Arc<Esme>>,
    _delivery: Delivery,
}

impl RunningSmSr {
    /// Returns the SM-SR as its peers register it.
    pub fn party(&self, name: &str) -> Party {
        Party::new(&self.id, name, self.address.clone())
    }

    /// Returns the listeners for other servers.
    pub fn listeners(&self) -> &[Running] {
        &self.soap
    }

    /// Waits for open requests, then stops.
    pub async fn stop(self) {
        for soap in self.soap {
            soap.stop().await;
        }
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
    let Setup { pki, name, listeners, names, cards, number, smsc, records, world, events, client, .. } =
        setup;
    check_curves(pki)?;
    let address = match (setup.address, listeners.first()) {
        (Some(address), _) => address,
        (None, Some(first)) => {
            announced("--announce", "HOST:PORT", local_address(&first.listener)?)?.to_string()
        }
        (None, None) => {
            return Err(Fault::usage("the SM-SR has no address", "none was given", "give --listen"));
        }
    };
    let https = match (&cards, setup.cards_address) {
        (Some(_), Some(address)) => Some(address),
        (Some(cards), None) => Some(announced("--announce-cards", "IP:PORT", local_address(cards)?)?),
        (None, _) => None,
    };
    let card_side = CardAddresses { number: number.clone(), https, path: CARD_PATH.to_owned() };
    let es5 = setup.patience.unwrap_or_else(|| Es5Config::at(number));
    let own = SmSrSetup::new(pki, (name, name), &address, names, &card_side, es5)?
        .with_reply_addresses(setup.reply_addresses);
    let tls = ClientTls::new(&tls_roots(pki), Some(&identity(&own.tls)), Arc::clone(&world.clock))?;
    let peers = TlsPeers::new(client, tls).recording(setup.messages).with_faults(setup.active_faults);
    let woken = peers.woken();
    let server = own.server(records, world.clone(), events, Arc::new(peers), &woken);
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
    let active_faults = setup.active_faults;
    let issue = |curve| {
        pki.m2m_tls_on(curve, Owner::SmSr, name, names)
            .map_err(|e| crate::pki::missing_certificate(e, "the SM-SR has no TLS certificate"))
    };
    let soap = serve_with_tls(listeners, &active_faults.incoming(server.link()), |listens| {
        issued_tls(listens.curve, pki, &world.clock, issue)
    })?;
    let cards = cards.map(|cards| serve_cards(cards, server.engine().clone(), active_faults)).transpose()?;
    Ok(RunningSmSr {
        server,
        id: own.id().clone(),
        address,
        card_side,
        soap,
        cards,
        _writer: writer,
        _delivery: delivery,
    })
}

/// Checks that the PKI has a CI on NIST P-256. The certificates and keys with which an SM-SR takes a
/// card over (ES5.EstablishISDRKeySet, SGP.02 section 4.1.1.8) are on this curve, which every card of
/// SGP.02 supports.
fn check_curves(pki: &Pki) -> Result<(), Fault> {
    if pki.curves().contains(&Curve::P256) {
        return Ok(());
    }
    Err(Fault::usage(
        "cannot start the SM-SR",
        "the PKI has no CI on NIST P-256, the curve of the certificates with which an SM-SR takes cards over",
        "use a PKI with this curve, such as that of `landfall certs init`",
    ))
}

/// Returns the address to announce: that of the listener, unless it is unspecified (0.0.0.0).
fn announced(flag: &str, form: &str, listens: SocketAddr) -> Result<SocketAddr, Fault> {
    match listens.ip().is_unspecified() {
        false => Ok(listens),
        true => Err(Fault::usage(
            "the SM-SR has no address to announce",
            format!("it listens on all addresses of this host ({listens})"),
            format!("give its address with {flag} {form}"),
        )),
    }
}

/// Serves the HTTPS sessions of cards.
fn serve_cards(
    listener: TcpListener,
    engine: Engine,
    active_faults: &ActiveFaults,
) -> Result<Running, Fault> {
    let keys = Arc::new(CardKeys(engine.clone()));
    let service = active_faults.incoming(card_link(engine));
    Running::start(local_address(&listener)?, |stopped| net::serve_psk(listener, keys, service, stopped))
}
