//! Tests of ES2+ from the operator's side: SGP.22 section 5.3, and of the HTTP layer that both
//! interfaces share (section 6).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod support;

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use certs::{Certificate, Role};
use crypto::Curve;
use http::{HeaderValue, Method, Request, StatusCode, header};
use rsp::sgp22::es2plus::{
    self, CancelOrderRequest, ConfirmOrderReply, ConfirmOrderRequest, DownloadOrderReply,
    DownloadOrderRequest, FinalProfileStatusIndicator, ReleaseProfileRequest,
};
use rsp::sgp22::es9plus;
use rsp::sgp22::json::{self, ExecutionStatus, NoOutput, RequestHeader, ResponseHeader};
use rsp::status::Status;
use rsp_server::Namespace;
use serde_json::{Value, json};
use sm_dp::{Operator as RegisteredOperator, ProfileOptions, ProfileState, Requesters};
use support::operator::Operator;
use support::{ADDRESS, Expect, ICCID, OTHER_ICCID, PROFILE_TYPE, Testbed, VERSION, raw};
use world::{
    BoxFuture, ChangeSet, Committed, Fault, KeyRange, MemoryRecords, Outcome, PeerCertificate, Records,
    Stored,
};

fn options() -> ProfileOptions {
    ProfileOptions::default()
}

fn iccid() -> rsp::ids::Iccid {
    ICCID.parse().unwrap()
}

async fn confirm(testbed: &Testbed, request: &ConfirmOrderRequest) -> json::Answer<ConfirmOrderReply> {
    testbed.operator().call(&testbed.server, "confirmOrder", request).await
}

/// Creates a testbed with an order without an EID.
async fn ordered() -> (Testbed, Operator) {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let operator = testbed.operator();
    operator.download_order(&testbed.server, Some(iccid()), None, None).await.done();
    (testbed, operator)
}

// --- Complete orders -----------------------------------------------------------------------------

#[tokio::test]
async fn an_order_goes_from_stock_to_released_step_by_step() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let operator = testbed.operator();
    assert_eq!(testbed.state().await, ProfileState::Available);
    let reply = operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await.done();
    assert_eq!(reply.iccid, iccid());
    assert_eq!(testbed.state().await, ProfileState::Allocated);
    let mut confirmation = operator.confirmation(iccid());
    confirmation.release_flag = false;
    let reply = confirm(&testbed, &confirmation).await.done();
    assert_eq!((reply.eid, reply.smdp_address.as_deref()), (None, Some(ADDRESS)));
    assert!(reply.matching_id.len() >= 16, "{}", reply.matching_id);
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
    assert!(reply.matching_id.bytes().all(allowed), "{}", reply.matching_id);
    assert_eq!(testbed.state().await, ProfileState::Confirmed);
    operator.release(&testbed.server, iccid()).await.done();
    assert_eq!(testbed.state().await, ProfileState::Released);
}

#[tokio::test]
async fn an_eid_given_with_the_order_links_the_profile_and_is_returned_by_confirm_order() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let operator = testbed.operator();
    let eid = testbed.euicc().eid;
    operator.download_order(&testbed.server, Some(iccid()), None, Some(eid)).await.done();
    assert_eq!(testbed.state().await, ProfileState::Linked);
    assert_eq!(confirm(&testbed, &operator.confirmation(iccid())).await.done().eid, Some(eid));
}

/// A MatchingID with fewer different characters is easier to guess.
#[tokio::test]
async fn generated_matching_ids_have_all_characters_of_the_alphabet() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let operator = testbed.operator();
    let mut characters = BTreeSet::new();
    for _ in 0..50 {
        characters.extend(testbed.order(|_| {}).await.chars());
        operator.cancel(&testbed.server, &operator.cancellation(iccid())).await.done();
    }
    assert_eq!(characters.len(), 32 + "-".len(), "{characters:?}");
}

#[tokio::test]
async fn a_matching_id_chosen_by_the_operator_is_used() {
    let (testbed, operator) = ordered().await;
    let mut confirmation = operator.confirmation(iccid());
    confirmation.matching_id = Some("04386-AGYFT-A74Y8-3F815".to_owned());
    let reply = confirm(&testbed, &confirmation).await.done();
    assert_eq!(reply.matching_id, "04386-AGYFT-A74Y8-3F815");
    testbed.euicc().try_authenticate(&testbed.server, &reply.matching_id).await.done();
}

#[tokio::test]
async fn orders_by_type_use_each_profile_once() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    testbed.stock(OTHER_ICCID, &options()).await;
    let operator = testbed.operator();
    let first = operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await.done().iccid;
    let second = operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await.done().iccid;
    assert_ne!(first, second);
    let third = operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await;
    assert_eq!(third.refused(), Status::ProfileTypeUnavailable);
}

#[tokio::test]
async fn concurrent_orders_by_type_get_different_profiles() {
    const ORDERS: usize = 300;
    let testbed = Testbed::over(Arc::new(Interleaved(MemoryRecords::default())), |_| {});
    for number in 0..ORDERS {
        testbed.stock(&format!("894900000000001{number:04}"), &options()).await;
    }
    let operator = Arc::new(testbed.operator());
    let mut orders = tokio::task::JoinSet::new();
    for _ in 0..ORDERS {
        let (server, operator) = (testbed.server.clone(), Arc::clone(&operator));
        orders.spawn(async move {
            operator.download_order(&server, None, Some(PROFILE_TYPE), None).await.done().iccid
        });
    }
    let mut iccids = orders.join_all().await;
    iccids.sort();
    iccids.dedup();
    assert_eq!(iccids.len(), ORDERS);
    let answer = operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await;
    assert_eq!(answer.refused(), Status::ProfileTypeUnavailable);
    // A cancelled profile can be ordered again.
    operator.cancel(&testbed.server, &operator.cancellation(iccids[7])).await.done();
    let reply = operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await.done();
    assert_eq!(reply.iccid, iccids[7]);
}

