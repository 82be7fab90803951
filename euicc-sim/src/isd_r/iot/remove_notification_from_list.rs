//! ES10b.RemoveNotificationFromList: SGP.32 section 5.9.12. It also removes the result of a package,
//! because notifications and results have their numbers from one sequence.

use rsp::sgp22::es10b::DeleteNotificationStatus;
use rsp::sgp32::es10b::{NotificationSentRequest, NotificationSentResponse};

use crate::consumer::ConsumerContext;
use crate::isd_r::es10b::remove_notification_from_list as sgp22;

pub(super) fn remove_notification_from_list(
    context: &mut ConsumerContext<'_>,
    request: NotificationSentRequest,
) -> NotificationSentResponse {
    if context.state.iot().result(request.seq_number).is_some() {
        context.state.to_mut().iot_mut().remove_result(request.seq_number);
        return NotificationSentResponse { delete_notification_status: DeleteNotificationStatus::OK };
    }
    sgp22::remove_notification_from_list(context, request)
}
