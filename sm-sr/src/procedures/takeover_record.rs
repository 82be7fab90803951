//! The record of a takeover, and the response to its caller.

use rsp::{
    ids::Eid,
    sgp02::{BaseResponse, Response as _, es7},
};
use world::Fault;

use crate::{
    context::Context,
    outgoing,
    records::{Deadline, TAKEOVERS},
    state::takeover::Takeover,
};

/// Returns the takeover of a card that is in progress.
pub(super) async fn current(context: &mut Context<'_, '_>, eid: Eid) -> Result<Option<Takeover>, Fault> {
    context.tx.get(&TAKEOVERS, &eid.to_string()).await
}

impl Takeover {
    pub(super) fn store(&self, context: &mut Context<'_, '_>) -> Result<(), Fault> {
        context.tx.put(&TAKEOVERS, &self.eid().to_string(), self)
    }

    pub(super) fn delete_record(&self, context: &mut Context<'_, '_>) {
        context.tx.delete(&TAKEOVERS, &self.eid().to_string());
        context.clear_deadline(self.expires, &Deadline::Takeover(self.eid()));
    }
}

/// Answers the call of ES7.HandoverEUICC, unless it has been answered.
pub(super) async fn respond(
    context: &mut Context<'_, '_>,
    takeover: &Takeover,
    base: BaseResponse,
) -> Result<(), Fault> {
    let Some(ticket) = &takeover.ticket else { return Ok(()) };
    let base =
        BaseResponse { processing_start: Some(takeover.since), processing_end: Some(context.now), ..base };
    outgoing::reply::<es7::HandoverEuicc>(context, ticket, es7::HandoverEuiccResponse::only(base)).await
}
