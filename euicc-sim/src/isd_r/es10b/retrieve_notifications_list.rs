//! ES10b.RetrieveNotificationsList: SGP.22 section 5.7.10. If nothing is found, the response is
//! noResultAvailable as in v2.2. v2.7 has an empty list instead; LPAs accept both.

use rsp::sgp22::es10b::{
    NotificationSearch, NotificationsListResultError, RetrieveNotificationsListRequest,
    RetrieveNotificationsListResponse,
};

use crate::consumer::ConsumerContext;
use crate::state::StoredNotification;

pub(crate) fn retrieve_notifications_list(
    context: &mut ConsumerContext<'_>,
    request: RetrieveNotificationsListRequest,
) -> RetrieveNotificationsListResponse {
    let wanted = |notification: &&StoredNotification| match &request.search_criteria {
        None => true,
        Some(NotificationSearch::SeqNumber(number)) => notification.sequence_number == *number,
        Some(NotificationSearch::ProfileManagementOperation(events)) => events.has(notification.event),
    };
    let found: Vec<_> = context
        .state
        .notifications
        .iter()
        .map(AsRef::as_ref)
        .filter(wanted)
        .map(|each| each.signed.0.clone())
        .collect();
    if found.is_empty() {
        return RetrieveNotificationsListResponse::NotificationsListResultError(
            NotificationsListResultError::NO_RESULT_AVAILABLE,
        );
    }
    RetrieveNotificationsListResponse::NotificationList(found)
}
