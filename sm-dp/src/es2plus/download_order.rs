//! ES2+.DownloadOrder: SGP.22 section 5.3.1.
//!
//! Reserves a profile: one by its ICCID, or any that is left of a type.

use rsp::{
    sgp22::es2plus::{DownloadOrderReply, DownloadOrderRequest},
    status::Status,
};

use super::{Caller, forget, own_profile};
use crate::{
    decision::{Context, Decision},
    profile_state::ProfileEvent,
    records::{ORDERS_BY_EID, Order, PROFILES, Profile, eid_key},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    caller: &Caller,
    request: &DownloadOrderRequest,
) -> Decision<DownloadOrderReply> {
    caller.check(context.config, &request.header)?;
    let event = if request.eid.is_some() { ProfileEvent::ReservedForEid } else { ProfileEvent::Reserved };
    let mut profile = find(context, request, event).await?;
    let Some(state) = profile.state.after(event) else {
        return Err(Status::IccidInUse
            .because(format!("the profile is {}", profile.state))
            .about(profile.iccid)
            .into());
    };
    if let Some(ended) = &profile.order {
        forget(context, profile.iccid, ended).await?;
    }
    profile.state = state;
    let requester = request.header.function_requester_identifier.clone();
    profile.order = Some(Order::new(requester, request.eid, &profile));
    let key = profile.iccid.to_string();
    if let Some(eid) = request.eid {
        context.tx.put(&ORDERS_BY_EID, &eid_key(eid, profile.iccid), &profile.iccid)?;
    }
    context.tx.put(&PROFILES, &key, &profile)?;
    Ok(DownloadOrderReply { iccid: profile.iccid })
}

async fn find(
    context: &mut Context<'_, '_>,
    request: &DownloadOrderRequest,
    event: ProfileEvent,
) -> Decision<Profile> {
    match (request.iccid, &request.profile_type) {
        (Some(iccid), wanted) => {
            let profile = own_profile(context, iccid, &request.header).await?;
            if wanted.as_ref().is_some_and(|wanted| *wanted != profile.profile_type) {
                return Err(Status::ProfileTypeMismatch
                    .because(format!("the profile is of type {:?}", profile.profile_type))
                    .about(iccid)
                    .into());
            }
            Ok(profile)
        }
        (None, Some(wanted)) => {
            let all = context.tx.list(&PROFILES, "").await?;
            let mut of_type =
                all.into_iter().map(|(_, profile)| profile).filter(|p| p.profile_type == *wanted).peekable();
            if of_type.peek().is_none() {
                return Err(Status::ProfileTypeUnknown
                    .because("no profile in stock is of this type")
                    .about(wanted)
                    .into());
            }
            let may_be_had = |profile: &Profile| {
                profile.state.after(event).is_some() && !profile.is_ordered_by_another(&request.header)
            };
            of_type.find(may_be_had).ok_or_else(|| {
                Status::ProfileTypeUnavailable
                    .because("every profile of this type is taken")
                    .about(wanted)
                    .into()
            })
        }
        (None, None) => {
            Err(Status::ElementMissing.because("one of iccid and profileType must be given").into())
        }
    }
}
