//! ES12.DeleteEvent: SGP.22 section 5.9.2.

use rsp::{
    sgp22::{es12::DeleteEventRequest, json::NoOutput},
    status::Status,
};
use rsp_server::Decision;

use super::Caller;
use crate::{
    context::Context,
    records::{EVENTS, event_key},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    caller: &Caller,
    request: &DeleteEventRequest,
) -> Decision<NoOutput> {
    let owner = caller.identified_by(&request.header)?;
    let key = event_key(request.eid, &request.event_id);
    // Another SM-DP+ must not learn that the event exists.
    // req: SGP.22-5.9.2-Owner
    if context.tx.get(&EVENTS, &key).await?.is_none_or(|event| event.owner != *owner) {
        return Err(Status::EventUnknown
            .because("this SM-DP+ has not registered this event for this eUICC")
            .about(&request.event_id)
            .into());
    }
    context.tx.delete(&EVENTS, &key);
    Ok(NoOutput)
}
