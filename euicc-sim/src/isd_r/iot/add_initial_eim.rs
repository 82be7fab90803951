//! ES10b.AddInitialEim: SGP.32 section 5.9.4. Associates the first eIMs, all of them or none.

use rsp::der::Null;
use rsp::sgp32::es10b::{AddInitialEimOk, AddInitialEimRequest, AddInitialEimResponse};
use rsp::sgp32::result::AddEimResultCode;

use super::association::Association;
use crate::consumer::ConsumerContext;

pub(super) fn add_initial_eim(
    context: &mut ConsumerContext<'_>,
    request: AddInitialEimRequest,
) -> AddInitialEimResponse {
    match decide(context, &request) {
        Ok(added) => AddInitialEimResponse::AddInitialEimOk(added),
        Err(code) => AddInitialEimResponse::AddInitialEimError(code),
    }
}

fn decide(
    context: &mut ConsumerContext<'_>,
    request: &AddInitialEimRequest,
) -> Result<Vec<AddInitialEimOk>, AddEimResultCode> {
    // req: SGP.32-5.9.4-Exists
    if !context.state.iot().eims.is_empty() {
        return Err(AddEimResultCode::ASSOCIATED_EIM_ALREADY_EXISTS);
    }
    if request.eim_configuration_data_list.is_empty() {
        return Err(AddEimResultCode::COMMAND_ERROR);
    }
    let association = Association::of(context);
    let mut state = context.state.iot().clone();
    let added = request.eim_configuration_data_list.iter().map(|eim| {
        let token = association.add(&mut state, eim)?;
        Ok(token.map_or(AddInitialEimOk::AddOk(Null), AddInitialEimOk::AssociationToken))
    });
    let added = added.collect::<Result<Vec<_>, _>>()?;
    *context.state.to_mut().iot_mut() = state;
    Ok(added)
}
