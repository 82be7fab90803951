//! ES10c: local management of profiles by the end user.

pub(super) mod delete_profile;
pub(super) mod disable_profile;
pub(super) mod enable_profile;
pub(super) mod euicc_memory_reset;
pub(super) mod get_eid;
pub(super) mod get_profiles_info;
pub(super) mod set_nickname;

use rsp::sgp22::ProfileIdentifier;

use crate::state::{InstalledProfile, Persistent};

/// The profile that a request identifies.
pub(super) fn find<'a>(
    persistent: &'a Persistent,
    identifier: &ProfileIdentifier,
) -> Option<&'a InstalledProfile> {
    let found = persistent.profiles.iter().find(|profile| match identifier {
        ProfileIdentifier::IsdpAid(aid) => profile.isd_p == *aid,
        ProfileIdentifier::Iccid(iccid) => profile.iccid() == *iccid,
    });
    found.map(AsRef::as_ref)
}