/// Records that yield before every reply, so that concurrent requests interleave.
struct Interleaved(MemoryRecords);

impl Records for Interleaved {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.read(collection, key).await
        })
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.first(collection, keys, most).await
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.commit(changes).await
        })
    }
}

// --- Refusals ------------------------------------------------------------------------------------

#[tokio::test]
async fn download_order_refuses_each_defect_with_its_status() {
    let (testbed, operator) = ordered().await;
    let other = OTHER_ICCID.parse().unwrap();
    testbed.stock(OTHER_ICCID, &ProfileOptions { profile_type: Some("gold".to_owned()), ..options() }).await;
    for (case, iccid, profile_type, status) in [
        // req: SGP.22-5.3.1-NoProfile
        ("neither ICCID nor type", None, None, Status::ElementMissing),
        // req: SGP.22-5.3.1-IccidUnknown
        ("unknown ICCID", Some("8949000000000000993".parse().unwrap()), None, Status::IccidUnknown),
        // req: SGP.22-5.3.1-IccidInUse
        ("already ordered", Some(iccid()), None, Status::IccidInUse),
        // req: SGP.22-5.3.1-TypeMismatch
        ("ICCID of another type", Some(other), Some("silver"), Status::ProfileTypeMismatch),
        // req: SGP.22-5.3.1-TypeUnknown
        ("unknown type", None, Some("silver"), Status::ProfileTypeUnknown),
        // req: SGP.22-5.3.1-TypeUnavailable
        ("no profile of the type available", None, Some(PROFILE_TYPE), Status::ProfileTypeUnavailable),
    ] {
        let answer = operator.download_order(&testbed.server, iccid, profile_type, None).await;
        assert_eq!(answer.refused(), status, "{case}");
    }
}

#[tokio::test]
async fn confirm_order_refuses_each_defect_with_its_status_and_changes_nothing() {
    type Change = fn(&Testbed, &mut ConfirmOrderRequest);
    let cases: [(&str, Status, Change); 6] = [
        // req: SGP.22-5.3.2-IccidUnknown
        ("unknown ICCID", Status::IccidUnknown, |_, it| it.iccid = "8949000000000000993".parse().unwrap()),
        // req: SGP.22-5.3.2-Transition
        ("not ordered", Status::IccidInvalidTransition, |_, it| {
            it.iccid = "8949000000000000035".parse().unwrap();
        }),
        // req: SGP.22-5.3.2-EidAssociation
        ("another EID than ordered", Status::EidAssociation, |testbed, it| {
            it.eid = Some(testbed.numbered_euicc(Curve::P256, 1).eid);
        }),
        // req: SGP.22-5.3.2-MatchingIdInUse
        ("the MatchingID of another order", Status::MatchingIdInUse, |_, it| {
            it.matching_id = Some("TAKEN".to_owned());
        }),
        // req: SGP.22-5.3.2-MatchingIdFormat
        ("a MatchingID in lower case", Status::FormatInvalid, |_, it| {
            it.matching_id = Some("lower".to_owned());
        }),
        // req: SGP.22-5.3.2-SmdsAddress
        ("an unreachable SM-DS", Status::SmdsInaccessible, |_, it| {
            it.smds_address = Some("smds.landfall.example".to_owned());
        }),
    ];
    for (case, status, change) in cases {
        let testbed = Testbed::new();
        let operator = testbed.operator();
        for iccid in [ICCID, OTHER_ICCID, "8949000000000000035"] {
            testbed.stock(iccid, &options()).await;
        }
        let other = OTHER_ICCID.parse().unwrap();
        operator.download_order(&testbed.server, Some(other), None, None).await.done();
        let mut taken = operator.confirmation(other);
        taken.matching_id = Some("TAKEN".to_owned());
        confirm(&testbed, &taken).await.done();
        let eid = Some(testbed.euicc().eid);
        operator.download_order(&testbed.server, Some(iccid()), None, eid).await.done();
        let before = testbed.profile().await;
        let mut request = operator.confirmation(iccid());
        change(&testbed, &mut request);
        assert_eq!(confirm(&testbed, &request).await.refused(), status, "{case}");
        assert_eq!(testbed.profile().await, before, "{case}");
    }
    let (testbed, operator) = ordered().await;
    let mut request = operator.confirmation(iccid());
    request.matching_id = Some(String::new());
    // req: SGP.22-5.3.2-EidMissing
    assert_eq!(confirm(&testbed, &request).await.refused(), Status::EidMissing, "the order has no EID");
    confirm(&testbed, &operator.confirmation(iccid())).await.done();
    let again = confirm(&testbed, &operator.confirmation(iccid())).await;
    assert_eq!(again.refused(), Status::IccidInvalidTransition, "already confirmed");
}

// req: SGP.22-5.3.2-MatchingIdLength
#[tokio::test]
async fn a_matching_id_must_fit_into_an_activation_code() {
    // The format is 1$ADDRESS$MATCHINGID, followed by $$1 if a confirmation code is required.
    let room = 255 - "1$$".len() - ADDRESS.len();
    for (length, confirmation_code, fits) in [
        (room, None, true),
        (room + 1, None, false),
        (room, Some("1234"), false),
        (room - 3, Some("1234"), true),
        (room, Some(""), true),
    ] {
        let (testbed, operator) = ordered().await;
        let mut request = operator.confirmation(iccid());
        request.matching_id = Some("A".repeat(length));
        request.confirmation_code = confirmation_code.map(str::to_owned);
        let answer = confirm(&testbed, &request).await;
        match fits {
            true => drop(answer.done()),
            false => assert_eq!(answer.refused(), Status::FormatInvalid, "{length}, {confirmation_code:?}"),
        }
    }
}

