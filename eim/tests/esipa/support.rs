//! An eIM with an SM-DP+, an IPA in both bindings, and a small card that verifies packages and signs
//! results. The card uses no code of `eim`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use certs::{EuiccCredentials, Pki, PkiOptions};
use coap::{BlockSize, Client, DialDatagrams, InProcess, Transmission};
use crypto::{Curve, PublicKey};
use eim::{
    Config, Credentials, Eim, NewDevice, NewOrder,
    records::{Octets, Order, OrderState, Outcome, Package, ProfileOperation},
};
use rsp::{
    der::{Asn1, Raw},
    finding::FindingKind,
    ids::{CertificateDer, Eid, Iccid, SmdpAddress, TransactionId, Version},
    sgp22::{
        Function,
        es10c::{ProfileInfo, ProfileInfoListResponse},
    },
    sgp32::{
        self, Eco, EuiccPackage, EuiccPackageRequest, EuiccPackageResult, EuiccResultData, Psmo,
        esipa::{
            self, EimPackageResult, GetEimPackageRequest, GetEimPackageResponse, HandleNotificationRequest,
            MessageFromIpa, ProvideEimPackageResultRequest, ProvideEimPackageResultResponse, Reply,
            USER_AGENT_IPAD,
        },
        ipa_data::{IpaCapabilities, IpaEuiccData, IpaEuiccDataRequest, IpaEuiccDataResponse},
        result::{
            AddEimResult, DeleteEimResult, DeleteProfileResult, DisableProfileResult, EnableProfileResult,
            EuiccPackageErrorCode, EuiccPackageErrorDataSigned, EuiccPackageErrorSigned,
            EuiccPackageErrorUnsigned, EuiccPackageResultDataSigned, EuiccPackageResultSigned, ListEimResult,
            SetFallbackAttributeResult, UpdateEimResult,
        },
        signature::signed_octets,
    },
};
use serde::Serialize;
use sm_dp::{ProfileOptions, SmDpPlus};
use sm_ds::SmDs;
use world::{Fault, Link, ManualClock, MemoryEvents, MemoryRecords, SeededRandom, World};

pub(crate) const EIM_ID: &str = "eim.landfall.example";
pub(crate) const SM_DP: &str = "smdpp.landfall.example";
/// Another name under which the eIM reaches the SM-DP+.
pub(crate) const ALIAS: &str = "alias.landfall.example";
pub(crate) const SM_DS: &str = "smds.landfall.example";
pub(crate) const ICCID: &str = "8949000000000000001";
pub(crate) const VERSION: Version = Version([2, 5, 0]);

static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::from_seed(b"eim tests", &PkiOptions::default()).unwrap());

pub(crate) fn iccid() -> Iccid {
    ICCID.parse().unwrap()
}

/// A binding of ESipa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Asn1,
    Json,
    /// ASN.1 over CoAP, in small blocks.
    Coap,
}

pub(crate) const BINDINGS: [Binding; 3] = [Binding::Asn1, Binding::Json, Binding::Coap];

/// An eIM and an SM-DP+ with their surroundings.
pub(crate) struct Testbed {
    pub(crate) clock: ManualClock,
    pub(crate) random: SeededRandom,
    pub(crate) events: MemoryEvents,
    pub(crate) pki: Pki,
    pub(crate) eim: Eim,
    /// The records of the eIM.
    pub(crate) records: Arc<MemoryRecords>,
    pub(crate) sm_dp: SmDpPlus,
    pub(crate) sm_ds: SmDs,
}

impl Testbed {
    pub(crate) fn new() -> Self {
        Self::with_sm_dp(|link| link)
    }

    /// Creates a testbed whose eIM has these settings.
    pub(crate) fn configured(configure: impl FnOnce(&mut Config)) -> Self {
        Self::build(configure, |link| link)
    }

