//! ES3, called by the SM-DP: SGP.02 section 5.4. Functions that an operator can call too (ES4) are
//! in `shared_functions.rs`. A function that the card must execute becomes a [`Function`] and is
//! answered by `procedures/answer.rs`.

mod profile_download_completed;

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

pub(crate) use profile_download_completed::profile_download_completed;

use crate::{
    context::Context,
    shared_functions,
    state::{Function, Interface, Requester},
};

const INTERFACE: Interface = Interface::Es3;

fn by(call: &Call) -> Requester<'_> {
    Requester { interface: INTERFACE, id: &call.caller }
}

/// ES3.GetEIS. Returns the stored EIS of a card, as visible to the caller.
pub(crate) async fn get_eis(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::GetEisRequest,
) -> Decision<Answer<es3::GetEisResponse>> {
    let eis = shared_functions::eis(context, by(call), request.eid).await?;
    Ok(Answer::Now(es3::GetEisResponse { base: BaseResponse::default(), eis: Some(eis) }))
}

/// ES3.AuditEIS. Returns the EIS after an audit of the card.
pub(crate) async fn audit_eis(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::AuditEisRequest,
) -> Decision<Answer<es3::AuditEisResponse>> {
    let function = Function::AuditEis(request.iccid.clone());
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES3.CreateISDP. Creates an ISD-P for a profile on the card; the SM-SR chooses its AID.
pub(crate) async fn create_isdp(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::CreateIsdpRequest,
) -> Decision<Answer<es3::CreateIsdpResponse>> {
    let function = Function::CreateIsdP {
        iccid: request.iccid,
        mno_id: request.mno_id.clone(),
        required_memory: request.required_memory,
        more_to_do: request.more_to_do.unwrap_or(false),
    };
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES3.SendData. Sends a command script to a security domain of the card.
pub(crate) async fn send_data(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::SendDataRequest,
) -> Decision<Answer<es3::SendDataResponse>> {
    let function = Function::SendData {
        sd_aid: request.sd_aid.clone(),
        data: request.data.clone(),
        more_to_do: request.more_to_do.unwrap_or(false),
    };
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES3.UpdateConnectivityParameters. Replaces the network access parameters that the card uses
/// while the profile is enabled.
pub(crate) async fn update_connectivity_parameters(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::UpdateConnectivityParametersRequest,
) -> Decision<Answer<es3::UpdateConnectivityParametersResponse>> {
    let function = Function::UpdateConnectivityParameters {
        iccid: request.iccid,
        parameters: request.connectivity_parameters.clone(),
    };
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES3.UpdatePolicyRules. Replaces POL2 of a profile; without a value, the profile has no rules.
pub(crate) async fn update_policy_rules(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::UpdatePolicyRulesRequest,
) -> Decision<Answer<es3::UpdatePolicyRulesResponse>> {
    let pol2 = request.pol2.clone().unwrap_or_default();
    shared_functions::update_policy_rules(context, by(call), request.eid, request.iccid, pol2).await?;
    Ok(Answer::Now(es3::UpdatePolicyRulesResponse { base: BaseResponse::default() }))
}

/// ES3.UpdateSubscriptionAddress. Replaces the address by which the device is reached while the
/// profile is enabled.
pub(crate) async fn update_subscription_address(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::UpdateSubscriptionAddressRequest,
) -> Decision<Answer<es3::UpdateSubscriptionAddressResponse>> {
    let address = request.new_subscription_address.clone();
    shared_functions::update_subscription_address(context, by(call), request.eid, request.iccid, address)
        .await?;
    Ok(Answer::Now(es3::UpdateSubscriptionAddressResponse { base: BaseResponse::default() }))
}

/// ES3.EnableProfile. The profile is enabled once the card confirms it over the profile's network.
pub(crate) async fn enable_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::EnableProfileRequest,
) -> Decision<Answer<es3::EnableProfileResponse>> {
    let function = Function::EnableProfile(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES3.DisableProfile. The profile with the fall-back attribute is enabled instead, once the card
/// confirms it over its network.
pub(crate) async fn disable_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::DisableProfileRequest,
) -> Decision<Answer<es3::DisableProfileResponse>> {
    let function = Function::DisableProfile(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES3.DeleteISDP. Deletes the ISD-P with its profile, or an empty one after a failed download.
pub(crate) async fn delete_isdp(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::DeleteIsdpRequest,
) -> Decision<Answer<es3::DeleteIsdpResponse>> {
    let function = Function::DeleteProfile(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES3.SetFallBackAttribute. Makes the profile the one to which the card falls back. Version 4.
pub(crate) async fn set_fall_back_attribute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::SetFallBackAttributeRequest,
) -> Decision<Answer<es3::SetFallBackAttributeResponse>> {
    let function = Function::SetFallBackAttribute(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}

/// ES3.SetEmergencyProfileAttribute. Makes the profile the one for emergencies. Version 4.
pub(crate) async fn set_emergency_profile_attribute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::SetEmergencyProfileAttributeRequest,
) -> Decision<Answer<es3::SetEmergencyProfileAttributeResponse>> {
    let function = Function::SetEmergencyProfileAttribute(request.iccid);
    shared_functions::accept(context, call, INTERFACE, &request.base, request.eid, function).await
}
