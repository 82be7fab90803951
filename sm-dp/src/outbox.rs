//! Outgoing messages. A message is written in the transaction that causes it, and
//! [`delivery`](crate::delivery) sends it.
//!
//! ES12.RegisterEvent and DeleteEvent (section 5.9) go to the SM-DS of the order, if the order
//! names one.
//!
//! ES2+.HandleDownloadProgressInfo (SGP.22 section 5.3.5) goes to the operator that placed the
//! order, if that operator is registered with an address.

use std::time::Duration;

use rsp::{
    ids::{Eid, SmdpAddress},
    sgp22::{
        es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId, ResultData},
        es12::{DeleteEventRequest, RegisterEventRequest},
        json::{RequestHeader, ResponseHeader},
    },
    status::Refusal,
    time::Timestamp,
};
use rsp_server::{Decision, Rejection};

use crate::{
    context::Context,
    records::{
        ADDRESSEES, Addressee, Message, OPERATORS, OUTBOX, Order, OrderSnapshot, Outgoing, Peer, Profile,
    },
};

/// Time for which the delivery of an event is reserved for the request that caused it. No request
/// waits longer than this for an SM-DS.
const RESERVATION: Duration = Duration::from_secs(120);

/// The outcome of a step of a download.
pub(crate) struct Progress<'a> {
    pub(crate) point: NotificationPointId,
    pub(crate) eid: Eid,
    pub(crate) outcome: Result<(), &'a Refusal>,
    pub(crate) result_data: Option<ResultData>,
}

/// Posts a progress report to the operator that ordered the profile.
pub(crate) async fn report_progress(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    progress: Progress<'_>,
) -> Decision<()> {
    let Ok(order) = profile.order() else { return Ok(()) };
    let operator = context.tx.get(&OPERATORS, &order.requester).await?;
    // req: SGP.22-5.3.5-Address
    if operator.is_none_or(|operator| operator.es2plus_address.is_none()) {
        return Ok(());
    }
    let status = match progress.outcome {
        Ok(()) => ResponseHeader::success(),
        Err(refusal) => ResponseHeader::failed(refusal.clone()),
    };
    // req: SGP.22-5.3.5-Report
    let request = HandleDownloadProgressInfoRequest {
        header: header(context),
        eid: Some(progress.eid),
        iccid: profile.iccid,
        profile_type: profile.profile_type.clone(),
        timestamp: Timestamp::from_seconds(context.now.seconds()),
        notification_point_id: progress.point,
        notification_point_status: status.function_execution_status,
        result_data: progress.result_data,
    };
    let about = format!("{}/{}", profile.iccid, progress.eid);
    let peer = Peer::Operator(order.requester.clone());
    post(context, peer, &about, None, Outgoing::HandleDownloadProgressInfo(request)).await?;
    Ok(())
}

/// Posts the registration of an event for a released order, if the order names an SM-DS. Returns
/// the key of the message. The caller delivers it immediately after the commit; if that fails, the
/// delivery loop retries it like any other message.
pub(crate) async fn register_event(
    context: &mut Context<'_, '_>,
    profile: &mut Profile,
    before: OrderSnapshot,
) -> Decision<Option<String>> {
    let iccid = profile.iccid;
    let Ok(order) = profile.order_mut() else { return Ok(None) };
    let Some((at, eid, event_id)) = event_of(order) else { return Ok(None) };
    order.event_registered = true;
    let request = RegisterEventRequest {
        header: header(context),
        eid,
        rsp_server_address: context.config.server.address.clone(),
        event_id,
        forwarding_indicator: false,
    };
    let held_until = Some(context.now.plus(RESERVATION));
    let peer = Peer::SmDs(at.clone());
    let call = Outgoing::RegisterEvent { at, request, before: Box::new(before) };
    post(context, peer, &format!("{iccid}/{eid}"), held_until, call).await
}

/// Reserves the delivery of a waiting message for the caller again. Used when a request is
/// repeated.
pub(crate) async fn reserve_again(context: &mut Context<'_, '_>, key: &str) -> Decision<()> {
    if let Some(mut message) = context.tx.get(&OUTBOX, key).await? {
        message.held_until = Some(context.now.plus(RESERVATION));
        context.tx.put(&OUTBOX, key, &message)?;
    }
    Ok(())
}

/// Posts the deletion of an order's event, if one is registered.
pub(crate) fn delete_event(context: &mut Context<'_, '_>, order: &Order) -> Decision<()> {
    if !order.event_registered {
        return Ok(());
    }
    let Some((at, eid, event_id)) = event_of(order) else { return Ok(()) };
    delete_event_at(context, at, eid, event_id)
}

