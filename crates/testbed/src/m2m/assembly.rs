//! Creates the servers of SGP.02 from a PKI. The caller chooses clock, records, transport and
//! addresses.

use std::sync::Arc;

use bytes::Bytes;
use certs::m2m::Owner;
use certs::{Credential, Pki, PkiError, ServerName};
use crypto::{Curve, Secret};
use http::Request;
use net::PskKeys;
use rsp::ids::Oid;
use rsp::ota::trigger::SessionTrigger;
use rsp::sgp02::Namespace;
use rsp_server::AllowedAddresses;
use rsp_server::soap::{Peer, Peers};
use sm_dp::SmDp;
use sm_sr::es5::{Engine, Es5Config, HttpsEndpoint, Wake};
use sm_sr::records::{Peer as SmSrPeer, PeerRole};
use sm_sr::{CardAddress, SmSr};
use tokio::sync::Notify;
use world::{BoxFuture, Events, Fault, Link, LinkFault, Records, World, link_from};

use super::factory::CardAddresses;
use super::operator::{SOAP_PATH, peer};

/// URL path of the cards' HTTP requests.
pub const CARD_PATH: &str = "/es5";

/// Maximum number of short messages of one packet, which is the limit of their concatenation.
pub const MAX_CONCATENATED_MESSAGES: usize = u8::MAX as usize;

/// Everything that an SM-DP keeps when its process is restarted, except its records.
#[derive(Clone)]
pub struct SmDpSetup {
    config: sm_dp::m2m::Config,
    credentials: sm_dp::m2m::Credentials,
    /// Its TLS certificate.
    pub tls: Credential,
}

impl SmDpSetup {
    /// Creates the certificates of the SM-DP that is called `in_pki` in the PKI. `name` is its name
    /// in messages, and `authority` its address.
    ///
    /// # Errors
    /// The PKI lacks a certificate or a key.
    pub fn new(
        pki: &Pki,
        in_pki: &str,
        name: &str,
        authority: &str,
        names: &[ServerName],
    ) -> Result<Self, Fault> {
        let missing = |why| missing(why, "the SM-DP has no certificates for M2M");
        let own = pki.m2m_server(Owner::SmDp, in_pki, names).map_err(missing)?;
        let eums = pki.eum(Curve::P256).into_iter().cloned().collect();
        let certificate = own.card.certificate.octets().to_vec();
        let anchors = pki.anchors().map_err(missing)?;
        Ok(Self {
            config: sm_dp::m2m::Config::new(name, own.oid, format!("https://{authority}{SOAP_PATH}")),
            credentials: sm_dp::m2m::Credentials::new(certificate, own.card.key, anchors, eums),
            tls: own.tls,
        })
    }

    /// Sets the addresses that callers may name in ReplyTo, beside their configured ones.
    #[must_use]
    pub fn with_reply_addresses(mut self, allowed: AllowedAddresses) -> Self {
        self.config.reply_addresses = allowed;
        self
    }

    /// Creates the SM-DP with these records.
    pub fn server(
        &self,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
        peers: Arc<dyn Peers>,
    ) -> SmDp {
        SmDp::new(self.config.clone(), self.credentials.clone(), records, world, events).with_peers(peers)
    }
}

/// Everything that an SM-SR keeps when its process is restarted, except its records.
#[derive(Clone)]
pub struct SmSrSetup {
    config: sm_sr::Config,
    credentials: sm_sr::Credentials,
    es5: Es5Config,
    address: String,
    /// Its TLS certificate.
    pub tls: Credential,
}

impl SmSrSetup {
    /// Creates the certificates of the SM-SR that is called `in_pki` in the PKI. `name` is its name
    /// in messages, and `authority` its address. Cards reach it at `cards`, and open HTTPS sessions
    /// if `cards` has an HTTPS address. `es5` has the time limits for cards.
    ///
    /// # Errors
    /// The PKI lacks a certificate or a key.
    pub fn new(
        pki: &Pki,
        (in_pki, name): (&str, &str),
        authority: &str,
        names: &[ServerName],
        cards: &CardAddresses,
        es5: Es5Config,
    ) -> Result<Self, Fault> {
        let missing = |why| missing(why, &format!("the SM-SR {in_pki:?} has no certificates"));
        let own = pki.m2m_server(Owner::SmSr, in_pki, names).map_err(missing)?;
        let anchors = pki.anchors().map_err(missing)?;
        let sms = Some(cards.number.digits().to_owned());
        let card_address = CardAddress { sms, https: cards.session() };
        let endpoint = HttpsEndpoint { trigger: SessionTrigger::default(), path: cards.path.clone() };
        let es5 = match cards.https {
            Some(_) => Es5Config { https: Some(endpoint), ..es5 },
            // Without HTTPS, whole profiles are downloaded by short messages.
            None => Es5Config { most_messages: MAX_CONCATENATED_MESSAGES, ..es5 },
        };
        let certificate = own.card.certificate.octets().to_vec();
        Ok(Self {
            config: sm_sr::Config { card_address, ..sm_sr::Config::new(name, own.oid) },
            credentials: sm_sr::Credentials::new(anchors, certificate, own.card.key),
            es5,
            address: format!("https://{authority}{SOAP_PATH}"),
            tls: own.tls,
        })
    }

