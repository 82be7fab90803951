//! Tests of ES2 functions that the SM-DP forwards over ES3: SGP.02 sections 5.3 and 5.4.

use http::{Response, StatusCode};
use rsp::sgp02::{
    BaseResponse, ExecutionStatus, Function, Message, Octets, Response as _, SubscriptionAddress,
    eis::{
        AuditTrail, Eis, Key, KeyComponent, Keyset, KeysetType, Pol2, Pol2Action, Pol2Qualification,
        Pol2Rule, Pol2Subject, SdRole, SecurityDomain,
    },
    es2, es3,
    status::Status,
};
use sm_dp::ProfileState;

use crate::{
    support::{ICCID, OTHER_ICCID},
    testbed::{
        M2mTestbed, OPERATOR, OTHER_OPERATOR, SM_SR, Step, decode_response, done, failed, short_status,
    },
};

/// Calls an asynchronous function that the SM-DP must refuse without calling the SM-SR. Returns the
/// status.
async fn refused<F: Function>(testbed: &M2mTestbed, from: &str, request: F::Request) -> String {
    testbed.clear_sent();
    let response = testbed.call::<F>(from, request).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert!(testbed.elements(SM_SR).iter().all(|element| !element.starts_with("ES3-")));
    let responses = testbed.sent::<F::Response>(from);
    let [only] = responses.as_slice() else { panic!("{responses:?}") };
    short_status(&only.base().function_execution_status)
}

/// Returns the status of a synchronous response.
fn how<R: rsp::sgp02::Response>(response: &Response<bytes::Bytes>) -> String {
    short_status(&decode_response::<R>(response).base().function_execution_status)
}

/// Defines tests of functions on a profile that the card executes.
macro_rules! on_a_profile {
    ($($test:ident: $last_request:ident $request:ident $response:ident => $forwarded:ident $on_request:ident $on_response:ident;)+) => { $(
        #[tokio::test]
        async fn $test() {
            let testbed = M2mTestbed::installed().await;
            let (eid, smsr_id) = (testbed.eid(), testbed.id(SM_SR));
            let request = |iccid: &str| {
                let (base, smsr_id, iccid) = (testbed.request().base, smsr_id.clone(), iccid.parse().unwrap());
                es2::$request { base, eid, smsr_id, iccid }
            };
            // Calls are refused for a profile of another operator, for a profile of another SM-DP,
            // with an unknown SM-SR, and from a caller that is not an operator.
            assert_eq!(refused::<es2::$last_request>(&testbed, OTHER_OPERATOR, request(ICCID)).await, "FAILED 8.2.1/1.2");
            assert_eq!(refused::<es2::$last_request>(&testbed, OPERATOR, request(OTHER_ICCID)).await, "FAILED 8.2.1/3.9");
            let elsewhere = es2::$request { smsr_id: "2.999.1".parse().unwrap(), ..request(ICCID) };
            assert_eq!(refused::<es2::$last_request>(&testbed, OPERATOR, elsewhere).await, "FAILED 8.7/3.9");
            assert_eq!(refused::<es2::$last_request>(&testbed, SM_SR, request(ICCID)).await, "FAILED 1.1/1.2");
            // A failure and a success are forwarded to the operator.
            for base in [failed(Status::Pol1Refused), done()] {
                testbed.clear_sent();
                testbed.call::<es2::$last_request>(OPERATOR, request(ICCID)).await;
                let [forwarded] = &testbed.sent::<es3::$on_request>(SM_SR)[..] else { panic!() };
                assert_eq!((forwarded.eid, forwarded.iccid.to_string()), (eid, ICCID.to_owned()));
                assert_eq!(forwarded.base.validity_period, request(ICCID).base.validity_period);
                let data = Some(Octets(vec![0xAB, 0x00]));
                let response = es3::$on_response { base: base.clone(), euicc_response_data: data };
                testbed.reply::<es3::$forwarded>(response).await;
                let [response] = &testbed.sent::<es2::$response>(OPERATOR)[..] else { panic!() };
                assert_eq!(response.base.function_execution_status, base.function_execution_status);
                // The schemas of ES2 have no place for the card's response.
                assert_eq!(response.euicc_response_data, None);
            }
        }
    )+ };
}

