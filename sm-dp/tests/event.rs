//! Tests of orders with an event at an SM-DS: ES12.RegisterEvent and DeleteEvent (SGP.22 section
//! 5.9), as called by the SM-DP+.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic fails the test")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rsp::ids::{Eid, Iccid, SmdpAddress};
use rsp::sgp22::es2plus::{ConfirmOrderReply, ConfirmOrderRequest, ReleaseProfileRequest};
use rsp::sgp22::es9plus::CancelSession;
use rsp::sgp22::es12::{self, DeleteEventRequest, RegisterEventRequest};
use rsp::sgp22::{CancelSessionReason, json};
use rsp::status::Status;
use rsp_server::AllowedAddresses;
use sm_dp::{Peers, ProfileOptions, ProfileState, SmDpPlus};
use support::euicc::notify;
use support::{ADDRESS, Expect, ICCID, OTHER_ICCID, Testbed, VERSION, call};
use tokio::sync::Notify;
use world::{Fault, Link, LinkFault, LinkFaultKind, link_from};

/// The address of the SM-DS.
const SM_DS: &str = "smds.landfall.example";

/// An SM-DS with configurable behaviour.
#[derive(Clone, Default)]
struct SmDs {
    calls: Arc<Mutex<Vec<Request<Bytes>>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    /// Releases requests that wait in [`Behaviour::Delayed`].
    release: Arc<Notify>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Behaviour {
    #[default]
    Accepts,
    Refuses(Status),
    Down,
    /// The call is executed, but the response is lost.
    ResponseLost,
    Broken,
    /// No response is ever sent.
    Silent,
    /// The response is delayed until `release` is notified, and then follows the behaviour set at
    /// that time.
    Delayed,
}

/// A call to the SM-DS.
#[derive(Debug, PartialEq)]
enum Call {
    Register(RegisterEventRequest),
    Delete(DeleteEventRequest),
}

impl Peers for SmDs {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        assert_eq!(address.as_str(), SM_DS);
        let sm_ds = self.clone();
        Ok(link_from(tower::service_fn(move |request| {
            let sm_ds = sm_ds.clone();
            async move { sm_ds.answer(request).await }
        })))
    }
}

impl SmDs {
    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let behaviour = *self.behaviour.lock().unwrap();
        let fault = |kind| Err(LinkFault::new(kind, SM_DS, "requested by the test"));
        if behaviour == Behaviour::Down {
            return fault(LinkFaultKind::Refused);
        }
        self.calls.lock().unwrap().push(request);
        let behaviour = match behaviour {
            Behaviour::Delayed => {
                self.release.notified().await;
                *self.behaviour.lock().unwrap()
            }
            behaviour => behaviour,
        };
        match behaviour {
            Behaviour::Accepts | Behaviour::Down | Behaviour::Delayed => Ok(json::response(VERSION, Ok(&()))),
            Behaviour::Refuses(status) => {
                Ok(json::response::<()>(VERSION, Err(status.because("requested by the test"))))
            }
            Behaviour::ResponseLost => fault(LinkFaultKind::Timeout),
            Behaviour::Silent => std::future::pending().await,
            Behaviour::Broken => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                Ok(response)
            }
        }
    }

    fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Returns and removes the recorded calls.
    fn take_calls(&self) -> Vec<Call> {
        let read = |request: Request<Bytes>| match request.uri().path() {
            path if path == es12::path("registerEvent") => {
                Call::Register(serde_json::from_slice(request.body()).unwrap())
            }
            path if path == es12::path("deleteEvent") => {
                Call::Delete(serde_json::from_slice(request.body()).unwrap())
            }
            path => panic!("{path}"),
        };
        std::mem::take(&mut *self.calls.lock().unwrap()).into_iter().map(read).collect()
    }

    /// Asserts that the only recorded call is the deletion of this event.
    fn deleted(&self, eid: Eid, event_id: &str) {
        let calls = self.take_calls();
        let [Call::Delete(request)] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!((request.eid, &*request.event_id), (eid, event_id));
    }
}

