//! ES10c.GetProfilesInfo: SGP.22 section 5.7.15. On an IoT card it is a function of ES10b, with more
//! elements: SGP.32 section 5.9.14.

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

/// As [`DEFAULT_TAGS`] for an IoT card: SGP.32 section 2.11.1.1.3.
const DEFAULT_TAGS_IOT: [Tag; 9] =
    [Tag(0x5A), Tag(0x4F), Tag(0x9F70), Tag(0x91), Tag(0x92), Tag(0x95), ECALL, FALLBACK, FALLBACK_ALLOWED];

/// ecallIndication, fallbackAttribute and fallbackAllowed.
const ECALL: Tag = Tag(0x9F7B);
const FALLBACK: Tag = Tag(0x9F26);
const FALLBACK_ALLOWED: Tag = Tag(0x9F67);

pub(crate) fn get_profiles_info(
    context: &mut ConsumerContext<'_>,
    request: ProfileInfoListRequest,
) -> ProfileInfoListResponse {
    let tags = match request.tag_list.as_deref().map(tags) {
        None if context.is_iot() => DEFAULT_TAGS_IOT.to_vec(),
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
                let info = info(profile, is_enabled, &tags);
                if context.is_iot() { with_iot_elements(context, profile, &tags, info) } else { info }
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

/// Adds the elements of SGP.32. They are absent if they are false, the default value.
fn with_iot_elements(
    context: &ConsumerContext<'_>,
    profile: &InstalledProfile,
    tags: &[Tag],
    info: ProfileInfo,
) -> ProfileInfo {
    let metadata = &profile.metadata.0;
    let element = |tag: Tag, value: bool| (value && tags.contains(&tag)).then_some(true);
    let is_fallback = context.state.iot().fallback.as_ref() == Some(&profile.isd_p);
    ProfileInfo {
        ecall_indication: element(ECALL, metadata.ecall_indication == Some(true)),
        fallback_attribute: element(FALLBACK, is_fallback),
        fallback_allowed: element(FALLBACK_ALLOWED, metadata.fallback_allowed == Some(true)),
        ..info
    }
}
