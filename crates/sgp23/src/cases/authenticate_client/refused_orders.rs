//! Orders that the server does not offer to the eUICC.

use rsp::der::{BitString, Tag, tlv_bytes};
use rsp::sgp22::es9plus::AuthenticateClient;
use rsp::sgp22::{CtxParams1, ppr, uicc_capability};
use rsp::status::Status;

use super::{
    BY_EID, BY_EVENT, Change, FOR_ANY_EID, FOR_EID, WITH_GET_IDENTITY, call_authenticate_client, case,
};
use crate::binding::Answer;
use crate::case::{Case, Run, run};
use crate::euicc::Authenticate;
use crate::order::{IntendedEuicc, Order, ProfileFeatures, StockState};
use crate::verdict::{During, ensure};

const TEST: &str = "4.3.14.2.2 TC_SM-DP+_ES9+.AuthenticateClientNIST_ErrorCases";

/// Each entry consists of the identifier in SGP.23, the title, the order, the expected status, and
/// the modification of the request.
const ORDERS: &[(Option<&str>, &str, Order, Status, Change)] = &[
    (
        Some("8"),
        "a profile that is not released is refused",
        Order { state: StockState::Confirmed, ..FOR_ANY_EID },
        Status::ProfileNotReleased,
        |_, _| {},
    ),
    (
        Some("11"),
        "default SM-DP+: an unknown MatchingID is refused",
        BY_EID,
        Status::MatchingIdRefused,
        |_, it| it.matching_id = Some("UNKNOWN-MATCHING-ID".to_owned()),
    ),
    (
        Some("12"),
        "activation code for the EID: an unknown MatchingID is refused",
        FOR_EID,
        Status::MatchingIdRefused,
        |_, it| it.matching_id = Some("UNKNOWN-MATCHING-ID".to_owned()),
    ),
    (Some("13"), "SM-DS: an unknown EventID is refused", BY_EVENT, Status::MatchingIdRefused, |_, it| {
        it.matching_id = Some("UNKNOWN-EVENT-ID".to_owned())
    }),
    (
        Some("14"),
        "default SM-DP+: an EID without an order is refused",
        Order { intended_for: IntendedEuicc::Other, ..BY_EID },
        Status::EidNotAllowed,
        |_, _| {},
    ),
    (
        Some("15"),
        "an eUICC without a capability that the profile requires is refused",
        Order { profile: ProfileFeatures { usim: true, ..ProfileFeatures::NONE }, ..FOR_ANY_EID },
        Status::ProfileNotEligible,
        |_, it| it.info2.uicc_capability = BitString::of(&[uicc_capability::USIM]),
    ),
    (
        None,
        "an eUICC that forbids a policy rule of the profile is refused",
        Order { profile: ProfileFeatures { ppr1: true, ..ProfileFeatures::NONE }, ..FOR_ANY_EID },
        Status::ProfileNotEligible,
        |_, it| it.info2.forbidden_profile_policy_rules = Some(BitString::of(&[ppr::PPR1])),
    ),
    (
        None,
        "an eUICC with too little memory is refused",
        FOR_ANY_EID,
        Status::EuiccInsufficientMemory,
        |_, it| it.info2.ext_card_resource = vec![0x81, 1, 0, 0x82, 1, 0, 0x83, 1, 0],
    ),
    (
        Some("16"),
        "an expired order is refused",
        Order { expired: true, ..FOR_ANY_EID },
        Status::OrderExpired,
        |_, _| {},
    ),
    (
        Some("17"),
        "an order is refused after its last download attempt",
        Order { attempts: Some((3, 3)), ..FOR_ANY_EID },
        Status::DownloadAttemptsExceeded,
        |_, _| {},
    ),
    (
        Some("19"),
        "SM-DS: an EID that differs from the order is refused",
        Order { intended_for: IntendedEuicc::Other, ..BY_EVENT },
        Status::EidNotAllowed,
        |_, _| {},
    ),
    (
        Some("20"),
        "activation code: an EID that differs from the order is refused",
        Order { intended_for: IntendedEuicc::Other, ..FOR_ANY_EID },
        Status::EidNotAllowed,
        |_, _| {},
    ),
    (
        Some("21"),
        "activation code without EID: an unknown MatchingID is refused",
        FOR_ANY_EID,
        Status::MatchingIdRefused,
        |_, it| it.matching_id = Some("UNKNOWN-MATCHING-ID".to_owned()),
    ),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = ORDERS
        .iter()
        .map(|(id, title, order, status, change)| {
            let (status, change) = (*status, *change);
            let run = run!(|testbed| {
                let started = testbed.initiate().await?;
                let mut proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
                change(testbed, &mut proof);
                testbed.refused::<AuthenticateClient>(&proof.request()?, status).await
            });
            case(title, *order, run).id(TEST, *id)
        })
        .collect();
    let last_one = Order { attempts: Some((2, 3)), ..FOR_ANY_EID };
    cases.push(case(
        "the last allowed download attempt is accepted and the next one is refused",
        last_one,
        last_attempt(),
    ));
    cases.push(case(
        "an eUICC of version 2.3 without a capability of this version is refused",
        WITH_GET_IDENTITY,
        capability_of_version_2_3(),
    ));
    cases.push(case("an installed profile is not offered again", FOR_ANY_EID, installed()));
    cases.extend(version_3());
    cases.push(case("another eUICC is refused after the package was delivered", FOR_ANY_EID, delivered()));
    let for_all = Order { reusable: true, ..FOR_ANY_EID };
    cases.push(case("a reusable order can be downloaded by several eUICCs", for_all, one_after_another()));
    cases
}

