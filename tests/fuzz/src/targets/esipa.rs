//! ESipa: messages in both bindings, and requests to an eIM with a device and its orders. JSON is sent to
//! each function, and anything else to the path of the ASN.1 binding.
//!
//! The eIM must answer each request in the form of the binding. An order may end only with a result that
//! the eUICC signed, or with an error.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use eim::records::{Octets, OrderState, Outcome, Package, ProfileOperation};
use eim::{Config, Credentials, Eim, NewDevice, NewOrder};
use http::{Request, Response, StatusCode, header};
use rsp::der::{Asn1, Raw};
use rsp::ids::{CertificateDer, SmdpAddress, TransactionId};
use rsp::sgp22::{Function, NotificationMetadata, OtherSignedNotification};
use rsp::sgp32::esipa::{
    self, CancelSessionRequest, EimPackageResult, EimPackageResultErrorCode, EimPackageResultResponseError,
    EprAndNotifications, GetEimPackageRequest, GetEimPackageResponse, HandleNotificationRequest,
    InitiateAuthenticationRequest, MessageFromEim, MessageFromIpa, ProvideEimPackageResultRequest,
    TransferEimPackageRequest, TransferEimPackageResponse, asn1, json,
};
use rsp::sgp32::ipa_data::{IpaCapabilities, IpaEuiccData, IpaEuiccDataResponse};
use rsp::sgp32::notification::PendingNotificationList;
use rsp::sgp32::{EuiccPackageRequest, EuiccPackageResult, PendingNotification, StateChangeCause};
use rsp::time::Timestamp;
use serde::Serialize;
use tokio::runtime::Runtime;
use world::{Fault, Link, ManualClock, MemoryRecords, NullEvents, SeededRandom, World};

use super::json::stable as stable_json;
use crate::iot::{EIM_ID, EUICC, TOKEN};

/// Maximum notifications that wait after one input: those that one request can contain.
const MOST_NOTIFICATIONS: usize = eim::config::MAX_NOTIFICATIONS;

/// An eIM with one device. Its certificates are known, one order is delivered, and one waits.
struct Prepared {
    runtime: Runtime,
    records: MemoryRecords,
    delivered: TransactionId,
    queued: TransactionId,
    package: Raw<EuiccPackageRequest>,
}

static PREPARED: LazyLock<Prepared> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let records = MemoryRecords::default();
    let eim = eim(records.clone());
    let (delivered, queued, package) = runtime.block_on(async {
        let mut device = NewDevice::new(EUICC.eid());
        device.association_token = Some(TOKEN);
        device.euicc_certificate = Some(Octets(EUICC.credentials.euicc.certificate.der().to_vec()));
        device.eum_certificate = Some(Octets(EUICC.credentials.eum.der().to_vec()));
        eim.register(&device).await.expect("the device is registered");
        let data = poll(&eim).await;
        let GetEimPackageResponse::IpaEuiccDataRequest(request) = data else { panic!("{data:?}") };
        let answer = provided(EimPackageResult::IpaEuiccDataResponse(Box::new(
            IpaEuiccDataResponse::IpaEuiccData(Box::new(IpaEuiccData {
                eim_transaction_id: request.eim_transaction_id,
                ..IpaEuiccData::default()
            })),
        )));
        eim.handle(asn1_request(&MessageFromIpa::ProvideEimPackageResult(answer).to_der())).await;
        let [first, second] = EUICC.iccids;
        let mut orders = Vec::new();
        for iccid in [first, second] {
            let enable = ProfileOperation::Enable { iccid, rollback: true };
            let package = Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}, enable]);
            let order = eim.order(&NewOrder::new(EUICC.eid(), package)).await;
            orders.push(order.expect("the order is placed"));
        }
        let package = poll(&eim).await;
        let GetEimPackageResponse::EuiccPackageRequest(package) = package else { panic!("{package:?}") };
        let queued = orders.pop().expect("two orders");
        (orders.pop().expect("one order"), queued, package)
    });
    Prepared { runtime, records, delivered, queued, package }
});

fn eim(records: MemoryRecords) -> Eim {
    let address: SmdpAddress = EIM_ID.parse().expect("an address");
    let names = [EIM_ID.parse().expect("a name")];
    let credentials = Credentials::from_pki(&EUICC.pki, EIM_ID, &names).expect("the keys of the eIM");
    let clock = ManualClock::at(Timestamp(1_795_248_000_000));
    let world = World::new(clock, SeededRandom::from_text("eIM"));
    let config = Config::new(EIM_ID, address);
    let nobody = |address: &SmdpAddress| -> Result<Link, Fault> {
        Err(Fault::new(format!("cannot reach {address}"), "there is no peer", "-"))
    };
    Eim::new(config, credentials, Arc::new(records), world, Arc::new(NullEvents)).with_peers(Arc::new(nobody))
}

