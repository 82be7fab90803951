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
    rig::{OTHER_SM_SR, Rig, SM_SR, done, failed},
    support::{ICCID, OTHER_ICCID},
};

const PARAMETERS: [u8; 3] = [0xA1, 0x01, 0x00];

fn iccid() -> Iccid {
    ICCID.parse().unwrap()
}

async fn begin(rig: &Rig, parameters: &[u8]) -> Result<(), world::Fault> {
    let begun = rig.server().update_connectivity_parameters(rig.eid(), iccid(), parameters.to_vec()).await;
    rig.run().await;
    begun
}

/// Executes the last request on the card and sends the response of the SM-SR.
async fn step(rig: &Rig) {
    let asked = rig.told::<es3::UpdateConnectivityParametersRequest>(SM_SR).pop().unwrap();
    let data = rig.card.lock().unwrap().execute(&asked.connectivity_parameters.0);
    let is_done = data.ends_with(&[0x90, 0x00]);
    // The SM-SR reports a script that ends with an error status word as failed and includes the
    // card's response.
    let base = if is_done { done() } else { failed(Status::IsdPExecutionError) };
    let euicc_response_data = Some(Octets(data));
    let response = es3::UpdateConnectivityParametersResponse { base, euicc_response_data };
    rig.say::<es3::UpdateConnectivityParameters>(response).await;
}

async fn end(rig: &Rig, base: BaseResponse) {
    let response = es3::UpdateConnectivityParametersResponse::only(base);
    rig.say::<es3::UpdateConnectivityParameters>(response).await;
}

async fn stands(rig: &Rig) -> ConnectivityUpdate {
    rig.server().connectivity_update(rig.eid(), iccid()).await.unwrap().unwrap()
}

async fn is_done(rig: &Rig) -> bool {
    matches!(stands(rig).await, ConnectivityUpdate::Done { .. })
}

/// Returns the DGI 3A07 that the card received last.
fn on_card(rig: &Rig) -> Vec<u8> {
    rig.card.lock().unwrap().connectivity.clone()
}

fn questions(rig: &Rig) -> usize {
    rig.told::<es3::UpdateConnectivityParametersRequest>(SM_SR).len()
}

