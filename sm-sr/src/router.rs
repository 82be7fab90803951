//! Dispatch of calls to functions.

use rsp::sgp02::{es1, es3, es4, es7};
use rsp_server::{
    soap::{Call, Reply},
    soap_dispatch,
};
use world::Fault;

use crate::{context::Context, es1 as from_eum, es3 as from_sm_dp, es4 as from_operator, es7 as from_sm_sr};

/// Decides on a call.
pub(crate) async fn decide(context: &mut Context<'_, '_>, call: &Call) -> Result<Reply, Fault> {
    macro_rules! at {
        ($($function:ident)::+, $request:ident) => {
            $($function)::+(context, call, &$request).await
        };
    }
    soap_dispatch!(call, {
        es1::RegisterEis => |it| at!(from_eum::register_eis::execute, it),
        es1::UpdateEisAdditionalProperties => |it| at!(from_eum::update_eis_additional_properties::execute, it),
        es3::GetEis => |it| at!(from_sm_dp::get_eis, it),
        es3::AuditEis => |it| at!(from_sm_dp::audit_eis, it),
        es3::CreateIsdp => |it| at!(from_sm_dp::create_isdp, it),
        es3::SendData => |it| at!(from_sm_dp::send_data, it),
        es3::ProfileDownloadCompleted => |it| at!(from_sm_dp::profile_download_completed, it),
        es3::UpdatePolicyRules => |it| at!(from_sm_dp::update_policy_rules, it),
        es3::UpdateSubscriptionAddress => |it| at!(from_sm_dp::update_subscription_address, it),
        es3::UpdateConnectivityParameters => |it| at!(from_sm_dp::update_connectivity_parameters, it),
        es3::EnableProfile => |it| at!(from_sm_dp::enable_profile, it),
        es3::DisableProfile => |it| at!(from_sm_dp::disable_profile, it),
        es3::DeleteIsdp => |it| at!(from_sm_dp::delete_isdp, it),
        es3::SetFallBackAttribute => |it| at!(from_sm_dp::set_fall_back_attribute, it),
        es3::SetEmergencyProfileAttribute => |it| at!(from_sm_dp::set_emergency_profile_attribute, it),
        es4::GetEis => |it| at!(from_operator::get_eis, it),
        es4::AuditEis => |it| at!(from_operator::audit_eis, it),
        es4::UpdatePolicyRules => |it| at!(from_operator::update_policy_rules, it),
        es4::UpdateSubscriptionAddress => |it| at!(from_operator::update_subscription_address, it),
        es4::EnableProfile => |it| at!(from_operator::enable_profile, it),
        es4::DisableProfile => |it| at!(from_operator::disable_profile, it),
        es4::DeleteProfile => |it| at!(from_operator::delete_profile, it),
        es4::SetFallBackAttribute => |it| at!(from_operator::set_fall_back_attribute, it),
        es4::SetEmergencyProfileAttribute => |it| at!(from_operator::set_emergency_profile_attribute, it),
        es4::PrepareSmsrChange => |it| at!(from_operator::prepare_smsr_change, it),
        es4::SmsrChange => |it| at!(from_operator::smsr_change, it),
        es7::HandoverEuicc => |it| at!(from_sm_sr::handover_euicc::execute, it),
        es7::AuthenticateSmsr => |it| at!(from_sm_sr::authenticate_smsr::execute, it),
        es7::CreateAdditionalKeySet => |it| at!(from_sm_sr::create_additional_key_set::execute, it),
    }, {
        es7::HandleSmsrChangeNotification => |it| at!(from_sm_sr::handle_smsr_change_notification::execute, it),
    })
}
