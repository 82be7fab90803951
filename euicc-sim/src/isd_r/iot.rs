//! ES10b of an IoT eUICC: SGP.32 section 5.9. Functions that SGP.22 defines as well are those of a
//! consumer card.
//!
//! Each function has a file of its own. The operations of a package are in the folder of
//! `load_euicc_package`.

mod add_initial_eim;
mod association;
mod configure_immediate_profile_enabling;
mod disable_emergency_profile;
mod enable_emergency_profile;
mod euicc_memory_reset;
mod execute_fallback_mechanism;
mod get_certs;
mod get_connectivity_parameters;
mod get_eim_configuration_data;
mod immediate_enable;
mod ipae_activation;
mod load_euicc_package;
mod package_result;
mod profile_rollback;
mod remove_notification_from_list;
mod retrieve_notifications_list;
mod return_from_fallback;
mod set_default_dp_address;

use rsp::der::{Asn1, Raw, Tag};
use rsp::sgp32::es10b::{
    AddInitialEimRequest, ConfigureImmediateProfileEnablingRequest, DisableEmergencyProfileRequest,
    EnableEmergencyProfileRequest, EuiccMemoryResetRequest, ExecuteFallbackMechanismRequest, GetCertsRequest,
    GetConnectivityParametersRequest, GetEimConfigurationDataRequest, ImmediateEnableRequest,
    IpaeActivationRequest, NotificationSentRequest, ProfileRollbackRequest, RetrieveNotificationsListRequest,
    ReturnFromFallbackRequest, SetDefaultDpAddressRequest,
};
use rsp::sgp32::{EimConfigurationData, EuiccPackageRequest};
use world::Fault;

use super::run;
use crate::StatusWord;
use crate::consumer::ConsumerContext;
use crate::description::CardDescription;
use crate::ecasd::Ecasd;
use crate::state::iot::IotState;
use association::Association;

/// Dispatches the commands that only an IoT card has.
pub(super) fn dispatch(
    context: &mut ConsumerContext<'_>,
    tag: Tag,
    command: &[u8],
) -> Result<Vec<u8>, StatusWord> {
    match tag {
        EuiccPackageRequest::TAG => {
            // The signature covers the received octets.
            let loaded = |context: &mut ConsumerContext<'_>, request: Raw<EuiccPackageRequest>| {
                load_euicc_package::load_euicc_package(context, &request)
            };
            run(context, command, loaded)
        }
        RetrieveNotificationsListRequest::TAG => {
            let retrieved = |context: &mut ConsumerContext<'_>, request: Raw<_>| {
                retrieve_notifications_list::retrieve_notifications_list(context, &request)
            };
            run(context, command, retrieved)
        }
        NotificationSentRequest::TAG => {
            run(context, command, remove_notification_from_list::remove_notification_from_list)
        }
        IpaeActivationRequest::TAG => run(context, command, ipae_activation::ipae_activation),
        GetEimConfigurationDataRequest::TAG => {
            run(context, command, get_eim_configuration_data::get_eim_configuration_data)
        }
        GetCertsRequest::TAG => run(context, command, get_certs::get_certs),
        AddInitialEimRequest::TAG => run(context, command, add_initial_eim::add_initial_eim),
        ProfileRollbackRequest::TAG => run(context, command, profile_rollback::profile_rollback),
        ConfigureImmediateProfileEnablingRequest::TAG => {
            run(context, command, configure_immediate_profile_enabling::configure_immediate_profile_enabling)
        }
        ImmediateEnableRequest::TAG => run(context, command, immediate_enable::immediate_enable),
        EnableEmergencyProfileRequest::TAG => {
            run(context, command, enable_emergency_profile::enable_emergency_profile)
        }
        DisableEmergencyProfileRequest::TAG => {
            run(context, command, disable_emergency_profile::disable_emergency_profile)
        }
        ExecuteFallbackMechanismRequest::TAG => {
            run(context, command, execute_fallback_mechanism::execute_fallback_mechanism)
        }
        ReturnFromFallbackRequest::TAG => run(context, command, return_from_fallback::return_from_fallback),
        GetConnectivityParametersRequest::TAG => {
            run(context, command, get_connectivity_parameters::get_connectivity_parameters)
        }
        EuiccMemoryResetRequest::TAG => run(context, command, euicc_memory_reset::euicc_memory_reset),
        SetDefaultDpAddressRequest::TAG => {
            run(context, command, set_default_dp_address::set_default_dp_address)
        }
        _ => Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
    }
}

/// The state of a new card with the eIMs of its description.
///
/// # Errors
/// An eIM of the description is not decodable, or the card would refuse it in ES10b.AddInitialEim.
pub(crate) fn initial_state(description: &CardDescription, ecasd: &Ecasd) -> Result<IotState, Fault> {
    let mut state = IotState::NEW;
    for der in &description.iot().initial_eims {
        let fault = |why: String| {
            let next = "correct initial_eims in the card's description: EimConfigurationData in DER";
            Fault::new("cannot create a card with an eIM of its description", why, next)
        };
        let eim = EimConfigurationData::from_der(der).map_err(|why| fault(why.to_string()))?;
        Association { settings: description.iot(), ecasd }
            .add(&mut state, &eim)
            .map_err(|code| fault(format!("the card refuses it: {code}")))?;
    }
    Ok(state)
}
