//! A testbed with an SM-DP, peers that record the received messages, and a manual clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use certs::{Credential, Role, m2m::Owner};
use crypto::Curve;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use rsp::{
    ids::{Aid, Eid, Iccid, Oid, Version},
    sgp02::{
        BaseResponse, Function, FunctionExecutionStatus, Message, Namespace, Notification, Octets, Pattern,
        Request as _, Response as _,
        addressing::{Endpoint, Header, MessageId},
        common::BaseRequest,
        eis::{
            Eis, EuiccCapabilities, EumSignedInfo, GpCertificate, Keyset, KeysetType, Pol2, ProfileInfo,
            ProfileState as CardProfile, SdRole, SecurityDomain,
        },
        es2, es3,
        signature::Canonical,
        soap::{self, Envelope},
        status::Status,
        xml,
    },
};
use rsp_server::soap::{Peer, Peers, eum};
use sm_dp::{
    ProfileOptions, ProfileState, SmDp, m2m,
    records::{PROFILES, ProfileRecord},
};
use world::{Fault, Link, LinkFault, LinkFaultKind, NullEvents, PeerCertificate, Tx, World, link_from};

use crate::{
    card::Card,
    support::{ICCID, OTHER_ICCID, PROFILE_TYPE, Testbed, package},
};

pub(crate) const OPERATOR: &str = "operator";
pub(crate) const OTHER_OPERATOR: &str = "another operator";
pub(crate) const SM_SR: &str = "SM-SR";
pub(crate) const OTHER_SM_SR: &str = "another SM-SR";
const SM_DP: &str = "SM-DP";

/// The validity period of the downloads in these tests.
pub(crate) const VALIDITY: Duration = Duration::from_secs(3600);

/// A message that the SM-DP sent to a peer.
#[derive(Clone)]
pub(crate) struct SentMessage {
    to: String,
    text: String,
}

impl SentMessage {
    pub(crate) fn element(&self) -> String {
        Envelope::read(&xml::parse(&self.text).unwrap()).unwrap().element().to_owned()
    }

    fn header(&self) -> Header {
        Envelope::read(&xml::parse(&self.text).unwrap()).unwrap().header
    }

    fn message<M: Message>(&self) -> M {
        Envelope::read(&xml::parse(&self.text).unwrap()).unwrap().message().unwrap()
    }
}

type Reply = Arc<dyn Fn(&Header) -> String + Send + Sync>;

#[derive(Default)]
struct PeerStates {
    sent: Mutex<Vec<SentMessage>>,
    /// The SM-SR's responses to synchronous requests, by request element. Other synchronous
    /// requests time out.
    replies: Mutex<BTreeMap<&'static str, Reply>>,
}

struct RecordingPeers(Arc<PeerStates>);

impl Peers for RecordingPeers {
    fn link(&self, authority: &str) -> Result<Link, Fault> {
        let (peers, to) = (Arc::clone(&self.0), authority.to_owned());
        Ok(link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (peers, to) = (Arc::clone(&peers), to.clone());
            async move {
                let message = SentMessage { to, text: String::from_utf8(request.body().to_vec()).unwrap() };
                let replies = peers.replies.lock().unwrap().get(message.element().as_str()).cloned();
                let is_synchronous = SYNCHRONOUS.contains(&message.element().as_str());
                peers.sent.lock().unwrap().push(message.clone());
                let text = match replies {
                    Some(replies) => replies(&message.header()),
                    None if is_synchronous => {
                        return Err(LinkFault::new(
                            LinkFaultKind::Timeout,
                            message.to,
                            "no configured response",
                        ));
                    }
                    None => String::new(),
                };
                let mut response = Response::new(Bytes::from(text));
                *response.status_mut() =
                    if response.body().is_empty() { StatusCode::ACCEPTED } else { StatusCode::OK };
                Ok(response)
            }
        })))
    }
}

const SYNCHRONOUS: [&str; 4] = [
    es3::GetEisRequest::ELEMENT,
    es3::ProfileDownloadCompletedRequest::ELEMENT,
    es3::UpdatePolicyRulesRequest::ELEMENT,
    es3::UpdateSubscriptionAddressRequest::ELEMENT,
];

/// The response that a download waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Eis,
    IsdP,
    RandomChallenge,
    Receipt,
    CardChallenge,
    Segments,
    Completion,
    Enabling,
}

