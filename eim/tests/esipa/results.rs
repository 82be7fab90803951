//! ProvideEimPackageResult: verification, acknowledgement and effect of results.

use eim::config::MAX_RECOVERY_REQUESTS;
use eim::records::{DataElement, DataRequest, EimConfiguration, EimOperation, OrderState, Outcome, Package};
use rsp::{
    der::{Asn1, Raw},
    finding::FindingKind,
    sgp32::{
        EuiccPackageResult, EuiccResultData,
        esipa::{
            EimPackageResult, EimPackageResultErrorCode, EimPackageResultResponseError,
            GetEimPackageResponse, MessageFromIpa, ProvideEimPackageResult, ProvideEimPackageResultError,
            ProvideEimPackageResultRequest, ProvideEimPackageResultResponse,
        },
        ipa_data::IpaEuiccDataResponse,
        result::{
            EnableProfileResult, EuiccPackageErrorCode, EuiccPackageResultSigned, RollbackProfileResult,
        },
    },
};

use super::support::*;

fn refused(code: ProvideEimPackageResultError) -> ProvideEimPackageResultResponse {
    ProvideEimPackageResultResponse::ProvideEimPackageResultError(code)
}

// req: SGP.32-3.3.1-Signature
#[tokio::test]
async fn a_result_that_does_not_verify_is_refused_and_the_order_waits() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let mut card = testbed.registered().await;
        let ipa = testbed.ipa(binding);
        let id = testbed.enable(&card).await;
        let package = ipa.package(card.eid).await;
        let EuiccPackageResult::EuiccPackageResultSigned(good) = card.execute(&package) else {
            panic!("not executed")
        };
        let mut signature = good.euicc_sign_epr.clone();
        signature[0] ^= 1;
        let wrong = EuiccPackageResultSigned { euicc_sign_epr: signature, ..good.clone() };
        let wrong = EuiccPackageResult::EuiccPackageResultSigned(wrong);
        assert_eq!(
            ipa.provide_result(card.eid, wrong).await,
            refused(ProvideEimPackageResultError::UNDEFINED_ERROR)
        );
        assert!(matches!(testbed.state(&id).await, OrderState::Delivered(_)));
        // The signature over another association token.
        card.token = Some(9);
        let other = card.sign((*good.euicc_package_result_data_signed).clone());
        assert_eq!(
            ipa.provide_result(card.eid, other).await,
            refused(ProvideEimPackageResultError::UNDEFINED_ERROR)
        );
        let good = EuiccPackageResult::EuiccPackageResultSigned(good);
        assert_eq!(ipa.provide_result(card.eid, good).await, acknowledged(&[1]));
    }
}

#[tokio::test]
async fn a_signature_in_der_is_accepted() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    testbed.enable(&card).await;
    let EuiccPackageResult::EuiccPackageResultSigned(mut result) =
        card.execute(&*ipa.package(card.eid).await)
    else {
        panic!("not executed")
    };
    result.euicc_sign_epr = crypto::Signature::from_slice(&result.euicc_sign_epr).unwrap().to_der();
    let result = EuiccPackageResult::EuiccPackageResultSigned(result);
    assert_eq!(ipa.provide_result(card.eid, result).await, acknowledged(&[1]));
    assert!(testbed.has_finding(FindingKind::DerSignature));
}

// req: SGP.32-5.14.6-Acknowledgements
#[tokio::test]
async fn a_repeated_result_is_acknowledged_again_and_changes_nothing() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Json);
    let id = testbed.enable(&card).await;
    let result = card.execute(&*ipa.package(card.eid).await);
    for _ in 0..2 {
        assert_eq!(ipa.provide_result(card.eid, result.clone()).await, acknowledged(&[1]));
    }
    let Outcome::EuiccPackage(stored) = testbed.outcome(&id).await else { panic!("no result") };
    assert_eq!(stored.0, result.to_der());
}

