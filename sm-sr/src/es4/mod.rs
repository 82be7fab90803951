//! ES4, from the operator: SGP.02 section 5.5. An SM-DP asks for most of it too (ES3): what is decided in the same way
//! stands in `asked.rs`. What the card has to do becomes a [`Function`], and is answered by `procedures/answer.rs`.

mod prepare_smsr_change;

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

pub(crate) use prepare_smsr_change::prepare_smsr_change;

use crate::{
    asked,
    context::Context,
    procedures::{Function, Interface},
    router::By,
};

const INTERFACE: Interface = Interface::Es4;

fn by(call: &Call) -> By<'_> {
    By { interface: INTERFACE, id: &call.caller }
}

/// ES4.GetEIS. What this SM-SR knows of a card, as far as it is the caller's business.
pub(crate) async fn get_eis(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::GetEisRequest,
) -> Decision<Answer<es4::GetEisResponse>> {
    let eis = asked::eis(context, by(call), request.eid).await?;
    Ok(Answer::Now(es4::GetEisResponse { base: BaseResponse::default(), eis: Some(eis) }))
}

/// ES4.AuditEIS. The same, after the card was asked.
pub(crate) async fn audit_eis(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::AuditEisRequest,
) -> Decision<Answer<es4::AuditEisResponse>> {
    let function = Function::AuditEis(request.iccid.clone());
    asked::later(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.UpdatePolicyRules. POL2 of a profile, as it is from now on; without any, it has no rule.
pub(crate) async fn update_policy_rules(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::UpdatePolicyRulesRequest,
) -> Decision<Answer<es4::UpdatePolicyRulesResponse>> {
    let pol2 = request.pol2.clone().unwrap_or_default();
    asked::update_policy_rules(context, by(call), request.eid, request.iccid, pol2).await?;
    Ok(Answer::Now(es4::UpdatePolicyRulesResponse { base: BaseResponse::default() }))
}

/// ES4.UpdateSubscriptionAddress. By which the device is reached while the profile is enabled.
pub(crate) async fn update_subscription_address(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::UpdateSubscriptionAddressRequest,
) -> Decision<Answer<es4::UpdateSubscriptionAddressResponse>> {
    let address = request.new_subscription_address.clone();
    asked::update_subscription_address(context, by(call), request.eid, request.iccid, address).await?;
    Ok(Answer::Now(es4::UpdateSubscriptionAddressResponse { base: BaseResponse::default() }))
}

/// ES4.EnableProfile. The profile in use is another one from then on, if the card says so over its network.
pub(crate) async fn enable_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::EnableProfileRequest,
) -> Decision<Answer<es4::EnableProfileResponse>> {
    let function = Function::EnableProfile(request.iccid);
    asked::later(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.DisableProfile. The profile with the fall-back attribute is in use from then on, if the card says so over its network.
pub(crate) async fn disable_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::DisableProfileRequest,
) -> Decision<Answer<es4::DisableProfileResponse>> {
    let function = Function::DisableProfile(request.iccid);
    asked::later(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.DeleteProfile. The profile is deleted with its ISD-P.
pub(crate) async fn delete_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::DeleteProfileRequest,
) -> Decision<Answer<es4::DeleteProfileResponse>> {
    let function = Function::DeleteProfile(request.iccid);
    asked::later(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.SetFallBackAttribute. The profile is the one to which the card falls back. Version 4.
pub(crate) async fn set_fall_back_attribute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SetFallBackAttributeRequest,
) -> Decision<Answer<es4::SetFallBackAttributeResponse>> {
    let function = Function::SetFallBackAttribute(request.iccid);
    asked::later(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.SetEmergencyProfileAttribute. The profile is the one for emergencies. Version 4.
pub(crate) async fn set_emergency_profile_attribute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SetEmergencyProfileAttributeRequest,
) -> Decision<Answer<es4::SetEmergencyProfileAttributeResponse>> {
    let function = Function::SetEmergencyProfileAttribute(request.iccid);
    asked::later(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.SMSRChange, to the SM-SR that has the card: SGP.02 section 3.8. It is handed over to another one.
pub(crate) async fn smsr_change(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SmsrChangeRequest,
) -> Decision<Answer<es4::SmsrChangeResponse>> {
    let function = Function::SmsrChange(request.target_smsr_id.clone());
    asked::later(context, call, INTERFACE, &request.base, request.eid, function).await
}
