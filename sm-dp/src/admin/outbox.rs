//! /admin/v1/outbox: messages that wait for delivery.

use rsp::{
    ids::{Eid, Iccid},
    time::Timestamp,
};
use rsp_server::api::{Arguments, Listing, NoId, NoQuery, Page};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, Problem};
use crate::records::{ADDRESSEES, Addressee, Message, OUTBOX, Outgoing, Peer};

/// All waiting messages of one peer, in delivery order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeerView {
    peer: PeerName,
    /// The number of consecutive failed deliveries to the peer.
    failures: u32,
    /// The time of the next delivery attempt.
    next_attempt: Timestamp,
    messages: Vec<MessageView>,
}

/// The receiver of a message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum PeerName {
    /// The operator with this identifier.
    Operator(String),
    /// The SM-DS at this address.
    #[serde(rename = "smds")]
    SmDs(String),
}

/// A waiting call.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MessageView {
    /// "HandleDownloadProgressInfo", "RegisterEvent" or "DeleteEvent".
    function: &'static str,
    /// The eUICC that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    eid: Option<Eid>,
    /// The profile that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    iccid: Option<Iccid>,
    /// The event that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    since: Timestamp,
}

/// GET /admin/v1/outbox
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<NoQuery>>,
) -> Result<Page<PeerView>, Problem> {
    let namespace = &context.decision.namespace;
    let tx = &mut *context.decision.tx;
    let mut views = Vec::new();
    for (to, addressee) in tx.list(&ADDRESSEES, "").await? {
        let mut messages = tx.list(&OUTBOX, &to).await?;
        messages.retain(|(_, message)| message.namespace == *namespace);
        if !messages.is_empty() {
            views.push((to, PeerView::of(addressee, messages)));
        }
    }
    Ok(arguments.query.of_sorted(views))
}

impl PeerView {
    fn of(addressee: Addressee, messages: Vec<(String, Message)>) -> Self {
        Self {
            peer: match addressee.peer {
                Peer::Operator(identifier) => PeerName::Operator(identifier),
                Peer::SmDs(address) => PeerName::SmDs(address.to_string()),
            },
            failures: addressee.failures,
            next_attempt: addressee.next_attempt,
            messages: messages.into_iter().map(|(_, message)| MessageView::of(message)).collect(),
        }
    }
}

impl MessageView {
    fn of(message: Message) -> Self {
        let (function, eid, iccid, event_id) = match message.call {
            Outgoing::HandleDownloadProgressInfo(request) => {
                ("HandleDownloadProgressInfo", request.eid, Some(request.iccid), None)
            }
            Outgoing::RegisterEvent { request, before, .. } => {
                ("RegisterEvent", Some(request.eid), Some(before.iccid), Some(request.event_id))
            }
            Outgoing::DeleteEvent(request) => {
                ("DeleteEvent", Some(request.eid), None, Some(request.event_id))
            }
        };
        Self { function, eid, iccid, event_id, since: message.since }
    }
}
