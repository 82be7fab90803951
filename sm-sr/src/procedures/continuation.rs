//! Continuation of procedures after a call to another SM-SR.

use rsp::sgp02::es7;
use rsp_server::soap::Ended;
use world::Fault;

use super::{dispatch::advance, handover, takeover};
use crate::{
    context::Context,
    outgoing::{Continuation, from_text},
};

/// Continues after a sent call has ended, with or without a response.
pub(crate) async fn resumed(context: &mut Context<'_, '_>, ended: &Ended) -> Result<(), Fault> {
    match from_text(&ended.continuation)? {
        Continuation::Handover { eid, number } => {
            handover::resumed(context, eid, number, ended.response::<es7::HandoverEuicc>()).await?;
            advance(context, eid).await
        }
        Continuation::Challenge(eid) => {
            takeover::challenge_received(context, eid, ended.response::<es7::AuthenticateSmsr>()).await
        }
        Continuation::Receipt(eid) => {
            takeover::receipt_received(context, eid, ended.response::<es7::CreateAdditionalKeySet>()).await
        }
    }
}
