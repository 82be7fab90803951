//! ES2 functions that call the SM-SR while the operator waits: SGP.02 sections 5.3.1, 5.3.3 and
//! 5.3.4.

use rsp::{
    ids::Oid,
    sgp02::{
        common::{BaseRequest, BaseResponse, Function, FunctionExecutionStatus},
        es2, es3,
        status::Status,
    },
};
use rsp_server::soap::{Call, CallFailure, Decision, Soap};

use crate::m2m::{context::Context, relay};

/// ES2.GetEIS. Returns the part of the EIS that the operator may see.
pub(crate) async fn get_eis(
    context: &mut Context<'_, '_>,
    soap: &Soap,
    call: &Call,
    request: es2::GetEisRequest,
) -> Decision<es2::GetEisResponse> {
    context.must_be_operator(&call.caller).await?;
    let question = es3::GetEisRequest { base: BaseRequest::new(""), eid: request.eid };
    let answer = call_sm_sr::<es3::GetEis>(context, soap, &request.smsr_id, question).await?;
    let eis = answer.eis.map(|eis| relay::operator_view(eis, &call.caller));
    Ok(es2::GetEisResponse { base: ended(answer.base.function_execution_status), eis })
}

/// ES2.UpdatePolicyRules.
pub(crate) async fn update_policy_rules(
    context: &mut Context<'_, '_>,
    soap: &Soap,
    call: &Call,
    request: es2::UpdatePolicyRulesRequest,
) -> Decision<es2::UpdatePolicyRulesResponse> {
    context.must_be_operator(&call.caller).await?;
    relay::check_owner(context, &call.caller, request.eid, request.iccid).await?;
    let es2::UpdatePolicyRulesRequest { eid, iccid, pol2, .. } = request;
    let question = es3::UpdatePolicyRulesRequest { base: BaseRequest::new(""), eid, iccid, pol2 };
    let answer = call_sm_sr::<es3::UpdatePolicyRules>(context, soap, &request.smsr_id, question).await?;
    Ok(es2::UpdatePolicyRulesResponse { base: ended(answer.base.function_execution_status) })
}

/// ES2.UpdateSubscriptionAddress.
pub(crate) async fn update_subscription_address(
    context: &mut Context<'_, '_>,
    soap: &Soap,
    call: &Call,
    request: es2::UpdateSubscriptionAddressRequest,
) -> Decision<es2::UpdateSubscriptionAddressResponse> {
    context.must_be_operator(&call.caller).await?;
    relay::check_owner(context, &call.caller, request.eid, request.iccid).await?;
    let es2::UpdateSubscriptionAddressRequest { eid, iccid, new_subscription_address, .. } = request;
    let base = BaseRequest::new("");
    let question = es3::UpdateSubscriptionAddressRequest { base, eid, iccid, new_subscription_address };
    let answer =
        call_sm_sr::<es3::UpdateSubscriptionAddress>(context, soap, &request.smsr_id, question).await?;
    Ok(es2::UpdateSubscriptionAddressResponse { base: ended(answer.base.function_execution_status) })
}

async fn call_sm_sr<F: Function>(
    context: &mut Context<'_, '_>,
    soap: &Soap,
    sm_sr: &Oid,
    question: F::Request,
) -> Decision<F::Response> {
    let peer = context.sm_sr(sm_sr).await?;
    soap.call::<F>(&peer, question).await.map_err(|no| {
        let status = match no {
            CallFailure::Unreachable(_) | CallFailure::Expired => Status::SmsrInaccessible,
            CallFailure::Fault(_) | CallFailure::Malformed(_) => Status::SmsrExecutionError,
        };
        status.because(format!("{}: {no}", F::NAME)).about(sm_sr).into()
    })
}

/// Passes the execution status of the SM-SR on to the operator.
fn ended(how: FunctionExecutionStatus) -> BaseResponse {
    BaseResponse { function_execution_status: how, ..BaseResponse::default() }
}
