//! Changes of profiles that are notified to their owners: the differences between the last notified
//! state of the profiles and their current state.

use rsp::{
    ids::{Eid, Iccid},
    sgp02::eis::{ProfileInfo, ProfileState},
};
use world::Fault;

use super::Operation;
use crate::{
    context::Context,
    notifications::{self, ProfileChange},
    records::Card,
};

/// Profiles of a card as last notified to their owners. The caller creates this value before it
/// changes the EIS.
pub(super) struct NotifiedState(Vec<ProfileInfo>);

impl NotifiedState {
    /// Takes the profiles as they are in the EIS.
    pub(super) fn current(card: &Card) -> Self {
        Self(card.eis.profile_info.clone())
    }

    /// Takes the profiles from the EIS, without a change of the enabled profile that is not final
    /// and therefore not notified yet.
    pub(super) fn of(card: &Card) -> Self {
        let mut profiles = card.eis.profile_info.clone();
        if let Some(disabled) =
            card.last_notification.as_ref().and_then(|last| last.owners_not_notified.then_some(last.disabled))
        {
            for profile in &mut profiles {
                if Some(profile.iccid) == disabled {
                    profile.state = ProfileState::Enabled;
                } else if profile.state == ProfileState::Enabled {
                    profile.state = ProfileState::Disabled;
                }
            }
        }
        Self(profiles)
    }

    /// Notifies every owner of the changes of its profile. The caller of `function` gets no
    /// notification of a change that the response to the function reports.
    pub(super) async fn notify_owners(
        &self,
        context: &mut Context<'_, '_>,
        card: &Card,
        function: Option<&Operation>,
    ) -> Result<(), Fault> {
        let eid: Eid = card.eid();
        for before in &self.0 {
            let by = function.and_then(|function| function.answers_for(before));
            for change in differences(before, card.profile(before.iccid)) {
                notifications::notify_owner(context, eid, before, change, by).await?;
            }
        }
        Ok(())
    }
}

fn differences(before: &ProfileInfo, now: Option<&ProfileInfo>) -> Vec<ProfileChange> {
    // Owners are not notified of a profile whose download was never completed.
    if before.state == ProfileState::Created {
        return Vec::new();
    }
    let Some(now) = now else { return vec![ProfileChange::Deleted] };
    let mut changes = Vec::new();
    match now.state {
        state if state == before.state => {}
        ProfileState::Enabled => changes.push(ProfileChange::Enabled),
        ProfileState::Disabled => changes.push(ProfileChange::Disabled),
        ProfileState::Created => {}
    }
    match (before.fallback_attribute, now.fallback_attribute) {
        (false, true) => changes.push(ProfileChange::FallBackAttributeSet),
        (true, false) => changes.push(ProfileChange::FallBackAttributeUnset),
        _ => {}
    }
    changes
}

/// Marks the latest change of the enabled profile as final, so that owners are notified. Returns
/// the profile that it disabled, to which POL2 may apply.
pub(super) fn make_final(card: &mut Card) -> Option<Iccid> {
    let last = card.last_notification.as_mut()?;
    last.owners_not_notified = false;
    last.disabled.take()
}