/// If a request has several defects, the reply names the first one in the order of the standard's
/// text.
#[tokio::test]
async fn a_refusal_names_the_first_of_several_defects() {
    let testbed = Testbed::new();
    for iccid in [ICCID, OTHER_ICCID] {
        testbed.stock(iccid, &options()).await;
    }
    let (operator, other) = (testbed.operator(), Operator::new(&testbed.pki, "Another Operator"));
    let unknown = "8949000000000000993".parse().unwrap();
    let (right, wrong) = (testbed.euicc().eid, testbed.numbered_euicc(Curve::P256, 1).eid);
    operator.download_order(&testbed.server, Some(iccid()), None, Some(right)).await.done();
    let taken = ConfirmOrderRequest {
        matching_id: Some("TAKEN".to_owned()),
        ..operator.confirmation(OTHER_ICCID.parse().unwrap())
    };
    operator.download_order(&testbed.server, Some(taken.iccid), None, None).await.done();
    confirm(&testbed, &taken).await.done();

    // Order of checks: requester, ICCID, owner, type, state.
    let impostor = Operator { identifier: "2.999.1".to_owned(), ..testbed.operator() };
    for (case, operator, iccid, status) in [
        ("requester, ICCID", &impostor, unknown, Status::RequesterNotAllowed),
        ("ICCID, type", &operator, unknown, Status::IccidUnknown),
        ("owner, type", &other, iccid(), Status::IccidNotAllowed),
        ("type, state", &operator, iccid(), Status::ProfileTypeMismatch),
    ] {
        let answer = operator.download_order(&testbed.server, Some(iccid), Some("gold"), None).await;
        assert_eq!(answer.refused(), status, "DownloadOrder: {case}");
    }
    // Order of checks: ICCID, state, EID, MatchingID, SM-DS.
    let everything = ConfirmOrderRequest {
        iccid: unknown,
        eid: Some(wrong),
        matching_id: Some("TAKEN".to_owned()),
        smds_address: Some("not an address".to_owned()),
        ..operator.confirmation(iccid())
    };
    let less = ConfirmOrderRequest { iccid: taken.iccid, ..everything.clone() };
    let still_less = ConfirmOrderRequest { iccid: iccid(), ..everything.clone() };
    let little = ConfirmOrderRequest { eid: None, ..still_less.clone() };
    let least = ConfirmOrderRequest { matching_id: None, ..little.clone() };
    for (request, status) in [
        (everything, Status::IccidUnknown),
        (less, Status::IccidInvalidTransition),
        (still_less, Status::EidAssociation),
        (little, Status::MatchingIdInUse),
        (least, Status::SmdsInaccessible),
    ] {
        assert_eq!(confirm(&testbed, &request).await.refused(), status, "ConfirmOrder");
    }
    // Order of checks: ICCID, EID, MatchingID, state.
    let euicc = testbed.euicc();
    let confirmation = operator.confirmation(iccid());
    let code = confirm(&testbed, &confirmation).await.done().matching_id;
    euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let everything = CancelOrderRequest {
        iccid: unknown,
        eid: Some(wrong),
        matching_id: Some("ANOTHER".to_owned()),
        ..operator.cancellation(iccid())
    };
    let less = CancelOrderRequest { iccid: iccid(), ..everything.clone() };
    let little = CancelOrderRequest { eid: Some(right), ..less.clone() };
    let least = CancelOrderRequest { matching_id: None, ..little.clone() };
    for (request, status) in [
        (everything, Status::IccidUnknown),
        (less, Status::EidAssociation),
        (little, Status::MatchingIdAssociation),
        (least, Status::IccidInvalidTransition),
    ] {
        assert_eq!(operator.cancel(&testbed.server, &request).await.refused(), status, "CancelOrder");
    }
}

/// Version 3 has added fields to these functions, and later versions will add more.
#[tokio::test]
async fn unknown_fields_are_ignored_and_identifier_variants_are_accepted() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let operator = testbed.operator();
    let header = || serde_json::to_value(operator.header()).unwrap();
    // The ICCID has 19 digits and a filler, as older operators write it.
    let padded = format!("{ICCID}F");
    let eid = testbed.euicc().eid.to_string();
    let order = json!({
        "header": header(), "iccid": padded, "eid": eid, "profileType": PROFILE_TYPE,
        "laterField": {"a": [1, 2]}, "dpiEnabled": true,
    });
    let reply: Value = operator.call(&testbed.server, "downloadOrder", &order).await.done();
    assert_eq!(reply["iccid"].as_str().unwrap().trim_end_matches('F'), ICCID);
    let confirmation = json!({
        "header": header(), "iccid": ICCID, "releaseFlag": false, "rootSmdsAddress": "x", "smdsAddress": null,
        "eid": null,
    });
    let reply: Value = operator.call(&testbed.server, "confirmOrder", &confirmation).await.done();
    assert_eq!(reply["eid"], eid);
    let release = json!({"header": header(), "iccid": ICCID, "later": 1});
    operator.call::<NoOutput>(&testbed.server, "releaseProfile", &release).await.done();
    let cancellation = json!({
        "header": header(), "iccid": ICCID, "eid": eid, "finalProfileStatusIndicator": "Available", "later": 1,
    });
    operator.call::<NoOutput>(&testbed.server, "cancelOrder", &cancellation).await.done();
}

