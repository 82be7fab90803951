//! /admin/v1/notifications: notifications received from eUICCs.

use rsp::{
    ids::{Eid, Iccid},
    time::Timestamp,
};
use rsp_server::api::Arguments;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, Problem};
use crate::records::{NOTIFICATIONS, TakenNotification};

/// A received notification.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotificationView {
    /// The eUICC that signed it.
    #[schemars(with = "Eid")]
    eid: String,
    /// seqNumber.
    sequence_number: i64,
    /// The profile that it is about.
    #[schemars(with = "Option<Iccid>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    iccid: Option<String>,
    /// The reported event: "installation result", "enable", "disable" or "delete".
    #[serde(rename = "told")]
    event: String,
    /// The time of receipt.
    at: Timestamp,
}

/// GET /admin/v1/notifications
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    _: &Arguments,
) -> Result<Vec<NotificationView>, Problem> {
    let taken = context.decision.tx.list(&NOTIFICATIONS, "").await?;
    let mut views: Vec<_> =
        taken.into_iter().filter_map(|(key, taken)| NotificationView::of(&key, taken)).collect();
    views.sort_by(|a, b| (&a.eid, a.sequence_number).cmp(&(&b.eid, b.sequence_number)));
    Ok(views)
}

impl NotificationView {
    /// Parses the key, which is EID/sequence number/ICCID. The key of an installation result has a
    /// further part.
    fn of(key: &str, taken: TakenNotification) -> Option<Self> {
        let mut parts = key.split('/');
        Some(Self {
            eid: parts.next()?.to_owned(),
            sequence_number: parts.next()?.parse().ok()?,
            iccid: parts.next().filter(|iccid| !iccid.is_empty()).map(str::to_owned),
            event: taken.event,
            at: taken.at,
        })
    }
}
