//! /admin/v1/configuration: what an eUICC must know of this eIM.

use rsp::{der::Asn1, sgp32::es10b::AddInitialEimRequest};
use rsp_server::api::Arguments;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, Problem};
use crate::{
    records::{EimConfiguration, Octets},
    signing,
};

/// The configuration with which an eUICC is associated with this eIM.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigurationView {
    /// The configuration, which another eIM can add with addEim.
    configuration: EimConfiguration,
    /// AddInitialEimRequest for a fresh eUICC: the data of a STORE DATA command, DER.
    add_initial_eim: Octets,
}

/// GET /admin/v1/configuration
pub(super) async fn show(context: &mut Context<'_, '_>, _: &Arguments) -> Result<ConfigurationView, Problem> {
    let configuration = signing::own_configuration(context.decision.config, context.decision.credentials);
    let request = AddInitialEimRequest {
        eim_configuration_data_list: vec![signing::configuration_data(&configuration)],
    };
    Ok(ConfigurationView { configuration, add_initial_eim: Octets(request.to_der()) })
}
