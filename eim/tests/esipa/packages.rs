//! GetEimPackage: which package a device gets, and how often.

use std::time::Duration;

use eim::{
    NewDevice, NewOrder,
    records::{DataRequest, EimOperation, OrderState, Outcome, Package, ProfileOperation},
};
use rsp::{
    der::{Asn1, Null},
    finding::FindingKind,
    sgp32::{
        EuiccPackage, EuiccPackageRequest, Psmo, StateChangeCause,
        esipa::{EimPackageError, GetEimPackageRequest, GetEimPackageResponse},
    },
};

use super::support::*;

fn error(code: EimPackageError) -> GetEimPackageResponse {
    GetEimPackageResponse::EimPackageError(code)
}

// req: SGP.32-5.14.5-EidNotFound, SGP.32-5.14.5-InvalidEid, SGP.32-5.14.5-NoPackage
#[tokio::test]
async fn a_poll_without_a_package_gets_the_code_of_its_reason() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    for binding in BINDINGS {
        let ipa = testbed.ipa(binding);
        assert_eq!(ipa.poll(card.eid).await, error(EimPackageError::NO_EIM_PACKAGE_AVAILABLE));
        let other = certs::numbered_eid("89049032", 99).unwrap();
        assert_eq!(ipa.poll(other).await, error(EimPackageError::EID_NOT_FOUND));
        let invalid = format!("{}00", &other.to_string()[..30]).parse().unwrap();
        assert_eq!(ipa.poll(invalid).await, error(EimPackageError::INVALID_EID));
    }
}

#[tokio::test]
async fn a_registered_eid_with_wrong_check_digits_is_a_finding() {
    let testbed = Testbed::new();
    let eid = "89049032123451234512345678901234".parse().unwrap();
    testbed.eim.register(&NewDevice::new(eid)).await.unwrap();
    let package = testbed.ipa(Binding::Asn1).poll(eid).await;
    assert!(matches!(package, GetEimPackageResponse::IpaEuiccDataRequest(_)), "{package:?}");
    assert!(testbed.has_finding(FindingKind::EidCoding));
}

#[tokio::test]
async fn a_poll_without_an_eid_gets_its_code_in_both_bindings() {
    let testbed = Testbed::new();
    let mut json =
        rsp::sgp22::json::request("/gsma/rsp2/esipa/getEimPackage", VERSION, &serde_json::json!({}));
    let response = testbed.eim.handle(json.clone()).await;
    let body = String::from_utf8(response.body().to_vec()).unwrap();
    assert!(body.contains("2.2") && body.contains("eidValue"), "{body}");
    *json.uri_mut() = rsp::sgp32::esipa::asn1::PATH.parse().unwrap();
    *json.body_mut() = vec![0xBF, 0x4F, 0x02, 0x80, 0x00].into();
    let content_type = http::HeaderValue::from_static(rsp::sgp32::esipa::asn1::CONTENT_TYPE);
    json.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    let response = testbed.eim.handle(json).await;
    assert_eq!(response.body().as_ref(), error(EimPackageError::MISSING_EID).to_der());
}

// req: SGP.32-2.11.1.1-Signature, SGP.32-2.11.1.1-Counter
#[tokio::test]
async fn a_package_is_signed_for_the_card_and_counted() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let mut card = testbed.registered().await;
        let ipa = testbed.ipa(binding);
        let first = testbed.enable(&card).await;
        let second = testbed.order(&card, Package::EimOperations(vec![EimOperation::ListEim {}])).await;
        assert_eq!(testbed.state(&first).await, OrderState::Queued);
        for (number, id) in [&first, &second].into_iter().enumerate() {
            let package = ipa.package(card.eid).await;
            let signed = &package.euicc_package_signed;
            assert_eq!(signed.eim_transaction_id.as_ref(), Some(id));
            assert_eq!(signed.counter_value, 1 + i64::try_from(number).unwrap());
            assert!(matches!(testbed.state(id).await, OrderState::Delivered(_)));
            let result = card.execute(&package);
            let sequence = card.sequence;
            assert_eq!(ipa.provide_result(card.eid, result).await, acknowledged(&[sequence]));
            assert!(matches!(testbed.outcome(id).await, Outcome::EuiccPackage(_)));
        }
        assert_eq!(ipa.poll(card.eid).await, error(EimPackageError::NO_EIM_PACKAGE_AVAILABLE));
    }
}

