//! ES3, from the SM-SR: SGP.02 section 5.4, the notifications. What is asked over ES3 is with the procedure that asks.
//!
//! Each goes on to the operator that it is about, over ES2, in the transaction that takes it. The SM-DP learns from them
//! too: what was deleted can be downloaded anew, and who manages an eUICC is asked from then on.

use std::collections::BTreeSet;

use rsp::{
    ids::{Eid, Oid},
    sgp02::{es2, es3, status::Status},
};
use rsp_server::soap::{Call, Decision};

use crate::m2m::{
    context::Context,
    records::{ISD_PS, isd_p_key},
    relay,
};

/// A notification about a profile goes on.
macro_rules! go_on {
    ($($(#[$meta:meta])* $handler:ident: $name:ident;)+) => { $(
        $(#[$meta])*
        pub(crate) async fn $handler(
            context: &mut Context<'_, '_>,
            call: &Call,
            told: es3::$name,
        ) -> Decision<()> {
            from_sm_sr(context, call, told.eid).await?;
            let es3::$name { eid, iccid, mno_id, completion_timestamp, .. } = told;
            let notification = es2::$name { base: Default::default(), eid, iccid, completion_timestamp };
            Ok(context.tell(&mno_id, &notification).await?)
        }
    )+ };
}

go_on! {
    /// ES3.HandleProfileEnabledNotification.
    profile_enabled: HandleProfileEnabledNotification;
    /// ES3.HandleProfileDisabledNotification.
    profile_disabled: HandleProfileDisabledNotification;
    /// ES3.HandleProfileDownloadedNotification.
    profile_downloaded: HandleProfileDownloadedNotification;
    /// ES3.HandleFallBackAttributeSetNotification.
    fall_back_set: HandleFallBackAttributeSetNotification;
    /// ES3.HandleFallBackAttributeUnsetNotification.
    fall_back_unset: HandleFallBackAttributeUnsetNotification;
    /// ES3.HandleEmergencyProfileAttributeSetNotification.
    emergency_set: HandleEmergencyProfileAttributeSetNotification;
    /// ES3.HandleEmergencyProfileAttributeUnsetNotification.
    emergency_unset: HandleEmergencyProfileAttributeUnsetNotification;
}

/// ES3.HandleProfileDeletedNotification: the profile can be downloaded anew.
pub(crate) async fn profile_deleted(
    context: &mut Context<'_, '_>,
    call: &Call,
    told: es3::HandleProfileDeletedNotification,
) -> Decision<()> {
    from_sm_sr(context, call, told.eid).await?;
    let es3::HandleProfileDeletedNotification { eid, iccid, mno_id, completion_timestamp, .. } = told;
    let ours = context.tx.get(&ISD_PS, &isd_p_key(eid, iccid)).await?;
    if ours.is_some_and(|isd_p| isd_p.operator == mno_id && isd_p.sm_sr == call.caller) {
        relay::forget(context, eid, iccid).await?;
    }
    let notification =
        es2::HandleProfileDeletedNotification { base: Default::default(), eid, iccid, completion_timestamp };
    Ok(context.tell(&mno_id, &notification).await?)
}

/// ES3.HandleProfilePOL2UpdatedNotification.
pub(crate) async fn pol2_updated(
    context: &mut Context<'_, '_>,
    call: &Call,
    told: es3::HandleProfilePol2UpdatedNotification,
) -> Decision<()> {
    from_sm_sr(context, call, told.eid).await?;
    let es3::HandleProfilePol2UpdatedNotification { eid, iccid, mno_id, pol2, completion_timestamp, .. } =
        told;
    let notification = es2::HandleProfilePol2UpdatedNotification {
        base: Default::default(),
        eid,
        iccid,
        pol2,
        completion_timestamp,
    };
    Ok(context.tell(&mno_id, &notification).await?)
}

/// ES3.HandleSMSRChangeNotification: from now on another SM-SR is asked.
pub(crate) async fn sm_sr_change(
    context: &mut Context<'_, '_>,
    call: &Call,
    told: es3::HandleSmsrChangeNotification,
) -> Decision<()> {
    context.sm_sr(&call.caller).await?;
    let eid = told.eis.eum_signed_info.eid;
    if told.eis.smsr_id != call.caller {
        return Err(Status::RequesterNotAllowed
            .because("an SM-SR tells of a change to itself, once it manages the eUICC")
            .about(eid)
            .into());
    }
    // An SM-SR of namespace 3 need not name the operator: then it is all of them.
    let named = told.mno_id;
    let mut operators: BTreeSet<Oid> = named.iter().cloned().collect();
    for (key, mut isd_p) in context.tx.list(&ISD_PS, &format!("{eid}/")).await? {
        isd_p.sm_sr = call.caller.clone();
        context.tx.put(&ISD_PS, &key, &isd_p)?;
        if named.is_none() {
            operators.insert(isd_p.operator);
        }
    }
    for operator in operators {
        let notification = es2::HandleSmsrChangeNotification {
            base: Default::default(),
            eis: relay::of_operator(told.eis.clone(), &operator),
            completion_timestamp: told.completion_timestamp,
        };
        context.tell(&operator, &notification).await?;
    }
    Ok(())
}

/// A notification about an eUICC comes from the SM-SR that manages it, as far as we know of one.
async fn from_sm_sr(context: &mut Context<'_, '_>, call: &Call, eid: Eid) -> Decision<()> {
    context.sm_sr(&call.caller).await?;
    let ours = context.tx.list(&ISD_PS, &format!("{eid}/")).await?;
    if ours.is_empty() || ours.iter().any(|(_, isd_p)| isd_p.sm_sr == call.caller) {
        return Ok(());
    }
    Err(Status::RequesterNotAllowed.because("another SM-SR manages the eUICC").about(eid).into())
}
