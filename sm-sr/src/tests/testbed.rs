//! A testbed: an SM-SR, peers that record the messages they receive, and a clock that is advanced
//! by hand.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use certs::{Credential, Pki, PkiOptions, Role};
use crypto::{Curve, SecretKey};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use rsp::{
    der::{Tag, tlv_bytes},
    ids::{Aid, Eid, Iccid, Oid, Version},
    sgp02::{
        BaseRequest, Function, Message, Msisdn, Namespace, Notification, Octets, SubscriptionAddress,
        addressing::{Endpoint, Header, MessageId},
        eis::{
            Eis, EuiccCapabilities, EumSignedInfo, GpCertificate, Key, KeyComponent, Keyset, KeysetType,
            Pol2, Pol2Action, Pol2Qualification, Pol2Rule, Pol2Subject, ProfileInfo, ProfileState, SdRole,
            SecurityDomain,
        },
        es1,
        signature::Canonical,
        soap::{self, Envelope},
        xml,
    },
    time::Timestamp,
};
use rsp_server::soap::{Peers, eum};
use world::{
    Fault, Link, LinkFault, ManualClock, MemoryRecords, NullEvents, PeerCertificate, PhoneNumber, Records,
    SeededRandom, World, link_from,
};

use crate::{
    CardAddress, Config, Credentials, SmSr,
    es5::Es5Config,
    records::{Key as StoredKey, Peer, PeerRole},
    transport,
};

pub(super) const NOW: i64 = 1_795_000_000;

/// Parties of the tests. Each has a client certificate with its own OID.
pub(super) const EUM: &str = "EUM";
pub(super) const SM_DP: &str = "SM-DP";
pub(super) const OTHER_SM_DP: &str = "another SM-DP";
pub(super) const OPERATOR: &str = "operator";
pub(super) const OTHER_OPERATOR: &str = "another operator";
pub(super) const SM_SR: &str = "SM-SR";
pub(super) const OTHER_SM_SR: &str = "another SM-SR";
pub(super) const UNKNOWN_PEER: &str = "unknown peer";

pub(super) fn eid() -> Eid {
    PKI.eids(Curve::P256)[0]
}

pub(super) fn iccid(number: u8) -> Iccid {
    Iccid::with_luhn(&format!("8949000000000000{number:02}")).unwrap()
}

/// Number of the profile that a card has from the start: it belongs to the operator, is enabled,
/// and has the fall-back attribute.
pub(super) const BOOTSTRAP: u8 = 1;

/// A message received by a peer.
#[derive(Clone, Debug)]
pub(super) struct ReceivedMessage {
    pub(super) to: String,
    pub(super) text: String,
}

impl ReceivedMessage {
    pub(super) fn element(&self) -> String {
        let document = xml::parse(&self.text).unwrap();
        Envelope::read(&document).unwrap().element().to_owned()
    }

    pub(super) fn header(&self) -> Header {
        let document = xml::parse(&self.text).unwrap();
        Envelope::read(&document).unwrap().header
    }

    pub(super) fn namespace(&self) -> Namespace {
        let document = xml::parse(&self.text).unwrap();
        Envelope::read(&document).unwrap().namespace
    }

    pub(super) fn message<M: Message>(&self) -> M {
        let document = xml::parse(&self.text).unwrap();
        Envelope::read(&document).unwrap().message().unwrap()
    }
}

/// The peers of all SM-SRs of a testbed.
#[derive(Default)]
struct TestNetwork {
    received: Mutex<Vec<ReceivedMessage>>,
    /// The servers of peers, by host name. A request to such a peer is recorded, and then handled
    /// by its server.
    servers: Mutex<BTreeMap<String, (Link, PeerCertificate)>>,
    /// Host names of peers. Requests to them are lost.
    unreachable: Mutex<Vec<String>>,
}

struct TestPeers(Arc<TestNetwork>);

