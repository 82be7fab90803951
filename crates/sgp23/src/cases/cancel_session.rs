//! Cases of ES9+.CancelSession: SGP.22 section 5.6.5, SGP.23 section 4.3.16.

use rsp::ids::TransactionId;
use rsp::sgp22::CancelSessionReason as Reason;
use rsp::sgp22::es9plus::{CancelSession, CancelSessionRequestEs9, GetBoundProfilePackage};
use rsp::sgp22::es10b::{CancelSessionError, CancelSessionResponse};
use rsp::status::Status;

use super::CODE;
use crate::binding::Answer;
use crate::case::{Case, Need, Run, run};
use crate::euicc::Cancel;
use crate::order::Order;
use crate::testbed::Testbed;
use crate::verdict::{During, Stop, Verdict, ensure};

const FUNCTION: &str = "ES9+.CancelSession";
const CLAUSE: &str = "5.6.5";
const AFTER_AUTHENTICATE: &str = "4.3.16.2.1 TC_SM-DP+_ES9+.CancelSession_After_AuthenticateClientNIST";
const AFTER_PACKAGE: &str = "4.3.16.2.2 TC_SM-DP+_ES9+.CancelSession_After_GetBoundProfilePackageNIST";

fn case(title: &str, run: Run) -> Case {
    Case::new(FUNCTION, CLAUSE, title, run).order(Order::PLAIN)
}

/// The profile can still be downloaded.
const KEEPS: bool = true;
/// The profile can no longer be downloaded.
const ENDS: bool = false;

/// The reason, its name, its effect on the order, and the identifiers of the cases after
/// AuthenticateClient and after GetBoundProfilePackage.
type Row = (Reason, &'static str, bool, Option<&'static str>, Option<&'static str>);

const REASONS: &[Row] = &[
    (Reason::END_USER_REJECTION, "endUserRejection", ENDS, Some("01"), Some("01")),
    (Reason::POSTPONED, "postponed", KEEPS, Some("02"), Some("02")),
    (Reason::TIMEOUT, "timeout", KEEPS, Some("03"), Some("03")),
    (Reason::PPR_NOT_ALLOWED, "pprNotAllowed", ENDS, Some("04"), Some("04")),
    (Reason::METADATA_MISMATCH, "metadataMismatch", ENDS, None, Some("05")),
    (Reason::LOAD_BPP_EXECUTION_ERROR, "loadBppExecutionError", ENDS, None, Some("06")),
    (Reason::UNDEFINED_REASON, "undefinedReason", ENDS, Some("05"), Some("07")),
    (Reason(99), "a reason of a later version", ENDS, None, None),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (reason, name, keeps, after_authenticate, after_package) in REASONS {
        let (reason, keeps) = (*reason, *keeps);
        let effect = if keeps { "keeps the order" } else { "ends the order" };
        let run = run!(|testbed| {
            let offered = testbed.offered().await?;
            let id = &offered.ok.transaction_id;
            testbed.cancel(&testbed.euicc.cancel(id, &offered.auth.oid, reason)).await?;
            let late = testbed.prepare(&offered, &testbed.euicc.one_time_key())?.request();
            testbed
                .refused::<GetBoundProfilePackage>(&late, Status::TransactionUnknown)
                .await
                .during("in the cancelled session")?;
            expect_order(testbed, keeps).await
        });
        let case_of = |when: &str, run| case(&format!("{name} after {when} {effect}"), run);
        cases.push(case_of("AuthenticateClient", run).id(AFTER_AUTHENTICATE, *after_authenticate));
        let run = run!(|testbed| {
            let bound = testbed.download().await?;
            let cancel = testbed.euicc.cancel(&bound.transaction_id, &bound.smdp_oid, reason);
            testbed.cancel(&cancel).await?;
            expect_order(testbed, keeps).await
        });
        cases.push(case_of("GetBoundProfilePackage", run).id(AFTER_PACKAGE, *after_package));
    }
    cases.extend(refusals());
    cases.push(ended_state());
    cases.push(after_wrong_code());
    cases
}

/// Checks that the same eUICC can download afterwards if the order was kept, and is refused
/// otherwise.
async fn expect_order(testbed: &Testbed<'_>, kept: bool) -> Verdict {
    if kept {
        return testbed.download().await.during("afterwards").map(|_| ());
    }
    let started = testbed.initiate().await?;
    let proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id).request()?;
    testbed
        .refused::<rsp::sgp22::es9plus::AuthenticateClient>(&proof, Status::MatchingIdRefused)
        .await
        .during("afterwards")
}

