//! Live sessions of SGP.32: a scripted IPA with an IoT card polls an eIM, executes packages, and
//! downloads a profile through the eIM. One message is mutated on its way: between IPA and eIM (ESipa, in
//! both bindings, or TransferEimPackage), or between eIM and SM-DP+ (ES9+').
//!
//! Every party must answer or refuse, no order may end with a result that the eUICC has not signed, and an
//! honest package afterwards must be executed.

use std::sync::{Arc, Mutex, PoisonError};

use ::testbed::Testbed;
use bytes::Bytes;
use eim::records::{
    Download, DownloadSource, EimOperation, Octets, Order, OrderState, Outcome, Package, ProfileOperation,
};
use eim::{Config, Credentials, Eim, NewDevice, NewOrder};
use fuzz::iot::{EIM_ID, EUICC, IotCard};
use http::{Request, Response};
use rsp::activation_code::ActivationCode;
use rsp::der::{Asn1, BitString, Null, Raw};
use rsp::ids::{CertificateDer, SmdpAddress, TransactionId, Version};
use rsp::sgp22::es8plus::{ProfileInstallationResult, store_data_segments};
use rsp::sgp22::es10b::{
    AuthenticateServerRequest, GetEuiccChallengeRequest, GetEuiccChallengeResponse, GetEuiccInfo1Request,
    GetEuiccInfo2Request, PrepareDownloadRequest,
};
use rsp::sgp22::es10c::ProfileInfoListResponse;
use rsp::sgp22::{CtxParams1, DeviceCapabilities, DeviceInfo, Function};
use rsp::sgp32::es10b::{
    Certs, GetCertsRequest, GetCertsResponse, GetEimConfigurationDataRequest,
    GetEimConfigurationDataResponse, NotificationSearch, NotificationSentRequest,
    RetrieveNotificationsListRequest, RetrieveNotificationsListResponse,
};
use rsp::sgp32::esipa::*;
use rsp::sgp32::ipa_data::{
    IpaCapabilities, IpaEuiccData, IpaEuiccDataRequest, IpaEuiccDataResponse, ProfileDownloadTriggerRequest,
    ipa_features,
};
use rsp::sgp32::notification::{PendingNotification, PendingNotificationList};
use rsp::sgp32::{self, EuiccPackageResult, EuiccResultData, compact};
use serde::Serialize;
use sm_dp::{ProfileOptions, SmDpPlus};
use world::{Fault, Link, LinkFault, MemoryRecords, NullEvents, link_from};

use crate::interference::{Interference, interfered};
use crate::run::{Round, Run};

const SM_DP: &str = "smdp.example.com";

/// The number of messages among which one is mutated: those of a session without interference.
const MESSAGES: usize = 32;

/// Maximum polls of one session. An eIM that always has another package has failed.
const MAX_POLLS: usize = 16;

/// Attempts of the honest package. The first can repair what the mutation left behind: the eIM requests
/// the data of the device again.
const ATTEMPTS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Binding {
    Asn1,
    Json,
}

