//! What is to be told to others: written in the transaction that made it so, sent by [`delivery`](crate::delivery).
//!
//! ES12.RegisterEvent and DeleteEvent (section 5.9) go to the SM-DS of an order that has one.
//!
//! ES2+.HandleDownloadProgressInfo (SGP.22 section 5.3.5) goes to the operator whose order it is, if it is known by name
//! and has an address.

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
    records::{ADDRESSEES, Addressee, Before, Message, OPERATORS, OUTBOX, Order, Outgoing, Peer, Profile},
};

/// How long an event is left to the request that made it. More than any request waits for an SM-DS.
const HELD: Duration = Duration::from_secs(120);

/// How a step of a download ended.
pub(crate) struct Progress<'a> {
    pub(crate) point: NotificationPointId,
    pub(crate) eid: Eid,
    pub(crate) outcome: Result<(), &'a Refusal>,
    pub(crate) result_data: Option<ResultData>,
}

/// Tells the operator of the profile's order.
pub(crate) async fn tell_operator(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    progress: Progress<'_>,
) -> Decision<()> {
    let Some(order) = &profile.order else { return Ok(()) };
    let operator = context.tx.get(&OPERATORS, &order.requester).await?;
    if operator.is_none_or(|operator| operator.es2plus_address.is_none()) {
        return Ok(());
    }
    let status = match progress.outcome {
        Ok(()) => ResponseHeader::success(),
        Err(refusal) => ResponseHeader::failed(refusal.clone()),
    };
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

/// Has an event registered for a released order, if it has an SM-DS. Whoever commits this delivers it then, under the
/// key that is given; later it is tried as everything else.
pub(crate) async fn register_event(
    context: &mut Context<'_, '_>,
    profile: &mut Profile,
    before: Before,
) -> Decision<Option<String>> {
    let iccid = profile.iccid;
    let Some(order) = profile.order.as_mut() else { return Ok(None) };
    let Some((at, eid, event_id)) = event_of(order) else { return Ok(None) };
    order.event_registered = true;
    let request = RegisterEventRequest {
        header: header(context),
        eid,
        rsp_server_address: context.config.address.clone(),
        event_id,
        forwarding_indicator: false,
    };
    let held_until = Some(context.now.plus(HELD));
    let peer = Peer::SmDs(at.clone());
    let call = Outgoing::RegisterEvent { at, request, before: Box::new(before) };
    post(context, peer, &format!("{iccid}/{eid}"), held_until, call).await
}

/// Whoever asks again delivers it again, if it still waits.
pub(crate) async fn hold_again(context: &mut Context<'_, '_>, key: &str) -> Decision<()> {
    if let Some(mut message) = context.tx.get(&OUTBOX, key).await? {
        message.held_until = Some(context.now.plus(HELD));
        context.tx.put(&OUTBOX, key, &message)?;
    }
    Ok(())
}

/// Has the event of an order deleted, if there is one.
pub(crate) fn delete_event(context: &mut Context<'_, '_>, order: &Order) -> Decision<()> {
    if !order.event_registered {
        return Ok(());
    }
    let Some((at, eid, event_id)) = event_of(order) else { return Ok(()) };
    delete_event_at(context, at, eid, event_id)
}

/// Has an event deleted, whether or not an order knows of it.
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
    context.tx.put(&OUTBOX, &key, &Message { since: context.now, held_until: None, call })?;
    Ok(())
}

/// Where and under what an order's event is.
pub(crate) fn event_of(order: &Order) -> Option<(SmdpAddress, Eid, String)> {
    let address = order.smds_address.as_ref()?.parse().ok()?;
    let event_id = order.matching_id.clone().filter(|matching_id| !matching_id.is_empty())?;
    Some((address, order.eid?, event_id))
}

/// Tells the operator how a step ended that may have been refused.
pub(crate) async fn tell_decision<T>(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    eid: Eid,
    point: NotificationPointId,
    decision: &Decision<T>,
) -> Decision<()> {
    let outcome = match decision {
        Ok(_) => Ok(()),
        Err(Rejection::Refusal(refusal)) => Err(refusal),
        // Nothing of this is committed.
        Err(Rejection::Fault(_)) => return Ok(()),
    };
    tell_operator(context, profile, Progress { point, eid, outcome, result_data: None }).await
}

/// Puts a message after all others for the same peer. Those about one thing come in the order in which they were put,
/// those of the same millisecond about different things in any. What is for an operator that has let too many wait is
/// not put, and there is no key.
async fn post(
    context: &mut Context<'_, '_>,
    peer: Peer,
    about: &str,
    held_until: Option<Timestamp>,
    call: Outgoing,
) -> Decision<Option<String>> {
    let to = peer.key();
    // Read without making it part of the decision, because it is there from the first message on and only failures
    // change it.
    let known = context.tx.glance(&ADDRESSEES, &to).await?.into_iter().next();
    match (known, &peer) {
        (None, _) => {
            let addressee = Addressee { peer, failures: 0, next_attempt: context.now, waiting: 0 };
            context.tx.put(&ADDRESSEES, &to, &addressee)?;
        }
        // An SM-DS has no more than there are orders.
        (Some((_, known)), Peer::Operator(_)) if known.waiting >= context.config.max_waiting_messages => {
            tracing::warn!(to, waiting = known.waiting, "a message is lost; too many wait for this operator");
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
    context.tx.put(&OUTBOX, &key, &Message { since: context.now, held_until, call })?;
    Ok(Some(key))
}

/// Of a call to a peer, under an identifier that stays the same however often it is sent.
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

impl Before {
    /// As it stands.
    pub(crate) fn of(profile: &Profile) -> Self {
        Self {
            iccid: profile.iccid,
            state: profile.state,
            order: profile.order.clone(),
            last_call: profile.last_call.clone(),
        }
    }
}

impl Peer {
    /// What the keys of its messages begin with. The length tells where its name ends, whatever is in it.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Operator(identifier) => format!("operator/{}:{identifier}/", identifier.len()),
            Self::SmDs(address) => format!("sm-ds/{}/", address.as_str().to_ascii_lowercase()),
        }
    }
}