#[tokio::test]
async fn invalid_and_missing_elements_have_different_statuses() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let operator = testbed.operator();
    let good = |function: &str| {
        let header = serde_json::to_value(operator.header()).unwrap();
        match function {
            "downloadOrder" => json!({"header": header, "iccid": ICCID}),
            "confirmOrder" => json!({"header": header, "iccid": ICCID, "releaseFlag": true}),
            "cancelOrder" => {
                json!({"header": header, "iccid": ICCID, "finalProfileStatusIndicator": "Available"})
            }
            _ => json!({"header": header, "iccid": ICCID}),
        }
    };
    for (function, field, value, status) in [
        ("downloadOrder", "header", None, Status::ElementMissing),
        ("downloadOrder", "iccid", Some(json!("8949X")), Status::FormatInvalid),
        ("downloadOrder", "iccid", Some(json!("894900000000000000X")), Status::FormatInvalid),
        ("downloadOrder", "eid", Some(json!("1234")), Status::FormatInvalid),
        ("confirmOrder", "iccid", None, Status::ElementMissing),
        ("confirmOrder", "releaseFlag", None, Status::ElementMissing),
        ("confirmOrder", "releaseFlag", Some(json!("true")), Status::FormatInvalid),
        ("cancelOrder", "iccid", None, Status::ElementMissing),
        ("cancelOrder", "finalProfileStatusIndicator", None, Status::ElementMissing),
        ("cancelOrder", "finalProfileStatusIndicator", Some(json!("Released")), Status::FormatInvalid),
        ("releaseProfile", "iccid", None, Status::ElementMissing),
        ("releaseProfile", "header", Some(json!({})), Status::ElementMissing),
    ] {
        let mut body = good(function);
        match value {
            Some(value) => body[field] = value,
            None => drop(body.as_object_mut().unwrap().remove(field)),
        }
        let answer = operator.call::<NoOutput>(&testbed.server, function, &body).await;
        assert_eq!(answer.refused(), status, "{function}: {field}");
    }
    assert_eq!(testbed.state().await, ProfileState::Available);
}

#[tokio::test]
async fn release_profile_refuses_each_defect_with_its_status() {
    let (testbed, operator) = ordered().await;
    let unknown = "8949000000000000993".parse().unwrap();
    // req: SGP.22-5.3.4-IccidUnknown
    assert_eq!(operator.release(&testbed.server, unknown).await.refused(), Status::IccidUnknown);
    // req: SGP.22-5.3.4-Transition
    let early = operator.release(&testbed.server, iccid()).await;
    assert_eq!(early.refused(), Status::IccidInvalidTransition, "not confirmed");
    confirm(&testbed, &operator.confirmation(iccid())).await.done();
    let late = operator.release(&testbed.server, iccid()).await;
    assert_eq!(late.refused(), Status::IccidInvalidTransition, "already released");
}

#[tokio::test]
async fn an_operator_cannot_change_the_order_of_another() {
    let (testbed, operator) = ordered().await;
    let other = Operator::new(&testbed.pki, "Another Operator");
    let before = testbed.profile().await;
    // req: SGP.22-5.3.1-OtherOperator
    let answer = other.download_order(&testbed.server, Some(iccid()), None, None).await;
    assert_eq!(answer.refused(), Status::IccidNotAllowed);
    // req: SGP.22-5.3.2-OtherOperator
    let answer: json::Answer<ConfirmOrderReply> =
        other.call(&testbed.server, "confirmOrder", &other.confirmation(iccid())).await;
    assert_eq!(answer.refused(), Status::IccidNotAllowed);
    // req: SGP.22-5.3.4-OtherOperator
    assert_eq!(other.release(&testbed.server, iccid()).await.refused(), Status::IccidNotAllowed);
    // req: SGP.22-5.3.3-OtherOperator
    let answer = other.cancel(&testbed.server, &other.cancellation(iccid())).await;
    assert_eq!(answer.refused(), Status::IccidNotAllowed);
    assert_eq!(testbed.profile().await, before);
    operator.cancel(&testbed.server, &operator.cancellation(iccid())).await.done();
}

#[tokio::test]
async fn cancel_order_refuses_each_defect_with_its_status_and_changes_nothing() {
    type Change = fn(&Testbed, &mut CancelOrderRequest);
    let cases: [(&str, Status, Change); 5] = [
        ("unknown ICCID", Status::IccidUnknown, |_, it| it.iccid = "8949000000000000993".parse().unwrap()),
        // req: SGP.22-5.3.3-IccidUnknown
        ("not ordered", Status::IccidUnknown, |_, it| it.iccid = OTHER_ICCID.parse().unwrap()),
        // req: SGP.22-5.3.3-EidMissing
        ("the order has an EID and none is given", Status::EidMissing, |_, it| it.eid = None),
        // req: SGP.22-5.3.3-EidAssociation
        ("another EID", Status::EidAssociation, |testbed, it| {
            it.eid = Some(testbed.numbered_euicc(Curve::P256, 1).eid);
        }),
        // req: SGP.22-5.3.3-MatchingIdAssociation
        ("another MatchingID", Status::MatchingIdAssociation, |_, it| {
            it.matching_id = Some("ANOTHER".to_owned());
        }),
    ];
    for (case, status, change) in cases {
        let testbed = Testbed::new();
        testbed.stock(ICCID, &options()).await;
        testbed.stock(OTHER_ICCID, &options()).await;
        let eid = Some(testbed.euicc().eid);
        testbed.order(|confirm| confirm.eid = eid).await;
        let before = testbed.profile().await;
        let operator = testbed.operator();
        let mut request = CancelOrderRequest { eid, ..operator.cancellation(iccid()) };
        change(&testbed, &mut request);
        assert_eq!(operator.cancel(&testbed.server, &request).await.refused(), status, "{case}");
        assert_eq!(testbed.profile().await, before, "{case}");
    }
}

