//! ES2+.DownloadOrder: SGP.22 section 5.3.1.
//!
//! Reserves a profile, either the one with the given ICCID or any available one of a type. If none is
//! available, one is personalised from the template of the type.

use rsp::{
    sgp22::es2plus::{DownloadOrderReply, DownloadOrderRequest},
    status::Status,
};
use rsp_server::Decision;

use super::{Caller, forget, own_profile, retry::CallId};
use crate::{
    context::Context,
    profile_state::ProfileEvent,
    records::{InvalidTransition, ORDERS_BY_EID, Order, PROFILE_TYPES, Profile, ProfileOrderId, eid_key},
    template,
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    caller: &Caller,
    request: &DownloadOrderRequest,
) -> Decision<DownloadOrderReply> {
    caller.check(context, &request.header).await?;
    let event = if request.eid.is_some() { ProfileEvent::ReservedForEid } else { ProfileEvent::Reserved };
    let call = CallId::of("DownloadOrder", &request.header, request)?;
    if request.iccid.is_none()
        && let Some(given) = call.profile(context).await?
        && let Some(answer) = call.answer(context, &given).await?
    {
        return Ok(answer);
    }
    let mut profile = find(context, request).await?;
    if let Some(answer) = call.answer(context, &profile).await? {
        return Ok(answer);
    }
    // req: SGP.22-5.3.1-IccidInUse
    let in_use = |error: InvalidTransition| Status::IccidInUse.because(error.to_string()).about(error.iccid);
    profile.after(event).map_err(in_use)?;
    if let Ok(ended) = profile.order() {
        forget(context, profile.iccid, ended).await?;
    }
    let requester = request.header.function_requester_identifier.clone();
    let order = Order::new(ProfileOrderId::random(context.world), requester, request.eid, &profile);
    profile.reserve(event, order).map_err(in_use)?;
    if let Some(eid) = request.eid {
        context.tx.put(&ORDERS_BY_EID, &eid_key(eid, profile.iccid), &profile.iccid)?;
    }
    let reply = DownloadOrderReply { iccid: profile.iccid };
    if request.iccid.is_none() {
        call.keep_profile(context, profile.iccid)?;
    }
    call.save(context, &mut profile, &reply)?;
    profile.save(context.tx)?;
    Ok(reply)
}

async fn find(context: &mut Context<'_, '_>, request: &DownloadOrderRequest) -> Decision<Profile> {
    match (request.iccid, &request.profile_type) {
        (Some(iccid), requested) => {
            let profile = own_profile(context, iccid, &request.header).await?;
            if requested.as_ref().is_some_and(|requested| *requested != profile.profile_type) {
                // req: SGP.22-5.3.1-TypeMismatch
                return Err(Status::ProfileTypeMismatch
                    .because(format!("the profile is of type {:?}", profile.profile_type))
                    .about(iccid)
                    .into());
            }
            Ok(profile)
        }
        (None, Some(requested)) => {
            if context.tx.get(&PROFILE_TYPES, requested).await?.is_none() {
                // req: SGP.22-5.3.1-TypeUnknown
                return Err(Status::ProfileTypeUnknown
                    .because("no profile in stock is of this type")
                    .about(requested)
                    .into());
            }
            any_of_type(context, requested).await
        }
        (None, None) => {
            // req: SGP.22-5.3.1-NoProfile
            Err(Status::ElementMissing.because("one of iccid and profileType must be given").into())
        }
    }
}

/// Returns an available profile of a type, or a new one from the template of the type. Refuses if
/// there is neither.
async fn any_of_type(context: &mut Context<'_, '_>, requested: &str) -> Decision<Profile> {
    // req: SGP.22-5.3.1-TypeUnavailable
    let unavailable = |why: String| Status::ProfileTypeUnavailable.because(why).about(requested).into();
    match template::available_or_personalised(context, Some(requested)).await {
        Ok(Some(profile)) => Ok(profile),
        Ok(None) => Err(unavailable("no profile of this type is available".to_owned())),
        Err(fault) if template::is_unusable(&fault) => Err(unavailable(fault.why)),
        Err(fault) => Err(fault.into()),
    }
}
