//! ES2 functions that an SM-SR executes: SGP.02 section 5.3, forwarded over ES3.
//!
//! The authorisation is checked here, because ES3 does not tell the SM-SR which operator the SM-DP
//! acts for. An operator can only manage profiles that it downloaded through this SM-DP.

use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{
        common::{BaseRequest, BaseResponse, ExecutionStatus},
        eis::Eis,
        es2, es3,
        status::{Refusal, Status},
    },
};
use rsp_server::soap::{Decision, Ended};
use world::Fault;

use super::{
    connectivity,
    context::{Context, response_of},
    download,
    records::{DOWNLOADS, ISD_PS, Procedure, RELAYS, REMNANTS, Relay, Relayed, downloads_to, isd_p_key},
    stock,
};

/// Sends the request to the SM-SR. If the request is refused, the caller of this function sends the
/// refusal to the operator.
pub(crate) async fn begin(context: &mut Context<'_, '_>, sm_sr: &Oid, relay: Relay) -> Decision<()> {
    context.sm_sr(sm_sr).await?;
    for iccid in relay.function.profiles() {
        let is_remnant = is_remnant(context, &relay.operator, relay.eid, *iccid).await?;
        if !(is_remnant && matches!(relay.function, Relayed::Delete(_))) {
            check_owner(context, &relay.operator, relay.eid, *iccid).await?;
        }
    }
    if let Relayed::Audit(_) = relay.function {
        check_has_profile(context, &relay.operator, relay.eid).await?;
    }
    let id = hex::encode(context.world.random::<16>());
    let now = context.now;
    let until = relay.answer.expires.unwrap_or_else(|| now.plus(context.config.default_validity));
    let base =
        BaseRequest { validity_period: Some(until.since(now).as_secs().max(1)), ..BaseRequest::new("") };
    let procedure = Procedure::Relay(id.clone());
    let Relay { eid, .. } = relay;
    macro_rules! call {
        ($function:ident, $request:ident, $iccid:ident) => {{
            let request = es3::$request { base, eid, iccid: $iccid };
            context.call::<es3::$function>(sm_sr, request, until, &procedure).await?;
        }};
    }
    match relay.function.clone() {
        Relayed::Enable(iccid) => call!(EnableProfile, EnableProfileRequest, iccid),
        Relayed::Disable(iccid) => call!(DisableProfile, DisableProfileRequest, iccid),
        Relayed::Delete(iccid) => call!(DeleteIsdp, DeleteIsdpRequest, iccid),
        Relayed::SetFallBack(iccid) => call!(SetFallBackAttribute, SetFallBackAttributeRequest, iccid),
        Relayed::SetEmergency(iccid) => {
            call!(SetEmergencyProfileAttribute, SetEmergencyProfileAttributeRequest, iccid);
        }
        Relayed::Audit(iccids) => call!(AuditEis, AuditEisRequest, iccids),
    }
    Ok(context.tx.put(&RELAYS, &id, &relay)?)
}

/// Forwards the response of the SM-SR to the operator.
pub(crate) async fn resume(context: &mut Context<'_, '_>, id: &str, ended: &Ended) -> Result<(), Fault> {
    let Some(relay) = context.tx.get(&RELAYS, id).await? else { return Ok(()) };
    context.tx.delete(&RELAYS, id);
    let base = |status| BaseResponse { function_execution_status: status, ..BaseResponse::default() };
    let answer = &relay.answer;
    // The schemas of ES2 have no place for the card's detailed response.
    macro_rules! respond {
        ($function:ident, $response:ident, $called:ident) => {{
            let status = match response_of::<es3::$called>(ended) {
                Ok(it) => it.base.function_execution_status,
                Err(why) => why,
            };
            let response = es2::$response { base: base(status), euicc_response_data: None };
            context.answer::<es2::$function>(answer, response).await?;
        }};
        ($function:ident, $response:ident) => {
            respond!($function, $response, $function)
        };
    }
    match &relay.function {
        Relayed::Enable(_) => respond!(EnableProfile, EnableProfileResponse),
        Relayed::Disable(_) => respond!(DisableProfile, DisableProfileResponse),
        Relayed::Delete(iccid) => {
            respond!(DeleteProfile, DeleteProfileResponse, DeleteIsdp);
            if download::is_deleted(ended) {
                forget(context, relay.eid, *iccid).await?;
            } else if is_unconfirmed(ended) {
                start_audit(context, relay.eid, *iccid).await?;
            }
        }
        Relayed::SetFallBack(_) => respond!(SetFallBackAttribute, SetFallBackAttributeResponse),
        Relayed::SetEmergency(_) => {
            respond!(SetEmergencyProfileAttribute, SetEmergencyProfileAttributeResponse)
        }
        Relayed::Audit(_) => {
            let (status, eis) = match response_of::<es3::AuditEis>(ended) {
                Ok(it) => {
                    (it.base.function_execution_status, it.eis.map(|eis| operator_view(eis, &relay.operator)))
                }
                Err(why) => (why, None),
            };
            let response = es2::AuditEisResponse { base: base(status), eis };
            context.answer::<es2::AuditEis>(answer, response).await?;
        }
    }
    Ok(())
}

