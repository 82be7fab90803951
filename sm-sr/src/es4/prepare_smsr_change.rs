//! ES4.PrepareSMSRChange, called at the SM-SR that takes over the card: SGP.02 sections 3.8 and
//! 5.5. Checks that this SM-SR is ready and then waits for the current SM-SR. This SM-SR does not know
//! the card yet, so any operator can prepare a change, and operators do not block each other. When
//! the EIS arrives, it shows if the operator has a profile on the card.

use rsp::sgp02::{BaseResponse, es4, status::Status};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::check,
    records::{Deadline, PREPARED, PeerRole, Prepared, prepared_key},
    shared_functions,
    state::Interface,
};

pub(crate) async fn prepare_smsr_change(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::PrepareSmsrChangeRequest,
) -> Decision<Answer<es4::PrepareSmsrChangeResponse>> {
    shared_functions::check_caller(context, Interface::Es4.requester(call)).await?;
    let (eid, current) = (request.eid, &request.current_smsr_id);
    if context.card(eid).await?.is_some() {
        return Err(check::already_managed(eid).into());
    }
    let peer = context.peer(current).await?;
    if !peer.is_some_and(|peer| matches!(peer.role, PeerRole::SmSr) && peer.endpoint.is_some()) {
        // req: SGP.02-5.6-Prepare-Current
        return Err(Status::SmsrUnknown
            .because("the current SM-SR is not registered at this SM-SR")
            .about(current)
            .into());
    }
    let until = context.now.plus(context.config.prepared_time);
    let prepared = Prepared { operator: call.caller.clone(), current: current.clone(), until };
    context.tx.put(&PREPARED, &prepared_key(eid, &call.caller), &prepared)?;
    context.set_deadline(until, &Deadline::Prepared(eid))?;
    Ok(Answer::Now(es4::PrepareSmsrChangeResponse { base: BaseResponse::default() }))
}