    /// Creates a testbed in which the eIM reaches the SM-DP+ through a link that can change messages. It
    /// has two names there.
    pub(crate) fn with_sm_dp(wrap: impl FnOnce(Link) -> Link) -> Self {
        Self::build(|_| {}, wrap)
    }

    fn build(configure: impl FnOnce(&mut Config), wrap: impl FnOnce(Link) -> Link) -> Self {
        let clock = ManualClock::at("2026-11-25T08:00:00Z".parse().unwrap());
        let random = SeededRandom::from_text("eim tests");
        let events = MemoryEvents::default();
        let world = World::new(clock.clone(), random.clone());
        let pki = PKI.clone();
        let sm_dp = SmDpPlus::new(
            sm_dp::Config::new(SM_DP.parse().unwrap()),
            sm_dp::Credentials::from_pki(&pki).unwrap(),
            Arc::new(MemoryRecords::default()),
            world.clone(),
            Arc::new(events.clone()),
        );
        let names = [EIM_ID.parse().unwrap()];
        let records = Arc::<MemoryRecords>::default();
        let mut config = Config::new(EIM_ID, EIM_ID.parse().unwrap());
        configure(&mut config);
        let eim = Eim::new(
            config,
            Credentials::from_pki(&pki, EIM_ID, &names).unwrap(),
            Arc::clone(&records) as Arc<dyn world::Records>,
            world,
            Arc::new(events.clone()),
        );
        let sm_ds = SmDs::new(
            sm_ds::Config::new(SM_DS.parse().unwrap()),
            sm_ds::Credentials::from_pki(&pki).unwrap(),
            Arc::new(MemoryRecords::default()),
            World::new(clock.clone(), random.branch("SM-DS")),
            Arc::new(events.clone()),
        );
        let (link, sm_ds_link) = (wrap(sm_dp.link()), sm_ds.link());
        let peers = move |address: &SmdpAddress| -> Result<Link, Fault> {
            match address.as_str() {
                SM_DP | ALIAS => Ok(link.clone()),
                SM_DS => Ok(sm_ds_link.clone()),
                other => Err(Fault::new(format!("cannot reach {other}"), "no such host", "check the name")),
            }
        };
        let eim = eim.with_peers(Arc::new(peers));
        Self { clock, random, events, pki, eim, records, sm_dp, sm_ds }
    }

    /// True if a function of a party reported a finding of this kind.
    pub(crate) fn has_finding(&self, kind: FindingKind) -> bool {
        self.events.all().iter().any(|event| event.findings.iter().any(|finding| finding.kind == kind))
    }

    /// Returns a card that is associated with the eIM.
    pub(crate) fn card(&self) -> Card {
        let eid = self.pki.eids(Curve::P256)[0];
        let key = self.pki.eim(EIM_ID, &[EIM_ID.parse().unwrap()]).unwrap().signing[0].public_key();
        Card {
            credentials: self.pki.euicc(Curve::P256, eid).unwrap(),
            eid,
            eim_key: key,
            token: Some(1),
            counter: 0,
            sequence: 0,
            answers: Vec::new(),
        }
    }

    /// Registers a card of which the eIM knows the certificates and the token.
    pub(crate) async fn registered(&self) -> Card {
        self.registered_with(&[]).await
    }

    /// Registers a card behind an IPA with these features.
    pub(crate) async fn registered_with(&self, features: &[usize]) -> Card {
        self.registered_in(Binding::Asn1, features).await
    }

    /// Registers a card behind an IPA with this binding and these features.
    pub(crate) async fn registered_in(&self, binding: Binding, features: &[usize]) -> Card {
        let card = self.card();
        let mut device = NewDevice::new(card.eid);
        device.association_token = card.token;
        device.euicc_certificate = Some(Octets(card.credentials.euicc.certificate.der().to_vec()));
        device.eum_certificate = Some(Octets(card.credentials.eum.der().to_vec()));
        self.eim.register(&device).await.unwrap();
        // The first poll requests the data of the device.
        let ipa = self.ipa(binding);
        let GetEimPackageResponse::IpaEuiccDataRequest(request) = ipa.poll(card.eid).await else {
            panic!("the eIM does not request the data of a new device")
        };
        let data = EimPackageResult::IpaEuiccDataResponse(Box::new(card.data(&request, features)));
        assert_eq!(ipa.provide(card.eid, data).await, acknowledged(&[]));
        card
    }

