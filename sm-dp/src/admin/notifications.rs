//! /admin/v1/notifications: notifications received from eUICCs.

use rsp::{
    ids::{Eid, Iccid},
    time::Timestamp,
};
use rsp_server::{
    Namespace,
    api::{self, Arguments, Listing, NoId, Page, Revised, Waiting},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Problem};
use crate::records::{NOTIFICATIONS, TakenNotification};

/// Selects notifications. A field that is absent selects all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NotificationFilter {
    /// The eUICC that signed it.
    eid: Option<Eid>,
    /// The profile that it is about.
    iccid: Option<Iccid>,
    /// The reported event: "installation result", "install", "enable", "disable" or "delete".
    operation: Option<String>,
}

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
    /// The reported event: "installation result", "install", "enable", "disable" or "delete".
    #[serde(rename = "told")]
    event: String,
    /// The time of receipt.
    at: Timestamp,
}

/// GET /admin/v1/notifications
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<NotificationFilter>>,
) -> Result<Page<NotificationView>, Problem> {
    let listing = &arguments.query;
    let namespace = &context.decision.namespace;
    let select = |key: &str, taken| listing.filter.select(namespace, key, taken);
    let mut page = listing.page(context.decision.tx, &NOTIFICATIONS, select).await?;
    // Keys are in the order of their characters, in which 10 comes before 9.
    page.elements.sort_by(|a, b| (&a.eid, a.sequence_number).cmp(&(&b.eid, b.sequence_number)));
    Ok(page)
}

/// GET /admin/v1/notifications/latest
pub(super) async fn latest(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, NotificationFilter>,
) -> Result<Option<Revised<NotificationView>>, Problem> {
    let namespace = &context.decision.namespace;
    let select = |key: &str, taken| arguments.query.select(namespace, key, taken);
    Ok(api::latest(context.decision.tx, &NOTIFICATIONS, select).await?)
}

/// GET /admin/v1/notifications/wait
pub(super) async fn wait(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Waiting<NotificationFilter>>,
) -> Result<Option<Revised<NotificationView>>, Problem> {
    let Waiting { filter, after, .. } = &arguments.query;
    let namespace = &context.decision.namespace;
    let select = |key: &str, taken| filter.select(namespace, key, taken);
    Ok(api::first_after(context.decision.tx, &NOTIFICATIONS, *after, select).await?)
}

impl NotificationFilter {
    fn select(&self, namespace: &Namespace, key: &str, taken: TakenNotification) -> Option<NotificationView> {
        if taken.namespace != *namespace {
            return None;
        }
        let view = NotificationView::of(key, taken)?;
        let is_selected = self.eid.is_none_or(|eid| view.eid == eid.to_string())
            && self.iccid.is_none_or(|iccid| view.iccid == Some(iccid.to_string()))
            && self.operation.as_ref().is_none_or(|operation| view.event == *operation);
        is_selected.then_some(view)
    }
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