    /// Sets the addresses that callers may name in ReplyTo, beside their configured ones.
    #[must_use]
    pub fn with_reply_addresses(mut self, allowed: AllowedAddresses) -> Self {
        self.config.reply_addresses = allowed;
        self
    }

    /// The OID of the SM-SR.
    pub fn id(&self) -> &Oid {
        &self.config.id
    }

    /// Creates the SM-SR with these records. `woken` is notified when work is due.
    pub fn server(
        &self,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
        peers: Arc<dyn Peers>,
        woken: &Arc<Notify>,
    ) -> SmSr {
        let Self { config, credentials, es5, address, .. } = self.clone();
        let server = SmSr::new(config, credentials, address, es5, records, world, events).with_peers(peers);
        // All clones of the engine share this setting.
        let _ = server.engine().clone().with_wake(Arc::new(Woken(Arc::clone(woken))));
        server
    }
}

/// The fault of a PKI without a certificate or a key.
fn missing(why: PkiError, what: &str) -> Fault {
    Fault::caused_by(why, what, "use a PKI with the key of the CI, such as that of `landfall certs init`")
}

/// Returns the certificate of an M2M operator with these host names, and its OID.
///
/// # Errors
/// The PKI has no CI key.
pub fn operator_credential(pki: &Pki, name: &str, names: &[ServerName]) -> Result<(Credential, Oid), Fault> {
    let credential = pki
        .m2m_operator(name, names)
        .map_err(|why| missing(why, &format!("there is no certificate for operator {name:?}")))?;
    let oid = credential.certificate.registered_ids().first().cloned().ok_or_else(|| {
        Fault::new("the operator has no object identifier", "its certificate contains none", "report this")
    })?;
    Ok((credential, oid))
}

/// A server of SGP.02, as its peers register it.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its OID.
    pub id: Oid,
    /// Its display name.
    pub name: String,
    /// Its address, `host:port`.
    pub authority: String,
}

impl Party {
    /// Describes a server.
    pub fn new(id: &Oid, name: impl Into<String>, authority: impl Into<String>) -> Self {
        Self { id: id.clone(), name: name.into(), authority: authority.into() }
    }

    /// The server as a peer, with messages in this namespace.
    pub fn peer(&self, namespace: Namespace) -> Peer {
        Peer { namespace, ..peer(self.id.clone(), &self.authority) }
    }

    fn at_sm_sr(&self, role: PeerRole, namespace: Namespace) -> SmSrPeer {
        let endpoint = Some(format!("https://{}{SOAP_PATH}", self.authority));
        SmSrPeer { id: self.id.clone(), name: self.name.clone(), role, endpoint, namespace }
    }
}

/// Registers all servers with each other, once, when their records are new. The EUM receives no
/// messages and has no address.
///
/// # Errors
/// The records cannot be written.
pub async fn register_all(
    (sm_dp, sm_dp_party): (&SmDp, &Party),
    sm_srs: &[(&SmSr, Party)],
    operator: &Party,
    eum: &Oid,
    namespace: Namespace,
) -> Result<(), Fault> {
    let eum = SmSrPeer {
        id: eum.clone(),
        name: "EUM".to_owned(),
        role: PeerRole::Eum { transport_key: None },
        endpoint: None,
        namespace,
    };
    sm_dp.register_operator(&operator.peer(namespace)).await?;
    for (sm_sr, party) in sm_srs {
        sm_dp.register_sm_sr(&party.peer(namespace)).await?;
        sm_sr.register_peer(&eum).await?;
        sm_sr.register_peer(&sm_dp_party.at_sm_sr(PeerRole::SmDp, namespace)).await?;
        sm_sr.register_peer(&operator.at_sm_sr(PeerRole::Operator, namespace)).await?;
        for (_, other) in sm_srs.iter().filter(|(_, other)| other.id != party.id) {
            sm_sr.register_peer(&other.at_sm_sr(PeerRole::SmSr, namespace)).await?;
        }
    }
    Ok(())
}

/// Returns the HTTPS interface of an SM-SR for cards, without its transport.
pub fn card_link(engine: Engine) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let engine = engine.clone();
        async move { Ok::<_, LinkFault>(engine.https(request).await) }
    }))
}

/// The pre-shared keys of the cards, from the records of their SM-SR.
pub struct CardKeys(pub Engine);

impl PskKeys for CardKeys {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(self.0.psk(identity))
    }
}

/// Wakes the background task of an SM-SR when something is due for a card.
struct Woken(Arc<Notify>);

impl Wake for Woken {
    fn wake(&self) {
        self.0.notify_one();
    }
}
