//! ES3, from the SM-SR: SGP.02 section 5.4, the notifications. What is asked over ES3 is with the procedure that asks.
//!
//! Each goes on to the operator that it is about, over ES2, in the transaction that takes it. The SM-DP learns from them
//! too: what was deleted can be downloaded anew, and who manages an eUICC is asked from then on.

use std::collections::BTreeSet;

use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{
        eis::Eis,
        es2, es3,
        status::{Refusal, Status},
    },
};
use rsp_server::soap::{Call, Decision, eum};

use crate::m2m::{
    context::Context,
    records::{DOWNLOADS, ISD_PS, REMNANTS, downloads_to, isd_p_key},
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
            check(context, call, (told.eid, told.iccid), &told.mno_id).await?;
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
    check(context, call, (told.eid, told.iccid), &told.mno_id).await?;
    let es3::HandleProfileDeletedNotification { eid, iccid, mno_id, completion_timestamp, .. } = told;
    let key = isd_p_key(eid, iccid);
    let was_there = context.tx.get(&ISD_PS, &key).await?.is_some();
    // A download under way is about another ISD-P than the one that was deleted.
    if was_there || context.tx.get(&REMNANTS, &key).await?.is_some() {
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
    check(context, call, (told.eid, told.iccid), &told.mno_id).await?;
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
    check_signed(context, &told.eis)?;
    let isd_ps = context.tx.list(&ISD_PS, &format!("{eid}/")).await?;
    let remnants = context.tx.list(&REMNANTS, &format!("{eid}/")).await?;
    let theirs = isd_ps.iter().map(|(_, isd_p)| &isd_p.operator);
    let theirs = theirs.chain(remnants.iter().map(|(_, remnant)| &remnant.operator));
    // An SM-SR of namespace 3 need not name the operator: then it is all of them.
    let is_meant = |operator: &&Oid| told.mno_id.as_ref().is_none_or(|named| named == *operator);
    let operators: BTreeSet<Oid> = theirs.filter(is_meant).cloned().collect();
    if operators.is_empty() {
        return Err(Status::EidUnknown
            .because("the operator has no profile on this eUICC that was downloaded through this SM-DP")
            .about(eid)
            .into());
    }
    for (key, mut isd_p) in isd_ps {
        isd_p.sm_sr = call.caller.clone();
        context.tx.put(&ISD_PS, &key, &isd_p)?;
    }
    for (key, mut remnant) in remnants {
        remnant.sm_sr = call.caller.clone();
        context.tx.put(&REMNANTS, &key, &remnant)?;
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

/// That there is such an eUICC: its EUM has signed so, under certificates that hold today or held when it was made, for it may
/// live longer than they do. Who manages it nobody has signed: that is the word of an SM-SR that is known here.
fn check_signed(context: &Context<'_, '_>, eis: &Eis) -> Result<(), Refusal> {
    let credentials = context.credentials;
    let check = |at| eum::check_eis(eis, credentials.anchors(), credentials.eums(), at).map(|_| ());
    check(context.now).or_else(|refusal| check(eis.eum_signed_info.production_date).map_err(|_| refusal))
}

/// A notification about a profile comes from the SM-SR that manages its eUICC, and is for the operator for which this
/// SM-DP has downloaded it, or is about to.
async fn check(
    context: &mut Context<'_, '_>,
    call: &Call,
    (eid, iccid): (Eid, Iccid),
    operator: &Oid,
) -> Decision<()> {
    context.sm_sr(&call.caller).await?;
    let key = isd_p_key(eid, iccid);
    let installed = context.tx.get(&ISD_PS, &key).await?.map(|it| (it.operator, it.sm_sr));
    let left = context.tx.get(&REMNANTS, &key).await?.map(|it| (it.operator, it.sm_sr));
    let under_way = context.tx.glance(&DOWNLOADS, &downloads_to(eid)).await?;
    let under_way = under_way.into_iter().map(|(_, it)| it).filter(|it| it.iccid == iccid);
    let under_way = under_way.map(|it| (it.operator, it.sm_sr));
    let mut known = installed.into_iter().chain(left).chain(under_way).peekable();
    if known.peek().is_none() {
        let why = "no such profile was downloaded to this eUICC through this SM-DP";
        return Err(Status::IccidUnknown.because(why).about(iccid).into());
    }
    match known.any(|known| known == (operator.clone(), call.caller.clone())) {
        true => Ok(()),
        false => {
            let why = "the profile is another operator's, or another SM-SR manages its eUICC";
            Err(Status::RequesterNotAllowed.because(why).about(iccid).into())
        }
    }
}
