//! Tests of the reports to operators: ES2+.HandleDownloadProgressInfo (SGP.22 section 5.3.5), and
//! of their reliable delivery.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic fails the test")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use crypto::Curve;
use http::{Request, Response, StatusCode};
use rsp::der::Raw;
use rsp::ids::SmdpAddress;
use rsp::sgp22::es2plus::{self, HandleDownloadProgressInfoRequest, NotificationPointId};
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason, ErrorResult, FinalResult};
use rsp::sgp22::es9plus::CancelSession;
use rsp::sgp22::json::{self, ExecutionStatus};
use rsp::sgp22::{CancelSessionReason, uicc_capability};
use rsp::status::Status;
use sm_dp::{Operator as RegisteredOperator, Peers, ProfileOptions};
use support::euicc::notify;
use support::{Expect, ICCID, OTHER_ICCID, Operator, PROFILE_TYPE, Testbed, call};
use world::{Fault, Link, LinkFault, LinkFaultKind, Outcome, link_from};

use NotificationPointId as Point;

/// The ES2+ address of the operator.
const OPERATOR_ADDRESS: &str = "bss.operator.example:8443";

/// Received requests, each with the address it was sent to.
type Received = Vec<(String, Request<Bytes>)>;

/// Operators with configurable failures.
#[derive(Clone, Default)]
struct ReportReceivers {
    received: Arc<Mutex<Received>>,
    failures: Arc<Mutex<Vec<(String, Failure)>>>,
    woken: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Failure {
    /// The connection is refused.
    Down,
    /// The operator returns HTTP 503 and does not record the request.
    Broken,
    /// The operator records the request and returns this status.
    Status(StatusCode),
    /// The operator records the request, but its response is lost.
    ResponseLost,
}

impl Peers for ReportReceivers {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        let (receivers, address) = (self.clone(), address.to_string());
        Ok(link_from(tower::service_fn(move |request| {
            let answer = receivers.receive(&address, request);
            async move { answer }
        })))
    }

    fn wake(&self) {
        self.woken.fetch_add(1, Ordering::Relaxed);
    }
}

impl ReportReceivers {
    fn receive(&self, address: &str, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let set_failure =
            self.failures.lock().unwrap().iter().find(|(it, _)| it == address).map(|(_, it)| *it);
        let fault = |kind| Err(LinkFault::new(kind, address, "requested by the test"));
        if set_failure == Some(Failure::Down) {
            return fault(LinkFaultKind::Refused);
        }
        if set_failure != Some(Failure::Broken) {
            self.received.lock().unwrap().push((address.to_owned(), request));
        }
        let mut response = Response::new(Bytes::new());
        match set_failure {
            Some(Failure::ResponseLost) => return fault(LinkFaultKind::Reset),
            Some(Failure::Status(status)) => *response.status_mut() = status,
            Some(Failure::Broken) => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
            _ => *response.status_mut() = StatusCode::NO_CONTENT,
        }
        Ok(response)
    }

    fn set_failure(&self, address: &str, set_failure: Option<Failure>) {
        let mut failures = self.failures.lock().unwrap();
        failures.retain(|(it, _)| it != address);
        failures.extend(set_failure.map(|set_failure| (address.to_owned(), set_failure)));
    }

    /// Returns and removes the recorded requests to an address.
    fn take_reports(&self, address: &str) -> Vec<HandleDownloadProgressInfoRequest> {
        let mut received = self.received.lock().unwrap();
        let (take_reports, others) =
            std::mem::take(&mut *received).into_iter().partition(|(to, _)| to == address);
        *received = others;
        take_reports
            .into_iter()
            .map(|(_, request): (String, Request<Bytes>)| {
                assert_eq!(request.uri().path(), es2plus::path("handleDownloadProgressInfo"));
                assert_eq!(request.method(), http::Method::POST);
                assert!(json::protocol_version(request.headers()).is_some());
                serde_json::from_slice(request.body()).unwrap()
            })
            .collect()
    }

    fn points(&self) -> Vec<(Point, ExecutionStatus)> {
        let point = |it: &HandleDownloadProgressInfoRequest| {
            (it.notification_point_id, it.notification_point_status.status)
        };
        self.take_reports(OPERATOR_ADDRESS).iter().map(point).collect()
    }
}

/// Creates a testbed with an operator that receives reports.
async fn testbed() -> (Testbed, ReportReceivers) {
    with_operator(Testbed::new()).await
}

