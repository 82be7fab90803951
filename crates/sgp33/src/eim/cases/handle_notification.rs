//! Cases of ESipa.HandleNotification: SGP.32 section 5.14.7.

use rsp::der::Raw;
use rsp::sgp32::PendingNotification;
use rsp::sgp32::compact::CompactOtherSignedNotification;
use rsp::sgp32::esipa::{HandleNotificationRequest, ProvideEimPackageResultRequest};
use sgp23::{Verdict, ensure};

use super::PROFILE_ENABLE;
use crate::eim::case::{Case, Need, Run, run};
use crate::eim::esipa::of_euicc;
use crate::eim::operator::Operation;
use crate::eim::testbed::Testbed;

const FUNCTION: &str = "ESipa.HandleNotification";
const CLAUSE: &str = "5.14.7";

pub(super) fn cases() -> Vec<Case> {
    let case = |title: &str, run| Case::new(FUNCTION, CLAUSE, title, run).need(Need::Operator);
    vec![
        case("a result is accepted with HTTP 204, and ends the order", result(false))
            .id(PROFILE_ENABLE, "02"),
        case("a result is accepted with HTTP 204, another profile was enabled before", result(true))
            .id(PROFILE_ENABLE, "04"),
        case("a notification is accepted with HTTP 204", notification(Variant::Whole)),
        case("a compact notification is accepted with HTTP 204", notification(Variant::Compact)),
        case("a notification with an invalid signature is not accepted", notification(Variant::Forged)),
    ]
}

async fn expect_status(
    testbed: &Testbed<'_>,
    request: &HandleNotificationRequest,
    is_accepted: bool,
) -> Verdict {
    let status = testbed.notify(request).await?;
    let expected = if is_accepted { "204" } else { "400" };
    let is_met = match is_accepted {
        true => status == http::StatusCode::NO_CONTENT,
        false => status.is_client_error(),
    };
    ensure(is_met, || format!("HTTP status {status}, expected {expected}"))
}

/// Enables a profile, in place of another one if `is_replacement` is true.
fn result(is_replacement: bool) -> Run {
    run!(|testbed| {
        testbed.register().await?;
        if is_replacement {
            let former = testbed.installed().await?;
            testbed.order(&[Operation::Enable(former)]).await?;
            let package = testbed.package().await?;
            testbed.deliver(&package).await?;
        }
        let iccid = testbed.installed().await?;
        testbed.order(&[Operation::Enable(iccid)]).await?;
        let package = testbed.package().await?;
        let result = testbed.execute(&package).await?;
        let request = HandleNotificationRequest::ProvideEimPackageResult(ProvideEimPackageResultRequest {
            eid_value: Some(testbed.eid),
            eim_package_result: of_euicc(&result),
        });
        expect_status(testbed, &request, true).await?;
        testbed.expect_no_package().await
    })
}

/// The form of a notification.
#[derive(Clone, Copy)]
enum Variant {
    Whole,
    Compact,
    Forged,
}

fn notification(variant: Variant) -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let iccid = testbed.installed().await?;
        testbed.order(&[Operation::Enable(iccid)]).await?;
        let package = testbed.package().await?;
        testbed.deliver(&package).await?;
        let mut whole = testbed.other_notification().await?;
        let pending = match variant {
            Variant::Whole => PendingNotification::OtherSignedNotification(whole),
            Variant::Compact => PendingNotification::CompactOtherSignedNotification(
                CompactOtherSignedNotification::of(&whole, Some(testbed.eid)),
            ),
            Variant::Forged => {
                if let Some(octet) = whole.euicc_notification_signature.last_mut() {
                    *octet ^= 1;
                }
                PendingNotification::OtherSignedNotification(whole)
            }
        };
        let request = HandleNotificationRequest::PendingNotification(Box::new(Raw::new(pending)));
        let is_accepted = !matches!(variant, Variant::Forged);
        expect_status(testbed, &request, is_accepted).await
    })
}
