//! ES2+.ReleaseProfile: SGP.22 section 5.3.4.

use rsp::sgp22::{es2plus::ReleaseProfileRequest, json::NoOutput};
use rsp_server::Decision;

use super::{Caller, own_profile, register_event, retry::CallId};
use crate::{context::Context, profile_state::ProfileEvent, records::OrderSnapshot};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    caller: &Caller,
    request: &ReleaseProfileRequest,
) -> Decision<NoOutput> {
    caller.check(context, &request.header).await?;
    let call = CallId::of("ReleaseProfile", &request.header, request)?;
    let mut profile = own_profile(context, request.iccid, &request.header).await?;
    if let Some(answer) = call.answer(context, &profile).await? {
        return Ok(answer);
    }
    let before = OrderSnapshot::of(&profile);
    // req: SGP.22-5.3.4-Transition
    profile.apply(ProfileEvent::ProfileReleased)?;
    call.save(context, &mut profile, &())?;
    register_event(context, &mut profile, before).await?;
    profile.save(context.tx)?;
    Ok(NoOutput)
}