fn iccid() -> Iccid {
    ICCID.parse().unwrap()
}

/// Creates a testbed with an SM-DS and a profile ordered for the first eUICC.
async fn testbed() -> (Testbed, SmDs) {
    let testbed = Testbed::new();
    let sm_ds = SmDs::default();
    let testbed = Testbed { server: testbed.server.clone().with_peers(Arc::new(sm_ds.clone())), ..testbed };
    testbed.stock(ICCID, &ProfileOptions::default()).await;
    let eid = Some(testbed.euicc().eid);
    testbed.operator().download_order(&testbed.server, Some(iccid()), None, eid).await.done();
    (testbed, sm_ds)
}

fn confirmation(testbed: &Testbed) -> ConfirmOrderRequest {
    ConfirmOrderRequest { smds_address: Some(SM_DS.to_owned()), ..testbed.operator().confirmation(iccid()) }
}

async fn confirm(
    server: &SmDpPlus,
    testbed: &Testbed,
    request: &ConfirmOrderRequest,
) -> json::Answer<ConfirmOrderReply> {
    testbed.operator().call(server, "confirmOrder", request).await
}

#[tokio::test]
async fn the_event_of_a_released_order_is_registered_before_the_reply() {
    let (testbed, sm_ds) = testbed().await;
    let reply = confirm(&testbed.server, &testbed, &confirmation(&testbed)).await.done();
    let calls = sm_ds.take_calls();
    let [Call::Register(event)] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(event.eid, testbed.euicc().eid);
    assert_eq!(event.event_id, reply.matching_id);
    assert_eq!(event.rsp_server_address.as_str(), ADDRESS);
    assert_eq!(event.header.function_requester_identifier, "2.999.10");
    assert!(!event.header.function_call_identifier.is_empty());
    assert!(testbed.server.outbox().await.unwrap().is_empty());
    // The EventID leads to the profile.
    testbed.euicc().try_authenticate(&testbed.server, &event.event_id).await.done();
}

#[tokio::test]
async fn the_event_of_a_confirmed_order_is_registered_on_release() {
    let (testbed, sm_ds) = testbed().await;
    let request = ConfirmOrderRequest { release_flag: false, ..confirmation(&testbed) };
    let reply = confirm(&testbed.server, &testbed, &request).await.done();
    assert_eq!(sm_ds.take_calls(), []);
    sm_ds.set(Behaviour::Down);
    let answer = testbed.operator().release(&testbed.server, iccid()).await;
    assert_eq!(answer.refused(), Status::SmdsInaccessible);
    assert_eq!(testbed.state().await, ProfileState::Confirmed);
    sm_ds.set(Behaviour::Accepts);
    testbed.operator().release(&testbed.server, iccid()).await.done();
    let calls = sm_ds.take_calls();
    assert!(matches!(&calls[..], [Call::Register(event)] if event.event_id == reply.matching_id));
    testbed.euicc().try_authenticate(&testbed.server, &reply.matching_id).await.done();
}

#[tokio::test]
async fn an_order_that_cannot_have_an_event_is_refused_and_unchanged() {
    let (testbed, sm_ds) = testbed().await;
    let before = testbed.profile().await;
    for (case, change, status) in [
        (
            "not an address",
            ConfirmOrderRequest { smds_address: Some("not an address".to_owned()), ..confirmation(&testbed) },
            Status::SmdsInaccessible,
        ),
        (
            "no MatchingID",
            ConfirmOrderRequest { matching_id: Some(String::new()), ..confirmation(&testbed) },
            Status::MatchingIdRefused,
        ),
    ] {
        assert_eq!(confirm(&testbed.server, &testbed, &change).await.refused(), status, "{case}");
        assert_eq!(testbed.profile().await, before, "{case}");
    }
    // An order without an EID.
    let other = testbed.stock(OTHER_ICCID, &ProfileOptions::default()).await;
    testbed.operator().download_order(&testbed.server, Some(other), None, None).await.done();
    for release_flag in [true, false] {
        let request = ConfirmOrderRequest { iccid: other, release_flag, ..confirmation(&testbed) };
        assert_eq!(confirm(&testbed.server, &testbed, &request).await.refused(), Status::EidMissing);
    }
    assert_eq!(sm_ds.take_calls(), []);
}

