//! updateEim: SGP.32 section 3.5.1. Absent elements stay as they are. Identifier and association token
//! never change.

use rsp::sgp32::EimConfigurationData;
use rsp::sgp32::result::UpdateEimResult;

use super::super::super::association::{Association, is_counter, is_well_formed};
use crate::consumer::ConsumerContext;
use crate::description::TokenInUpdateEim;
use crate::state::InDer;
use crate::state::iot::AssociatedEim;

pub(super) fn update_eim(
    context: &mut ConsumerContext<'_>,
    operation: &EimConfigurationData,
) -> UpdateEimResult {
    match updated(context, operation) {
        Ok(updated) => {
            if let Some(eim) = context.state.to_mut().iot_mut().eim_mut(&operation.eim_id) {
                *eim = updated;
            }
            UpdateEimResult::OK
        }
        Err(code) => code,
    }
}

fn updated(
    context: &ConsumerContext<'_>,
    operation: &EimConfigurationData,
) -> Result<AssociatedEim, UpdateEimResult> {
    let new = operation.clone();
    let present = context.state.iot().eim(&new.eim_id).ok_or(UpdateEimResult::EIM_NOT_FOUND)?;
    let refuses_token = context.description.iot().token_in_update_eim == TokenInUpdateEim::Refused;
    if !is_well_formed(&new) || refuses_token && new.association_token.is_some() {
        return Err(UpdateEimResult::COMMAND_ERROR);
    }
    let ci = new.euicc_ci_pk_id.as_ref();
    if ci.is_some() && !Association::of(context).has_key_for(ci) {
        return Err(UpdateEimResult::CI_PK_UNKNOWN);
    }
    let old = &present.configuration.0;
    let counter = new.counter_value.unwrap_or(present.counter);
    // A lower counter would allow replays of packages that the present key signed.
    let has_new_key = new.eim_public_key_data.is_some() && new.eim_public_key_data != old.eim_public_key_data;
    if !is_counter(counter) || counter < present.counter && !has_new_key {
        return Err(UpdateEimResult::COUNTER_VALUE_OUT_OF_RANGE);
    }
    let old = old.clone();
    let configuration = EimConfigurationData {
        eim_id: old.eim_id,
        eim_fqdn: new.eim_fqdn.or(old.eim_fqdn),
        eim_id_type: new.eim_id_type.or(old.eim_id_type),
        counter_value: None,
        association_token: old.association_token,
        eim_public_key_data: new.eim_public_key_data.or(old.eim_public_key_data),
        trusted_public_key_data_tls: new.trusted_public_key_data_tls.or(old.trusted_public_key_data_tls),
        eim_supported_protocol: new.eim_supported_protocol.or(old.eim_supported_protocol),
        euicc_ci_pk_id: new.euicc_ci_pk_id.or(old.euicc_ci_pk_id),
        indirect_profile_download: new.indirect_profile_download.or(old.indirect_profile_download),
        esipa_proprietary_protocol_information: new
            .esipa_proprietary_protocol_information
            .or(old.esipa_proprietary_protocol_information),
    };
    Ok(AssociatedEim { counter, configuration: InDer(configuration) })
}
