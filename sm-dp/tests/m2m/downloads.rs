//! Tests of downloads to an M2M eUICC: their results at each step, and the records afterwards
//! (SGP.02 section 3.1).

use std::time::Duration;

use rsp::{
    StatusWord,
    ids::Iccid,
    ota::script::{Answer, Form, ResponseApdu, ScriptResponse},
    sgp02::{BaseResponse, SubscriptionAddress, es2, es3, status::Status},
};
use sm_dp::ProfileState;

use crate::{
    support::{ICCID, PROFILE_TYPE},
    testbed::{M2mTestbed, OPERATOR, OTHER_OPERATOR, SM_SR, Step, VALIDITY, done, failed, short_status},
};

/// Asserts that no download is in progress, that the eUICC has no ISD-P, and that the profile can
/// be ordered again.
async fn nothing_is_left(testbed: &M2mTestbed) {
    assert!(testbed.server().downloads().await.unwrap().is_empty());
    assert!(testbed.server().isd_ps(testbed.eid()).await.unwrap().is_empty());
    assert!(testbed.server().remnants(testbed.eid()).await.unwrap().is_empty());
    let profile = testbed.profile().await.unwrap();
    assert_eq!((profile.state, &profile.order), (ProfileState::Available, &None));
    testbed.set_eis(testbed.eis());
    testbed.order(OTHER_OPERATOR, testbed.request()).await;
    assert_eq!(testbed.last_request().element(), "ES3-CreateISDPRequest");
}

#[tokio::test]
async fn a_profile_is_downloaded_and_enabled() {
    let testbed = M2mTestbed::new().await;
    let address = SubscriptionAddress { imsi: None, msisdn: Some("491510000001".parse().unwrap()) };
    testbed.server().set_subscription_address(ICCID.parse().unwrap(), &address).await.unwrap();
    testbed.advance_to(Step::Enabling).await;
    let [completed] = &testbed.sent::<es3::ProfileDownloadCompletedRequest>(SM_SR)[..] else { panic!() };
    assert_eq!(completed.profile_type.as_deref(), Some(PROFILE_TYPE));
    assert_eq!(completed.subscription_address.as_ref(), Some(&address));
    // The secure session with the card ends with the last segments.
    let more: Vec<_> = testbed.sent::<es3::SendDataRequest>(SM_SR).iter().map(|it| it.more_to_do).collect();
    assert_eq!(more, [Some(true), Some(true), Some(true), Some(false)]);
    testbed.advance().await;
    let [response] = &testbed.sent::<es2::DownloadProfileResponse>(OPERATOR)[..] else { panic!() };
    assert_eq!(short_status(&response.base.function_execution_status), "EXECUTED_SUCCESS");
    assert_eq!(response.iccid, Some(ICCID.parse().unwrap()));
    let isd_ps = testbed.server().isd_ps(testbed.eid()).await.unwrap();
    let [isd_p] = isd_ps.as_slice() else { panic!() };
    assert_eq!(
        (&isd_p.operator, &isd_p.sm_sr, isd_p.sequence),
        (&testbed.id(OPERATOR), &testbed.id(SM_SR), 1)
    );
    let profile = testbed.profile().await.unwrap();
    assert_eq!(profile.state, ProfileState::Installed);
    assert_eq!(profile.order.unwrap().handed_to, Some(testbed.eid()));
}