async fn with_operator(testbed: Testbed) -> (Testbed, ReportReceivers) {
    let receivers = ReportReceivers::default();
    let testbed =
        Testbed { server: testbed.server.clone().with_peers(Arc::new(receivers.clone())), ..testbed };
    register(&testbed, &testbed.operator(), OPERATOR_ADDRESS).await;
    (testbed, receivers)
}

async fn register(testbed: &Testbed, operator: &Operator, address: &str) {
    let register = RegisteredOperator {
        identifier: operator.identifier.clone(),
        certificate_oid: operator.oid.clone(),
        es2plus_address: Some(address.parse().unwrap()),
        namespace: rsp_server::Namespace::default(),
    };
    testbed.server.register_operator(&register).await.unwrap();
}

fn iccid() -> rsp::ids::Iccid {
    ICCID.parse().unwrap()
}

const DONE: ExecutionStatus = ExecutionStatus::ExecutedSuccess;
const FAILED: ExecutionStatus = ExecutionStatus::Failed;

// --- Contents of the reports ---------------------------------------------------------------------

// req: SGP.22-5.3.5-Report
#[tokio::test]
async fn an_operator_gets_a_report_of_every_step_of_a_download() {
    let (testbed, receivers) = testbed().await;
    let code = testbed.released(&ProfileOptions::default()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let result = euicc.signed_result(euicc.result(&transaction, iccid(), true));
    let octets = Raw::new(result.clone()).bytes().to_vec();
    notify(&testbed.server, result).await;
    assert_eq!(testbed.server.outbox().await.unwrap().len(), 3);
    assert_eq!(receivers.woken.load(Ordering::Relaxed), 3, "once for each request that posted a message");

    assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
    let take_reports = receivers.take_reports(OPERATOR_ADDRESS);
    let points: Vec<_> = take_reports.iter().map(|it| it.notification_point_id).collect();
    assert_eq!(
        points,
        [Point::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, Point::BPP_DOWNLOAD, Point::BPP_INSTALLATION]
    );
    for it in &take_reports {
        assert_eq!((it.eid, it.iccid), (Some(euicc.eid), iccid()));
        assert_eq!(it.profile_type, PROFILE_TYPE);
        assert_eq!(it.timestamp, testbed.now());
        assert_eq!(it.notification_point_status.status, DONE);
        assert_eq!(it.header.function_requester_identifier, "2.999.10");
    }
    assert_eq!(take_reports[0].result_data, None);
    assert_eq!(take_reports[1].result_data, None);
    assert_eq!(take_reports[2].result_data.as_ref().unwrap().0, octets);
    let mut identifiers: Vec<_> = take_reports.iter().map(|it| &it.header.function_call_identifier).collect();
    identifiers.dedup();
    assert_eq!(identifiers.len(), 3);
    assert!(testbed.server.outbox().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_step_is_reported_with_its_status() {
    let (testbed, receivers) = testbed().await;
    testbed.stock(ICCID, &ProfileOptions::default()).await;
    let code = testbed
        .order(|confirm| {
            confirm.confirmation_code = Some("1234".to_owned());
            confirm.release_flag = false;
        })
        .await;
    let euicc = testbed.euicc();
    euicc.try_authenticate(&testbed.server, &code).await.refused();
    testbed.operator().release(&testbed.server, iccid()).await.done();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    euicc.get(&testbed.server, &euicc.prepare(&ok, &euicc.one_time_key()).code("9999")).await.refused();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let cancel = euicc.cancel(&ok.transaction_id, CancelSessionReason::END_USER_REJECTION);
    call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
    testbed.server.deliver_due().await.unwrap();
    let take_reports: Vec<_> = receivers
        .take_reports(OPERATOR_ADDRESS)
        .iter()
        .map(|it| {
            let status = it.notification_point_status.status_code_data.as_ref();
            (it.notification_point_id, status.map(|data| data.status().unwrap()))
        })
        .collect();
    assert_eq!(
        take_reports,
        [
            (Point::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, Some(Status::ProfileNotReleased)),
            (Point::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, None),
            (Point::CONFIRMATION_FAILURE, Some(Status::ConfirmationCodeRefused)),
            (Point::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, None),
            (Point::BPP_DOWNLOAD, Some(Status::ProfileRefused)),
        ]
    );
}

#[tokio::test]
async fn failed_eligibility_checks_and_installations_are_reported() {
    let (testbed, receivers) = testbed().await;
    let code = testbed.released(&ProfileOptions::default()).await;
    let mut small = testbed.euicc();
    small.info2.ext_card_resource = vec![0x81, 1, 0, 0x82, 1, 0, 0x83, 1, 0];
    small.info2.uicc_capability = rsp::der::BitString::of(&[uicc_capability::USIM]);
    small.try_authenticate(&testbed.server, &code).await.refused();
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), false))).await;
    testbed.server.deliver_due().await.unwrap();
    let take_reports = receivers.take_reports(OPERATOR_ADDRESS);
    let failed: Vec<_> = take_reports
        .iter()
        .filter(|it| it.notification_point_status.status == FAILED)
        .map(|it| it.notification_point_id)
        .collect();
    assert_eq!(failed, [Point::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, Point::BPP_INSTALLATION]);
    assert!(take_reports.last().unwrap().result_data.is_some());
}