on_a_profile! {
    enable: EnableProfile EnableProfileRequest EnableProfileResponse
        => EnableProfile EnableProfileRequest EnableProfileResponse;
    disable: DisableProfile DisableProfileRequest DisableProfileResponse
        => DisableProfile DisableProfileRequest DisableProfileResponse;
    delete: DeleteProfile DeleteProfileRequest DeleteProfileResponse
        => DeleteIsdp DeleteIsdpRequest DeleteIsdpResponse;
    set_fall_back_attribute: SetFallBackAttribute SetFallBackAttributeRequest SetFallBackAttributeResponse
        => SetFallBackAttribute SetFallBackAttributeRequest SetFallBackAttributeResponse;
    set_emergency_profile_attribute:
        SetEmergencyProfileAttribute SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse
        => SetEmergencyProfileAttribute SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse;
}

#[tokio::test]
async fn only_a_deleted_profile_returns_to_the_stock() {
    for (base, state) in [
        (done(), ProfileState::Available),
        (failed(Status::IccidUnknown), ProfileState::Available),
        (failed(Status::Pol2Refused), ProfileState::Installed),
        (BaseResponse::expired(None, "no answer of the card"), ProfileState::Installed),
    ] {
        let testbed = M2mTestbed::installed().await;
        let (eid, smsr_id, iccid) = (testbed.eid(), testbed.id(SM_SR), ICCID.parse().unwrap());
        let request = es2::DeleteProfileRequest { base: testbed.request().base, eid, smsr_id, iccid };
        testbed.call::<es2::DeleteProfile>(OPERATOR, request).await;
        let is_expired = base.function_execution_status.status == ExecutionStatus::Expired;
        testbed.end_with(base).await;
        assert_eq!(testbed.state().await, state);
        let is_there = state == ProfileState::Installed;
        assert_eq!(testbed.server().isd_ps(eid).await.unwrap().len(), usize::from(is_there));
        let audits = testbed.sent::<es3::AuditEisRequest>(SM_SR).len();
        assert_eq!(audits, usize::from(is_expired), "only an unknown result needs an audit");
    }
}

/// The operator was informed that the result is unknown. The card is audited nevertheless.
#[tokio::test]
async fn an_audit_follows_a_deletion_without_response() {
    let installed = ProfileState::Installed;
    let has_it = |testbed: &M2mTestbed| es3::AuditEisResponse {
        base: done(),
        eis: Some(eis_with_internal_data(testbed)),
    };
    let has_none = |testbed: &M2mTestbed| es3::AuditEisResponse { base: done(), eis: Some(testbed.eis()) };
    let unknown = |_: &M2mTestbed| es3::AuditEisResponse::only(failed(Status::IccidUnknown));
    let unheard =
        |_: &M2mTestbed| es3::AuditEisResponse::only(BaseResponse::expired(None, "no answer of the card"));
    type Said = fn(&M2mTestbed) -> es3::AuditEisResponse;
    for (decode_response, state) in [
        (has_none as Said, ProfileState::Available),
        (unknown, ProfileState::Available),
        (has_it, installed),
        (unheard, installed),
    ] {
        let testbed = M2mTestbed::installed().await;
        let (eid, smsr_id, iccid) = (testbed.eid(), testbed.id(SM_SR), ICCID.parse().unwrap());
        let request = es2::DeleteProfileRequest { base: testbed.request().base, eid, smsr_id, iccid };
        testbed.call::<es2::DeleteProfile>(OPERATOR, request).await;
        testbed.end_with(BaseResponse::expired(None, "no answer of the card")).await;
        let [response] = &testbed.sent::<es2::DeleteProfileResponse>(OPERATOR)[..] else { panic!() };
        assert!(short_status(&response.base.function_execution_status).starts_with("EXPIRED"));
        let [last_request] = &testbed.sent::<es3::AuditEisRequest>(SM_SR)[..] else { panic!() };
        assert_eq!((last_request.eid, &last_request.iccid[..]), (eid, &[iccid][..]));
        testbed.reply::<es3::AuditEis>(decode_response(&testbed)).await;
        assert_eq!(testbed.state().await, state);
        assert_eq!(testbed.server().isd_ps(eid).await.unwrap().len(), usize::from(state == installed));
    }
}

