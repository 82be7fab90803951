//! Tests of ES8.UpdateConnectivityParameters: SGP.02 sections 4.1.3.4 and 5.4.13, with a card that
//! has a sequence counter.

use std::time::Duration;

use rsp::{
    ids::Iccid,
    sgp02::{BaseResponse, Octets, Response as _, es3, status::Status},
};
use sm_dp::m2m::ConnectivityUpdate;
use world::Collection;

use crate::{
    support::{ICCID, OTHER_ICCID},
    testbed::{M2mTestbed, OTHER_SM_SR, SM_SR, done, failed},
};

const PARAMETERS: [u8; 3] = [0xA1, 0x01, 0x00];

fn iccid() -> Iccid {
    ICCID.parse().unwrap()
}

async fn start_update(testbed: &M2mTestbed, parameters: &[u8]) -> Result<(), world::Fault> {
    let begun =
        testbed.server().update_connectivity_parameters(testbed.eid(), iccid(), parameters.to_vec()).await;
    testbed.run().await;
    begun
}

/// Executes the last request on the card and sends the response of the SM-SR.
async fn advance(testbed: &M2mTestbed) {
    let last_request = testbed.sent::<es3::UpdateConnectivityParametersRequest>(SM_SR).pop().unwrap();
    let data = testbed.card.lock().unwrap().execute(&last_request.connectivity_parameters.0);
    let is_done = data.ends_with(&[0x90, 0x00]);
    // The SM-SR reports a script that ends with an error status word as failed and includes the
    // card's response.
    let base = if is_done { done() } else { failed(Status::IsdPExecutionError) };
    let euicc_response_data = Some(Octets(data));
    let response = es3::UpdateConnectivityParametersResponse { base, euicc_response_data };
    testbed.reply::<es3::UpdateConnectivityParameters>(response).await;
}

async fn end_with(testbed: &M2mTestbed, base: BaseResponse) {
    let response = es3::UpdateConnectivityParametersResponse::only(base);
    testbed.reply::<es3::UpdateConnectivityParameters>(response).await;
}

async fn state(testbed: &M2mTestbed) -> ConnectivityUpdate {
    testbed.server().connectivity_update(testbed.eid(), iccid()).await.unwrap().unwrap()
}

async fn is_done(testbed: &M2mTestbed) -> bool {
    matches!(state(testbed).await, ConnectivityUpdate::Done { .. })
}

/// Returns the DGI 3A07 that the card received last.
fn eis_entry(testbed: &M2mTestbed) -> Vec<u8> {
    testbed.card.lock().unwrap().connectivity.clone()
}

fn request_count(testbed: &M2mTestbed) -> usize {
    testbed.sent::<es3::UpdateConnectivityParametersRequest>(SM_SR).len()
}

