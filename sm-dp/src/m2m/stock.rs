//! The SM-DP's use of the stock. SM-DP and SM-DP+ share the same profiles and the same states.

use profile::{Capabilities, InstalledProfile, Package};
use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{common::SubscriptionAddress, es2::DownloadProfileRequest, status::Status},
};
use rsp_server::{
    Namespace,
    soap::{Decision, Rejection},
};
use world::Fault;

use super::{context::Context, records::Download};
use crate::{
    operators::owners,
    profile_state::{ProfileEvent, ProfileState},
    records::{
        INSTALLATIONS, Installation, Order, PACKAGES, PROFILE_TYPES, PROFILES, Profile, ProfileOrderId,
        SUBSCRIPTION_ADDRESSES, iccid_key,
    },
    stock,
};

/// Reserves the profile that the order names, or one of its type. The profile must be Available.
/// The remains of an ended ES2+ order can only be removed over ES2+.
pub(crate) async fn reserve(
    context: &mut Context<'_, '_>,
    operator: &Oid,
    request: &DownloadProfileRequest,
) -> Decision<(Iccid, ProfileOrderId)> {
    let mut profile = find(context, operator, request).await?;
    if profile.state() != ProfileState::Available {
        let why = match profile.state() {
            ProfileState::Error => {
                "the ES2+ order of the profile has failed; cancel that order first".to_owned()
            }
            state => format!("the profile is {state}"),
        };
        return Err(Status::ProfileUnavailable.because(why).about(profile.iccid).into());
    }
    profile.last_call = None;
    let id = ProfileOrderId::random(context.world);
    let order = Order::new(id.clone(), operator.to_string(), Some(request.eid), &profile);
    profile
        .reserve(ProfileEvent::ReservedForEid, order)
        .and_then(|()| profile.apply(ProfileEvent::OrderConfirmedAndReleased))
        .map_err(|error| Status::ProfileUnavailable.because(error.to_string()).about(error.iccid))?;
    profile.save(context.tx)?;
    Ok((profile.iccid, id))
}

async fn find(
    context: &mut Context<'_, '_>,
    operator: &Oid,
    request: &DownloadProfileRequest,
) -> Decision<Profile> {
    match (request.iccid, &request.profile_type) {
        (Some(iccid), requested) => {
            let Some(profile) = context.tx.get(&PROFILES, &iccid.to_string()).await? else {
                return Err(Status::IccidUnknown
                    .because("no profile in stock has this ICCID")
                    .about(iccid)
                    .into());
            };
            let owners = owners(context.tx, &profile.namespace).await?;
            if !owners.is_empty() && !owners.iter().any(|owner| owner.certificate_oid == *operator) {
                let why = "the profile is in the stock of another operator";
                return Err(Status::IccidNotAllowed.because(why).about(iccid).into());
            }
            if requested.as_ref().is_some_and(|requested| *requested != profile.profile_type) {
                let why = format!("the profile is of type {:?}", profile.profile_type);
                return Err(Status::ProfileTypeUnknown.because(why).about(iccid).into());
            }
            let is_own_order = profile.order().map_or(true, |order| order.requester == operator.to_string());
            if !is_own_order && profile.state() != ProfileState::Available {
                let why = "the profile is ordered by another operator";
                return Err(Status::IccidNotAllowed.because(why).about(iccid).into());
            }
            Ok(profile)
        }
        (None, Some(requested)) => {
            if context.tx.get(&PROFILE_TYPES, requested).await?.is_none() {
                let why = "no profile in stock is of this type";
                return Err(Status::ProfileTypeUnknown.because(why).about(requested).into());
            }
            let namespace = Namespace::default();
            let (tx, world) = (&mut *context.tx, context.world);
            if let Some(profile) = stock::any_available(tx, world, &namespace, Some(requested)).await? {
                return Ok(profile);
            }
            Err(Status::ProfileTypeUnavailable
                .because("no profile of this type is available")
                .about(requested)
                .into())
        }
        (None, None) => {
            Err(Status::ProfileTypeMissing.because("one of ProfileType and Iccid must be given").into())
        }
    }
}

/// Returns the profile of a download, if it is in stock and still has the download's order.
pub(crate) async fn profile(context: &mut Context<'_, '_>, download: &Download) -> Decision<Profile> {
    find_own(context, download).await?.ok_or_else(|| order_ended(download))
}

/// Returns the package of a download's profile.
pub(crate) async fn package(context: &mut Context<'_, '_>, download: &Download) -> Decision<Vec<u8>> {
    profile(context, download).await?;
    let package = context.tx.get(&PACKAGES, &download.iccid.to_string()).await?;
    package.map(|package| package.0).ok_or_else(|| order_ended(download))
}

