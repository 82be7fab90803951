//! ES10c.GetProfilesInfo: SGP.22 section 5.7.15.

use rsp::der::Tag;
use rsp::sgp22::es10c::{
    ProfileInfo, ProfileInfoListError, ProfileInfoListRequest, ProfileInfoListResponse, ProfileSearch,
};
use rsp::sgp22::{DpProprietaryData, ProfileState};

use crate::consumer::ConsumerContext;
use crate::state::InstalledProfile;
use crate::tag_list::tags;

/// The tags returned if the request has no tag list.
const DEFAULT_TAGS: [Tag; 9] =
    [Tag(0x5A), Tag(0x4F), Tag(0x9F70), Tag(0x90), Tag(0x91), Tag(0x92), Tag(0x93), Tag(0x94), Tag(0x95)];

pub(crate) fn get_profiles_info(
    context: &mut ConsumerContext<'_>,
    request: ProfileInfoListRequest,
) -> ProfileInfoListResponse {
    let tags = match request.tag_list.as_deref().map(tags) {
        None => DEFAULT_TAGS.to_vec(),
        Some(Some(tags)) => tags,
        Some(None) => {
            return ProfileInfoListResponse::ProfileInfoListError(
                ProfileInfoListError::INCORRECT_INPUT_VALUES,
            );
        }
    };
    // req: SGP.22-5.7.15-Search
    let wanted = |profile: &&InstalledProfile| match &request.search_criteria {
        None => true,
        Some(ProfileSearch::IsdpAid(aid)) => profile.isd_p == *aid,
        Some(ProfileSearch::Iccid(iccid)) => profile.iccid() == *iccid,
        Some(ProfileSearch::ProfileClass(class)) => profile.class() == *class,
    };
    let found = context.persistent.profiles.iter().map(AsRef::as_ref).filter(wanted);
    ProfileInfoListResponse::ProfileInfoListOk(
        found
            .map(|profile| {
                let is_enabled = context.persistent.enabled.as_ref() == Some(&profile.isd_p);
                info(profile, is_enabled, &tags)
            })
            .collect(),
    )
}

/// The requested elements of a profile. Unknown tags select nothing.
fn info(profile: &InstalledProfile, is_enabled: bool, tags: &[Tag]) -> ProfileInfo {
    let metadata = &profile.metadata.0;
    let requested = |tag: u32| tags.contains(&Tag(tag));
    let state = if is_enabled { ProfileState::ENABLED } else { ProfileState::DISABLED };
    ProfileInfo {
        iccid: requested(0x5A).then(|| profile.iccid()),
        isdp_aid: requested(0x4F).then(|| profile.isd_p.clone()),
        profile_state: requested(0x9F70).then_some(state),
        profile_nickname: profile.nickname.clone().filter(|_| requested(0x90)),
        service_provider_name: requested(0x91).then(|| metadata.service_provider_name.clone()),
        profile_name: requested(0x92).then(|| metadata.profile_name.clone()),
        icon_type: metadata.icon_type.filter(|_| requested(0x93)),
        icon: metadata.icon.clone().filter(|_| requested(0x94)),
        profile_class: requested(0x95).then(|| profile.class()),
        notification_configuration_info: metadata
            .notification_configuration_info
            .clone()
            .filter(|_| requested(0xB6)),
        profile_owner: metadata.profile_owner.clone().filter(|_| requested(0xB7)),
        dp_proprietary_data: profile
            .dp_oid
            .clone()
            .filter(|_| requested(0xB8))
            .map(|dp_oid| DpProprietaryData { dp_oid }),
        profile_policy_rules: metadata.profile_policy_rules.clone().filter(|_| requested(0x99)),
        ecall_indication: None,
        fallback_attribute: None,
        fallback_allowed: None,
        iot_specific_profile_info: None,
    }
}