impl Peers for TestPeers {
    fn link(&self, authority: &str) -> Result<Link, Fault> {
        let (network, to) = (Arc::clone(&self.0), authority.to_owned());
        Ok(link_from(tower::service_fn(move |mut request: Request<Bytes>| {
            let (network, to) = (Arc::clone(&network), to.clone());
            async move {
                if network.unreachable.lock().unwrap().contains(&to) {
                    return Err(LinkFault::new(world::LinkFaultKind::Timeout, to, "no response"));
                }
                let text = String::from_utf8(request.body().to_vec()).unwrap();
                network.received.lock().unwrap().push(ReceivedMessage { to: to.clone(), text });
                let server = network.servers.lock().unwrap().get(&to).cloned();
                match server {
                    Some((server, certificate)) => {
                        request.extensions_mut().insert(certificate);
                        world::send(&server, request).await
                    }
                    None => {
                        let mut response = Response::new(Bytes::new());
                        *response.status_mut() = StatusCode::ACCEPTED;
                        Ok(response)
                    }
                }
            }
        })))
    }
}

/// The testbed.
pub(super) struct Testbed {
    pub(super) clock: ManualClock,
    pub(super) pki: Arc<Pki>,
    pub(super) ecasd_key: SecretKey,
    records: Arc<dyn Records>,
    random: SeededRandom,
    network: Arc<TestNetwork>,
    /// Name of the SM-SR.
    pub(super) name: &'static str,
    pub(super) namespace: Namespace,
}

/// Created once, because a signature is slow in an unoptimised build.
static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"sm-sr", &PkiOptions::default()).unwrap()));

/// Client certificates of all parties, by name.
static CREDENTIALS: LazyLock<Mutex<BTreeMap<String, Credential>>> = LazyLock::new(Mutex::default);

impl Testbed {
    /// Creates an SM-SR with all peers and no card.
    pub(super) async fn new() -> Self {
        Self::with_namespace(Namespace::V3).await
    }

    /// Creates the same testbed, with all parties using this namespace.
    pub(super) async fn with_namespace(namespace: Namespace) -> Self {
        Self::on_records(Arc::new(MemoryRecords::default()), namespace).await
    }

    /// Creates the same testbed over these records.
    pub(super) async fn on_records(records: Arc<dyn Records>, namespace: Namespace) -> Self {
        let testbed = Self {
            clock: ManualClock::at(Timestamp::from_seconds(NOW)),
            pki: Arc::clone(&PKI),
            ecasd_key: PKI.ecasd(eid()).unwrap().key,
            records,
            random: SeededRandom::from_text("sm-sr"),
            network: Arc::default(),
            name: SM_SR,
            namespace,
        };
        testbed.add_all_peers().await;
        testbed
    }

    /// Creates another SM-SR in the same testbed.
    pub(super) async fn another(&self) -> Self {
        self.another_on_records(Arc::new(MemoryRecords::default())).await
    }

    /// Creates another SM-SR over these records in the same testbed.
    pub(super) async fn another_on_records(&self, records: Arc<dyn Records>) -> Self {
        let testbed = Self {
            clock: self.clock.clone(),
            pki: Arc::clone(&self.pki),
            ecasd_key: self.ecasd_key.clone(),
            records,
            random: SeededRandom::from_text("another"),
            network: Arc::clone(&self.network),
            name: OTHER_SM_SR,
            namespace: self.namespace,
        };
        testbed.add_all_peers().await;
        for (here, there) in [(self, &testbed), (&testbed, self)] {
            let certificate = PeerCertificate(here.credential(there.name).certificate.der().to_vec());
            let link = here.restarting_link();
            let mut servers = self.network.servers.lock().unwrap();
            servers.insert(here.authority(here.name), (link, certificate));
        }
        testbed
    }

    /// Returns a link that handles every request with a new server.
    fn restarting_link(&self) -> Link {
        let make = self.maker();
        link_from(tower::service_fn(move |request| {
            let server = make();
            async move { Ok::<_, LinkFault>(server.handle(request).await) }
        }))
    }

