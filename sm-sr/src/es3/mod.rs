//! ES3, called by the SM-DP: SGP.02 section 5.4. Functions that an operator can call too (ES4) are
//! in `router.rs` and `shared_functions.rs`. A function that the card must execute becomes a
//! [`Function`] and is answered by `procedures/answer.rs`.

mod profile_download_completed;

use rsp::sgp02::es3;
use rsp_server::soap::{Answer, Call, Decision};

pub(crate) use profile_download_completed::profile_download_completed;

use crate::{
    context::Context,
    shared_functions,
    state::{Function, Interface},
};

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
    shared_functions::accept(context, call, Interface::Es3, &request.base, request.eid, function).await
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
    shared_functions::accept(context, call, Interface::Es3, &request.base, request.eid, function).await
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
    shared_functions::accept(context, call, Interface::Es3, &request.base, request.eid, function).await
}