// req: SGP.32-3.3.1-Repetition
#[tokio::test]
async fn a_package_is_repeated_octet_for_octet_until_its_result_arrives() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let id = testbed.enable(&card).await;
    let first = testbed.ipa(Binding::Asn1).package(card.eid).await;
    for binding in BINDINGS {
        testbed.wait(Duration::from_secs(60));
        assert_eq!(testbed.ipa(binding).package(card.eid).await.bytes(), first.bytes());
    }
    let OrderState::Delivered(delivery) = testbed.state(&id).await else { panic!("not delivered") };
    assert_eq!((delivery.times, delivery.counter), (4, Some(1)));
    let result = card.execute(&first);
    testbed.ipa(Binding::Json).provide_result(card.eid, result).await;
    assert!(matches!(testbed.outcome(&id).await, Outcome::EuiccPackage(_)));
}

#[tokio::test]
async fn a_package_that_expires_is_not_sent_any_more() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let list = || Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}]);
    let short = NewOrder { lifetime_seconds: Some(60), ..NewOrder::new(card.eid, list()) };
    let (never, sent) = (testbed.eim.order(&short).await.unwrap(), testbed.eim.order(&short).await.unwrap());
    let ipa = testbed.ipa(Binding::Asn1);
    ipa.package(card.eid).await;
    testbed.wait(Duration::from_secs(61));
    let last = testbed.order(&card, list()).await;
    let package = ipa.package(card.eid).await;
    assert_eq!(package.euicc_package_signed.eim_transaction_id, Some(last));
    assert!(matches!(testbed.state(&never).await, OrderState::Expired { delivery: Some(_) }));
    assert!(matches!(testbed.state(&sent).await, OrderState::Expired { delivery: None }));
}

#[tokio::test]
async fn the_counter_has_a_limit() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let mut device = NewDevice::new(card.eid);
    device.association_token = card.token;
    device.counter = rsp::sgp32::package::MAX_COUNTER - 1;
    testbed.eim.register(&device).await.unwrap();
    let ipa = testbed.ipa(Binding::Asn1);
    let GetEimPackageResponse::IpaEuiccDataRequest(request) = ipa.poll(card.eid).await else {
        panic!("no request")
    };
    ipa.provide(
        card.eid,
        rsp::sgp32::esipa::EimPackageResult::IpaEuiccDataResponse(Box::new(card.data(&request, &[]))),
    )
    .await;
    let (last, further) = (testbed.enable(&card).await, testbed.enable(&card).await);
    let package = ipa.package(card.eid).await;
    assert_eq!(package.euicc_package_signed.counter_value, rsp::sgp32::package::MAX_COUNTER);
    let mut card = card;
    let result = card.execute(&package);
    ipa.provide_result(card.eid, result).await;
    assert!(matches!(testbed.outcome(&last).await, Outcome::EuiccPackage(_)));
    assert_eq!(ipa.poll(card.eid).await, error(EimPackageError::NO_EIM_PACKAGE_AVAILABLE));
    let Outcome::NotSent(why) = testbed.outcome(&further).await else { panic!("the package was sent") };
    assert!(why.contains("counter"), "{why}");
}