    pub(crate) fn ipa(&self, binding: Binding) -> Ipa {
        let link = match binding {
            Binding::Asn1 | Binding::Json => self.eim.link(),
            Binding::Coap => self.coap_link(self.eim.link(), 256, |dial| dial),
        };
        Ipa { link, binding }
    }

    /// Returns a link to `server` over CoAP with blocks of this size. A test can wrap its associations.
    pub(crate) fn coap_link(
        &self,
        server: Link,
        block_size: usize,
        wrap: impl FnOnce(Arc<dyn DialDatagrams>) -> Arc<dyn DialDatagrams>,
    ) -> Link {
        let world = |name| World::new(self.clock.clone(), self.random.branch(name));
        let block_size = BlockSize::of(block_size).unwrap();
        let transmission = Transmission { block_size, ..Transmission::default() };
        let dial = InProcess::new(EIM_ID, server, world("CoAP server"), transmission);
        Client::new(wrap(Arc::new(dial)), EIM_ID, world("CoAP client"), transmission).link()
    }

    pub(crate) async fn order(&self, card: &Card, package: Package) -> TransactionId {
        self.eim.order(&NewOrder::new(card.eid, package)).await.unwrap()
    }

    pub(crate) async fn enable(&self, card: &Card) -> TransactionId {
        let enable = ProfileOperation::Enable { iccid: iccid(), rollback: true };
        self.order(card, Package::ProfileOperations(vec![enable])).await
    }

    pub(crate) async fn state(&self, id: &TransactionId) -> OrderState {
        self.found(id).await.state
    }

    pub(crate) async fn found(&self, id: &TransactionId) -> Order {
        self.eim.order_of(id).await.unwrap().unwrap()
    }

    pub(crate) async fn outcome(&self, id: &TransactionId) -> Outcome {
        match self.state(id).await {
            OrderState::Ended { outcome, .. } => outcome,
            state => panic!("the order has no result: {state:?}"),
        }
    }

    pub(crate) fn wait(&self, how_long: Duration) {
        self.clock.advance(how_long);
    }

    /// Adds a profile to the stock of the SM-DP+, and releases it. Returns the activation code.
    pub(crate) async fn released(&self) -> String {
        self.released_with(None).await
    }

    /// Releases a profile with a confirmation code.
    pub(crate) async fn released_with(&self, confirmation_code: Option<&str>) -> String {
        let package = sgp23::minimal_package(iccid(), "test", &[]);
        let options = ProfileOptions { profile_type: Some("test".to_owned()), ..ProfileOptions::default() };
        self.sm_dp.add_profile(&package, &options).await.unwrap();
        let mut body = serde_json::json!({ "iccid": ICCID, "matchingId": "CODE-1", "state": "Released" });
        if let Some(code) = confirmation_code {
            body["confirmationCode"] = code.into();
        }
        let mut request = http::Request::new(serde_json::to_vec(&body).unwrap().into());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = "/admin/v1/orders".parse().unwrap();
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert(http::header::CONTENT_TYPE, json);
        let response = world::send(&self.sm_dp.admin(), request).await.unwrap();
        assert!(response.status().is_success(), "{:?}", response.body());
        format!("1${SM_DP}$CODE-1")
    }
}

/// An IPA that forwards what a card signs.
pub(crate) struct Ipa {
    pub(crate) link: Link,
    pub(crate) binding: Binding,
}