/// Deletes the records of the pending request and of its deadline.
async fn delete_request(testbed: &M2mTestbed) {
    for name in ["soap-asked", "soap-due"] {
        let collection: Collection<serde_json::Value> = Collection::new(name);
        let records = &testbed.base.records;
        world::transact(&**records, |tx| {
            Box::pin(async move {
                for (key, _) in tx.list(&collection, "").await? {
                    tx.delete(&collection, &key);
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn an_update_succeeds_and_its_result_can_be_read() {
    let testbed = M2mTestbed::installed().await;
    assert_eq!(testbed.server().connectivity_update(testbed.eid(), iccid()).await.unwrap(), None);
    start_update(&testbed, &PARAMETERS).await.unwrap();
    assert!(matches!(state(&testbed).await, ConnectivityUpdate::UnderWay(_)));
    advance(&testbed).await;
    assert!(is_done(&testbed).await);
    assert_eq!(eis_entry(&testbed), [0x3A, 0x07, 3, 0xA1, 0x01, 0x00]);
    assert_eq!((testbed.card.lock().unwrap().sequence, request_count(&testbed)), (2, 1));
    // A second update succeeds too.
    start_update(&testbed, &PARAMETERS).await.unwrap();
    advance(&testbed).await;
    assert!(is_done(&testbed).await);
    assert_eq!(request_count(&testbed), 2);
}

#[tokio::test]
async fn a_card_with_a_higher_counter_reports_it_in_a_failed_response() {
    let testbed = M2mTestbed::installed().await;
    testbed.card.lock().unwrap().sequence += 1;
    start_update(&testbed, &PARAMETERS).await.unwrap();
    advance(&testbed).await;
    assert_eq!(request_count(&testbed), 2);
    assert!(eis_entry(&testbed).is_empty());
    advance(&testbed).await;
    assert!(is_done(&testbed).await);
    assert!(!eis_entry(&testbed).is_empty());
}

#[tokio::test]
async fn after_a_lost_response_the_update_is_repeated_with_the_right_counter() {
    let testbed = M2mTestbed::installed().await;
    start_update(&testbed, &PARAMETERS).await.unwrap();
    let last_request = testbed.sent::<es3::UpdateConnectivityParametersRequest>(SM_SR).pop().unwrap();
    testbed.card.lock().unwrap().execute(&last_request.connectivity_parameters.0);
    end_with(&testbed, BaseResponse::expired(None, "no answer of the card")).await;
    assert!(matches!(state(&testbed).await, ConnectivityUpdate::UnderWay(_)));
    advance(&testbed).await;
    advance(&testbed).await;
    assert!(is_done(&testbed).await);
    assert_eq!(request_count(&testbed), 3);
}

#[tokio::test]
async fn an_update_without_response_fails_after_some_days() {
    let testbed = M2mTestbed::installed().await;
    start_update(&testbed, &PARAMETERS).await.unwrap();
    for last_request in 2..=4 {
        end_with(&testbed, BaseResponse::expired(None, "no answer of the card")).await;
        assert_eq!(request_count(&testbed), last_request);
    }
    end_with(&testbed, BaseResponse::expired(None, "no answer of the card")).await;
    let ConnectivityUpdate::Failed { why, .. } = state(&testbed).await else { panic!() };
    assert!(why.starts_with("EXPIRED 1.6/5.3"), "{why}");
    assert_eq!(request_count(&testbed), 4);
}

/// The state is that after an incomplete write: the request is missing from the outbox, but the
/// update is in the records.
#[tokio::test]
async fn an_update_whose_request_was_lost_blocks_the_next_only_until_its_deadline() {
    let testbed = M2mTestbed::installed().await;
    start_update(&testbed, &PARAMETERS).await.unwrap();
    delete_request(&testbed).await;
    testbed.advance_time(Duration::from_secs(24 * 3600)).await;
    assert!(start_update(&testbed, &PARAMETERS).await.is_err());
    testbed.advance_time(Duration::from_secs(2 * 3600)).await;
    let ConnectivityUpdate::Failed { why, .. } = state(&testbed).await else { panic!() };
    assert!(why.contains("it is unknown if the card has stored the parameters"), "{why}");
    start_update(&testbed, &PARAMETERS).await.unwrap();
    advance(&testbed).await;
    assert!(is_done(&testbed).await);
}

#[tokio::test]
async fn a_second_update_is_refused_during_the_first() {
    let testbed = M2mTestbed::installed().await;
    start_update(&testbed, &PARAMETERS).await.unwrap();
    let fault = start_update(&testbed, &[0xA1, 0x01, 0x01]).await.unwrap_err();
    assert!(fault.to_string().contains("another update of the profile is in progress"), "{fault}");
    assert_eq!(request_count(&testbed), 1);
    advance(&testbed).await;
    assert!(is_done(&testbed).await);
    start_update(&testbed, &[0xA1, 0x01, 0x01]).await.unwrap();
    advance(&testbed).await;
    assert_eq!(eis_entry(&testbed), [0x3A, 0x07, 3, 0xA1, 0x01, 0x01]);
}

#[tokio::test]
async fn an_update_fails_if_the_card_keeps_changing_its_counter() {
    let testbed = M2mTestbed::installed().await;
    start_update(&testbed, &PARAMETERS).await.unwrap();
    for _ in 0..3 {
        testbed.card.lock().unwrap().sequence += 1;
        advance(&testbed).await;
    }
    assert_eq!(request_count(&testbed), 3);
    assert!(matches!(state(&testbed).await, ConnectivityUpdate::Failed { .. }));
}

#[tokio::test]
async fn the_reason_of_a_failed_update_can_be_read() {
    let testbed = M2mTestbed::installed().await;
    for (base, expected) in [
        (failed(Status::EuiccTimeout), "FAILED 8.1/5.2"),
        (done(), "the response of the SM-SR does not contain the response of the eUICC"),
    ] {
        start_update(&testbed, &PARAMETERS).await.unwrap();
        end_with(&testbed, base).await;
        let ConnectivityUpdate::Failed { why, .. } = state(&testbed).await else { panic!() };
        assert!(why.starts_with(expected), "{why}");
    }
}

#[tokio::test]
async fn the_length_of_the_parameters_is_encoded_as_cards_expect() {
    let testbed = M2mTestbed::installed().await;
    for (octets, header) in [
        (254, vec![0x3A, 0x07, 254]),
        (255, vec![0x3A, 0x07, 0xFF, 0, 255]),
        (256, vec![0x3A, 0x07, 0xFF, 1, 0]),
        (65_506, vec![0x3A, 0x07, 0xFF, 0xFF, 0xE2]),
    ] {
        start_update(&testbed, &vec![0x5A; octets]).await.unwrap();
        advance(&testbed).await;
        assert!(is_done(&testbed).await, "{octets}");
        assert_eq!(eis_entry(&testbed), [header, vec![0x5A; octets]].concat());
    }
    let fault = start_update(&testbed, &vec![0x5A; 65_507]).await.unwrap_err();
    assert!(fault.to_string().contains("the parameters do not fit into one command"), "{fault}");
}

#[tokio::test]
async fn only_profiles_downloaded_through_this_sm_dp_can_be_updated() {
    let testbed = M2mTestbed::installed().await;
    let other = OTHER_ICCID.parse().unwrap();
    let fault = testbed
        .server()
        .update_connectivity_parameters(testbed.eid(), other, PARAMETERS.to_vec())
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("this SM-DP has not downloaded the profile to this eUICC"), "{fault}");
    testbed.run().await;
    assert!(testbed.elements(SM_SR).is_empty() && testbed.elements(OTHER_SM_SR).is_empty());
}