#[tokio::test]
async fn policy_rules_are_updated() {
    let testbed = M2mTestbed::installed().await;
    let pol2 = Pol2 {
        rule: vec![Pol2Rule {
            subject: Pol2Subject::Profile,
            action: Pol2Action::Delete,
            qualification: Pol2Qualification::NotAllowed,
        }],
    };
    let request = |iccid: &str| es2::UpdatePolicyRulesRequest {
        base: testbed.request().base,
        eid: testbed.eid(),
        iccid: iccid.parse().unwrap(),
        smsr_id: testbed.id(SM_SR),
        pol2: Some(pol2.clone()),
    };
    type Said = es2::UpdatePolicyRulesResponse;
    let call =
        async |from, request| how::<Said>(&testbed.call::<es2::UpdatePolicyRules>(from, request).await);
    assert_eq!(call(OTHER_OPERATOR, request(ICCID)).await, "FAILED 8.2.1/1.2");
    assert_eq!(call(OPERATOR, request(OTHER_ICCID)).await, "FAILED 8.2.1/3.9");
    assert_eq!(call(SM_SR, request(ICCID)).await, "FAILED 1.1/1.2");
    assert!(testbed.elements(SM_SR).is_empty());
    // The SM-SR first does not respond, then refuses, and then succeeds.
    assert_eq!(call(OPERATOR, request(ICCID)).await, "FAILED 8.7/5.1");
    testbed.set_reply::<es3::UpdatePolicyRules>(es3::UpdatePolicyRulesResponse::only(failed(
        Status::Pol2Invalid,
    )));
    assert_eq!(call(OPERATOR, request(ICCID)).await, "FAILED 8.2.3/2.1");
    testbed.set_reply::<es3::UpdatePolicyRules>(es3::UpdatePolicyRulesResponse::only(done()));
    testbed.clear_sent();
    assert_eq!(call(OPERATOR, request(ICCID)).await, "EXECUTED_SUCCESS");
    let [last_request] = &testbed.sent::<es3::UpdatePolicyRulesRequest>(SM_SR)[..] else { panic!() };
    assert_eq!(
        (last_request.eid, last_request.iccid.to_string(), &last_request.pol2),
        (testbed.eid(), ICCID.to_owned(), &Some(pol2.clone()))
    );
}

#[tokio::test]
async fn the_subscription_address_is_updated() {
    let testbed = M2mTestbed::installed().await;
    let address = SubscriptionAddress { imsi: None, msisdn: Some("491510000001".parse().unwrap()) };
    let request = |iccid: &str| es2::UpdateSubscriptionAddressRequest {
        base: testbed.request().base,
        eid: testbed.eid(),
        smsr_id: testbed.id(SM_SR),
        iccid: iccid.parse().unwrap(),
        new_subscription_address: address.clone(),
    };
    type Said = es2::UpdateSubscriptionAddressResponse;
    let call = async |from, request| {
        how::<Said>(&testbed.call::<es2::UpdateSubscriptionAddress>(from, request).await)
    };
    assert_eq!(call(OTHER_OPERATOR, request(ICCID)).await, "FAILED 8.2.1/1.2");
    assert_eq!(call(OPERATOR, request(OTHER_ICCID)).await, "FAILED 8.2.1/3.9");
    assert!(testbed.elements(SM_SR).is_empty());
    assert_eq!(call(OPERATOR, request(ICCID)).await, "FAILED 8.7/5.1");
    let response = es3::UpdateSubscriptionAddressResponse::only(done());
    testbed.set_reply::<es3::UpdateSubscriptionAddress>(response);
    testbed.clear_sent();
    assert_eq!(call(OPERATOR, request(ICCID)).await, "EXECUTED_SUCCESS");
    let [last_request] = &testbed.sent::<es3::UpdateSubscriptionAddressRequest>(SM_SR)[..] else { panic!() };
    assert_eq!(
        (last_request.iccid.to_string(), &last_request.new_subscription_address),
        (ICCID.to_owned(), &address)
    );
}