async fn poll(eim: &Eim) -> GetEimPackageResponse {
    let request = MessageFromIpa::GetEimPackageRequest(polling());
    let response = eim.handle(asn1_request(&request.to_der())).await;
    asn1::answer(&response).expect("the eIM answers a poll")
}

fn polling() -> GetEimPackageRequest {
    GetEimPackageRequest {
        eid_value: EUICC.eid(),
        notify_state_change: None,
        state_change_cause: None,
        r_plmn: None,
    }
}

fn provided(eim_package_result: EimPackageResult) -> ProvideEimPackageResultRequest {
    ProvideEimPackageResultRequest { eid_value: Some(EUICC.eid()), eim_package_result }
}

fn asn1_request(body: &[u8]) -> Request<Bytes> {
    http_request(asn1::PATH.to_owned(), asn1::CONTENT_TYPE, body)
}

fn http_request(path: String, content_type: &'static str, body: &[u8]) -> Request<Bytes> {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, content_type)
        .header("x-admin-protocol", "gsma/rsp/v2.5.0")
        .header(header::USER_AGENT, esipa::USER_AGENT_IPAD);
    request.body(Bytes::copy_from_slice(body)).expect("a request")
}

pub(crate) fn run(octets: &[u8]) -> bool {
    let read = match octets.first() {
        Some(b'{') => read_json(octets),
        _ => read_der(octets),
    };
    let eim = eim(PREPARED.records.copied());
    let is_accepted = PREPARED.runtime.block_on(async {
        let mut is_accepted = false;
        if octets.first() == Some(&b'{') {
            for path in [
                esipa::InitiateAuthentication::path(),
                esipa::AuthenticateClient::path(),
                esipa::GetBoundProfilePackage::path(),
                esipa::CancelSession::path(),
                esipa::HandleNotification::path(),
                esipa::GetEimPackage::path(),
                esipa::ProvideEimPackageResult::path(),
            ] {
                let response = eim.handle(http_request(path, json::CONTENT_TYPE, octets)).await;
                is_accepted |= check_json(&response);
            }
        } else {
            is_accepted |= check_asn1(&eim.handle(asn1_request(octets)).await);
        }
        for id in [&PREPARED.delivered, &PREPARED.queued] {
            check_order(&eim, id).await;
        }
        let waiting = eim.waiting_notifications().await.expect("the records are readable").len();
        assert!(waiting <= MOST_NOTIFICATIONS, "{waiting} notifications wait");
        is_accepted
    });
    read || is_accepted
}

fn check_status(response: &Response<Bytes>) {
    let defined = [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::BAD_REQUEST];
    assert!(defined.contains(&response.status()), "HTTP {}: {:?}", response.status(), response.body());
    assert!(response.status() == StatusCode::OK || response.body().is_empty(), "{:?}", response.body());
}

/// Returns true for a response that is not an HTTP error.
fn check_asn1(response: &Response<Bytes>) -> bool {
    check_status(response);
    if response.status() == StatusCode::OK {
        let body = response.body();
        let message = MessageFromEim::from_der(body).unwrap_or_else(|why| panic!("{why}: {body:?}"));
        assert_eq!(message.to_der(), *body);
    }
    response.status() != StatusCode::BAD_REQUEST
}

/// Returns true for a response that reports success.
fn check_json(response: &Response<Bytes>) -> bool {
    check_status(response);
    if response.status() != StatusCode::OK {
        return response.status() == StatusCode::NO_CONTENT;
    }
    let body: serde_json::Value = serde_json::from_slice(response.body()).expect("the body is JSON");
    match body.pointer("/header/functionExecutionStatus/status").and_then(serde_json::Value::as_str) {
        Some("Executed-Success") => true,
        Some("Failed") => false,
        other => panic!("the status {other:?}: {body}"),
    }
}

/// An order ends with what the eUICC signed for it, with an error that nobody signs, or not at all.
async fn check_order(eim: &Eim, id: &TransactionId) {
    let order = eim.order_of(id).await.expect("the records are readable").expect("the order exists");
    let OrderState::Ended { outcome, delivery, .. } = order.state else { return };
    match outcome {
        Outcome::EuiccPackage(octets) => {
            let result = EuiccPackageResult::from_der(&octets.0).expect("the result is decodable");
            let token = delivery.and_then(|delivery| delivery.token);
            assert!(EUICC.has_signed(&result, token), "the eUICC has not signed {result:?}");
        }
        Outcome::RefusedByIpa(_) => {}
        other => panic!("a package of the eUICC ends with {other:?}"),
    }
}

fn read_der(octets: &[u8]) -> bool {
    let read = [
        stable::<MessageFromIpa>(octets),
        stable::<MessageFromEim>(octets),
        stable::<TransferEimPackageRequest>(octets),
        stable::<TransferEimPackageResponse>(octets),
        stable::<PendingNotification>(octets),
    ];
    read.contains(&true)
}

