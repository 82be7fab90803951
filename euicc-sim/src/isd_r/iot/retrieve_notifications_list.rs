//! ES10b.RetrieveNotificationsList: SGP.32 section 5.9.11. Notifications and results of packages are
//! lists of their own.

use rsp::der::{Opaque, Raw, tlv};
use rsp::sgp32::es10b::{
    NotificationSearch, NotificationsListResultError, RetrieveNotificationsListRequest,
    RetrieveNotificationsListResponse,
};

use crate::consumer::ConsumerContext;
use crate::state::StoredNotification;
use crate::state::iot::StoredResult;

pub(super) fn retrieve_notifications_list(
    context: &mut ConsumerContext<'_>,
    request: &Raw<RetrieveNotificationsListRequest>,
) -> RetrieveNotificationsListResponse {
    match &request.search_criteria {
        // Search criteria without their tag A0.
        None if tlv::split(request.bytes()).is_some_and(|(_, contents)| !contents.is_empty()) => {
            RetrieveNotificationsListResponse::NotificationsListResultError(
                NotificationsListResultError::UNDEFINED_ERROR,
            )
        }
        None => notifications(context, |_| true),
        Some(NotificationSearch::SeqNumber(number)) => match context.state.iot().result(*number) {
            Some(result) => RetrieveNotificationsListResponse::EuiccPackageResultList(vec![opaque(result)]),
            None => notifications(context, |notification| notification.sequence_number == *number),
        },
        Some(NotificationSearch::ProfileManagementOperation(events)) => {
            notifications(context, |notification| events.has(notification.event))
        }
        Some(NotificationSearch::EuiccPackageResults(_)) => {
            let results = context.state.iot().results.iter().map(|result| opaque(result));
            RetrieveNotificationsListResponse::EuiccPackageResultList(results.collect())
        }
    }
}

fn notifications(
    context: &ConsumerContext<'_>,
    wanted: impl Fn(&StoredNotification) -> bool,
) -> RetrieveNotificationsListResponse {
    let found = context.state.notifications.iter().filter(|notification| wanted(notification));
    let found = found.map(|notification| Opaque::new(notification.signed.0.bytes().to_vec()));
    RetrieveNotificationsListResponse::NotificationList(found.collect())
}

fn opaque(result: &StoredResult) -> Opaque<rsp::sgp32::EuiccPackageResult> {
    Opaque::new(result.signed.0.bytes().to_vec())
}