impl Ipa {
    /// Calls a function in the binding of this IPA.
    pub(crate) async fn call<F>(
        &self,
        request: &F::Request,
        message: impl FnOnce(F::Request) -> MessageFromIpa,
    ) -> F::Reply
    where
        F: Function<Request: Serialize + Clone, Reply: Reply>,
    {
        let response = self.response::<F>(request, message).await;
        match self.binding {
            Binding::Json => esipa::json::answer(&response).unwrap(),
            Binding::Asn1 | Binding::Coap => esipa::asn1::answer(&response).unwrap(),
        }
    }

    /// Calls a function in the binding of this IPA, and returns the HTTP response.
    pub(crate) async fn response<F>(
        &self,
        request: &F::Request,
        message: impl FnOnce(F::Request) -> MessageFromIpa,
    ) -> http::Response<bytes::Bytes>
    where
        F: Function<Request: Serialize + Clone, Reply: Reply>,
    {
        let version = sgp32::Version::V1_2;
        self.send(match self.binding {
            Binding::Json => esipa::json::request::<F>(VERSION, USER_AGENT_IPAD, request),
            Binding::Asn1 | Binding::Coap => {
                esipa::asn1::request(VERSION, version, USER_AGENT_IPAD, &message(request.clone()))
            }
        })
        .await
    }

    async fn send(&self, request: http::Request<bytes::Bytes>) -> http::Response<bytes::Bytes> {
        world::send(&self.link, request).await.unwrap()
    }

    /// Polls for a package.
    pub(crate) async fn poll(&self, eid: Eid) -> GetEimPackageResponse {
        let request = GetEimPackageRequest {
            eid_value: eid,
            notify_state_change: None,
            state_change_cause: None,
            r_plmn: None,
        };
        self.poll_with(&request).await
    }

    pub(crate) async fn poll_with(&self, request: &GetEimPackageRequest) -> GetEimPackageResponse {
        self.call::<esipa::GetEimPackage>(request, MessageFromIpa::GetEimPackageRequest).await
    }

    /// Polls for a package of the eUICC.
    pub(crate) async fn package(&self, eid: Eid) -> Raw<EuiccPackageRequest> {
        match self.poll(eid).await {
            GetEimPackageResponse::EuiccPackageRequest(package) => package,
            other => panic!("no package for the eUICC: {other:?}"),
        }
    }

    /// Delivers a result.
    pub(crate) async fn provide(
        &self,
        eid: Eid,
        result: EimPackageResult,
    ) -> ProvideEimPackageResultResponse {
        let request = ProvideEimPackageResultRequest { eid_value: Some(eid), eim_package_result: result };
        self.call::<esipa::ProvideEimPackageResult>(&request, MessageFromIpa::ProvideEimPackageResult).await
    }

    /// Delivers the result of a package.
    pub(crate) async fn provide_result(
        &self,
        eid: Eid,
        result: EuiccPackageResult,
    ) -> ProvideEimPackageResultResponse {
        self.provide(eid, EimPackageResult::EuiccPackageResult(Box::new(Raw::new(result)))).await
    }

    /// Delivers a notification or a result with HandleNotification. Returns the HTTP status.
    pub(crate) async fn notify(&self, request: &HandleNotificationRequest) -> u16 {
        let http = match self.binding {
            Binding::Json => {
                esipa::json::request::<esipa::HandleNotification>(VERSION, USER_AGENT_IPAD, request)
            }
            Binding::Asn1 | Binding::Coap => esipa::asn1::request(
                VERSION,
                sgp32::Version::V1_2,
                USER_AGENT_IPAD,
                &MessageFromIpa::HandleNotification(request.clone()),
            ),
        };
        let response = self.send(http).await;
        // The function has no reply. Over a limit, the body is the reason.
        let is_over_limit = response.status() == http::StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(response.body().is_empty(), !is_over_limit, "{response:?}");
        response.status().as_u16()
    }
}