#[tokio::test]
async fn the_report_of_a_failure_has_the_status_of_its_reason() {
    let (insufficient, other) = (
        ErrorReason::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE,
        ErrorReason::INSTALL_FAILED_DUE_TO_DATA_MISMATCH,
    );
    let cancelled = |reason| (Some(reason), None);
    for ((cancelled, failed), point, status) in [
        (
            cancelled(CancelSessionReason::LOAD_BPP_EXECUTION_ERROR),
            Point::BPP_INSTALLATION,
            Status::EuiccExecutionError,
        ),
        (cancelled(CancelSessionReason::UNDEFINED_REASON), Point::BPP_DOWNLOAD, Status::EuiccExecutionError),
        (cancelled(CancelSessionReason::PPR_NOT_ALLOWED), Point::BPP_DOWNLOAD, Status::ProfileRefused),
        ((None, Some(insufficient)), Point::BPP_INSTALLATION, Status::EuiccInsufficientMemory),
        ((None, Some(other)), Point::BPP_INSTALLATION, Status::EuiccExecutionError),
    ] {
        let (testbed, receivers) = testbed().await;
        let code = testbed.released(&ProfileOptions::default()).await;
        let euicc = testbed.euicc();
        if let Some(reason) = cancelled {
            let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
            let cancel = euicc.cancel(&ok.transaction_id, reason);
            call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
        }
        if let Some(error_reason) = failed {
            let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
            let mut data = euicc.result(&transaction, iccid(), false);
            data.final_result = FinalResult::ErrorResult(ErrorResult {
                bpp_command_id: BppCommandId::LOAD_PROFILE_ELEMENTS,
                error_reason,
                sima_response: None,
            });
            notify(&testbed.server, euicc.signed_result(data)).await;
        }
        testbed.server.deliver_due().await.unwrap();
        let reports = receivers.take_reports(OPERATOR_ADDRESS);
        let last = reports.last().unwrap();
        let reported = last.notification_point_status.status_code_data.as_ref().unwrap().status();
        assert_eq!((last.notification_point_id, reported), (point, Some(status)), "{cancelled:?} {failed:?}");
    }
}

#[tokio::test]
async fn a_repeated_package_and_a_postponed_session_are_not_reported() {
    let (testbed, receivers) = testbed().await;
    let code = testbed.released(&ProfileOptions::default()).await;
    let euicc = testbed.euicc();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let prepare = euicc.prepare(&ok, &euicc.one_time_key());
    for _ in 0..3 {
        euicc.get(&testbed.server, &prepare).await.done();
    }
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let cancel = euicc.cancel(&ok.transaction_id, CancelSessionReason::POSTPONED);
    call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
    testbed.server.deliver_due().await.unwrap();
    let check = (Point::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, DONE);
    assert_eq!(receivers.points(), [check, (Point::BPP_DOWNLOAD, DONE), check]);
}

// req: SGP.22-5.3.5-Address
#[tokio::test]
async fn an_operator_without_an_address_gets_no_reports() {
    let testbed = Testbed::new();
    let code = testbed.released(&ProfileOptions::default()).await;
    let euicc = testbed.euicc();
    euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    assert!(testbed.server.outbox().await.unwrap().is_empty());
    assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
}

// --- Delivery ------------------------------------------------------------------------------------

