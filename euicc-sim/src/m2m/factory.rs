//! The initial state of an M2M eUICC: the keys of its first SM-SR, and the initial profiles in
//! their ISD-Ps.

use std::sync::Arc;

use profile::{InstalledProfile as Content, Package};
use rsp::ids::{Iccid, SubjectKeyIdentifier};
use rsp::sgp22::es8plus::StoreMetadataRequest;
use world::Fault;

use super::description::{FactoryProfile, M2mDescription};
use crate::authenticate::algorithm::supports;
use crate::description::CardDescription;
use crate::state::m2m::{IsdP, State};
use crate::state::{InDer, InstalledProfile, Persistent};

/// Creates the state of a new card.
///
/// # Errors
/// Fails if a profile cannot be installed or conflicts with another profile.
pub(crate) fn state(
    description: &CardDescription,
    m2m: &M2mDescription,
) -> Result<(Persistent, State), Fault> {
    let mut persistent = Persistent::new(description.eid);
    let mut state = State {
        key_sets: m2m.key_sets.clone(),
        addressing: m2m.addressing.clone(),
        next_notification: 1,
        ..State::default()
    };
    for profile in &m2m.profiles {
        let installed = install(description, profile)?;
        if persistent.has_iccid(installed.iccid()) || state.isd_p(&profile.isd_p).is_some() {
            return Err(fault(profile, "another profile has the same ICCID or ISD-P".to_owned()));
        }
        let mut isd_p = IsdP::new(profile.isd_p.clone(), None);
        isd_p.key_sets.clone_from(&profile.key_sets);
        state.isd_ps.push(isd_p);
        for (place, claims) in
            [(&mut persistent.enabled, profile.enabled), (&mut state.fallback, profile.fallback)]
        {
            if claims && place.replace(profile.isd_p.clone()).is_some() {
                return Err(fault(
                    profile,
                    "only one profile can be enabled, and only one can have the fallback attribute"
                        .to_owned(),
                ));
            }
        }
        persistent.profiles.push(Arc::new(installed));
    }
    let used = state.memory_used(&persistent);
    if used > description.memory_size {
        let why = format!("its profiles need {used} octets, and it has {}", description.memory_size);
        return Err(Fault::new("cannot make the card", why, "give it more memory or fewer profiles"));
    }
    Ok((persistent, state))
}

fn install(description: &CardDescription, profile: &FactoryProfile) -> Result<InstalledProfile, Fault> {
    let package = profile.package.expose();
    let (iccid, content) = content_of(description, package).map_err(|why| fault(profile, why))?;
    Ok(of_package(profile.isd_p.clone(), iccid, package.len(), content))
}

/// Decodes a package that the manufacturer loads. Returns the reason if the card cannot have it.
pub(crate) fn content_of(description: &CardDescription, package: &[u8]) -> Result<(Iccid, Content), String> {
    let package = Package::decode(package).map_err(|why| why.to_string())?;
    let content =
        Content::of(&package, &description.package_capabilities()).map_err(|why| why.to_string())?;
    if !content.facts.aka.iter().all(supports) {
        return Err("the card does not support its authentication algorithm".to_owned());
    }
    let iccid = iccid_of(&content).ok_or("its ICCID is invalid")?;
    Ok((iccid, content))
}

/// The ICCID in the header of a package.
pub(crate) fn iccid_of(content: &Content) -> Option<Iccid> {
    let octets = content.facts.iccid.0.as_slice().try_into().ok()?;
    Iccid::from_profile_header(octets).ok()
}

/// A profile in the stored form. Metadata that SGP.02 does not define are empty. The memory that
/// the profile takes is the length of its package, or the size of its files if this is larger.
pub(crate) fn of_package(
    isd_p: rsp::ids::Aid,
    iccid: Iccid,
    octets: usize,
    content: Content,
) -> InstalledProfile {
    let profile_name = content.facts.profile_type.clone().unwrap_or_default();
    InstalledProfile {
        isd_p,
        metadata: InDer(StoreMetadataRequest {
            iccid,
            service_provider_name: String::new(),
            profile_name,
            icon_type: None,
            icon: None,
            profile_class: None,
            notification_configuration_info: None,
            profile_owner: None,
            profile_policy_rules: None,
            ecall_indication: None,
            fallback_allowed: None,
        }),
        nickname: None,
        identities: Default::default(),
        dp_oid: None,
        // The card signs nothing for this profile.
        ci: SubjectKeyIdentifier(vec![0]),
        memory: u32::try_from(octets.max(content.files.memory())).unwrap_or(u32::MAX),
        content,
    }
}

fn fault(profile: &FactoryProfile, why: String) -> Fault {
    Fault::new(
        format!("cannot make a card with the profile in ISD-P {}", profile.isd_p),
        why,
        "correct the M2M part of the card's description",
    )
}
