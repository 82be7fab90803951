//! ES2, called by the operator: SGP.02 section 5.3.
//!
//! A call that needs a response from the eUICC is stored as a record, and [`m2m`](crate::m2m)
//! continues it. For any other call, the SM-DP calls the SM-SR while the operator waits.

pub(crate) mod relayed;

use rsp::{
    ids::{Eid, Oid},
    sgp02::es2,
};
use rsp_server::soap::{Answer, Call, Decision};

use crate::m2m::{
    context::Context,
    download,
    records::{Awaits, Download, Relay, Relayed, downloads_to},
    relay, stock,
};

/// ES2.DownloadProfile: SGP.02 section 5.3.2.
pub(crate) async fn download_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: es2::DownloadProfileRequest,
) -> Decision<Answer<es2::DownloadProfileResponse>> {
    context.must_be_operator(&call.caller).await?;
    context.sm_sr(&request.smsr_id).await?;
    let (iccid, order) = stock::reserve(context, &call.caller, &request).await?;
    let id = format!("{}{}", downloads_to(request.eid), hex::encode(context.world.random::<16>()));
    let validity = context.config.default_validity;
    let download = Download {
        operator: call.caller.clone(),
        sm_sr: request.smsr_id,
        eid: request.eid,
        iccid,
        order,
        enable: request.enable_profile,
        answer: call.ticket(),
        valid_until: call.expires().unwrap_or_else(|| context.now.plus(validity)),
        step: 0,
        awaits: Awaits::Eis,
    };
    download::begin(context, &id, download).await?;
    Ok(Answer::Later)
}

/// ES2.EnableProfile, DisableProfile, DeleteProfile, SetFallBackAttribute,
/// SetEmergencyProfileAttribute and AuditEIS.
pub(crate) async fn forward<R>(
    context: &mut Context<'_, '_>,
    call: &Call,
    (eid, sm_sr): (Eid, Oid),
    function: Relayed,
) -> Decision<Answer<R>> {
    context.must_be_operator(&call.caller).await?;
    let relay = Relay { operator: call.caller.clone(), eid, answer: call.ticket(), function };
    relay::begin(context, &sm_sr, relay).await?;
    Ok(Answer::Later)
}