#[tokio::test]
async fn an_installed_profile_that_is_not_enabled_is_a_warning() {
    let testbed = M2mTestbed::new().await;
    testbed.advance_to(Step::Enabling).await;
    testbed.end_with(failed(Status::Pol1Refused)).await;
    assert_eq!(testbed.download_status(OPERATOR), "EXECUTED_WITHWARNING 8.2.2/3.8");
    assert_eq!(testbed.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn a_failure_after_create_isdp_is_undone_before_the_operator_is_notified() {
    for at in Step::WITH_ISD_P.into_iter().filter(|at| *at != Step::IsdP) {
        let testbed = M2mTestbed::new().await;
        testbed.advance_to(at).await;
        testbed.end_with(failed(Status::EuiccTimeout)).await;
        let [delete] = &testbed.sent::<es3::DeleteIsdpRequest>(SM_SR)[..] else { panic!("{at:?}") };
        assert_eq!((delete.eid, delete.iccid), (testbed.eid(), ICCID.parse().unwrap()));
        assert!(testbed.elements(OPERATOR).is_empty(), "{at:?}");
        testbed.advance().await;
        assert_eq!(testbed.download_status(OPERATOR), "FAILED 8.1/5.2", "{at:?}");
        nothing_is_left(&testbed).await;
    }
}

#[tokio::test]
async fn a_failure_before_create_isdp_leaves_nothing_to_undo() {
    for at in [Step::Eis, Step::IsdP] {
        let testbed = M2mTestbed::new().await;
        testbed.advance_to(at).await;
        testbed.end_with(failed(Status::EuiccInsufficientMemory)).await;
        assert_eq!(testbed.download_status(OPERATOR), "FAILED 8.1/4.8", "{at:?}");
        assert!(testbed.sent::<es3::DeleteIsdpRequest>(SM_SR).is_empty(), "{at:?}");
        nothing_is_left(&testbed).await;
    }
}

#[tokio::test]
async fn an_isd_p_with_unknown_creation_result_is_deleted() {
    let testbed = M2mTestbed::new().await;
    testbed.advance_to(Step::IsdP).await;
    testbed.end_with(BaseResponse::expired(None, "no answer of the card")).await;
    assert_eq!(testbed.sent::<es3::DeleteIsdpRequest>(SM_SR).len(), 1);
    // The ISD-P was not created.
    testbed.end_with(failed(Status::IccidUnknown)).await;
    assert_eq!(testbed.download_status(OPERATOR), "EXPIRED 1.6/5.3");
    nothing_is_left(&testbed).await;
}

#[tokio::test]
async fn a_failed_order_by_type_returns_the_profile_to_the_stock() {
    let testbed = M2mTestbed::new().await;
    let by_type = es2::DownloadProfileRequest {
        iccid: None,
        profile_type: Some(PROFILE_TYPE.to_owned()),
        ..testbed.request()
    };
    testbed.remove_reply::<es3::GetEis>();
    testbed.order(OPERATOR, by_type.clone()).await;
    assert_eq!(testbed.state().await, ProfileState::Released);
    testbed.end_with(failed(Status::EidUnknown)).await;
    assert_eq!(testbed.download_status(OPERATOR), "FAILED 8.1.1/3.9");
    // The profile was the only one of its type, and another operator gets it now.
    testbed.set_eis(testbed.eis());
    testbed.order(OTHER_OPERATOR, by_type).await;
    let [create] = &testbed.sent::<es3::CreateIsdpRequest>(SM_SR)[..] else { panic!() };
    assert_eq!((create.iccid, &create.mno_id), (ICCID.parse().unwrap(), &testbed.id(OTHER_OPERATOR)));
}

/// Creates a testbed in which the profile may be on the card: ES3.DeleteISDP got no response.
async fn left_behind() -> M2mTestbed {
    let testbed = M2mTestbed::new().await;
    testbed.advance_to(Step::Segments).await;
    // The card has the profile, but its response is lost.
    testbed.advance_time(VALIDITY + Duration::from_secs(31)).await;
    assert_eq!(testbed.download_status(OPERATOR), "EXPIRED 1.6/5.3");
    assert_eq!(testbed.last_request().element(), "ES3-DeleteISDPRequest");
    testbed.advance_time(Duration::from_secs(24 * 3600 + 31)).await;
    assert!(testbed.server().downloads().await.unwrap().is_empty());
    let [(iccid, remnant)] = &testbed.server().remnants(testbed.eid()).await.unwrap()[..] else { panic!() };
    assert_eq!((iccid.to_string(), &remnant.operator), (ICCID.to_owned(), &testbed.id(OPERATOR)));
    testbed.clear_sent();
    testbed
}

#[tokio::test]
async fn a_profile_without_confirmed_deletion_cannot_go_to_another_card() {
    let testbed = left_behind().await;
    assert_eq!(testbed.state().await, ProfileState::Downloaded);
    for (from, code) in [(OPERATOR, "FAILED 8.2/3.7"), (OTHER_OPERATOR, "FAILED 8.2.1/1.2")] {
        testbed
            .order(from, es2::DownloadProfileRequest { eid: testbed.other_eid(), ..testbed.request() })
            .await;
        assert_eq!(testbed.download_status(from), code);
    }
    // The profile cannot be ordered over ES2+ either.
    let iccid: Iccid = ICCID.parse().unwrap();
    let es2plus = testbed.base.operator();
    let answer = es2plus.download_order(&testbed.base.server, Some(iccid), None, None).await;
    assert!(matches!(answer, rsp::sgp22::json::Answer::Refused(_)));
}

#[tokio::test]
async fn a_profile_left_by_a_failed_download_can_only_be_deleted() {
    for answer in [done(), failed(Status::IccidUnknown)] {
        let testbed = left_behind().await;
        let base = || testbed.request().base;
        let (eid, smsr_id, iccid) = (testbed.eid(), testbed.id(SM_SR), ICCID.parse().unwrap());
        let enable = es2::EnableProfileRequest { base: base(), eid, smsr_id: smsr_id.clone(), iccid };
        testbed.call::<es2::EnableProfile>(OPERATOR, enable).await;
        assert!(testbed.elements(SM_SR).is_empty());
        let delete = es2::DeleteProfileRequest { base: base(), eid, smsr_id, iccid };
        testbed.call::<es2::DeleteProfile>(OTHER_OPERATOR, delete.clone()).await;
        assert!(testbed.elements(SM_SR).is_empty());
        testbed.call::<es2::DeleteProfile>(OPERATOR, delete).await;
        testbed.end_with(answer).await;
        assert_eq!(testbed.sent::<es2::DeleteProfileResponse>(OPERATOR).len(), 1);
        nothing_is_left(&testbed).await;
    }
}

#[tokio::test]
async fn a_deletion_notification_of_the_sm_sr_removes_the_remnant() {
    let testbed = left_behind().await;
    let notification = es3::HandleProfileDeletedNotification {
        base: Default::default(),
        eid: testbed.eid(),
        iccid: ICCID.parse().unwrap(),
        mno_id: testbed.id(OPERATOR),
        completion_timestamp: testbed.base.now(),
    };
    testbed.notify(SM_SR, &notification).await;
    nothing_is_left(&testbed).await;
}

#[tokio::test]
async fn a_response_after_the_validity_period_ends_the_download() {
    for (at, late) in Step::WITH_ISD_P.into_iter().flat_map(|at| [(at, 0), (at, 5)]) {
        let testbed = M2mTestbed::new().await;
        testbed.advance_to(at).await;
        testbed.advance_time(VALIDITY + Duration::from_secs(late)).await;
        assert_eq!(testbed.download_status(OPERATOR), "EXPIRED 1.6/5.3", "{at:?}");
        assert!(
            testbed.sent::<es3::DeleteIsdpRequest>(SM_SR).is_empty(),
            "{at:?}: a response may still arrive"
        );
        // The regular response arrives.
        testbed.advance().await;
        assert_eq!(testbed.last_request().element(), "ES3-DeleteISDPRequest", "{at:?}");
        testbed.advance().await;
        assert_eq!(testbed.download_status(OPERATOR), "EXPIRED 1.6/5.3", "{at:?}");
        nothing_is_left(&testbed).await;
    }
}

#[tokio::test]
async fn a_request_without_response_ends_after_the_grace_period() {
    for at in Step::WITH_ISD_P {
        let testbed = M2mTestbed::new().await;
        testbed.advance_to(at).await;
        testbed.advance_time(VALIDITY + Duration::from_secs(29)).await;
        assert!(testbed.sent::<es3::DeleteIsdpRequest>(SM_SR).is_empty(), "{at:?}");
        testbed.advance_time(Duration::from_secs(2)).await;
        assert_eq!(testbed.last_request().element(), "ES3-DeleteISDPRequest", "{at:?}");
        testbed.advance().await;
        nothing_is_left(&testbed).await;
    }
}

#[tokio::test]
async fn a_repeated_response_is_ignored() {
    let testbed = M2mTestbed::new().await;
    testbed.advance_to(Step::RandomChallenge).await;
    let first = testbed.last_request();
    testbed.advance().await;
    let (last_request, download) = (testbed.elements(SM_SR), testbed.server().downloads().await.unwrap());
    testbed
        .reply_to::<es3::SendData>(
            &first,
            es3::SendDataResponse { base: failed(Status::EuiccTimeout), euicc_response_data: None },
        )
        .await;
    assert_eq!(
        (testbed.elements(SM_SR), testbed.server().downloads().await.unwrap()),
        (last_request, download)
    );
}

#[tokio::test]
async fn the_status_names_the_refusing_security_domain() {
    let script = |answers: Vec<Answer>| ScriptResponse::of(Form::Definite, answers).to_bytes();
    let apdu = |status| Answer::Apdu(ResponseApdu::status(status));
    let cases = [
        // The ECASD refuses the server's certificate.
        (
            Step::RandomChallenge,
            script(vec![apdu(StatusWord::OK), apdu(StatusWord::SECURITY_STATUS_NOT_SATISFIED)]),
            "8.8.1/6.1",
        ),
        // The ISD-R does not find the ISD-P.
        (Step::RandomChallenge, script(vec![apdu(StatusWord::REFERENCED_DATA_NOT_FOUND)]), "8.3/4.2"),
        // The ECASD refuses the server's signature.
        (Step::Receipt, script(vec![apdu(StatusWord::SECURITY_STATUS_NOT_SATISFIED)]), "8.5/4.2"),
        // The ISD-P refuses to open a secure channel.
        (Step::CardChallenge, script(vec![Answer::SecureChannel(vec![0x9F, 0x44, 1, 3])]), "8.3/4.2"),
        (Step::Segments, script(vec![Answer::SecureChannel(vec![0x9F, 0x45, 1, 2])]), "8.3/4.2"),
        // The response is not a script, or its R-MAC is wrong.
        (Step::Receipt, vec![1, 2, 3], "8.1/4.2"),
        (
            Step::Segments,
            script(vec![
                Answer::SecureChannel(vec![0x85, 0]),
                Answer::SecureChannel(vec![0x86, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
            ]),
            "8.1/4.2",
        ),
    ];
    for (at, answer, code) in cases {
        let testbed = M2mTestbed::new().await;
        testbed.advance_to(at).await;
        testbed.reply_of_card(answer).await;
        testbed.advance().await;
        assert_eq!(testbed.download_status(OPERATOR), format!("FAILED {code}"), "{at:?}");
        nothing_is_left(&testbed).await;
    }
}

#[tokio::test]
async fn a_response_without_a_required_element_is_a_failure() {
    for at in [Step::Eis, Step::IsdP, Step::Segments] {
        let testbed = M2mTestbed::new().await;
        testbed.advance_to(at).await;
        testbed.end_with(done()).await;
        if at != Step::Eis {
            testbed.advance().await;
        }
        assert_eq!(testbed.download_status(OPERATOR), "FAILED 8.7/4.2", "{at:?}");
        nothing_is_left(&testbed).await;
    }
}