#[tokio::test]
async fn a_failed_registration_restores_the_order() {
    for (behaviour, status, deletes) in [
        (Behaviour::Refuses(Status::EventInUse), Status::SmdsExecutionError, 0),
        (Behaviour::Refuses(Status::RequesterNotAllowed), Status::SmdsExecutionError, 0),
        (Behaviour::Broken, Status::SmdsExecutionError, 1),
        (Behaviour::ResponseLost, Status::SmdsExecutionError, 1),
        (Behaviour::Down, Status::SmdsInaccessible, 0),
    ] {
        let (testbed, sm_ds) = testbed().await;
        let before = testbed.profile().await;
        sm_ds.set(behaviour);
        let request =
            ConfirmOrderRequest { matching_id: Some("EVENT-1".to_owned()), ..confirmation(&testbed) };
        assert_eq!(confirm(&testbed.server, &testbed, &request).await.refused(), status);
        assert_eq!(testbed.profile().await, before);
        let answer = testbed.euicc().try_authenticate(&testbed.server, "EVENT-1").await;
        assert_eq!(answer.refused(), Status::MatchingIdRefused);
        // If the SM-DS may have the event, it is deleted when the SM-DS is reachable again. Then
        // the order can be confirmed again.
        assert_eq!(testbed.server.outbox().await.unwrap().len(), deletes);
        sm_ds.set(Behaviour::Accepts);
        sm_ds.take_calls();
        assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
        assert_eq!(sm_ds.take_calls().len(), deletes);
        confirm(&testbed.server, &testbed, &request).await.done();
        testbed.euicc().try_authenticate(&testbed.server, "EVENT-1").await.done();
    }
}

#[tokio::test]
async fn an_event_is_deleted_however_its_order_ends() {
    for end in ["installed", "failed", "rejected", "cancelled", "expired"] {
        let (testbed, sm_ds) = testbed().await;
        let code = confirm(&testbed.server, &testbed, &confirmation(&testbed)).await.done().matching_id;
        sm_ds.take_calls();
        let euicc = testbed.euicc();
        match end {
            "installed" | "failed" => {
                let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
                assert_eq!(sm_ds.take_calls(), []);
                let result = euicc.result(&transaction, iccid(), end == "installed");
                notify(&testbed.server, euicc.signed_result(result)).await;
            }
            "rejected" => {
                let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
                let cancel = euicc.cancel(&ok.transaction_id, CancelSessionReason::END_USER_REJECTION);
                call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
            }
            "cancelled" => {
                let operator = testbed.operator();
                let mut request = operator.cancellation(iccid());
                request.eid = Some(euicc.eid);
                operator.cancel(&testbed.server, &request).await.done();
            }
            _ => {
                testbed.wait(sm_dp::config::ORDER_LIFETIME);
                let answer = euicc.try_authenticate(&testbed.server, &code).await;
                assert_eq!(answer.refused(), Status::OrderExpired);
                euicc.try_authenticate(&testbed.server, &code).await.refused();
            }
        }
        // The deletion is retried until the SM-DS is reachable.
        sm_ds.set(Behaviour::Down);
        let next = testbed.server.deliver_due().await.unwrap().unwrap();
        testbed.clock.set(next);
        // An unknown event counts as deleted.
        sm_ds.set(if end == "failed" {
            Behaviour::Refuses(Status::EventUnknown)
        } else {
            Behaviour::Accepts
        });
        assert_eq!(testbed.server.deliver_due().await.unwrap(), None, "{end}");
        sm_ds.deleted(euicc.eid, &code);
        assert!(testbed.server.outbox().await.unwrap().is_empty());
    }
}

