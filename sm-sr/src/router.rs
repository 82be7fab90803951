//! Dispatch of calls to functions.

use rsp::sgp02::{es1, es3, es4, es7, shared_functions as shared};
use rsp_server::{
    soap::{Call, Reply},
    soap_dispatch,
};
use world::Fault;

use crate::{
    context::Context,
    es1 as from_eum, es3 as from_sm_dp, es4 as from_operator, es7 as from_sm_sr, shared_functions,
    state::{Function, Interface},
};

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
        es3::CreateIsdp => |it| at!(from_sm_dp::create_isdp, it),
        es3::SendData => |it| at!(from_sm_dp::send_data, it),
        es3::ProfileDownloadCompleted => |it| at!(from_sm_dp::profile_download_completed, it),
        es3::UpdateConnectivityParameters => |it| at!(from_sm_dp::update_connectivity_parameters, it),
        es4::PrepareSmsrChange => |it| at!(from_operator::prepare_smsr_change, it),
        es4::SmsrChange => |it| at!(from_operator::smsr_change, it),
        es7::HandoverEuicc => |it| at!(from_sm_sr::handover_euicc::execute, it),
        es7::AuthenticateSmsr => |it| at!(from_sm_sr::authenticate_smsr::execute, it),
        es7::CreateAdditionalKeySet => |it| at!(from_sm_sr::create_additional_key_set::execute, it),
    }, {
        es7::HandleSmsrChangeNotification => |it| at!(from_sm_sr::handle_smsr_change_notification::execute, it),
    }, else match call.element.starts_with("ES3-") {
        true => decide_shared::<3>(context, call).await,
        false => decide_shared::<4>(context, call).await,
    })
}

/// Decides on a call of a function that SM-DPs (ES3) and operators (ES4) have in common.
async fn decide_shared<const ES: u8>(context: &mut Context<'_, '_>, call: &Call) -> Result<Reply, Fault> {
    let interface = Interface::numbered::<ES>();
    let by = interface.requester(call);
    macro_rules! on_card {
        ($request:ident, $function:expr) => {
            shared_functions::accept(context, call, interface, &$request.base, $request.eid, $function).await
        };
    }
    soap_dispatch!(call, {
        shared::GetEis<ES> => |it| shared_functions::get_eis(context, by, &it).await,
        shared::AuditEis<ES> => |it| on_card!(it, Function::AuditEis(it.iccid)),
        shared::UpdatePolicyRules<ES> => |it| shared_functions::update_policy_rules(context, by, it).await,
        shared::UpdateSubscriptionAddress<ES> => |it|
            shared_functions::update_subscription_address(context, by, it).await,
        shared::EnableProfile<ES> => |it| on_card!(it, Function::EnableProfile(it.iccid)),
        shared::DisableProfile<ES> => |it| on_card!(it, Function::DisableProfile(it.iccid)),
        shared::DeleteProfile<ES> => |it| on_card!(it, Function::DeleteProfile(it.iccid)),
        shared::SetFallBackAttribute<ES> => |it| on_card!(it, Function::SetFallBackAttribute(it.iccid)),
        shared::SetEmergencyProfileAttribute<ES> => |it|
            on_card!(it, Function::SetEmergencyProfileAttribute(it.iccid)),
    }, {})
}
