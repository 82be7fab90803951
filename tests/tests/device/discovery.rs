//! Downloads without an activation code: event retrieval from the SM-DS (SGP.22 section 3.6.2), and
//! the default SM-DP+.

use device::DownloadOptions;
use device::lpa::{DownloadError, Installed, ServerFlaw, SessionError};
use rsp::activation_code::ActivationCode;
use rsp::ids::Iccid;
use rsp::sgp22::es2plus::ConfirmOrderRequest;
use rsp::status::Status;
use sm_dp::ProfileState;

use crate::testbed::{ADDRESS, BOOTSTRAP, LOCAL, LinkFailure, OTHER_SM_DS, ROOT_SM_DS, Testbed, iccid};

/// Returns the outcome of each event: its identifier, and the profile or the status of the refusal.
async fn discover(testbed: &mut Testbed) -> Vec<(String, Result<Iccid, Option<Status>>)> {
    let discovered = testbed.device.lpa.discover(None, DownloadOptions::default()).await.unwrap();
    let status = |error: DownloadError| match error {
        DownloadError::Session(SessionError::Server(error)) => error.status(),
        other => panic!("{other}"),
    };
    discovered
        .into_iter()
        .map(|each| (each.event.event_id, each.outcome.map(|it: Installed| it.iccid).map_err(status)))
        .collect()
}

#[tokio::test]
async fn without_events_nothing_is_installed() {
    let mut testbed = Testbed::new().await;
    assert_eq!(discover(&mut testbed).await, []);
}

#[tokio::test]
async fn every_event_of_the_root_sm_ds_is_downloaded() {
    let mut testbed = Testbed::new().await;
    let ids =
        [testbed.order(LOCAL, None).await.matching_id, testbed.order(BOOTSTRAP, None).await.matching_id];
    for id in &ids {
        testbed.register_event(ROOT_SM_DS, id, ADDRESS).await;
        testbed.clock.advance(std::time::Duration::from_secs(1));
    }
    let found = discover(&mut testbed).await;
    assert_eq!(found, [(ids[0].clone(), Ok(iccid(LOCAL))), (ids[1].clone(), Ok(iccid(BOOTSTRAP)))]);
    assert_eq!(testbed.state(LOCAL).await, ProfileState::Installed);
    assert_eq!(testbed.state(BOOTSTRAP).await, ProfileState::Installed);
    assert_eq!(testbed.profiles().await.0.len(), 2);
}

/// Sections 3.6.1 to 3.6.3: the order names the SM-DS, and everything else happens automatically.
#[tokio::test]
async fn an_order_with_an_sm_ds_address_reaches_the_device_and_leaves_no_event() {
    for inject in
        [None, Some(LinkFailure::ResponseLost("deleteEvent")), Some(LinkFailure::RequestLost("deleteEvent"))]
    {
        let mut testbed = Testbed::new().await;
        let id = order_event(&testbed).await;
        assert_eq!(testbed.waiting().await, std::slice::from_ref(&id));
        testbed.inject(inject.as_slice());
        assert_eq!(discover(&mut testbed).await, [(id, Ok(iccid(LOCAL)))]);
        assert_eq!(testbed.state(LOCAL).await, ProfileState::Installed);
        testbed.server.deliver_due().await.unwrap();
        // A lost message is repeated after some time.
        testbed.clock.advance(std::time::Duration::from_secs(24 * 3600));
        assert_eq!(testbed.server.deliver_due().await.unwrap(), None);
        assert_eq!(testbed.waiting().await, Vec::<String>::new());
        assert_eq!(discover(&mut testbed).await, []);
    }
}

#[tokio::test]
async fn cancelling_an_order_deletes_its_event() {
    let mut testbed = Testbed::new().await;
    order_event(&testbed).await;
    testbed.cancel(LOCAL).await;
    testbed.server.deliver_due().await.unwrap();
    assert_eq!(testbed.waiting().await, Vec::<String>::new());
    assert_eq!(discover(&mut testbed).await, []);
}

/// Orders the local profile for this card, with an event at the root SM-DS. Returns the event's
/// identifier.
async fn order_event(testbed: &Testbed) -> String {
    let eid = testbed.eid();
    let choose = |confirm: &mut ConfirmOrderRequest| {
        (confirm.eid, confirm.smds_address) = (Some(eid), Some(ROOT_SM_DS.to_owned()));
    };
    testbed.order_as(LOCAL, choose).await.matching_id
}