/// Returns the reply with these acknowledgements.
pub(crate) fn acknowledged(numbers: &[i64]) -> ProvideEimPackageResultResponse {
    use esipa::{EimAcknowledgements, EmptyResponse, SequenceNumber};
    match numbers {
        [] => ProvideEimPackageResultResponse::EmptyResponse(EmptyResponse {}),
        numbers => ProvideEimPackageResultResponse::EimAcknowledgements(EimAcknowledgements(
            numbers.iter().copied().map(SequenceNumber).collect(),
        )),
    }
}

/// An IoT eUICC with one eIM. It verifies packages, answers success to every operation, or the answers
/// that a test sets, and signs results.
pub(crate) struct Card {
    pub(crate) credentials: EuiccCredentials,
    pub(crate) eid: Eid,
    pub(crate) eim_key: PublicKey,
    pub(crate) token: Option<i64>,
    pub(crate) counter: i64,
    pub(crate) sequence: i64,
    /// Answers to the next operations, in place of success.
    pub(crate) answers: Vec<EuiccResultData>,
}

impl Card {
    /// Returns the card as an eUICC of SGP.22, for downloads.
    pub(crate) fn sgp22(&self, testbed: &Testbed) -> sgp23::euicc::Euicc {
        sgp23::euicc::Euicc::new(self.credentials.clone(), testbed.random.branch("card")).unwrap()
    }

    /// Executes a package: SGP.32 section 3.3.1.
    pub(crate) fn execute(&mut self, package: &EuiccPackageRequest) -> EuiccPackageResult {
        let signed = &package.euicc_package_signed;
        let signature = crypto::Signature::from_slice(&package.eim_signature).unwrap();
        if self.eim_key.verify(&package.signed_octets(self.token), &signature).is_err() {
            return EuiccPackageResult::EuiccPackageErrorUnsigned(EuiccPackageErrorUnsigned {
                eim_id: signed.eim_id.clone(),
                eim_transaction_id: signed.eim_transaction_id.clone(),
                association_token: self.token,
                ..unsigned_error()
            });
        }
        if signed.eid_value != self.eid {
            return self.refuse(package, EuiccPackageErrorCode::INVALID_EID);
        }
        if signed.counter_value <= self.counter {
            return self.refuse(package, EuiccPackageErrorCode::REPLAY_ERROR);
        }
        self.counter = signed.counter_value;
        self.sequence += 1;
        let results: Vec<EuiccResultData> = match &signed.euicc_package {
            EuiccPackage::PsmoList(list) => {
                list.iter().map(|operation| self.answer(|| of_psmo(&operation.decode().unwrap()))).collect()
            }
            EuiccPackage::EcoList(list) => {
                list.iter().map(|operation| self.answer(|| of_eco(&operation.decode().unwrap()))).collect()
            }
        };
        self.sign(EuiccPackageResultDataSigned {
            eim_id: signed.eim_id.clone(),
            counter_value: signed.counter_value,
            eim_transaction_id: signed.eim_transaction_id.clone(),
            seq_number: self.sequence,
            euicc_result: results.into_iter().map(|result| Raw::new(result).into()).collect(),
        })
    }

    fn answer(&self, otherwise: impl FnOnce() -> EuiccResultData) -> EuiccResultData {
        self.answers.first().cloned().unwrap_or_else(otherwise)
    }

    pub(crate) fn sign(&self, data: EuiccPackageResultDataSigned) -> EuiccPackageResult {
        let data = Raw::new(data);
        let signature = self.credentials.euicc.key.sign(&signed_octets(data.bytes(), self.token));
        EuiccPackageResult::EuiccPackageResultSigned(EuiccPackageResultSigned {
            euicc_package_result_data_signed: data,
            euicc_sign_epr: signature.as_bytes().to_vec(),
        })
    }