#[tokio::test]
async fn cancelling_an_order_sets_the_requested_profile_state_and_invalidates_the_activation_code() {
    for (indicator, after) in [
        (FinalProfileStatusIndicator::Available, ProfileState::Available),
        (FinalProfileStatusIndicator::Unavailable, ProfileState::Unavailable),
    ] {
        let testbed = Testbed::new();
        let code = testbed.released(&options()).await;
        let operator = testbed.operator();
        let request = CancelOrderRequest {
            final_profile_status_indicator: indicator,
            matching_id: Some(code.clone()),
            ..operator.cancellation(iccid())
        };
        operator.cancel(&testbed.server, &request).await.done();
        assert_eq!(testbed.state().await, after);
        let answer = testbed.euicc().try_authenticate(&testbed.server, &code).await;
        assert_eq!(answer.refused(), Status::MatchingIdRefused);
        let again = operator.download_order(&testbed.server, Some(iccid()), None, None).await;
        match after {
            ProfileState::Available => drop(again.done()),
            _ => assert_eq!(again.refused(), Status::IccidInUse),
        }
    }
}

#[tokio::test]
async fn the_matching_id_of_a_cancelled_order_can_be_used_again() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    testbed.stock(OTHER_ICCID, &options()).await;
    testbed.order(|confirm| confirm.matching_id = Some("AGAIN".to_owned())).await;
    let operator = testbed.operator();
    operator.cancel(&testbed.server, &operator.cancellation(iccid())).await.done();
    let other = OTHER_ICCID.parse().unwrap();
    operator.download_order(&testbed.server, Some(other), None, None).await.done();
    let mut confirmation = operator.confirmation(other);
    confirmation.matching_id = Some("AGAIN".to_owned());
    confirm(&testbed, &confirmation).await.done();
}

// req: SGP.22-5.3.3-Transition
#[tokio::test]
async fn an_order_cannot_be_cancelled_after_the_package_was_delivered() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let operator = testbed.operator();
    let answer = operator.cancel(&testbed.server, &operator.cancellation(iccid())).await;
    assert_eq!(answer.refused(), Status::IccidInvalidTransition);
    assert_eq!(testbed.state().await, ProfileState::Downloaded);
}

// --- Authorisation -------------------------------------------------------------------------------

// req: SGP.22-5.3.1-Certificate
#[tokio::test]
async fn without_a_client_certificate_es2plus_is_forbidden_and_es9plus_is_not() {
    let (testbed, operator) = ordered().await;
    for function in ["downloadOrder", "confirmOrder", "cancelOrder", "releaseProfile"] {
        let mut request = operator.request(function, &operator.confirmation(iccid()));
        request.extensions_mut().remove::<PeerCertificate>();
        assert_eq!(raw(&testbed.server, request).await.status(), StatusCode::FORBIDDEN, "{function}");
        let mut request = operator.request(function, &operator.confirmation(iccid()));
        request.extensions_mut().insert(PeerCertificate(vec![0x30, 0]));
        assert_eq!(raw(&testbed.server, request).await.status(), StatusCode::FORBIDDEN, "{function}");
    }
    assert_eq!(testbed.state().await, ProfileState::Allocated);
    testbed.euicc().initiate(&testbed.server).await;
}

// req: SGP.22-5.3.1-Role
#[tokio::test]
async fn certificates_of_other_roles_cannot_order() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let euicc = testbed.pki.euicc(Curve::P256, testbed.pki.eids(Curve::P256)[0]).unwrap().euicc;
    let of = |role| testbed.pki.credential(role, Curve::P256).unwrap().certificate;
    let oid = |certificate: &Certificate| certificate.registered_ids().first().map(ToString::to_string);
    let roles = [Role::Eum, Role::DpAuth, Role::DpPb, Role::DpTls, Role::DsAuth, Role::DsTls];
    for certificate in roles.map(of).into_iter().chain([euicc.certificate]) {
        let caller = Operator {
            identifier: oid(&certificate).unwrap_or_default(),
            certificate: certificate.der().to_vec(),
            ..testbed.operator()
        };
        for function in ["downloadOrder", "confirmOrder", "cancelOrder", "releaseProfile"] {
            let request = caller.request(function, &caller.confirmation(iccid()));
            let status = raw(&testbed.server, request).await.status();
            assert_eq!(status, StatusCode::FORBIDDEN, "{function}: {:?}", certificate.role());
        }
    }
    // The certificate of an SM-SR has no role of SGP.22. It differs from that of an operator only
    // by its extended key usage.
    let sm_sr = testbed.pki.sm_sr().unwrap().certificate;
    let identifier = oid(&sm_sr).unwrap();
    let caller =
        Operator { identifier: identifier.clone(), certificate: sm_sr.der().to_vec(), ..testbed.operator() };
    let order = async || caller.download_order(&testbed.server, Some(iccid()), None, None).await;
    assert_eq!(order().await.refused(), Status::RequesterNotAllowed);
    assert_eq!(testbed.state().await, ProfileState::Available);
    let registered = RegisteredOperator {
        identifier,
        certificate_oid: sm_sr.registered_ids()[0].clone(),
        es2plus_address: None,
        namespace: Namespace::default(),
    };
    testbed.server.register_operator(&registered).await.unwrap();
    order().await.done();
}

/// Registers an operator with stock of its own.
async fn own_stock(testbed: &Testbed, name: &str, namespace: &str) -> Operator {
    let operator = Operator::new(&testbed.pki, name);
    let registered = RegisteredOperator {
        identifier: operator.identifier.clone(),
        certificate_oid: operator.oid.clone(),
        es2plus_address: None,
        namespace: namespace.parse().unwrap(),
    };
    testbed.server.register_operator(&registered).await.unwrap();
    operator
}

