//! ES10b.RemoveNotificationFromList: SGP.22 section 5.7.11.

use rsp::sgp22::es10b::{DeleteNotificationStatus, NotificationSentRequest, NotificationSentResponse};

use crate::consumer::ConsumerContext;

pub(crate) fn remove_notification_from_list(
    context: &mut ConsumerContext<'_>,
    request: NotificationSentRequest,
) -> NotificationSentResponse {
    let sent = |number: i64| number == request.seq_number;
    // req: SGP.22-5.7.11-Nothing
    if !context.state.notifications.iter().any(|notification| sent(notification.sequence_number)) {
        return NotificationSentResponse {
            delete_notification_status: DeleteNotificationStatus::NOTHING_TO_DELETE,
        };
    }
    context.state.to_mut().notifications.retain(|notification| !sent(notification.sequence_number));
    NotificationSentResponse { delete_notification_status: DeleteNotificationStatus::OK }
}