// req: SGP.32-3.3.2-Result
#[tokio::test]
async fn the_result_of_a_rollback_replaces_the_former_one() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    let id = testbed.enable(&card).await;
    let package = ipa.package(card.eid).await;
    let first = card.execute(&package);
    assert_eq!(ipa.provide_result(card.eid, first.clone()).await, acknowledged(&[1]));
    let EuiccPackageResult::EuiccPackageResultSigned(signed) = &first else { panic!("not executed") };
    let mut data = (*signed.euicc_package_result_data_signed).clone();
    data.seq_number = 2;
    data.euicc_result.push(Raw::new(EuiccResultData::RollbackResult(RollbackProfileResult::OK)).into());
    let second = card.sign(data);
    assert_eq!(ipa.provide_result(card.eid, second.clone()).await, acknowledged(&[2]));
    // The first result, delivered again, does not replace the second one.
    ipa.provide_result(card.eid, first).await;
    let Outcome::EuiccPackage(stored) = testbed.outcome(&id).await else { panic!("no result") };
    assert_eq!(stored.0, second.to_der());
}

#[tokio::test]
async fn a_result_without_a_transaction_id_is_matched_by_eid_and_counter() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    let id = testbed.enable(&card).await;
    let EuiccPackageResult::EuiccPackageResultSigned(signed) = card.execute(&*ipa.package(card.eid).await)
    else {
        panic!("not executed")
    };
    let mut data = (*signed.euicc_package_result_data_signed).clone();
    data.eim_transaction_id = None;
    assert_eq!(ipa.provide_result(card.eid, card.sign(data)).await, acknowledged(&[1]));
    assert!(matches!(testbed.outcome(&id).await, Outcome::EuiccPackage(_)));
    assert!(testbed.has_finding(FindingKind::EimTransactionIdMissing));
}

// req: SGP.32-3.3.1-UnknownResult
#[tokio::test]
async fn a_result_of_no_order_is_acknowledged_so_that_the_card_can_remove_it() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    testbed.enable(&card).await;
    let EuiccPackageResult::EuiccPackageResultSigned(signed) = card.execute(&*ipa.package(card.eid).await)
    else {
        panic!("not executed")
    };
    let mut data = (*signed.euicc_package_result_data_signed).clone();
    data.eim_transaction_id = Some("00".parse().unwrap());
    data.counter_value = 9;
    data.seq_number = 77;
    assert_eq!(ipa.provide_result(card.eid, card.sign(data)).await, acknowledged(&[77]));
    assert!(testbed.has_finding(FindingKind::ResultUnknown));
}

// req: SGP.32-3.3.1-EimId, SGP.32-3.3.1-Counter
#[tokio::test]
async fn a_result_needs_a_known_device_and_this_eim() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let mut card = testbed.registered().await;
        let ipa = testbed.ipa(binding);
        let id = testbed.enable(&card).await;
        let result = card.execute(&*ipa.package(card.eid).await);
        let unknown = certs::numbered_eid("89049032", 99).unwrap();
        assert_eq!(
            ipa.provide_result(unknown, result.clone()).await,
            refused(ProvideEimPackageResultError::EID_NOT_FOUND)
        );
        let EuiccPackageResult::EuiccPackageResultSigned(signed) = &result else { panic!("not executed") };
        let mut data = (*signed.euicc_package_result_data_signed).clone();
        data.eim_id = "another".to_owned();
        assert_eq!(
            ipa.provide_result(card.eid, card.sign(data.clone())).await,
            refused(ProvideEimPackageResultError::UNDEFINED_ERROR)
        );
        // The counter of another package, with the identifier of this one.
        data.eim_id = EIM_ID.to_owned();
        data.counter_value = 0;
        assert_eq!(
            ipa.provide_result(card.eid, card.sign(data)).await,
            refused(ProvideEimPackageResultError::UNDEFINED_ERROR)
        );
        // Without the EID, the order identifies the device.
        let request = ProvideEimPackageResultRequest {
            eid_value: None,
            eim_package_result: EimPackageResult::EuiccPackageResult(Box::new(Raw::new(result))),
        };
        let reply =
            ipa.call::<ProvideEimPackageResult>(&request, MessageFromIpa::ProvideEimPackageResult).await;
        assert_eq!(reply, acknowledged(&[1]));
        assert!(testbed.state(&id).await.is_ended());
        let nothing = EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
            eim_transaction_id: None,
            eim_package_result_error_code: EimPackageResultErrorCode::UNKNOWN_PACKAGE,
        });
        let request = ProvideEimPackageResultRequest { eid_value: None, eim_package_result: nothing };
        let reply =
            ipa.call::<ProvideEimPackageResult>(&request, MessageFromIpa::ProvideEimPackageResult).await;
        assert_eq!(reply, refused(ProvideEimPackageResultError::MISSING_EID));
    }
}