#[tokio::test]
async fn an_operator_uses_only_its_own_stock() {
    let testbed = Testbed::new();
    let (one, two) = (own_stock(&testbed, "One", "one").await, own_stock(&testbed, "Two", "two").await);
    let unregistered = testbed.operator();
    testbed.stock(ICCID, &ProfileOptions { namespace: "one".parse().unwrap(), ..options() }).await;
    testbed.stock(OTHER_ICCID, &options()).await;
    let other = OTHER_ICCID.parse().unwrap();
    let server = &testbed.server;
    for stranger in [&two, &unregistered] {
        let answer = stranger.download_order(server, Some(iccid()), None, None).await;
        assert_eq!(answer.refused(), Status::IccidNotAllowed);
    }
    // The stock of the default namespace does not belong to an operator with a namespace.
    assert_eq!(one.download_order(server, Some(other), None, None).await.refused(), Status::IccidNotAllowed);
    let by_type = two.download_order(server, None, Some(PROFILE_TYPE), None).await;
    assert_eq!(by_type.refused(), Status::ProfileTypeUnavailable);
    let reply = one.download_order(server, None, Some(PROFILE_TYPE), None).await.done();
    assert_eq!(reply.iccid, iccid());
    // Operators that share a namespace share its stock, but not their orders.
    let colleague = own_stock(&testbed, "Colleague", "one").await;
    for stranger in [&two, &colleague, &unregistered] {
        let confirmation = stranger.confirmation(iccid());
        let answer: json::Answer<ConfirmOrderReply> =
            stranger.call(server, "confirmOrder", &confirmation).await;
        assert_eq!(answer.refused(), Status::IccidNotAllowed);
        let answer = stranger.cancel(server, &stranger.cancellation(iccid())).await;
        assert_eq!(answer.refused(), Status::IccidNotAllowed);
        assert_eq!(stranger.release(server, iccid()).await.refused(), Status::IccidNotAllowed);
    }
    one.cancel(server, &one.cancellation(iccid())).await.done();
}

// req: SGP.22-5.3.1-Requester
#[tokio::test]
async fn a_registered_identifier_requires_its_certificate() {
    let certificate_oid = Testbed::new().operator().oid;
    let registered = RegisteredOperator {
        identifier: "ACME".to_owned(),
        certificate_oid,
        es2plus_address: Some("acme.example:8443".parse().unwrap()),
        namespace: Namespace::default(),
    };
    let testbed = Testbed::with(|config| config.requesters = Requesters::Listed);
    testbed.server.register_operator(&registered).await.unwrap();
    assert_eq!(testbed.server.operators().await.unwrap(), [registered]);
    let registered_operator = || Operator { identifier: "ACME".to_owned(), ..testbed.operator() };
    testbed.stock(ICCID, &options()).await;
    let order =
        async |operator: &Operator| operator.download_order(&testbed.server, Some(iccid()), None, None).await;
    let mut unknown = registered_operator();
    unknown.identifier = "2.999.21".to_owned();
    assert_eq!(order(&unknown).await.refused(), Status::RequesterUnknown);
    let impostor =
        Operator { identifier: "ACME".to_owned(), ..Operator::new(&testbed.pki, "Another Operator") };
    assert_eq!(order(&impostor).await.refused(), Status::RequesterNotAllowed);
    order(&registered_operator()).await.done();
}

#[tokio::test]
async fn an_unregistered_identifier_must_be_an_oid_of_the_certificate() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    for identifier in ["", "2.999.21", "Landfall Test Operator"] {
        let mut impostor = testbed.operator();
        impostor.identifier = identifier.to_owned();
        let answer = impostor.download_order(&testbed.server, Some(iccid()), None, None).await;
        assert_eq!(answer.refused(), Status::RequesterNotAllowed, "{identifier:?}");
    }
    assert_eq!(testbed.state().await, ProfileState::Available);
}

#[tokio::test]
async fn a_registered_identifier_requires_its_certificate_even_if_unregistered_ones_are_allowed() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let (operator, other) = (testbed.operator(), Operator::new(&testbed.pki, "Another Operator"));
    // The OID of the second operator is registered for the first operator's certificate.
    let registered = RegisteredOperator {
        identifier: other.identifier.clone(),
        certificate_oid: operator.oid.clone(),
        es2plus_address: None,
        namespace: Namespace::default(),
    };
    testbed.server.register_operator(&registered).await.unwrap();
    let answer = other.download_order(&testbed.server, Some(iccid()), None, None).await;
    assert_eq!(answer.refused(), Status::RequesterNotAllowed);
    operator.download_order(&testbed.server, Some(iccid()), None, None).await.done();
}

// --- Repeated calls ------------------------------------------------------------------------------