#[test]
fn an_iot_session_with_a_mutated_message_ends_and_the_next_package_is_executed() {
    let mut run =
        Run::of("an_iot_session_with_a_mutated_message_ends_and_the_next_package_is_executed", 20, 100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let (mut rounds, mut downloads) = (0, 0);
    while let Some(mut round) = run.round() {
        rounds += 1;
        let number = round.random.number(MESSAGES);
        let interference = Interference::new(&EUICC.pki, &round.random, number);
        downloads += usize::from(session(&mut round, &runtime, &interference));
    }
    println!("{downloads} of {rounds} downloads with a mutated message succeeded");
    run.end();
}

/// Returns true if the profile was installed in spite of the mutated message.
fn session(round: &mut Round, runtime: &tokio::runtime::Runtime, interference: &Arc<Interference>) -> bool {
    let seed = format!("iot session {}", round.number);
    let binding = *round.random.pick(&[Binding::Asn1, Binding::Json]);
    let is_pushed = round.random.chance(20);
    let what = format!("message {} is mutated, {binding:?}, pushed: {is_pushed}", interference.number());
    round.step(what, || {
        runtime.block_on(async {
            let (mut ipa, eim, sm_dp) = parties(&seed, binding, interference).await;
            let orders = place_orders(&seed, &eim, sm_dp).await;
            if is_pushed {
                let link = listening(ipa.clone(), Arc::clone(interference));
                for _ in 0..MAX_POLLS {
                    let transferred = eim.transfer(EUICC.eid(), &link).await;
                    if !matches!(transferred, Ok(eim::Transferred::Done)) {
                        break;
                    }
                }
            }
            ipa.run().await;
            interference.end();
            for id in &orders {
                check_order(&eim, id).await;
            }
            // The eUICC may have deleted the eIM, or have another counter.
            let is_required = !interference.has_signed_for_eim();
            let is_done = honest(&mut ipa, &eim).await;
            assert!(is_done || !is_required, "an honest package is not executed");
            let waiting = eim.waiting_notifications().await.unwrap().len();
            assert!(waiting <= eim::config::MAX_NOTIFICATIONS, "{waiting} notifications wait");
            let profiles = ipa.card().check();
            assert!(profiles.len() <= EUICC.iccids.len() + 1, "{profiles:?}");
            profiles.len() > EUICC.iccids.len()
        })
    })
}

/// Creates an eIM that knows the device, an SM-DP+, and an IPA with the card.
async fn parties(seed: &str, binding: Binding, interference: &Arc<Interference>) -> (Ipa, Eim, SmDpPlus) {
    let testbed = Testbed::with_pki(Arc::clone(&EUICC.pki), seed);
    let sm_dp = testbed.sm_dp_plus(SM_DP).unwrap();
    let to_sm_dp = interfered(sm_dp.link(), Arc::clone(interference));
    let peers = move |address: &SmdpAddress| match address.as_str() {
        SM_DP => Ok(to_sm_dp.clone()),
        other => Err(Fault::new(format!("cannot reach {other}"), "there is no such server", "-")),
    };
    let names = [EIM_ID.parse().unwrap()];
    let eim = Eim::new(
        Config::new(EIM_ID, EIM_ID.parse().unwrap()),
        Credentials::from_pki(&EUICC.pki, EIM_ID, &names).unwrap(),
        Arc::new(MemoryRecords::default()),
        testbed.world("eIM"),
        Arc::new(NullEvents),
    )
    .with_peers(Arc::new(peers));
    eim.register(&NewDevice::new(EUICC.eid())).await.unwrap();
    let link = interfered(eim.link(), Arc::clone(interference));
    let card = Arc::new(Mutex::new(EUICC.card().unwrap()));
    (Ipa { link, card, binding }, eim, sm_dp)
}

/// Orders a switch, a list of eIMs, and a download through the eIM.
async fn place_orders(seed: &str, eim: &Eim, sm_dp: SmDpPlus) -> Vec<TransactionId> {
    let testbed = Testbed::with_pki(Arc::clone(&EUICC.pki), seed);
    let package = ::testbed::subscription::own_package("724-99", 3, "Session").unwrap();
    let iccid = sm_dp.add_profile(&package, &ProfileOptions::default()).await.unwrap();
    let operator = testbed.operator(sm_dp.link()).unwrap();
    let code = operator.order(iccid, Some(EUICC.eid()), SM_DP.parse().unwrap()).await.unwrap();
    let enable = ProfileOperation::Enable { iccid: EUICC.iccids[0], rollback: true };
    let download = Download {
        source: DownloadSource::ActivationCode(code.to_string()),
        kept_by_eim: false,
        iccid: Some(iccid),
        policy_rules_allowed: false,
    };
    let mut orders = Vec::new();
    for package in [
        Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}, enable]),
        Package::EimOperations(vec![EimOperation::ListEim {}]),
        Package::Download(download),
    ] {
        orders.push(eim.order(&NewOrder::new(EUICC.eid(), package)).await.unwrap());
    }
    orders
}

