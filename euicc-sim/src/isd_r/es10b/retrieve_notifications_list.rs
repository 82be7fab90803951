//! ES10b.RetrieveNotificationsList: SGP.22 section 5.7.10. If nothing is found, the response is an
//! empty list as in v2.7 and in the responses of other cards. v2.2 also has noResultAvailable.

use rsp::sgp22::es10b::{
    NotificationSearch, RetrieveNotificationsListRequest, RetrieveNotificationsListResponse,
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
    let found = context
        .state
        .notifications
        .iter()
        .map(AsRef::as_ref)
        .filter(wanted)
        .map(|each| each.signed.0.clone().into())
        .collect();
    RetrieveNotificationsListResponse::NotificationList(found)
}