/// Returns an EIS of an SM-SR that includes its internal data.
fn eis_with_internal_data(testbed: &M2mTestbed) -> Eis {
    let key = Key {
        index: 1,
        kcv: Octets(vec![1, 2, 3]),
        key_components: vec![KeyComponent { r#type: 0x88, value: Octets(vec![7; 16]) }],
    };
    let keyset = Keyset {
        version: 1,
        r#type: Some(KeysetType::Scp80),
        cntr: Some(7),
        key: vec![key],
        certificate: Vec::new(),
    };
    let isd_r = SecurityDomain { role: SdRole::IsdR, keyset: vec![keyset], ..testbed.signed_info().ecasd };
    let profile_info =
        vec![testbed.eis_entry(ICCID, OPERATOR), testbed.eis_entry(OTHER_ICCID, OTHER_OPERATOR)];
    Eis {
        profile_info,
        isd_r: Some(isd_r),
        audit_trail: Some(AuditTrail { record: Vec::new() }),
        ..testbed.eis()
    }
}

fn assert_operator_view(eis: &Eis) {
    let iccids: Vec<_> = eis.profile_info.iter().map(|profile| profile.iccid.to_string()).collect();
    assert_eq!(iccids, [ICCID]);
    let set = &eis.isd_r.as_ref().unwrap().keyset[0];
    assert_eq!((set.version, set.cntr), (1, None));
    assert!(set.key[0].kcv.0.is_empty() && set.key[0].key_components[0].value.0.is_empty());
    assert_eq!(eis.audit_trail, None);
}

#[tokio::test]
async fn an_operator_gets_only_its_own_part_of_the_eis() {
    let testbed = M2mTestbed::installed().await;
    testbed.set_eis(eis_with_internal_data(&testbed));
    let request =
        es2::GetEisRequest { base: testbed.request().base, eid: testbed.eid(), smsr_id: testbed.id(SM_SR) };
    let response: es2::GetEisResponse =
        decode_response(&testbed.call::<es2::GetEis>(OPERATOR, request.clone()).await);
    assert_operator_view(&response.eis.unwrap());
    // Another operator may read the EIS before it orders a profile.
    let response: es2::GetEisResponse =
        decode_response(&testbed.call::<es2::GetEis>(OTHER_OPERATOR, request.clone()).await);
    assert_eq!(response.eis.unwrap().profile_info.len(), 1);
    // req: SGP.02-5.3-Requester
    let response = testbed.call::<es2::GetEis>(SM_SR, request).await;
    assert_eq!(how::<es2::GetEisResponse>(&response), "FAILED 1.1/1.2");
}

#[tokio::test]
async fn an_audit_requires_a_profile_on_the_card_or_an_order() {
    let request = |testbed: &M2mTestbed, iccid: &[&str]| es2::AuditEisRequest {
        base: testbed.request().base,
        eid: testbed.eid(),
        iccid: iccid.iter().map(|iccid| iccid.parse().unwrap()).collect(),
        smsr_id: testbed.id(SM_SR),
    };
    let testbed = M2mTestbed::installed().await;
    assert_eq!(
        // req: SGP.02-5.3-Audit
        refused::<es2::AuditEis>(&testbed, OTHER_OPERATOR, request(&testbed, &[])).await,
        "FAILED 8.1.1/1.2"
    );
    assert_eq!(
        // req: SGP.02-5.3-Owner
        refused::<es2::AuditEis>(&testbed, OTHER_OPERATOR, request(&testbed, &[ICCID])).await,
        "FAILED 8.2.1/1.2"
    );
    assert_eq!(
        // req: SGP.02-5.3-NotDownloaded
        refused::<es2::AuditEis>(&testbed, OPERATOR, request(&testbed, &[OTHER_ICCID])).await,
        "FAILED 8.2.1/3.9"
    );
    testbed.clear_sent();
    testbed.call::<es2::AuditEis>(OPERATOR, request(&testbed, &[ICCID])).await;
    let [last_request] = &testbed.sent::<es3::AuditEisRequest>(SM_SR)[..] else { panic!() };
    assert_eq!(last_request.iccid, [ICCID.parse().unwrap()]);
    testbed
        .reply::<es3::AuditEis>(es3::AuditEisResponse {
            base: done(),
            eis: Some(eis_with_internal_data(&testbed)),
        })
        .await;
    let [response] = &testbed.sent::<es2::AuditEisResponse>(OPERATOR)[..] else { panic!() };
    assert_operator_view(response.eis.as_ref().unwrap());
    // An operator with a download in progress may audit that card, but not another one.
    let testbed = M2mTestbed::new().await;
    testbed.advance_to(Step::Segments).await;
    let elsewhere = es2::AuditEisRequest { eid: testbed.other_eid(), ..request(&testbed, &[]) };
    assert_eq!(refused::<es2::AuditEis>(&testbed, OPERATOR, elsewhere).await, "FAILED 8.1.1/1.2");
    testbed.clear_sent();
    testbed.call::<es2::AuditEis>(OPERATOR, request(&testbed, &[])).await;
    assert_eq!(testbed.last_request().element(), es3::AuditEisRequest::ELEMENT);
    testbed.reply::<es3::AuditEis>(es3::AuditEisResponse::only(failed(Status::EuiccTimeout))).await;
    let [response] = &testbed.sent::<es2::AuditEisResponse>(OPERATOR)[..] else { panic!() };
    assert_eq!(short_status(&response.base.function_execution_status), "FAILED 8.1/5.2");
}