/// Orders the list of profiles until it was executed. Returns false if it never was.
async fn honest(ipa: &mut Ipa, eim: &Eim) -> bool {
    for _ in 0..ATTEMPTS {
        let package = Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}]);
        let id = eim.order(&NewOrder::new(EUICC.eid(), package)).await.unwrap();
        ipa.card().select();
        ipa.run().await;
        let order = check_order(eim, &id).await;
        let OrderState::Ended { outcome: Outcome::EuiccPackage(Octets(octets)), .. } = order.state else {
            continue;
        };
        let Ok(EuiccPackageResult::EuiccPackageResultSigned(result)) = EuiccPackageResult::from_der(&octets)
        else {
            continue;
        };
        let results = &result.euicc_package_result_data_signed.euicc_result;
        let listed = results.first().and_then(|result| result.decode().ok()).map(Raw::into_value);
        if let Some(EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListOk(_))) =
            listed
        {
            return true;
        }
    }
    false
}

/// Checks that the order has no result that the eUICC has not signed. Returns the order.
async fn check_order(eim: &Eim, id: &TransactionId) -> Order {
    let order = eim.order_of(id).await.unwrap().unwrap();
    if let OrderState::Ended { outcome: Outcome::EuiccPackage(octets), delivery, .. } = &order.state {
        let result = EuiccPackageResult::from_der(&octets.0).unwrap();
        let token = delivery.as_ref().and_then(|delivery| delivery.token);
        assert!(EUICC.has_signed(&result, token), "the eUICC has not signed {result:?}");
    }
    order
}

/// A scripted IPA. It ends a session at the first message that it cannot use.
#[derive(Clone)]
struct Ipa {
    link: Link,
    card: Arc<Mutex<IotCard>>,
    binding: Binding,
}

