//! The stock, as the SM-DP takes from it: the same profiles that the SM-DP+ sells over ES2+, in the same states.

use profile::{Capabilities, InstalledProfile, Package};
use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{common::SubscriptionAddress, es2::DownloadProfileRequest, status::Status},
};
use rsp_server::soap::Decision;
use world::Fault;

use super::{context::Context, records::ADDRESSES};
use crate::{
    profile_state::{ProfileEvent, ProfileState},
    records::{
        AVAILABLE, INSTALLATIONS, Installation, Order, OrderId, PACKAGES, PROFILE_TYPES, PROFILES, Profile,
        iccid_key, type_prefix,
    },
};

/// How a download ended for the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is on the card.
    Installed,
    /// It is not, and may be ordered again.
    Failed,
}

/// Reserves the profile that the order names, or one of its type.
pub(crate) async fn reserve(
    context: &mut Context<'_, '_>,
    operator: &Oid,
    request: &DownloadProfileRequest,
) -> Decision<Profile> {
    let mut profile = find(context, operator, request).await?;
    let steps = [ProfileEvent::ReservedForEid, ProfileEvent::OrderConfirmedAndReleased];
    let state = steps.into_iter().try_fold(profile.state, ProfileState::after);
    let Some(state) = state else {
        return Err(Status::ProfileUnavailable
            .because(format!("the profile is {}", profile.state))
            .about(profile.iccid)
            .into());
    };
    profile.state = state;
    profile.last_call = None;
    let id = OrderId::drawn(context.world);
    profile.order = Some(Order::new(id, operator.to_string(), Some(request.eid), &profile));
    profile.keep(context.tx)?;
    Ok(profile)
}

async fn find(
    context: &mut Context<'_, '_>,
    operator: &Oid,
    request: &DownloadProfileRequest,
) -> Decision<Profile> {
    match (request.iccid, &request.profile_type) {
        (Some(iccid), wanted) => {
            let Some(profile) = context.tx.get(&PROFILES, &iccid.to_string()).await? else {
                return Err(Status::IccidUnknown
                    .because("there is no such profile in stock")
                    .about(iccid)
                    .into());
            };
            if wanted.as_ref().is_some_and(|wanted| *wanted != profile.profile_type) {
                let why = format!("the profile is of type {:?}", profile.profile_type);
                return Err(Status::ProfileTypeUnknown.because(why).about(iccid).into());
            }
            let theirs = profile.order.as_ref().is_none_or(|order| order.requester == operator.to_string());
            if !theirs && profile.state != ProfileState::Available {
                let why = "the profile is ordered by another operator";
                return Err(Status::IccidNotAllowed.because(why).about(iccid).into());
            }
            Ok(profile)
        }
        (None, Some(wanted)) => {
            if context.tx.get(&PROFILE_TYPES, wanted).await?.is_none() {
                let why = "no profile in stock is of this type";
                return Err(Status::ProfileTypeUnknown.because(why).about(wanted).into());
            }
            // Which ones there are is no part of the decision: orders at the same time take different ones.
            for (_, iccid) in context.tx.glance(&AVAILABLE, &type_prefix(wanted)).await? {
                let profile = context.tx.get(&PROFILES, &iccid.to_string()).await?;
                if let Some(profile) = profile.filter(|profile| profile.state == ProfileState::Available) {
                    return Ok(profile);
                }
            }
            Err(Status::ProfileTypeUnavailable
                .because("every profile of this type is taken")
                .about(wanted)
                .into())
        }
        (None, None) => {
            Err(Status::ProfileTypeMissing.because("one of ProfileType and Iccid must be given").into())
        }
    }
}

/// A profile that a download is about. It stays in stock as long as it has an order.
pub(crate) async fn profile(context: &mut Context<'_, '_>, iccid: Iccid) -> Result<Profile, Fault> {
    context.tx.get(&PROFILES, &iccid.to_string()).await?.ok_or_else(|| gone(iccid))
}

/// Its package.
pub(crate) async fn package(context: &mut Context<'_, '_>, iccid: Iccid) -> Result<Vec<u8>, Fault> {
    let package = context.tx.get(&PACKAGES, &iccid.to_string()).await?;
    package.map(|package| package.0).ok_or_else(|| gone(iccid))
}

fn gone(iccid: Iccid) -> Fault {
    Fault::new(
        format!("cannot go on with the download of profile {iccid}"),
        "it is no longer in stock",
        "put it into stock again; the download goes on, or ends with its validity period",
    )
}

/// There is an ISD-P for it: from now on it is for this eUICC.
pub(crate) async fn handed_out(context: &mut Context<'_, '_>, iccid: Iccid, eid: Eid) -> Result<(), Fault> {
    let mut profile = profile(context, iccid).await?;
    if let Some(state) = profile.state.after(ProfileEvent::PackageHandedOut) {
        profile.state = state;
    }
    if let Some(order) = profile.order.as_mut() {
        order.handed_to = Some(eid);
        order.download_attempts = order.download_attempts.saturating_add(1);
    }
    profile.keep(context.tx)
}

/// The download has ended.
pub(crate) async fn ended(
    context: &mut Context<'_, '_>,
    iccid: Iccid,
    eid: Eid,
    fate: Fate,
) -> Result<(), Fault> {
    // Who takes a profile out of stock meanwhile does not want it any more.
    let Some(mut profile) = context.tx.get(&PROFILES, &iccid.to_string()).await? else { return Ok(()) };
    let event = match fate {
        Fate::Installed => ProfileEvent::InstallationSucceeded,
        Fate::Failed => ProfileEvent::DownloadEnded,
    };
    if let Some(state) = profile.state.after(event) {
        profile.state = state;
    }
    if fate == Fate::Installed {
        context.tx.put(&INSTALLATIONS, &iccid_key(iccid, eid), &Installation { eid, at: context.now })?;
    }
    profile.keep(context.tx)
}

/// The profile was deleted from the eUICC: it can be downloaded anew.
pub(crate) async fn deleted(context: &mut Context<'_, '_>, iccid: Iccid, eid: Eid) -> Result<(), Fault> {
    context.tx.delete(&INSTALLATIONS, &iccid_key(iccid, eid));
    let Some(mut profile) = context.tx.get(&PROFILES, &iccid.to_string()).await? else { return Ok(()) };
    if let Some(state) = profile.state.after(ProfileEvent::ProfileDeleted) {
        profile.state = state;
        profile.order = None;
    }
    profile.keep(context.tx)
}

/// By what the device is reached once the profile is enabled: as the operator of the bench has said, or as far as the
/// files of its USIM say so.
pub(crate) async fn subscription_address(
    context: &mut Context<'_, '_>,
    iccid: Iccid,
    package: &[u8],
) -> Result<Option<SubscriptionAddress>, Fault> {
    let said = context.tx.get(&ADDRESSES, &iccid.to_string()).await?;
    Ok(said.or_else(|| {
        let package = Package::decode(package).ok()?;
        let installed = InstalledProfile::of(&package, &Capabilities::default()).ok()?;
        Some(SubscriptionAddress { imsi: installed.usim()?.imsi(), msisdn: None })
    }))
}