    fn maker(&self) -> impl Fn() -> SmSr + Clone + Send + Sync + 'static {
        let (records, network) = (Arc::clone(&self.records), Arc::clone(&self.network));
        let world = World::new(self.clock.clone(), self.random.clone());
        let mut config = Config::new(self.name, self.id(self.name));
        config.card_address = CardAddress { sms: Some("491700000001".to_owned()), https: None };
        let address = format!("https://{}/sgp02", self.authority(self.name));
        let key = SecretKey::from_bytes(Curve::P256, &[0x33; 32]).unwrap();
        let certificate = tlv_bytes(Tag(0x7F21), &[0x93, 0x01, 0x02]);
        let credentials = Credentials::new(self.pki.anchors().unwrap(), certificate, key);
        move || {
            let es5 = Es5Config::at(PhoneNumber::international("491700000001").unwrap());
            let events = Arc::new(NullEvents);
            let server = SmSr::new(
                config.clone(),
                credentials.clone(),
                address.clone(),
                es5,
                Arc::clone(&records),
                world.clone(),
                events,
            );
            server.with_peers(Arc::new(TestPeers(Arc::clone(&network))))
        }
    }

    /// Returns the server after a restart.
    pub(super) fn server(&self) -> SmSr {
        self.maker()()
    }

    pub(super) fn records(&self) -> &dyn Records {
        &*self.records
    }

    pub(super) fn now(&self) -> Timestamp {
        world::Clock::now(&self.clock)
    }

    pub(super) fn credential(&self, peer_name: &str) -> Credential {
        let mut all = CREDENTIALS.lock().unwrap();
        let issue = || match peer_name {
            // Its certificate names the same EUM as the signing certificate.
            EUM => self.pki.m2m_eum(&["eum.example".parse().unwrap()]).unwrap(),
            _ => self.pki.operator(peer_name).unwrap(),
        };
        all.entry(peer_name.to_owned()).or_insert_with(issue).clone()
    }

    pub(super) fn id(&self, peer_name: &str) -> Oid {
        self.credential(peer_name).certificate.registered_ids().first().unwrap().clone()
    }

    pub(super) fn authority(&self, peer_name: &str) -> String {
        format!("{}.example", peer_name.to_lowercase().replace(' ', "-"))
    }

    async fn add_all_peers(&self) {
        let transport_key = Some(StoredKey::new(TRANSPORT_KEY.to_vec()));
        for (name, role) in [
            (EUM, PeerRole::Eum { transport_key }),
            (SM_DP, PeerRole::SmDp),
            (OTHER_SM_DP, PeerRole::SmDp),
            (OPERATOR, PeerRole::Operator),
            (OTHER_OPERATOR, PeerRole::Operator),
            (SM_SR, PeerRole::SmSr),
            (OTHER_SM_SR, PeerRole::SmSr),
        ] {
            self.add_peer(name, role, true).await;
        }
    }

    pub(super) async fn add_peer(&self, name: &str, role: PeerRole, has_address: bool) {
        let endpoint = has_address.then(|| format!("https://{}/sgp02", self.authority(name)));
        let peer =
            Peer { id: self.id(name), name: name.to_owned(), role, endpoint, namespace: self.namespace };
        self.server().register_peer(&peer).await.unwrap();
    }

    /// Sets whether the messages to a peer are lost.
    pub(super) fn lose_messages(&self, peer_name: &str, unreachable: bool) {
        let authority = self.authority(peer_name);
        let mut all = self.network.unreachable.lock().unwrap();
        all.retain(|known| *known != authority);
        if unreachable {
            all.push(authority);
        }
    }

    /// Sends a request and runs all due work.
    pub(super) async fn call<F: Function>(&self, from: &str, mut request: F::Request) -> Response<Bytes> {
        use rsp::sgp02::Request as _;
        let identifier = &mut request.base_mut().function_call_identifier;
        if identifier.is_empty() {
            *identifier = hex::encode(World::new(self.clock.clone(), self.random.clone()).random::<8>());
        }
        let response = self.post(from, self.namespace, &F::request_action(), &request).await;
        self.run().await;
        response
    }

    /// Sends a notification and runs all due work.
    pub(super) async fn send_notification<N: Notification>(
        &self,
        from: &str,
        notification: &N,
    ) -> Response<Bytes> {
        let response = self.post(from, self.namespace, &N::action(), notification).await;
        self.run().await;
        response
    }

    pub(super) async fn post<M: Message>(
        &self,
        from: &str,
        namespace: Namespace,
        action: &str,
        message: &M,
    ) -> Response<Bytes> {
        let unique = hex::encode(World::new(self.clock.clone(), self.random.clone()).random::<8>());
        let header = Header {
            from: Endpoint::new(format!("https://{}/", self.authority(from)), Some(self.id(from))),
            to: Endpoint::new(format!("https://{}/", self.authority(self.name)), Some(self.id(self.name))),
            message_id: MessageId {
                uri: format!("//{}/{unique}", self.id(from)),
                transaction_id: None,
                context_id: None,
                message_date: None,
            },
            action: action.to_owned(),
            relates_to: None,
            reply_to: None,
        };
        let text = soap::envelope(&header, namespace, message);
        self.send(from, text.into(), action).await
    }

    /// Posts arbitrary octets.
    pub(super) async fn send(&self, from: &str, octets: Vec<u8>, action: &str) -> Response<Bytes> {
        let mut request = Request::new(Bytes::from(octets));
        *request.method_mut() = Method::POST;
        let content_type = HeaderValue::from_str(&soap::content_type(action)).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        let certificate = PeerCertificate(self.credential(from).certificate.der().to_vec());
        request.extensions_mut().insert(certificate);
        self.server().handle(request).await
    }

    /// Runs all due work, each time with a new server.
    pub(super) async fn run(&self) {
        for _ in 0..4 {
            self.server().run_due().await.unwrap();
        }
    }

    pub(super) async fn advance(&self, time: Duration) {
        self.clock.advance(time);
        self.run().await;
    }

    /// Returns and clears the recorded messages.
    pub(super) fn received(&self) -> Vec<ReceivedMessage> {
        std::mem::take(&mut *self.network.received.lock().unwrap())
    }

    /// Returns and clears the recipients and elements of the recorded messages, sorted.
    pub(super) fn received_briefly(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> =
            self.received().iter().map(|received| (received.to.clone(), received.element())).collect();
        all.sort();
        all
    }

    /// Returns the only recorded message, which must be of this type and for this peer.
    pub(super) fn received_only<M: Message>(&self, to: &str) -> M {
        let received = self.received();
        let [only] = received.as_slice() else {
            panic!("{:?}", received.iter().map(ReceivedMessage::element).collect::<Vec<_>>())
        };
        assert_eq!(only.to, self.authority(to));
        only.message()
    }

    /// Registers the standard card at this SM-SR.
    pub(super) async fn register(&self) {
        let response = self.call::<es1::RegisterEis>(EUM, self.register_request(self.eis())).await;
        let response_message: es1::RegisterEisResponse = response_message(&response);
        assert!(response_message.base.is_done(), "{:?}", response_message.base);
    }

    pub(super) fn register_request(&self, eis: Eis) -> es1::RegisterEisRequest {
        es1::RegisterEisRequest { base: BaseRequest::new(""), eis }
    }

    /// Returns the signed EIS of the standard card.
    pub(super) fn eis(&self) -> Eis {
        let signed = Canonical::eum_signed_info(self.signed_info(), self.namespace);
        let eum_credential = self.pki.credential(Role::Eum, Curve::P256).unwrap();
        let certificate = eum_credential.certificate.der();
        let eum_signature = eum::sign(&signed, &eum_credential.key, Some(certificate));
        Eis {
            eum_signed_info: signed,
            eum_signature,
            remaining_memory: 600_000,
            available_memory_for_profiles: 500_000,
            last_audit_date: None,
            smsr_id: self.id(self.name),
            profile_info: vec![self.profile(BOOTSTRAP, OPERATOR, ProfileState::Enabled, true)],
            isd_r: Some(isd_r_of(&[scp80_set(1), scp81_set(0x40)])),
            audit_trail: None,
            additional_properties: None,
        }
    }

    pub(super) fn signed_info(&self) -> EumSignedInfo {
        EumSignedInfo {
            eid: eid(),
            eum_id: self.id(EUM),
            production_date: Timestamp::from_seconds(NOW - 86_400),
            platform_type: "test".to_owned(),
            platform_version: Version([1, 0, 0]),
            isd_p_loadfile_aid: Aid::isd_p(0x0D),
            isd_p_module_aid: Aid::isd_p(0x0E),
            ecasd: SecurityDomain {
                aid: Aid(Aid::ECASD.to_vec()),
                role: SdRole::Ecasd,
                keyset: vec![Keyset {
                    version: 0x74,
                    r#type: Some(KeysetType::Ca),
                    cntr: None,
                    key: Vec::new(),
                    certificate: vec![GpCertificate {
                        index: 1,
                        ca_id: self.id(EUM),
                        value: Octets(self.pki.ecasd(eid()).unwrap().certificate.octets().to_vec()),
                    }],
                }],
                ..isd_r_of(&[])
            },
            euicc_capabilities: EuiccCapabilities {
                cattp_support: false,
                cattp_version: None,
                http_support: true,
                http_version: Some(Version([1, 1, 3])),
                secure_packet_version: Version([12, 1, 0]),
                remote_provisioning_version: Version([3, 2, 0]),
            },
        }
    }

    pub(super) fn profile(&self, number: u8, of: &str, state: ProfileState, fallback: bool) -> ProfileInfo {
        let msisdn: Msisdn = format!("4915100000{number:02}").parse().unwrap();
        ProfileInfo {
            iccid: iccid(number),
            isd_p_aid: isd_p(number),
            mno_id: self.id(of),
            fallback_attribute: fallback,
            subscription_address: SubscriptionAddress { imsi: None, msisdn: Some(msisdn) },
            state,
            smdp_id: (number != BOOTSTRAP).then(|| self.id(SM_DP)),
            profile_type: None,
            allocated_memory: 50_000,
            free_memory: None,
            pol2: Pol2::default(),
        }
    }

    /// Registers the standard card with additional profiles.
    pub(super) async fn register_with(&self, profiles: impl IntoIterator<Item = ProfileInfo>) {
        let mut eis = self.eis();
        eis.profile_info.extend(profiles);
        let response = self.call::<es1::RegisterEis>(EUM, self.register_request(eis)).await;
        let response_message: es1::RegisterEisResponse = response_message(&response);
        assert!(response_message.base.is_done(), "{:?}", response_message.base);
    }

    /// Returns the state of a profile in the EIS.
    pub(super) async fn state(&self, number: u8) -> Option<ProfileState> {
        let eis = self.server().eis(eid()).await.unwrap()?;
        eis.profile_info.iter().find(|profile| profile.iccid == iccid(number)).map(|profile| profile.state)
    }
}