impl Ipa {
    fn card(&self) -> std::sync::MutexGuard<'_, IotCard> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls until there is no package.
    async fn run(&mut self) {
        for _ in 0..MAX_POLLS {
            let poll = GetEimPackageRequest {
                eid_value: EUICC.eid(),
                notify_state_change: None,
                state_change_cause: None,
                r_plmn: None,
            };
            let package = self.call::<GetEimPackage>(poll, MessageFromIpa::GetEimPackageRequest).await;
            let result = match package {
                Some(GetEimPackageResponse::EuiccPackageRequest(package)) => self.execute(package.bytes()),
                Some(GetEimPackageResponse::IpaEuiccDataRequest(request)) => {
                    EimPackageResult::IpaEuiccDataResponse(Box::new(self.data(&request)))
                }
                Some(GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger)) => {
                    if self.download(&trigger).await.is_none() {
                        self.refusal(trigger.eim_transaction_id)
                    } else {
                        continue;
                    }
                }
                Some(GetEimPackageResponse::EimPackageError(_)) => return,
                None => continue,
            };
            self.provide(result).await;
        }
    }

    fn refusal(&self, eim_transaction_id: Option<TransactionId>) -> EimPackageResult {
        EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
            eim_transaction_id,
            eim_package_result_error_code: EimPackageResultErrorCode::UNDEFINED_ERROR,
        })
    }

    /// Executes a package on the card, and adds the pending notifications.
    fn execute(&self, package: &[u8]) -> EimPackageResult {
        let mut card = self.card();
        let result = card.es10(package).and_then(|result| Raw::from_der(&result).ok());
        let Some(euicc_package_result) = result else {
            return self.refusal(None);
        };
        card.select();
        let request = RetrieveNotificationsListRequest { search_criteria: None };
        match card.call(&request) {
            Some(RetrieveNotificationsListResponse::NotificationList(list)) if !list.is_empty() => {
                EimPackageResult::EprAndNotifications(Box::new(EprAndNotifications {
                    euicc_package_result,
                    notification_list: PendingNotificationList(list),
                }))
            }
            _ => EimPackageResult::EuiccPackageResult(Box::new(euicc_package_result)),
        }
    }

    /// Answers a request for data: SGP.32 section 2.11.2.2.
    fn data(&self, request: &IpaEuiccDataRequest) -> IpaEuiccDataResponse {
        let mut card = self.card();
        let certs = match card.call(&GetCertsRequest { euicc_ci_pk_id: None }) {
            Some(GetCertsResponse::Certs(Certs { eum_certificate, euicc_certificate })) => {
                Some((eum_certificate, euicc_certificate))
            }
            _ => None,
        };
        let (eum_certificate, euicc_certificate): (Option<CertificateDer>, _) = certs.unzip();
        let eims: Option<GetEimConfigurationDataResponse> =
            card.call(&GetEimConfigurationDataRequest { search_criteria: None });
        let eims = eims.map(|eims| eims.eim_configuration_data_list.0).unwrap_or_default();
        let results = RetrieveNotificationsListRequest {
            search_criteria: Some(NotificationSearch::EuiccPackageResults(Null)),
        };
        let results = match card.call(&results) {
            Some(RetrieveNotificationsListResponse::EuiccPackageResultList(results)) => Some(results),
            _ => None,
        };
        IpaEuiccDataResponse::IpaEuiccData(Box::new(IpaEuiccData {
            euicc_package_result_list: results,
            euicc_info1: card.call(&GetEuiccInfo1Request {}),
            euicc_info2: card.call(&GetEuiccInfo2Request {}),
            association_token: eims
                .iter()
                .find(|eim| eim.eim_id == EIM_ID)
                .and_then(|it| it.association_token),
            eum_certificate,
            euicc_certificate,
            eim_transaction_id: request.eim_transaction_id.clone(),
            ipa_capabilities: Some(IpaCapabilities {
                ipa_features: BitString::of(&[ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION]),
                ..IpaCapabilities::default()
            }),
            ..IpaEuiccData::default()
        }))
    }

    /// Delivers a result, and removes what the eIM acknowledges.
    async fn provide(&self, eim_package_result: EimPackageResult) {
        let request = ProvideEimPackageResultRequest { eid_value: Some(EUICC.eid()), eim_package_result };
        let answer =
            self.call::<ProvideEimPackageResult>(request, MessageFromIpa::ProvideEimPackageResult).await;
        if let Some(ProvideEimPackageResultResponse::EimAcknowledgements(numbers)) = answer {
            self.remove(&numbers);
        }
    }

    fn remove(&self, numbers: &EimAcknowledgements) {
        for number in &numbers.0 {
            self.card().es10(&NotificationSentRequest { seq_number: number.0 }.to_der());
        }
    }

    /// Downloads a profile through the eIM: SGP.32 section 3.2.3.2. Returns `None` if a party refuses.
    async fn download(&self, trigger: &ProfileDownloadTriggerRequest) -> Option<()> {
        let Some(sgp32::ipa_data::ProfileDownloadData::ActivationCode(code)) = &trigger.profile_download_data
        else {
            return None;
        };
        let code: ActivationCode = code.parse().ok()?;
        let challenge: GetEuiccChallengeResponse = self.card().call(&GetEuiccChallengeRequest {})?;
        let initiation = InitiateAuthenticationRequest {
            euicc_challenge: challenge.euicc_challenge,
            smdp_address: Some(code.smdp_address.to_string()),
            euicc_info1: self.card().call(&GetEuiccInfo1Request {}),
            eim_transaction_id: trigger.eim_transaction_id.clone(),
        };
        let wrap = MessageFromIpa::InitiateAuthenticationRequest;
        let initiated = self.call::<InitiateAuthentication>(initiation, wrap).await?;
        let InitiateAuthenticationResponse::Ok(ok) = initiated else { return None };
        let device_info = DeviceInfo {
            tac: [0x35, 0x29, 0x06, 0x11],
            device_capabilities: DeviceCapabilities::default(),
            imei: None,
        };
        let matching_id = Some(code.matching_id.clone());
        let transaction_id = ok.server_signed1.transaction_id.clone();
        let authenticated = self.card().call(&AuthenticateServerRequest {
            server_signed1: ok.server_signed1,
            server_signature1: ok.server_signature1,
            euicc_ci_pk_id_to_be_used: ok.euicc_ci_pk_identifier_to_be_used,
            server_certificate: ok.server_certificate,
            ctx_params1: Raw::new(CtxParams1::download(matching_id, device_info)),
        })?;
        let request = AuthenticateClientRequest {
            transaction_id: transaction_id.clone(),
            authenticate_server_response: authenticated,
        };
        let wrap = MessageFromIpa::AuthenticateClientRequest;
        let authenticated = self.call::<AuthenticateClient>(request, wrap).await?;
        let AuthenticateClientResponse::OkDp(ok) = authenticated else { return None };
        let prepared: compact::PrepareDownloadResponse = self.card().call(&PrepareDownloadRequest {
            smdp_signed2: ok.smdp_signed2,
            smdp_signature2: ok.smdp_signature2,
            hash_cc: ok.hash_cc,
            smdp_certificate: ok.smdp_certificate,
        })?;
        let request = GetBoundProfilePackageRequest { transaction_id, prepare_download_response: prepared };
        let wrap = MessageFromIpa::GetBoundProfilePackageRequest;
        let bound = self.call::<GetBoundProfilePackage>(request, wrap).await?;
        let GetBoundProfilePackageResponse::Ok(bound) = bound else { return None };
        let installed = self.load(&bound.bound_profile_package.0)?;
        let number = installed.profile_installation_result_data.notification_metadata.seq_number;
        let notification = PendingNotification::ProfileInstallationResult(installed.into_value());
        let request = HandleNotificationRequest::PendingNotification(Box::new(Raw::new(notification)));
        let response = match self.binding {
            Binding::Json => json::request::<HandleNotification>(VERSION, USER_AGENT_IPAD, &request),
            Binding::Asn1 => asn1::request(
                VERSION,
                sgp32::Version::V1_2,
                USER_AGENT_IPAD,
                &MessageFromIpa::HandleNotification(request),
            ),
        };
        let response = world::send(&self.link, response).await.ok()?;
        if response.status().is_success() {
            self.remove(&EimAcknowledgements(vec![SequenceNumber(number)]));
        }
        Some(())
    }

    /// Loads a package, and returns the result of its installation.
    fn load(&self, bound: &[u8]) -> Option<Raw<ProfileInstallationResult>> {
        let mut card = self.card();
        for segment in store_data_segments(bound).ok()? {
            let answer = card.es10(&segment)?;
            if !answer.is_empty() {
                return Raw::from_der(&answer).ok();
            }
        }
        None
    }

    /// Calls a function of the eIM. Returns `None` for a response that is not one of the function.
    async fn call<F>(
        &self,
        request: F::Request,
        message: impl FnOnce(F::Request) -> MessageFromIpa,
    ) -> Option<F::Reply>
    where
        F: Function<Request: Serialize, Reply: Reply>,
    {
        match self.binding {
            Binding::Json => {
                let http = json::request::<F>(VERSION, USER_AGENT_IPAD, &request);
                json::answer(&world::send(&self.link, http).await.ok()?).ok()
            }
            Binding::Asn1 => {
                let message = message(request);
                let http = asn1::request(VERSION, sgp32::Version::V1_2, USER_AGENT_IPAD, &message);
                asn1::answer(&world::send(&self.link, http).await.ok()?).ok()
            }
        }
    }
}