/// Posts the deletion of an event. No order needs to refer to the event.
pub(crate) fn delete_event_at(
    context: &mut Context<'_, '_>,
    at: SmdpAddress,
    eid: Eid,
    event_id: String,
) -> Decision<()> {
    let request = DeleteEventRequest { header: header(context), eid, event_id };
    let key = format!(
        "{}{:015}/{}",
        Peer::SmDs(at).key(),
        context.now.0.max(0),
        request.header.function_call_identifier
    );
    let call = Outgoing::DeleteEvent(request);
    let namespace = context.namespace.clone();
    context.tx.put(&OUTBOX, &key, &Message { since: context.now, held_until: None, call, namespace })?;
    Ok(())
}

/// Returns the SM-DS address, EID and EventID of an order's event.
pub(crate) fn event_of(order: &Order) -> Option<(SmdpAddress, Eid, String)> {
    let address = order.smds_address.as_ref()?.parse().ok()?;
    let event_id = order.matching_id.clone().filter(|matching_id| !matching_id.is_empty())?;
    Some((address, order.eid?, event_id))
}

/// Reports the outcome of a step, which may be a refusal, to the operator.
pub(crate) async fn report_outcome<T>(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    eid: Eid,
    point: NotificationPointId,
    decision: &Decision<T>,
) -> Decision<()> {
    let outcome = match decision {
        Ok(_) => Ok(()),
        Err(Rejection::Refusal(refusal)) => Err(refusal),
        // A fault rolls back the transaction, so there is nothing to report.
        Err(Rejection::Fault(_)) => return Ok(()),
    };
    report_progress(context, profile, Progress { point, eid, outcome, result_data: None }).await
}

/// Appends a message to the queue of its peer. Messages about the same profile and eUICC are
/// delivered in the order in which they were posted. Messages about different profiles or eUICCs
/// that are posted in the same millisecond are delivered in any order. If too many messages already
/// wait for an operator, nothing is posted and no key is returned.
async fn post(
    context: &mut Context<'_, '_>,
    peer: Peer,
    about: &str,
    held_until: Option<Timestamp>,
    call: Outgoing,
) -> Decision<Option<String>> {
    let to = peer.key();
    // This read is not part of the transaction's read set: the record exists from the first message
    // on, and only failed deliveries change it.
    let known = context.tx.peek_list(&ADDRESSEES, &to).await?.into_iter().next();
    match (known, &peer) {
        (None, _) => {
            let addressee = Addressee { peer, failures: 0, next_attempt: context.now, waiting: 0 };
            context.tx.put(&ADDRESSEES, &to, &addressee)?;
        }
        // An SM-DS cannot have more waiting messages than there are orders.
        (Some((_, known)), Peer::Operator(_)) if known.waiting >= context.config.max_waiting_messages => {
            tracing::warn!(
                to,
                waiting = known.waiting,
                "message discarded: too many messages wait for this operator"
            );
            return Ok(None);
        }
        (Some(_), _) => {}
    }
    let mut number = 0;
    let key = loop {
        let key = format!("{to}{:015}/{about}/{number:03}", context.now.0.max(0));
        if context.tx.get(&OUTBOX, &key).await?.is_none() {
            break key;
        }
        number += 1;
    };
    let namespace = context.namespace.clone();
    context.tx.put(&OUTBOX, &key, &Message { since: context.now, held_until, call, namespace })?;
    Ok(Some(key))
}

/// Builds the header of an outgoing call. Its function call identifier stays the same for every
/// retry.
fn header(context: &Context<'_, '_>) -> RequestHeader {
    RequestHeader {
        function_requester_identifier: context
            .credentials
            .own_oid()
            .map(ToString::to_string)
            .unwrap_or_default(),
        function_call_identifier: hex::encode(context.world.random::<16>()),
    }
}

impl OrderSnapshot {
    /// Takes a snapshot of the profile.
    pub(crate) fn of(profile: &Profile) -> Self {
        Self { iccid: profile.iccid, status: profile.status.clone(), last_call: profile.last_call.clone() }
    }
}

impl Peer {
    /// The prefix of the keys of this peer's messages. The length prefix keeps names unambiguous,
    /// whatever characters they contain.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Operator(identifier) => format!("operator/{}:{identifier}/", identifier.len()),
            Self::SmDs(address) => format!("sm-ds/{}/", address.as_str().to_ascii_lowercase()),
        }
    }
}