// req: SGP.32-3.3.1-OtherTransactionId, SGP.32-3.3.1-UnknownCounter
#[tokio::test]
async fn a_signed_result_with_other_numbers_ends_its_order() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    let executed = |result: EuiccPackageResult| match result {
        EuiccPackageResult::EuiccPackageResultSigned(signed) => {
            (*signed.euicc_package_result_data_signed).clone()
        }
        other => panic!("not executed: {other:?}"),
    };
    let first = testbed.enable(&card).await;
    let mut data = executed(card.execute(&*ipa.package(card.eid).await));
    data.eim_transaction_id = Some("00".parse().unwrap());
    assert_eq!(ipa.provide_result(card.eid, card.sign(data)).await, acknowledged(&[1]));
    assert!(testbed.state(&first).await.is_ended());
    assert!(testbed.has_finding(FindingKind::EimTransactionIdMissing));

    let second = testbed.enable(&card).await;
    let mut data = executed(card.execute(&*ipa.package(card.eid).await));
    data.counter_value = 7;
    assert_eq!(ipa.provide_result(card.eid, card.sign(data)).await, acknowledged(&[2]));
    assert!(testbed.state(&second).await.is_ended());
    assert!(testbed.has_finding(FindingKind::CounterUnknown));
    testbed.enable(&card).await;
    assert_eq!(ipa.package(card.eid).await.euicc_package_signed.counter_value, 8);
}

// req: SGP.32-3.3.1-NoResult
#[tokio::test]
async fn a_result_without_operations_is_accepted_if_the_card_keeps_no_other() {
    for keeps_another in [true, false] {
        let testbed = Testbed::new();
        let mut card = testbed.registered().await;
        let ipa = testbed.ipa(Binding::Asn1);
        let id = testbed.enable(&card).await;
        let result = card.execute(&*ipa.package(card.eid).await);
        let EuiccPackageResult::EuiccPackageResultSigned(signed) = &result else { panic!("{result:?}") };
        let mut data = (*signed.euicc_package_result_data_signed).clone();
        data.euicc_result.clear();
        let empty = card.sign(data);
        for _ in 0..2 {
            assert_eq!(ipa.provide_result(card.eid, empty.clone()).await, acknowledged(&[]));
            assert!(matches!(testbed.state(&id).await, OrderState::Recovering { .. }));
        }
        assert!(testbed.has_finding(FindingKind::ResultEmpty));
        for _ in 0..MAX_RECOVERY_REQUESTS {
            assert!(matches!(ipa.poll(card.eid).await, GetEimPackageResponse::IpaEuiccDataRequest(_)));
        }
        let outcome = match keeps_another {
            true => result,
            false => {
                ipa.poll(card.eid).await;
                empty
            }
        };
        assert_eq!(ipa.provide_result(card.eid, outcome.clone()).await, acknowledged(&[1]));
        assert_eq!(testbed.outcome(&id).await, Outcome::EuiccPackage(outcome.to_der().into()));
    }
}

#[tokio::test]
async fn an_ipa_that_cannot_process_a_package_ends_the_order() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let card = testbed.registered().await;
        let ipa = testbed.ipa(binding);
        let id = testbed.enable(&card).await;
        ipa.package(card.eid).await;
        let error = EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
            eim_transaction_id: Some(id.clone()),
            eim_package_result_error_code: EimPackageResultErrorCode::INVALID_PACKAGE_FORMAT,
        });
        assert_eq!(ipa.provide(card.eid, error).await, acknowledged(&[]));
        assert_eq!(testbed.outcome(&id).await, Outcome::RefusedByIpa(1));
    }
}

#[tokio::test]
async fn a_refusal_of_the_card_ends_the_order_with_its_code() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    let id = testbed.enable(&card).await;
    let package = ipa.package(card.eid).await;
    let refusal = card.refuse(&package, EuiccPackageErrorCode::ECALL_ACTIVE);
    assert_eq!(ipa.provide_result(card.eid, refusal.clone()).await, acknowledged(&[]));
    assert_eq!(testbed.outcome(&id).await, Outcome::EuiccPackage(refusal.to_der().into()));
    // A failed operation is a result, too.
    card.answers = vec![EuiccResultData::EnableResult(EnableProfileResult::CAT_BUSY)];
    let id = testbed.enable(&card).await;
    let result = card.execute(&*ipa.package(card.eid).await);
    ipa.provide_result(card.eid, result).await;
    assert!(matches!(testbed.outcome(&id).await, Outcome::EuiccPackage(_)));
}

