//! The stock, as the SM-DP takes from it: the same profiles that the SM-DP+ sells over ES2+, in the same states.

use profile::{Capabilities, InstalledProfile, Package};
use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{common::SubscriptionAddress, es2::DownloadProfileRequest, status::Status},
};
use rsp_server::soap::{Decision, Rejection};
use world::Fault;

use super::{
    context::Context,
    records::{ADDRESSES, Download},
};
use crate::{
    profile_state::{ProfileEvent, ProfileState},
    records::{
        INSTALLATIONS, Installation, Order, OrderId, PACKAGES, PROFILE_TYPES, PROFILES, Profile, iccid_key,
    },
    stock,
};

/// Reserves the profile that the order names, or one of its type. Only one that is Available: what an ended order of
/// ES2+ has left behind, only ES2+ takes away.
pub(crate) async fn reserve(
    context: &mut Context<'_, '_>,
    operator: &Oid,
    request: &DownloadProfileRequest,
) -> Decision<(Iccid, OrderId)> {
    let mut profile = find(context, operator, request).await?;
    let steps = [ProfileEvent::ReservedForEid, ProfileEvent::OrderConfirmedAndReleased];
    let available = Some(profile.state).filter(|state| *state == ProfileState::Available);
    let Some(state) = available.and_then(|state| steps.into_iter().try_fold(state, ProfileState::after))
    else {
        let why = match profile.state {
            ProfileState::Error => "its order over ES2+ has failed; cancel that first".to_owned(),
            state => format!("the profile is {state}"),
        };
        return Err(Status::ProfileUnavailable.because(why).about(profile.iccid).into());
    };
    profile.state = state;
    profile.last_call = None;
    let id = OrderId::drawn(context.world);
    profile.order = Some(Order::new(id.clone(), operator.to_string(), Some(request.eid), &profile));
    profile.keep(context.tx)?;
    Ok((profile.iccid, id))
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
            if let Some(profile) = stock::any_of_type(context.tx, context.world, wanted).await? {
                return Ok(profile);
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

/// The profile that a download is about, as long as it is in stock under the download's order.
pub(crate) async fn profile(context: &mut Context<'_, '_>, download: &Download) -> Decision<Profile> {
    own(context, download).await?.ok_or_else(|| gone(download))
}

/// Its package.
pub(crate) async fn package(context: &mut Context<'_, '_>, download: &Download) -> Decision<Vec<u8>> {
    profile(context, download).await?;
    let package = context.tx.get(&PACKAGES, &download.iccid.to_string()).await?;
    package.map(|package| package.0).ok_or_else(|| gone(download))
}

async fn own(context: &mut Context<'_, '_>, download: &Download) -> Result<Option<Profile>, Fault> {
    let profile = context.tx.get(&PROFILES, &download.iccid.to_string()).await?;
    let is_own = |profile: &Profile| profile.order.as_ref().is_some_and(|order| order.id == download.order);
    Ok(profile.filter(is_own))
}

fn gone(download: &Download) -> Rejection {
    Status::ProfileUnavailable
        .because("its order was ended, or the profile taken out of stock, while it was downloaded")
        .about(download.iccid)
        .into()
}

fn after(profile: &Profile, event: ProfileEvent) -> Decision<ProfileState> {
    profile.state.after(event).ok_or_else(|| {
        let why = format!("the profile has become {} while it was downloaded", profile.state);
        Status::ProfileUnavailable.because(why).about(profile.iccid).into()
    })
}

/// There is an ISD-P for it: from now on it is for this eUICC.
pub(crate) async fn handed_out(context: &mut Context<'_, '_>, download: &Download) -> Decision<()> {
    let mut profile = profile(context, download).await?;
    profile.state = after(&profile, ProfileEvent::PackageHandedOut)?;
    if let Some(order) = profile.order.as_mut() {
        order.handed_to = Some(download.eid);
        order.download_attempts = order.download_attempts.saturating_add(1);
    }
    Ok(profile.keep(context.tx)?)
}

/// It is on the card.
pub(crate) async fn installed(context: &mut Context<'_, '_>, download: &Download) -> Decision<()> {
    let mut profile = profile(context, download).await?;
    profile.state = after(&profile, ProfileEvent::InstallationSucceeded)?;
    let Download { eid, iccid, .. } = *download;
    context.tx.put(&INSTALLATIONS, &iccid_key(iccid, eid), &Installation { eid, at: context.now })?;
    Ok(profile.keep(context.tx)?)
}

/// It is not on the card: anybody may order it. Whoever has ended the order meanwhile has seen to that.
pub(crate) async fn not_installed(context: &mut Context<'_, '_>, download: &Download) -> Result<(), Fault> {
    let Some(profile) = own(context, download).await? else { return Ok(()) };
    back_to_stock(context, profile)
}

/// Whether it is on the card is not known: it stays with this eUICC.
pub(crate) async fn left_behind(context: &mut Context<'_, '_>, download: &Download) -> Result<(), Fault> {
    let Some(mut profile) = own(context, download).await? else { return Ok(()) };
    profile.state = profile.state.after(ProfileEvent::PackageHandedOut).unwrap_or(profile.state);
    if let Some(order) = profile.order.as_mut() {
        order.handed_to = Some(download.eid);
    }
    profile.keep(context.tx)
}

/// The profile was deleted from the eUICC: it can be downloaded anew.
pub(crate) async fn deleted(context: &mut Context<'_, '_>, iccid: Iccid, eid: Eid) -> Result<(), Fault> {
    context.tx.delete(&INSTALLATIONS, &iccid_key(iccid, eid));
    let profile = context.tx.get(&PROFILES, &iccid.to_string()).await?;
    // Another eUICC may have got it since.
    let is_there =
        |profile: &Profile| profile.order.as_ref().is_some_and(|order| order.handed_to == Some(eid));
    match profile.filter(is_there) {
        Some(profile) => back_to_stock(context, profile),
        None => Ok(()),
    }
}

fn back_to_stock(context: &mut Context<'_, '_>, mut profile: Profile) -> Result<(), Fault> {
    let ways = [ProfileEvent::ProfileDeleted, ProfileEvent::OrderCancelled];
    if let Some(state) = ways.into_iter().find_map(|event| profile.state.after(event)) {
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