// req: SGP.22-5.3.5-Retry
#[tokio::test]
async fn failed_deliveries_are_retried_in_order_with_growing_delays() {
    for set_failure in [Failure::Down, Failure::Broken] {
        let (testbed, receivers) = testbed().await;
        let code = testbed.released(&ProfileOptions::default()).await;
        let euicc = testbed.euicc();
        receivers.set_failure(OPERATOR_ADDRESS, Some(set_failure));
        let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let next = testbed.server.deliver_due().await.unwrap().unwrap();
            // A call before the next attempt is due does nothing.
            assert_eq!(testbed.server.deliver_due().await.unwrap(), Some(next));
            let wait = Duration::from_millis(u64::try_from(next.0 - testbed.now().0).unwrap());
            waits.push(wait.as_secs());
            testbed.wait(wait);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        // A new message waits behind the others.
        notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
        receivers.set_failure(OPERATOR_ADDRESS, None);
        assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
        let check = (Point::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, DONE);
        assert_eq!(receivers.points(), [check, (Point::BPP_DOWNLOAD, DONE), (Point::BPP_INSTALLATION, DONE)]);
        // After a success, the delays start again.
        receivers.set_failure(OPERATOR_ADDRESS, Some(set_failure));
        testbed.order_other().await;
        let next = testbed.server.deliver_due().await.unwrap().unwrap();
        assert_eq!(next, testbed.now().plus(Duration::from_secs(1)));
    }
}

#[tokio::test]
async fn a_message_with_a_lost_response_is_sent_again_with_the_same_identifier() {
    let (testbed, receivers) = testbed().await;
    let code = testbed.released(&ProfileOptions::default()).await;
    receivers.set_failure(OPERATOR_ADDRESS, Some(Failure::ResponseLost));
    testbed.euicc().try_authenticate(&testbed.server, &code).await.done();
    let next = testbed.server.deliver_due().await.unwrap().unwrap();
    receivers.set_failure(OPERATOR_ADDRESS, None);
    testbed.clock.set(next);
    testbed.server.deliver_due().await.unwrap();
    let take_reports = receivers.take_reports(OPERATOR_ADDRESS);
    assert_eq!(take_reports.len(), 2);
    assert_eq!(take_reports[0], take_reports[1]);
}

#[tokio::test]
async fn waiting_messages_survive_a_restart() {
    let (testbed, receivers) = testbed().await;
    let code = testbed.released(&ProfileOptions::default()).await;
    receivers.set_failure(OPERATOR_ADDRESS, Some(Failure::Down));
    testbed.euicc().try_authenticate(&testbed.server, &code).await.done();
    let next = testbed.server.deliver_due().await.unwrap().unwrap();
    let restarted = testbed.second_server().with_peers(Arc::new(receivers.clone()));
    receivers.set_failure(OPERATOR_ADDRESS, None);
    // The new server also waits until the next attempt is due.
    assert_eq!(restarted.deliver_due().await.unwrap(), Some(next));
    testbed.clock.set(next);
    assert_eq!(restarted.deliver_due().await.unwrap(), None);
    assert_eq!(receivers.points(), [(Point::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, DONE)]);
}

#[tokio::test]
async fn undeliverable_messages_are_discarded_one_by_one() {
    let lifetime = Duration::from_secs(3600);
    let (testbed, receivers) = testbed().await;
    let code = testbed.released(&ProfileOptions::default()).await;
    receivers.set_failure(OPERATOR_ADDRESS, Some(Failure::Down));
    let euicc = testbed.euicc();
    euicc.try_authenticate(&testbed.server, &code).await.done();
    testbed.server.deliver_due().await.unwrap();
    testbed.wait(sm_dp::config::DELIVERY_LIFETIME.checked_sub(lifetime).unwrap());
    euicc.try_authenticate(&testbed.server, &code).await.done();
    testbed.server.deliver_due().await.unwrap();
    assert_eq!(testbed.server.outbox().await.unwrap().len(), 2, "no message is too old yet");
    testbed.wait(lifetime);
    let next = testbed.server.deliver_due().await.unwrap();
    assert_eq!(testbed.server.outbox().await.unwrap().len(), 1, "the first one is too old");
    receivers.set_failure(OPERATOR_ADDRESS, None);
    testbed.clock.set(next.unwrap());
    assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
    assert_eq!(receivers.points().len(), 1);
}

