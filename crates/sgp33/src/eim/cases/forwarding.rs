//! Cases of ES9+'.HandleNotification: the eIM forwards the notifications of eUICCs to their SM-DP+s,
//! SGP.32 sections 3.7, 5.14.6 and 5.14.7.

use rsp::der::{Asn1, BitString, Raw};
use rsp::sgp22::{
    self, NotificationConfigurationInformation, OtherSignedNotification, es9plus, notification_event,
};
use rsp::sgp32::compact::CompactOtherSignedNotification;
use rsp::sgp32::esipa::{EimPackageResult, EprAndNotifications, HandleNotificationRequest};
use rsp::sgp32::notification::PendingNotificationList;
use rsp::sgp32::{EuiccPackageResult, PendingNotification};
use sgp23::{Inbox, Stop, Verdict, ensure};
use sm_dp::ProfileOptions;

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::esipa::{acknowledged, of_euicc};
use crate::eim::operator::Operation;
use crate::eim::testbed::Testbed;

const FUNCTION: &str = "ES9+'.HandleNotification";

pub(super) fn cases() -> Vec<Case> {
    let case = |clause, title: &str, run| {
        Case::new(FUNCTION, clause, title, run).need(Need::Operator).need(Need::Inbox)
    };
    vec![
        case("3.7, 5.14.7", "a notification is forwarded to its SM-DP+", notification(Form::Whole)),
        case(
            "3.7, 5.14.7",
            "a compact notification is forwarded to its SM-DP+ as the eUICC signed it",
            notification(Form::Compact),
        ),
        case("3.7, 5.14.6", "the notifications in a result are forwarded to their SM-DP+s", in_result()),
    ]
}

#[derive(Clone, Copy)]
enum Form {
    Whole,
    Compact,
}

/// Lets the card enable a profile whose notifications go to the tester. Returns the result, and the
/// notification of the enabling.
async fn enabled(
    testbed: &mut Testbed<'_>,
) -> Result<(Raw<EuiccPackageResult>, OtherSignedNotification), Stop> {
    testbed.register().await?;
    let recipient = NotificationConfigurationInformation {
        profile_management_operation: BitString::of(&[notification_event::ENABLE]),
        notification_address: inbox(testbed)?.address(),
    };
    let options = ProfileOptions { notifications: Some(vec![recipient]), ..ProfileOptions::default() };
    let iccid = testbed.installed_with(&options).await?;
    testbed.order(&[Operation::Enable(iccid)]).await?;
    let package = testbed.package().await?;
    let result = testbed.execute(&package).await?;
    Ok((result, testbed.other_notification().await?))
}

fn inbox<'a>(testbed: &Testbed<'a>) -> Result<&'a dyn Inbox, Stop> {
    testbed.eim.inbox.as_deref().ok_or_else(|| Stop::needs(Need::Inbox))
}

/// Checks that the eIM sends the notification to its SM-DP+, in either binding of ES9+'.
async fn expect_forwarded(testbed: &Testbed<'_>, notification: OtherSignedNotification) -> Verdict {
    let pending_notification = Raw::new(sgp22::PendingNotification::OtherSignedNotification(notification));
    let octets = pending_notification.to_der();
    let request = serde_json::to_value(es9plus::HandleNotificationRequest { pending_notification });
    let request = request.map_err(|error| Stop::needs(format!("a notification in JSON: {error}")))?;
    let text = request.get("pendingNotification").and_then(serde_json::Value::as_str).unwrap_or_default();
    let inbox = inbox(testbed)?;
    let has_it = !inbox.about(text, 1).await.is_empty()
        || inbox
            .about("", 0)
            .await
            .iter()
            .any(|call| call.body().windows(octets.len()).any(|part| part == octets));
    ensure(has_it, || format!("the SM-DP+ at {} did not get the notification", inbox.address()))
}

fn notification(form: Form) -> Run {
    run!(|testbed| {
        let (result, whole) = enabled(testbed).await?;
        acknowledged(&testbed.provide(of_euicc(&result)).await?)?;
        let pending = match form {
            Form::Whole => PendingNotification::OtherSignedNotification(whole.clone()),
            Form::Compact => PendingNotification::CompactOtherSignedNotification(
                CompactOtherSignedNotification::of(&whole, Some(testbed.eid)),
            ),
        };
        let request = HandleNotificationRequest::PendingNotification(Box::new(Raw::new(pending)));
        let status = testbed.notify(&request).await?;
        ensure(status == http::StatusCode::NO_CONTENT, || format!("HTTP status {status}, expected 204"))?;
        expect_forwarded(testbed, whole).await
    })
}

fn in_result() -> Run {
    run!(|testbed| {
        let (result, whole) = enabled(testbed).await?;
        let pending = PendingNotification::OtherSignedNotification(whole.clone());
        let both = EimPackageResult::EprAndNotifications(Box::new(EprAndNotifications {
            euicc_package_result: result,
            notification_list: PendingNotificationList(vec![Raw::new(pending).into()]),
        }));
        acknowledged(&testbed.provide(both).await?)?;
        expect_forwarded(testbed, whole).await
    })
}
