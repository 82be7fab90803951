//! /admin/v1/notifications: what eUICCs have told.

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Context, Problem,
    function::{Asked, Function, NoId, NoQuery, Verb},
    schema::{EidText, IccidText, TimeText},
};
use crate::records::{NOTIFICATIONS, TakenNotification};

/// GET /admin/v1/notifications
pub(super) struct List;

/// A notification that was taken.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotificationView {
    /// Who told it.
    #[schemars(with = "EidText")]
    eid: String,
    /// seqNumber.
    sequence_number: i64,
    /// Of which profile.
    #[schemars(with = "Option<IccidText>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    iccid: Option<String>,
    /// What: "installation result", "enable", "disable", "delete".
    told: String,
    /// When it was taken.
    #[schemars(with = "TimeText")]
    at: Timestamp,
}

impl Function for List {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/admin/v1/notifications";
    const SUMMARY: &'static str = "Every notification that was believed, by eUICC";
    type Id = NoId;
    type Query = NoQuery;
    type Body = ();
    type Reply = Vec<NotificationView>;

    async fn execute(
        context: &mut Context<'_, '_>,
        _: &Asked<Self>,
    ) -> Result<Vec<NotificationView>, Problem> {
        let taken = context.decision.tx.list(&NOTIFICATIONS, "").await?;
        let mut views: Vec<_> =
            taken.into_iter().filter_map(|(key, taken)| NotificationView::of(&key, taken)).collect();
        views.sort_by(|a, b| (&a.eid, a.sequence_number).cmp(&(&b.eid, b.sequence_number)));
        Ok(views)
    }
}

impl NotificationView {
    /// The key is EID/sequence number/ICCID, with more behind it for the result of an installation.
    fn of(key: &str, taken: TakenNotification) -> Option<Self> {
        let mut parts = key.split('/');
        Some(Self {
            eid: parts.next()?.to_owned(),
            sequence_number: parts.next()?.parse().ok()?,
            iccid: parts.next().filter(|iccid| !iccid.is_empty()).map(str::to_owned),
            told: taken.told,
            at: taken.at,
        })
    }
}