/// Requests of version 3 that the server may refuse. They must not lead to an offer.
fn version_3() -> Vec<Case> {
    type Ask = fn(&mut Authenticate);
    let asks: [(&str, Ask); 3] = [
        ("version 3: remote profile management alone is refused", |it| {
            it.later.push((vec![Tag(0xA0)], tlv_bytes(Tag(0x82), &[0x06, 0x40])));
        }),
        ("version 3: device change is refused", |it| {
            it.ctx_params1 = Some(CtxParams1::CtxParamsForDeviceChange(vec![]));
        }),
        ("version 3: profile recovery is refused", |it| {
            it.ctx_params1 = Some(CtxParams1::CtxParamsForProfileRecovery(vec![]));
        }),
    ];
    asks.into_iter()
        .map(|(title, change)| {
            let run = run!(|testbed| {
                let started = testbed.initiate().await?;
                let mut proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
                change(&mut proof);
                let answer = testbed.call::<AuthenticateClient>(&proof.request()?).await?;
                ensure(matches!(answer, Answer::Refused(_)), || "a download was offered".to_owned())?;
                testbed.offered().await.during("afterwards, with a download request").map(|_| ())
            });
            case(title, FOR_ANY_EID, run)
        })
        .collect()
}

fn last_attempt() -> Run {
    run!(|testbed| {
        testbed.offered().await?;
        let answer =
            call_authenticate_client(testbed, &testbed.euicc, &testbed.placed_order()?.matching_id).await?;
        answer.refused("authenticateClient", Status::DownloadAttemptsExceeded)
    })
}

fn capability_of_version_2_3() -> Run {
    run!(|testbed| {
        let euicc = testbed.euicc.clone().of_version([2, 3, 0]);
        call_authenticate_client(testbed, &euicc, &testbed.placed_order()?.matching_id)
            .await?
            .refused("authenticateClient", Status::ProfileNotEligible)
    })
}

fn installed() -> Run {
    run!(|testbed| {
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        let answer =
            call_authenticate_client(testbed, &testbed.euicc, &testbed.placed_order()?.matching_id).await?;
        answer.refused("authenticateClient", Status::MatchingIdRefused)
    })
}

fn delivered() -> Run {
    run!(|testbed| {
        testbed.download().await?;
        let answer =
            call_authenticate_client(testbed, &testbed.other_euicc, &testbed.placed_order()?.matching_id)
                .await?;
        answer.refused("authenticateClient", Status::EidNotAllowed)
    })
}

fn one_after_another() -> Run {
    run!(|testbed| {
        let matching_id = &testbed.placed_order()?.matching_id;
        let bound = testbed.download().await?;
        testbed.notify(testbed.installed(&bound)).await?;
        call_authenticate_client(testbed, &testbed.other_euicc, matching_id)
            .await?
            .done()
            .during("the other eUICC")?;
        call_authenticate_client(testbed, &testbed.euicc, matching_id)
            .await?
            .done()
            .during("the first eUICC again")
            .map(|_| ())
    })
}
