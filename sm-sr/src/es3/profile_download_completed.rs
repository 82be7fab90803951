//! ES3.ProfileDownloadCompleted: SGP.02 section 5.4. Reports that the profile is installed in its
//! ISD-P and gives its properties.

use rsp::sgp02::{BaseResponse, eis::ProfileState, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    notifications::{self, ProfileChange},
    procedures::check,
    shared_functions,
    state::Interface,
};

pub(crate) async fn profile_download_completed(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::ProfileDownloadCompletedRequest,
) -> Decision<Answer<es3::ProfileDownloadCompletedResponse>> {
    let by = Interface::Es3.requester(call);
    let mut card = shared_functions::own_profile(context, by, request.eid, request.iccid).await?;
    if let Some(profile) = card.profile_mut(request.iccid) {
        check::state(profile, &[ProfileState::Created])?;
        profile.state = ProfileState::Disabled;
        profile.profile_type.clone_from(&request.profile_type);
        profile.subscription_address = request.subscription_address.clone().unwrap_or_default();
        profile.pol2 = request.pol2.clone().unwrap_or_default();
    }
    card.downloads.remove(&request.iccid);
    card.check_addresses(context.tx).await?;
    card.store_addresses(context.tx).await?;
    card.store(context.tx)?;
    if let Some(profile) = card.profile(request.iccid) {
        notifications::notify_owner(context, request.eid, profile, ProfileChange::Downloaded, Some(by))
            .await?;
    }
    Ok(Answer::Now(es3::ProfileDownloadCompletedResponse { base: BaseResponse::default() }))
}