#[tokio::test]
async fn a_permanently_refused_message_does_not_delay_later_ones() {
    for (status, waits) in [
        (StatusCode::BAD_REQUEST, 0),
        (StatusCode::NOT_FOUND, 0),
        (StatusCode::REQUEST_TIMEOUT, 2),
        (StatusCode::TOO_MANY_REQUESTS, 2),
        (StatusCode::INTERNAL_SERVER_ERROR, 2),
    ] {
        let (testbed, receivers) = testbed().await;
        let code = testbed.released(&ProfileOptions::default()).await;
        let euicc = testbed.euicc();
        euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
        receivers.set_failure(OPERATOR_ADDRESS, Some(Failure::Status(status)));
        testbed.server.deliver_due().await.unwrap();
        assert_eq!(testbed.server.outbox().await.unwrap().len(), waits, "{status}");
        assert_eq!(
            receivers.take_reports(OPERATOR_ADDRESS).len(),
            if waits == 0 { 2 } else { 1 },
            "{status}"
        );
        let take_reports = testbed.events.all();
        let take_reports =
            take_reports.iter().rfind(|event| event.function == "HandleDownloadProgressInfo").unwrap();
        let is_given_up = matches!(&take_reports.outcome, Outcome::Refused(why) if why.contains("discarded"));
        assert_eq!(is_given_up, waits == 0, "{status}");
    }
}

#[tokio::test]
async fn an_unreachable_operator_does_not_fill_the_outbox() {
    for comes_back in [true, false] {
        let (testbed, receivers) =
            with_operator(Testbed::with(|config| config.max_waiting_messages = 2)).await;
        let code = testbed.released(&ProfileOptions::default()).await;
        let euicc = testbed.euicc();
        let try_once = async || euicc.try_authenticate(&testbed.server, &code).await.done();
        receivers.set_failure(OPERATOR_ADDRESS, Some(Failure::Down));
        for waiting in [1, 2, 2, 2] {
            try_once().await;
            let next = testbed.server.deliver_due().await.unwrap().unwrap();
            assert_eq!(testbed.server.outbox().await.unwrap().len(), waiting);
            testbed.clock.set(next);
        }
        if comes_back {
            receivers.set_failure(OPERATOR_ADDRESS, None);
        } else {
            testbed.wait(sm_dp::config::DELIVERY_LIFETIME);
        }
        assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
        assert_eq!(receivers.points().len(), if comes_back { 2 } else { 0 });
        try_once().await;
        assert_eq!(testbed.server.outbox().await.unwrap().len(), 1, "there is room again");
    }
}

#[tokio::test]
async fn an_unreachable_operator_does_not_delay_another() {
    const OTHER: &str = "bss.other.example";
    let (testbed, receivers) = testbed().await;
    let code = testbed.released(&ProfileOptions::default()).await;
    let other = Operator::new(&testbed.pki, "Another Operator");
    register(&testbed, &other, OTHER).await;
    let other_iccid = testbed.stock(OTHER_ICCID, &ProfileOptions::default()).await;
    other.download_order(&testbed.server, Some(other_iccid), None, None).await.done();
    let reply: es2plus::ConfirmOrderReply =
        other.call(&testbed.server, "confirmOrder", &other.confirmation(other_iccid)).await.done();
    let (first, second) = (testbed.euicc(), testbed.numbered_euicc(Curve::P256, 1));
    first.try_authenticate(&testbed.server, &code).await.done();
    second.try_authenticate(&testbed.server, &reply.matching_id).await.done();
    receivers.set_failure(OPERATOR_ADDRESS, Some(Failure::Down));
    assert!(testbed.server.deliver_due().await.unwrap().is_some());
    let take_reports = receivers.take_reports(OTHER);
    assert_eq!((take_reports.len(), take_reports[0].iccid), (1, other_iccid));
    assert!(receivers.take_reports(OPERATOR_ADDRESS).is_empty());
}

impl Testbed {
    /// Orders another profile and starts its download on an eUICC.
    async fn order_other(&self) {
        let operator = self.operator();
        let iccid = self.stock(OTHER_ICCID, &ProfileOptions::default()).await;
        operator.download_order(&self.server, Some(iccid), None, None).await.done();
        let reply: es2plus::ConfirmOrderReply =
            operator.call(&self.server, "confirmOrder", &operator.confirmation(iccid)).await.done();
        self.euicc().try_authenticate(&self.server, &reply.matching_id).await.done();
    }
}
