//! Profile state management operations: SGP.32 section 2.11.1.1.3.

mod configure_immediate_enable;
mod delete;
mod disable;
mod enable;
mod list_profile_info;
mod set_default_dp_address;
mod set_fallback_attribute;
mod unset_fallback_attribute;

use rsp::sgp32::result::{
    ConfigureImmediateEnableResult, DeleteProfileResult, DisableProfileResult, EnableProfileResult,
    SetFallbackAttributeResult, UnsetFallbackAttributeResult,
};
use rsp::sgp32::{EuiccResultData, Psmo};

use super::marks::Marks;
use super::outcome;
use super::results::Outcome;
use crate::consumer::ConsumerContext;

/// Runs one operation.
pub(super) fn run(context: &mut ConsumerContext<'_>, marks: &mut Marks, operation: Psmo) -> Outcome {
    match operation {
        Psmo::Enable(enable) => outcome(
            enable::enable(context, marks, &enable),
            EnableProfileResult::OK,
            EuiccResultData::EnableResult,
        ),
        Psmo::Disable(disable) => outcome(
            disable::disable(context, marks, &disable),
            DisableProfileResult::OK,
            EuiccResultData::DisableResult,
        ),
        Psmo::Delete(delete) => outcome(
            delete::delete(context, marks, &delete),
            DeleteProfileResult::OK,
            EuiccResultData::DeleteResult,
        ),
        Psmo::ListProfileInfo(request) => list_profile_info::list_profile_info(context, marks, request),
        Psmo::GetRat(_) => {
            Outcome { data: EuiccResultData::GetRatResult(context.description.rat()), is_success: true }
        }
        Psmo::ConfigureImmediateEnable(request) => outcome(
            configure_immediate_enable::configure_immediate_enable(context, request),
            ConfigureImmediateEnableResult::OK,
            EuiccResultData::ConfigureImmediateEnableResult,
        ),
        Psmo::SetFallbackAttribute(set) => outcome(
            set_fallback_attribute::set_fallback_attribute(context, &set),
            SetFallbackAttributeResult::OK,
            EuiccResultData::SetFallbackAttributeResult,
        ),
        Psmo::UnsetFallbackAttribute(_) => outcome(
            unset_fallback_attribute::unset_fallback_attribute(context),
            UnsetFallbackAttributeResult::OK,
            EuiccResultData::UnsetFallbackAttributeResult,
        ),
        Psmo::SetDefaultDpAddress(request) => {
            set_default_dp_address::set_default_dp_address(context, request)
        }
    }
}