impl Step {
    /// The steps at which an ISD-P may exist that has to be deleted if the download fails.
    pub(crate) const WITH_ISD_P: [Self; 6] = [
        Self::IsdP,
        Self::RandomChallenge,
        Self::Receipt,
        Self::CardChallenge,
        Self::Segments,
        Self::Completion,
    ];
}

/// A testbed for the SM-DP. The profile with [`ICCID`] is in stock.
pub(crate) struct M2mTestbed {
    pub(crate) base: Testbed,
    peers: Arc<PeerStates>,
    pub(crate) card: Mutex<Card>,
    /// The EUM certificates that the SM-DP is configured with.
    pub(crate) eums: Vec<certs::Certificate>,
}

static CREDENTIALS: LazyLock<Mutex<BTreeMap<String, Credential>>> = LazyLock::new(Mutex::default);

impl M2mTestbed {
    pub(crate) async fn new() -> Self {
        let base = Testbed::new();
        let options =
            ProfileOptions { profile_type: Some(PROFILE_TYPE.to_owned()), ..ProfileOptions::default() };
        base.stock(ICCID, &options).await;
        let ecasd = base.pki.ecasd(base.pki.eids(Curve::P256)[0]).unwrap().key;
        let card = Mutex::new(Card::new(ecasd, package(ICCID, &[]).len()));
        let testbed = Self { base, peers: Arc::default(), card, eums: Vec::new() };
        for name in [SM_SR, OTHER_SM_SR] {
            testbed.server().register_sm_sr(&testbed.peer(name)).await.unwrap();
        }
        for name in [OPERATOR, OTHER_OPERATOR] {
            testbed.server().register_operator(&testbed.peer(name)).await.unwrap();
        }
        testbed.set_eis(testbed.eis());
        testbed
            .set_reply::<es3::ProfileDownloadCompleted>(es3::ProfileDownloadCompletedResponse::only(done()));
        testbed
    }

    /// Creates a testbed in which the operator's profile is on the card, disabled.
    pub(crate) async fn installed() -> Self {
        let testbed = Self::new().await;
        testbed.advance_to(Step::Segments).await;
        testbed.advance().await;
        assert_eq!(testbed.state().await, ProfileState::Installed);
        testbed.clear_sent();
        testbed
    }

    /// Creates the SM-DP, as after a restart.
    pub(crate) fn server(&self) -> SmDp {
        let address = format!("https://{}/sgp02", authority(SM_DP));
        let config = m2m::Config::new(SM_DP, self.id(SM_DP), address);
        let card =
            CARD_CREDENTIAL.get_or_init(|| self.base.pki.m2m_card_credential(Owner::SmDp, SM_DP).unwrap());
        let credentials = m2m::Credentials::new(
            card.certificate.octets().to_vec(),
            card.key.clone(),
            self.base.pki.anchors().unwrap(),
            self.eums.clone(),
        );
        let server = SmDp::new(
            config,
            credentials,
            Arc::clone(&self.base.records),
            self.world(),
            Arc::new(NullEvents),
        );
        server.with_peers(Arc::new(RecordingPeers(Arc::clone(&self.peers))))
    }

    fn world(&self) -> World {
        World::new(self.base.clock.clone(), self.base.random.clone())
    }

    fn credential(&self, who: &str) -> Credential {
        let mut all = CREDENTIALS.lock().unwrap();
        all.entry(who.to_owned()).or_insert_with(|| self.base.pki.operator(who).unwrap()).clone()
    }

    pub(crate) fn id(&self, who: &str) -> Oid {
        self.credential(who).certificate.registered_ids()[0].clone()
    }

    fn peer(&self, who: &str) -> Peer {
        let endpoint = format!("https://{}/sgp02", authority(who));
        Peer { id: self.id(who), endpoint, namespace: Namespace::V3 }
    }

    pub(crate) fn eid(&self) -> Eid {
        self.base.pki.eids(Curve::P256)[0]
    }

    pub(crate) fn other_eid(&self) -> Eid {
        self.base.pki.eids(Curve::P256)[1]
    }

    /// Returns the profile in stock.
    pub(crate) async fn profile(&self) -> Option<ProfileRecord> {
        Tx::begin(&*self.base.records).get(&PROFILES, ICCID).await.unwrap().map(Into::into)
    }

    pub(crate) async fn state(&self) -> ProfileState {
        self.profile().await.unwrap().state
    }

    /// Adds another profile of the same type to the stock.
    pub(crate) async fn stock_another(&self) -> Iccid {
        self.base.stock(OTHER_ICCID, &ProfileOptions::default()).await
    }