/// Decodes a value, and checks that its encoding is decoded to the same value.
fn stable<T: Asn1 + PartialEq + Debug>(octets: &[u8]) -> bool {
    let Ok(value) = T::from_der(octets) else { return false };
    assert_eq!(T::from_der(&value.to_der()).as_ref(), Ok(&value), "decoded again");
    true
}

fn read_json(octets: &[u8]) -> bool {
    let read = [
        stable_json::<esipa::InitiateAuthenticationOk>(octets),
        stable_json::<esipa::AuthenticateClientOkDp>(octets),
        stable_json::<esipa::AuthenticateClientOkDs>(octets),
        stable_json::<esipa::GetBoundProfilePackageOk>(octets),
        stable_json::<GetEimPackageResponse>(octets),
        stable_json::<esipa::ProvideEimPackageResultResponse>(octets),
        stable_json::<TransferEimPackageRequest>(octets),
    ];
    read.contains(&true)
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let mut card = EUICC.card().expect("the card can be opened");
    let result = card.es10(PREPARED.package.bytes()).expect("the card executes the package");
    let result = Raw::<EuiccPackageResult>::from_der(&result).expect("a result");
    let notification = other_notification();
    let both = EprAndNotifications {
        euicc_package_result: result.clone(),
        notification_list: PendingNotificationList(vec![rsp::der::Opaque::new(notification.to_der())]),
    };
    let certificate = |certificate: &certs::Certificate| Some(CertificateDer(certificate.der().to_vec()));
    let data = IpaEuiccData {
        association_token: Some(TOKEN),
        eum_certificate: certificate(&EUICC.credentials.eum),
        euicc_certificate: certificate(&EUICC.credentials.euicc.certificate),
        ipa_capabilities: Some(IpaCapabilities::default()),
        ..IpaEuiccData::default()
    };
    let error = EimPackageResultResponseError {
        eim_transaction_id: Some(PREPARED.delivered.clone()),
        eim_package_result_error_code: EimPackageResultErrorCode::UNKNOWN_PACKAGE,
    };
    let polls = GetEimPackageRequest {
        notify_state_change: Some(rsp::der::Null),
        state_change_cause: Some(StateChangeCause::FALLBACK),
        r_plmn: Some([0x99, 0xF9, 0x10]),
        ..polling()
    };
    let initiation = InitiateAuthenticationRequest {
        euicc_challenge: [7; 16],
        smdp_address: Some("smdp.example.com".to_owned()),
        euicc_info1: None,
        eim_transaction_id: None,
    };
    let results = [
        EimPackageResult::EuiccPackageResult(Box::new(result)),
        EimPackageResult::EprAndNotifications(Box::new(both)),
        EimPackageResult::IpaEuiccDataResponse(Box::new(IpaEuiccDataResponse::IpaEuiccData(Box::new(data)))),
        EimPackageResult::EimPackageResultResponseError(error),
    ]
    .map(provided);
    let notified = HandleNotificationRequest::PendingNotification(Box::new(Raw::new(notification)));
    let mut samples: Vec<Vec<u8>> = results
        .iter()
        .flat_map(|result| {
            [MessageFromIpa::ProvideEimPackageResult(result.clone()).to_der(), json_of(result)]
        })
        .collect();
    samples.extend([
        MessageFromIpa::GetEimPackageRequest(polls.clone()).to_der(),
        json_of(&polls),
        MessageFromIpa::HandleNotification(notified.clone()).to_der(),
        json_of(&notified),
        MessageFromIpa::InitiateAuthenticationRequest(initiation.clone()).to_der(),
        json_of(&initiation),
        MessageFromEim::GetEimPackageResponse(GetEimPackageResponse::EuiccPackageRequest(
            PREPARED.package.clone(),
        ))
        .to_der(),
    ]);
    samples.extend(cancellation());
    samples
}

fn json_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A CancelSession request of a session that does not exist.
fn cancellation() -> Option<Vec<u8>> {
    let octets = hex::decode("BF41078001AAA103810105").ok()?;
    CancelSessionRequest::from_der(&octets).ok().map(|_| octets)
}

/// A notification of the eUICC that a profile was enabled.
fn other_notification() -> PendingNotification {
    let metadata = Raw::new(NotificationMetadata {
        seq_number: 5,
        profile_management_operation: rsp::der::BitString::of(&[1]),
        notification_address: "smdp.example.com".to_owned(),
        iccid: Some(EUICC.iccids[0]),
    });
    let signature = EUICC.credentials.euicc.key.sign(metadata.bytes());
    PendingNotification::OtherSignedNotification(OtherSignedNotification {
        tbs_other_notification: metadata,
        euicc_notification_signature: signature.as_bytes().to_vec(),
        euicc_certificate: CertificateDer(EUICC.credentials.euicc.certificate.der().to_vec()),
        eum_certificate: CertificateDer(EUICC.credentials.eum.der().to_vec()),
    })
}