// req: SGP.32-3.3.1-LostResult
#[tokio::test]
async fn the_lost_result_of_a_repeated_package_is_requested_from_the_card() {
    for kept in [true, false] {
        let testbed = Testbed::new();
        let mut card = testbed.registered().await;
        let ipa = testbed.ipa(Binding::Asn1);
        let id = testbed.enable(&card).await;
        // The device executes the package, and loses the result; then it executes the package again.
        let lost = card.execute(&*ipa.package(card.eid).await);
        let replay = card.execute(&*ipa.package(card.eid).await);
        assert_eq!(ipa.provide_result(card.eid, replay.clone()).await, acknowledged(&[]));
        assert!(matches!(testbed.state(&id).await, OrderState::Recovering { .. }));
        let GetEimPackageResponse::IpaEuiccDataRequest(request) = ipa.poll(card.eid).await else {
            panic!("the result is not requested")
        };
        assert_eq!(request.tag_list, [0xA2]);
        let IpaEuiccDataResponse::IpaEuiccData(mut data) = card.data(&request, &[]) else {
            panic!("no data")
        };
        data.euicc_package_result_list = kept.then(|| vec![Raw::new(lost.clone()).into()]);
        let data = IpaEuiccDataResponse::IpaEuiccData(data);
        let reply = ipa.provide(card.eid, EimPackageResult::IpaEuiccDataResponse(Box::new(data))).await;
        assert_eq!(reply, acknowledged(if kept { &[1] } else { &[] }));
        let expected = if kept { lost } else { replay };
        assert_eq!(testbed.outcome(&id).await, Outcome::EuiccPackage(expected.to_der().into()));
    }
}

// req: SGP.32-3.3.1-LostResult
#[tokio::test]
async fn an_ipa_that_cannot_return_a_lost_result_gets_its_next_order() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    let [id, next] = [testbed.enable(&card).await, testbed.enable(&card).await];
    card.execute(&*ipa.package(card.eid).await);
    let replay = card.execute(&*ipa.package(card.eid).await);
    ipa.provide_result(card.eid, replay.clone()).await;
    for _ in 0..MAX_RECOVERY_REQUESTS {
        assert!(matches!(ipa.poll(card.eid).await, GetEimPackageResponse::IpaEuiccDataRequest(_)));
    }
    let result = card.execute(&*ipa.package(card.eid).await);
    ipa.provide_result(card.eid, result.clone()).await;
    assert_eq!(testbed.outcome(&id).await, Outcome::EuiccPackage(replay.to_der().into()));
    assert_eq!(testbed.outcome(&next).await, Outcome::EuiccPackage(result.to_der().into()));
}

// req: SGP.32-2.11.2.1-Token
#[tokio::test]
async fn a_wrong_token_is_corrected_by_the_refusal_of_the_next_package() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    card.token = Some(7);
    let id = testbed.enable(&card).await;
    let error = card.execute(&*ipa.package(card.eid).await);
    assert!(matches!(error, EuiccPackageResult::EuiccPackageErrorUnsigned(_)));
    assert_eq!(ipa.provide_result(card.eid, error).await, acknowledged(&[]));
    assert!(testbed.state(&id).await.is_ended());
    let next = testbed.enable(&card).await;
    let result = card.execute(&*ipa.package(card.eid).await);
    assert_eq!(ipa.provide_result(card.eid, result).await, acknowledged(&[1]));
    assert!(matches!(testbed.outcome(&next).await, Outcome::EuiccPackage(_)));
}

#[tokio::test]
async fn a_refusal_without_another_token_leads_to_a_request_for_data() {
    for token in [None, Some(1)] {
        let testbed = Testbed::new();
        let mut card = testbed.registered().await;
        assert_eq!(card.token, Some(1));
        let ipa = testbed.ipa(Binding::Asn1);
        testbed.enable(&card).await;
        card.token = Some(7);
        let EuiccPackageResult::EuiccPackageErrorUnsigned(mut error) =
            card.execute(&*ipa.package(card.eid).await)
        else {
            panic!("the package is not refused")
        };
        error.association_token = token;
        ipa.provide_result(card.eid, EuiccPackageResult::EuiccPackageErrorUnsigned(error)).await;
        let next = testbed.enable(&card).await;
        let GetEimPackageResponse::IpaEuiccDataRequest(request) = ipa.poll(card.eid).await else {
            panic!("the data are not requested")
        };
        let data = EimPackageResult::IpaEuiccDataResponse(Box::new(card.data(&request, &[])));
        ipa.provide(card.eid, data).await;
        let result = card.execute(&*ipa.package(card.eid).await);
        assert_eq!(ipa.provide_result(card.eid, result).await, acknowledged(&[1]));
        assert!(matches!(testbed.outcome(&next).await, Outcome::EuiccPackage(_)));
    }
}