    /// Calls a function of the SM-DP and runs all due tasks.
    pub(crate) async fn call<F: Function>(&self, from: &str, mut request: F::Request) -> Response<Bytes> {
        let identifier = &mut request.base_mut().function_call_identifier;
        if identifier.is_empty() {
            *identifier = hex::encode(self.world().random::<8>());
        }
        let response = self.post(from, &F::request_action(), None, &request).await;
        self.run().await;
        response
    }

    /// Sends a notification to the SM-DP.
    pub(crate) async fn notify<N: Notification>(&self, from: &str, notification: &N) {
        let response = self.post(from, &N::action(), None, notification).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        self.run().await;
    }

    async fn post<M: Message>(
        &self,
        from: &str,
        action: &str,
        relates_to: Option<String>,
        message: &M,
    ) -> Response<Bytes> {
        let unique = hex::encode(self.world().random::<8>());
        let header = Header {
            from: Endpoint::new(format!("https://{}/", authority(from)), Some(self.id(from))),
            to: Endpoint::new(format!("https://{}/", authority(SM_DP)), Some(self.id(SM_DP))),
            message_id: message_id(format!("//{}/{unique}", self.id(from))),
            action: action.to_owned(),
            relates_to,
            reply_to: None,
        };
        let mut request = Request::new(Bytes::from(soap::envelope(&header, Namespace::V3, message)));
        *request.method_mut() = Method::POST;
        let content_type = HeaderValue::from_str(&soap::content_type(action)).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        let certificate = PeerCertificate(self.credential(from).certificate.der().to_vec());
        request.extensions_mut().insert(certificate);
        self.server().handle(request).await
    }

    /// Runs all due tasks. Each iteration uses a new server instance.
    pub(crate) async fn run(&self) {
        loop {
            let due = self.server().due().await.unwrap();
            if due.tasks.is_empty() {
                return;
            }
            due.run().await;
        }
    }

    pub(crate) async fn advance_time(&self, time: Duration) {
        self.base.wait(time);
        self.run().await;
    }

    /// Returns the messages of this type that were sent to a peer.
    pub(crate) fn sent<M: Message>(&self, to: &str) -> Vec<M> {
        let sent = self.peers.sent.lock().unwrap();
        let matching =
            sent.iter().filter(|message| message.to == authority(to) && message.element() == M::ELEMENT);
        matching.map(SentMessage::message).collect()
    }

    /// Returns the element names of the messages that were sent to a peer.
    pub(crate) fn elements(&self, to: &str) -> Vec<String> {
        let sent = self.peers.sent.lock().unwrap();
        sent.iter().filter(|message| message.to == authority(to)).map(SentMessage::element).collect()
    }

    pub(crate) fn clear_sent(&self) {
        self.peers.sent.lock().unwrap().clear();
    }

    /// Returns the last message that was sent to the SM-SR.
    pub(crate) fn last_request(&self) -> SentMessage {
        let sent = self.peers.sent.lock().unwrap();
        sent.iter().rfind(|message| message.to == authority(SM_SR)).unwrap().clone()
    }

    /// Sets the SM-SR's response to a synchronous request.
    pub(crate) fn set_reply<F: Function>(&self, response: F::Response) {
        assert_eq!(F::PATTERN, Pattern::Synchronous);
        let replies = move |last_request: &Header| {
            let header = Header {
                from: last_request.to.clone(),
                to: last_request.from.clone(),
                message_id: message_id(format!("{}/answer", last_request.message_id.uri)),
                action: F::response_action(),
                relates_to: Some(last_request.message_id.to_uri()),
                reply_to: None,
            };
            soap::envelope(&header, Namespace::V3, &response)
        };
        self.peers.replies.lock().unwrap().insert(F::Request::ELEMENT, Arc::new(replies));
    }

    /// Removes the SM-SR's response to a synchronous request, which then times out.
    pub(crate) fn remove_reply<F: Function>(&self) {
        self.peers.replies.lock().unwrap().remove(F::Request::ELEMENT);
    }

    /// Sets the SM-SR's response to ES3.GetEIS.
    pub(crate) fn set_eis(&self, eis: Eis) {
        self.set_reply::<es3::GetEis>(es3::GetEisResponse { base: done(), eis: Some(eis) });
    }

    /// Sends the SM-SR's response to its last request.
    pub(crate) async fn reply<F: Function>(&self, response: F::Response) {
        self.reply_to::<F>(&self.last_request(), response).await;
    }