fn ended_state() -> Case {
    let run = run!(|testbed| {
        let offered = testbed.offered().await?;
        let id = &offered.ok.transaction_id;
        testbed.cancel(&testbed.euicc.cancel(id, &offered.auth.oid, Reason::END_USER_REJECTION)).await?;
        testbed.expect_state("Error").await
    });
    case("the profile of an ended order is in state Error", run).need(Need::Admin)
}

fn after_wrong_code() -> Case {
    let run = run!(|testbed| {
        let offered = testbed.offered().await?;
        let wrong = testbed.prepare(&offered, &testbed.euicc.one_time_key())?.code("0000").request();
        testbed.refused::<GetBoundProfilePackage>(&wrong, Status::ConfirmationCodeRefused).await?;
        let id = &offered.ok.transaction_id;
        testbed.cancel(&testbed.euicc.cancel(id, &offered.auth.oid, Reason::POSTPONED)).await?;
        let late = testbed.prepare(&offered, &testbed.euicc.one_time_key())?.request();
        testbed
            .refused::<GetBoundProfilePackage>(&late, Status::TransactionUnknown)
            .await
            .during("in the cancelled session")?;
        expect_order(testbed, KEEPS).await
    });
    case("a session can be cancelled after a wrong confirmation code", run)
        .order(Order { confirmation_code: Some(CODE), ..Order::PLAIN })
}

type Corrupt = fn(&Testbed<'_>, &mut Cancel) -> Verdict;

const REFUSALS: &[(&str, Status, Corrupt)] = &[
    ("the TransactionID in the envelope is unknown", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16]);
        Ok(())
    }),
    ("the TransactionID in euiccCancelSessionSigned differs", Status::TransactionUnknown, |_, it| {
        it.signed.transaction_id = TransactionId(vec![1; 16]);
        Ok(())
    }),
    ("euiccCancelSessionSignature is invalid", Status::EuiccVerificationFailed, |_, it| {
        it.corrupt_signature = true;
        Ok(())
    }),
    (
        "euiccCancelSessionSignature belongs to another eUICC",
        Status::EuiccVerificationFailed,
        |testbed, it| {
            it.key = testbed.other_euicc.credentials.euicc.key.clone();
            Ok(())
        },
    ),
    ("the SM-DP+ OID belongs to another server", Status::SmdpOidMismatch, |_, it| {
        it.signed.smdp_oid = "2.999.11".parse().map_err(|_| Stop::needs("an OID"))?;
        Ok(())
    }),
];

/// Each defect is tested after AuthenticateClient and after GetBoundProfilePackage. Session and
/// order must be unchanged.
fn refusals() -> Vec<Case> {
    let mut cases = Vec::new();
    for (title, status, corrupt) in REFUSALS {
        let (status, corrupt) = (*status, *corrupt);
        let run = run!(|testbed| {
            let offered = testbed.offered().await?;
            let id = &offered.ok.transaction_id;
            let mut cancel = testbed.euicc.cancel(id, &offered.auth.oid, Reason::END_USER_REJECTION);
            corrupt(testbed, &mut cancel)?;
            testbed.refused::<CancelSession>(&cancel.request(), status).await?;
            testbed.bound(&offered, &testbed.euicc.one_time_key()).await.during("afterwards").map(|_| ())
        });
        cases.push(case(&format!("after AuthenticateClient: {title}"), run));
        let run = run!(|testbed| {
            let bound = testbed.download().await?;
            let mut cancel =
                testbed.euicc.cancel(&bound.transaction_id, &bound.smdp_oid, Reason::END_USER_REJECTION);
            corrupt(testbed, &mut cancel)?;
            testbed.refused::<CancelSession>(&cancel.request(), status).await?;
            testbed.download().await.during("afterwards").map(|_| ())
        });
        cases.push(case(&format!("after GetBoundProfilePackage: {title}"), run));
    }
    let run = run!(|testbed| {
        let offered = testbed.offered().await?;
        let error = CancelSessionRequestEs9 {
            transaction_id: offered.ok.transaction_id.clone(),
            cancel_session_response: CancelSessionResponse::CancelSessionResponseError(
                CancelSessionError::UNDEFINED_ERROR,
            ),
        };
        let answer = testbed.call::<CancelSession>(&error).await?;
        ensure(matches!(answer, Answer::Refused(_)), || {
            "an error response of the eUICC ended the session".to_owned()
        })?;
        testbed.bound(&offered, &testbed.euicc.one_time_key()).await.during("afterwards").map(|_| ())
    });
    cases.push(case("an error response of the eUICC keeps the session and the order", run));
    cases
}