/// True if ES3.DeleteISDP may have been executed although no response arrived.
fn is_unconfirmed(ended: &Ended) -> bool {
    match ended.response::<es3::DeleteIsdp>() {
        Ok(response) => response.base.function_execution_status.status == ExecutionStatus::Expired,
        Err(_) => true,
    }
}

/// Makes the SM-SR audit the card (ES3.AuditEIS) to find out if a profile is still there. This is
/// done once. The operator was informed that the result is unknown and can repeat the deletion at
/// any time.
async fn start_audit(context: &mut Context<'_, '_>, eid: Eid, iccid: Iccid) -> Result<(), Fault> {
    let key = isd_p_key(eid, iccid);
    let sm_sr = match context.tx.get(&ISD_PS, &key).await? {
        Some(isd_p) => isd_p.sm_sr,
        None => match context.tx.get(&REMNANTS, &key).await? {
            Some(remnant) => remnant.sm_sr,
            None => return Ok(()),
        },
    };
    let time = context.config.undoing_time;
    let base = BaseRequest { validity_period: Some(time.as_secs().max(1)), ..BaseRequest::new("") };
    let request = es3::AuditEisRequest { base, eid, iccid: vec![iccid] };
    let until = context.now.plus(time);
    context.call::<es3::AuditEis>(&sm_sr, request, until, &Procedure::Audit(eid, iccid)).await
}

/// Evaluates the result of the audit. Without a result, nothing changes.
pub(crate) async fn finish_audit(
    context: &mut Context<'_, '_>,
    (eid, iccid): (Eid, Iccid),
    ended: &Ended,
) -> Result<(), Fault> {
    let is_gone = match response_of::<es3::AuditEis>(ended) {
        Ok(response) => {
            response.eis.is_some_and(|eis| eis.profile_info.iter().all(|profile| profile.iccid != iccid))
        }
        Err(why) => download::is_unknown(&why),
    };
    if is_gone { forget(context, eid, iccid).await } else { Ok(()) }
}

/// Deletes the records of a profile that is no longer on the card.
pub(crate) async fn forget(context: &mut Context<'_, '_>, eid: Eid, iccid: Iccid) -> Result<(), Fault> {
    context.tx.delete(&ISD_PS, &isd_p_key(eid, iccid));
    context.tx.delete(&REMNANTS, &isd_p_key(eid, iccid));
    context.tx.delete(&connectivity::UPDATES, &isd_p_key(eid, iccid));
    stock::deleted(context, iccid, eid).await
}

/// Checks that the profile is on the eUICC and belongs to this operator.
pub(crate) async fn check_owner(
    context: &mut Context<'_, '_>,
    operator: &Oid,
    eid: Eid,
    iccid: Iccid,
) -> Decision<()> {
    match context.tx.get(&ISD_PS, &isd_p_key(eid, iccid)).await? {
        Some(isd_p) if isd_p.operator == *operator => Ok(()),
        // req: SGP.02-5.3-Owner
        Some(_) => Err(Status::IccidNotAllowed
            .because("the profile belongs to another operator")
            .about(iccid)
            .into()),
        None => Err(not_downloaded(iccid).into()),
    }
}

/// Refusal of a profile that this SM-DP has not downloaded to the eUICC.
pub(crate) fn not_downloaded(iccid: Iccid) -> Refusal {
    // req: SGP.02-5.3-NotDownloaded
    Status::IccidUnknown.because("this SM-DP has not downloaded the profile to this eUICC").about(iccid)
}

/// True if a failed download of this operator may have left the profile on the eUICC. Such a
/// profile can be deleted, but not managed in any other way.
async fn is_remnant(
    context: &mut Context<'_, '_>,
    operator: &Oid,
    eid: Eid,
    iccid: Iccid,
) -> Result<bool, Fault> {
    let remnant = context.tx.get(&REMNANTS, &isd_p_key(eid, iccid)).await?;
    Ok(remnant.is_some_and(|remnant| remnant.operator == *operator))
}

/// Checks that the operator has a profile on the eUICC or has ordered one. An audit involves the
/// card, unlike ES2.GetEIS, which any operator that wants to order can call.
pub(crate) async fn check_has_profile(
    context: &mut Context<'_, '_>,
    operator: &Oid,
    eid: Eid,
) -> Decision<()> {
    let isd_ps = context.tx.list(&ISD_PS, &format!("{eid}/")).await?;
    let ordered = context.tx.peek_list(&DOWNLOADS, &downloads_to(eid)).await?;
    let is_known = isd_ps.iter().any(|(_, isd_p)| isd_p.operator == *operator)
        || ordered.iter().any(|(_, download)| download.operator == *operator);
    match is_known {
        true => Ok(()),
        false => {
            // req: SGP.02-5.3-Audit
            Err(Status::EidNotAllowed.because("the operator has no profile on this eUICC").about(eid).into())
        }
    }
}

/// Returns the part of the EIS that the operator may see: its own profiles, without data that only
/// concerns the SM-SR (keys and counters of the ISD-R, and the audit trail).
pub(crate) fn operator_view(mut eis: Eis, operator: &Oid) -> Eis {
    eis.profile_info.retain(|profile| profile.mno_id == *operator);
    eis.isd_r = eis.isd_r.map(|isd_r| {
        let mut isd_r = isd_r.without_key_values();
        isd_r.keyset.iter_mut().for_each(|set| set.cntr = None);
        isd_r
    });
    eis.audit_trail = None;
    eis
}
