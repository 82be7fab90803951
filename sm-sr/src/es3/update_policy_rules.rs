//! ES3.UpdatePolicyRules: SGP.02 section 5.4. POL2 of a profile, as it is from now on; without any, it has no rule.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    notifications::{self, News},
    procedures::Interface,
    router::By,
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::UpdatePolicyRulesRequest,
) -> Decision<Answer<es3::UpdatePolicyRulesResponse>> {
    let mut card = super::own_profile(context, call, request.eid, request.iccid).await?;
    if let Some(profile) = card.profile_mut(request.iccid) {
        profile.pol2 = request.pol2.clone().unwrap_or_default();
    }
    card.keep(context.tx)?;
    if let Some(profile) = card.profile(request.iccid) {
        let news = News::Pol2Updated(profile.pol2.clone());
        let by = Some(By { interface: Interface::Es3, id: &call.caller });
        notifications::tell_owner(context, request.eid, profile, news, by).await?;
    }
    Ok(Answer::Now(es3::UpdatePolicyRulesResponse { base: BaseResponse::default() }))
}
