//! Cases of ES2+.HandleDownloadProgressInfo, called by the SM-DP+ at the operator: SGP.22 section
//! 5.3.5, SGP.23 section 4.3.5.

use http::header;
use rsp::der::Asn1;
use rsp::sgp22::PendingNotification;
use rsp::sgp22::es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId};
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason};
use rsp::sgp22::es9plus::{AuthenticateClient, GetBoundProfilePackage};
use rsp::sgp22::json::{self, ExecutionStatus};
use rsp::status::Status;

use super::CODE;
use crate::case::{Case, Need, Run, run};
use crate::euicc::Authenticate;
use crate::order::{Order, ProfileFeatures};
use crate::subject::Scope;
use crate::testbed::Testbed;
use crate::verdict::{During, Stop, Verdict, ensure, equal};

fn case(title: &str, order: Order, run: Run) -> Case {
    Case::new("ES2+.HandleDownloadProgressInfo", "5.3.5", title, run)
        .scope(Scope::Once)
        .order(order)
        .need(Need::Operator)
        .need(Need::Inbox)
        .need(Need::Admin)
}

pub(super) fn cases() -> Vec<Case> {
    let with_code = Order { confirmation_code: Some(CODE), ..Order::PLAIN };
    let milenage = Order { profile: ProfileFeatures { usim: true, ..ProfileFeatures::NONE }, ..Order::PLAIN };
    vec![
        case(
            "every step of a successful download is reported, with the eUICC's installation result",
            Order::PLAIN,
            run!(|testbed| {
                let bound = testbed.download().await?;
                let result = testbed.installed(&bound);
                testbed.notify(result.clone()).await?;
                let reports = testbed.reports(3).await?;
                check_steps(
                    &reports,
                    &[
                        (NotificationPointId::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, None),
                        (NotificationPointId::BPP_DOWNLOAD, None),
                        (NotificationPointId::BPP_INSTALLATION, None),
                    ],
                )?;
                check_result(&reports, &result)
            }),
        ),
        case(
            "a failed installation is reported with the eUICC's installation result",
            Order::PLAIN,
            run!(|testbed| {
                let bound = testbed.download().await?;
                let why =
                    (BppCommandId::LOAD_PROFILE_ELEMENTS, ErrorReason::INSTALL_FAILED_DUE_TO_DATA_MISMATCH);
                let result = testbed.euicc.signed_result(testbed.euicc.not_installed(
                    &bound.transaction_id,
                    &bound.smdp_oid,
                    &testbed.server.address,
                    bound.opened.metadata.iccid,
                    why,
                ));
                testbed.notify(result.clone()).await?;
                let reports = testbed.reports(3).await?;
                let last = reports.last().ok_or_else(|| Stop::failed("no report was received"))?;
                equal(
                    "notificationPointId",
                    &last.notification_point_id,
                    &NotificationPointId::BPP_INSTALLATION,
                )?;
                equal("status", &last.notification_point_status.status, &ExecutionStatus::Failed)?;
                check_result(&reports, &result)
            }),
        ),
        case(
            "a wrong confirmation code is reported",
            with_code,
            run!(|testbed| {
                let offered = testbed.offered().await?;
                let wrong = testbed.prepare(&offered, &testbed.euicc.one_time_key())?.code("0000");
                let refused = Status::ConfirmationCodeRefused;
                testbed.refused::<GetBoundProfilePackage>(&wrong.request(), refused).await?;
                check_steps(
                    &testbed.reports(2).await?,
                    &[
                        (NotificationPointId::ELIGIBILITY_AND_RETRY_LIMIT_CHECK, None),
                        (NotificationPointId::CONFIRMATION_FAILURE, Some(refused)),
                    ],
                )
            }),
        ),
        case(
            "a failed eligibility check is reported",
            milenage,
            run!(|testbed| {
                let started = testbed.initiate().await?;
                let mut proof: Authenticate =
                    testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
                proof.info2.uicc_capability = rsp::der::BitString::of(&[]);
                let refused = Status::ProfileNotEligible;
                testbed.refused::<AuthenticateClient>(&proof.request()?, refused).await?;
                let point = NotificationPointId::ELIGIBILITY_AND_RETRY_LIMIT_CHECK;
                check_steps(&testbed.reports(1).await?, &[(point, Some(refused))])
            }),
        ),
    ]
}

impl Testbed<'_> {
    /// Returns the reports about the profile of the case, after `count` of them have arrived.
    async fn reports(&self, count: usize) -> Result<Vec<HandleDownloadProgressInfoRequest>, Stop> {
        let iccid = self.iccid()?;
        let calls = self.inbox()?.about(&iccid.to_string(), count).await;
        let mut reports = Vec::new();
        for call in calls {
            let step = reports.len() + 1;
            check_http(&call).during(&format!("call {step}"))?;
            let body: HandleDownloadProgressInfoRequest = serde_json::from_slice(call.body())
                .map_err(|e| Stop::failed(format!("call {step} has an invalid body: {e}")))?;
            equal("iccid", &body.iccid, &iccid)?;
            equal("eid", &body.eid, &Some(self.euicc.eid))?;
            equal("profileType", &body.profile_type.as_str(), &self.profile_type()?)?;
            reports.push(body);
        }
        equal("the number of calls", &reports.len(), &count)?;
        Ok(reports)
    }
}

fn check_http(call: &http::Request<bytes::Bytes>) -> Verdict {
    equal("method", call.method(), &http::Method::POST)?;
    equal("path", &call.uri().path(), &"/gsma/rsp2/es2plus/handleDownloadProgressInfo")?;
    let content_type = call.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    ensure(content_type.is_some_and(|value| value.starts_with("application/json")), || {
        format!("Content-Type is {content_type:?}, expected application/json")
    })?;
    ensure(json::protocol_version(call.headers()).is_some(), || {
        "X-Admin-Protocol is missing or invalid".to_owned()
    })
}

/// Checks the notification points and their statuses, in order.
fn check_steps(
    reports: &[HandleDownloadProgressInfoRequest],
    expected: &[(NotificationPointId, Option<Status>)],
) -> Verdict {
    for (step, (point, refused)) in reports.iter().zip(expected) {
        equal("notificationPointId", &step.notification_point_id, point)?;
        let status = &step.notification_point_status;
        match refused {
            None => equal("status", &status.status, &ExecutionStatus::ExecutedSuccess)?,
            Some(refused) => {
                equal("status", &status.status, &ExecutionStatus::Failed)?;
                let why = status.status_code_data.as_ref().and_then(|data| data.status());
                equal("statusCodeData", &why, &Some(*refused))?;
            }
        }
    }
    Ok(())
}

/// Checks that the last report contains the eUICC's result octet for octet.
fn check_result(reports: &[HandleDownloadProgressInfoRequest], result: &PendingNotification) -> Verdict {
    let received = reports.last().and_then(|last| last.result_data.as_ref()).map(|data| data.0.clone());
    equal("resultData", &received, &Some(result.to_der()))
}
