//! ES4, called by the operator: SGP.02 section 5.5. Functions that an SM-DP can call too (ES3) are
//! in `shared_functions.rs`. A function that the card must execute becomes a [`Function`] and is
//! answered by `procedures/answer.rs`.

mod prepare_smsr_change;

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

pub(crate) use prepare_smsr_change::prepare_smsr_change;

use crate::{
    context::Context,
    shared_functions,
    state::{Function, Interface, Requester},
};

const INTERFACE: Interface = Interface::Es4;

fn by(call: &Call) -> Requester<'_> {
    Requester { interface: INTERFACE, id: &call.caller }
}

/// ES4.GetEIS. Returns the stored EIS of a card, as visible to the caller.
pub(crate) async fn get_eis(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::GetEisRequest,
) -> Decision<Answer<es4::GetEisResponse>> {
    let eis = shared_functions::eis(context, by(call), request.eid).await?;
    Ok(Answer::Now(es4::GetEisResponse { base: BaseResponse::default(), eis: Some(eis) }))
}

/// ES4.AuditEIS. Returns the EIS after an audit of the card.
pub(crate) async fn audit_eis(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::AuditEisRequest,
) -> Decision<Answer<es4::AuditEisResponse>> {
    let function = Function::AuditEis(request.iccid.clone());
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.UpdatePolicyRules. Replaces POL2 of a profile; without a value, the profile has no rules.
pub(crate) async fn update_policy_rules(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::UpdatePolicyRulesRequest,
) -> Decision<Answer<es4::UpdatePolicyRulesResponse>> {
    let pol2 = request.pol2.clone().unwrap_or_default();
    shared_functions::update_policy_rules(context, by(call), request.eid, request.iccid, pol2).await?;
    Ok(Answer::Now(es4::UpdatePolicyRulesResponse { base: BaseResponse::default() }))
}

/// ES4.UpdateSubscriptionAddress. Replaces the address by which the device is reached while the
/// profile is enabled.
pub(crate) async fn update_subscription_address(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::UpdateSubscriptionAddressRequest,
) -> Decision<Answer<es4::UpdateSubscriptionAddressResponse>> {
    let address = request.new_subscription_address.clone();
    shared_functions::update_subscription_address(context, by(call), request.eid, request.iccid, address)
        .await?;
    Ok(Answer::Now(es4::UpdateSubscriptionAddressResponse { base: BaseResponse::default() }))
}

/// ES4.EnableProfile. The profile is enabled once the card confirms it over the profile's network.
pub(crate) async fn enable_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::EnableProfileRequest,
) -> Decision<Answer<es4::EnableProfileResponse>> {
    let function = Function::EnableProfile(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.DisableProfile. The profile with the fall-back attribute is enabled instead, once the card
/// confirms it over its network.
pub(crate) async fn disable_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::DisableProfileRequest,
) -> Decision<Answer<es4::DisableProfileResponse>> {
    let function = Function::DisableProfile(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.DeleteProfile. Deletes the profile and its ISD-P.
pub(crate) async fn delete_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::DeleteProfileRequest,
) -> Decision<Answer<es4::DeleteProfileResponse>> {
    let function = Function::DeleteProfile(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.SetFallBackAttribute. Makes the profile the one to which the card falls back. Version 4.
pub(crate) async fn set_fall_back_attribute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SetFallBackAttributeRequest,
) -> Decision<Answer<es4::SetFallBackAttributeResponse>> {
    let function = Function::SetFallBackAttribute(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.SetEmergencyProfileAttribute. Makes the profile the one for emergencies. Version 4.
pub(crate) async fn set_emergency_profile_attribute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SetEmergencyProfileAttributeRequest,
) -> Decision<Answer<es4::SetEmergencyProfileAttributeResponse>> {
    let function = Function::SetEmergencyProfileAttribute(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES4.SMSRChange, called at the SM-SR that manages the card: SGP.02 section 3.8. Hands the card
/// over to another SM-SR.
pub(crate) async fn smsr_change(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SmsrChangeRequest,
) -> Decision<Answer<es4::SmsrChangeResponse>> {
    let function = Function::SmsrChange(request.target_smsr_id.clone());
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}
