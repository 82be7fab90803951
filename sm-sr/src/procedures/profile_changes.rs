//! Changes for notifications to owners: the differences between the last notified state of the
//! profiles and the current one.

use rsp::{
    ids::{Eid, Iccid},
    sgp02::eis::{ProfileInfo, ProfileState},
};
use world::Fault;

use super::Operation;
use crate::{
    context::Context,
    notifications::{self, News},
    records::Card,
};

/// Profiles of a card as last notified to their owners. To be created before a change.
pub(super) struct Known(Vec<ProfileInfo>);

impl Known {
    /// Takes the profiles from the EIS, without a change of the enabled profile that is not final
    /// and therefore not notified yet.
    pub(super) fn of(card: &Card) -> Self {
        let mut profiles = card.eis.profile_info.clone();
        if let Some(left) = card.last_notification.as_ref().and_then(|last| last.untold.then_some(last.left))
        {
            for profile in &mut profiles {
                if Some(profile.iccid) == left {
                    profile.state = ProfileState::Enabled;
                } else if profile.state == ProfileState::Enabled {
                    profile.state = ProfileState::Disabled;
                }
            }
        }
        Self(profiles)
    }

    /// Notifies every owner of the changes of its profile, except for the caller of `function` if
    /// the response tells it.
    pub(super) async fn tell(
        &self,
        context: &mut Context<'_, '_>,
        card: &Card,
        function: Option<&Operation>,
    ) -> Result<(), Fault> {
        let eid: Eid = card.eid();
        for before in &self.0 {
            let by = function.and_then(|function| function.answers_for(before));
            for news in differences(before, card.profile(before.iccid)) {
                notifications::tell_owner(context, eid, before, news, by).await?;
            }
        }
        Ok(())
    }
}

fn differences(before: &ProfileInfo, now: Option<&ProfileInfo>) -> Vec<News> {
    // Owners are not notified of a profile whose download was never completed.
    if before.state == ProfileState::Created {
        return Vec::new();
    }
    let Some(now) = now else { return vec![News::Deleted] };
    let mut news = Vec::new();
    match now.state {
        state if state == before.state => {}
        ProfileState::Enabled => news.push(News::Enabled),
        ProfileState::Disabled => news.push(News::Disabled),
        ProfileState::Created => {}
    }
    match (before.fallback_attribute, now.fallback_attribute) {
        (false, true) => news.push(News::FallBackAttributeSet),
        (true, false) => news.push(News::FallBackAttributeUnset),
        _ => {}
    }
    news
}

/// Marks the latest change of the enabled profile as final, so that owners are notified. Returns
/// the profile that it disabled, to which POL2 may apply.
pub(super) fn settle(card: &mut Card) -> Option<Iccid> {
    let last = card.last_notification.as_mut()?;
    last.untold = false;
    last.left.take()
}