    pub(crate) fn refuse(
        &self,
        package: &EuiccPackageRequest,
        code: EuiccPackageErrorCode,
    ) -> EuiccPackageResult {
        let signed = &package.euicc_package_signed;
        let data = Raw::new(EuiccPackageErrorDataSigned {
            eim_id: signed.eim_id.clone(),
            counter_value: signed.counter_value,
            eim_transaction_id: signed.eim_transaction_id.clone(),
            euicc_package_error_code: code,
        });
        let signature = self.credentials.euicc.key.sign(&signed_octets(data.bytes(), self.token));
        EuiccPackageResult::EuiccPackageErrorSigned(EuiccPackageErrorSigned {
            euicc_package_error_data_signed: data,
            euicc_sign_epe: signature.as_bytes().to_vec(),
        })
    }

    /// Answers a request for data, as the IPA does. `features` are those of the IPA.
    pub(crate) fn data(&self, request: &IpaEuiccDataRequest, features: &[usize]) -> IpaEuiccDataResponse {
        let euicc =
            sgp23::euicc::Euicc::new(self.credentials.clone(), SeededRandom::from_text("info")).unwrap();
        let der = |certificate: &certs::Certificate| Some(CertificateDer(certificate.der().to_vec()));
        IpaEuiccDataResponse::IpaEuiccData(Box::new(IpaEuiccData {
            default_smdp_address: Some(SM_DP.to_owned()),
            euicc_info1: Some(Raw::new(euicc.initiation(SM_DP).euicc_info1)),
            euicc_info2: Some(Raw::new(euicc.info2.clone())),
            association_token: self.token,
            eum_certificate: der(&self.credentials.eum),
            euicc_certificate: der(&self.credentials.euicc.certificate),
            eim_transaction_id: request.eim_transaction_id.clone(),
            ipa_capabilities: Some(IpaCapabilities {
                ipa_features: rsp::der::BitString::of(features),
                ..IpaCapabilities::default()
            }),
            device_info: Some(rsp::sgp22::DeviceInfo {
                tac: [0x35, 0x29, 0x06, 0x11],
                device_capabilities: rsp::sgp22::DeviceCapabilities::default(),
                imei: None,
            }),
            ..IpaEuiccData::default()
        }))
    }
}

/// An unsigned error without elements.
fn unsigned_error() -> EuiccPackageErrorUnsigned {
    EuiccPackageErrorUnsigned::from_der(&[0x30, 3, 0x80, 1, b'x']).unwrap()
}

fn of_psmo(operation: &Psmo) -> EuiccResultData {
    match operation {
        Psmo::Enable(_) => EuiccResultData::EnableResult(EnableProfileResult::OK),
        Psmo::Disable(_) => EuiccResultData::DisableResult(DisableProfileResult::OK),
        Psmo::Delete(_) => EuiccResultData::DeleteResult(DeleteProfileResult::OK),
        Psmo::SetFallbackAttribute(_) => {
            EuiccResultData::SetFallbackAttributeResult(SetFallbackAttributeResult::OK)
        }
        Psmo::ListProfileInfo(_) => {
            let profile = ProfileInfo { iccid: Some(iccid()), ..ProfileInfo::default() };
            EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListOk(
                [profile].into_iter().collect(),
            ))
        }
        other => panic!("this card does not know {other:?}"),
    }
}

fn of_eco(operation: &Eco) -> EuiccResultData {
    match operation {
        Eco::AddEim(_) => EuiccResultData::AddEimResult(AddEimResult::AssociationToken(2)),
        Eco::DeleteEim(_) => EuiccResultData::DeleteEimResult(DeleteEimResult::OK),
        Eco::UpdateEim(_) => EuiccResultData::UpdateEimResult(UpdateEimResult::OK),
        Eco::ListEim(_) => {
            EuiccResultData::ListEimResult(ListEimResult::EimIdList(Vec::new().into_iter().collect()))
        }
    }
}