pub(super) fn isd_p(number: u8) -> Aid {
    Aid::isd_p(0x0F + u16::from(number))
}

pub(super) fn rules(rules: &[(Pol2Action, Pol2Qualification)]) -> Pol2 {
    let rule = |(action, qualification): &(Pol2Action, Pol2Qualification)| Pol2Rule {
        subject: Pol2Subject::Profile,
        action: *action,
        qualification: *qualification,
    };
    Pol2 { rule: rules.iter().map(rule).collect() }
}

const TRANSPORT_KEY: [u8; 16] = [0x77; 16];

fn key(index: u8, octets: [u8; 16]) -> Key {
    Key {
        index,
        kcv: Octets(transport::check_value(&octets)),
        key_components: vec![KeyComponent {
            r#type: 0x88,
            value: Octets(transport::encipher(&TRANSPORT_KEY, &octets)),
        }],
    }
}

pub(super) fn scp80_set(version: u8) -> Keyset {
    Keyset {
        version,
        r#type: Some(KeysetType::Scp80),
        cntr: Some(7),
        key: (1..=3).map(|index| key(index, [version.wrapping_mul(0x10) + index; 16])).collect(),
        certificate: Vec::new(),
    }
}

pub(super) fn scp81_set(version: u8) -> Keyset {
    Keyset {
        version,
        r#type: Some(KeysetType::Scp81),
        cntr: None,
        key: vec![key(1, [version; 16])],
        certificate: Vec::new(),
    }
}

pub(super) fn isd_r_of(keyset: &[Keyset]) -> SecurityDomain {
    SecurityDomain {
        aid: Aid(Aid::ISD_R.to_vec()),
        tar: Vec::new(),
        sin: Octets(vec![1]),
        sdin: Octets(vec![2]),
        role: SdRole::IsdR,
        keyset: keyset.to_vec(),
    }
}

/// Returns the response message in an HTTP response.
pub(super) fn response_message<M: Message>(response: &Response<Bytes>) -> M {
    let text = std::str::from_utf8(response.body()).unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{text}");
    let document = xml::parse(text).unwrap();
    Envelope::read(&document).unwrap().message().unwrap()
}

/// Returns the subject and the reason of a failed response.
pub(super) fn codes<R: rsp::sgp02::Response>(response: &R) -> (String, String) {
    let status = &response.base().function_execution_status;
    assert_eq!(status.status, rsp::sgp02::ExecutionStatus::Failed, "{status}");
    let data = status.status_code_data.clone().unwrap();
    (data.subject, data.reason)
}