async fn find_own(context: &mut Context<'_, '_>, download: &Download) -> Result<Option<Profile>, Fault> {
    let profile = context.tx.get(&PROFILES, &download.iccid.to_string()).await?;
    let is_current_order = |profile: &Profile| profile.order().is_ok_and(|order| order.id == download.order);
    Ok(profile.filter(is_current_order))
}

fn order_ended(download: &Download) -> Rejection {
    Status::ProfileUnavailable
        .because("the order was ended or the profile was removed from the stock during the download")
        .about(download.iccid)
        .into()
}

fn apply(profile: &mut Profile, event: ProfileEvent) -> Decision<()> {
    profile.apply(event).map_err(|error| {
        let why = format!("the profile became {} during the download", error.state);
        Status::ProfileUnavailable.because(why).about(error.iccid).into()
    })
}

/// Records that an ISD-P exists for the profile. From now on, only this eUICC can have the profile.
pub(crate) async fn handed_out(context: &mut Context<'_, '_>, download: &Download) -> Decision<()> {
    let mut profile = profile(context, download).await?;
    apply(&mut profile, ProfileEvent::PackageHandedOut)?;
    if let Ok(order) = profile.order_mut() {
        order.handed_to = Some(download.eid);
        order.download_attempts = order.download_attempts.saturating_add(1);
    }
    Ok(profile.save(context.tx)?)
}

/// Records that the profile is installed.
pub(crate) async fn installed(context: &mut Context<'_, '_>, download: &Download) -> Decision<()> {
    let mut profile = profile(context, download).await?;
    apply(&mut profile, ProfileEvent::InstallationSucceeded)?;
    let Download { eid, iccid, .. } = *download;
    context.tx.put(&INSTALLATIONS, &iccid_key(iccid, eid), &Installation { eid, at: context.now })?;
    Ok(profile.save(context.tx)?)
}

/// Records that the profile is not on the card, so that it can be ordered again. If the order has
/// ended in the meantime, there is nothing to do.
pub(crate) async fn not_installed(context: &mut Context<'_, '_>, download: &Download) -> Result<(), Fault> {
    let Some(profile) = find_own(context, download).await? else { return Ok(()) };
    back_to_stock(context, profile)
}

/// Records that the profile may be on the card. It stays assigned to this eUICC.
pub(crate) async fn left_behind(context: &mut Context<'_, '_>, download: &Download) -> Result<(), Fault> {
    let Some(mut profile) = find_own(context, download).await? else { return Ok(()) };
    // In any other state, the profile stays as it is.
    let _ = profile.apply(ProfileEvent::PackageHandedOut);
    if let Ok(order) = profile.order_mut() {
        order.handed_to = Some(download.eid);
    }
    profile.save(context.tx)
}

/// Records that the profile was deleted from the eUICC, so that it can be downloaded again.
pub(crate) async fn deleted(context: &mut Context<'_, '_>, iccid: Iccid, eid: Eid) -> Result<(), Fault> {
    context.tx.delete(&INSTALLATIONS, &iccid_key(iccid, eid));
    let profile = context.tx.get(&PROFILES, &iccid.to_string()).await?;
    // Another eUICC may have received the profile since then.
    let is_there = |profile: &Profile| profile.order().is_ok_and(|order| order.handed_to == Some(eid));
    match profile.filter(is_there) {
        Some(profile) => back_to_stock(context, profile),
        None => Ok(()),
    }
}

fn back_to_stock(context: &mut Context<'_, '_>, mut profile: Profile) -> Result<(), Fault> {
    if profile.apply(ProfileEvent::ProfileDeleted).is_err() {
        // In any other state, the profile stays as it is.
        let _ = profile.apply(ProfileEvent::OrderCancelled);
    }
    profile.save(context.tx)
}

/// Returns the subscription address of the device under this profile: the one that was configured,
/// or the IMSI from the files of the USIM.
pub(crate) async fn subscription_address(
    context: &mut Context<'_, '_>,
    iccid: Iccid,
    package: &[u8],
) -> Result<Option<SubscriptionAddress>, Fault> {
    let configured = context.tx.get(&SUBSCRIPTION_ADDRESSES, &iccid.to_string()).await?;
    Ok(configured.or_else(|| {
        let package = Package::decode(package).ok()?;
        let installed = InstalledProfile::of(&package, &Capabilities::default()).ok()?;
        Some(SubscriptionAddress { imsi: installed.usim()?.imsi(), msisdn: None })
    }))
}