/// The version in the headers.
const VERSION: Version = Version([2, 5, 0]);

/// Returns a link to an IPA that the eIM calls with TransferEimPackage.
fn listening(ipa: Ipa, interference: Arc<Interference>) -> Link {
    let served = link_from(tower::service_fn(move |request: Request<Bytes>| {
        let ipa = ipa.clone();
        async move {
            let received = TransferEimPackageResponse::EimPackageReceived(Null);
            let response = match TransferEimPackageRequest::from_peer(request.body()) {
                Ok(TransferEimPackageRequest::EuiccPackageRequest(package)) => {
                    match ipa.execute(package.bytes()) {
                        EimPackageResult::EuiccPackageResult(result) => {
                            TransferEimPackageResponse::EuiccPackageResult(result)
                        }
                        EimPackageResult::EprAndNotifications(both) => {
                            TransferEimPackageResponse::EprAndNotifications(both)
                        }
                        _ => TransferEimPackageResponse::EimPackageError(
                            EimPackageResultErrorCode::UNDEFINED_ERROR,
                        ),
                    }
                }
                Ok(TransferEimPackageRequest::IpaEuiccDataRequest(request)) => {
                    TransferEimPackageResponse::IpaEuiccDataResponse(Box::new(ipa.data(&request)))
                }
                Ok(TransferEimPackageRequest::EimAcknowledgements(numbers)) => {
                    ipa.remove(&numbers);
                    received
                }
                _ => received,
            };
            Ok::<_, LinkFault>(Response::new(Bytes::from(response.to_der())))
        }
    }));
    interfered(served, interference)
}
