//! ES10b.ListNotification: SGP.22 section 5.7.9.

use rsp::sgp22::es10b::{ListNotificationRequest, ListNotificationResponse};

use crate::consumer::ConsumerContext;

pub(crate) fn list_notification(
    context: &mut ConsumerContext<'_>,
    request: ListNotificationRequest,
) -> ListNotificationResponse {
    let wanted = |event| request.profile_management_operation.as_ref().is_none_or(|events| events.has(event));
    let listed = context.state.notifications.iter().filter(|notification| wanted(notification.event));
    ListNotificationResponse::NotificationMetadataList(listed.map(|each| each.metadata()).collect())
}