// req: SGP.32-2.11.1.1-Constraints
#[tokio::test]
async fn an_order_that_violates_the_constraints_is_refused_unless_it_is_meant() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let enable = || ProfileOperation::Enable { iccid: iccid(), rollback: false };
    for operations in [
        vec![],
        vec![enable(), enable()],
        vec![enable(), ProfileOperation::ListProfileInfo {}],
        vec![ProfileOperation::Disable { iccid: iccid() }, ProfileOperation::Disable { iccid: iccid() }],
    ] {
        let order = NewOrder::new(card.eid, Package::ProfileOperations(operations.clone()));
        assert!(testbed.eim.order(&order).await.is_err(), "{operations:?}");
        testbed.eim.order(&NewOrder { unchecked: true, ..order }).await.unwrap();
    }
    let data = NewOrder::new(card.eid, Package::Data(DataRequest { elements: Vec::new() }));
    assert!(testbed.eim.order(&data).await.is_err());
    let unknown = certs::numbered_eid("89049032", 99).unwrap();
    let order = NewOrder::new(unknown, Package::Data(DataRequest::default()));
    assert!(testbed.eim.order(&order).await.is_err());
}

#[tokio::test]
async fn the_operations_of_an_order_have_the_tags_of_the_standard() {
    use ProfileOperation as Op;
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let operations = vec![
        Op::ListProfileInfo {},
        Op::GetRat {},
        Op::ConfigureImmediateEnable { allowed: true, smdp_oid: None, smdp_address: Some("a.b".into()) },
        Op::SetFallbackAttribute { iccid: iccid() },
        Op::UnsetFallbackAttribute {},
        Op::SetDefaultDpAddress { address: "a.b".into() },
        Op::Disable { iccid: iccid() },
        Op::Delete { iccid: iccid() },
        Op::Enable { iccid: iccid(), rollback: true },
    ];
    testbed.order(&card, Package::ProfileOperations(operations)).await;
    let package = testbed.ipa(Binding::Asn1).package(card.eid).await;
    let EuiccPackage::PsmoList(list) = &package.euicc_package_signed.euicc_package else { panic!("no PSMO") };
    let tags: Vec<String> = list.iter().map(|it| hex::encode(&it.bytes()[..2])).collect();
    for (tag, expected) in tags.iter().zip(["bf2d", "a600", "a7", "a8", "a900", "bf65", "a4", "a5", "a3"]) {
        assert!(tag.starts_with(expected), "{tag} is not {expected}");
    }
    let Psmo::Enable(enable) = list[8].decode().unwrap().into_value() else { panic!("no enable") };
    assert_eq!(enable.rollback_flag, Some(Null));
}

// req: SGP.32-5.14.5-StateChange
#[tokio::test]
async fn a_state_change_is_kept_and_another_device_is_asked_for_its_data() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let card = testbed.registered().await;
        let request = |cause| GetEimPackageRequest {
            eid_value: card.eid,
            notify_state_change: Some(Null),
            state_change_cause: Some(cause),
            r_plmn: Some([0x62, 0xF2, 0x10]),
        };
        let ipa = testbed.ipa(binding);
        let reply = ipa.poll_with(&request(StateChangeCause::FALLBACK)).await;
        assert_eq!(reply, error(EimPackageError::NO_EIM_PACKAGE_AVAILABLE));
        let device = testbed.eim.device(card.eid).await.unwrap().unwrap();
        assert_eq!(device.state_change.unwrap().cause, Some(StateChangeCause::FALLBACK));
        assert_eq!(device.r_plmn.unwrap().0, [0x62, 0xF2, 0x10]);
        let reply = ipa.poll_with(&request(StateChangeCause::DEVICE_CHANGE)).await;
        assert!(matches!(reply, GetEimPackageResponse::IpaEuiccDataRequest(_)), "{reply:?}");
    }
}

#[tokio::test]
async fn two_servers_on_the_same_records_give_one_package_and_one_counter() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    testbed.enable(&card).await;
    let ipa = testbed.ipa(Binding::Asn1);
    let (one, other) = tokio::join!(ipa.package(card.eid), ipa.package(card.eid));
    assert_eq!(one.bytes(), other.bytes());
    let parsed = EuiccPackageRequest::from_der(one.bytes()).unwrap();
    assert_eq!(parsed.euicc_package_signed.counter_value, 1);
}
