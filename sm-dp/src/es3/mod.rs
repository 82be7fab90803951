//! ES3 notifications, called by the SM-SR: SGP.02 section 5.4. The outgoing ES3 calls are in the
//! procedures that make them.
//!
//! Each notification is forwarded over ES2 to the operator of the profile, in the transaction that
//! processes it. The SM-DP also updates its own records: a deleted profile can be downloaded again,
//! and after an SM-SR change the new SM-SR is used for the eUICC.

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

/// Defines handlers that forward a notification about a profile to its operator.
macro_rules! forward {
    ($($(#[$meta:meta])* $handler:ident: $name:ident $(, $more:ident)?;)+) => { $(
        $(#[$meta])*
        pub(crate) async fn $handler(
            context: &mut Context<'_, '_>,
            call: &Call,
            received: es3::$name,
        ) -> Decision<()> {
            check(context, call, (received.eid, received.iccid), &received.mno_id).await?;
            let es3::$name { base, eid, iccid, mno_id, $($more,)? completion_timestamp } = received;
            let notification = es2::$name { base, eid, iccid, $($more,)? completion_timestamp };
            Ok(context.notify(&mno_id, &notification).await?)
        }
    )+ };
}

forward! {
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
    /// ES3.HandleProfilePOL2UpdatedNotification.
    pol2_updated: HandleProfilePol2UpdatedNotification, pol2;
}

/// ES3.HandleProfileDeletedNotification. The profile can be downloaded again.
pub(crate) async fn profile_deleted(
    context: &mut Context<'_, '_>,
    call: &Call,
    received: es3::HandleProfileDeletedNotification,
) -> Decision<()> {
    check(context, call, (received.eid, received.iccid), &received.mno_id).await?;
    let es3::HandleProfileDeletedNotification { eid, iccid, mno_id, completion_timestamp, .. } = received;
    let key = isd_p_key(eid, iccid);
    let was_there = context.tx.get(&ISD_PS, &key).await?.is_some();
    // A download in progress has another ISD-P than the deleted one.
    if was_there || context.tx.get(&REMNANTS, &key).await?.is_some() {
        relay::forget(context, eid, iccid).await?;
    }
    let notification =
        es2::HandleProfileDeletedNotification { base: Default::default(), eid, iccid, completion_timestamp };
    Ok(context.notify(&mno_id, &notification).await?)
}

/// ES3.HandleSMSRChangeNotification. From now on, the new SM-SR is used for the eUICC.
pub(crate) async fn sm_sr_change(
    context: &mut Context<'_, '_>,
    call: &Call,
    received: es3::HandleSmsrChangeNotification,
) -> Decision<()> {
    context.sm_sr(&call.caller).await?;
    let eid = received.eis.eum_signed_info.eid;
    // req: SGP.02-5.4-Change
    if received.eis.smsr_id != call.caller {
        return Err(Status::RequesterNotAllowed
            .because("only the new SM-SR of an eUICC can report the change")
            .about(eid)
            .into());
    }
    check_signed(context, &received.eis)?;
    let isd_ps = context.tx.list(&ISD_PS, &format!("{eid}/")).await?;
    let remnants = context.tx.list(&REMNANTS, &format!("{eid}/")).await?;
    let owners = isd_ps.iter().map(|(_, isd_p)| &isd_p.operator);
    let owners = owners.chain(remnants.iter().map(|(_, remnant)| &remnant.operator));
    // An SM-SR of namespace 3 does not have to name the operator. In that case all operators are
    // notified.
    let is_named = |operator: &&Oid| received.mno_id.as_ref().is_none_or(|named| named == *operator);
    let operators: BTreeSet<Oid> = owners.filter(is_named).cloned().collect();
    if operators.is_empty() {
        return Err(Status::EidUnknown
            .because("this SM-DP has not downloaded a profile of the operator to this eUICC")
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
            eis: relay::operator_view(received.eis.clone(), &operator),
            completion_timestamp: received.completion_timestamp,
        };
        context.notify(&operator, &notification).await?;
    }
    Ok(())
}

/// Checks that the eUICC exists. Its EUM has signed the EIS. The certificates must be valid now, or
/// must have been valid on the production date, because an eUICC may outlive them. No signature
/// proves which SM-SR manages the eUICC; for that, a registered SM-SR is trusted.
fn check_signed(context: &Context<'_, '_>, eis: &Eis) -> Result<(), Refusal> {
    let credentials = context.credentials;
    let check = |at| eum::check_eis(eis, credentials.anchors(), credentials.eums(), at).map(|_| ());
    check(context.now).or_else(|refusal| check(eis.eum_signed_info.production_date).map_err(|_| refusal))
}

/// Checks that a notification about a profile comes from the SM-SR that manages its eUICC, and is
/// for the operator for which this SM-DP downloaded the profile or is downloading it.
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
    let under_way = context.tx.peek_list(&DOWNLOADS, &downloads_to(eid)).await?;
    let under_way = under_way.into_iter().map(|(_, it)| it).filter(|it| it.iccid == iccid);
    let under_way = under_way.map(|it| (it.operator, it.sm_sr));
    let mut known = installed.into_iter().chain(left).chain(under_way).peekable();
    if known.peek().is_none() {
        return Err(relay::not_downloaded(iccid).into());
    }
    match known.any(|known| known == (operator.clone(), call.caller.clone())) {
        true => Ok(()),
        false => {
            let why = "the profile belongs to another operator, or another SM-SR manages the eUICC";
            Err(Status::RequesterNotAllowed.because(why).about(iccid).into())
        }
    }
}