#[tokio::test]
async fn a_new_key_signs_only_after_the_card_has_accepted_it() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    testbed.order(&card, Package::EimOperations(vec![EimOperation::ReplaceOwnKey {}])).await;
    testbed.enable(&card).await;
    let result = card.execute(&*ipa.package(card.eid).await);
    ipa.provide_result(card.eid, result).await;
    card.eim_key = testbed.pki.eim(EIM_ID, &[EIM_ID.parse().unwrap()]).unwrap().signing[1].public_key();
    card.counter = 0;
    let package = ipa.package(card.eid).await;
    assert_eq!(package.euicc_package_signed.counter_value, 1);
    let result = card.execute(&package);
    assert_eq!(ipa.provide_result(card.eid, result).await, acknowledged(&[2]));
}

#[tokio::test]
async fn an_eim_that_adds_another_one_sends_its_whole_configuration() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    let other = EimConfiguration { eim_id: "second".to_owned(), ..testbed.eim.configuration() };
    let id = testbed.order(&card, Package::EimOperations(vec![EimOperation::AddEim(Box::new(other))])).await;
    let package = ipa.package(card.eid).await;
    let rsp::sgp32::EuiccPackage::EcoList(list) = &package.euicc_package_signed.euicc_package else {
        panic!("no eCO")
    };
    let rsp::sgp32::Eco::AddEim(data) = list[0].decode().unwrap().into_value() else { panic!("no addEim") };
    assert_eq!(
        (data.eim_id.as_str(), data.counter_value, data.association_token),
        ("second", Some(0), Some(-1))
    );
    assert!(data.eim_public_key_data.is_some() && data.trusted_public_key_data_tls.is_some());
    let result = card.execute(&package);
    ipa.provide_result(card.eid, result).await;
    assert!(matches!(testbed.outcome(&id).await, Outcome::EuiccPackage(_)));
}

// req: SGP.32-2.11.2.2-Data
#[tokio::test]
async fn data_are_stored_if_the_certificates_are_those_of_the_device() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let card = testbed.registered().await;
        let ipa = testbed.ipa(binding);
        let elements = vec![DataElement::EuiccCertificate, DataElement::EumCertificate];
        let id = testbed.order(&card, Package::Data(DataRequest { elements })).await;
        let GetEimPackageResponse::IpaEuiccDataRequest(request) = ipa.poll(card.eid).await else {
            panic!("no request")
        };
        assert_eq!(request.tag_list, [0xA6, 0xA5]);
        let other = testbed.pki.eids(crypto::Curve::P256)[1];
        let other = testbed.pki.euicc(crypto::Curve::P256, other).unwrap();
        let IpaEuiccDataResponse::IpaEuiccData(mut wrong) = card.data(&request, &[]) else {
            panic!("no data")
        };
        wrong.euicc_certificate = Some(rsp::ids::CertificateDer(other.euicc.certificate.der().to_vec()));
        let wrong = IpaEuiccDataResponse::IpaEuiccData(wrong);
        let reply = ipa.provide(card.eid, EimPackageResult::IpaEuiccDataResponse(Box::new(wrong))).await;
        assert_eq!(reply, refused(ProvideEimPackageResultError::UNDEFINED_ERROR));
        let good = EimPackageResult::IpaEuiccDataResponse(Box::new(card.data(&request, &[0, 1])));
        assert_eq!(ipa.provide(card.eid, good).await, acknowledged(&[]));
        assert!(matches!(testbed.outcome(&id).await, Outcome::Data(_)));
        let device = testbed.eim.device(card.eid).await.unwrap().unwrap();
        assert!(device.has_feature(1) && !device.has_feature(2));
        assert_eq!(device.association.token, card.token);
    }
}