// req: SGP.22-5.2.1-Repetition
#[tokio::test]
async fn a_repeated_call_gets_the_same_reply_and_changes_nothing() {
    let testbed = Testbed::new();
    for iccid in [ICCID, OTHER_ICCID] {
        testbed.stock(iccid, &options()).await;
    }
    let operator = testbed.operator();
    let by_type = DownloadOrderRequest {
        header: operator.header(),
        eid: None,
        iccid: None,
        profile_type: Some(PROFILE_TYPE.to_owned()),
    };
    let mut replies: Vec<DownloadOrderReply> = Vec::new();
    for _ in 0..3 {
        replies.push(operator.call(&testbed.server, "downloadOrder", &by_type).await.done());
    }
    assert_eq!((&replies[1], &replies[2]), (&replies[0], &replies[0]));
    let iccid = replies[0].iccid;
    let mut confirmation = operator.confirmation(iccid);
    confirmation.release_flag = false;
    confirmation.confirmation_code = Some("1234".to_owned());
    let first = confirm(&testbed, &confirmation).await.done();
    assert_eq!(confirm(&testbed, &confirmation).await.done(), first);
    let release = ReleaseProfileRequest { header: operator.header(), iccid };
    for _ in 0..2 {
        let _: NoOutput = operator.call(&testbed.server, "releaseProfile", &release).await.done();
    }
    let cancellation = operator.cancellation(iccid);
    for _ in 0..2 {
        operator.cancel(&testbed.server, &cancellation).await.done();
    }
    // A call that is no longer the last one is treated as a new call. These new calls are refused
    // because the profile is not ordered.
    assert_eq!(confirm(&testbed, &confirmation).await.refused(), Status::IccidInvalidTransition);
    let answer = operator.call::<NoOutput>(&testbed.server, "releaseProfile", &release).await;
    assert_eq!(answer.refused(), Status::IccidInvalidTransition);
    assert!(testbed.records.list("calls", "").await.unwrap().is_empty(), "no stored calls are left");
}

/// Some operators give every call the same identifier, or none.
#[tokio::test]
async fn another_call_with_the_same_identifier_is_a_new_call() {
    for identifier in ["TX-567", ""] {
        let testbed = Testbed::new();
        for iccid in [ICCID, OTHER_ICCID] {
            testbed.stock(iccid, &options()).await;
        }
        let operator = testbed.operator();
        let header =
            || RequestHeader { function_call_identifier: identifier.to_owned(), ..operator.header() };
        let order = |iccid| DownloadOrderRequest { header: header(), eid: None, iccid, profile_type: None };
        for iccid in [ICCID, OTHER_ICCID] {
            let iccid = iccid.parse().unwrap();
            let reply: DownloadOrderReply =
                operator.call(&testbed.server, "downloadOrder", &order(Some(iccid))).await.done();
            assert_eq!(reply.iccid, iccid);
            let confirmation = ConfirmOrderRequest { header: header(), ..operator.confirmation(iccid) };
            confirm(&testbed, &confirmation).await.done();
        }
        // The same call is made again, after other calls.
        let answer = operator
            .call::<DownloadOrderReply>(&testbed.server, "downloadOrder", &order(Some(iccid())))
            .await;
        assert_eq!(answer.refused(), Status::IccidInUse, "{identifier:?}");
    }
    // A call without an identifier is never treated as a repetition.
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let operator = testbed.operator();
    let header = RequestHeader { function_call_identifier: String::new(), ..operator.header() };
    let order = DownloadOrderRequest { header, eid: None, iccid: Some(iccid()), profile_type: None };
    operator.call::<DownloadOrderReply>(&testbed.server, "downloadOrder", &order).await.done();
    let answer = operator.call::<DownloadOrderReply>(&testbed.server, "downloadOrder", &order).await;
    assert_eq!(answer.refused(), Status::IccidInUse);
}

// req: SGP.22-5.2.1-SameCall
#[tokio::test]
async fn a_stored_reply_requires_the_same_operator_and_body() {
    let (testbed, operator) = ordered().await;
    let confirmation = operator.confirmation(iccid());
    confirm(&testbed, &confirmation).await.done();
    let other = Operator::new(&testbed.pki, "Another Operator");
    let header = RequestHeader {
        function_requester_identifier: other.identifier.clone(),
        ..confirmation.header.clone()
    };
    let other_confirmation = ConfirmOrderRequest { header, ..confirmation.clone() };
    let answer = other.call::<ConfirmOrderReply>(&testbed.server, "confirmOrder", &other_confirmation).await;
    assert_eq!(answer.refused(), Status::IccidNotAllowed);
    let changed = ConfirmOrderRequest { confirmation_code: Some("1234".to_owned()), ..confirmation };
    assert_eq!(confirm(&testbed, &changed).await.refused(), Status::IccidInvalidTransition);
}

// --- HTTP ----------------------------------------------------------------------------------------

fn initiate(body: impl Into<Bytes>) -> Request<Bytes> {
    let mut request = json::request(&es9plus::path("initiateAuthentication"), VERSION, &());
    *request.body_mut() = body.into();
    request
}

fn refusal(response: &http::Response<Bytes>) -> (ExecutionStatus, Option<Status>) {
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    let header: ResponseHeader = serde_json::from_value(body["header"].clone()).unwrap();
    let status = header.function_execution_status;
    (status.status, status.status_code_data.and_then(|data| data.status()))
}

#[tokio::test]
async fn only_post_requests_to_known_paths_are_accepted() {
    let testbed = Testbed::new();
    for path in [
        "/",
        "/gsma/rsp2/es9plus",
        "/gsma/rsp2/es9plus/",
        "/gsma/rsp2/es9plus/unknown",
        "/gsma/rsp2/es9plus/initiateAuthentication/",
        "/gsma/rsp2/es9plus/downloadOrder",
        "/gsma/rsp2/es2plus/initiateAuthentication",
        "/gsma/rsp2/ES9PLUS/initiateAuthentication",
        "/gsma/rsp3/es9plus/initiateAuthentication",
    ] {
        let request = json::request(path, VERSION, &json!({}));
        assert_eq!(raw(&testbed.server, request).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
        let mut request = initiate("{}");
        *request.method_mut() = method.clone();
        let response = raw(&testbed.server, request).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()[header::ALLOW], "POST", "{method}");
    }
}

