//! /admin/v1/notifications: notifications that wait for their recipient.

use rsp::{ids::Eid, time::Timestamp};
use rsp_server::api::{Arguments, Listing, NoId, NoQuery, Page};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, Problem};
use crate::records::{NOTIFICATIONS, Octets, WaitingNotification};

/// A notification that waits for its recipient.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotificationView {
    /// The eUICC.
    eid: Eid,
    /// The SM-DP+.
    address: String,
    /// The notification, DER.
    notification: Octets,
    /// The time at which the eIM received it.
    since: Timestamp,
    /// The time of the next attempt.
    next_attempt: Timestamp,
    /// The number of failed attempts.
    failures: u32,
}

/// GET /admin/v1/notifications
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<NoQuery>>,
) -> Result<Page<NotificationView>, Problem> {
    let select = |_: &str, waiting: WaitingNotification| {
        let WaitingNotification { eid, address, notification, since, next_attempt, failures } = waiting;
        Some(NotificationView { eid, address, notification, since, next_attempt, failures })
    };
    Ok(arguments.query.page(context.decision.tx, &NOTIFICATIONS, select).await?)
}