    /// Sends the SM-SR's response to a request, which may be an earlier one.
    pub(crate) async fn reply_to<F: Function>(&self, last_request: &SentMessage, response: F::Response) {
        assert_eq!(last_request.element(), F::Request::ELEMENT);
        let relates_to = Some(last_request.header().message_id.to_uri());
        let answer = self.post(SM_SR, &F::response_action(), relates_to, &response).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{:?}", answer.body());
        self.run().await;
    }

    /// Ends the SM-SR's last request with this base response.
    pub(crate) async fn end_with(&self, base: BaseResponse) {
        match self.last_request().element().as_str() {
            "ES3-CreateISDPRequest" => {
                self.reply::<es3::CreateIsdp>(es3::CreateIsdpResponse::only(base)).await
            }
            "ES3-SendDataRequest" => self.reply::<es3::SendData>(es3::SendDataResponse::only(base)).await,
            "ES3-EnableProfileRequest" => {
                self.reply::<es3::EnableProfile>(es3::EnableProfileResponse::only(base)).await;
            }
            "ES3-DeleteISDPRequest" => {
                self.reply::<es3::DeleteIsdp>(es3::DeleteIsdpResponse::only(base)).await;
            }
            "ES3-ProfileDownloadCompletedRequest" => {
                let response = es3::ProfileDownloadCompletedResponse::only(base);
                self.set_reply::<es3::ProfileDownloadCompleted>(response);
                self.advance_time(Duration::from_secs(60)).await;
            }
            "ES3-GetEISRequest" => {
                self.set_reply::<es3::GetEis>(es3::GetEisResponse::only(base));
                self.advance_time(Duration::from_secs(60)).await;
            }
            other => panic!("{other}"),
        }
    }

    /// Sends the regular response of the SM-SR and the card to the last request.
    pub(crate) async fn advance(&self) {
        let last_request = self.last_request();
        match last_request.element().as_str() {
            "ES3-CreateISDPRequest" => {
                let isd_p_aid = Some(Card::isd_p());
                let response = es3::CreateIsdpResponse { base: done(), isd_p_aid, euicc_response_data: None };
                self.reply::<es3::CreateIsdp>(response).await;
            }
            "ES3-SendDataRequest" => {
                let request: es3::SendDataRequest = last_request.message();
                let data = self.card.lock().unwrap().execute(&request.data.0);
                self.reply_of_card(data).await;
            }
            "ES3-GetEISRequest" => {
                self.set_eis(self.eis());
                self.advance_time(Duration::from_secs(60)).await;
            }
            _ => self.end_with(done()).await,
        }
    }

    /// Sends a card response to ES3.SendData.
    pub(crate) async fn reply_of_card(&self, data: Vec<u8>) {
        let euicc_response_data = Some(Octets(data));
        self.reply::<es3::SendData>(es3::SendDataResponse { base: done(), euicc_response_data }).await;
    }

    /// Orders the profile and advances the download until it waits for the response at this step.
    pub(crate) async fn advance_to(&self, at: Step) {
        if at == Step::Eis {
            self.remove_reply::<es3::GetEis>();
        }
        if at == Step::Completion {
            self.remove_reply::<es3::ProfileDownloadCompleted>();
        }
        self.order(
            OPERATOR,
            es2::DownloadProfileRequest { enable_profile: at == Step::Enabling, ..self.request() },
        )
        .await;
        let answered = match at {
            Step::Eis | Step::IsdP => 0,
            Step::RandomChallenge => 1,
            Step::Receipt => 2,
            Step::CardChallenge => 3,
            Step::Segments => 4,
            Step::Completion | Step::Enabling => 5,
        };
        for _ in 0..answered {
            self.advance().await;
        }
        let expected = match at {
            Step::Eis => "ES3-GetEISRequest",
            Step::IsdP => "ES3-CreateISDPRequest",
            Step::RandomChallenge | Step::Receipt | Step::CardChallenge | Step::Segments => {
                "ES3-SendDataRequest"
            }
            Step::Completion => "ES3-ProfileDownloadCompletedRequest",
            Step::Enabling => "ES3-EnableProfileRequest",
        };
        assert_eq!(self.last_request().element(), expected);
    }

    pub(crate) fn request(&self) -> es2::DownloadProfileRequest {
        es2::DownloadProfileRequest {
            base: BaseRequest { validity_period: Some(VALIDITY.as_secs()), ..BaseRequest::new("") },
            eid: self.eid(),
            smsr_id: self.id(SM_SR),
            profile_type: None,
            iccid: Some(ICCID.parse().unwrap()),
            enable_profile: false,
        }
    }