// req: SGP.22-6.2-Headers
#[tokio::test]
async fn content_type_and_protocol_are_checked_and_returned() {
    let testbed = Testbed::new();
    let body = || serde_json::to_vec(&testbed.euicc().initiation()).unwrap();
    let with = async |name: &'static str, value: Option<&'static str>| {
        let mut request = initiate(body());
        match value {
            Some(value) => drop(request.headers_mut().insert(name, HeaderValue::from_static(value))),
            None => drop(request.headers_mut().remove(name)),
        }
        let response = raw(&testbed.server, request).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}: {value:?}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json;charset=UTF-8");
        let version = response.headers()[json::X_ADMIN_PROTOCOL].to_str().unwrap().to_owned();
        (refusal(&response).1, version)
    };
    for good in ["application/json", "application/json;charset=UTF-8", "Application/JSON; charset=utf-8"] {
        assert_eq!(with("content-type", Some(good)).await.0, None, "{good}");
    }
    for bad in [None, Some("text/plain"), Some("application/x-gsma-rsp-asn1"), Some("application/jsonx")] {
        assert_eq!(with("content-type", bad).await.0, Some(Status::ContentTypeInvalid), "{bad:?}");
    }
    for (good, answered) in [
        ("gsma/rsp/v2.2.2", "gsma/rsp/v2.2.2"),
        ("gsma/rsp/v2.5.0", "gsma/rsp/v2.5.0"),
        ("gsma/rsp/v3.1.0", "gsma/rsp/v2.6.0"),
        ("gsma/rsp/v2.5", "gsma/rsp/v2.5.0"),
    ] {
        assert_eq!(with(json::X_ADMIN_PROTOCOL, Some(good)).await, (None, answered.to_owned()), "{good}");
    }
    for bad in [None, Some(""), Some("gsma/rsp/v1.0.0"), Some("gsma/rsp/vX"), Some("v2.2.2")] {
        let (status, _) = with(json::X_ADMIN_PROTOCOL, bad).await;
        assert_eq!(status, Some(Status::ProtocolInvalid), "{bad:?}");
    }
}

#[tokio::test]
async fn an_invalid_body_gets_a_functional_refusal() {
    let testbed = Testbed::new();
    let good = serde_json::to_value(testbed.euicc().initiation()).unwrap();
    let changed = |name: &str, value: Option<Value>| {
        let mut body = good.clone();
        match value {
            Some(value) => body[name] = value,
            None => drop(body.as_object_mut().unwrap().remove(name)),
        }
        body.to_string()
    };
    for (body, status) in [
        (String::new(), Status::FormatInvalid),
        ("{".to_owned(), Status::FormatInvalid),
        ("[]".to_owned(), Status::FormatInvalid),
        ("\u{0}".to_owned(), Status::FormatInvalid),
        ("[".repeat(100_000), Status::FormatInvalid),
        (changed("euiccInfo1", None), Status::ElementMissing),
        (changed("smdpAddress", None), Status::ElementMissing),
        (changed("euiccChallenge", None), Status::ElementMissing),
        (changed("euiccInfo1", Some(json!("vyA="))), Status::FormatInvalid),
        (changed("euiccInfo1", Some(json!("not base64!"))), Status::FormatInvalid),
        (changed("euiccChallenge", Some(json!("AAAA"))), Status::FormatInvalid),
        (changed("smdpAddress", Some(json!(7))), Status::FormatInvalid),
    ] {
        let response = raw(&testbed.server, initiate(body.clone())).await;
        let short = body.chars().take(60).collect::<String>();
        assert_eq!(response.status(), StatusCode::OK, "{short}");
        assert_eq!(refusal(&response), (ExecutionStatus::Failed, Some(status)), "{short}");
    }
    // Unknown fields of later versions are ignored.
    let later = changed("lpaRspCapability", Some(json!("gQEA")));
    assert_eq!(refusal(&raw(&testbed.server, initiate(later)).await).0, ExecutionStatus::ExecutedSuccess);
}

/// An LPA only looks at the status and deletes its notification on any 2xx.
#[tokio::test]
async fn a_body_without_a_notification_is_a_bad_request() {
    let testbed = Testbed::new();
    for body in ["", "{}", r#"{"pendingNotification":7}"#, r#"{"pendingNotification":"!!"}"#] {
        let mut request = json::request(&es9plus::path("handleNotification"), VERSION, &());
        *request.body_mut() = Bytes::from_static(body.as_bytes());
        assert_eq!(raw(&testbed.server, request).await.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let events = testbed.events.all();
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| matches!(event.outcome, Outcome::Refused(_))));
    assert!(events.iter().all(|event| event.findings.is_empty()));
}

#[tokio::test]
async fn an_es2plus_request_without_header_gets_a_functional_refusal() {
    let (testbed, operator) = ordered().await;
    let request = operator.request("releaseProfile", &json!({ "iccid": ICCID }));
    let response = raw(&testbed.server, request).await;
    assert_eq!(refusal(&response).1, Some(Status::ElementMissing));
    let path = es2plus::path("releaseProfile");
    assert!(testbed.events.all().iter().any(|event| event.interface == "ES2+"), "{path}");
}

#[tokio::test]
async fn the_stock_accepts_only_complete_packages_and_unique_iccids() {
    let testbed = Testbed::new();
    let package = support::package(ICCID, &[]);
    for (case, octets) in [
        ("nothing", &package[..0]),
        ("a truncated package", &package[..package.len() - 3]),
        ("not a package", &[0x30, 0x03, 1, 1, 0xFF][..]),
    ] {
        let fault = testbed.server.add_profile(octets, &options()).await.unwrap_err();
        assert!(!fault.why.is_empty() && !fault.next.is_empty(), "{case}: {fault}");
    }
    assert!(testbed.server.orders().await.unwrap().is_empty());
    testbed.stock(ICCID, &options()).await;
    assert!(testbed.server.add_profile(&package, &options()).await.unwrap_err().to_string().contains(ICCID));
}
