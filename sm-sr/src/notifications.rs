//! What operators are told of their profiles: SGP.02 sections 5.4 and 5.5, the functions Handle...Notification.
//!
//! An operator that this SM-SR can reach is told over ES4; any other through the SM-DP that put the profile there, over
//! ES3, which passes it on. Whoever asked for the change has its answer and is not told besides.

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        eis::{Pol2, ProfileInfo},
        es3, es4, es7,
    },
};
use world::Fault;

use crate::{
    audit,
    context::Context,
    outward,
    procedures::check,
    records::{Card, Peer, PeerRole},
    router::By,
    visibility::{self, Showing},
};

/// What has become of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
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

/// Which way the news of a profile goes.
enum Way {
    Es4(Peer),
    Es3(Peer),
}

/// Tells the profile's operator, unless it (or its SM-DP, which will tell it) has the answer to what it asked about this
/// profile.
pub(crate) async fn tell_owner(
    context: &mut Context<'_, '_>,
    eid: Eid,
    profile: &ProfileInfo,
    news: News,
    by: Option<By<'_>>,
) -> Result<(), Fault> {
    if by.is_some_and(|by| check::is_own(profile, by)) {
        return Ok(());
    }
    match way(context, profile).await? {
        Some(Way::Es4(operator)) => over_es4(context, &operator, eid, profile.iccid, news).await,
        Some(Way::Es3(sm_dp)) => over_es3(context, &sm_dp, eid, profile, news).await,
        None => {
            tracing::info!(%eid, iccid = %profile.iccid, ?news, "nobody can be told of this");
            Ok(())
        }
    }
}

async fn way(context: &mut Context<'_, '_>, profile: &ProfileInfo) -> Result<Option<Way>, Fault> {
    let is_told = |peer: &Peer| peer.endpoint.is_some();
    let operator = context.peer(&profile.mno_id).await?;
    if let Some(operator) = operator.filter(|peer| matches!(peer.role, PeerRole::Operator) && is_told(peer)) {
        return Ok(Some(Way::Es4(operator)));
    }
    let Some(sm_dp) = &profile.smdp_id else { return Ok(None) };
    let sm_dp = context.peer(sm_dp).await?;
    Ok(sm_dp.filter(|peer| matches!(peer.role, PeerRole::SmDp) && is_told(peer)).map(Way::Es3))
}

async fn over_es4(
    context: &mut Context<'_, '_>,
    to: &Peer,
    eid: Eid,
    iccid: Iccid,
    news: News,
) -> Result<(), Fault> {
    let completion_timestamp = context.now;
    macro_rules! tell {
        ($name:ident) => {
            outward::tell(
                context,
                to,
                &es4::$name { base: Default::default(), eid, iccid, completion_timestamp },
            )
            .await
        };
    }
    match news {
        News::Enabled => tell!(HandleProfileEnabledNotification),
        News::Disabled => tell!(HandleProfileDisabledNotification),
        News::Deleted => tell!(HandleProfileDeletedNotification),
        News::Downloaded => tell!(HandleProfileDownloadedNotification),
        News::FallBackAttributeSet => tell!(HandleFallBackAttributeSetNotification),
        News::FallBackAttributeUnset => tell!(HandleFallBackAttributeUnsetNotification),
        News::EmergencyProfileAttributeSet => tell!(HandleEmergencyProfileAttributeSetNotification),
        News::EmergencyProfileAttributeUnset => tell!(HandleEmergencyProfileAttributeUnsetNotification),
        News::Pol2Updated(pol2) => {
            let message = es4::HandleProfilePol2UpdatedNotification {
                base: Default::default(),
                eid,
                iccid,
                pol2: Some(pol2),
                completion_timestamp,
            };
            outward::tell(context, to, &message).await
        }
    }
}

async fn over_es3(
    context: &mut Context<'_, '_>,
    to: &Peer,
    eid: Eid,
    profile: &ProfileInfo,
    news: News,
) -> Result<(), Fault> {
    let completion_timestamp = context.now;
    let (iccid, mno_id) = (profile.iccid, profile.mno_id.clone());
    macro_rules! tell {
        ($name:ident) => {
            outward::tell(
                context,
                to,
                &es3::$name { base: Default::default(), eid, iccid, mno_id, completion_timestamp },
            )
            .await
        };
    }
    match news {
        News::Enabled => tell!(HandleProfileEnabledNotification),
        News::Disabled => tell!(HandleProfileDisabledNotification),
        News::Deleted => tell!(HandleProfileDeletedNotification),
        News::Downloaded => tell!(HandleProfileDownloadedNotification),
        News::FallBackAttributeSet => tell!(HandleFallBackAttributeSetNotification),
        News::FallBackAttributeUnset => tell!(HandleFallBackAttributeUnsetNotification),
        News::EmergencyProfileAttributeSet => tell!(HandleEmergencyProfileAttributeSetNotification),
        News::EmergencyProfileAttributeUnset => tell!(HandleEmergencyProfileAttributeUnsetNotification),
        News::Pol2Updated(pol2) => {
            let message = es3::HandleProfilePol2UpdatedNotification {
                base: Default::default(),
                eid,
                iccid,
                mno_id,
                pol2: Some(pol2),
                completion_timestamp,
            };
            outward::tell(context, to, &message).await
        }
    }
}

/// Tells everybody who has a profile on the card, and the SM-SR that had it, that it is this SM-SR's now.
pub(crate) async fn tell_of_takeover(
    context: &mut Context<'_, '_>,
    card: &Card,
    from: &Peer,
) -> Result<(), Fault> {
    let completion_timestamp = context.now;
    let mut told = Vec::new();
    for profile in &card.eis.profile_info {
        if told.contains(&&profile.mno_id) {
            continue;
        }
        told.push(&profile.mno_id);
        let eis = visibility::shown(&card.eis, Vec::new(), &profile.mno_id, Showing::SmsrChanged, &[]);
        match way(context, profile).await? {
            Some(Way::Es4(operator)) => {
                let message =
                    es4::HandleSmsrChangeNotification { base: Default::default(), eis, completion_timestamp };
                outward::tell(context, &operator, &message).await?;
            }
            Some(Way::Es3(sm_dp)) => {
                let message = es3::HandleSmsrChangeNotification {
                    base: Default::default(),
                    eis,
                    mno_id: Some(profile.mno_id.clone()),
                    completion_timestamp,
                };
                outward::tell(context, &sm_dp, &message).await?;
            }
            None => {}
        }
    }
    let trail = audit::trail(context, card.eid()).await?;
    let eis = visibility::shown(&card.eis, trail, &from.id, Showing::HandoverToSmSr, &[]);
    let message = es7::HandleSmsrChangeNotification { base: Default::default(), eis, completion_timestamp };
    outward::tell(context, from, &message).await
}