/// Deletes the records of the pending request and of its deadline.
async fn lose_question(rig: &Rig) {
    for name in ["soap-asked", "soap-due"] {
        let collection: Collection<serde_json::Value> = Collection::new(name);
        let records = &rig.bench.records;
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
    let rig = Rig::installed().await;
    assert_eq!(rig.server().connectivity_update(rig.eid(), iccid()).await.unwrap(), None);
    begin(&rig, &PARAMETERS).await.unwrap();
    assert!(matches!(stands(&rig).await, ConnectivityUpdate::UnderWay(_)));
    step(&rig).await;
    assert!(is_done(&rig).await);
    assert_eq!(on_card(&rig), [0x3A, 0x07, 3, 0xA1, 0x01, 0x00]);
    assert_eq!((rig.card.lock().unwrap().sequence, questions(&rig)), (2, 1));
    // A second update succeeds too.
    begin(&rig, &PARAMETERS).await.unwrap();
    step(&rig).await;
    assert!(is_done(&rig).await);
    assert_eq!(questions(&rig), 2);
}

#[tokio::test]
async fn a_card_with_a_higher_counter_reports_it_in_a_failed_response() {
    let rig = Rig::installed().await;
    rig.card.lock().unwrap().sequence += 1;
    begin(&rig, &PARAMETERS).await.unwrap();
    step(&rig).await;
    assert_eq!(questions(&rig), 2);
    assert!(on_card(&rig).is_empty());
    step(&rig).await;
    assert!(is_done(&rig).await);
    assert!(!on_card(&rig).is_empty());
}

#[tokio::test]
async fn after_a_lost_response_the_update_is_repeated_with_the_right_counter() {
    let rig = Rig::installed().await;
    begin(&rig, &PARAMETERS).await.unwrap();
    let asked = rig.told::<es3::UpdateConnectivityParametersRequest>(SM_SR).pop().unwrap();
    rig.card.lock().unwrap().execute(&asked.connectivity_parameters.0);
    end(&rig, BaseResponse::expired(None, "no answer of the card")).await;
    assert!(matches!(stands(&rig).await, ConnectivityUpdate::UnderWay(_)));
    step(&rig).await;
    step(&rig).await;
    assert!(is_done(&rig).await);
    assert_eq!(questions(&rig), 3);
}

#[tokio::test]
async fn an_update_without_response_fails_after_some_days() {
    let rig = Rig::installed().await;
    begin(&rig, &PARAMETERS).await.unwrap();
    for asked in 2..=4 {
        end(&rig, BaseResponse::expired(None, "no answer of the card")).await;
        assert_eq!(questions(&rig), asked);
    }
    end(&rig, BaseResponse::expired(None, "no answer of the card")).await;
    let ConnectivityUpdate::Failed { why, .. } = stands(&rig).await else { panic!() };
    assert!(why.starts_with("EXPIRED 1.6/5.3"), "{why}");
    assert_eq!(questions(&rig), 4);
}

/// As after an incomplete write: the request is missing from the outbox, but the update is in the
/// records.
#[tokio::test]
async fn an_update_whose_request_was_lost_blocks_the_next_only_until_its_deadline() {
    let rig = Rig::installed().await;
    begin(&rig, &PARAMETERS).await.unwrap();
    lose_question(&rig).await;
    rig.pass(Duration::from_secs(24 * 3600)).await;
    assert!(begin(&rig, &PARAMETERS).await.is_err());
    rig.pass(Duration::from_secs(2 * 3600)).await;
    let ConnectivityUpdate::Failed { why, .. } = stands(&rig).await else { panic!() };
    assert!(why.contains("it is unknown if the card has stored the parameters"), "{why}");
    begin(&rig, &PARAMETERS).await.unwrap();
    step(&rig).await;
    assert!(is_done(&rig).await);
}

#[tokio::test]
async fn a_second_update_is_refused_during_the_first() {
    let rig = Rig::installed().await;
    begin(&rig, &PARAMETERS).await.unwrap();
    let fault = begin(&rig, &[0xA1, 0x01, 0x01]).await.unwrap_err();
    assert!(fault.to_string().contains("another update of the profile is in progress"), "{fault}");
    assert_eq!(questions(&rig), 1);
    step(&rig).await;
    assert!(is_done(&rig).await);
    begin(&rig, &[0xA1, 0x01, 0x01]).await.unwrap();
    step(&rig).await;
    assert_eq!(on_card(&rig), [0x3A, 0x07, 3, 0xA1, 0x01, 0x01]);
}

#[tokio::test]
async fn an_update_fails_if_the_card_keeps_changing_its_counter() {
    let rig = Rig::installed().await;
    begin(&rig, &PARAMETERS).await.unwrap();
    for _ in 0..3 {
        rig.card.lock().unwrap().sequence += 1;
        step(&rig).await;
    }
    assert_eq!(questions(&rig), 3);
    assert!(matches!(stands(&rig).await, ConnectivityUpdate::Failed { .. }));
}

#[tokio::test]
async fn the_reason_of_a_failed_update_can_be_read() {
    let rig = Rig::installed().await;
    for (base, expected) in [
        (failed(Status::EuiccTimeout), "FAILED 8.1/5.2"),
        (done(), "the response of the SM-SR does not contain the response of the eUICC"),
    ] {
        begin(&rig, &PARAMETERS).await.unwrap();
        end(&rig, base).await;
        let ConnectivityUpdate::Failed { why, .. } = stands(&rig).await else { panic!() };
        assert!(why.starts_with(expected), "{why}");
    }
}

#[tokio::test]
async fn the_length_of_the_parameters_is_encoded_as_cards_expect() {
    let rig = Rig::installed().await;
    for (octets, header) in [
        (254, vec![0x3A, 0x07, 254]),
        (255, vec![0x3A, 0x07, 0xFF, 0, 255]),
        (256, vec![0x3A, 0x07, 0xFF, 1, 0]),
        (65_506, vec![0x3A, 0x07, 0xFF, 0xFF, 0xE2]),
    ] {
        begin(&rig, &vec![0x5A; octets]).await.unwrap();
        step(&rig).await;
        assert!(is_done(&rig).await, "{octets}");
        assert_eq!(on_card(&rig), [header, vec![0x5A; octets]].concat());
    }
    let fault = begin(&rig, &vec![0x5A; 65_507]).await.unwrap_err();
    assert!(fault.to_string().contains("the parameters do not fit into one command"), "{fault}");
}

#[tokio::test]
async fn only_profiles_downloaded_through_this_sm_dp_can_be_updated() {
    let rig = Rig::installed().await;
    let other = OTHER_ICCID.parse().unwrap();
    let fault =
        rig.server().update_connectivity_parameters(rig.eid(), other, PARAMETERS.to_vec()).await.unwrap_err();
    assert!(fault.to_string().contains("this SM-DP has not downloaded the profile to this eUICC"), "{fault}");
    rig.run().await;
    assert!(rig.elements(SM_SR).is_empty() && rig.elements(OTHER_SM_SR).is_empty());
}
