//! ES2+.ReleaseProfile: SGP.22 section 5.3.4.

use rsp::{sgp22::es2plus::ReleaseProfileRequest, status::Status};

use super::{Caller, own_profile};
use crate::{
    decision::{Context, Decision},
    profile_state::ProfileEvent,
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    caller: &Caller,
    request: &ReleaseProfileRequest,
) -> Decision<()> {
    caller.check(context.config, &request.header)?;
    let mut profile = own_profile(context, request.iccid, &request.header).await?;
    let Some(state) = profile.state.after(ProfileEvent::ProfileReleased) else {
        return Err(Status::IccidInvalidTransition
            .because(format!("the profile is {}", profile.state))
            .about(request.iccid)
            .into());
    };
    profile.state = state;
    profile.keep(context.tx)?;
    Ok(())
}