    pub(crate) async fn order(&self, from: &str, request: es2::DownloadProfileRequest) {
        let response = self.call::<es2::DownloadProfile>(from, request).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{:?}", response.body());
    }

    /// Returns the status of the only download that a peer ordered.
    pub(crate) fn download_status(&self, of: &str) -> String {
        let responses = self.sent::<es2::DownloadProfileResponse>(of);
        let [only] = responses.as_slice() else { panic!("{responses:?}") };
        short_status(&only.base.function_execution_status)
    }

    /// Builds the EIS of the card, signed by its EUM.
    pub(crate) fn eis(&self) -> Eis {
        self.eis_of(self.signed_info())
    }

    pub(crate) fn eis_of(&self, info: EumSignedInfo) -> Eis {
        let signed = Canonical::eum_signed_info(info, Namespace::V3);
        let eum = self.base.pki.credential(Role::Eum, Curve::P256).unwrap();
        Eis {
            eum_signature: eum::sign(&signed, &eum.key, Some(eum.certificate.der())),
            eum_signed_info: signed,
            remaining_memory: 600_000,
            available_memory_for_profiles: 500_000,
            last_audit_date: None,
            smsr_id: self.id(SM_SR),
            profile_info: Vec::new(),
            isd_r: None,
            audit_trail: None,
            additional_properties: None,
        }
    }

    pub(crate) fn signed_info(&self) -> EumSignedInfo {
        let eum = self.base.pki.eum(Curve::P256).unwrap();
        let eum_id = eum.registered_ids().first().cloned().unwrap_or_else(|| "2.999.5".parse().unwrap());
        EumSignedInfo {
            eid: self.eid(),
            eum_id: eum_id.clone(),
            production_date: "2026-01-01T00:00:00Z".parse().unwrap(),
            platform_type: "test".to_owned(),
            platform_version: Version([1, 0, 0]),
            isd_p_loadfile_aid: Aid::isd_p(0x0D),
            isd_p_module_aid: Aid::isd_p(0x0E),
            ecasd: SecurityDomain {
                aid: Aid(Aid::ECASD.to_vec()),
                tar: Vec::new(),
                sin: Octets(vec![1]),
                sdin: Octets(vec![2]),
                role: SdRole::Ecasd,
                keyset: vec![Keyset {
                    version: 0x74,
                    r#type: Some(KeysetType::Ca),
                    cntr: None,
                    key: Vec::new(),
                    certificate: vec![GpCertificate {
                        index: 1,
                        ca_id: eum_id,
                        value: Octets(self.base.pki.ecasd(self.eid()).unwrap().certificate.octets().to_vec()),
                    }],
                }],
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

    /// Builds the EIS entry of a profile.
    pub(crate) fn eis_entry(&self, iccid: &str, of: &str) -> ProfileInfo {
        ProfileInfo {
            iccid: iccid.parse().unwrap(),
            isd_p_aid: Card::isd_p(),
            mno_id: self.id(of),
            fallback_attribute: false,
            subscription_address: rsp::sgp02::SubscriptionAddress { imsi: None, msisdn: None },
            state: CardProfile::Disabled,
            smdp_id: Some(self.id(SM_DP)),
            profile_type: None,
            allocated_memory: 50_000,
            free_memory: None,
            pol2: Pol2::default(),
        }
    }
}

static CARD_CREDENTIAL: std::sync::OnceLock<certs::m2m::CardCredential> = std::sync::OnceLock::new();

fn authority(who: &str) -> String {
    format!("{}.example", who.to_lowercase().replace(' ', "-"))
}

fn message_id(uri: String) -> MessageId {
    MessageId { uri, transaction_id: None, context_id: None, message_date: None }
}

pub(crate) fn done() -> BaseResponse {
    BaseResponse::default()
}

pub(crate) fn failed(status: Status) -> BaseResponse {
    BaseResponse::failed(&status.because("required by the test"))
}

/// Formats a status like `FAILED 8.1/4.2`.
pub(crate) fn short_status(how: &FunctionExecutionStatus) -> String {
    match &how.status_code_data {
        Some(data) => format!("{} {}/{}", how.status, data.subject, data.reason),
        None => how.status.to_string(),
    }
}

/// Decodes the message in an HTTP response.
pub(crate) fn decode_response<M: Message>(response: &Response<Bytes>) -> M {
    let text = std::str::from_utf8(response.body()).unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{text}");
    Envelope::read(&xml::parse(text).unwrap()).unwrap().message().unwrap()
}
