//! What is to be told to others: written in the transaction that made it so, sent by [`delivery`](crate::delivery).
//!
//! ES2+.HandleDownloadProgressInfo (SGP.22 section 5.3.5) goes to the operator whose order it is, if it is known by name
//! and has an address.

use rsp::{
    ids::Eid,
    sgp22::{
        es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId, ResultData},
        json::{RequestHeader, ResponseHeader},
    },
    status::Refusal,
    time::Timestamp,
};

use crate::{
    decision::{Context, Decision, No},
    records::{ADDRESSEES, Addressee, Message, OPERATORS, OUTBOX, Outgoing, Peer, Profile},
};

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
    post(context, peer, &about, Outgoing::HandleDownloadProgressInfo(request)).await
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
        Err(No::Refusal(refusal)) => Err(refusal),
        // Nothing of this is committed.
        Err(No::Fault(_)) => return Ok(()),
    };
    tell_operator(context, profile, Progress { point, eid, outcome, result_data: None }).await
}

/// Puts a message after all others for the same peer. Those about one thing come in the order in which they were put,
/// those of the same millisecond about different things in any.
async fn post(context: &mut Context<'_, '_>, peer: Peer, about: &str, call: Outgoing) -> Decision<()> {
    let to = peer.key();
    // Read without making it part of the decision, because it is there from the first message on and only failures
    // change it.
    if context.tx.glance(&ADDRESSEES, &to).await?.is_empty() {
        let addressee = Addressee { peer, failures: 0, next_attempt: context.now };
        context.tx.put(&ADDRESSEES, &to, &addressee)?;
    }
    let mut number = 0;
    let key = loop {
        let key = format!("{to}{:015}/{about}/{number:03}", context.now.0.max(0));
        if context.tx.get(&OUTBOX, &key).await?.is_none() {
            break key;
        }
        number += 1;
    };
    context.tx.put(&OUTBOX, &key, &Message { since: context.now, call })?;
    Ok(())
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

impl Peer {
    /// What the keys of its messages begin with. The length tells where its name ends, whatever is in it.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Operator(identifier) => format!("operator/{}:{identifier}/", identifier.len()),
        }
    }
}