#[tokio::test]
async fn an_event_can_refer_to_another_sm_ds() {
    let mut testbed = Testbed::new().await;
    let id = testbed.order(LOCAL, None).await.matching_id;
    testbed.register_event(ROOT_SM_DS, &id, OTHER_SM_DS).await;
    testbed.register_event(OTHER_SM_DS, &id, ADDRESS).await;
    // The other SM-DS is queried for this event, not for all events.
    testbed.register_event(OTHER_SM_DS, "ANOTHER", ADDRESS).await;
    assert_eq!(discover(&mut testbed).await, [(id, Ok(iccid(LOCAL)))]);
}

// req: SGP.22-3.6.2-Once
#[tokio::test]
async fn sm_dss_that_refer_to_each_other_are_queried_once_per_event() {
    let mut testbed = Testbed::new().await;
    testbed.register_event(ROOT_SM_DS, "ROUND", OTHER_SM_DS).await;
    testbed.register_event(OTHER_SM_DS, "ROUND", ROOT_SM_DS).await;
    testbed.events.take();
    assert_eq!(discover(&mut testbed).await, []);
    let queries = testbed
        .timeline()
        .iter()
        .filter(|line| line.contains("SM-DS -> LPA ES11.AuthenticateClient"))
        .count();
    assert_eq!(
        queries, 3,
        "for all events, at the other SM-DS for the event, and at the root SM-DS for the event"
    );
}

// req: SGP.22-3.6.2-Independent
#[tokio::test]
async fn a_failed_event_does_not_prevent_the_other_downloads() {
    let mut testbed = Testbed::new().await;
    testbed.register_event(ROOT_SM_DS, "NOBODY-ORDERED-IT", ADDRESS).await;
    testbed.clock.advance(std::time::Duration::from_secs(1));
    let id = testbed.order(LOCAL, None).await.matching_id;
    testbed.register_event(ROOT_SM_DS, &id, ADDRESS).await;
    let refused = Err(Some(Status::MatchingIdRefused));
    let expected = [("NOBODY-ORDERED-IT".to_owned(), refused), (id, Ok(iccid(LOCAL)))];
    assert_eq!(discover(&mut testbed).await, expected);
}

#[tokio::test]
async fn a_lost_response_of_the_sm_ds_is_retried_in_a_new_session() {
    let mut testbed = Testbed::new().await;
    let id = testbed.order(LOCAL, None).await.matching_id;
    testbed.register_event(ROOT_SM_DS, &id, ADDRESS).await;
    for inject in
        [LinkFailure::ResponseLost("initiateAuthentication"), LinkFailure::ResponseLost("authenticateClient")]
    {
        testbed.inject(&[inject]);
    }
    assert_eq!(discover(&mut testbed).await, [(id, Ok(iccid(LOCAL)))]);
}

// req: SGP.22-3.6.2-NoEventsForCode
#[tokio::test]
async fn an_activation_code_does_not_lead_to_an_sm_ds() {
    let mut testbed = Testbed::new().await;
    let code =
        ActivationCode { smdp_address: ROOT_SM_DS.parse().unwrap(), ..testbed.order(LOCAL, None).await };
    testbed.register_event(ROOT_SM_DS, &code.matching_id, ADDRESS).await;
    let error = testbed.device.lpa.download(&code, DownloadOptions::default()).await.unwrap_err();
    let flaw = matches!(error, DownloadError::Session(SessionError::ServerFlaw(ServerFlaw::SmDs)));
    assert!(flaw, "{error}");
}

#[tokio::test]
async fn a_server_queried_for_events_can_be_an_sm_dp_plus_with_a_profile() {
    let mut testbed = Testbed::new().await;
    let eid = testbed.eid();
    testbed
        .order_as(LOCAL, |confirm| (confirm.eid, confirm.matching_id) = (Some(eid), Some(String::new())))
        .await;
    let address = ADDRESS.parse().unwrap();
    let found = testbed.device.lpa.discover(Some(&address), DownloadOptions::default()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].outcome.as_ref().unwrap().iccid, iccid(LOCAL));
}

#[tokio::test]
async fn the_default_sm_dp_plus_delivers_the_profile_ordered_for_the_eid() {
    let mut testbed = Testbed::new().await;
    let eid = testbed.eid();
    let error = testbed.device.lpa.download_from_default(DownloadOptions::default()).await.unwrap_err();
    assert!(matches!(error, DownloadError::Session(SessionError::Setup(_))), "no address: {error}");
    testbed.device.lpa.set_default_smdp_address(Some(&ADDRESS.parse().unwrap())).await.unwrap();
    testbed
        .order_as(LOCAL, |confirm| (confirm.eid, confirm.matching_id) = (Some(eid), Some(String::new())))
        .await;
    let installed = testbed.device.lpa.download_from_default(DownloadOptions::default()).await.unwrap();
    assert_eq!(installed.iccid, iccid(LOCAL));
}
