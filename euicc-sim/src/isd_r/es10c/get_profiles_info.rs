//! ES10c.GetProfilesInfo: SGP.22 section 5.7.15.

use rsp::der::{Reader, Tag};
use rsp::sgp22::es10c::{ProfileInfo, ProfileInfoListRequest, ProfileInfoListResponse, ProfileSearch};
use rsp::sgp22::{DpProprietaryData, ProfileState};

use crate::consumer::ConsumerContext;
use crate::state::InstalledProfile;

const INCORRECT_INPUT_VALUES: i64 = 1;

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
        Some(None) => return ProfileInfoListResponse::ProfileInfoListError(INCORRECT_INPUT_VALUES),
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

/// The tags of a tag list. Unknown tags select nothing.
fn tags(list: &[u8]) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let mut tag = Vec::new();
        let mut octets = rest.iter();
        let first = octets.next()?;
        tag.push(*first);
        if first & 0x1F == 0x1F {
            loop {
                let next = octets.next()?;
                tag.push(*next);
                if next & 0x80 == 0 {
                    break;
                }
            }
        }
        tags.extend(Reader::new(&tag).peek().ok()?);
        rest = octets.as_slice();
    }
    Some(tags)
}

fn info(profile: &InstalledProfile, is_enabled: bool, tags: &[Tag]) -> ProfileInfo {
    let metadata = &profile.metadata.0;
    let asked = |tag: u32| tags.contains(&Tag(tag));
    let state = if is_enabled { ProfileState::ENABLED } else { ProfileState::DISABLED };
    ProfileInfo {
        iccid: asked(0x5A).then(|| profile.iccid()),
        isdp_aid: asked(0x4F).then(|| profile.isd_p.clone()),
        profile_state: asked(0x9F70).then_some(state),
        profile_nickname: profile.nickname.clone().filter(|_| asked(0x90)),
        service_provider_name: asked(0x91).then(|| metadata.service_provider_name.clone()),
        profile_name: asked(0x92).then(|| metadata.profile_name.clone()),
        icon_type: metadata.icon_type.filter(|_| asked(0x93)),
        icon: metadata.icon.clone().filter(|_| asked(0x94)),
        profile_class: asked(0x95).then(|| profile.class()),
        notification_configuration_info: metadata
            .notification_configuration_info
            .clone()
            .filter(|_| asked(0xB6)),
        profile_owner: metadata.profile_owner.clone().filter(|_| asked(0xB7)),
        dp_proprietary_data: profile
            .dp_oid
            .clone()
            .filter(|_| asked(0xB8))
            .map(|dp_oid| DpProprietaryData { dp_oid }),
        profile_policy_rules: metadata.profile_policy_rules.clone().filter(|_| asked(0x99)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_list_is_a_sequence_of_tags_without_lengths() {
        assert_eq!(tags(&[0x5A, 0x9F, 0x70, 0x4F]), Some(vec![Tag(0x5A), Tag(0x9F70), Tag(0x4F)]));
        assert_eq!(tags(&[0xBF, 0x22]), Some(vec![Tag(0xBF22)]));
        assert_eq!(tags(&[0x5A, 0x9F]), None);
        assert_eq!(tags(&[0x9F, 0x80]), None);
    }
}