/// Drops the request while the SM-DS does not respond. The order is committed, as after a crash of
/// the process.
async fn crash(testbed: &Testbed, sm_ds: &SmDs, request: &ConfirmOrderRequest) {
    sm_ds.set(Behaviour::Silent);
    let call = confirm(&testbed.server, testbed, request);
    tokio::select! {
        biased;
        _ = call => panic!("the SM-DS has not responded"),
        () = async {
            while sm_ds.calls.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(testbed.state().await, ProfileState::Released);
    assert_eq!(testbed.server.outbox().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_interrupted_registration_is_completed_after_a_restart() {
    for (behaviour, state) in [
        (Behaviour::Accepts, ProfileState::Released),
        // The event was registered before the crash.
        (Behaviour::Refuses(Status::EventInUse), ProfileState::Released),
        (Behaviour::Refuses(Status::RequesterNotAllowed), ProfileState::Linked),
    ] {
        let (testbed, sm_ds) = testbed().await;
        crash(&testbed, &sm_ds, &confirmation(&testbed)).await;
        let first = sm_ds.take_calls();
        sm_ds.set(behaviour);
        let restarted = testbed.second_server().with_peers(Arc::new(sm_ds.clone()));
        // At first, the delivery is reserved for the request, which may still be running.
        let next = restarted.deliver_due().await.unwrap().unwrap();
        assert_eq!(sm_ds.take_calls(), []);
        testbed.clock.set(next);
        assert_eq!(restarted.deliver_due().await.unwrap(), None);
        assert_eq!(sm_ds.take_calls(), first, "the same call with the same identifier");
        assert_eq!(testbed.state().await, state);
    }
}

#[tokio::test]
async fn an_interrupted_registration_that_cannot_be_completed_restores_the_order() {
    let (testbed, sm_ds) = testbed().await;
    crash(&testbed, &sm_ds, &confirmation(&testbed)).await;
    sm_ds.set(Behaviour::Down);
    testbed.wait(sm_dp::config::DELIVERY_LIFETIME);
    testbed.server.deliver_due().await.unwrap();
    assert_eq!(testbed.state().await, ProfileState::Linked);
    // The SM-DS may have registered the event before the crash.
    sm_ds.take_calls();
    sm_ds.set(Behaviour::Accepts);
    testbed.wait(Duration::from_secs(3600));
    assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
    let calls = sm_ds.take_calls();
    assert!(matches!(calls[..], [Call::Delete(_)]), "{calls:?}");
}

#[tokio::test]
async fn an_interrupted_call_is_completed_when_it_is_repeated() {
    for (behaviour, refused) in
        [(Behaviour::Accepts, None), (Behaviour::Down, Some(Status::SmdsInaccessible))]
    {
        let (testbed, sm_ds) = testbed().await;
        let request = confirmation(&testbed);
        crash(&testbed, &sm_ds, &request).await;
        let first = sm_ds.take_calls();
        sm_ds.set(behaviour);
        let answer = confirm(&testbed.server, &testbed, &request).await;
        match refused {
            None => {
                let reply = answer.done();
                assert_eq!(sm_ds.take_calls(), first);
                // Another repetition gets the stored reply and registers nothing.
                assert_eq!(confirm(&testbed.server, &testbed, &request).await.done(), reply);
                assert_eq!(sm_ds.take_calls(), []);
            }
            Some(status) => {
                assert_eq!(answer.refused(), status);
                assert_eq!(testbed.state().await, ProfileState::Linked);
            }
        }
    }
}

#[tokio::test]
async fn a_pending_registration_of_a_cancelled_order_is_dropped() {
    let (testbed, sm_ds) = testbed().await;
    crash(&testbed, &sm_ds, &confirmation(&testbed)).await;
    let operator = testbed.operator();
    let mut request = operator.cancellation(iccid());
    request.eid = Some(testbed.euicc().eid);
    operator.cancel(&testbed.server, &request).await.done();
    sm_ds.take_calls();
    sm_ds.set(Behaviour::Accepts);
    testbed.wait(Duration::from_secs(3600));
    assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
    let calls = sm_ds.take_calls();
    assert!(matches!(calls[..], [Call::Delete(_)]), "{calls:?}");
}

#[tokio::test]
async fn a_repeated_release_registers_its_event_once() {
    let (testbed, sm_ds) = testbed().await;
    let request = ConfirmOrderRequest { release_flag: false, ..confirmation(&testbed) };
    confirm(&testbed.server, &testbed, &request).await.done();
    let operator = testbed.operator();
    let release = ReleaseProfileRequest { header: operator.header(), iccid: iccid() };
    for _ in 0..2 {
        let _: rsp::sgp22::json::NoOutput =
            operator.call(&testbed.server, "releaseProfile", &release).await.done();
    }
    assert_eq!(sm_ds.take_calls().len(), 1);
}

impl SmDs {
    /// Waits until this many calls are recorded.
    async fn wait_for_calls(&self, times: usize) {
        while self.calls.lock().unwrap().len() < times {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn an_order_that_ends_during_its_registration_leaves_no_event() {
    for (behaviour, is_cancelled) in
        [(Behaviour::Accepts, true), (Behaviour::ResponseLost, true), (Behaviour::Accepts, false)]
    {
        let (testbed, sm_ds) = testbed().await;
        sm_ds.set(Behaviour::Delayed);
        let request =
            ConfirmOrderRequest { matching_id: Some("EVENT-1".to_owned()), ..confirmation(&testbed) };
        let concurrently = async {
            sm_ds.wait_for_calls(1).await;
            if is_cancelled {
                let operator = testbed.operator();
                let mut request = operator.cancellation(iccid());
                request.eid = Some(testbed.euicc().eid);
                operator.cancel(&testbed.server, &request).await.done();
            } else {
                testbed.wait(sm_dp::config::ORDER_LIFETIME);
                let answer = testbed.euicc().try_authenticate(&testbed.server, "EVENT-1").await;
                assert_eq!(answer.refused(), Status::OrderExpired);
            }
            // The deletion arrives before the registration is complete.
            sm_ds.take_calls();
            sm_ds.set(Behaviour::Refuses(Status::EventUnknown));
            testbed.server.deliver_due().await.unwrap();
            sm_ds.deleted(testbed.euicc().eid, "EVENT-1");
            let ended = testbed.profile().await;
            sm_ds.set(behaviour);
            sm_ds.release.notify_one();
            ended
        };
        let (answer, ended) = tokio::join!(confirm(&testbed.server, &testbed, &request), concurrently);
        assert_eq!(matches!(answer, json::Answer::Refused(_)), is_cancelled);
        assert_eq!(testbed.profile().await, ended);
        sm_ds.set(Behaviour::Accepts);
        assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
        sm_ds.deleted(testbed.euicc().eid, "EVENT-1");
    }
}

#[tokio::test]
async fn a_late_registration_does_not_change_a_later_order() {
    for behaviour in [Behaviour::Refuses(Status::RequesterNotAllowed), Behaviour::Accepts] {
        let (testbed, sm_ds) = testbed().await;
        let operator = testbed.operator();
        let first = ConfirmOrderRequest { matching_id: Some("EVENT-1".to_owned()), ..confirmation(&testbed) };
        let second =
            ConfirmOrderRequest { matching_id: Some("EVENT-2".to_owned()), ..confirmation(&testbed) };
        sm_ds.set(Behaviour::Delayed);
        let concurrently = async {
            sm_ds.wait_for_calls(1).await;
            let eid = Some(testbed.euicc().eid);
            let mut request = operator.cancellation(iccid());
            request.eid = eid;
            operator.cancel(&testbed.server, &request).await.done();
            operator.download_order(&testbed.server, Some(iccid()), None, eid).await.done();
            sm_ds.set(Behaviour::Accepts);
            confirm(&testbed.server, &testbed, &second).await.done();
            // The SM-DS does not know the event yet when it receives the deletion.
            testbed.server.deliver_due().await.unwrap();
            sm_ds.take_calls();
            sm_ds.set(behaviour);
            sm_ds.release.notify_one();
        };
        let (answer, ()) = tokio::join!(confirm(&testbed.server, &testbed, &first), concurrently);
        answer.refused();
        assert_eq!(testbed.state().await, ProfileState::Released);
        testbed.euicc().try_authenticate(&testbed.server, "EVENT-2").await.done();
        sm_ds.set(Behaviour::Accepts);
        assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
        match behaviour {
            Behaviour::Accepts => sm_ds.deleted(testbed.euicc().eid, "EVENT-1"),
            _ => assert_eq!(sm_ds.take_calls(), []),
        }
    }
}

#[tokio::test]
async fn a_successful_retry_is_not_undone_by_the_first_call() {
    let (testbed, sm_ds) = testbed().await;
    let request = confirmation(&testbed);
    sm_ds.set(Behaviour::Delayed);
    let retry = async {
        sm_ds.wait_for_calls(1).await;
        sm_ds.set(Behaviour::Accepts);
        let reply = confirm(&testbed.server, &testbed, &request).await.done();
        sm_ds.set(Behaviour::ResponseLost);
        sm_ds.release.notify_one();
        reply
    };
    let (first, reply) = tokio::join!(confirm(&testbed.server, &testbed, &request), retry);
    assert_eq!(first.done(), reply);
    assert_eq!(testbed.state().await, ProfileState::Released);
    assert!(testbed.server.outbox().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_deletion_is_retried_until_the_event_is_deleted() {
    let (testbed, sm_ds) = testbed().await;
    confirm(&testbed.server, &testbed, &confirmation(&testbed)).await.done();
    let operator = testbed.operator();
    let mut request = operator.cancellation(iccid());
    request.eid = Some(testbed.euicc().eid);
    operator.cancel(&testbed.server, &request).await.done();
    sm_ds.set(Behaviour::Refuses(Status::SmdsExecutionError));
    let next = testbed.server.deliver_due().await.unwrap();
    assert_eq!(testbed.server.outbox().await.unwrap().len(), 1);
    testbed.clock.set(next.unwrap());
    sm_ds.set(Behaviour::Refuses(Status::EventUnknown));
    assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
    assert!(testbed.server.outbox().await.unwrap().is_empty());
}

/// An operator cannot use the SM-DP+ to find out which hosts and ports are reachable.
#[tokio::test]
async fn an_order_can_name_only_an_allowed_sm_ds_and_learns_nothing_about_other_hosts() {
    let testbed = Testbed::with(|config| {
        config.sm_ds_addresses = AllowedAddresses::Listed(vec!["down.example".parse().unwrap()]);
    });
    testbed.stock(ICCID, &ProfileOptions::default()).await;
    let operator = testbed.operator();
    let eid = Some(testbed.euicc().eid);
    operator.download_order(&testbed.server, Some(iccid()), None, eid).await.done();
    let answer = async |smds_address: &str| {
        let confirmation = ConfirmOrderRequest {
            smds_address: Some(smds_address.to_owned()),
            ..operator.confirmation(iccid())
        };
        let answer: json::Answer<ConfirmOrderReply> =
            operator.call(&testbed.server, "confirmOrder", &confirmation).await;
        let json::Answer::Refused(why) = answer else { panic!("{answer:?}") };
        assert_eq!(why.status(), Some(Status::SmdsInaccessible));
        why.message.unwrap_or_default()
    };
    for other in ["127.0.0.1:22", "smds.example", "down.example:8443"] {
        assert!(answer(other).await.contains("registers no events at this SM-DS"), "{other}");
    }
    assert_eq!(answer("down.example").await, "the SM-DS cannot be reached");
}
