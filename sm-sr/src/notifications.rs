//! Notifications to the owners of profiles: SGP.02 sections 5.4 and 5.5, the functions
//! Handle...Notification.
//!
//! An operator with an endpoint is notified over ES4. Any other is notified over ES3 by the SM-DP
//! that downloaded the profile, which forwards the notification. The requester of a change gets a
//! response and no notification.

use rsp::{
    ids::Eid,
    sgp02::{
        eis::{Pol2, ProfileInfo},
        es3, es4, es7,
    },
};
use world::Fault;

use crate::{
    audit,
    context::Context,
    outgoing,
    records::{Card, Peer, PeerRole},
    state::Requester,
    visibility::{self, Disclosure},
};

/// A change of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProfileChange {
    Enabled,
    Disabled,
    Deleted,
    Downloaded,
    FallBackAttributeSet,
    FallBackAttributeUnset,
    EmergencyProfileAttributeSet,
    EmergencyProfileAttributeUnset,
    Pol2Updated(Pol2),
}

/// Route of a notification.
enum Transport {
    Es4(Peer),
    Es3(Peer),
}

/// Notifies the profile's operator of a change. Does nothing if the change was requested by the
/// operator, or by its SM-DP, which informs the operator. The requester gets a response instead.
pub(crate) async fn notify_owner(
    context: &mut Context<'_, '_>,
    eid: Eid,
    profile: &ProfileInfo,
    change: ProfileChange,
    by: Option<Requester<'_>>,
) -> Result<(), Fault> {
    if by.is_some_and(|by| by.owns(profile)) {
        return Ok(());
    }
    match transport(context, profile).await? {
        Some(to) => notify(context, &to, eid, profile, change).await,
        None => {
            tracing::info!(%eid, iccid = %profile.iccid, ?change, "the owner of the profile has no endpoint for notifications");
            Ok(())
        }
    }
}

async fn transport(context: &mut Context<'_, '_>, profile: &ProfileInfo) -> Result<Option<Transport>, Fault> {
    let has_endpoint = |peer: &Peer| peer.endpoint.is_some();
    let operator = context.peer(&profile.mno_id).await?;
    if let Some(operator) =
        operator.filter(|peer| matches!(peer.role, PeerRole::Operator) && has_endpoint(peer))
    {
        return Ok(Some(Transport::Es4(operator)));
    }
    let Some(sm_dp) = &profile.smdp_id else { return Ok(None) };
    let sm_dp = context.peer(sm_dp).await?;
    Ok(sm_dp.filter(|peer| matches!(peer.role, PeerRole::SmDp) && has_endpoint(peer)).map(Transport::Es3))
}

async fn notify(
    context: &mut Context<'_, '_>,
    to: &Transport,
    eid: Eid,
    profile: &ProfileInfo,
    change: ProfileChange,
) -> Result<(), Fault> {
    let (iccid, completion_timestamp) = (profile.iccid, context.now);
    macro_rules! send {
        ($name:ident $(, $more:ident)?) => {
            match to {
                Transport::Es4(operator) => {
                    let base = Default::default();
                    let message = es4::$name { base, eid, iccid, $($more,)? completion_timestamp };
                    outgoing::send_notification(context, operator, &message).await
                }
                Transport::Es3(sm_dp) => {
                    let (base, mno_id) = (Default::default(), profile.mno_id.clone());
                    let message = es3::$name { base, eid, iccid, mno_id, $($more,)? completion_timestamp };
                    outgoing::send_notification(context, sm_dp, &message).await
                }
            }
        };
    }
    match change {
        ProfileChange::Enabled => send!(HandleProfileEnabledNotification),
        ProfileChange::Disabled => send!(HandleProfileDisabledNotification),
        ProfileChange::Deleted => send!(HandleProfileDeletedNotification),
        ProfileChange::Downloaded => send!(HandleProfileDownloadedNotification),
        ProfileChange::FallBackAttributeSet => send!(HandleFallBackAttributeSetNotification),
        ProfileChange::FallBackAttributeUnset => send!(HandleFallBackAttributeUnsetNotification),
        ProfileChange::EmergencyProfileAttributeSet => send!(HandleEmergencyProfileAttributeSetNotification),
        ProfileChange::EmergencyProfileAttributeUnset => {
            send!(HandleEmergencyProfileAttributeUnsetNotification)
        }
        ProfileChange::Pol2Updated(pol2) => {
            let pol2 = Some(pol2);
            send!(HandleProfilePol2UpdatedNotification, pol2)
        }
    }
}

/// Notifies the owners of all profiles on the card, and the previous SM-SR, that this SM-SR now
/// manages the card.
pub(crate) async fn notify_of_takeover(
    context: &mut Context<'_, '_>,
    card: &Card,
    from: &Peer,
) -> Result<(), Fault> {
    let completion_timestamp = context.now;
    let mut notified = Vec::new();
    for profile in &card.eis.profile_info {
        if notified.contains(&&profile.mno_id) {
            continue;
        }
        notified.push(&profile.mno_id);
        let eis =
            visibility::visible_eis(&card.eis, Vec::new(), &profile.mno_id, Disclosure::SmsrChanged, &[]);
        match transport(context, profile).await? {
            Some(Transport::Es4(operator)) => {
                let message =
                    es4::HandleSmsrChangeNotification { base: Default::default(), eis, completion_timestamp };
                outgoing::send_notification(context, &operator, &message).await?;
            }
            Some(Transport::Es3(sm_dp)) => {
                let message = es3::HandleSmsrChangeNotification {
                    base: Default::default(),
                    eis,
                    mno_id: Some(profile.mno_id.clone()),
                    completion_timestamp,
                };
                outgoing::send_notification(context, &sm_dp, &message).await?;
            }
            None => {}
        }
    }
    let trail = audit::trail(context.tx, card.eid()).await?;
    let eis = visibility::visible_eis(&card.eis, trail, &from.id, Disclosure::HandoverToSmSr, &[]);
    let message = es7::HandleSmsrChangeNotification { base: Default::default(), eis, completion_timestamp };
    outgoing::send_notification(context, from, &message).await
}
